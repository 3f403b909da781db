"""Checks rows against a schema and turns them into columns; turns found rows into answers."""

from typing import Any

import numpy as np
import orjson

from local_memora.contract.errors import ApiError, shown
from local_memora.contract.packed import listed
from local_memora.contract.schema import DYNAMIC, INTEGERS, LONGEST, MAX_JSON, CollectionSchema, FieldSchema


def of(schema: CollectionSchema, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Check rows against a schema and turn them into columns.

    Parameters
    ----------
    schema : CollectionSchema
        The collection's schema.
    rows : list of dict
        At least one row; with autoID the primary key must be absent. A vector may be a float32 array.

    Returns
    -------
    dict
        Field name to a list of values. A vector field has an array instead: float32 (n, dim), or uint8 (n, dim / 8)
        for a BinaryVector. If the schema allows dynamic fields, `$meta` holds a dict of them for each row.

    Raises
    ------
    ApiError
        400 naming the row and the field.
    """
    fields = [f for f in schema.fields_ if not (schema.auto_id and f.is_primary)]
    expected = {field.field_name for field in fields}
    for number, row in enumerate(rows):
        missing, unknown = expected - row.keys(), row.keys() - expected
        if missing or (unknown and not schema.enable_dynamic_field):
            wrong = f"misses {sorted(missing)}" if missing else f"has unknown fields {sorted(unknown)[:5]}"
            raise ApiError(400, f"row {number} {wrong}; a row has: {', '.join(sorted(expected))}")
    found = {field.field_name: _column(field, [row[field.field_name] for row in rows]) for field in fields}
    if schema.enable_dynamic_field:
        found[DYNAMIC] = [_dynamic(number, row, expected, schema) for number, row in enumerate(rows)]
    return found


def _column(field: FieldSchema, values: list[Any]) -> Any:
    if field.data_type != "FloatVector":
        values = [listed(value) for value in values]
    if field.dim:
        return vectors(values, field)
    for number, value in enumerate(values):
        if problem := _problem(field, value):
            raise ApiError(400, f"row {number}, field {field.field_name!r}: {problem}")
    if field.data_type == "Array":
        return [[_plain(field.element, element) for element in value] for value in values]
    return [_plain(field, value) for value in values] if field.data_type in ("Float", "Double") else values


def _plain(field: FieldSchema, value: Any) -> Any:
    """Convert to float for Arrow; `+ 0.0` turns -0.0 into 0.0, so that filters find it."""
    return float(value) + 0.0 if field.data_type in ("Float", "Double") else value


def _problem(field: FieldSchema, value: Any) -> str:
    """Return what is wrong with a value; an empty text if it is right."""
    kind = field.data_type
    if kind == "Bool":
        return "" if isinstance(value, bool) else f"{shown(value)} is not true or false"
    if kind == "VarChar":
        limit = field.element_type_params.max_length or 0
        if not isinstance(value, str):
            return f"{shown(value)} is not a text"
        size = len(value.encode())
        return f"{value[:60]!r}... has {size} bytes; max_length is {limit}" if size > limit else ""
    if kind == "JSON":
        return _json_problem(value)
    if kind == "Array":
        limit = field.element_type_params.max_capacity or 0
        if not isinstance(value, list) or len(value) > limit:
            return f"{shown(value)} is not a list of at most {limit} elements"
        return next((f"element {n}: {p}" for n, v in enumerate(value) if (p := _problem(field.element, v))), "")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"{shown(value)} is not a number"
    if kind in INTEGERS:
        half = 2 ** (INTEGERS[kind] - 1)
        return "" if isinstance(value, int) and -half <= value < half else f"{value!r} is not a valid {kind}"
    # From here on 32 bits round to infinity. Their largest number is written 3.4028235e38, a little more than it is.
    largest = 2.0**128 - 2.0**103 if kind == "Float" else 2**1024
    return "" if abs(value) < largest else f"{value!r} is too large for {kind}"


def _json_problem(value: Any) -> str:
    if not isinstance(value, dict):
        return f"{shown(value)} is not a JSON object {{...}}"
    try:
        size = len(orjson.dumps(value))
    except orjson.JSONEncodeError as error:  # such as hundreds of nested levels
        return f"it can't be stored as JSON ({error})"
    return f"{size:,} bytes of JSON; at most {MAX_JSON:,}" if size > MAX_JSON else ""


def _dynamic(number: int, row: dict[str, Any], declared: set[str], schema: CollectionSchema) -> dict[str, Any]:
    dynamic = {name: listed(value) for name, value in row.items() if name not in declared}
    taken = {"id", "distance", "", DYNAMIC, schema.primary.field_name}
    if wrong := taken & dynamic.keys():
        raise ApiError(400, f"row {number}: the name {min(wrong)!r} is taken: rename this dynamic field")
    if problem := _json_problem(dynamic):
        raise ApiError(400, f"row {number}, dynamic fields: {problem}")
    return dynamic


def vectors(values: list[Any], field: FieldSchema) -> np.ndarray:
    """Turn lists of numbers, or arrays, into one array; refuse another length, and a number that is not finite.

    Returns
    -------
    numpy.ndarray
        float32 (n, dim), or for a BinaryVector uint8 (n, dim / 8).
    """
    binary = field.data_type == "BinaryVector"
    what, length = f"field {field.field_name!r}", field.dim // 8 if binary else field.dim
    no_number = f"a vector for {what} holds something that is not a number (null stands for NaN)"
    for number, value in enumerate(values):
        if not isinstance(value, list | np.ndarray):
            raise ApiError(400, f"vector {number} for {what}: {shown(value)} is not a list of numbers")
        if binary and (len(value) != length or not all(type(x) is int and 0 <= x < 256 for x in value)):
            wanted = f"{field.dim} bits are a list of {length} bytes, 0 to 255 each"
            raise ApiError(400, f"vector {number} for {what}: {wanted}")
        if len(value) != length:
            lengths = f"this collection stores vectors of {length} numbers; yours has {len(value)}"
            raise ApiError(400, f"{lengths}: was it made by another model? (vector {number} for {what})")
        if isinstance(value, list) and not binary:
            try:
                sum(value)  # numpy would take texts of digits
            except TypeError:
                raise ApiError(400, no_number) from None
    if binary:
        return np.array(values, np.uint8)
    with np.errstate(over="ignore"):
        array = np.array(values, np.float32)
        if np.isnan(array).any():  # of an array: JSON has no NaN
            raise ApiError(400, no_number)
        if not (squared_lengths(array) < LONGEST).all():
            raise ApiError(400, f"a vector for {what} holds a number too large for 32 bits")
    for suspect in np.flatnonzero(((array == 0) | (array == 1)).any(axis=1)):  # true and false are among these
        if isinstance(values[suspect], list) and bool in map(type, values[suspect]):
            raise ApiError(400, no_number)
    return array


def squared_lengths(vectors: np.ndarray) -> np.ndarray:
    """Return the squared length of each of the vectors (n, dim)."""
    return np.einsum("ij,ij->i", vectors, vectors)


class Shape:
    """Which fields of a found row go into the answer.

    Parameters
    ----------
    schema : CollectionSchema
        The collection's schema.
    asked : list of str or None
        outputFields: names, `*` for every field, dynamic ones included, or `$meta` for every dynamic one.
    default : list of str
        Used if `asked` is None.

    Raises
    ------
    ApiError
        400 for an unknown name, if the collection has no dynamic fields.
    """

    def __init__(self, schema: CollectionSchema, asked: list[str] | None, default: list[str]) -> None:
        asked = default if asked is None else asked
        names = list(dict.fromkeys(name for a in asked for name in (schema.by_name if a == "*" else [a])))
        self._declared = [name for name in names if name in schema.by_name]
        self._dynamic = [name for name in names if name not in schema.by_name]
        self._every = "*" in asked or DYNAMIC in asked
        if self._dynamic and not schema.enable_dynamic_field:
            there = ", ".join(schema.by_name)
            raise ApiError(400, f"no field {self._dynamic[0]!r} in this collection; it has: {there}")
        dynamic = schema.enable_dynamic_field and (self._every or self._dynamic)
        self.fields = [*self._declared, DYNAMIC] if dynamic else self._declared  # what to ask the engine for

    def pick(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return the fields of a row that were asked for; dynamic fields that it lacks are left out."""
        dynamic = row.get(DYNAMIC, {})
        names = dynamic if self._every else [name for name in self._dynamic if name in dynamic]
        return {**{name: row[name] for name in self._declared}, **{name: dynamic[name] for name in names}}
