"""Rows whose vectors follow as bytes: a second form of what insert and upsert take, in half the time of JSON.

The body is a line of JSON, `{"body": ..., "float32": {field: dim, ...}}`, and then for each of these fields its
vectors, little-endian, row after row. `body` is what the contract says, its rows without these fields. A client sends
this only after an answer's header has said that we take it.
"""

from typing import Any

import numpy as np
import orjson

from local_memora.contract.errors import ApiError

PACKED = "application/vnd.memora-local.rows"  # the media type, and in answers the value of the header TAKES
TAKES = "Memora-Takes"


def unpack(content: bytes) -> Any:
    """Return the body with its vectors in place, each a float32 array.

    Raises
    ------
    ApiError
        400 where the parts do not fit together.
    """
    end = content.find(b"\n")
    head = orjson.loads(content[: max(end, 0)])  # what is not JSON is refused as any such body is
    if not (isinstance(head, dict) and head.keys() == {"body", "float32"} and end >= 0):
        raise ApiError(400, "the first line must be a JSON object with body and float32, and bytes must follow")
    body, dims = head["body"], head["float32"]
    rows = body.get("data") if isinstance(body, dict) else None
    if not (isinstance(rows, list) and all(isinstance(row, dict) for row in rows) and isinstance(dims, dict)):
        raise ApiError(400, "body.data must be a list of rows, and float32 name the length of each vector field")
    if not all(type(dim) is int and dim > 0 for dim in dims.values()):
        raise ApiError(400, "each length in float32 must be a whole number above 0")
    at = end + 1
    if len(content) - at != 4 * len(rows) * sum(dims.values()):
        raise ApiError(400, f"{len(content) - at:,} bytes follow the first line, which is not what float32 announces")
    for field, dim in dims.items():
        if any(field in row for row in rows):
            raise ApiError(400, f"the field {field!r} is in a row and in float32: send it once")
        block = np.frombuffer(content, "<f4", len(rows) * dim, at).reshape(len(rows), dim)
        for row, vector in zip(rows, block, strict=True):
            row[field] = vector
        at += block.nbytes
    return body


def listed(value: Any) -> Any:
    """Turn an array into the list that its JSON is; return other values as they are."""
    if not isinstance(value, np.ndarray):
        return value
    return orjson.loads(orjson.dumps(value.copy(), option=orjson.OPT_SERIALIZE_NUMPY))
