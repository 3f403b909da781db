"""Checks of lesson 5: a session by hand."""

from helpers.check.answers import NotYet, exercise
from helpers.explore import SearchSession


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
    if extra := sorted(allowed.keys() - {"color", "category"}):
        raise NotYet(f"you filter by {extra[0]!r} as well; color and category are enough.")
    if session.settings.least_similarity is not None:
        raise NotYet("a least similarity leaves out hits as well: session.change(least_similarity=None).")
    return f"the red thing most like it that is no mug is a {session.hits[0].category}."
