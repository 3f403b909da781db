"""Checks of lesson 4: distances, options, precision."""

from collections.abc import Callable, Mapping
from typing import Any

from helpers.check.answers import NotYet, call, exercise, near, number
from helpers.connect import COLLECTION
from helpers.features import FeatureExtractor
from helpers.images import DATA
from helpers.memora import Memora, MemoraError
from helpers.search import Hit, search


@exercise
def distance_to_itself(client: Memora, collection: str, answer: Any) -> str:
    """The distance of a stored picture to itself, predicted; here it is searched for."""
    predicted = number(answer)
    rows = client.vectors.query(collection_name=collection, filter="id >= 0", output_fields=["vector"])["data"]
    found = client.vectors.search(collection_name=collection, data=rows[0]["vector"], anns_field="vector", limit=1)
    distance = found["data"][0]["distance"]
    if near(predicted, 0) and not near(distance, 0):
        raise NotYet("0 would be a right angle: with COSINE `distance` is the similarity, and larger is closer.")
    if not near(predicted, distance):
        raise NotYet(f"it is not {predicted:g}: which angle does a vector have with itself, and what is its cosine?")
    return f"{distance:.2f}: a vector points exactly the same way as itself."


@exercise
def blue_from_the_second(client: Memora, extractor: FeatureExtractor, options: Mapping[str, Any]) -> str:
    """The options for the second to fourth nearest blue pictures."""
    if not isinstance(options, Mapping):
        raise NotYet(f"options is a dict, such as {{'limit': 3}}; this is {options!r}.")
    query = DATA / "queries" / "teapot_2.jpg"
    try:
        hits = search(client, query, extractor=extractor, collection=COLLECTION, **options)
    except (MemoraError, TypeError) as error:
        raise NotYet(f"search does not take these options: {getattr(error, 'message', error)}") from None
    blue = search(client, query, extractor=extractor, collection=COLLECTION, limit=4, filter='color == "blue"')
    if wrong := [hit for hit in hits if hit.metadata["color"] != "blue"]:
        raise NotYet(f"{wrong[0].path} is {wrong[0].metadata['color']}; a filter leaves only the blue ones.")
    if len(hits) != 3:
        raise NotYet(f"there are {len(hits)} hits; limit says how many.")
    if hits[0].id == blue[0].id:
        raise NotYet("the nearest blue picture is among them; offset leaves out the best.")
    if [hit.id for hit in hits] != [hit.id for hit in blue[1:]]:
        raise NotYet("blue they are, but not the second, third and fourth nearest of *all* blue pictures.")
    return "the second, third and fourth of the blue pictures."


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
