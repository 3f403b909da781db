"""Memora's verbs: what is common to all engines, written once."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock
import numpy as np

from helpers.local_memora import filters, rows, schema
from helpers.local_memora.catalogue import Catalogue, Collection
from helpers.local_memora.engines import Engine, SearchRequest
from helpers.local_memora.errors import ApiError
from helpers.local_memora.schema import IndexSpec

CATALOGUE = "catalogue.sqlite"
LOCK_SECONDS = 120
AUTO_BUILD_ROWS = 1_000  # after a write: below that, looking at every row is as fast as an index


class Service:
    """Answers the contract's verbs; each takes a checked body and returns the answer's `data` or a message.

    Parameters
    ----------
    home : Path
        Where the catalogue and the locks lie.
    engine : Engine
        Who stores and searches.
    """

    def __init__(self, home: Path, engine: Engine) -> None:
        self._engine = engine
        self._catalogue = Catalogue(home / CATALOGUE)
        self._locks = home / "locks"
        self._locks.mkdir(exist_ok=True)

    def _find(self, body: schema.OnCollection) -> Collection:
        collection = self._catalogue.find(body.project_id, body.collection_name)
        if collection is None:
            raise ApiError(404, f"there is no collection {body.collection_name!r} in project {body.project_id!r}")
        return collection

    @contextmanager
    def _turn(self, body: schema.OnCollection) -> Iterator[None]:
        """Wait for this writer's turn; the name is locked, so that create and drop take turns too."""
        key = hashlib.sha256(f"{body.project_id}/{body.collection_name}".encode()).hexdigest()[:32]
        lock = filelock.FileLock(self._locks / f"{key}.lock", timeout=LOCK_SECONDS, poll_interval=0.01)
        try:
            lock.acquire()
        except filelock.Timeout:
            raise ApiError(
                503, f"another program has been writing to {body.collection_name!r} for {LOCK_SECONDS} s; try again"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def _read(self, body: schema.OnCollection, work: Callable[[Collection], Any]) -> Any:
        """Run a read; where it fails because the collection was dropped or replaced meanwhile, look again."""
        collection = self._find(body)
        try:
            return work(collection)
        except ApiError:
            raise
        except Exception:
            if self._find(body).id == collection.id:
                raise
            return self._read(body, work)

    # collections

    def create_collection(self, body: schema.Create) -> str:
        fields, indexes = body.resolved()
        params = body.params
        if fields.enable_dynamic_field or params.enable_dynamic_field:
            raise ApiError(501, "the local Memora has no dynamic fields: put every field into the schema")
        if params.ttl_seconds or (params.partitions_num or 1) > 1:
            raise ApiError(501, "the local Memora has no ttlSeconds and no partitionsNum")
        for field in fields.fields_:
            if field.data_type not in schema.STORABLE or field.is_partition_key:
                what = "partition keys" if field.is_partition_key else f"the type {field.data_type}"
                raise ApiError(501, f"field {field.field_name!r}: the local Memora does not know {what} yet")
        _check_indexes(fields, indexes, [])
        with self._turn(body):
            if self._catalogue.find(body.project_id, body.collection_name):
                raise ApiError(409, f"the collection {body.collection_name!r} exists already")
            self._catalogue.create(body.project_id, body.collection_name, fields, indexes, self._engine.create)
        return "collection created"

    def list_collections(self, body: schema.Body) -> list[str]:
        return self._catalogue.names(body.project_id)

    def has_collection(self, body: schema.OnCollection) -> dict[str, bool]:
        return {"has": self._catalogue.find(body.project_id, body.collection_name) is not None}

    def describe_collection(self, body: schema.OnCollection) -> dict[str, Any]:
        collection = self._find(body)
        return {
            "autoID": collection.schema.auto_id,
            "collectionID": collection.id,
            "collectionName": collection.name,
            "description": "",
            "enableDynamicField": False,
            "fields": [_describe_field(n, f, collection) for n, f in enumerate(collection.schema.fields_, start=100)],
            "indexes": [index.model_dump(by_alias=True, exclude={"params"}) for index in collection.indexes],
            "load": "LoadStateLoaded",
            "partitionNum": 1,
            "properties": [],
        }

    def drop_collection(self, body: schema.OnCollection) -> str:
        with self._turn(body):
            collection = self._find(body)
            self._catalogue.drop(collection)
            self._engine.drop(collection)
        return "collection dropped"

    def load_collection(self, body: schema.OnCollection) -> str:
        with self._turn(body):
            collection = self._find(body)
            self._engine.tidy(collection)
            self._build_due(collection, at_least=1)
        return "collection loaded"

    def stats(self, body: schema.OnCollection) -> dict[str, int]:
        return self._read(body, lambda collection: {"rowCount": self._engine.count(collection)})

    # indexes

    def create_indexes(self, body: schema.CreateIndexes) -> str:
        with self._turn(body):
            collection = self._find(body)
            _check_indexes(collection.schema, body.index_params, list(collection.indexes))
            self._refuse_zero_vectors_stored(collection, body.index_params)
            self._catalogue.set_indexes(collection, [*collection.indexes, *body.index_params])
            self._build_due(self._find(body), at_least=1)
        return "index created"

    def list_indexes(self, body: schema.OnCollection) -> list[str]:
        return [index.index_name for index in self._find(body).indexes]

    def describe_index(self, body: schema.OnIndex) -> list[dict[str, Any]]:
        def describe(collection: Collection) -> list[dict[str, Any]]:
            index = _index(collection, body.index_name)
            total = self._engine.count(collection)
            indexed = self._engine.indexed_rows(collection, index)
            return [
                {
                    "fieldName": index.field_name,
                    "indexName": index.index_name,
                    "indexState": "Finished" if indexed or index.params.index_type == "FLAT" else "Unissued",
                    "indexType": index.params.index_type,
                    "indexedRows": indexed,
                    "metricType": index.metric_type,
                    "pendingRows": max(0, total - indexed),
                    "totalRows": total,
                    "failReason": "",
                }
            ]

        return self._read(body, describe)

    def drop_index(self, body: schema.OnIndex) -> str:
        with self._turn(body):
            collection = self._find(body)
            index = _index(collection, body.index_name)
            self._catalogue.set_indexes(collection, [i for i in collection.indexes if i != index])
            self._engine.drop_index(collection, index)
        return "index dropped"

    def _build_due(self, collection: Collection, at_least: int) -> None:
        """Build what waits for rows: when there are enough, and again when the rows have doubled since."""
        for index in collection.indexes:
            total = self._engine.count(collection)
            indexed = self._engine.indexed_rows(collection, index)
            if total >= index.rows_needed and total - indexed >= max(at_least, indexed if at_least > 1 else 1):
                self._engine.build_index(collection, index)

    # vectors

    def insert(self, body: schema.Store) -> dict[str, Any]:
        keys = self._store(body, replace=False)
        return {"insertCount": len(keys), "insertIds": keys}

    def upsert(self, body: schema.Store) -> dict[str, Any]:
        keys = self._store(body, replace=True)
        return {"upsertCount": len(keys), "upsertIds": keys}

    def _store(self, body: schema.Store, *, replace: bool) -> list[Any]:
        if not body.data:
            raise ApiError(400, "data holds no row")
        _no_partition(body.partition_name)
        fields = self._find(body).schema
        primary = fields.primary.field_name
        if fields.auto_id and replace:
            raise ApiError(400, f"upsert needs keys, and this collection numbers its rows itself ({primary!r}): insert")
        columns = rows.columns(fields, body.data)
        with self._turn(body):
            collection = self._find(body)
            if collection.schema != fields:
                raise ApiError(409, f"the collection {body.collection_name!r} was replaced meanwhile; try again")
            _refuse_zero_vectors(collection, columns)
            if fields.auto_id:
                columns[primary] = self._catalogue.take_ids(collection, len(body.data))
            keys = columns[primary]
            if len(set(keys)) < len(keys):
                doubled = next(key for key in keys if keys.count(key) > 1)
                raise ApiError(400, f"the key {primary} = {doubled!r} is in this call more than once")
            if replace:
                self._engine.upsert(collection, columns)
            else:
                self._refuse_known_keys(collection, keys)
                self._engine.insert(collection, columns)
            self._build_due(collection, at_least=AUTO_BUILD_ROWS)
        return keys

    def _refuse_known_keys(self, collection: Collection, keys: list[Any]) -> None:
        if collection.schema.auto_id:
            return
        primary = collection.schema.primary.field_name
        known = self._engine.query(collection, _keys_filter(collection, keys), [primary], len(keys))
        if known:
            examples = ", ".join(repr(row[primary]) for row in known[:3])
            raise ApiError(
                409, f"{len(known)} of these keys are stored already ({primary}: {examples}...); nothing was inserted"
            )

    def _refuse_zero_vectors_stored(self, collection: Collection, indexes: list[IndexSpec]) -> None:
        for index in indexes:
            if index.metric_type == "COSINE" and self._engine.count(collection):
                dim = collection.schema.vector_field(index.field_name).element_type_params.dim or 0
                zero = SearchRequest(np.zeros((1, dim), np.float32), index.field_name, "L2", 1)
                for distance, row in self._engine.search(collection, zero)[0]:
                    if distance < rows.SHORTEST:
                        key = row[collection.schema.primary.field_name]
                        raise ApiError(400, f"row {key!r} has a vector of zeros, which COSINE can't compare")

    def search(self, body: schema.Search) -> list[Any]:
        if body.grouping_field:
            raise ApiError(501, "the local Memora has no groupingField yet")
        _no_partition(body.partition_names)
        return self._read(body, lambda collection: self._search(collection, body))

    def _search(self, collection: Collection, body: schema.Search) -> list[Any]:
        field = collection.schema.vector_field(body.anns_field)
        index = collection.index_on(field.field_name)
        metric = body.search_params.metric_type or (index.metric_type if index else "COSINE")
        if index and metric != index.metric_type:
            raise ApiError(400, f"the index on {field.field_name!r} compares by {index.metric_type}, not by {metric}")
        _check_search_params(body, metric, index)
        many = bool(body.data) and isinstance(body.data[0], list)
        if not body.data:
            raise ApiError(400, "data holds no vector")
        queries = rows.vectors(
            body.data if many else [body.data], field.element_type_params.dim or 0, f"field {field.field_name!r}"
        )
        if metric == "COSINE" and (rows.squared_lengths(queries) < rows.SHORTEST).any():
            raise ApiError(400, "a query vector of zeros has no direction: COSINE can't compare it")
        fields = collection.schema.output_fields(body.output_fields, [])
        request = SearchRequest(
            queries,
            field.field_name,
            metric,
            body.limit + body.offset,
            index,
            filters.parse(body.filter, collection.schema) if body.filter and body.filter.strip() else None,
            fields,
            body.search_params.params,
        )
        primary = collection.schema.primary.field_name
        answers = [
            [
                {"distance": distance, "id": row[primary], **{name: row[name] for name in fields}}
                for distance, row in hits[body.offset :]
            ]
            for hits in self._engine.search(collection, request)
        ]
        return answers if len(answers) > 1 else answers[0]

    def query(self, body: schema.Query) -> list[dict[str, Any]]:
        _no_partition(body.partition_names)
        return self._read(body, lambda c: self._rows(c, filters.parse(body.filter, c.schema), body.output_fields))

    def get(self, body: schema.Get) -> list[dict[str, Any]]:
        _no_partition(body.partition_names)
        keys = body.id if isinstance(body.id, list) else [body.id]
        return self._read(body, lambda c: self._rows(c, _keys_filter(c, keys), body.output_fields) if keys else [])

    def _rows(self, collection: Collection, where: filters.Node, asked: list[str] | None) -> list[dict[str, Any]]:
        names = list(collection.schema.by_name)
        primary = collection.schema.primary.field_name
        fields = list(dict.fromkeys([primary, *collection.schema.output_fields(asked, names)]))
        found = self._engine.query(collection, where, fields, schema.MAX_HITS + 1)
        if len(found) > schema.MAX_HITS:
            raise ApiError(400, f"more than {schema.MAX_HITS:,} rows pass: ask in parts, such as id > 0 and id < 1000")
        return sorted(found, key=lambda row: row[primary])

    def delete(self, body: schema.Delete) -> str:
        _no_partition(body.partition_name)
        with self._turn(body):
            collection = self._find(body)
            count = self._engine.delete(collection, filters.parse(body.filter, collection.schema))
        return f"{count} rows deleted"


def _describe_field(number: int, field: schema.FieldSchema, collection: Collection) -> dict[str, Any]:
    params = field.element_type_params.model_dump(exclude_none=True)
    return {
        "autoId": field.is_primary and collection.schema.auto_id,
        "description": "",
        "id": number,
        "name": field.field_name,
        "params": [{"key": key, "value": str(value)} for key, value in params.items()],
        "partitionKey": field.is_partition_key,
        "primaryKey": field.is_primary,
        "type": field.data_type,
    }


def _check_indexes(fields: schema.CollectionSchema, new: list[IndexSpec], present: list[IndexSpec]) -> None:
    for number, index in enumerate(new):
        fields.vector_field(index.field_name)
        for other in [*present, *new[:number]]:
            if other.field_name == index.field_name:
                raise ApiError(409, f"field {index.field_name!r} has the index {other.index_name!r}: drop it first")
            if other.index_name == index.index_name:
                raise ApiError(409, f"there is an index {index.index_name!r} already")


def _index(collection: Collection, name: str) -> IndexSpec:
    for index in collection.indexes:
        if index.index_name == name:
            return index
    there = ", ".join(index.index_name for index in collection.indexes) or "none"
    raise ApiError(404, f"no index {name!r} on {collection.name!r}; there is: {there}")


def _no_partition(names: str | list[str] | None) -> None:
    if names:
        raise ApiError(501, "the local Memora has no partitions yet")


def _refuse_zero_vectors(collection: Collection, columns: dict[str, Any]) -> None:
    for index in collection.indexes:
        if index.metric_type == "COSINE":
            zero = rows.squared_lengths(columns[index.field_name]) < rows.SHORTEST
            if zero.any():
                row = int(zero.argmax())
                raise ApiError(400, f"row {row}, field {index.field_name!r}: COSINE can't compare a vector of zeros")


def _keys_filter(collection: Collection, keys: list[Any]) -> filters.Node:
    """Build the tree of `key in [...]` directly: keys need no parsing, only a check of their type."""
    primary = collection.schema.primary
    kind, python = ("text", str) if primary.data_type == "VarChar" else ("int", int)
    for key in keys:
        if type(key) is not python or (kind == "int" and not -(2**63) <= key < 2**63):
            raise ApiError(400, f"{key!r} is no {primary.data_type}, which the key {primary.field_name!r} is")
    literals = [filters.Literal(1, key) for key in keys]
    return filters.Operation(1, "in", [filters.Field(1, primary.field_name, primary.data_type), literals], kind)


def _check_search_params(body: schema.Search, metric: str, index: IndexSpec | None) -> None:
    params = body.search_params.params
    wanted = body.limit + body.offset
    if wanted > schema.MAX_HITS:
        raise ApiError(400, f"limit + offset is {wanted:,}; at most {schema.MAX_HITS:,}")
    low, high = (params.range_filter, params.radius) if metric == "L2" else (params.radius, params.range_filter)
    if low is not None and high is not None and low >= high:
        rule = "range_filter <= distance < radius" if metric == "L2" else "radius < distance <= range_filter"
        raise ApiError(400, f"no distance is in this range: {metric} keeps {rule}")
    nlist = index.params.nlist if index else None
    if nlist and params.nprobe and params.nprobe > nlist:
        raise ApiError(400, f"nprobe is {params.nprobe}, but the index has only {nlist} lists")
    if index and index.params.index_type == "HNSW" and params.ef and params.ef < wanted:
        raise ApiError(400, f"ef is {params.ef}, less than the {wanted} hits asked for: it must be at least that")
