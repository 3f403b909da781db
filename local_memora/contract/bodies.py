"""What may be sent: the body of each call, and the limit of each input.

The OpenAPI description is made from these models, so it shows the limits too. Many of them are Milvus':
https://milvus.io/docs/limitations.md
"""

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
    MAX_FIELDS,
    MAX_JSON,
    MAX_PARTITIONS,
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

MAX_HITS = 16_384  # hits of one query, rows of one answer, keys of one get
MAX_QUERIES = 16_384  # query vectors of one search
MAX_FOUND = 1_000_000  # hits of all queries of one search together
MAX_GROUPS = 1_024  # groups of one query: each is left out by name while the next is looked for
MAX_SEARCHES = 16  # searches of one hybrid search
MAX_ROWS = 100_000  # rows of one insert or upsert
MAX_OUTPUT_FIELDS = 1_024
MAX_FILTER = 1_000_000  # characters: room for MAX_ITEMS keys
MAX_ITEMS = 50_000  # values in a filter's lists: LanceDB takes some 8 s of one processor for 500,000
MAX_PARTS = 4_000  # other parts of a filter: engines walk long chains of `or` by recursion, and overflow their stack
MAX_DEPTH = 20  # levels of a filter: engines' own parsers give up at about 25
PROJECT_ID = r"[A-Za-z0-9_][A-Za-z0-9_-]{0,254}"


def _project_id(value: str) -> str:
    if not re.fullmatch(PROJECT_ID, value):
        rule = "letters, digits, underscores, hyphens, at most 255"
        raise ValueError(f"{value[:60]!r} is not a valid project name: {rule}")
    return value


ProjectId = Annotated[str, AfterValidator(_project_id), Field(json_schema_extra={"pattern": f"^{PROJECT_ID}$"})]
Names = Annotated[list[Name], Field(min_length=1, max_length=MAX_PARTITIONS)]
Indexes = Annotated[list[IndexSpec], Field(max_length=MAX_FIELDS)]
OutputFields = Annotated[list[Annotated[str, Field(max_length=MAX_JSON)]], Field(max_length=MAX_OUTPUT_FIELDS)]
Filter = Annotated[
    str,
    Field(
        max_length=MAX_FILTER,
        description=f"a condition such as `year > 2020`: at most {MAX_PARTS:,} parts, nested at most {MAX_DEPTH} deep, "
        f"and {MAX_ITEMS:,} values in lists",
    ),
]
SomeFilter = Annotated[Filter, Field(min_length=1)]


class Picks(Wire):
    """What calls have that return rows: which fields of them, from which partitions."""

    output_fields: OutputFields | None = None
    partition_names: Names | None = None


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
    ttl_seconds: Annotated[int, Field(ge=1, lt=2**31)] | None = None


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
    index_params: Indexes = []
    params: CreateParams = CreateParams()

    @model_validator(mode="after")
    def _says_one_thing(self) -> "Create":
        """Refuse a body without a shape, and contradictory values: one would be silently ignored."""
        if self.schema_ is None and self.dimension is None:
            raise ValueError("give a schema, or a dimension for the quick set-up")
        if self.schema_ and self.dimension not in (None, *(field.dim for field in self.schema_.vectors)):
            raise ValueError(f"dimension is {self.dimension}, but no vector field of the schema has this dim")
        metrics = {index.metric_type for index in self.index_params} or {"COSINE"}
        explicit = "metric_type" in self.model_fields_set and (self.schema_ or self.index_params)
        if explicit and self.metric_type not in metrics:
            raise ValueError(f"metricType is {self.metric_type}, but no index in indexParams has it: say it there")
        schema, dynamic = self.schema_, self.params.enable_dynamic_field
        said = schema and "enable_dynamic_field" in schema.model_fields_set
        if schema and said and dynamic not in (None, schema.enable_dynamic_field):
            raise ValueError("enableDynamicField is true in one place and false in the other: schema, params")
        return self

    def resolved(self) -> tuple[CollectionSchema, list[IndexSpec]]:
        """Return schema and indexes; if only a dimension is given, those of the quick set-up."""
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

    index_params: Annotated[Indexes, Field(min_length=1)]


class OnIndex(OnCollection):
    """indexes/describe, indexes/drop."""

    index_name: Name


def _counted(values: list[Any], most: int, what: str) -> list[Any]:
    """Refuse more values than one call may hold."""
    if len(values) > most:
        raise ValueError(f"{len(values):,} {what}; at most {most:,} in one call: send them in several calls")
    return values


def _rows(data: Any) -> Any:
    """Turn one row into a list of one."""
    if data == []:
        raise ValueError("it holds no row")
    return _counted(data, MAX_ROWS, "rows") if isinstance(data, list) else [data] if isinstance(data, dict) else data


OBJECTS = {"type": "array", "items": {"type": "object"}, "minItems": 1, "maxItems": MAX_ROWS}
Rows = Annotated[list[dict[str, Any]], BeforeValidator(_rows), WithJsonSchema({"anyOf": [OBJECTS, {"type": "object"}]})]


class Store(OnCollection):
    """vectors/insert, vectors/upsert: one row or several."""

    data: Rows
    partition_name: Name | None = None


VECTOR = {"type": "array", "items": {"type": "number"}, "minItems": 1, "maxItems": MAX_DIM}


def _vectors(data: list[Any], most: int) -> list[Any]:
    """Turn one vector into a list of one. The numbers are checked later, by numpy, against the schema."""
    return _counted(data if isinstance(data[0], list) else [data], most, "query vectors")


def _schema_of(most: int) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [VECTOR, {"type": "array", "items": VECTOR, "minItems": 1, "maxItems": most}]})


Vectors = Annotated[
    list[Any], Field(min_length=1), AfterValidator(lambda data: _vectors(data, MAX_QUERIES)), _schema_of(MAX_QUERIES)
]
OneVector = Annotated[list[Any], Field(min_length=1), AfterValidator(lambda data: _vectors(data, 1)), _schema_of(1)]


class SearchKnobs(Wire):
    """How to search: `params`, within `searchParams`."""

    model_config = ConfigDict(alias_generator=None)
    nprobe: Annotated[int, Field(ge=1, le=65_536)] | None = None
    ef: Annotated[int, Field(ge=1, le=32_768)] | None = None
    radius: float | None = None
    range_filter: float | None = None


class SearchParams(Wire):
    """vectors/search, `searchParams`."""

    metric_type: Metric | None = None
    params: SearchKnobs = SearchKnobs()


class OneSearch(Wire):
    """What all searches have; `data` becomes a list of vectors."""

    data: Vectors
    anns_field: Name
    filter: Filter | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_HITS, description=f"limit + offset is at most {MAX_HITS:,}")] = 100
    offset: Annotated[int, Field(ge=0, le=MAX_HITS)] = 0
    grouping_field: Annotated[Name, Field(description=f"limit + offset is then at most {MAX_GROUPS:,}")] | None = None

    @property
    def wanted(self) -> int:
        """How many hits, or groups, to find for each query."""
        return self.limit + self.offset

    @model_validator(mode="after")
    def _asks_for_little_enough(self) -> "OneSearch":
        if self.wanted > MAX_HITS:
            raise ValueError(f"limit + offset is {self.wanted:,}; at most {MAX_HITS:,}")
        if self.grouping_field and self.wanted > MAX_GROUPS:
            raise ValueError(f"limit + offset is {self.wanted:,}; with a groupingField at most {MAX_GROUPS:,}")
        if (found := len(self.data) * self.wanted) > MAX_FOUND:
            asked = f"{len(self.data):,} queries x (limit + offset) {self.wanted:,} are {found:,} hits"
            raise ValueError(f"{asked}; at most {MAX_FOUND:,} in one call: send fewer queries, or a smaller limit")
        return self


class Search(OnCollection, OneSearch, Picks):
    """vectors/search: `data` is one vector, or a list of vectors."""

    search_params: SearchParams = SearchParams()


class SubSearch(OneSearch):
    """One of the searches that vectors/hybrid_search combines; `data` is one vector."""

    data: OneVector
    metric_type: Metric | None = None
    ignore_growing: bool = False
    params: SearchKnobs = SearchKnobs()


class RrfParams(Wire):
    """Reciprocal rank fusion."""

    k: Annotated[float, Field(gt=0, lt=16_384)] = 60


class WeightedParams(Wire):
    """A weighted sum of the searches' scores."""

    weights: Annotated[list[Annotated[float, Field(ge=0, le=1)]], Field(min_length=1, max_length=MAX_SEARCHES)]


class Rrf(Wire):
    """vectors/hybrid_search, `rerank` by ranks."""

    strategy: Literal["rrf"]
    params: RrfParams = RrfParams()


class Weighted(Wire):
    """vectors/hybrid_search, `rerank` by weighted scores."""

    strategy: Literal["weighted"]
    params: WeightedParams


class HybridSearch(OnCollection, Picks):
    """vectors/hybrid_search."""

    search: Annotated[list[SubSearch], Field(min_length=1, max_length=MAX_SEARCHES)]
    rerank: Annotated[Rrf | Weighted, Field(discriminator="strategy")]

    @model_validator(mode="after")
    def _weighs_each_search(self) -> "HybridSearch":
        weights = len(self.rerank.params.weights) if isinstance(self.rerank, Weighted) else len(self.search)
        if weights != len(self.search):
            raise ValueError(f"rerank has {weights} weights for {len(self.search)} searches: one for each")
        return self


class Query(OnCollection, Picks):
    """vectors/query."""

    filter: SomeFilter


def _keys(keys: Any) -> list[Any]:
    """Turn one key into a list of one. Its type is checked later, against the schema."""
    return _counted(keys if isinstance(keys, list) else [keys], MAX_HITS, "keys")


KEY = {"type": ["integer", "string"], "minimum": -(2**63), "exclusiveMaximum": 2**63, "maxLength": MAX_VARCHAR}
Keys = Annotated[
    list[Any],
    BeforeValidator(_keys),
    WithJsonSchema({"anyOf": [KEY, {"type": "array", "items": KEY, "maxItems": MAX_HITS}]}),
]


class Get(OnCollection, Picks):
    """vectors/get."""

    id: Keys


class Delete(OnCollection):
    """vectors/delete."""

    filter: SomeFilter
    partition_name: Name | None = None
