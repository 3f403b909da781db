import pytest

from helpers import check
from helpers.explore import SearchSession
from helpers.images import DATA
from tests.check.answering import hint, is_right


@pytest.fixture
def session(kit, extractor) -> SearchSession:
    session = SearchSession(kit, extractor)
    session.ask(DATA / "queries" / "mug_2.jpg")
    return session


def others(session):
    return [kind for kind in session.choices["category"] if kind != "mug"]


def right(session):
    session.allow("color", "red")
    session.allow("category", *others(session))


def extra(session):
    right(session)
    session.allow("background", *session.choices["background"][:2])


def cropped(session):
    right(session)
    session.crop((0, 0, 200, 200))


def least(session):
    right(session)
    session.change(least_similarity=0.2)


@pytest.mark.parametrize(
    ("do", "said"),
    [
        (lambda s: None, "allow only one color"),
        (lambda s: s.ask(DATA / "queries" / "mug_1.jpg"), "another picture"),
        (lambda s: s.allow("color", "red"), "mug is among the hits"),
        (lambda s: (s.allow("color", "red"), s.allow("category", *others(s)[:3])), "you left out more"),
        (extra, "as well; color and category are enough"),
        (cropped, "part of the picture"),
        (least, "least similarity"),
    ],
    ids=["nothing", "another", "mugs", "too few kinds", "extra filter", "crop", "least"],
)
def test_a_session_that_is_not_right_gets_the_hint_that_fits(session, do, said: str) -> None:
    do(session)
    assert said in hint(check.red_but_no_mug, session)


def test_a_right_session_is_taken_in_any_form(session) -> None:
    assert "another" not in hint(check.red_but_no_mug, None)
    right(session)
    assert is_right(check.red_but_no_mug, session)
    session.change(limit=3)
    assert is_right(check.red_but_no_mug, session)
    session.change(allowed={"category": tuple(reversed(others(session))), "color": ("red",), "background": ()})
    assert is_right(check.red_but_no_mug, session)
