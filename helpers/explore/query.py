"""What is searched for, and how: one query and the settings of a search."""

import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from helpers.features import FeatureExtractor, Words, load_words
from helpers.search import Hit

Box = tuple[int, int, int, int]
KEPT_SIDE = 768  # pixels of the longer side of an earlier query: 2 MB in memory; a telephone's photograph has 48 MB
LEAST_SIDE = 8  # pixels of a part
# What a picture can be compared with: itself, changed.
VARIANTS = {
    "grey": "the same without color",
    "mirrored": "the same mirrored",
    "middle": "only its middle",
    "whole": "the whole picture",
}


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
    shares : tuple of float
        Left, top, right, bottom as shares of the sides: only this part is searched for; empty for the whole picture.
    vectors : dict of str to numpy.ndarray
        The vectors of this part that are known already, by extractor.
    words : tuple of str
        Names that the network was trained with; empty for a picture.
    source : tuple of str
        Where it can be had again: `("id", key)`, `("file", path in the folder)`, `("url", address)` or
        `("words", names)`; empty for an upload.
    """

    name: str
    picture: Image.Image
    category: str = ""
    shares: tuple[float, ...] = ()
    vectors: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    words: tuple[str, ...] = ()
    source: tuple[str, ...] = ()

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
        category, source = meant[0] if len(meant) == 1 else "", ("words", ", ".join(words))
        return cls(name, picture, category, vectors=vectors, words=words, source=source)

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

    @property
    def box(self) -> Box | None:
        """The part's left, top, right and bottom in pixels; None for the whole picture."""
        return self.pixels(self.shares) if self.shares else None

    @property
    def sides(self) -> Box:
        """The same as `box`, also for the whole picture."""
        return self.box or (0, 0, *self.picture.size)

    def pixels(self, shares: Sequence[float]) -> Box:
        """Return a box of shares of the sides in pixels, at least one wide and high."""
        left, top, right, bottom = (round(share * of) for share, of in zip(shares, self.picture.size * 2, strict=True))
        left, top = min(left, self.picture.width - 1), min(top, self.picture.height - 1)
        return left, top, max(right, left + 1), max(bottom, top + 1)

    def cut(self, box: Box | None) -> "Query":
        """Return the query for a part: its left, top, right and bottom in pixels; None means the whole picture.

        Raises
        ------
        RefusedError
            Words have no parts; or less than 8 pixels of a side would be left.
        """
        shares = (0.0, 0.0, 1.0, 1.0)
        if self.words:
            raise RefusedError("Words have no parts: choose a picture, then a part of it.")
        if box is not None:
            width, height = self.picture.size
            left, right = sorted(min(max(side, 0), width) for side in box[::2])
            top, bottom = sorted(min(max(side, 0), height) for side in box[1::2])
            if min(right - left, bottom - top) < LEAST_SIDE:
                size = f"{right - left} x {bottom - top}"
                raise RefusedError(f"A part must be at least {LEAST_SIDE} pixels wide and high; this one is {size}.")
            shares = left / width, top / height, right / width, bottom / height
        return replace(self, shares=shares if shares != (0, 0, 1, 1) else (), vectors={})

    @property
    def where(self) -> str:
        """The part that is searched for in words, such as `upper left quarter`; empty for the whole picture."""
        if not self.shares:
            return ""
        left, top, right, bottom = self.shares
        names = [
            "" if high - low > 0.85 or 0.42 <= (low + high) / 2 <= 0.58 else pair[low + high > 1]
            for low, high, pair in ((top, bottom, ("upper", "lower")), (left, right, ("left", "right")))
        ]
        area, said = (right - left) * (bottom - top), " ".join(filter(None, names))
        if not said:
            return "middle"
        if all(names):
            return f"{said} {'quarter' if 0.15 <= area <= 0.35 else 'part'}"
        return f"{said} {'half' if 0.35 <= area <= 0.65 else 'part'}"

    def variant(self, how: str) -> "Query":
        """Return the query to compare with: one of `VARIANTS`."""
        part = self.part
        changed = {
            "grey": lambda: ImageOps.grayscale(part).convert("RGB"),
            "mirrored": lambda: ImageOps.mirror(part),
            "middle": lambda: ImageOps.crop(part, (part.width // 5, part.height // 5)),
            "whole": lambda: self.picture,
        }
        return replace(self, picture=changed[how](), shares=(), vectors={})

    def is_like(self, other: "Query") -> bool:
        """Return whether both search for the same part of the same picture."""
        same = (self.name, self.category, self.shares) == (other.name, other.category, other.shares)
        return same and self.picture.size == other.picture.size and self.picture.tobytes() == other.picture.tobytes()

    def small(self) -> "Query":
        """Return the query as the history keeps it: with a small copy of its picture, and with its vectors."""
        small = self.picture.copy()
        small.thumbnail((KEPT_SIDE, KEPT_SIDE))
        return replace(self, picture=small)


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
    ranges : dict of str to (float, float)
        For each field of numbers the smallest and the largest value that a hit may have.
    beside : str
        What the search is compared with, as `SearchSession.comparisons` lists it; empty for nothing.
    least_similarity : float, optional
        Hits that are less similar are left out.
    metric : str, optional
        COSINE, IP or L2; by default the metric of the collection's index.
    extractor : str, optional
        The name of the network; the session's first by default.
    """

    limit: int = 10
    allowed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    beside: str = ""
    least_similarity: float | None = None
    metric: str | None = None
    extractor: str | None = None


@dataclass(eq=False)
class Search:
    """One search and its result; a session makes two where it compares.

    Parameters
    ----------
    query, extractor, options
        What for, by which network, and the rest as `search_many` takes it.
    title : str
        What it is called beside the other search.
    hits : list of Hit
        What was found, best first.
    problem : str
        Why it failed, in a sentence; empty if it did not.
    """

    query: Query
    extractor: FeatureExtractor
    options: dict[str, Any]
    title: str = ""
    hits: list[Hit] = field(default_factory=list)
    problem: str = ""
