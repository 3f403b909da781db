"""Checks of lesson 5: a session by hand, and a widget that changes it."""

import functools
from collections.abc import Callable
from typing import Any

from helpers.check.answers import NotYet, call, choice, exercise
from helpers.explore import SearchSession
from helpers.features import FeatureExtractor
from helpers.images import DATA, Source
from helpers.memora import Memora


@exercise
def category_of_a_part(session: SearchSession, picture: Source, box: tuple[int, int, int, int], answer: Any) -> str:
    """The category of the first hit of a part of a picture, predicted; here a session of its own searches for it."""
    if answer in ("", None, ...):
        raise NotYet("write a category into the quotes, such as 'vase'.")
    predicted = choice(answer, tuple(session.choices["category"]))
    other = SearchSession(session.client, session.extractor, collection=session.collection, root=session.root)
    other.ask(picture)
    other.crop(box)
    if not other.hits:
        raise NotYet(f"the search finds nothing. It says: {other.message}")
    if predicted != other.hits[0].category:
        raise NotYet(f"the first hit is not a {predicted}: look at what the box leaves of the picture.")
    return f"the first hit is a {predicted}."


@exercise
def slider_changes_session(
    connect: Callable[[Any, SearchSession], Any], client: Memora, extractor: FeatureExtractor
) -> str:
    """A function that makes a slider change how many hits a session shows."""
    import ipywidgets as widgets

    if not callable(connect):
        raise NotYet("connect_slider should be a function of a slider and a session.")
    session, slider = SearchSession(client, extractor), widgets.IntSlider(value=5, min=1, max=10)
    session.change(limit=5)
    session.ask(DATA / "queries" / "mug_1.jpg")
    call(lambda: (connect(slider, session), "it may return nothing"), inside=connect)
    for number in (3, 7, 1):
        call(functools.partial(_move, slider, number), inside=connect)
        if session.settings.limit == 5:
            raise NotYet(f"the slider stands at {number}, and the session still shows 5: slider.observe(..., 'value')?")
        if session.settings.limit != number or len(session.hits) != number:
            raise NotYet(f"the slider stands at {number}, and the session shows {len(session.hits)} hits.")
    if session.query is None or session.query.name != "mug_1.jpg":
        raise NotYet("the session searches by another picture now; only the limit should change.")
    return "whoever moves the slider, a person or a program, changes the session."


def _move(slider: Any, number: int) -> bool:
    slider.value = number
    return True


@exercise
def red_but_no_mug(session: SearchSession) -> str:
    """The session stands at mug_2.jpg, and shows red things of which none is a mug, whatever else they are."""
    if not isinstance(session, SearchSession):
        raise NotYet("pass the session itself: check.red_but_no_mug(session).")
    if session.query is None or session.query.name != "mug_2.jpg":
        raise NotYet("the session searches by another picture: ask for DATA / 'queries' / 'mug_2.jpg'.")
    if session.query.box:
        raise NotYet("the session searches by a part of the picture: session.crop(None) takes the whole again.")
    if not session.hits:
        raise NotYet(f"there is no hit. The session says: {session.message}")
    if wrong := [hit for hit in session.hits if hit.metadata.get("color") != "red"]:
        raise NotYet(f"{wrong[0].path} is {wrong[0].metadata.get('color')}; allow only one color.")
    if any(hit.category == "mug" for hit in session.hits):
        raise NotYet("a mug is among the hits: allow every category in session.choices['category'] but this one.")
    allowed = {field: set(values) for field, values in session.settings.allowed.items() if values}
    others = set(session.choices["category"]) - {"mug"}
    if "category" not in allowed or "mug" in allowed["category"]:
        raise NotYet("no mug is shown by luck only: with more results there would be one.")
    if allowed["category"] < others:
        raise NotYet(f"you left out more than the mugs: {', '.join(sorted(others - allowed['category']))} too.")
    if extra := sorted((allowed.keys() | session.settings.ranges.keys()) - {"color", "category"}):
        raise NotYet(f"you filter by {extra[0]!r} as well; color and category are enough.")
    if session.settings.least_similarity is not None:
        raise NotYet("a least similarity leaves out hits as well: session.change(least_similarity=None).")
    return f"the red thing most like it that is no mug is a {session.hits[0].category}."
