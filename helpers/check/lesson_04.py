"""Checks of lesson 4: what a search gives."""

from collections.abc import Callable

from helpers.check.answers import NotYet, call, exercise, near, number
from helpers.search import Hit


@exercise
def precision(function: Callable[[list[Hit], str], float]) -> str:
    """Precision@k of one query's hits."""
    hits = _hits("mug", "vase", "mug", "mug", "bucket")
    answer = number(call(function, hits, "mug"))
    if answer == 3:
        raise NotYet("3 is how many are right; precision is what fraction of the hits is right.")
    if not near(answer, 0.6):
        raise NotYet(f"of mug, vase, mug, mug, bucket three in five are mugs: 0.6, not {answer:g}.")
    if not near(call(function, hits[:2], "mug"), 0.5):
        raise NotYet("it must work for any number of hits: divide by how many there are.")
    if not near(call(function, hits, "sailboat"), 0):
        raise NotYet("for a category that is not among the hits it must be 0.")
    if near(call(function, _hits("mug", "mug", path="photos/{}.jpg"), "photo"), 1):
        raise NotYet("you look into the path; a hit's own category is in hit.category.")
    try:
        none = number(call(function, [], "mug"))
    except NotYet as hint:
        raise NotYet(f"without any hit it should be 0; {hint}") from None
    if none != 0:
        raise NotYet(f"without any hit it should be 0, not {none:g}.")
    return "the fraction of the hits that has the query's category."


def _hits(*kinds: str, path: str = "images/{}.jpg") -> list[Hit]:
    return [Hit(n, 1 - n / 10, n, path.format(n), {"category": kind}) for n, kind in enumerate(kinds, start=1)]
