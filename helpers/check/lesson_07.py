"""Checks of lesson 7: what an index gives for what it costs."""

from collections.abc import Callable

import numpy as np

from helpers.check.answers import NotYet, call, exercise, whole

FOUND = (0.41, 0.62, 0.80, 0.80, 0.93, 0.95, 0.99, 1.0)  # recall at nprobe 1, 2, ...


@exercise
def smallest_nprobe(function: Callable[[Callable[[int], float], int, float], int]) -> str:
    """The smallest nprobe whose recall reaches a target."""
    asked = 0

    def recall_at(nprobe: int) -> float:
        nonlocal asked
        asked += 1
        if asked > 100:
            raise NotYet(f"it asks again and again, now at nprobe {nprobe}: does each step leave less to try?")
        if not isinstance(nprobe, int | np.integer) or not 1 <= nprobe <= len(FOUND):
            raise NotYet(f"it asks for the recall at nprobe {nprobe!r}; there are lists 1 to {len(FOUND)}.")
        return FOUND[nprobe - 1]

    for target, right in ((0.9, 5), (0.8, 3), (0.95, 6), (0.3, 1), (1.0, 8)):
        asked = 0
        try:
            answer = whole(call(function, recall_at, len(FOUND), target))
        except NotYet as hint:
            tried = f"for the target {target}: " if asked else ""
            raise NotYet(f"{tried}{hint}") from None
        if answer > right:
            exactly = f"{right} reaches it exactly, and that is enough" if FOUND[right - 1] == target else ""
            raise NotYet(f"for the target {target} it gives {answer}; {exactly or 'a smaller one reaches it too'}.")
        if answer < 1:
            raise NotYet(f"for the target {target} it gives {answer}; the smallest possible nprobe is 1.")
        if answer < right:
            raise NotYet(f"for the target {target} it gives {answer}; the recall there is {FOUND[answer - 1]}.")
    return "the smallest nprobe that reaches the target."
