from fractions import Fraction

import numpy as np
import pytest

from helpers import check
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
