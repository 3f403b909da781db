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


def ranged(session):
    right(session)
    session.between("elevation", 0, 80)


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
        (ranged, "you filter by 'elevation' as well"),
        (cropped, "part of the picture"),
        (least, "least similarity"),
    ],
    ids=["nothing", "another", "mugs", "too few kinds", "extra filter", "range", "crop", "least"],
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


MUG = DATA / "queries" / "mug_1.jpg"
PART = (40, 40, 300, 300)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("", "into the quotes"),
        (..., "into the quotes"),
        ("vase", "not a vase"),
        ("cup", "none of"),
        (5, "none of"),
        ("a mug", "none of"),
    ],
)
def test_a_wrong_category_of_a_part_gets_the_hint_that_fits(session, wrong, said: str) -> None:
    assert said in hint(check.category_of_a_part, session, MUG, PART, wrong)


@pytest.mark.parametrize("right", ["mug", "Mug", " mug "])
def test_a_right_category_of_a_part_is_taken_in_any_form(session, right) -> None:
    assert is_right(check.category_of_a_part, session, MUG, PART, right)
    assert session.query.box is None, "the learner's session stays as it is"


def observing(slider, session):
    slider.observe(lambda change: session.change(limit=change["new"]), "value")


def observing_by_value(slider, session):
    def moved(change):
        session.change(limit=slider.value)

    slider.observe(moved, names="value")
    return slider


def observing_everything(slider, session):
    slider.observe(lambda change: session.change(limit=slider.value))


def late_mistake(slider, session):
    def moved(change):
        session.change(limit=change.neu)

    slider.observe(moved, "value")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (None, "should be a function"),
        (lambda slider, session: None, "still shows 5"),
        (lambda slider, session: session.change(limit=slider.value), "still shows 5"),
        (lambda slider, session: slider.observe(lambda change: session.change(limit=change["old"]), "value"), "shows"),
        (lambda slider, session: slider.watch(session), "AttributeError"),
        (lambda slider: None, "can't be called"),
        (late_mistake, "session.change(limit=change.neu)"),
    ],
)
def test_a_slider_that_changes_nothing_gets_the_hint_that_fits(kit, extractor, wrong, said: str) -> None:
    assert said in hint(check.slider_changes_session, wrong, kit, extractor)


@pytest.mark.parametrize("right", [observing, observing_by_value, observing_everything])
def test_a_slider_that_changes_the_session_is_taken_in_any_form(kit, extractor, right) -> None:
    assert is_right(check.slider_changes_session, right, kit, extractor)
