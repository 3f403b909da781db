"""What all checks share: an answer in any form is read, and every mistake becomes a hint."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from helpers.check.answers import NotYet, number, whole


@pytest.mark.parametrize(
    "half",
    [
        0.5,
        Fraction(1, 2),
        np.float32(0.5),
        np.array([[0.5]]),
        torch.tensor([0.5]),
        torch.tensor(0.5, requires_grad=True),
        torch.tensor(0.5, dtype=torch.bfloat16),
    ],
)
def test_a_number_is_taken_in_any_form(half) -> None:
    assert number(half) == 0.5


@pytest.mark.parametrize("other", [True, "0.5", [0.5], [[1], [2, 3]], {}, 1j, np.ones(2), torch.ones(2), 10**400])
def test_what_is_not_one_number_gets_a_hint_and_no_traceback(other) -> None:
    with pytest.raises(NotYet, match="one number is wanted; this is a"):
        number(other)


def test_infinity_is_not_taken_for_a_whole_number() -> None:
    assert whole(3.0) == 3
    with pytest.raises(NotYet, match="a whole number is wanted, not inf"):
        whole(np.float64("inf"))
