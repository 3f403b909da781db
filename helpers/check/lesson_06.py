"""Checks of lesson 6: an interval, a threshold, a measure."""

from collections.abc import Callable
from typing import Any

import numpy as np

from helpers.check.answers import NotYet, call, exercise, near, number
from helpers.quality.metrics import bootstrap_interval

# answers to [True, False, True, False, False] with three relevant images in all, and what went wrong
MISTAKES = {
    5 / 6: "you divide by the relevant images that were found; the one that was not found must count: by total.",
    5 / 3: "the sum is right; divide it by total.",
    1 / 3: "you divide by the number of hits; divide by total, the relevant images there are.",
    2 / 5: "that is precision at 5; you want the precision at the rank of each relevant hit, and their mean.",
    2 / 3: "that is recall at 5; you want the precision at the rank of each relevant hit, and their mean.",
    1 / 9: "a relevant hit counts in its own precision: count it first, then divide by the rank.",
}


@exercise
def width_with_four_times(values: np.ndarray, groups: np.ndarray, answer: Any) -> str:
    """How wide an interval is with four times as many groups, as a fraction of now, predicted; here it is drawn."""
    predicted = number(answer)
    now = bootstrap_interval(values, groups)
    names = np.concatenate([[f"{group} {copy}" for group in groups] for copy in range(4)])
    then = bootstrap_interval(np.tile(values, 4), names, draws=2_000)
    ratio = (then.high - then.low) / (now.high - now.low)
    if near(predicted, 1):
        raise NotYet("1 is as wide as now; more queries say more.")
    if near(predicted, 0.25) or near(predicted, 4):
        raise NotYet("it does not change as the number of queries does: what falls with the *square root* of it?")
    if predicted > 1:
        raise NotYet(f"{predicted:g} times as wide would be less sure; more queries say more.")
    if abs(predicted - ratio) > 0.1:
        raise NotYet(f"not {predicted:g}: the width falls with the square root of the number of queries.")
    return f"drawn here, it is {ratio:.2f} times as wide."


@exercise
def threshold_without_alarms(copies: np.ndarray, strangers: np.ndarray, answer: Any) -> str:
    """A threshold that lets no stranger in, and as many of the copies as possible."""
    chosen = number(answer)
    let_in = int((strangers >= chosen).sum())
    if let_in:
        raise NotYet(f"{let_in} of {len(strangers)} strangers have a similarity of {chosen:g} or more: go higher.")
    best = int((copies > strangers.max()).sum())
    passed = int((copies >= chosen).sum())
    if passed < best:
        raise NotYet(f"no stranger passes, but only {passed} copies do; {best} are possible: go lower.")
    return f"{passed} of {len(copies)} copies are recognised, and no stranger is let in."


@exercise
def average_precision(function: Callable[[list[bool], int], float]) -> str:
    """Average precision of one ranking, divided by all relevant images."""
    answer = number(call(function, [True, False, True, False, False], 3))
    for wrong, hint in MISTAKES.items():
        if near(answer, wrong, 0.002):
            raise NotYet(hint)
    if not near(answer, 5 / 9):
        raise NotYet(f"right hits at ranks 1 and 3, three in all: (1/1 + 2/3) / 3 = 0.56, not {answer:.2f}.")
    for nothing in ([False, False], []):
        if not near(call(function, nothing, 2), 0):
            raise NotYet(f"for {nothing}, where nothing is found, it should be 0.")
    for right, total, wanted in (([True, True], 2, 1.0), ([False, True], 1, 0.5)):
        if not near(call(function, right, total), wanted):
            raise NotYet(f"for {right} with {total} relevant in all it should be {wanted}: check the ranks.")
    if not near(call(function, [True, False], 4), 0.25):
        raise NotYet("one hit found of four relevant images is 1/4, though only two hits were looked at.")
    if near(call(function, [False, True, True], 2), 2 / 3):
        raise NotYet("you take the best precision from each rank on (*interpolated*); take it at the rank itself.")
    if not near(call(function, [False, True, True], 2), 7 / 12):
        raise NotYet("for [False, True, True] with 2 relevant in all it should be (1/2 + 2/3) / 2 = 0.58.")
    return "each relevant hit's precision, divided by all relevant images."
