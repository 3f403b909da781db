"""Checks of lesson 2: from a picture to one vector."""

from collections.abc import Callable
from typing import Any

import numpy as np

from helpers.check.answers import NotYet, call, exercise, same_direction, vector, whole
from helpers.features import FeatureExtractor
from helpers.features.faster import import_torch
from helpers.images import ImageFolder

LOOK_ALIKE = 0.45  # the similarity from which on two pictures of different kinds are look-alikes here


@exercise
def number_of_tokens(model: Any, side: int, answer: Any) -> str:
    """How many tokens a vision transformer makes of a square picture, predicted; here it is run."""
    predicted = whole(answer)
    torch = import_torch()

    with torch.inference_mode():
        tokens = model(pixel_values=torch.zeros(1, 3, side, side)).last_hidden_state.shape[1]
    if predicted == tokens - 1:
        raise NotYet(f"{predicted} are the patches; one token more is put in front of them.")
    if predicted == round((tokens - 1) ** 0.5):
        raise NotYet(f"{predicted} patches stand side by side; how many are that in rows and columns?")
    if predicted != tokens:
        patch = model.config.patch_size
        raise NotYet(f"a patch is {patch} x {patch} pixels: how many fit into {side} x {side}?")
    return f"{tokens - 1} patches and CLS are {tokens} tokens."


@exercise
def look_alike(extractor: FeatureExtractor, folder: ImageFolder, one: str, other: str) -> str:
    """Two pictures of different kinds whose vectors point nearly the same way."""
    for path in (one, other):
        if path not in folder.metadata:
            raise NotYet(f"there is no picture {path!r}; such a path is {folder.paths[0]!r}.")
    kinds = [folder.metadata[path]["category"] for path in (one, other)]
    if kinds[0] == kinds[1]:
        raise NotYet(f"both are of the kind {kinds[0]!r}; two different kinds are wanted.")
    first, second = extractor.embed([folder.root / one, folder.root / other])
    similarity = float(first @ second)
    if similarity <= LOOK_ALIKE:
        raise NotYet(f"their similarity is {similarity:.2f}; more than {LOOK_ALIKE} is wanted.")
    return f"{kinds[0]} and {kinds[1]} with {similarity:.2f}."


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
