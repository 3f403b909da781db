import numpy as np
import pytest

from helpers import check
from helpers.connect import COLLECTION
from tests.check.answering import hint, is_right


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("", "between the quotes"),
        (None, "text in quotes"),
        ("color == red", "does not understand"),
        ('color == "red"', "too many"),
        ('color == "red" and background != "grass" and elevation > 28', "missing"),
        ('color == "red" or background != "grass" and elevation > 20', "too many"),
        ('color == "red" and background == "grass" and elevation > 20', "too many"),
    ],
)
def test_a_wrong_filter_gets_the_hint_that_fits(kit, wrong, said: str) -> None:
    assert said in hint(check.filter_finds, kit, COLLECTION, wrong)


@pytest.mark.parametrize(
    "right",
    [
        'color == "red" and background != "grass" and elevation > 20',
        "20 < elevation && not (background in ['grass']) && color in ['red']",
        "(color == 'red') and (elevation >= 21) and not (background == 'grass')",
    ],
)
def test_a_right_filter_is_taken_in_any_form(kit, right) -> None:
    assert is_right(check.filter_finds, kit, COLLECTION, right)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"added": ..., "moved": ..., "missing": ...}, "in place of"),
        ({"added": 1}, "these three numbers"),
        ({"added": 2, "moved": 1, "missing": 1}, "added is not 2"),
        ({"added": 1, "moved": 2, "missing": 1}, "moved is not 2"),
        ({"added": 1, "moved": 1, "missing": 2}, "missing is not 2"),
        ({"added": 1, "moved": 1, "missing": 0.5}, "whole number"),
    ],
)
def test_a_wrong_prediction_of_an_ingest_gets_the_hint_that_fits(extractor, wrong, said: str) -> None:
    assert said in hint(lambda: check.second_ingest(extractor, **wrong))


@pytest.mark.parametrize("one", [1, 1.0, np.int64(1)])
def test_a_right_prediction_of_an_ingest_is_taken_in_any_form(extractor, one) -> None:
    assert is_right(lambda: check.second_ingest(extractor, added=one, moved=one, missing=one))


def split(rows, size):
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def lazily(rows, size):
    while rows:
        yield rows[:size]
        rows = rows[size:]


def stops_late(rows, size):
    yield rows[:size]
    yield rows[size:] / size


def without_end(rows, size):
    yield from split(rows, size)
    while True:
        yield []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda rows, size: None, "returns nothing"),
        (stops_late, "stops in its line `yield rows[size:] / size` (TypeError"),
        (without_end, "an empty batch"),
        (lambda rows, size: rows, "list of lists"),
        (lambda rows, size: [rows], "a batch has 10 rows"),
        (lambda rows, size: split(rows, size)[: len(rows) // size], "rows are lost"),
        (lambda rows, size: [*split(rows, size), []], "an empty batch"),
        (lambda rows, size: split(rows[::-1], size), "in their order"),
        (lambda rows, size: [[row] for row in rows], "2 are enough"),
        (lambda rows, size: rows[size + 100], "IndexError"),
    ],
)
def test_wrong_batches_get_the_hint_that_fits(wrong, said: str) -> None:
    assert said in hint(check.batches, wrong)


@pytest.mark.parametrize("right", [split, lazily, lambda rows, size: [tuple(part) for part in split(rows, size)]])
def test_right_batches_are_taken_in_any_form(right) -> None:
    assert is_right(check.batches, right)
