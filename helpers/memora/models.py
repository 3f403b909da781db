"""The nouns of Memora's requests, with the SDK's names, and their one way to the wire.

Python's names are the wire's in snake_case; what is None is left out, so that the server's defaults hold.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from helpers.memora.errors import InvalidRequestError

# Names that are not simply camelCase on the wire. Those that stay snake_case are Milvus' own parameters.
WIRE_NAMES = {
    "auto_id": "autoID",
    "indexes": "indexParams",
    "m": "M",
    "index_type": "index_type",
    "max_length": "max_length",
    "max_capacity": "max_capacity",
}


def to_wire(body: dict[str, Any]) -> dict[str, Any]:
    """Give the parts of a request their names on the wire, and leave out those that are None."""
    return {_wire_name(name): value for name, value in body.items() if value is not None}


def _wire_name(name: str) -> str:
    first, *others = name.split("_")
    return WIRE_NAMES.get(name) or first + "".join(word.capitalize() for word in others)


@dataclass(eq=False)
class Model:
    """A noun of a request. A field's metadata say which model it must hold: `one` of it, or a list with `each`."""

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form.

        Raises
        ------
        InvalidRequestError
            A part is not of the model that belongs there.
        """
        body = {}
        for part in fields(self):
            value = getattr(self, part.name)
            if value is not None and "one" in part.metadata:
                value = wire(part.name, value, part.metadata["one"])
            elif value is not None and "each" in part.metadata:
                value = wires(part.name, value, part.metadata["each"])
            body[part.name] = value
        return to_wire(body)


def wire(argument: str, given: Any, model: type[Model]) -> dict[str, Any]:
    """Return the JSON form of an argument that must be a model.

    Raises
    ------
    InvalidRequestError
        It is something else.
    """
    if not isinstance(given, model):
        raise InvalidRequestError(f"{argument} takes {model.__name__}(...), and this is a {type(given).__name__}.")
    return given.to_wire()


def wires(argument: str, given: Any, model: type[Model]) -> list[dict[str, Any]]:
    """Return the JSON forms of an argument that must be a list of models, each checked as in `wire`."""
    if not isinstance(given, Iterable) or isinstance(given, str | dict):
        raise InvalidRequestError(
            f"{argument} takes a list, and this is a {type(given).__name__}: "
            f"write {argument}=[{model.__name__}(...), ...]."
        )
    return [wire(f"{argument}[{number}]", one, model) for number, one in enumerate(given)]


@dataclass
class ElementTypeParams(Model):
    """What a data type needs beside its name.

    Parameters
    ----------
    max_length : int, optional
        Longest VarChar, in bytes.
    dim : int, optional
        How many numbers a vector has.
    max_capacity : int, optional
        Most elements of an Array.

    Raises
    ------
    InvalidRequestError
        One is text that is not a whole number; `"384"` becomes 384.
    """

    max_length: int | None = None
    dim: int | None = None
    max_capacity: int | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, str):
                if not re.fullmatch(r"\s*[-+]?[0-9]+\s*", value):
                    raise InvalidRequestError(f"{name} takes a whole number, such as 384, and this is {value!r}.")
                setattr(self, name, int(value))


@dataclass
class Field(Model):
    """One column of a collection.

    Parameters
    ----------
    field_name : str
        Its name.
    data_type : str
        Bool, Int8, Int16, Int32, Int64, Float, Double, VarChar, JSON, Array, FloatVector or BinaryVector.
    is_primary : bool
        Whether it identifies a row; exactly one field does, an Int64 or a VarChar.
    element_type_params : ElementTypeParams, optional
        `dim` for vectors, `max_length` for VarChar.
    element_data_type : str, optional
        The type of an Array's elements.
    is_partition_key : bool, optional
        Whether rows are spread over partitions by this field.
    """

    field_name: str
    data_type: str
    is_primary: bool = False
    element_type_params: ElementTypeParams | None = field(default=None, metadata={"one": ElementTypeParams})
    element_data_type: str | None = None
    is_partition_key: bool | None = None


@dataclass
class Schema(Model):
    """The columns of a collection.

    Parameters
    ----------
    fields : list of Field
        All columns, one of them primary.
    auto_id : bool
        Whether Memora numbers the rows itself.
    enable_dynamic_field : bool, optional
        Whether rows may carry columns that are not in `fields`.
    """

    fields: list[Field] = field(metadata={"each": Field})
    auto_id: bool = False
    enable_dynamic_field: bool | None = None


@dataclass
class IndexConfig(Model):
    """The kind of an index and its build parameters.

    Parameters
    ----------
    index_type : str
        FLAT, IVF_FLAT or HNSW.
    nlist : int, optional
        IVF_FLAT: how many lists the vectors are sorted into.
    m : int, optional
        HNSW: how many neighbours a vector is linked to.
    ef_construction : int, optional
        HNSW: how many candidates are looked at to find those neighbours.
    """

    index_type: str
    nlist: int | None = None
    m: int | None = None
    ef_construction: int | None = None


@dataclass
class Index(Model):
    """An index on a vector field.

    Parameters
    ----------
    metric_type : str
        COSINE and IP (larger is closer) or L2 (smaller is closer).
    field_name, index_name : str
        The vector field, and the index's own name.
    params : IndexConfig
        Its kind and build parameters.
    """

    metric_type: str
    field_name: str
    index_name: str
    params: IndexConfig = field(metadata={"one": IndexConfig})


@dataclass
class Collection(Model):
    """A collection to create: a quick one from `dimension`, or a full one from `schema` and `indexes`.

    Parameters
    ----------
    collection_name : str
        Letters, digits and underscores.
    dimension : int, optional
        Quick set-up: the vectors' length; the fields are then `id` and `vector`.
    schema : Schema, optional
        Full set-up: all fields.
    indexes : list of Index, optional
        Indexes to build with it.
    metric_type, id_type, auto_id, primary_field_name, vector_field_name : optional
        Quick set-up only: COSINE by default, Int64 or VarChar, and the two fields' names.
    params : dict, optional
        `max_length`, `enable_dynamic_field`, `shards_num`, `partitions_num`, `ttl_seconds`; the wire's names work too.
    """

    collection_name: str
    dimension: int | None = None
    schema: Schema | None = field(default=None, metadata={"one": Schema})
    indexes: list[Index] | None = field(default=None, metadata={"each": Index})
    metric_type: str | None = None
    id_type: str | None = None
    auto_id: bool | None = None
    primary_field_name: str | None = None
    vector_field_name: str | None = None
    params: dict[str, Any] | None = None

    def to_wire(self) -> dict[str, Any]:
        """Return the body of collections/create, without the project."""
        return super().to_wire() | ({"params": to_wire(self.params)} if self.params else {})


@dataclass(eq=False)  # == of two arrays is an array
class Search(Model):
    """One of the searches of a hybrid search.

    Parameters
    ----------
    data, anns_field, limit, filter, offset, grouping_field : the first two required
        As in `vectors.search`; what is found goes to the ranker.
    metric_type : str, optional
        COSINE, IP or L2: the index's own.
    ignore_growing : bool, optional
        Whether to leave out rows so new that no index holds them yet.
    params : dict, optional
        What the index looks at, such as `{"nprobe": 16}`, named as on the wire.
    """

    data: Any
    anns_field: str
    limit: int | None = None
    filter: str | None = None
    offset: int | None = None
    grouping_field: str | None = None
    metric_type: str | None = None
    ignore_growing: bool | None = None
    params: dict[str, Any] | None = None


@dataclass
class Ranker(Model):
    """How the hits of several searches become one ranking; Memora checks that strategy and parameters fit.

    Parameters
    ----------
    strategy : str
        `rrf`, reciprocal rank fusion, looks at ranks only; `weighted` adds up weighted scores.
    params : dict
        For `rrf` `{"k": 60}`, the default; for `weighted` `{"weights": [0.7, 0.3]}`, 0 to 1, one for each search.
    """

    strategy: str = "rrf"
    params: dict[str, Any] = field(default_factory=lambda: {"k": 60})
