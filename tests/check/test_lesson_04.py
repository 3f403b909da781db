from fractions import Fraction

import numpy as np
import pytest

from helpers import check
from helpers.connect import COLLECTION
from tests.check.answering import hint, is_right


def share(hits, category):
    return sum(hit.category == category for hit in hits) / len(hits) if hits else 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda hits, category: None, "returns nothing"),
        (lambda hits, category: sum(hit.category == category for hit in hits), "3 is how many"),
        (lambda hits, category: sum(hit.category == category for hit in hits) / 5, "any number of hits"),
        (lambda hits, category: sum(hit.category == category for hit in hits) / len(hits), "without any hit"),
        (lambda hits, category: share(hits, "mug"), "not among the hits"),
        (lambda hits, category: share(hits, category) if hits else 1, "0, not 1"),
        (lambda hits, category: share(hits, category) or np.mean([category in h.path for h in hits] or [0]), "path"),
        (lambda hits, category: hits[0]["category"], "TypeError"),
    ],
)
def test_a_wrong_precision_gets_the_hint_that_fits(wrong, said: str) -> None:
    assert said in hint(check.precision, wrong)


@pytest.mark.parametrize(
    "right",
    [
        share,
        lambda hits, category: round(share(hits, category), 2),
        lambda hits, category: np.float32(share(hits, category)),
        lambda hits, category: Fraction(sum(hit.category == category for hit in hits), len(hits) or 1),
        lambda hits, category: np.array([hit.category == category for hit in hits] or [False]).mean(),
    ],
    ids=["plain", "rounded", "float32", "fraction", "numpy"],
)
def test_a_right_precision_is_taken_in_any_form(right) -> None:
    assert is_right(check.precision, right)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (..., "in place of"),
        (0, "right angle"),
        (0.95, "not 0.95"),
        ("one", "one number"),
        (2, "not 2"),
        ([1, 1], "one"),
    ],
)
def test_a_wrong_distance_to_itself_gets_the_hint_that_fits(kit, wrong, said: str) -> None:
    assert said in hint(check.distance_to_itself, kit, COLLECTION, wrong)


@pytest.mark.parametrize("right", [1, 1.0, np.float32(0.9999)])
def test_a_right_distance_to_itself_is_taken_in_any_form(kit, right) -> None:
    assert is_right(check.distance_to_itself, kit, COLLECTION, right)


BLUE = 'color == "blue"'


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"limit": 5}, "a filter leaves only the blue ones"),
        ({"limit": 3, "filter": BLUE}, "offset leaves out the best"),
        ({"limit": 4, "offset": 1, "filter": BLUE}, "there are 4 hits"),
        ({"limit": 3, "offset": 2, "filter": BLUE}, "not the second"),
        ({"limit": 3, "offset": 1, "filter": BLUE + ' and category != "teapot"'}, "of *all* blue"),
        ({"limit": 3, "skip": 1}, "does not take these options"),
        ({"limit": 3, "offset": 1, "filter": "color = blue"}, "does not take these options"),
        (None, "options is a dict"),
    ],
)
def test_wrong_options_get_the_hint_that_fits(kit, extractor, wrong, said: str) -> None:
    assert said in hint(check.blue_from_the_second, kit, extractor, wrong)


@pytest.mark.parametrize(
    "right",
    [
        {"limit": 3, "offset": 1, "filter": BLUE},
        {"filter": "color in ['blue']", "offset": 1, "limit": 3},
        {"limit": 3, "offset": 1, "filter": 'color == "blue" and id > 0', "radius": 0.0},
    ],
)
def test_right_options_are_taken_in_any_form(kit, extractor, right) -> None:
    assert is_right(check.blue_from_the_second, kit, extractor, right)
