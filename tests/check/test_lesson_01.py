import pytest

from helpers import check
from helpers.connect import COLLECTION
from helpers.memora.models import Collection, ElementTypeParams, Field, Index, IndexConfig, Schema
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
        Schema([KEY, vector("384"), text("artist", "200"), YEAR]),
    ],
    ids=["as shown", "key of text", "more fields", "sizes as text"],
)
def test_a_right_schema_is_taken_in_any_form(right) -> None:
    assert is_right(check.museum_schema, right)


TINY = Schema([KEY, text("name", 10), vector(3)])
ROWS = {
    "a": {"id": 5, "name": "teapot", "vector": [0.1, 0.2, 0.3]},
    "b": {"id": 6, "name": "wine bottle", "vector": [0.1, 0.2, 0.3]},
    "c": {"id": 7, "vector": [0.1, 0.2, 0.3]},
}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("", "some rows are refused"),
        (None, "into quotes"),
        ("x", "no row 'x'"),
        ("abc", "Memora takes row a"),
        ("b", "look at row c"),
        ("c", "look at row b"),
    ],
)
def test_a_wrong_prediction_of_refused_rows_gets_the_hint_that_fits(wrong, said: str) -> None:
    assert said in hint(check.refused_rows, wrong, TINY, ROWS)


@pytest.mark.parametrize("right", ["bc", "C, B", "c b"])
def test_a_right_prediction_of_refused_rows_is_taken_in_any_form(right) -> None:
    assert is_right(check.refused_rows, right, TINY, ROWS)


def by(metric, name="by_distance", dim=8, on="vector", kind="FLAT"):
    return Collection(name, schema=Schema([KEY, vector(dim)]), indexes=[Index(metric, on, "i", IndexConfig(kind))])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (None, "should be a Collection"),
        (by("COSINE", COLLECTION), "still has the name"),
        (by("L2", "distance"), "'by_distance' is wanted"),
        (by("COSINE"), "compares by COSINE"),
        (by("L2", dim=4), "of 8"),
        (by("L2", on="vektor"), "Memora does not take it"),
        (Collection("by_distance", schema=Schema([KEY, vector(8)])), "no index"),
    ],
)
def test_a_wrong_metric_gets_the_hint_that_fits(wrong, said: str) -> None:
    assert said in hint(check.compares_by_distance, wrong, 8)


@pytest.mark.parametrize("right", [by("L2"), by("L2", kind="IVF_FLAT"), by("L2", kind="HNSW")])
def test_a_right_metric_is_taken_in_any_form(right) -> None:
    assert is_right(check.compares_by_distance, right, 8)
