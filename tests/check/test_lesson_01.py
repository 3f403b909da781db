import pytest

from helpers import check
from helpers.memora.models import ElementTypeParams, Field, Schema
from tests.check.answering import hint, is_right


def text(name, length=200, **more):
    return Field(name, "VarChar", element_type_params=ElementTypeParams(max_length=length), **more)


def vector(dim=384, name="vector"):
    return Field(name, "FloatVector", element_type_params=ElementTypeParams(dim=dim))


KEY, ARTIST, YEAR, VECTOR = Field("id", "Int64", is_primary=True), text("artist"), Field("year", "Int64"), vector()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (None, "should be a Schema"),
        (Schema([]), "0 fields are primary"),
        (Schema([KEY, VECTOR]), "no such field"),
        (Schema([Field("id", "Int64"), VECTOR, ARTIST, YEAR]), "exactly one"),
        (Schema([VECTOR, ARTIST, Field("year", "Int64", is_primary=True)]), "the same year"),
        (Schema([KEY, vector(512), ARTIST, YEAR]), "dim 512"),
        (
            Schema(
                [
                    KEY,
                    VECTOR,
                    vector(512, "second"),
                    ARTIST,
                    YEAR,
                ]
            ),
            "2 vector fields",
        ),
        (
            Schema([KEY, VECTOR, text("artist", 1), YEAR]),
            "1 bytes",
        ),
        (Schema([KEY, VECTOR, ARTIST, text("year")]), "'year' is a VarChar"),
        (Schema([KEY, ARTIST, YEAR]), "where do the vectors go"),
        (Schema([KEY, VECTOR, Field("artist", "VarChar"), YEAR]), "Memora does not take it"),
    ],
)
def test_a_wrong_schema_gets_the_hint_that_fits(wrong, said: str) -> None:
    assert said in hint(check.museum_schema, wrong)


@pytest.mark.parametrize(
    "right",
    [
        Schema([KEY, VECTOR, ARTIST, YEAR]),
        Schema(
            [
                text("number", is_primary=True),
                ARTIST,
                Field("year", "Int16"),
                VECTOR,
            ]
        ),
        Schema([KEY, vector(384), ARTIST, YEAR, Field("room", "Int8")]),
    ],
    ids=["as shown", "key of text", "more fields"],
)
def test_a_right_schema_is_taken_in_any_form(right) -> None:
    assert is_right(check.museum_schema, right)
