"""Checks of lesson 1: a schema that fits."""

import tempfile
from pathlib import Path

from helpers.check.answers import NotYet, exercise
from helpers.connect import local_client
from helpers.memora import MemoraError
from helpers.memora.models import Collection, Field, Schema

WHOLE = ("Int16", "Int32", "Int64")  # types that hold a year


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
    if params is not None and params.max_length is not None and int(params.max_length) < 20:
        raise NotYet(f"max_length is {params.max_length} bytes: 'Artemisia Gentileschi' does not fit into that.")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        try:
            local_client(Path(home)).collections.create(collection=Collection("museum", schema=schema))
        except MemoraError as error:
            raise NotYet(f"Memora does not take it: {error.message}.") from None
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
    if params is None or str(params.dim) != "384":
        raise NotYet(f"the vector field has dim {params.dim if params else None}; the model gives 384 numbers.")
