"""Checks of lesson 7: what an index gives for what it costs."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from helpers.check.answers import NotYet, call, choice, exercise, whole
from helpers.indexing.size import size

FAULTS = {  # whose, and a hint at it
    "teapot 1": ("embedding", "is it among the exact four? Then would another index leave it out?"),
    "vase 2": ("index", "would exact search have found it?"),
    "mug 8": ("index", "exact search finds it, so its vector is near enough."),
}
FOUND = (0.41, 0.62, 0.80, 0.80, 0.93, 0.95, 0.99, 1.0)  # recall at nprobe 1, 2, ...


@exercise
def comparisons(*, count: int, nlist: int, nprobe: int, answer: Any) -> str:
    """How many comparisons a search in lists of equal size makes, predicted."""
    predicted, in_lists = whole(answer), nprobe * count // nlist
    if predicted == in_lists:
        raise NotYet(f"{in_lists} vectors lie in {nprobe} lists; what is the query compared with before that?")
    if predicted == nlist:
        raise NotYet(f"{nlist} are the centers; what of the vectors in the lists that are searched?")
    if predicted in (count, count + nlist):
        raise NotYet(f"that is every vector; only {nprobe} of {nlist} lists are searched.")
    if predicted == count // nlist + nlist:
        raise NotYet(f"that is one list and the centers; nprobe is {nprobe}.")
    if predicted != nlist + in_lists:
        raise NotYet(f"not {predicted}: how many vectors are in a list, how many lists are searched, how many centers?")
    return f"{nlist} centers and {in_lists} vectors, {predicted / count:.0%} of what FLAT compares."


@exercise
def plan_fits(plan: Mapping[str, Any], *, memory_gb: float) -> str:
    """A plan for four million vectors that fits into a machine's memory."""
    if not isinstance(plan, Mapping) or plan.keys() != {"count", "dim", "index_type", "replicas"}:
        raise NotYet("plan is a dict with count, dim, index_type and replicas.")
    if whole(plan["count"]) != 4_000_000:
        raise NotYet("the four million vectors must stay: nobody wants to lose pictures.")
    try:
        needs = size(4_000_000, whole(plan["dim"]), plan["index_type"], replicas=whole(plan["replicas"]))
    except ValueError as error:
        raise NotYet(f"that can't be: {error}.") from None
    if whole(plan["dim"]) < 32:
        raise NotYet(f"{plan['dim']} numbers hardly tell pictures apart: see lesson 5's map, which has 2.")
    gigabytes = needs.memory / 1e9
    if gigabytes > memory_gb:
        raise NotYet(f"it needs {gigabytes:.1f} GB of memory, {memory_gb:g} are there.")
    return f"it needs {gigabytes:.1f} of {memory_gb:g} GB."


@exercise
def whose_fault(faults: Mapping[str, Any]) -> str:
    """Whether the embedding or the index is to blame for two wrong hits and a missing one."""
    if not isinstance(faults, Mapping) or faults.keys() != FAULTS.keys():
        raise NotYet(f"faults is a dict with {', '.join(FAULTS)}.")
    for hit, (right, hint) in FAULTS.items():
        if choice(faults[hit], ("index", "embedding")) != right:
            raise NotYet(f"{hit}: {hint}")
    return "what exact search does too is the embedding's fault; only the rest is the index's."


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
