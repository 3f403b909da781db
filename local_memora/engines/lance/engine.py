"""LanceDB, embedded: tables in a folder, no server, many processes at once."""

import logging
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import lancedb
import numpy as np
from lancedb.index import HnswFlat, IvfFlat

from local_memora.contract.bodies import CreateParams
from local_memora.contract.errors import ApiError
from local_memora.contract.schema import DEFAULT_PARTITION, SHORTEST, CollectionSchema, IndexSpec
from local_memora.engines import EMBEDDED, MILVUS, Collection, Row, SearchRequest
from local_memora.engines.lance.arrow import PARTITION, rows_of, schema_of, table_of
from local_memora.engines.lance.catalogue import Catalogue
from local_memora.engines.lance.search import DISTANCE, condition, run, search
from local_memora.filters.parse import Node

RESERVED = {"_distance", "_rowid", "_rowaddr", "_rowoffset", "_row_created_at_version", "_row_last_updated_at_version"}
AUTO_BUILD_ROWS = 1_000  # after a write: below that, looking at every row is as fast as an index
TIDY_EVERY = 50  # versions; each write makes one, and hundreds of small files make every search slow
KEEP_OLD = timedelta(minutes=10)  # longer than any reader in another process holds on to an old version
log = logging.getLogger(__name__)


class LanceEngine:
    """Stores each collection in one Lance table, and in a catalogue what LanceDB has no place for.

    Parameters
    ----------
    home : Path
        Where both lie; made where it is missing.
    """

    def __init__(self, home: Path) -> None:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)  # private to the user
        self._catalogue = Catalogue(home / "catalogue.sqlite")
        self._tables = home / "lance"
        # Interval 0: every read looks for what other processes wrote.
        self._db = lancedb.connect(self._tables, read_consistency_interval=timedelta(0))
        self._open: dict[int, lancedb.table.Table] = {}

    def check(self) -> None:
        self._catalogue.check()

    def _table(self, collection: Collection) -> lancedb.table.Table:
        if collection.id not in self._open:
            self._open[collection.id] = self._db.open_table(f"c{collection.id}")
        return self._open[collection.id]

    def _latest(self, collection: Collection) -> lancedb.table.Table:
        table = self._table(collection)
        table.checkout_latest()  # merge_insert would compare with the version this process saw last
        return table

    # structure

    def names(self, project: str) -> list[str]:
        return self._catalogue.names(project)

    def find(self, project: str, name: str) -> Collection | None:
        return self._catalogue.find(project, name)

    def create(
        self, project: str, name: str, schema: CollectionSchema, indexes: list[IndexSpec], params: CreateParams
    ) -> None:
        wants = {
            "ttlSeconds": params.ttl_seconds,
            "shardsNum above 1": (params.shards_num or 1) > 1,
            "a partition key": schema.partition_key,
        }
        for what, wanted in wants.items():
            if wanted:
                raise ApiError(501, f"{EMBEDDED} does not know {what}; {MILVUS} does")
        if taken := RESERVED & schema.by_name.keys():
            raise ApiError(400, f"the field name {min(taken)!r} is taken by the engine; choose another")
        self._catalogue.create(project, name, schema, indexes, self._make_table)

    def _make_table(self, collection: Collection) -> None:
        # "overwrite": an interrupted creation may have left a table under this id
        schema = schema_of(collection.schema)
        self._open[collection.id] = self._db.create_table(f"c{collection.id}", schema=schema, mode="overwrite")

    def drop(self, collection: Collection) -> None:
        in_use = self._catalogue.drop(collection)
        self._open.pop(collection.id, None)
        for number in set(range(1, collection.id + 1)) - in_use:  # also what a drop has left that was killed here
            shutil.rmtree(self._tables / f"c{number}.lance", ignore_errors=True)  # others may be at it too

    def rename(self, collection: Collection, name: str) -> None:
        self._catalogue.rename(collection, name)

    def create_partition(self, collection: Collection, partition: str) -> None:
        table = self._latest(collection)
        if PARTITION not in table.schema.names:
            table.add_columns({PARTITION: f"'{DEFAULT_PARTITION}'"})
        released = collection.released if collection.loaded else {*collection.released, partition}
        self._catalogue.set_partitions(collection, [*collection.partitions, partition], set(released))

    def drop_partition(self, collection: Collection, partition: str) -> None:
        self._latest(collection).delete(condition(None, [partition]) or "")
        left = [name for name in collection.partitions if name != partition]
        self._catalogue.set_partitions(collection, left, set(collection.released) - {partition})

    def load(self, collection: Collection, partitions: list[str]) -> None:
        self._catalogue.set_partitions(
            collection, list(collection.partitions), set(collection.released) - set(partitions)
        )
        self._merge_small_files(self._latest(collection))
        self._build_due(collection, at_least=1)

    def release(self, collection: Collection, partitions: list[str]) -> None:
        self._catalogue.set_partitions(collection, list(collection.partitions), {*collection.released, *partitions})

    def create_index(self, collection: Collection, index: IndexSpec) -> None:
        if index.metric_type == "COSINE":
            self._refuse_zero_vectors(collection, index)
        self._catalogue.set_indexes(collection, [*collection.indexes, index])
        try:
            self._merge_small_files(self._latest(collection))  # first: merged later, the index would be built twice
            for each in [*collection.indexes, index]:
                self._build_if_due(collection, each, at_least=1)
        except Exception:  # such as a full disk
            self._catalogue.set_indexes(collection, list(collection.indexes))
            raise

    def _refuse_zero_vectors(self, collection: Collection, index: IndexSpec) -> None:
        """Lance would leave them out of every search by COSINE, without a word."""
        zero = np.zeros((1, collection.schema.vector_field(index.field_name).dim), np.float32)
        (hits,) = self.search(collection, SearchRequest(zero, index.field_name, "L2", 1))
        for distance, row in hits:
            if distance < SHORTEST:
                key = row[collection.schema.primary.field_name]
                raise ApiError(400, f"row {key!r} has a vector of zeros, which COSINE can't compare")

    def drop_index(self, collection: Collection, index: IndexSpec) -> None:
        self._catalogue.set_indexes(collection, [i for i in collection.indexes if i != index])
        table = self._latest(collection)
        if any(built.name == index.index_name for built in table.list_indices()):
            table.drop_index(index.index_name)

    def indexed_rows(self, collection: Collection, index: IndexSpec) -> int:
        if index.params.index_type == "FLAT":
            return self.count(collection, None, None)
        stats = self._latest(collection).index_stats(index.index_name)
        return stats.num_indexed_rows if stats else 0

    def _build_due(self, collection: Collection, at_least: int) -> None:
        for index in collection.indexes:
            self._build_if_due(collection, index, at_least)

    def _build_if_due(self, collection: Collection, index: IndexSpec, at_least: int) -> None:
        """Build what waits for rows: when there are enough, and again when the rows have doubled since."""
        params = index.params
        if params.index_type == "FLAT":
            return  # to look at every row needs no preparation
        total, indexed = self.count(collection, None, None), self.indexed_rows(collection, index)
        if total < (params.nlist or 1) or total - indexed < max(at_least, indexed if at_least > 1 else 1):
            return
        self._latest(collection).create_index(
            index.field_name, config=_config(index), name=index.index_name, replace=True
        )

    # rows

    def insert(self, collection: Collection, columns: dict[str, Any], partition: str) -> list[Any]:
        primary, table = collection.schema.primary.field_name, self._latest(collection)
        if collection.schema.auto_id:
            columns[primary] = self._catalogue.take_ids(collection, len(next(iter(columns.values()))))
        table.add(table_of(collection.schema, table.schema, columns, partition))
        self._tidy(collection, table)
        return columns[primary]

    def upsert(self, collection: Collection, columns: dict[str, Any], partition: str) -> None:
        table = self._latest(collection)
        merge = table.merge_insert(collection.schema.primary.field_name)
        rows = table_of(collection.schema, table.schema, columns, partition)
        merge.when_matched_update_all().when_not_matched_insert_all().execute(rows)
        self._tidy(collection, table)

    def delete(self, collection: Collection, where: Node, partitions: list[str] | None) -> int:
        table = self._latest(collection)
        count = run(lambda: table.delete(condition(where, partitions) or "true")).num_deleted_rows
        self._tidy(collection, table)
        return count

    def _tidy(self, collection: Collection, table: lancedb.table.Table) -> None:
        """Merge files and build indexes where it is time; a failure is none of the write, which is stored by now."""
        try:
            if merge := table.version % TIDY_EVERY == 0:
                self._merge_files(table)
            self._build_due(collection, at_least=1 if merge else AUTO_BUILD_ROWS)
        except Exception:
            log.exception("tidying c%d failed; a later write, or loading the collection, tries again", collection.id)

    def _merge_small_files(self, table: lancedb.table.Table) -> None:
        stats = cast(dict[str, Any], table.stats())
        if stats["fragment_stats"]["num_small_fragments"] > 1:
            self._merge_files(table)

    @staticmethod
    def _merge_files(table: lancedb.table.Table) -> None:
        """Make few files of many. Indexes are dropped first, for what is due to be built next.

        optimize() would merge them too, into a form that is searched three times as slowly: with LanceDB 0.40 and
        100,000 rows 18 ms instead of 5. It takes as long as to build them anew.
        """
        for built in table.list_indices():
            table.drop_index(built.name)
        table.optimize(cleanup_older_than=KEEP_OLD)

    def count(self, collection: Collection, where: Node | None, partitions: list[str] | None) -> int:
        return run(lambda: self._table(collection).count_rows(condition(where, partitions)))

    def query(
        self, collection: Collection, where: Node, fields: list[str], limit: int, partitions: list[str] | None
    ) -> list[Row]:
        found = (
            self._table(collection).search().where(condition(where, partitions) or "true").select(fields).limit(limit)
        )
        return rows_of(collection.schema, run(found.to_arrow), fields)

    def search(self, collection: Collection, request: SearchRequest) -> list[list[tuple[float, Row]]]:
        # request.ignore_growing needs no care: every row is seen at once, indexed or not
        return [search(self._table(collection), collection, request, vector) for vector in request.vectors]


def _config(index: IndexSpec) -> IvfFlat | HnswFlat:
    params, distance = index.params, DISTANCE[index.metric_type]
    if params.index_type == "IVF_FLAT":
        return IvfFlat(distance_type=distance, num_partitions=params.nlist)
    assert params.m and params.ef_construction  # the contract has filled them in
    return HnswFlat(distance_type=distance, num_partitions=1, m=params.m, ef_construction=params.ef_construction)
