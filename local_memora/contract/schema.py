"""What a collection is: its fields, their types, its indexes."""

import re
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from local_memora.contract.errors import ApiError

# Milvus' limits: https://milvus.io/docs/limitations.md
MAX_DIM = 32_768
MAX_VARCHAR = 65_535
MAX_JSON = 65_536
MAX_PARTITIONS = 1_024
MAX_FIELDS = 64
SHORTEST, LONGEST = 1e-30, 1e37  # squared lengths: 32 bits hold every distance between; shorter is zero for COSINE
INTEGERS = {"Int8": 8, "Int16": 16, "Int32": 32, "Int64": 64}
SCALARS = (*INTEGERS, "Bool", "Float", "Double", "VarChar")
VECTORS = ("FloatVector", "BinaryVector")
DataType = Literal[
    "Bool", "Int8", "Int16", "Int32", "Int64", "Float", "Double", "VarChar", "JSON", "Array", "FloatVector",
    "BinaryVector",
]  # fmt: skip
Metric = Literal["COSINE", "IP", "L2", "HAMMING"]
DEFAULT_PARTITION = "_default"
DYNAMIC = "$meta"  # where fields live that are in no schema, named as in Milvus: no declared field can be called so


def _name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,254}", value):
        rule = "a letter or underscore, then letters, digits, underscores, at most 255"
        raise ValueError(f"{value[:60]!r} is not a valid name: {rule}")
    return value


Name = Annotated[str, AfterValidator(_name), Field(json_schema_extra={"pattern": "^[A-Za-z_][A-Za-z0-9_]{0,254}$"})]


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
    element_data_type: DataType | None = None
    is_primary: bool = False
    is_partition_key: bool = False
    element_type_params: ElementTypeParams = ElementTypeParams()

    @model_validator(mode="after")
    def _fits_its_type(self) -> "FieldSchema":
        name, params = self.field_name, self.element_type_params
        if self.data_type in VECTORS and params.dim is None:
            raise ValueError(f"the vector field {name!r} needs elementTypeParams.dim, its length")
        if self.data_type == "BinaryVector" and (params.dim or 0) % 8:
            raise ValueError(f"the BinaryVector field {name!r} needs a dim that 8 divides: 8 bits are one byte")
        if self.data_type == "Array" and (self.element_data_type not in SCALARS or params.max_capacity is None):
            needs = f"an elementDataType ({', '.join(SCALARS)}) and elementTypeParams.max_capacity"
            raise ValueError(f"the Array field {name!r} needs {needs}")
        if self.data_type != "Array" and self.element_data_type is not None:
            raise ValueError(f"elementDataType is for an Array; {name!r} is a {self.data_type}")
        if "VarChar" in (self.data_type, self.element_data_type) and params.max_length is None:
            raise ValueError(f"the VarChar field {name!r} needs elementTypeParams.max_length")
        if self.is_primary and self.data_type not in ("Int64", "VarChar"):
            raise ValueError(f"the primary key {name!r} must be Int64 or VarChar, not {self.data_type}")
        if self.is_partition_key and (self.is_primary or self.data_type not in ("Int64", "VarChar")):
            raise ValueError(f"a partition key is an Int64 or VarChar that is not the primary key; {name!r} is not")
        if name == "distance" or (name == "id" and not self.is_primary):
            raise ValueError(f"the field name {name!r} is taken: every hit has an id and a distance")
        return self

    @property
    def dim(self) -> int:
        """How many numbers, or bits, a vector has; 0 for other types, whatever their parameters say."""
        return (self.element_type_params.dim or 0) if self.data_type in VECTORS else 0

    @cached_property
    def element(self) -> "FieldSchema":
        """What an Array's elements are, seen as a field."""
        params = ElementTypeParams(max_length=self.element_type_params.max_length)
        return FieldSchema.model_construct(
            field_name=self.field_name, data_type=self.element_data_type, element_type_params=params
        )


class CollectionSchema(Wire):
    """All columns of a collection."""

    fields_: Annotated[list[FieldSchema], Field(alias="fields", min_length=1, max_length=MAX_FIELDS)]
    auto_id: Annotated[bool, Field(alias="autoID")] = False
    enable_dynamic_field: bool = False

    @model_validator(mode="after")
    def _is_whole(self) -> "CollectionSchema":
        names = [field.field_name for field in self.fields_]
        if doubled := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"field names must differ: {', '.join(sorted(doubled))} is there twice")
        if sum(field.is_primary for field in self.fields_) != 1:
            raise ValueError("exactly one field must have isPrimary: true")
        if sum(field.is_partition_key for field in self.fields_) > 1:
            raise ValueError("at most one field may have isPartitionKey: true")
        if not self.vectors:
            raise ValueError("a collection needs at least one vector field")
        if self.auto_id and self.primary.data_type != "Int64":
            raise ValueError("autoID needs an Int64 primary key")
        return self

    @cached_property
    def primary(self) -> FieldSchema:
        """The field that identifies a row."""
        return next(field for field in self.fields_ if field.is_primary)

    @cached_property
    def partition_key(self) -> FieldSchema | None:
        """The field that rows are spread over partitions by, if there is one."""
        return next((field for field in self.fields_ if field.is_partition_key), None)

    @cached_property
    def vectors(self) -> list[FieldSchema]:
        """The vector fields."""
        return [field for field in self.fields_ if field.data_type in VECTORS]

    @cached_property
    def by_name(self) -> dict[str, FieldSchema]:
        """Fields by their names, in the schema's order."""
        return {field.field_name: field for field in self.fields_}

    def vector_field(self, name: str) -> FieldSchema:
        """Return a vector field, or refuse the name."""
        field = self.by_name.get(name)
        if field is None or field.data_type not in VECTORS:
            there = ", ".join(field.field_name for field in self.vectors)
            raise ApiError(400, f"{name!r} is not a vector field of this collection; there is: {there}")
        return field


class IndexParams(Wire):
    """The kind of an index and how to build it."""

    model_config = ConfigDict(alias_generator=None)
    index_type: Annotated[str, Field(json_schema_extra={"enum": ["FLAT", "IVF_FLAT", "HNSW"]})]
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
    """An index on a vector field."""

    metric_type: Metric
    field_name: Name
    index_name: Name
    params: IndexParams


def check_metric(field: FieldSchema, metric: str, index_type: str = "FLAT") -> None:
    """Refuse a metric, or an index, that does not fit a vector field's type."""
    if field.data_type == "BinaryVector" and (metric, index_type) != ("HAMMING", "FLAT"):
        raise ApiError(400, f"{field.field_name!r} is a BinaryVector: it takes HAMMING and an index of type FLAT")
    if field.data_type != "BinaryVector" and metric == "HAMMING":
        raise ApiError(400, f"HAMMING compares BinaryVector; {field.field_name!r} is a FloatVector: COSINE, IP or L2")


def parse(model: type[Wire], body: dict[str, Any]) -> Any:
    """Check a body against the contract.

    Raises
    ------
    ApiError
        400 with the first thing that is wrong, and where.
    """
    try:
        return model.model_validate(body, by_alias=True, by_name=False)  # snake_case is not the contract's
    except ValidationError as error:
        raise refusal(error) from None


def refusal(error: ValidationError) -> ApiError:
    """Say the first thing that is wrong, and where."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return ApiError(400, f"unknown field {where!r} in the request")
    message = first["msg"].removeprefix("Value error, ")
    return ApiError(400, f"{where}: {message}" if where else message)
