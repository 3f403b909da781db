"""Checks of lesson 2: from a network to one vector."""

from collections.abc import Callable
from typing import Any

import numpy as np

from helpers.check.answers import NotYet, call, exercise, same_direction, vector
from helpers.features.faster import import_torch


@exercise
def mean_pooling(pool: Callable[[Any], Any]) -> str:
    """The mean of the patch tokens, as one unit vector."""
    hidden = import_torch().from_numpy(np.random.default_rng(0).normal(size=(1, 257, 384)).astype(np.float32))
    answer = vector(call(pool, hidden), 384)
    tokens = hidden[0].double().numpy()
    patches = tokens[1:].mean(0)
    if not same_direction(answer, patches):
        if same_direction(answer, tokens.mean(0)):
            raise NotYet("the CLS token, number 0, is in your mean; the patch tokens begin at 1.")
        if same_direction(answer, tokens[0]):
            raise NotYet("that is the CLS token itself; this time the patch tokens are wanted, those from 1 on.")
        raise NotYet("the direction differs from that of the patch tokens' mean: average over the tokens, axis 1.")
    if abs(np.linalg.norm(answer) - 1) > 1e-4:
        raise NotYet(f"the direction is right, the length is {np.linalg.norm(answer):.3f}: divide by it.")
    return "the patch tokens' mean, of length 1."
