"""The nouns of Memora's requests, with the SDK's names.

Each model turns itself into the JSON that goes over the wire with `to_wire()`; None is left out.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from helpers.memora.errors import InvalidRequestError


def without_none(body: dict[str, Any]) -> dict[str, Any]:
    """Leave out what was not given, so that the server's defaults hold."""
    return {key: value for key, value in body.items() if value is not None}


def wire(argument: str, given: Any, model: type) -> dict[str, Any]:
    """Return the JSON form of a part of a request. Raises InvalidRequestError where it is no such model."""
    if not isinstance(given, model):
        kind, name = type(given).__name__, model.__name__
        raise InvalidRequestError(f"{argument} takes {name}(...), and this is a {kind}.")
    return given.to_wire()


def wires(argument: str, given: Any, model: type) -> list[dict[str, Any]]:
    """Return the JSON forms of a list of parts."""
    if not isinstance(given, Iterable) or isinstance(given, str | dict):
        kind, name = type(given).__name__, model.__name__
        raise InvalidRequestError(
            f"{argument} takes a list, and this is no list but {kind}: write {argument}=[{name}(...), ...]."
        )
    return [wire(f"{argument}[{number}]", one, model) for number, one in enumerate(given)]


@dataclass
class ElementTypeParams:
    """What a data type needs to know beside its name.

    Parameters
    ----------
    max_length : int, optional
        Longest VarChar, in bytes.
    dim : int, optional
        How many numbers a vector has.
    max_capacity : int, optional
        Most elements of an Array.
    """

    max_length: int | None = None
    dim: int | None = None
    max_capacity: int | None = None

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form; these keys stay snake_case in Memora."""
        return without_none(vars(self))


@dataclass
class Field:
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
    element_type_params: ElementTypeParams | None = None
    element_data_type: str | None = None
    is_partition_key: bool | None = None

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form."""
        params = self.element_type_params
        return without_none(
            {
                "fieldName": self.field_name,
                "dataType": self.data_type,
                "isPrimary": self.is_primary or None,
                "elementDataType": self.element_data_type,
                "isPartitionKey": self.is_partition_key,
                "elementTypeParams": wire("element_type_params", params, ElementTypeParams) if params else None,
            }
        )


@dataclass
class Schema:
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

    fields: list[Field]
    auto_id: bool = False
    enable_dynamic_field: bool | None = None

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form."""
        return without_none(
            {
                "autoID": self.auto_id,
                "enableDynamicField": self.enable_dynamic_field,
                "fields": wires("fields", self.fields, Field),
            }
        )


@dataclass
class IndexConfig:
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

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form, with Milvus' own names `M` and `efConstruction`."""
        return without_none(
            {
                "index_type": self.index_type,
                "nlist": self.nlist,
                "M": self.m,
                "efConstruction": self.ef_construction,
            }
        )


@dataclass
class Index:
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
    params: IndexConfig

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "metricType": self.metric_type,
            "fieldName": self.field_name,
            "indexName": self.index_name,
            "params": wire("params", self.params, IndexConfig),
        }


CAMEL = {  # Collection.params: Python's names, and the wire's, which are taken too
    "enable_dynamic_field": "enableDynamicField",
    "shards_num": "shardsNum",
    "partitions_num": "partitionsNum",
    "ttl_seconds": "ttlSeconds",
}


@dataclass
class Collection:
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
        `max_length`, `enable_dynamic_field`, `shards_num`, `partitions_num`, `ttl_seconds`.
    """

    collection_name: str
    dimension: int | None = None
    schema: Schema | None = None
    indexes: list[Index] | None = None
    metric_type: str | None = None
    id_type: str | None = None
    auto_id: bool | None = None
    primary_field_name: str | None = None
    vector_field_name: str | None = None
    params: dict[str, Any] | None = None

    def to_wire(self) -> dict[str, Any]:
        """Return the body of collections/create, without the project."""
        return without_none(
            {
                "collectionName": self.collection_name,
                "dimension": self.dimension,
                "metricType": self.metric_type,
                "idType": self.id_type,
                "autoID": self.auto_id,
                "primaryFieldName": self.primary_field_name,
                "vectorFieldName": self.vector_field_name,
                "schema": wire("schema", self.schema, Schema) if self.schema else None,
                "indexParams": wires("indexes", self.indexes, Index) if self.indexes else None,
                "params": {CAMEL.get(key, key): value for key, value in (self.params or {}).items()} or None,
            }
        )


@dataclass(eq=False)  # == of two arrays is an array
class Search:
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

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form."""
        return without_none(
            {
                "data": self.data,
                "annsField": self.anns_field,
                "filter": self.filter,
                "groupingField": self.grouping_field,
                "metricType": self.metric_type,
                "limit": self.limit,
                "offset": self.offset,
                "ignoreGrowing": self.ignore_growing,
                "params": self.params,
            }
        )


@dataclass
class Ranker:
    """How the hits of several searches become one ranking.

    Parameters
    ----------
    strategy : str
        `rrf`, reciprocal rank fusion, looks at places only; `weighted` adds up weighted scores.
    params : dict, optional
        For `rrf` `{"k": 60}`, the default; for `weighted` `{"weights": [0.7, 0.3]}`, 0 to 1, one for each search.
    """

    strategy: str = "rrf"
    params: dict[str, Any] | None = None

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form. Raises InvalidRequestError where strategy and parameters don't go together."""
        if self.strategy == "rrf":
            params = {"k": 60} if self.params is None else self.params
            if not isinstance(params, dict) or "weights" in params:  # weights would be ignored without a word
                raise InvalidRequestError(
                    f"The ranker 'rrf' takes {{'k': 60}}, not {params!r}; weights go with the strategy 'weighted'."
                )
            return {"strategy": "rrf", "params": params}
        if self.strategy != "weighted":
            raise InvalidRequestError(f"There is no ranker {self.strategy!r}: the strategy is 'rrf' or 'weighted'.")
        try:
            weights = [float(weight) for weight in self.params["weights"]]
        except (TypeError, LookupError, ValueError):
            raise InvalidRequestError(
                f"The ranker 'weighted' takes {{'weights': [0.7, 0.3]}}, numbers from 0 to 1, not {self.params!r}."
            ) from None
        for weight in weights:
            if not 0 <= weight <= 1:
                raise InvalidRequestError(f"The ranker's weight {weight} is outside 0 to 1: scale the weights down.")
        return {"strategy": "weighted", "params": {**self.params, "weights": weights}}
