"""Names -> vectors: a classifier's last layer holds one vector for each class, in the space of its features."""

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from helpers.features.base import FeatureExtractor
from helpers.features.extractors import EFFICIENTNETS, EfficientNetExtractor
from helpers.nearest import unit

CLASSES = Path(__file__).with_name("imagenet_classes.txt")


@dataclass(frozen=True, eq=False)
class Words:
    """The names that a network was trained on, and where each lies among the vectors of pictures.

    Parameters
    ----------
    names : list of str
        ImageNet's 1,000 classes.
    vectors : numpy.ndarray, shape (1000, dim), float32
        One row for each name, of unit length; comparable with the vectors of the same extractor.
    """

    names: list[str]
    vectors: np.ndarray

    def find(self, text: str) -> list[str]:
        """Return the names that contain a text, in any case; if none does, those with a word spelled like it."""
        found = [name for name in self.names if text.lower() in name.lower()]
        if found:
            return found
        parts = {name: {name.lower(), *name.lower().split()} for name in self.names}
        alike = set(difflib.get_close_matches(text.lower(), sorted(set().union(*parts.values())), cutoff=0.75))
        return [name for name in self.names if parts[name] & alike]

    def embed(self, *names: str) -> np.ndarray:
        """Turn a name into a vector to search with; several names become one vector, their mean.

        Parameters
        ----------
        *names : str
            At least one, each spelled as in `names`.

        Returns
        -------
        numpy.ndarray, shape (1, dim), float32
            Of unit length.

        Raises
        ------
        ValueError
            There is no such name; the message suggests others.
        """
        if not names:
            raise ValueError("embed needs at least one name, such as embed('coffee mug').")
        return unit(self.vectors[[self._row(name) for name in names]].mean(0, keepdims=True))

    def _row(self, name: str) -> int:
        if name in self.names:
            return self.names.index(name)
        others = " or ".join(map(repr, self.find(name)[:5]))
        meant = f"did you mean {others}?" if others else "the network has no word for it; `names` has those it knows."
        raise ValueError(f"None of ImageNet's 1,000 classes is called {name!r}: {meant}")


def load_words(extractor: FeatureExtractor) -> Words:
    """Return the names that a network was trained to tell apart, as vectors that its pictures can be searched with.

    A class's score is the product of the picture's features with the class's row of weights. So pictures of the class
    point in the direction of that row, and the row can be a query. (The layer's bias is left out: it is the same for
    all pictures.)

    Parameters
    ----------
    extractor : FeatureExtractor
        EfficientNet-Lite0 or -Lite2: the one that made the pictures' vectors.

    Returns
    -------
    Words
        1,000 names.

    Raises
    ------
    ValueError
        The extractor has no classifier.
    """
    if not (names := names_of(extractor)):
        raise ValueError(
            f"{extractor.name} has no classifier, so it has no vectors for words: it was not trained with names. "
            "Take load_extractor('efficientnet-lite0'), and pictures ingested with it."
        )
    return Words(names, unit(cast(EfficientNetExtractor, extractor).model._fc.weight.cpu().numpy()))


def names_of(extractor: FeatureExtractor) -> list[str]:
    """Return the names that a network was trained to tell apart; empty if it was trained without."""
    if extractor.name not in EFFICIENTNETS:
        return []
    return [line for line in CLASSES.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
