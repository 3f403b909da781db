"""Pictures of queries, hits and similarities; each prints a line that says the same in words."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, ImageColor, ImageDraw

from helpers.images import DATA, ImageError, Source, open_image
from helpers.labels import drawable, finished, fitting
from helpers.search import Hit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

THUMB = 160  # pixels of a thumbnail's side
FRAME = 4  # pixels of its frame

# The palette of the whole kit. The colors are those of Okabe and Ito, which the color-blind tell apart too:
# https://jfly.uni-koeln.de/color/
BLUE, VERMILION, GREEN, PURPLE, ORANGE = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"
LIGHT_BLUE, PALE_BLUE = "#9ecae9", "#d6e8f5"
DARK_GREY, GREY, LIGHT_GREY = "#57606a", "#8c959f", "#d0d7de"
APART = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, "#56b4e9", "#f0e442", "#000000")  # eight that are told apart
SERIES = ((BLUE, "o"), (VERMILION, "s"), (GREEN, "^"), (PURPLE, "D"))  # each series also has a marker of its own


class Mark(NamedTuple):
    """How a hit is marked: with a sign too, because color alone is not enough."""

    name: str
    color: str
    sign: str


RIGHT, WRONG, UNKNOWN = Mark("right", "#1a7f37", "✓"), Mark("wrong", "#cf222e", "✗"), Mark("", DARK_GREY, "")


def mark(hit: Hit, category: str | None) -> Mark:
    """Return whether a hit has the query's category; UNKNOWN where either has none."""
    if not category or not hit.category:
        return UNKNOWN
    return RIGHT if hit.category == category else WRONG


def _name(hit: Hit) -> str:
    """Return what to call a hit: its category, its file's name, or its rank where no letter of that can be drawn."""
    name = drawable(hit.category or Path(hit.path).name)
    return name if any(letter.isalnum() for letter in Path(name).stem) else f"hit {hit.rank}"


def _thumbnail(source: Source) -> np.ndarray:
    image = open_image(source, THUMB)
    image.thumbnail((THUMB, THUMB))
    square = np.full((THUMB, THUMB, 3), 255, np.uint8)
    top, left = (THUMB - image.height) // 2, (THUMB - image.width) // 2
    square[top : top + image.height, left : left + image.width] = np.asarray(image)
    return square


def _hit_thumbnail(hit: Hit, root: Path) -> np.ndarray:
    """Return a hit's picture, or a grey one where its file is missing."""
    try:
        return _thumbnail(hit.file(root))
    except ImageError as error:
        print(f"{error}. Ingest the folder again, or pass the folder that was ingested as root=...")
        grey = Image.new("RGB", (THUMB, THUMB), LIGHT_GREY)
        ImageDraw.Draw(grey).text((THUMB / 2, THUMB / 2), "no file", DARK_GREY, anchor="mm", font_size=28)
        return np.asarray(grey)


def _framed(tile: np.ndarray, color: str) -> np.ndarray:
    framed = np.full_like(tile, ImageColor.getrgb(color))
    framed[FRAME:-FRAME, FRAME:-FRAME] = tile[FRAME:-FRAME, FRAME:-FRAME]
    return framed


def show_hits(query: Source, hits: Sequence[Hit], *, category: str | None = None, root: Path = DATA) -> "Figure":
    """Draw a query and its hits side by side, with distances and, where known, right and wrong marked.

    Parameters
    ----------
    query : path, URL, bytes, PIL image or array
        The picture that was searched for.
    category : str, optional
        The query's category; a hit of the same one is right.
    root : Path
        The folder that was ingested.
    """
    import matplotlib.pyplot as plt

    tiles = [_thumbnail(query), *(_hit_thumbnail(hit, root) for hit in hits)]  # an error here leaves no figure open
    columns = len(tiles)
    figure, axes = plt.subplots(1, columns, figsize=(1.35 * columns, 1.85), squeeze=False, layout="constrained")
    titles = [("query\n" + (category or ""), "black")]
    for hit in hits:
        _, color, sign = mark(hit, category)
        titles.append((f"{hit.distance:.3f} {sign}\n{_name(hit)}", color))
    for axis, tile, (title, color) in zip(axes[0], tiles, titles, strict=True):
        axis.imshow(tile)
        title = fitting(title, 1.25, size=8)
        axis.set_title(title, fontsize=8, color=color, parse_math=False)  # names may have a $ in them
        axis.set(xticks=[], yticks=[])
    print(summary(hits, category))
    return finished(figure)


def show_images(pictures: Sequence[tuple[Source, str]], *, columns: int = 7) -> "Figure":
    """Draw pictures in a grid, each under its title, `columns` in a row; without pictures an empty figure."""
    import matplotlib.pyplot as plt

    if not pictures:
        print("No picture.")
        return plt.Figure(figsize=(1, 0.2))
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    size = (1.15 * columns, 1.4 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for axis in axes.flat:
        axis.axis("off")
    for axis, (picture, title) in zip(axes.flat, pictures, strict=False):
        axis.imshow(_thumbnail(picture))
        axis.set_title(fitting(title, 1.1, size=8), fontsize=8, parse_math=False)
    titles = ", ".join(" ".join(title.split()) for _, title in pictures)
    print(f"{len(pictures)} pictures: {titles}" if len(pictures) > 1 else f"A picture: {titles}")
    return finished(figure)


def summary(hits: Sequence[Hit], category: str | None = None) -> str:
    """Return a line that says what a picture of hits shows."""
    if not hits:
        return "No picture was found."
    found = ", ".join(f"{hit.category or hit.path} {hit.distance:.2f}" for hit in hits)
    if not category or not any(hit.category for hit in hits):
        return f"{len(hits)} hits: {found}"
    right = sum(hit.category == category for hit in hits)
    return f"{category}: {right} of {len(hits)} hits are right: {found}"


def show_many(
    queries: Sequence[tuple[Source, str]],
    hits: Sequence[Sequence[Hit]],
    *,
    root: Path = DATA,
    blocks: int = 4,
    dpi: int = 110,
) -> "Figure":
    """Draw many queries with their hits in one picture, `blocks` side by side.

    Parameters
    ----------
    queries : sequence of (picture, category)
        What was searched for; the category may be empty.
    hits : sequence of sequences of Hit
        The hits of each query.
    root : Path
        The folder that was ingested.
    blocks : int
        Queries in a row.
    dpi : int
        Pixels per inch: fewer make a smaller file.
    """
    import matplotlib.pyplot as plt

    pictures = {hit.path: hit for found in hits for hit in found}  # one that several queries find is opened once
    thumbnails = {path: _hit_thumbnail(hit, root) for path, hit in pictures.items()}
    firsts = [_thumbnail(query) for query, _ in queries]
    widest = max(len(found) for found in hits) + 1.4  # the gap behind the query and between blocks
    rows = -(-len(queries) // blocks)
    figure = plt.figure(figsize=(0.85 * widest * blocks, 1.05 * rows), dpi=dpi)
    axis = figure.add_axes((0, 0, 1, 1))  # no layout engine: it would draw everything twice
    gap = np.full((THUMB, THUMB // 10, 3), 255, np.uint8)
    for number, ((_, category), found, first) in enumerate(zip(queries, hits, firsts, strict=True)):
        left, top = (number // rows) * widest, -(number % rows) * 1.22
        framed = [_framed(thumbnails[hit.path], mark(hit, category).color) for hit in found]
        row = np.hstack([first, gap, *framed])  # one image a query: all that is drawn costs time of its own
        axis.imshow(row, extent=(left, left + row.shape[1] / THUMB, top - 1, top))
        title = fitting(category, 0.85, size=6.5, weight="bold")
        axis.text(left, top + 0.03, title, fontsize=6.5, va="bottom", weight="bold", parse_math=False)
        for column, hit in enumerate(found, start=1):
            x = left + column + 0.1
            _, color, sign = mark(hit, category)
            axis.text(x, top + 0.03, f"{hit.distance:.2f} {sign}", fontsize=6.5, va="bottom", color=color)
    axis.set_xlim(-0.1, widest * blocks)
    axis.set_ylim(-1.22 * rows + 0.2, 0.35)
    axis.set_aspect("equal")
    axis.axis("off")
    marks = [mark(hit, category) for (_, category), found in zip(queries, hits, strict=True) for hit in found]
    known = len(marks) - marks.count(UNKNOWN)
    right = f"{marks.count(RIGHT)} of {known} hits have the query's category" if known else f"{len(marks)} hits"
    print(f"{len(queries)} queries; {right}")
    return finished(figure)


def show_similarities(vectors: np.ndarray, labels: Sequence[str]) -> "Figure":
    """Draw the cosine similarity of every pair as a heat map, grouped by label.

    `vectors`, shape (n, dim), are of unit length; those with the same of the n `labels` stand next to each other.
    """
    import matplotlib.pyplot as plt

    similarity = vectors @ vectors.T
    same = np.equal.outer(np.array(labels), np.array(labels))
    others = ~np.eye(len(labels), dtype=bool)
    figure, axis = plt.subplots(figsize=(5.2, 4.4), layout="constrained")
    shown = axis.imshow(similarity, cmap="viridis", vmin=0, vmax=1)
    names = list(dict.fromkeys(labels))
    middles = [np.mean([i for i, label in enumerate(labels) if label == name]) for name in names]
    shown_names = [drawable(name) for name in names]
    axis.set_xticks(middles, shown_names, rotation=60, ha="right", fontsize=8, parse_math=False)
    axis.set_yticks(middles, shown_names, fontsize=8, parse_math=False)
    figure.colorbar(shown, label="cosine similarity")
    pairs = {"on average within a group": similarity[same & others], "between groups": similarity[~same]}
    told = ", ".join(f"{values.mean():.2f} {where}" for where, values in pairs.items() if values.size)
    print(f"{len(labels)} pictures: similarity {told or 'needs two of them'}")
    return finished(figure)


def picture_map(
    pictures: Sequence[Source], places: np.ndarray, colors: Sequence[str], query: np.ndarray | None = None
) -> "Figure":
    """Draw pictures at places on a plane, each in a colored frame.

    Parameters
    ----------
    places : numpy.ndarray, shape (n, 2)
        Between 0 and 1; the second number grows downwards.
    query : numpy.ndarray, shape (2,), optional
        A place to mark with a ring.
    """
    import matplotlib.pyplot as plt
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    figure, axis = plt.subplots(figsize=(9, 9), layout="constrained")
    axis.set(xlim=(0, 1), ylim=(1, 0), xticks=[], yticks=[])
    for picture, place, color in zip(pictures, places, colors, strict=True):
        small = open_image(picture, 40)
        small.thumbnail((40, 40))
        frame = {"edgecolor": color, "linewidth": 1.5, "boxstyle": "square,pad=0.05"}
        axis.add_artist(AnnotationBbox(OffsetImage(np.asarray(small), zoom=0.6), tuple(place), bboxprops=frame, pad=0))
    if query is not None:
        for color, width in (("white", 7), ("black", 3)):  # seen on any picture
            axis.plot(*query, "o", ms=34, mfc="none", mec=color, mew=width, zorder=9)
    return finished(figure)
