"""Checks of lesson 1: rows that fit a schema, a metric, a schema of one's own."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from helpers.check.answers import NotYet, exercise
from helpers.connect import COLLECTION, local_client
from helpers.memora import Memora, MemoraError
from helpers.memora.models import Collection, Field, Schema

WHOLE = ("Int16", "Int32", "Int64")  # types that hold a year


@exercise
def refused_rows(letters: str, schema: Schema, rows: Mapping[str, dict[str, Any]]) -> str:
    """Which rows a collection refuses, predicted; here they are tried, each alone."""
    if not isinstance(letters, str):
        raise NotYet(f"write the letters into quotes, such as 'ab'; this is {letters!r}.")
    predicted = {letter for letter in letters.lower() if letter.isalnum()}
    if unknown := predicted - rows.keys():
        raise NotYet(f"there is no row {min(unknown)!r}; there are {', '.join(rows)}.")
    if not predicted:
        raise NotYet("some rows are refused: write their letters into the quotes.")
    with _empty_memora() as client:
        client.collections.create(collection=Collection("tiny", schema=schema))
        for letter, row in rows.items():
            try:
                client.vectors.insert(collection_name="tiny", data=row)
            except MemoraError as error:
                if letter not in predicted:
                    raise NotYet(f"look at row {letter} again: what does it have that the schema does not?") from error
            else:
                if letter in predicted:
                    raise NotYet(f"Memora takes row {letter}: it has every field, and each value fits.")
    return f"{len(predicted)} of {len(rows)} rows are refused, and nothing of them is stored."


@exercise
def compares_by_distance(collection: Collection, dim: int) -> str:
    """A collection for pictures that compares by L2, under a name of its own."""
    if not isinstance(collection, Collection) or not isinstance(collection.schema, Schema):
        raise NotYet("changed should be a Collection(name, schema=schema, indexes=[...]).")
    if collection.collection_name == COLLECTION:
        raise NotYet(f"it still has the name {COLLECTION!r}: two collections can't share a name.")
    if collection.collection_name != "by_distance":
        raise NotYet(f"its name is {collection.collection_name!r}; 'by_distance' is wanted.")
    with _empty_memora() as client:
        _create(client, collection)
        about = client.collections.describe(collection_name="by_distance")["data"]
    dims = [param["value"] for field in about["fields"] for param in field["params"] if param["key"] == "dim"]
    if dims != [str(dim)]:
        raise NotYet(f"its vectors have the dimensions {dims}; take the schema from above, with one of {dim}.")
    metrics = [index["metricType"] for index in about["indexes"]]
    if not metrics:
        raise NotYet("it has no index, and the index says how vectors are compared.")
    if metrics != ["L2"]:
        raise NotYet(f"it compares by {metrics[0]}; the squared distance is called L2.")
    return "it compares by L2, where smaller is closer, and 0 is the same vector."


@exercise
def museum_schema(schema: Schema) -> str:
    """A schema for a museum's 20,000 photographs: a key, a vector of 384 numbers, `artist` and `year`."""
    if not isinstance(schema, Schema):
        raise NotYet("museum should be a Schema([...]) of Fields, as above.")
    fields = {field.field_name: field for field in schema.fields if isinstance(field, Field)}
    if len(fields) < len(schema.fields):
        raise NotYet("every part of the schema is a Field(...) with a name of its own.")
    _one_key([field for field in fields.values() if field.is_primary])
    _one_vector([field for field in fields.values() if field.data_type == "FloatVector"])
    for name, kinds in {"artist": ("VarChar",), "year": WHOLE}.items():
        if name not in fields:
            raise NotYet(f"the museum wants to filter on {name!r}: there is no such field.")
        if fields[name].data_type not in kinds:
            raise NotYet(f"{name!r} is a {fields[name].data_type}; what suits it is {' or '.join(kinds)}.")
    params = fields["artist"].element_type_params
    if params is not None and params.max_length is not None and params.max_length < 20:
        raise NotYet(f"max_length is {params.max_length} bytes: 'Artemisia Gentileschi' does not fit into that.")
    with _empty_memora() as client:
        _create(client, Collection("museum", schema=schema))
    return "one key, a vector of 384 numbers, and two fields to filter on."


def _one_key(keys: list[Field]) -> None:
    if len(keys) != 1:
        raise NotYet(f"{len(keys)} fields are primary; exactly one tells the rows apart.")
    if keys[0].field_name in ("artist", "year"):
        raise NotYet(f"two photographs can have the same {keys[0].field_name}, so it can't be the key: add a field.")
    if keys[0].data_type not in ("Int64", "VarChar"):
        raise NotYet(f"a primary key is Int64 or VarChar, not {keys[0].data_type}.")


def _one_vector(vectors: list[Field]) -> None:
    if not vectors:
        raise NotYet("where do the vectors go? One field must be a FloatVector.")
    if len(vectors) > 1:
        raise NotYet(f"there are {len(vectors)} vector fields; the museum has one network, which makes one vector.")
    params = vectors[0].element_type_params
    if params is None or params.dim != 384:
        raise NotYet(f"the vector field has dim {params.dim if params else None}; the model gives 384 numbers.")


def _create(client: Memora, collection: Collection) -> None:
    try:
        client.collections.create(collection=collection)
    except MemoraError as error:
        raise NotYet(f"Memora does not take it: {error.message}.") from None


@contextmanager
def _empty_memora() -> Iterator[Memora]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home, local_client(Path(home)) as client:
        yield client
