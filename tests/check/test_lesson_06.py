from fractions import Fraction

import numpy as np
import pytest

from helpers import check
from helpers.quality.metrics import average_precision
from tests.check.answering import hint, is_right


def running(relevant, total):
    found, precisions = 0, []
    for rank_, right in enumerate(relevant, start=1):
        if right:
            found += 1
            precisions.append(found / rank_)
    return sum(precisions) / total


def late(relevant, total):
    found, precisions = 0, []
    for rank_, right in enumerate(relevant, start=1):
        if right:
            precisions.append(found / rank_)
            found += 1
    return sum(precisions) / total


def interpolated(relevant, total):
    precisions = [sum(relevant[:rank]) / rank for rank in range(1, len(relevant) + 1)]
    return sum(max(precisions[i:]) for i, right in enumerate(relevant) if right) / total


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (..., "a function is wanted"),
        (lambda relevant, total: ..., "write your answer"),
        (lambda relevant, total: None, "returns nothing"),
        (lambda relevant, total: [0.5, 0.1], "one number is wanted"),
        (lambda relevant: 0.5, "can't be called"),
        (lambda relevant, total: running(relevant, max(1, sum(relevant))), "by total"),
        (lambda relevant, total: running(relevant, min(total, len(relevant)) or 1), "one hit found of four"),
        (lambda relevant, total: running(relevant, 1), "divide it by total"),
        (lambda relevant, total: running(relevant, max(1, len(relevant))), "number of hits"),
        (lambda relevant, total: sum(relevant) / max(1, len(relevant)), "precision at 5"),
        (lambda relevant, total: sum(relevant) / total, "recall at 5"),
        (lambda relevant, total: sum(1 / rank for rank in range(3)), "ZeroDivisionError"),
        (late, "count it first"),
        (interpolated, "interpolated"),
        (lambda relevant, total: 0.9, "not 0.90"),
        (lambda relevant, total: float("nan"), "NaN"),
        (lambda relevant, total: running(relevant, total) if any(relevant) else 1.0, "it should be 0"),
        (lambda relevant, total: running(relevant, total) / (1 if sum(relevant) else 0), "ZeroDivisionError"),
        (lambda relevant, total: 5 / 9 if len(relevant) == 5 else 0, "check the ranks"),
    ],
)
def test_a_wrong_average_precision_gets_the_hint_that_fits(wrong, said: str) -> None:
    assert said in hint(check.average_precision, wrong)


@pytest.mark.parametrize(
    "right",
    [
        running,
        lambda relevant, total: round(running(relevant, total), 2),
        lambda relevant, total: np.array(running(relevant, total)),
        lambda relevant, total: Fraction(running(relevant, total)),
        lambda relevant, total: average_precision(np.array([relevant], bool), total),
    ],
    ids=["plain", "rounded", "array", "fraction", "the kit's"],
)
def test_a_right_average_precision_is_taken_in_any_form(right) -> None:
    assert is_right(check.average_precision, right)


GROUPS = np.repeat(np.arange(30), 2)
VALUES = np.clip(np.repeat(np.random.default_rng(0).normal(0.9, 0.1, 30), 2), 0, 1)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (..., "in place of"),
        (1, "as wide as now"),
        (0.25, "square root"),
        (2, "less sure"),
        (0.8, "not 0.8"),
        ("half", "a str"),
    ],
)
def test_a_wrong_width_gets_the_hint_that_fits(wrong, said: str) -> None:
    assert said in hint(check.width_with_four_times, VALUES, GROUPS, wrong)


@pytest.mark.parametrize("right", [0.5, Fraction(1, 2), np.float32(0.5)])
def test_a_right_width_is_taken_in_any_form(right) -> None:
    assert is_right(check.width_with_four_times, VALUES, GROUPS, right)


COPIES, STRANGERS = np.array([0.7, 0.85, 0.9, 0.95]), np.array([0.5, 0.6, 0.8])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (..., "in place of"),
        (0.8, "1 of 3 strangers"),
        (0.5, "3 of 3 strangers"),
        (0.92, "only 1 copies do; 3 are possible"),
        (1.5, "go lower"),
        ([0.81, 0.82], "a list"),
        (float("nan"), "NaN"),
    ],
)
def test_a_wrong_threshold_gets_the_hint_that_fits(wrong, said: str) -> None:
    assert said in hint(check.threshold_without_alarms, COPIES, STRANGERS, wrong)


@pytest.mark.parametrize("right", [0.801, 0.85, np.nextafter(0.8, 1), np.array(0.82)])
def test_a_right_threshold_is_taken_in_any_form(right) -> None:
    assert is_right(check.threshold_without_alarms, COPIES, STRANGERS, right)
