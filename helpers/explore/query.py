"""What is searched for, and how: one query and the settings of a search."""

import textwrap
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image, ImageDraw

from helpers.features import FeatureExtractor, Words, load_words

Box = tuple[int, int, int, int]
KEPT_SIDE = 768  # pixels of the longer side of an earlier query: 2 MB in memory; a telephone's photograph has 48 MB


class RefusedError(Exception):
    """What was chosen can't be searched by; the message is a sentence for the person who chose it."""


@dataclass(frozen=True, eq=False)
class Query:
    """What is searched for: a picture, a part of one, or words.

    Parameters
    ----------
    name : str
        What messages call it, such as the file's name.
    picture : PIL.Image.Image
        The whole picture, RGB; of words a picture with these words on it.
    category : str
        Its category, if it is known: then hits are right or wrong.
    box : tuple of int, optional
        Left, top, right, bottom in pixels: only this part of the picture is searched for.
    vectors : dict of str to numpy.ndarray
        The vectors of this part that are known already, by extractor.
    words : tuple of str
        Names that the network was trained with; empty for a picture.
    """

    name: str
    picture: Image.Image
    category: str = ""
    box: Box | None = None
    vectors: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    words: tuple[str, ...] = ()

    @classmethod
    def of_words(cls, text: str, extractor: FeatureExtractor, kinds: Mapping[str, Collection[str]]) -> "Query":
        """Return the query for a name that a network was trained with, or for several, separated by commas.

        Parameters
        ----------
        text : str
            Upper case does not matter, and a part of a name is enough if no other name contains it.
        kinds : mapping of str to collection of str
            Each category's names, as `load_categories` returns them: they make hits right or wrong.

        Raises
        ------
        RefusedError
            The network has no such name, or none at all; the message says what to take instead.
        """
        try:
            known = load_words(extractor)
            words = tuple(_meant(known, part.strip()) for part in text.split(",") if part.strip())
            vectors = {extractor.name: known.embed(*words)[0]}
        except ValueError as error:
            raise RefusedError(str(error)) from None
        meant = [kind for kind, names in kinds.items() if set(names) & set(words)]
        picture = Image.new("RGB", (160, 160), "white")
        lines = "\n".join(textwrap.wrap(", ".join(words), 11))
        ImageDraw.Draw(picture).text((80, 80), lines, "black", anchor="mm", align="center", font_size=24)
        name = ", ".join(f'"{word}"' for word in words)
        return cls(name, picture, meant[0] if len(meant) == 1 else "", vectors=vectors, words=words)

    def vector(self, extractor: FeatureExtractor) -> np.ndarray:
        """Return what is searched for as a vector of a network, shape (dim,), float32 of unit length.

        Raises
        ------
        RefusedError
            These are words, and the network was not trained with names.
        """
        if extractor.name not in self.vectors:
            if self.words:
                self.vectors.update(Query.of_words(", ".join(self.words), extractor, {}).vectors)
            else:
                self.vectors[extractor.name] = extractor.embed([self.part])[0]
        return self.vectors[extractor.name]

    @property
    def part(self) -> Image.Image:
        """The part that is searched for."""
        return self.picture.crop(self.box) if self.box else self.picture

    def is_like(self, other: "Query") -> bool:
        """Return whether both search for the same part of the same picture."""
        same = (self.name, self.category, self.box) == (other.name, other.category, other.box)
        return same and self.picture.size == other.picture.size and self.picture.tobytes() == other.picture.tobytes()

    def small(self) -> "Query":
        """Return the query as the history keeps it: with a small copy of its picture, and with its vectors."""
        scale = KEPT_SIDE / max(self.picture.size)
        if scale >= 1:
            return self
        width, height = (max(1, round(side * scale)) for side in self.picture.size)
        box = self.box
        if box:
            left, top = (min(int(side * scale), most - 1) for side, most in zip(box[:2], (width, height), strict=True))
            box = (left, top, max(left + 1, round(box[2] * scale)), max(top + 1, round(box[3] * scale)))
        return replace(self, picture=self.picture.resize((width, height), reducing_gap=2.0), box=box)


def _meant(known: Words, text: str) -> str:
    """Return the name that a text means: the same in any case, or the only name that contains it; else the text."""
    found = [name for name in known.names if text.lower() in name.lower()]
    same = [name for name in found if name.lower() == text.lower()]
    return (same or found)[0] if len(same or found) == 1 else text


@dataclass(frozen=True)
class Settings:
    """How it is searched.

    Parameters
    ----------
    limit : int
        How many hits.
    allowed : dict of str to tuple of str
        For each field the values that a hit may have; a field without values lets all hits pass.
    least_similarity : float, optional
        Hits that are less similar are left out.
    metric : str, optional
        COSINE, IP or L2; by default the metric of the collection's index.
    extractor : str, optional
        The name of the network; the session's first by default.
    """

    limit: int = 10
    allowed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    least_similarity: float | None = None
    metric: str | None = None
    extractor: str | None = None
