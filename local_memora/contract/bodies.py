"""What may be sent: the bodies of the contract's calls."""

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from local_memora.contract.schema import (
    MAX_DIM,
    MAX_VARCHAR,
    CollectionSchema,
    ElementTypeParams,
    FieldSchema,
    IndexParams,
    IndexSpec,
    Metric,
    Name,
    Wire,
    refusal,
)

MAX_HITS = 16_384  # Milvus' limit: https://milvus.io/docs/limitations.md
PROJECT_ID = r"[A-Za-z0-9_][A-Za-z0-9_-]{0,254}"


def _project_id(value: str) -> str:
    if not re.fullmatch(PROJECT_ID, value):
        raise ValueError(f"{value[:60]!r} is no name of a project: letters, digits, underscores, hyphens, at most 255")
    return value


ProjectId = Annotated[str, AfterValidator(_project_id), Field(json_schema_extra={"pattern": f"^{PROJECT_ID}$"})]
Names = Annotated[list[Name], Field(min_length=1)]


class Body(Wire):
    """Every call names its project."""

    project_id: Annotated[ProjectId, Field(alias="project_id")]


class OnCollection(Body):
    """A call about one collection."""

    collection_name: Name


class CreateParams(Wire):
    """collections/create, `params`."""

    max_length: Annotated[int | None, Field(alias="max_length", ge=1, le=MAX_VARCHAR)] = None
    enable_dynamic_field: bool | None = None
    shards_num: Annotated[int, Field(ge=1, le=16)] | None = None
    partitions_num: Annotated[int, Field(ge=1, le=1_024)] | None = None
    ttl_seconds: Annotated[int, Field(ge=1)] | None = None


class Create(OnCollection):
    """collections/create: from `schema`, or quickly from `dimension`."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["schema"]}, {"required": ["dimension"]}]})
    dimension: Annotated[int, Field(ge=1, le=MAX_DIM)] | None = None
    metric_type: Metric = "COSINE"
    id_type: Literal["Int64", "VarChar"] = "Int64"
    auto_id: Annotated[bool, Field(alias="autoID")] = False
    primary_field_name: Name = "id"
    vector_field_name: Name = "vector"
    schema_: Annotated[CollectionSchema | None, Field(alias="schema")] = None
    index_params: list[IndexSpec] = []
    params: CreateParams = CreateParams()

    @model_validator(mode="after")
    def _has_a_shape(self) -> "Create":
        if self.schema_ is None and self.dimension is None:
            raise ValueError("give a schema, or a dimension for the quick set-up")
        return self

    @model_validator(mode="after")
    def _says_one_thing(self) -> "Create":
        """Refuse what is said twice, differently: one of the two would be ignored without a word."""
        if self.schema_ and self.dimension not in (None, *(field.dim for field in self.schema_.vectors)):
            raise ValueError(f"dimension is {self.dimension}, but no vector field of the schema has this dim")
        metrics = {index.metric_type for index in self.index_params} or {"COSINE"}
        explicit = "metric_type" in self.model_fields_set and (self.schema_ or self.index_params)
        if explicit and self.metric_type not in metrics:
            raise ValueError(f"metricType is {self.metric_type}, but no index in indexParams has it: say it there")
        schema, dynamic = self.schema_, self.params.enable_dynamic_field
        if (
            schema
            and "enable_dynamic_field" in schema.model_fields_set
            and dynamic not in (None, schema.enable_dynamic_field)
        ):
            raise ValueError("enableDynamicField is true in one place and false in the other: schema, params")
        return self

    def resolved(self) -> tuple[CollectionSchema, list[IndexSpec]]:
        """Return schema and indexes, those of the quick set-up where only a dimension is given."""
        try:
            schema = self.schema_ or self._quick_schema()
            if self.params.enable_dynamic_field:
                schema = schema.model_copy(update={"enable_dynamic_field": True})
            indexes = self.index_params or ([] if self.schema_ else [self._exact_index()])
        except ValidationError as error:  # names or types that do not go together
            raise refusal(error) from None
        return schema, indexes

    def _quick_schema(self) -> CollectionSchema:
        max_length = (self.params.max_length or MAX_VARCHAR) if self.id_type == "VarChar" else None
        primary = FieldSchema(
            field_name=self.primary_field_name,
            data_type=self.id_type,
            is_primary=True,
            element_type_params=ElementTypeParams(max_length=max_length),
        )
        vector = FieldSchema(
            field_name=self.vector_field_name,
            data_type="FloatVector",
            element_type_params=ElementTypeParams(dim=self.dimension),
        )
        return CollectionSchema(fields_=[primary, vector], auto_id=self.auto_id)

    def _exact_index(self) -> IndexSpec:
        return IndexSpec(
            metric_type=self.metric_type,
            field_name=self.vector_field_name,
            index_name=self.vector_field_name,
            params=IndexParams(index_type="FLAT"),
        )


class Rename(OnCollection):
    """collections/rename."""

    new_collection_name: Name


class OnPartition(OnCollection):
    """partitions/create, drop, has, get_stats."""

    partition_name: Name


class OnPartitions(OnCollection):
    """partitions/load, release."""

    partition_names: Names


class CreateIndexes(OnCollection):
    """indexes/create."""

    index_params: Annotated[list[IndexSpec], Field(min_length=1)]


class OnIndex(OnCollection):
    """indexes/describe, indexes/drop."""

    index_name: Name


Rows = Annotated[
    list[dict[str, Any]],
    BeforeValidator(lambda rows: [rows] if isinstance(rows, dict) else rows),
    WithJsonSchema({"anyOf": [{"type": "array", "items": {"type": "object"}, "minItems": 1}, {"type": "object"}]}),
]


class Store(OnCollection):
    """vectors/insert, vectors/upsert: one row or several."""

    data: Rows
    partition_name: Name | None = None


VECTOR = {"type": "array", "items": {"type": "number"}, "minItems": 1}
Vectors = Annotated[
    list[Any], Field(min_length=1), WithJsonSchema({"anyOf": [VECTOR, {**VECTOR, "items": VECTOR}]})
]  # what is in them is checked against the collection's schema, in numpy


class SearchKnobs(Wire):
    """How to search: the `params` within a search's `searchParams`."""

    model_config = ConfigDict(alias_generator=None)
    nprobe: Annotated[int, Field(ge=1, le=65_536)] | None = None
    ef: Annotated[int, Field(ge=1, le=32_768)] | None = None
    radius: float | None = None
    range_filter: float | None = None


class SearchParams(Wire):
    """vectors/search, `searchParams`."""

    metric_type: Metric | None = None
    params: SearchKnobs = SearchKnobs()


class Search(OnCollection):
    """vectors/search: `data` is one vector, or a list of vectors."""

    data: Vectors
    anns_field: Name
    filter: str | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_HITS)] = 100
    offset: Annotated[int, Field(ge=0, le=MAX_HITS)] = 0
    grouping_field: Name | None = None
    output_fields: list[str] | None = None
    search_params: SearchParams = SearchParams()
    partition_names: Names | None = None


class SubSearch(Wire):
    """One of the searches that vectors/hybrid_search combines; `data` is one vector."""

    data: Vectors
    anns_field: Name
    filter: str | None = None
    grouping_field: Name | None = None
    metric_type: Metric | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_HITS)] = 100
    offset: Annotated[int, Field(ge=0, le=MAX_HITS)] = 0
    ignore_growing: bool = False
    params: SearchKnobs = SearchKnobs()


class RrfParams(Wire):
    """Reciprocal rank fusion."""

    k: Annotated[float, Field(gt=0, lt=16_384)] = 60


class WeightedParams(Wire):
    """A weighted sum of the searches' scores."""

    weights: list[Annotated[float, Field(ge=0, le=1)]]


class Rrf(Wire):
    """vectors/hybrid_search, `rerank` by ranks."""

    strategy: Literal["rrf"]
    params: RrfParams = RrfParams()


class Weighted(Wire):
    """vectors/hybrid_search, `rerank` by weighted scores."""

    strategy: Literal["weighted"]
    params: WeightedParams


class HybridSearch(OnCollection):
    """vectors/hybrid_search."""

    search: Annotated[list[SubSearch], Field(min_length=1, max_length=16)]
    rerank: Annotated[Rrf | Weighted, Field(discriminator="strategy")]
    output_fields: list[str] | None = None
    partition_names: Names | None = None


class Query(OnCollection):
    """vectors/query."""

    filter: Annotated[str, Field(min_length=1)]
    output_fields: list[str] | None = None
    partition_names: Names | None = None


KEY = {"type": ["integer", "string"]}  # which of them, the collection's schema knows
Keys = Annotated[Any, WithJsonSchema({"anyOf": [KEY, {"type": "array", "items": KEY}]})]


class Get(OnCollection):
    """vectors/get."""

    id: Keys
    output_fields: list[str] | None = None
    partition_names: Names | None = None


class Delete(OnCollection):
    """vectors/delete."""

    filter: Annotated[str, Field(min_length=1)]
    partition_name: Name | None = None
