"""Rows checked against a collection's schema, and turned into columns."""

from typing import Any

import numpy as np

from helpers.local_memora.errors import ApiError
from helpers.local_memora.schema import INTEGERS, CollectionSchema, FieldSchema

# Squared lengths within which 32 bits hold every distance; a shorter vector is for COSINE a vector of zeros.
SHORTEST, LONGEST = 1e-30, 1e37


def columns(schema: CollectionSchema, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Check rows against a schema and turn them into columns.

    Parameters
    ----------
    schema : CollectionSchema
        The collection's schema.
    rows : list of dict
        At least one row; with autoID the primary key must be absent.

    Returns
    -------
    dict
        Field name to a list of values, or to a float32 array (n, dim) for vectors.

    Raises
    ------
    ApiError
        400 naming the row and the field.
    """
    fields = [f for f in schema.fields_ if not (schema.auto_id and f.is_primary)]
    expected = {field.field_name for field in fields}
    for number, row in enumerate(rows):
        if row.keys() != expected:
            missing, unknown = expected - row.keys(), row.keys() - expected
            wrong = f"misses {sorted(missing)}" if missing else f"has unknown fields {sorted(unknown)[:5]}"
            raise ApiError(400, f"row {number} {wrong}; a row has: {', '.join(sorted(expected))}")
    return {field.field_name: _column(field, [row[field.field_name] for row in rows]) for field in fields}


def _column(field: FieldSchema, values: list[Any]) -> Any:
    if field.data_type == "FloatVector":
        return vectors(values, field.element_type_params.dim or 0, f"field {field.field_name!r}")
    for number, value in enumerate(values):
        if problem := _problem(field, value):
            raise ApiError(400, f"row {number}, field {field.field_name!r}: {problem}")
    # Arrow refuses whole numbers that a float rounds; + 0.0 makes 0.0 of -0.0, which filters would not find as zero.
    return [float(value) + 0.0 for value in values] if field.data_type in ("Float", "Double") else values


def _problem(field: FieldSchema, value: Any) -> str:
    """Say what is wrong with a scalar value; an empty string means nothing is."""
    kind = field.data_type
    if kind == "Bool":
        return "" if isinstance(value, bool) else f"{value!r} is not true or false"
    if kind == "VarChar":
        limit = field.element_type_params.max_length or 0
        if not isinstance(value, str):
            return f"{str(value)[:60]!r} is no text"
        size = len(value.encode())
        return f"{value[:60]!r}... has {size} bytes; max_length is {limit}" if size > limit else ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"{str(value)[:60]!r} is no number"
    if kind in INTEGERS:
        limit = 2 ** (INTEGERS[kind] - 1)
        return "" if isinstance(value, int) and -limit <= value < limit else f"{value!r} is no {kind}"
    largest = float(np.finfo(np.float32 if kind == "Float" else np.float64).max)
    return "" if abs(value) <= largest else f"{value!r} is too large for {kind}"


def vectors(values: list[Any], dim: int, what: str) -> np.ndarray:
    """Turn lists of numbers into a float32 array (n, dim), refusing other lengths and what is no finite number."""
    for number, value in enumerate(values):
        if not isinstance(value, list):
            raise ApiError(400, f"vector {number} for {what}: {str(value)[:60]!r} is no list of numbers")
        if len(value) != dim:
            raise ApiError(
                400,
                f"this collection stores vectors of {dim} numbers; yours has {len(value)}: was it made by another "
                f"model? (vector {number} for {what})",
            )
        if not {*map(type, value)} <= {int, float}:  # numpy would take booleans and texts of digits
            raise ApiError(400, f"a vector for {what} holds something that is no number (null stands for NaN)")
    with np.errstate(over="ignore"):
        array = np.array(values, np.float32)
        if not (squared_lengths(array) < LONGEST).all():
            raise ApiError(400, f"a vector for {what} holds a number too large for 32 bits")
    return array


def squared_lengths(vectors: np.ndarray) -> np.ndarray:
    """Return the squared length of each of the vectors (n, dim)."""
    return np.einsum("ij,ij->i", vectors, vectors)
