"""Checks of lesson 6: measures."""

from collections.abc import Callable

from helpers.check.answers import NotYet, call, exercise, near, number

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
