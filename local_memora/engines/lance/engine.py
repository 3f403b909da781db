"""LanceDB, embedded: tables in a folder, no server, many processes at once."""

import dataclasses
import functools
import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pyarrow.compute as pc

from local_memora.contract.bodies import CreateParams
from local_memora.contract.errors import ApiError, unwritable
from local_memora.contract.schema import DEFAULT_PARTITION, SHORTEST, CollectionSchema, IndexSpec
from local_memora.engines import EMBEDDED, MILVUS, Collection, Row, SearchRequest
from local_memora.engines.lance import beside, damage, upkeep
from local_memora.engines.lance.arrow import PARTITION, rows_of, schema_of, table_of
from local_memora.engines.lance.catalogue import Catalogue
from local_memora.engines.lance.memory import Memory
from local_memora.engines.lance.search import condition, run, search
from local_memora.filters.parse import Node

RESERVED = {"_distance", "_rowid", "_rowaddr", "_rowoffset", "_row_created_at_version", "_row_last_updated_at_version"}
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
        self._tables = home / "lance"
        self._catalogue = Catalogue(home)
        # Interval 0: every read looks for what other processes wrote.
        self._db = lancedb.connect(self._tables, read_consistency_interval=timedelta(0))
        self._open: dict[int, lancedb.table.Table] = {}
        self._highest: dict[int, tuple[int, Any]] = {}  # of a table's keys, and in which version
        self._memory = Memory()
        self._damaged: set[int] = set()
        self._refuse_without_links = functools.cache(functools.partial(damage.refuse_without_links, home))

    def check(self) -> None:
        collections, faults = self._catalogue.survey()
        for collection in collections:
            if collection.id in self._damaged or not beside.holds_versions(beside.table(self._tables, collection.id)):
                faults.append(damage.found_in(self._db, self._tables, collection))
        if faults := [fault for fault in faults if fault]:
            raise ApiError(503, "; ".join(faults))

    def fault(self, collection: Collection, error: Exception) -> ApiError | None:
        self._forget(collection)
        if unwritable(error) or not (found := damage.found_in(self._db, self._tables, collection)):
            return None
        log.error("c%d: %s", collection.id, error)
        self._damaged.add(collection.id)
        return ApiError(410, found)

    def _forget(self, collection: Collection) -> None:
        self._open.pop(collection.id, None)
        self._highest.pop(collection.id, None)
        self._memory.forget(collection.id)
        self._damaged.discard(collection.id)

    def _table(self, collection: Collection) -> lancedb.table.Table:
        if collection.id not in self._open:
            self._open[collection.id] = self._db.open_table(f"c{collection.id}")
        return self._open[collection.id]

    def _latest(self, collection: Collection) -> lancedb.table.Table:
        table = self._table(collection)
        table.checkout_latest()  # merge_insert would compare with the version this process saw last
        return table

    def _writable(self, collection: Collection) -> lancedb.table.Table:
        """Return a table to change, after undoing what a call that was broken off has left half done."""
        self._refuse_without_links()
        self._catalogue.settle(collection)
        table = self._latest(collection)
        upkeep.drop_orphans(table, collection)
        return table

    def size(self, project: str) -> int:
        collections, _ = self._catalogue.survey()
        return sum(beside.size(beside.table(self._tables, c.id)) for c in collections if c.project == project)

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
        self._refuse_without_links()
        self._catalogue.create(project, name, schema, indexes, self._make_table)

    def _make_table(self, collection: Collection) -> None:
        try:
            schema = schema_of(collection.schema)
            self._open[collection.id] = self._db.create_table(f"c{collection.id}", schema=schema, mode="create")
        except BaseException:
            beside.remove(beside.table(self._tables, collection.id))  # the id is new, and so is all that is there
            raise

    def drop(self, collection: Collection) -> None:
        self._catalogue.drop(collection)
        self._forget(collection)
        self._catalogue.sweep()

    def rename(self, collection: Collection, name: str) -> None:
        self._catalogue.rename(collection, name)

    def create_partition(self, collection: Collection, partition: str) -> None:
        table = self._writable(collection)
        if PARTITION not in table.schema.names:
            table.add_columns({PARTITION: f"'{DEFAULT_PARTITION}'"})
        released = collection.released if collection.loaded else {*collection.released, partition}
        self._catalogue.set_partitions(collection, [*collection.partitions, partition], set(released))

    def drop_partition(self, collection: Collection, partition: str) -> None:
        self._writable(collection).delete(condition(None, [partition]) or "")  # first: rows need a partition
        left = [name for name in collection.partitions if name != partition]
        self._catalogue.set_partitions(collection, left, set(collection.released) - {partition})

    def load(self, collection: Collection, partitions: list[str]) -> None:
        table = self._writable(collection)
        left = set(collection.released) - set(partitions)
        self._catalogue.set_partitions(collection, list(collection.partitions), left)
        upkeep.make_ready(table, collection, self._catalogue)

    def release(self, collection: Collection, partitions: list[str]) -> None:
        self._catalogue.set_partitions(collection, list(collection.partitions), {*collection.released, *partitions})

    def create_index(self, collection: Collection, index: IndexSpec) -> None:
        table = self._writable(collection)  # before the index is defined: one of its name may have been left
        if index.metric_type == "COSINE":
            self._refuse_zero_vectors(collection, index)
        both = [*collection.indexes, index]
        self._catalogue.set_indexes(collection, both)
        try:
            upkeep.make_ready(table, dataclasses.replace(collection, indexes=tuple(both)), self._catalogue)
        except Exception:  # such as a full disk
            self._catalogue.set_indexes(collection, list(collection.indexes))
            raise

    def _refuse_zero_vectors(self, collection: Collection, index: IndexSpec) -> None:
        """Lance would silently leave them out of every search by COSINE."""
        zero = np.zeros((1, collection.schema.vector_field(index.field_name).dim), np.float32)
        (hits,) = self.search(collection, SearchRequest(zero, index.field_name, "L2", 1))
        for distance, row in hits:
            if distance < SHORTEST:
                key = row[collection.schema.primary.field_name]
                raise ApiError(400, f"row {key!r} has a vector of zeros, which COSINE can't compare")

    def drop_index(self, collection: Collection, index: IndexSpec) -> None:
        left = [each for each in collection.indexes if each != index]
        table = self._writable(collection)
        self._catalogue.set_failure(collection, index, 0, "")
        self._catalogue.set_indexes(collection, left)
        try:
            upkeep.drop_orphans(table, dataclasses.replace(collection, indexes=tuple(left)))
        except Exception:
            self._catalogue.set_indexes(collection, list(collection.indexes))
            raise

    def indexed_rows(self, collection: Collection, index: IndexSpec) -> int:
        if index.params.index_type == "FLAT":
            return self.count(collection, None, None)
        return upkeep.indexed_rows(self._latest(collection), index)

    def fail_reason(self, collection: Collection, index: IndexSpec) -> str:
        return self._catalogue.failure(collection, index)[1]

    # rows

    def may_hold(self, collection: Collection, keys: list[Any]) -> bool:
        table, primary = self._latest(collection), collection.schema.primary.field_name
        version, highest = self._highest.get(collection.id, (0, None))
        if version != table.version:  # the first insert, or others have written
            parts = table.search().select([primary]).to_batches()
            highest = max((pc.max(part[primary]).as_py() for part in parts if part.num_rows), default=None)
            self._highest[collection.id] = table.version, highest
        return highest is not None and min(keys) <= highest

    def insert(self, collection: Collection, columns: dict[str, Any], partition: str) -> list[Any]:
        primary, table = collection.schema.primary.field_name, self._writable(collection)
        version, highest = self._highest.get(collection.id, (0, None))
        known = version == table.version and not collection.schema.auto_id
        if collection.schema.auto_id:
            columns[primary] = self._catalogue.take_ids(collection, len(next(iter(columns.values()))))
        table.add(table_of(collection.schema, table.schema, columns, partition))
        upkeep.after_write(table, collection, self._catalogue)
        if known:
            last = max(columns[primary])
            self._highest[collection.id] = table.version, last if highest is None else max(highest, last)
        return columns[primary]

    def upsert(self, collection: Collection, columns: dict[str, Any], partition: str) -> None:
        table = self._writable(collection)
        merge = table.merge_insert(collection.schema.primary.field_name)
        rows = table_of(collection.schema, table.schema, columns, partition)
        merge.when_matched_update_all().when_not_matched_insert_all().execute(rows)
        upkeep.after_write(table, collection, self._catalogue)

    def delete(self, collection: Collection, where: Node, partitions: list[str] | None) -> int:
        table = self._writable(collection)
        count = run(lambda: table.delete(condition(where, partitions) or "true")).num_deleted_rows
        upkeep.after_write(table, collection, self._catalogue)
        return count

    def count(self, collection: Collection, where: Node | None, partitions: list[str] | None) -> int:
        return run(lambda: self._table(collection).count_rows(condition(where, partitions)))

    def query(
        self, collection: Collection, where: Node, fields: list[str], limit: int, partitions: list[str] | None
    ) -> list[Row]:
        found = self._table(collection).search().where(condition(where, partitions) or "true")
        return rows_of(collection.schema, run(found.select(fields).limit(limit).to_arrow), fields)

    def search(self, collection: Collection, request: SearchRequest) -> list[list[tuple[float, Row]]]:
        # request.ignore_growing needs no care: every row is seen at once, indexed or not
        table = self._table(collection)
        if (found := self._memory.search(table, collection, request)) is not None:
            return found
        return [search(table, collection, request, vector) for vector in request.vectors]
