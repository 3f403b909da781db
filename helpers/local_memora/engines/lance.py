"""LanceDB, embedded: tables in a folder, no server, many processes at once."""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

os.environ.setdefault("LANCEDB_LOG", "error")  # it is read at import; warnings would name paths in notebooks' outputs

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.index import HnswFlat, IvfFlat

from helpers.local_memora.catalogue import Collection
from helpers.local_memora.engines import Row, SearchRequest
from helpers.local_memora.errors import ApiError
from helpers.local_memora.filters import Field, Literal, Node, Operation
from helpers.local_memora.schema import FieldSchema, IndexSpec

DISTANCE = {"COSINE": "cosine", "IP": "dot", "L2": "l2"}
SCALARS = {
    "Bool": pa.bool_(),
    "Int8": pa.int8(),
    "Int16": pa.int16(),
    "Int32": pa.int32(),
    "Int64": pa.int64(),
    "Float": pa.float32(),
    "Double": pa.float64(),
    "VarChar": pa.string(),
}
RESERVED = {"_distance", "_rowid", "_rowaddr", "_rowoffset", "_row_created_at_version", "_row_last_updated_at_version"}
DEFAULT_NPROBE = 16
DEFAULT_EF = 64
TIDY_EVERY = 50  # versions; each write makes one, and hundreds of small files make every search slow
KEEP_OLD = timedelta(minutes=10)  # longer than any reader in another process holds on to an old version


class LanceEngine:
    """Stores each collection in one Lance table.

    Parameters
    ----------
    folder : Path
        Where the tables lie.
    """

    def __init__(self, folder: Path) -> None:
        # Interval 0: every read looks for what other processes wrote.
        self._db = lancedb.connect(folder, read_consistency_interval=timedelta(0))
        self._open: dict[int, lancedb.table.Table] = {}

    def _table(self, collection: Collection) -> lancedb.table.Table:
        if collection.id not in self._open:
            self._open[collection.id] = self._db.open_table(f"c{collection.id}")
        return self._open[collection.id]

    def create(self, collection: Collection) -> None:
        if taken := RESERVED & collection.schema.by_name.keys():
            raise ApiError(400, f"the field name {min(taken)!r} is taken by the engine; choose another")
        schema = _arrow_schema(collection)
        self._open[collection.id] = self._db.create_table(f"c{collection.id}", schema=schema, mode="overwrite")

    def drop(self, collection: Collection) -> None:
        self._open.pop(collection.id, None)
        self._db.drop_table(f"c{collection.id}", ignore_missing=True)

    def count(self, collection: Collection) -> int:
        return self._table(collection).count_rows()

    def insert(self, collection: Collection, columns: dict[str, Any]) -> None:
        table = self._latest(collection)
        table.add(_arrow_table(collection, columns))
        self._tidy_now_and_then(table)

    def upsert(self, collection: Collection, columns: dict[str, Any]) -> None:
        table = self._latest(collection)
        merge = table.merge_insert(collection.schema.primary.field_name)
        merge.when_matched_update_all().when_not_matched_insert_all().execute(_arrow_table(collection, columns))
        self._tidy_now_and_then(table)

    def delete(self, collection: Collection, where: Node) -> int:
        table = self._latest(collection)
        count = _run(lambda: table.delete(_sql(where))).num_deleted_rows
        self._tidy_now_and_then(table)
        return count

    def _latest(self, collection: Collection) -> lancedb.table.Table:
        table = self._table(collection)
        table.checkout_latest()  # merge_insert would compare with the version this process saw last
        return table

    def query(self, collection: Collection, where: Node, fields: list[str], limit: int) -> list[Row]:
        found = self._table(collection).search().where(_sql(where)).select(fields).limit(limit)
        return _rows(collection, _run(found.to_arrow), fields)

    def search(self, collection: Collection, request: SearchRequest) -> list[list[tuple[float, Row]]]:
        return [self._search_one(collection, request, vector) for vector in request.vectors]

    def _search_one(
        self, collection: Collection, request: SearchRequest, vector: np.ndarray
    ) -> list[tuple[float, Row]]:
        if request.metric == "COSINE" and (request.params.radius or 0) >= 1:
            return []  # no cosine is larger than 1, though rounding in Lance makes some so
        fields = list(dict.fromkeys([collection.schema.primary.field_name, *request.fields]))
        search = self._table(collection).search(vector, vector_column_name=request.field)
        search = search.distance_type(DISTANCE[request.metric]).select([*fields, "_distance"]).limit(request.limit)
        if request.where is not None:
            search = search.where(_sql(request.where), prefilter=True)
        kind = request.index.params.index_type if request.index else "FLAT"
        params = request.params
        if kind == "FLAT":
            search = search.bypass_vector_index()
        elif kind == "IVF_FLAT":
            # As many lists as asked for, no more, as in Milvus; where none are asked for, at least the default, and
            # more (0: no upper bound) where a filter leaves too few hits in those. Lance hands out what it finds there
            # infinitely far away; refining, it takes the distances of all hits again.
            if params.nprobe:
                search = search.nprobes(params.nprobe)
            else:
                search = search.minimum_nprobes(DEFAULT_NPROBE).maximum_nprobes(0).refine_factor(1)
        else:
            search = search.ef(params.ef or max(DEFAULT_EF, 2 * request.limit))
        low, high = _lance_range(request)
        if (low, high) != (None, None):
            search = search.distance_range(low, high)
        found = _run(search.to_arrow)
        raw = found["_distance"].to_numpy().astype(np.float64)
        distances = raw if request.metric == "L2" else 1 - raw
        if request.metric == "COSINE":
            distances = distances.clip(-1, 1)  # rounding leaves 1.0000001
        rows = _rows(collection, found, fields)
        return list(zip(distances.tolist(), rows, strict=True))

    def build_index(self, collection: Collection, index: IndexSpec) -> None:
        params, distance = index.params, DISTANCE[index.metric_type]
        if params.index_type == "FLAT":
            return  # to look at every row needs no preparation
        config = (
            IvfFlat(distance_type=distance, num_partitions=params.nlist)
            if params.index_type == "IVF_FLAT"
            else HnswFlat(distance_type=distance, num_partitions=1, m=params.m, ef_construction=params.ef_construction)
        )
        self._latest(collection).create_index(index.field_name, config=config, name=index.index_name, replace=True)

    def drop_index(self, collection: Collection, index: IndexSpec) -> None:
        table = self._latest(collection)
        if any(built.name == index.index_name for built in table.list_indices()):
            table.drop_index(index.index_name)

    def indexed_rows(self, collection: Collection, index: IndexSpec) -> int:
        if index.params.index_type == "FLAT":
            return self.count(collection)
        stats = self._latest(collection).index_stats(index.index_name)
        return stats.num_indexed_rows if stats else 0

    def tidy(self, collection: Collection) -> None:
        self._latest(collection).optimize(cleanup_older_than=KEEP_OLD)

    def _tidy_now_and_then(self, table: lancedb.table.Table) -> None:
        if table.version % TIDY_EVERY == 0:
            table.optimize(cleanup_older_than=KEEP_OLD)


def _lance_range(request: SearchRequest) -> tuple[float | None, float | None]:
    """Translate radius and range_filter: Lance keeps low <= its distance < high.

    For COSINE and IP Lance's distance is 1 - Memora's, so the bounds swap and Memora's open end stays open.
    """
    radius, range_filter = request.params.radius, request.params.range_filter
    if request.metric == "L2":
        return range_filter, radius
    if request.metric == "COSINE" and range_filter is not None and range_filter >= 1:
        range_filter = None  # nothing is closer than 1, whatever rounding says
    return (None if range_filter is None else 1 - range_filter), (None if radius is None else 1 - radius)


def _run(work: Callable[[], Any]) -> Any:
    """Do what evaluates a filter; where its arithmetic fails, that is the filter's fault."""
    try:
        return work()
    except RuntimeError as error:
        if "Divide by zero" in str(error):
            raise ApiError(400, "the filter divides by zero in at least one row") from None
        if "Arithmetic overflow" in str(error):
            raise ApiError(400, "the filter calculates a number that does not fit into 64 bits") from None
        raise


def _arrow_type(field: FieldSchema) -> pa.DataType:
    if field.data_type == "FloatVector":
        return pa.list_(pa.float32(), field.element_type_params.dim)
    return SCALARS[field.data_type]


def _arrow_schema(collection: Collection) -> pa.Schema:
    return pa.schema([pa.field(f.field_name, _arrow_type(f), nullable=False) for f in collection.schema.fields_])


def _arrow_table(collection: Collection, columns: dict[str, Any]) -> pa.Table:
    arrays = []
    for field in collection.schema.fields_:
        values = columns[field.field_name]
        if isinstance(values, np.ndarray):
            arrays.append(pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1]))
        else:
            arrays.append(pa.array(values, _arrow_type(field)))
    return pa.table(arrays, schema=_arrow_schema(collection))


def _rows(collection: Collection, table: pa.Table, fields: list[str]) -> list[Row]:
    """Turn columns into rows; 32-bit numbers stay numpy's, so that JSON shows 0.1 and not 0.10000000149."""
    by_name = collection.schema.by_name
    columns = []
    for name in fields:
        column, field = table[name].combine_chunks(), by_name[name]
        if field.data_type == "FloatVector":
            columns.append(column.flatten().to_numpy().reshape(-1, field.element_type_params.dim))
        else:
            columns.append(column.to_numpy() if field.data_type == "Float" else column.to_pylist())
    return [dict(zip(fields, values, strict=True)) for values in zip(*columns, strict=True)]


# The filter's tree in DataFusion's SQL -----------------------------------------------------------------------

# Kinds of operands: how a field that needs no cast is stored, and what else is cast to. Every type is said, for Lance
# gives a literal without one the type of some field that stands near, and DataFusion refuses `Int8 > 300`.
STORED = {"int": "Int64", "float": "Double", "float32": "Float", "text": "VarChar"}
SQL_TYPES = {"int": "BIGINT", "float": "DOUBLE", "float32": "FLOAT", "bool": "BOOLEAN"}


def _sql(node: Node) -> str:
    if isinstance(node, Field):
        return f"`{node.name}`"  # names are letters, digits and underscores: the schema saw to that
    if isinstance(node, Literal):
        return _literal(node.value)
    assert isinstance(node, Operation)
    if node.operator == "in":
        left, items = node.operands
        kind = _kind(node, [left, *items])
        inside = ", ".join(_operand(item, kind) for item in items)
        return f"{_operand(left, kind)} IN ({inside})" if items else "false"
    if node.operator == "not":
        return f"(NOT {_sql(node.operands[0])})"
    if node.operator in ("and", "or"):
        return "(" + f" {node.operator.upper()} ".join(_sql(part) for part in node.operands) + ")"
    kind = _kind(node, node.operands)
    left, right = (_operand(part, kind) for part in node.operands)
    if node.operator == "**":
        return f"power({left}, {right})"
    operator = {"==": "=", "like": "LIKE"}.get(node.operator, node.operator)
    zero = " + 0.0" if operator in ("*", "/") and kind == "float" else ""  # makes -0.0 of 0.0: DataFusion orders them
    return f"({left} {operator} {right}{zero})"


def _kind(node: Operation, operands: list[Node]) -> str:
    """Say how operands meet: a Float field and a literal in 32 bits, so that `price == 0.1` finds what 0.1 became."""
    compares = node.operator in ("in", "==", "!=", "<", "<=", ">", ">=")
    single = any(isinstance(part, Field) and part.data_type == "Float" for part in operands)
    return "float32" if compares and single and any(isinstance(part, Literal) for part in operands) else node.kind


def _operand(node: Node, kind: str) -> str:
    text = _sql(node)
    if isinstance(node, Literal):
        text = repr(float(node.value) + 0.0) if kind in ("float", "float32") else text
        return f"CAST({text} AS FLOAT)" if kind == "float32" else text
    if isinstance(node, Operation):
        return f"CAST({text} AS DOUBLE)" if kind == "float" and node.kind == "int" else text
    assert isinstance(node, Field)
    return text if node.data_type == STORED.get(kind) else f"CAST({text} AS {SQL_TYPES[kind]})"


def _literal(value: bool | int | float | str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if value == -(2**63):
        return f"CAST('{value}' AS BIGINT)"  # the parser reads the number before the minus: too large
    return repr(value)
