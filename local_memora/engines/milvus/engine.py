"""A Milvus server, standalone or a cluster, through pymilvus: one project is one database."""

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from time import monotonic, sleep
from typing import Any

import grpc
import numpy as np
from pydantic import ValidationError
from pymilvus import DataType, MilvusClient, MilvusException
from pymilvus.client.types import LoadState
from pymilvus.exceptions import AmbiguousIndexName

from local_memora.contract.bodies import MAX_HITS, CreateParams
from local_memora.contract.errors import ApiError, without_password
from local_memora.contract.schema import (
    DEFAULT_PARTITION,
    DYNAMIC,
    CollectionSchema,
    ElementTypeParams,
    FieldSchema,
    IndexParams,
    IndexSpec,
)
from local_memora.engines import EMBEDDED, MILVUS, Collection, Row, SearchRequest
from local_memora.engines.milvus.expressions import condition
from local_memora.filters.check import keys_in
from local_memora.filters.parse import Node

TYPES = {
    "Bool": DataType.BOOL,
    "Int8": DataType.INT8,
    "Int16": DataType.INT16,
    "Int32": DataType.INT32,
    "Int64": DataType.INT64,
    "Float": DataType.FLOAT,
    "Double": DataType.DOUBLE,
    "VarChar": DataType.VARCHAR,
    "JSON": DataType.JSON,
    "Array": DataType.ARRAY,
    "FloatVector": DataType.FLOAT_VECTOR,
    "BinaryVector": DataType.BINARY_VECTOR,
}
NAMES: dict[Any, Any] = {kind: name for name, kind in TYPES.items()}
RESERVED = {"RowID", "Timestamp"}
EXACT = "_exact_"  # a hidden FLAT index where none is defined: Milvus loads no field without an index
SECONDS = 60  # to connect
INDEX_SECONDS = 600  # to build indexes before a load goes on without; a busy machine needs more than a minute
NOT_FOUND, NO_DATABASE = 100, 800  # Milvus' error codes
ANSWERS = range(NOT_FOUND, 65535)  # those about what was asked for; their messages repeat its name
REFUSED_FILTER = ("cannot parse expression", "predicate is not a boolean", "unsupported", "is not supported in")
for name in list(logging.root.manager.loggerDict):
    if name.split(".")[0] == "pymilvus":  # it logs every refusal with a traceback before it raises it
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


class MilvusEngine:
    """Stores each project in one database of a Milvus server.

    Reads are strongly consistent: each waits for the server's next clock tick (200 ms apart by default,
    `proxy.timeTickInterval`), and so sees every write that was acknowledged before it, by whomever.

    Parameters
    ----------
    url : str
        `http://host:19530`.
    token : str, optional
        `user:password`, or an API key.

    Raises
    ------
    ApiError
        503 where no Milvus server answers.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        self._url, self._token = url, token or ""
        self._clients: dict[str, _Client] = {}
        version = self._client("default").get_server_version()
        found = re.match(r"v?(\d+)\.(\d+)", version)
        self._old = found is not None and (int(found[1]), int(found[2])) < (2, 4)

    def check(self) -> None:
        self._client("default").list_databases(timeout=5)

    def fault(self, collection: Collection, error: Exception) -> ApiError | None:
        return None

    def _client(self, project: str) -> Any:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", project):
            rule = "letters, digits and underscores only, no digit first"
            raise ApiError(501, f"the project {project!r} can't be a Milvus database: {rule}; {EMBEDDED} takes it")
        if project not in self._clients:
            self._clients[project] = _Client(self._url, self._token, project)
        return self._clients[project]

    def size(self, project: str) -> int:
        return 0  # it lies on the server

    # structure

    def names(self, project: str) -> list[str]:
        try:
            return self._client(project).list_collections()
        except MilvusException as error:
            if error.code == NO_DATABASE:
                return []
            raise

    def find(self, project: str, name: str) -> Collection | None:
        try:
            told = self._client(project).describe_collection(name)
        except MilvusException as error:
            if error.code in (NOT_FOUND, NO_DATABASE):
                return None
            raise
        return _Found(self, project, told)

    def indexes(self, collection: Collection) -> tuple[IndexSpec, ...]:
        """Ask for a collection's indexes, without those that we made for fields that have none."""
        client, vectors = self._client(collection.project), {f.field_name for f in collection.schema.vectors}
        try:
            told = [client.describe_index(collection.name, "")]  # one call, where there is one index
        except AmbiguousIndexName:
            told = [client.describe_index(collection.name, name) for name in client.list_indexes(collection.name)]
        found = [_index(index) for index in told if index]
        return tuple(i for i in found if i.field_name in vectors and not i.index_name.startswith(EXACT))

    def partitions(self, collection: Collection) -> tuple[str, ...]:
        """Ask for a collection's partitions."""
        return tuple(self._client(collection.project).list_partitions(collection.name))

    def released(self, collection: Collection) -> frozenset[str]:
        """Ask which partitions are not loaded."""
        names, load_state = collection.partitions, self._client(collection.project).get_load_state
        if len(names) == 1 or collection.schema.partition_key:  # all of it is loaded, or nothing
            states = dict.fromkeys(names, load_state(collection.name)["state"])
        else:
            states = {name: load_state(collection.name, name)["state"] for name in names}
        return frozenset(name for name, state in states.items() if state != LoadState.Loaded)

    def create(
        self, project: str, name: str, schema: CollectionSchema, indexes: list[IndexSpec], params: CreateParams
    ) -> None:
        if self._old and len(schema.vectors) > 1:
            only = "this Milvus server is older than 2.4: one vector field only"
            raise ApiError(501, f"{only}; {EMBEDDED} takes several")
        if taken := RESERVED & schema.by_name.keys():
            raise ApiError(400, f"the field name {min(taken)!r} is taken by the engine; choose another")
        client = self._client(project)
        options = {"num_shards": params.shards_num, "num_partitions": params.partitions_num}
        properties = {"collection.ttl.seconds": params.ttl_seconds} if params.ttl_seconds else {}
        if project not in client.list_databases():
            client.create_database(project)
        client.create_collection(
            name,
            schema=_milvus_schema(schema),
            consistency_level="Strong",
            properties=properties,
            **{key: value for key, value in options.items() if value},
        )
        collection = Collection(0, project, name, schema, tuple(indexes))
        try:
            for index in indexes:
                self._make_index(collection, index)
            self._load(collection, list(collection.partitions))
        except BaseException:
            client.drop_collection(name)  # half a collection would be in the way of the next attempt
            raise

    def drop(self, collection: Collection) -> None:
        self._client(collection.project).drop_collection(collection.name)

    def rename(self, collection: Collection, name: str) -> None:
        self._client(collection.project).rename_collection(collection.name, name)

    def create_partition(self, collection: Collection, partition: str) -> None:
        client = self._client(collection.project)
        client.create_partition(collection.name, partition)
        if collection.loaded:
            client.load_partitions(collection.name, [partition])

    def drop_partition(self, collection: Collection, partition: str) -> None:
        client = self._client(collection.project)
        client.release_partitions(collection.name, [partition])  # Milvus drops no loaded one
        client.drop_partition(collection.name, partition)

    def load(self, collection: Collection, partitions: list[str]) -> None:
        self._client(collection.project).flush(collection.name)  # rows are indexed when they are flushed
        self._wait_for_indexes(collection)
        self._load(collection, partitions)

    def _load(self, collection: Collection, partitions: list[str]) -> None:
        client = self._client(collection.project)
        for field in collection.schema.vectors:  # also for what an interrupted creation left without
            if not client.list_indexes(collection.name, field.field_name):
                self._make_index(collection, _exact(field))
        if set(partitions) >= set(collection.partitions):
            client.load_collection(collection.name)
        else:
            client.load_partitions(collection.name, partitions)

    def _wait_for_indexes(self, collection: Collection) -> None:
        client, until = self._client(collection.project), monotonic() + INDEX_SECONDS
        for index in client.list_indexes(collection.name):
            while client.describe_index(collection.name, index)["pending_index_rows"] and monotonic() < until:
                sleep(0.1)

    def release(self, collection: Collection, partitions: list[str]) -> None:
        client = self._client(collection.project)
        if set(partitions) >= set(collection.partitions):
            client.release_collection(collection.name)
        else:
            client.release_partitions(collection.name, partitions)

    def create_index(self, collection: Collection, index: IndexSpec) -> None:
        self._change_index(collection, index)

    def drop_index(self, collection: Collection, index: IndexSpec) -> None:
        self._change_index(collection, _exact(collection.schema.by_name[index.field_name]))

    def _change_index(self, collection: Collection, index: IndexSpec) -> None:
        """Replace a field's index; Milvus wants the collection released for that."""
        client = self._client(collection.project)
        loaded = collection.loaded  # asked before
        client.release_collection(collection.name)
        for old in client.list_indexes(collection.name, index.field_name):
            client.drop_index(collection.name, old)
        self._make_index(collection, index)
        if loaded:
            self._load(collection, loaded)

    def _make_index(self, collection: Collection, index: IndexSpec) -> None:
        binary = collection.schema.by_name[index.field_name].data_type == "BinaryVector"
        params = index.params.model_dump(by_alias=True, exclude_none=True, exclude={"index_type"})
        kind = "BIN_FLAT" if binary else index.params.index_type
        indexes = MilvusClient.prepare_index_params()
        indexes.add_index(index.field_name, kind, index.index_name, metric_type=index.metric_type, params=params)
        self._client(collection.project).create_index(collection.name, indexes, sync=False)

    def indexed_rows(self, collection: Collection, index: IndexSpec) -> int:
        told = self._client(collection.project).describe_index(collection.name, index.index_name)
        return min(int(told["indexed_rows"]), self.count(collection, None, None))

    def fail_reason(self, collection: Collection, index: IndexSpec) -> str:
        return ""

    # rows

    def may_hold(self, collection: Collection, keys: list[Any]) -> bool:
        return True  # others may have written through other machines

    def insert(self, collection: Collection, columns: dict[str, Any], partition: str) -> list[Any]:
        into = {} if collection.schema.partition_key else {"partition_name": partition}
        done = self._client(collection.project).insert(collection.name, _milvus_rows(collection, columns), **into)
        return list(done["ids"])

    def upsert(self, collection: Collection, columns: dict[str, Any], partition: str) -> None:
        client, keys = self._client(collection.project), columns[collection.schema.primary.field_name]
        rows = _milvus_rows(collection, columns)
        if collection.schema.partition_key:  # Milvus 2.3 upserts into partitions where no filter by that key looks
            self._delete_keys(collection, keys, None)
            client.insert(collection.name, rows)
            return
        client.upsert(collection.name, rows, partition_name=partition)
        for other in collection.partitions:  # Milvus replaces within the one partition only
            if other != partition:
                self._delete_keys(collection, keys, other)

    def delete(self, collection: Collection, where: Node, partitions: list[str] | None) -> int:
        # By keys: a deletion by filter would look with a weaker consistency, and not say how many it found.
        primary, count = collection.schema.primary.field_name, 0
        places: Sequence[str | None] = partitions or [None]
        while rows := self.query(collection, where, [primary], MAX_HITS, partitions):
            for partition in places:
                self._delete_keys(collection, [row[primary] for row in rows], partition)
            count += len(rows)
        return count

    def _delete_keys(self, collection: Collection, keys: list[Any], partition: str | None) -> None:
        where = self._expression(keys_in(collection.schema, keys))  # pymilvus would not escape quotes in keys
        self._client(collection.project).delete(collection.name, filter=where, partition_name=partition)

    def count(self, collection: Collection, where: Node | None, partitions: list[str] | None) -> int:
        if collection.released.intersection(partitions or collection.partitions):
            advice = f"load {collection.name!r} first; {EMBEDDED} counts all"
            raise ApiError(501, f"{MILVUS} counts loaded rows only: {advice}")
        asked = self._read(collection, where, partitions)
        (row,) = self._client(collection.project).query(**asked, output_fields=["count(*)"])
        return row["count(*)"]

    def query(
        self, collection: Collection, where: Node, fields: list[str], limit: int, partitions: list[str] | None
    ) -> list[Row]:
        asked = self._read(collection, where, partitions)
        found = self._client(collection.project).query(**asked, output_fields=fields, limit=limit)
        return [_row(collection.schema, row, fields) for row in found]

    def search(self, collection: Collection, request: SearchRequest) -> list[list[tuple[float, Row]]]:
        binary = request.vectors.dtype == np.uint8
        if request.index is None and request.metric not in ("COSINE", "HAMMING"):
            advice = f"create one with {request.metric}; {EMBEDDED} can"
            raise ApiError(501, f"without an index {MILVUS} compares by COSINE: {advice}")
        primary = collection.schema.primary.field_name
        found = self._client(collection.project).search(
            **self._read(collection, request.where, request.partitions),
            data=[vector.tobytes() for vector in request.vectors] if binary else request.vectors.tolist(),
            anns_field=request.field,
            limit=request.limit,
            output_fields=request.fields,
            search_params=_search_params(request),
        )
        return [
            [
                (hit["distance"], {**_row(collection.schema, hit["entity"], request.fields), primary: hit["id"]})
                for hit in hits
            ]
            for hits in found
        ]

    def _read(self, collection: Collection, where: Node | None, partitions: list[str] | None) -> dict[str, Any]:
        """Return what every read asks for."""
        rows = {"filter": self._expression(where), "partition_names": partitions}
        return {"collection_name": collection.name, **rows, "consistency_level": "Strong"}

    def _expression(self, where: Node | None) -> str:
        return "" if where is None else condition(where, old=self._old)


class _Client:
    """pymilvus' client of one database; what Milvus refuses, it says in Memora's words."""

    def __init__(self, url: str, token: str, database: str) -> None:
        self._asking = partial(_asking, without_password(url))
        self._client = self._asking()(MilvusClient)(url, token=token, db_name=database, timeout=SECONDS)

    def __getattr__(self, name: str) -> Any:
        return self._asking()(getattr(self._client, name))


@contextmanager
def _asking(where: str) -> Iterator[None]:
    try:
        yield
    except (MilvusException, grpc.RpcError) as error:
        lost = isinstance(error, grpc.RpcError)
        reason = str(error.details() if lost else error.message)
        if any(words in reason for words in REFUSED_FILTER):
            why = reason.rsplit("error: ", 1)[-1].split("\n")[0][:200]
            others = f"{EMBEDDED} can, but for parts of JSON and Arrays"
            raise ApiError(501, f"filter: {MILVUS} can't evaluate it ({why}); {others}") from None
        if lost or (error.code not in ANSWERS and re.search("connect|unavailable|deadline", reason.lower())):
            ask = "is it running, is MEMORA_ENGINE_TOKEN right?"  # pymilvus says the same of both
            raise ApiError(503, f"the Milvus server at {where} does not answer: {ask}") from None
        raise


class _Found(Collection):
    """A collection on the server: what a call does not need to know of it is not asked for; each costs a call."""

    _engine: MilvusEngine

    def __init__(self, engine: MilvusEngine, project: str, told: dict[str, Any]) -> None:
        properties = {k: str(v) for k, v in told.get("properties", {}).items() if k == "collection.ttl.seconds"}
        known = {"id": told["collection_id"], "project": project, "name": told["collection_name"]}
        if told.get("num_partitions") == 1 and not any(field.get("is_partition_key") for field in told["fields"]):
            known["partitions"] = (DEFAULT_PARTITION,)  # it can't be dropped
        self.__dict__.update(known, schema=_schema(told), properties=properties, _engine=engine)

    @cached_property
    def indexes(self) -> tuple[IndexSpec, ...]:
        return self._engine.indexes(self)

    @cached_property
    def partitions(self) -> tuple[str, ...]:
        return self._engine.partitions(self)

    @cached_property
    def released(self) -> frozenset[str]:
        return self._engine.released(self)


def _search_params(request: SearchRequest) -> dict[str, Any]:
    knobs = request.params
    params: dict[str, Any] = {}
    if knobs.nprobe:
        params["nprobe"] = knobs.nprobe
    if knobs.ef:
        params["ef"] = max(knobs.ef, request.limit)  # Milvus refuses less
    if knobs.radius is not None or knobs.range_filter is not None:
        # without a radius Milvus would silently leave range_filter out
        boundless = 3e38 if request.metric in ("L2", "HAMMING") else -3e38
        params["radius"] = boundless if knobs.radius is None else knobs.radius
    if knobs.range_filter is not None:
        params["range_filter"] = knobs.range_filter
    growing = {"ignore_growing": True} if request.ignore_growing else {}
    return {"metric_type": request.metric, "params": params, **growing}


def _exact(field: FieldSchema) -> IndexSpec:
    metric = "HAMMING" if field.data_type == "BinaryVector" else "COSINE"
    params, name = IndexParams(index_type="FLAT"), EXACT + field.field_name
    return IndexSpec.model_construct(metric_type=metric, field_name=field.field_name, index_name=name, params=params)


def _index(told: dict[str, Any]) -> IndexSpec:
    """Read an index; one of a type that Memora does not have is shown as it is, and searched with its defaults."""
    numbers: dict[str, Any] = {name: int(told[wire]) for name, wire in WIRE_NAMES.items() if wire in told}
    kind = "FLAT" if told["index_type"] == "BIN_FLAT" else told["index_type"]
    return IndexSpec.model_construct(
        metric_type=told["metric_type"],
        field_name=told["field_name"],
        index_name=told["index_name"],
        params=IndexParams.model_construct(index_type=kind, **numbers),
    )


WIRE_NAMES = {"nlist": "nlist", "m": "M", "ef_construction": "efConstruction"}


def _milvus_schema(schema: CollectionSchema) -> Any:
    made = MilvusClient.create_schema(auto_id=schema.auto_id, enable_dynamic_field=schema.enable_dynamic_field)
    for field in schema.fields_:
        options = field.element_type_params.model_dump(exclude_none=True)
        if field.element_data_type:
            options["element_type"] = TYPES[field.element_data_type]
        made.add_field(
            field.field_name,
            TYPES[field.data_type],
            is_primary=field.is_primary,
            is_partition_key=field.is_partition_key,
            **options,
        )
    return made


def _schema(told: dict[str, Any]) -> CollectionSchema:
    try:
        fields = [
            FieldSchema(
                field_name=field["name"],
                data_type=NAMES[field["type"]],
                element_data_type=NAMES.get(field.get("element_type")),
                is_primary=field.get("is_primary", False),
                is_partition_key=field.get("is_partition_key", False),
                element_type_params=ElementTypeParams(
                    **{k: int(v) for k, v in field["params"].items() if k in ElementTypeParams.model_fields}
                ),
            )
            for field in told["fields"]
        ]
        return CollectionSchema(
            fields_=fields, auto_id=told["auto_id"], enable_dynamic_field=told["enable_dynamic_field"]
        )
    except (KeyError, ValidationError):
        name = told["collection_name"]
        raise ApiError(501, f"{name!r} was made elsewhere, with fields that Memora does not know") from None


def _milvus_rows(collection: Collection, columns: dict[str, Any]) -> list[dict[str, Any]]:
    if 2**63 - 1 in columns.get(collection.schema.primary.field_name, []):
        raise ApiError(501, f"{MILVUS} does not find the key 2**63 - 1 again, no filter does; {EMBEDDED} takes it")
    plain = {name: _milvus_column(values) for name, values in columns.items() if name != DYNAMIC}
    dynamic = columns.get(DYNAMIC) or [{}] * len(next(iter(plain.values())))
    rows = zip(*plain.values(), strict=True)
    return [{**dict(zip(plain, row, strict=True)), **more} for row, more in zip(rows, dynamic, strict=True)]


def _milvus_column(values: Any) -> Any:
    if isinstance(values, np.ndarray):
        return [vector.tobytes() for vector in values] if values.dtype == np.uint8 else list(values)
    return values


def _row(schema: CollectionSchema, told: dict[str, Any], fields: list[str]) -> Row:
    declared = schema.by_name
    row = {name: _value(declared[name], told[name]) for name in fields if name != DYNAMIC and name in told}
    return row | ({DYNAMIC: {k: v for k, v in told.items() if k not in declared}} if DYNAMIC in fields else {})


def _value(field: FieldSchema, value: Any) -> Any:
    """32-bit numbers become numpy's, so that JSON shows 0.1 and not 0.10000000149."""
    if field.data_type == "FloatVector":
        return np.array(value, np.float32)
    if field.data_type == "BinaryVector":
        return np.frombuffer(value if isinstance(value, bytes) else value[0], np.uint8)
    if field.data_type == "Float":
        return np.float32(value)
    if field.data_type == "Array":
        return [np.float32(number) for number in value] if field.element_data_type == "Float" else list(value)
    return value
