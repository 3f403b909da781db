"""What may be sent: the contract's bodies, and the schema of a collection."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from helpers.local_memora.errors import ApiError

# Milvus' limits: https://milvus.io/docs/limitations.md
MAX_DIM = 32_768
MAX_VARCHAR = 65_535
MAX_HITS = 16_384
INTEGERS = {"Int8": 8, "Int16": 16, "Int32": 32, "Int64": 64}
STORABLE = (*INTEGERS, "Bool", "Float", "Double", "VarChar", "FloatVector")
DataType = Literal[
    "Bool", "Int8", "Int16", "Int32", "Int64", "Float", "Double", "VarChar", "JSON", "Array", "FloatVector",
    "BinaryVector",
]  # fmt: skip
Metric = Literal["COSINE", "IP", "L2"]


def _name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,254}", value):
        raise ValueError(
            f"{value[:60]!r} is no name: a letter or underscore, then letters, digits, underscores, at most 255"
        )
    return value


def _project_id(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,254}", value):
        raise ValueError(f"{value[:60]!r} is no name of a project: letters, digits, underscores, hyphens, at most 255")
    return value


Name = Annotated[str, AfterValidator(_name)]
ProjectId = Annotated[str, AfterValidator(_project_id)]


class Wire(BaseModel):
    """A part of a body: camelCase names, exact types, nothing unknown."""

    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel, populate_by_name=True)


class ElementTypeParams(Wire):
    """What a type needs beside its name."""

    model_config = ConfigDict(alias_generator=None)  # snake_case on the wire, as in Milvus
    max_length: Annotated[int, Field(ge=1, le=MAX_VARCHAR)] | None = None
    dim: Annotated[int, Field(ge=1, le=MAX_DIM)] | None = None
    max_capacity: Annotated[int, Field(ge=1, le=4096)] | None = None


class FieldSchema(Wire):
    """One column."""

    field_name: Name
    data_type: DataType
    element_data_type: str | None = None
    is_primary: bool = False
    is_partition_key: bool = False
    element_type_params: ElementTypeParams = ElementTypeParams()

    @model_validator(mode="after")
    def _fits_its_type(self) -> "FieldSchema":
        params = self.element_type_params
        if self.data_type == "FloatVector" and params.dim is None:
            raise ValueError(f"the vector field {self.field_name!r} needs elementTypeParams.dim, its length")
        if self.data_type == "VarChar" and params.max_length is None:
            raise ValueError(f"the VarChar field {self.field_name!r} needs elementTypeParams.max_length")
        if self.is_primary and self.data_type not in ("Int64", "VarChar"):
            raise ValueError(f"the primary key {self.field_name!r} must be Int64 or VarChar, not {self.data_type}")
        if self.field_name == "distance" or (self.field_name == "id" and not self.is_primary):
            raise ValueError(f"the field name {self.field_name!r} is taken: every hit has an id and a distance")
        return self


class CollectionSchema(Wire):
    """All columns of a collection; this is what the catalogue keeps."""

    fields_: Annotated[list[FieldSchema], Field(alias="fields", min_length=1, max_length=64)]
    auto_id: Annotated[bool, Field(alias="autoID")] = False
    enable_dynamic_field: bool = False

    @model_validator(mode="after")
    def _is_whole(self) -> "CollectionSchema":
        names = [field.field_name for field in self.fields_]
        if doubled := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"field names must differ: {', '.join(sorted(doubled))} is there twice")
        if sum(field.is_primary for field in self.fields_) != 1:
            raise ValueError("exactly one field must have isPrimary: true")
        if not any(field.data_type.endswith("Vector") for field in self.fields_):
            raise ValueError("a collection needs at least one vector field")
        if self.auto_id and self.primary.data_type != "Int64":
            raise ValueError("autoID needs an Int64 primary key")
        return self

    @property
    def primary(self) -> FieldSchema:
        """The field that identifies a row."""
        return next(field for field in self.fields_ if field.is_primary)

    @property
    def by_name(self) -> dict[str, FieldSchema]:
        """Fields by their names, in the schema's order."""
        return {field.field_name: field for field in self.fields_}

    def vector_field(self, name: str) -> FieldSchema:
        """Return a vector field, or refuse the name."""
        field = self.by_name.get(name)
        if field is None or field.data_type != "FloatVector":
            vectors = [f.field_name for f in self.fields_ if f.data_type == "FloatVector"]
            raise ApiError(400, f"{name!r} is no vector field of this collection; there is: {', '.join(vectors)}")
        return field

    def output_fields(self, asked: list[str] | None, default: list[str]) -> list[str]:
        """Resolve outputFields: `*` is every field, none asked is `default`, unknown names are refused."""
        if asked is None:
            return default
        names = list(dict.fromkeys(name for a in asked for name in (self.by_name if a == "*" else [a])))
        for name in names:
            if name not in self.by_name:
                raise ApiError(400, f"no field {name!r} in this collection; it has: {', '.join(self.by_name)}")
        return names


class IndexParams(Wire):
    """The kind of an index and how to build it."""

    model_config = ConfigDict(alias_generator=None)
    index_type: str
    nlist: Annotated[int, Field(ge=1, le=65_536)] | None = None
    m: Annotated[int | None, Field(alias="M", ge=2, le=2_048)] = None
    ef_construction: Annotated[int | None, Field(alias="efConstruction", ge=1, le=65_536)] = None

    @model_validator(mode="after")
    def _fits_its_type(self) -> "IndexParams":
        allowed = {"FLAT": (), "IVF_FLAT": ("nlist",), "HNSW": ("M", "efConstruction")}
        if self.index_type not in allowed:
            raise ValueError(f"there is no index_type {self.index_type!r}; allowed: {', '.join(allowed)}")
        given = self.model_dump(by_alias=True, exclude_none=True, exclude={"index_type"})
        if wrong := set(given) - set(allowed[self.index_type]):
            can = " and ".join(allowed[self.index_type]) or "no parameter"
            raise ValueError(f"{self.index_type} takes {can}, not {', '.join(sorted(wrong))}")
        if self.index_type == "IVF_FLAT":
            self.nlist = self.nlist or 128
        if self.index_type == "HNSW":
            self.m, self.ef_construction = self.m or 16, self.ef_construction or 200
            if self.ef_construction < self.m:
                raise ValueError(f"efConstruction ({self.ef_construction}) must be at least M ({self.m})")
        return self


class IndexSpec(Wire):
    """An index on a vector field; this is what the catalogue keeps."""

    metric_type: Metric
    field_name: Name
    index_name: Name
    params: IndexParams

    @property
    def rows_needed(self) -> int:
        """How many rows make a build possible: IVF_FLAT wants one for each list."""
        return self.params.nlist or 1


class CreateParams(Wire):
    """collections/create, `params`."""

    max_length: Annotated[int | None, Field(alias="max_length", ge=1, le=MAX_VARCHAR)] = None
    enable_dynamic_field: bool | None = None
    shards_num: int | None = None
    partitions_num: int | None = None
    ttl_seconds: int | None = None


class Body(Wire):
    """Every call names its project."""

    project_id: Annotated[ProjectId, Field(alias="project_id")]


class OnCollection(Body):
    """A call about one collection."""

    collection_name: Name


class Create(OnCollection):
    """collections/create."""

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

    def resolved(self) -> tuple[CollectionSchema, list[IndexSpec]]:
        """Return schema and indexes, those of the quick set-up where only a dimension is given."""
        if self.schema_ is not None:
            return self.schema_, self.index_params
        try:
            return self._quick_schema(), self.index_params or [self._exact_index()]
        except ValidationError as error:  # names or types that do not go together
            raise _refusal(error) from None

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


class CreateIndexes(OnCollection):
    """indexes/create."""

    index_params: Annotated[list[IndexSpec], Field(min_length=1)]


class OnIndex(OnCollection):
    """indexes/describe, indexes/drop."""

    index_name: Name


class Store(OnCollection):
    """vectors/insert, vectors/upsert."""

    data: Annotated[list[dict[str, Any]], BeforeValidator(lambda rows: [rows] if isinstance(rows, dict) else rows)]
    partition_name: Name | None = None


class RangeAndProbes(Wire):
    """vectors/search, `searchParams.params`."""

    model_config = ConfigDict(alias_generator=None)
    nprobe: Annotated[int, Field(ge=1, le=65_536)] | None = None
    ef: Annotated[int, Field(ge=1, le=32_768)] | None = None
    radius: float | None = None
    range_filter: float | None = None


class SearchParams(Wire):
    """vectors/search, `searchParams`."""

    metric_type: Metric | None = None
    params: RangeAndProbes = RangeAndProbes()


class Search(OnCollection):
    """vectors/search."""

    data: list[Any]
    anns_field: Name
    filter: str | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_HITS)] = 100
    offset: Annotated[int, Field(ge=0, le=MAX_HITS)] = 0
    grouping_field: Name | None = None
    output_fields: list[str] | None = None
    search_params: SearchParams = SearchParams()
    partition_names: list[Name] | None = None


class Query(OnCollection):
    """vectors/query."""

    filter: Annotated[str, Field(min_length=1)]
    output_fields: list[str] | None = None
    partition_names: list[Name] | None = None


class Get(OnCollection):
    """vectors/get."""

    id: Any  # one key or a list; of which type, the collection's schema knows
    output_fields: list[str] | None = None
    partition_names: list[Name] | None = None


class Delete(OnCollection):
    """vectors/delete."""

    filter: Annotated[str, Field(min_length=1)]
    partition_name: Name | None = None


def parse(model: type[Body], body: dict[str, Any]) -> Any:
    """Check a body against the contract.

    Raises
    ------
    ApiError
        400 with the first thing that is wrong, and where.
    """
    try:
        return model.model_validate(body, by_alias=True, by_name=False)  # snake_case is not the contract's
    except ValidationError as error:
        raise _refusal(error) from None


def _refusal(error: ValidationError) -> ApiError:
    """Say the first thing that is wrong, and where."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return ApiError(400, f"unknown field {where!r} in the request")
    message = first["msg"].removeprefix("Value error, ")
    return ApiError(400, f"{where}: {message}" if where else message)
