"""Checks of lesson 9: whom a learned projection helps, how many candidates are enough, query expansion."""

from collections.abc import Callable
from typing import Any

import numpy as np

from helpers.check.answers import NotYet, call, choice, exercise, vector, whole
from helpers.indexing.compress import Way, again, nearest_rows
from helpers.nearest import rank, unit
from helpers.quality.improve import learned_projection
from helpers.quality.metrics import average_precision, index_recall

ENOUGH = 0.9  # recall of the exact ten
FEW = 100  # candidates that are never too many


@exercise
def who_gains(
    vectors: np.ndarray,
    categories: np.ndarray,
    queries: np.ndarray,
    kinds: np.ndarray,
    validation: np.ndarray,
    *,
    answer: Any,
) -> str:
    """Whose mAP rises with a projection learned from the test kinds' labels, predicted; here it is learned."""
    predicted = choice(answer, ("validation", "test", "both", "neither"))
    seen = np.isin(categories, kinds[~validation])
    projection = learned_projection(vectors[seen], categories[seen])
    total = (categories == kinds[:, None]).sum(1)
    before, after = (
        average_precision(categories[rank(asked, stored)] == kinds[:, None], total)
        for asked, stored in ((queries, vectors), (unit(queries @ projection), unit(vectors @ projection)))
    )
    gains = {"validation": (after - before)[validation].mean(), "test": (after - before)[~validation].mean()}
    rising = [name for name, gained in gains.items() if gained > 0]
    truth = {0: "neither", 2: "both"}.get(len(rising), rising[0] if rising else "")
    if predicted != truth:
        raise NotYet(
            f"not {predicted!r}: which kinds' labels does it see now, and what did it do for the others before?"
        )
    return f"validation {gains['validation']:+.2f}, test {gains['test']:+.2f}: the mAP rises for {truth}."


@exercise
def enough_candidates(way: Way, vectors: np.ndarray, queries: np.ndarray, answer: Any) -> str:
    """How many hits of the first step to compare again, so that nine of the exact ten are found."""
    candidates = whole(answer)
    if not 10 <= candidates <= len(vectors):
        raise NotYet(f"from 10, which are wanted, to all {len(vectors):,} can be compared again; not {candidates:,}.")
    exact = nearest_rows(queries, vectors, 10).tolist()

    def recall(count: int) -> float:
        return float(index_recall(again(way, vectors, count).search(queries, 10).tolist(), exact).mean())

    found = recall(candidates)
    if found < ENOUGH:
        raise NotYet(f"with {candidates:,} candidates the recall is {found:.2f}; {ENOUGH} is wanted: take more.")
    if candidates > FEW and recall(candidates // 2) >= ENOUGH:
        raise NotYet(f"the recall is {found:.2f}, but half as many candidates are enough too: take fewer.")
    return f"{candidates:,} candidates, {candidates / len(vectors):.1%} of all: recall {found:.2f}."


@exercise
def expansion(function: Callable[[np.ndarray, np.ndarray, int], np.ndarray]) -> str:
    """The mean of a query and its k nearest vectors, brought to unit length."""
    rng = np.random.default_rng(0)
    stored, query = unit(rng.normal(size=(20, 6))), unit(rng.normal(size=6))
    order = rank(query[None], stored)[0]
    for k in (3, 1, 0):
        answer = vector(call(function, query.copy(), stored.copy(), k), 6)
        right = unit(query + stored[order[:k]].sum(0))
        mistakes = [
            (stored[order[:k]].sum(0), "the query itself is missing in the mean."),
            (query + stored[:k].sum(0), "you take the first k rows; the k *nearest* are wanted."),
            (query + stored[order[::-1][:k]].sum(0), "you take the farthest: the nearest have the largest product."),
            (query + stored[order[: k + 1]].sum(0), f"for k = {k} you take {k + 1} hits."),
            (
                query + stored[order[:k]].sum(0) / max(k, 1),
                "the query counts as much as all hits together; let each count the same.",
            ),
        ]
        if not np.allclose(unit(answer), right, atol=1e-3):
            for wrong, hint in mistakes:
                if np.linalg.norm(wrong) > 0 and np.allclose(unit(answer), unit(wrong), atol=1e-3):
                    raise NotYet(hint)
            raise NotYet(f"for k = {k} it is not the mean of the query and its {k} nearest vectors.")
        if not np.isclose(np.linalg.norm(answer), 1, atol=1e-3):
            raise NotYet(f"the direction is right, the length is {np.linalg.norm(answer):.2f}: bring it to 1.")
    return "the query and its hits, and with k = 0 the query alone."
