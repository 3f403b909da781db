import numpy as np
import pytest

from helpers import check
from helpers.images import load_folder
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


@pytest.fixture(scope="module")
def model():
    from transformers import Dinov2Config, Dinov2Model

    return Dinov2Model(Dinov2Config(hidden_size=32, num_attention_heads=2, num_hidden_layers=1, patch_size=14)).eval()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (..., "in place of"),
        (400, "one token more"),
        (20, "side by side"),
        (257, "how many fit into 280 x 280"),
        ("many", "one number is wanted"),
        (20.5, "whole number"),
    ],
)
def test_a_wrong_number_of_tokens_gets_the_hint_that_fits(model, wrong, said: str) -> None:
    assert said in hint(check.number_of_tokens, model, 280, wrong)


@pytest.mark.parametrize("right", [401, 401.0, np.array(20 * 20 + 1)])
def test_a_right_number_of_tokens_is_taken_in_any_form(model, right) -> None:
    assert is_right(check.number_of_tokens, model, 280, right)


VASE, MUG, GUITAR = "images/vase/vase_01.jpg", "images/mug/mug_08.jpg", "images/guitar/guitar_01.jpg"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("", MUG), "there is no picture"),
        ((VASE, VASE), "two different kinds"),
        ((VASE, VASE.replace("01", "02")), "two different kinds"),
        ((VASE, GUITAR), "more than 0.45 is wanted"),
        ((GUITAR, None), "there is no picture None"),
    ],
)
def test_what_is_no_look_alike_gets_the_hint_that_fits(extractor, wrong, said: str) -> None:
    assert said in hint(check.look_alike, extractor, load_folder(), *wrong)


def test_look_alikes_are_taken_in_any_order(extractor) -> None:
    assert is_right(check.look_alike, extractor, load_folder(), VASE, MUG)
    assert is_right(check.look_alike, extractor, load_folder(), MUG, VASE)
