"""Columns in and out of Arrow, in whose tables Lance stores."""

from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from local_memora.contract.schema import DYNAMIC, CollectionSchema, FieldSchema
from local_memora.engines import Row

PARTITION = "$partition"  # a column that only tables with a second partition have
ARROW = {
    "Bool": pa.bool_(),
    "Int8": pa.int8(),
    "Int16": pa.int16(),
    "Int32": pa.int32(),
    "Int64": pa.int64(),
    "Float": pa.float32(),
    "Double": pa.float64(),
    "VarChar": pa.string(),
    "JSON": pa.string(),
}


def _type(field: FieldSchema) -> pa.DataType:
    if field.data_type == "FloatVector":
        return pa.list_(pa.float32(), field.dim)
    if field.data_type == "BinaryVector":
        return pa.list_(pa.uint8(), field.dim // 8)
    if field.data_type == "Array":
        return pa.list_(ARROW[field.element.data_type])
    return ARROW[field.data_type]


def schema_of(schema: CollectionSchema) -> pa.Schema:
    """Return the columns of a new table."""
    fields = [pa.field(f.field_name, _type(f), nullable=False) for f in schema.fields_]
    return pa.schema(
        [*fields, pa.field(DYNAMIC, pa.string(), nullable=False)] if schema.enable_dynamic_field else fields
    )


def table_of(schema: CollectionSchema, stored: pa.Schema, columns: dict[str, Any], partition: str) -> pa.Table:
    """Return rows of one partition, ready for the table whose schema is `stored`."""
    columns = columns | {PARTITION: [partition] * len(next(iter(columns.values())))}
    return pa.table([_column(schema, name, columns[name], stored) for name in stored.names], schema=stored)


def _column(schema: CollectionSchema, name: str, values: Any, stored: pa.Schema) -> pa.Array:
    if isinstance(values, np.ndarray):
        return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
    if name == DYNAMIC or (name in schema.by_name and schema.by_name[name].data_type == "JSON"):
        values = [orjson.dumps(value).decode() for value in values]
    return pa.array(values, stored.field(name).type)


def rows_of(schema: CollectionSchema, table: pa.Table, fields: list[str]) -> list[Row]:
    """Return found rows, with `fields` only."""
    columns = [_values(schema, name, table[name].combine_chunks()) for name in fields]
    return [dict(zip(fields, values, strict=True)) for values in zip(*columns, strict=True)]


def _values(schema: CollectionSchema, name: str, column: pa.Array) -> Any:
    """Turn a column into values; 32-bit numbers stay numpy's, so that JSON shows 0.1 and not 0.10000000149."""
    field = schema.by_name.get(name)
    if field is None or field.data_type == "JSON":
        return [orjson.loads(text) for text in column.to_pylist()]
    if field.dim:
        return column.flatten().to_numpy().reshape(len(column), column.type.list_size)
    if field.element_data_type == "Float":
        return [[np.float32(number) for number in numbers] for numbers in column.to_pylist()]
    return column.to_numpy() if field.data_type == "Float" else column.to_pylist()
