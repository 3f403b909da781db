"""Checks of lesson 8: directions between names, names for what has none, ranks of two searches merged."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from helpers.check.answers import NotYet, call, exercise, near, number
from helpers.features import Words
from helpers.memora import Memora

RANKINGS: tuple[tuple[list[int], list[int]], ...] = (
    ([1, 2, 3], [3, 4, 5]),
    ([7, 8], [9, 8, 6, 5]),
    ([*range(60), 99], [*range(500, 561), 99]),  # 99 comes first, but with another k or with ranks from 0 it does not
    ([4, 2], []),
)


@exercise
def cosine_to_the_mean(words: Words, one: str, other: str, answer: Any) -> str:
    """The cosine of a name with the mean of two names, predicted."""
    predicted, truth = number(answer), (words.embed(one, other) @ words.embed(one)[0]).item()
    between = (words.embed(one) @ words.embed(other)[0]).item()
    if not -1 <= predicted <= 1:
        raise NotYet(f"a cosine lies between -1 and 1, and {predicted:g} does not.")
    if near(predicted, (1 + between) / 2, 0.02):
        raise NotYet("that holds for the plain mean, which is shorter than 1; embed brings it to unit length.")
    if near(predicted, between, 0.02):
        raise NotYet("that is the cosine of the two names; their mean lies halfway between them, so nearer to each.")
    if near(predicted, 1):
        raise NotYet("1 would be the same direction; the other name pulls the mean away.")
    if not near(predicted, truth, 0.02):
        raise NotYet(f"it is not {predicted:g}: draw two arrows at a wide angle, and the one that halves the angle.")
    return f"{truth:.2f}, for each of the two names: the mean halves the angle between them."


@exercise
def cactus_by_name(client: Memora, words: Words, names: Any, collection: str) -> str:
    """Names that find only cactuses, for which there is no name."""
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names) or not names:
        raise NotYet(f"names is a list of names, such as ['vase']; this is {names!r}.")
    try:
        vector = words.embed(*names)
    except ValueError as error:
        raise NotYet(str(error)) from None
    found = client.vectors.search(
        collection_name=collection, data=vector, anns_field="vector", limit=10, output_fields=["category"]
    )
    kinds = [hit["category"] for hit in found["data"]]
    if others := [kind for kind in kinds if kind != "cactus"]:
        raise NotYet(
            f"{kinds.count('cactus')} of the first 10 are cactuses; the first other one is a {others[0]}. "
            "What does the network call a cactus? Take that name, and no other."
        )
    return f"ten cactuses. The network calls them {' and '.join(names)}: you must know that to find them."


@exercise
def merged_ranks(function: Callable[[list[int], list[int]], list[int]]) -> str:
    """Two rankings merged by reciprocal rank fusion."""
    for first, second in RANKINGS:
        given = list(first), list(second)
        answer = call(function, *given)
        if given != (first, second):
            raise NotYet("it changes the lists that it was given; make new ones.")
        try:
            ids = [int(one) for one in answer]
        except (TypeError, ValueError):
            raise NotYet(f"a list of ids is wanted, best first; this is {answer!r}.") from None
        wanted, shown = _fused(first, second), f"{_short(first)} and {_short(second)}"
        if len(ids) != len(set(ids)):
            raise NotYet(f"from {shown} it makes {_short(ids)}: an id in both lists comes once, with one score.")
        if set(ids) != set(wanted):
            raise NotYet(f"from {shown} it makes {_short(ids)}: each id that is in either list belongs there.")
        if list(reversed(ids)) == wanted:
            raise NotYet(f"from {shown} it makes {_short(ids)}: the largest score comes first.")
        if ids[0] != wanted[0]:
            raise NotYet(f"from {shown}: {wanted[0]} comes first, not {ids[0]}. Add up 1 / (60 + rank), ranks from 1.")
        scores = [_score(one, first, second) for one in ids]
        if any(later > earlier for earlier, later in itertools.pairwise(scores)):
            raise NotYet(f"from {shown} it makes {_short(ids)}: by their scores it is {_short(wanted)}.")
    return "one ranking of two, by their ranks alone."


def _score(one: int, *rankings: list[int]) -> float:
    return math.fsum(1 / (61 + ranking.index(one)) for ranking in rankings if one in ranking)


def _fused(*rankings: list[int]) -> list[int]:
    ids = dict.fromkeys(one for ranking in rankings for one in ranking)
    return sorted(ids, key=lambda one: -_score(one, *rankings))


def _short(ids: list[int]) -> str:
    return str(ids) if len(ids) < 9 else f"[{', '.join(map(str, ids[:3]))}, ..., {ids[-1]}]"
