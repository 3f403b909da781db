import numpy as np
import pytest

from helpers import check
from tests.check.answering import hint, is_right


def unit(vector):
    return vector / vector.norm()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda hidden: None, "returns nothing"),
        (lambda hidden: "a vector", "numbers is wanted"),
        (lambda hidden: hidden[0, 1:].mean(dim=0), "divide by it"),
        (lambda hidden: unit(hidden[0].mean(dim=0)), "CLS token, number 0"),
        (lambda hidden: unit(hidden[0, 0]), "CLS token itself"),
        (lambda hidden: unit(hidden[:, 1:].mean(dim=1)), "one level too deep"),
        (lambda hidden: unit(hidden[0, 1:].mean(dim=1)), "(256,)"),
        (lambda hidden: unit(hidden[0, 1:].amax(dim=0)), "average over the tokens"),
        (lambda hidden: hidden[0, 1:].mean(dim=0) / 0, "differs"),
        (lambda hidden: hidden.nothing, "AttributeError"),
    ],
)
def test_a_wrong_pooling_gets_the_hint_that_fits(wrong, said: str) -> None:
    assert said in hint(check.mean_pooling, wrong)


@pytest.mark.parametrize(
    "right",
    [
        lambda hidden: unit(hidden[0, 1:].mean(dim=0)),
        lambda hidden: unit(hidden[0, 1:].sum(dim=0)).numpy(),
        lambda hidden: unit(hidden[0, 1:].mean(dim=0)).tolist(),
        lambda hidden: (lambda m: m / np.linalg.norm(m))(np.asarray(hidden, dtype=np.float64)[0, 1:].mean(axis=0)),
    ],
    ids=["tensor", "array", "list", "float64"],
)
def test_a_right_pooling_is_taken_in_any_form(right) -> None:
    assert is_right(check.mean_pooling, right)
