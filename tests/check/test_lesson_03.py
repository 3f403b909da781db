import pytest

from helpers import check
from helpers.connect import COLLECTION
from tests.check.answering import hint, is_right


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("", "between the quotes"),
        (None, "text in quotes"),
        ("color == red", "does not understand"),
        ('color == "red"', "too many"),
        ('color == "red" and background != "grass" and elevation > 28', "missing"),
        ('color == "red" or background != "grass" and elevation > 20', "too many"),
        ('color == "red" and background == "grass" and elevation > 20', "too many"),
    ],
)
def test_a_wrong_filter_gets_the_hint_that_fits(kit, wrong, said: str) -> None:
    assert said in hint(check.filter_finds, kit, COLLECTION, wrong)


@pytest.mark.parametrize(
    "right",
    [
        'color == "red" and background != "grass" and elevation > 20',
        "20 < elevation && not (background in ['grass']) && color in ['red']",
        "(color == 'red') and (elevation >= 21) and not (background == 'grass')",
    ],
)
def test_a_right_filter_is_taken_in_any_form(kit, right) -> None:
    assert is_right(check.filter_finds, kit, COLLECTION, right)
