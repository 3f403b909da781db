"""Why a picture was found: where in the query and where in the hit the network sees the same."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from helpers.features import FeatureExtractor, FeatureMap
from helpers.images import Source, open_image
from helpers.nearest import unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Agreement:
    """Where two pictures agree.

    Parameters
    ----------
    query, hit : numpy.ndarray, shape (height, width), float32
        How much each place agrees with the other picture. With `shares` they add up to the similarity of the two
        vectors; with `best match` each is the cosine with the most similar place in the other picture.
    query_box, hit_box : tuple of float
        The part of each picture that its map covers: left, top, right, bottom as fractions of the sides.
    similarity : float
        The cosine of the two pictures' vectors.
    method : str
        `shares` or `best match`.
    """

    query: np.ndarray
    hit: np.ndarray
    query_box: Box
    hit_box: Box
    similarity: float
    method: str

    def __str__(self) -> str:
        both = [f"{_where(self.query, self.query_box)} of the query", f"{_where(self.hit, self.hit_box)} of the hit"]
        return f"Similarity {self.similarity:.3f}: they agree most {both[0]} and {both[1]}."


def agreement(extractor: FeatureExtractor, query: Source, hit: Source) -> Agreement:
    """Compare two pictures place by place.

    If the vector is the mean over the places (EfficientNet-Lite0; DINOv2 with mean pooling), the cosine of two vectors
    is a sum over places. Place i of the query contributes <f_i, mean g> / (n |mean f| |mean g|), so each place's exact
    share is known (the idea of class activation maps: Zhou et al., CVPR 2016). DINOv2's CLS token is not a mean: there
    each patch is compared with every patch of the other picture, and its best match counts (as in Amir et al., Deep ViT
    features as dense visual descriptors, 2021).

    Parameters
    ----------
    extractor : FeatureExtractor
        The extractor that made the vectors.
    query, hit : path, URL, bytes, PIL image or array
        The two pictures.

    Raises
    ------
    helpers.images.ImageError
        A picture can't be opened.
    """
    ours, theirs = extractor.feature_map(query), extractor.feature_map(hit)
    if ours.mean_is_pooled:
        maps = _shares(ours, theirs), _shares(theirs, ours)
        return Agreement(*maps, ours.box, theirs.box, float(maps[0].sum()), "shares")
    a, b = unit(ours.features), unit(theirs.features)
    cosines = a.reshape(-1, a.shape[-1]) @ b.reshape(-1, b.shape[-1]).T
    best = cosines.max(1).reshape(a.shape[:2]), cosines.max(0).reshape(b.shape[:2])
    one, other = extractor.embed([open_image(query), open_image(hit)])
    return Agreement(*best, ours.box, theirs.box, float(one @ other), "best match")


def _shares(ours: FeatureMap, theirs: FeatureMap) -> np.ndarray:
    places = ours.features.shape[0] * ours.features.shape[1]
    mean, other = ours.features.mean((0, 1)), theirs.features.mean((0, 1))
    return ours.features @ other / (places * np.linalg.norm(mean) * np.linalg.norm(other))


def _where(values: np.ndarray, box: Box) -> str:
    """Say in words where a map is strongest: the centre of its strongest tenth."""
    rows, columns = np.nonzero(values >= np.quantile(values, 0.9))
    x = box[0] + (box[2] - box[0]) * (columns.mean() + 0.5) / values.shape[1]
    y = box[1] + (box[3] - box[1]) * (rows.mean() + 0.5) / values.shape[0]
    across = "on the left" if x < 0.4 else "on the right" if x > 0.6 else "in the middle"
    down = "at the top" if y < 0.4 else "at the bottom" if y > 0.6 else ""
    return f"{across} {down}".strip() if down and across != "in the middle" else down or across


def overlay(picture: Source, values: np.ndarray, box: Box, size: int = 320) -> Image.Image:
    """Return a picture, darkened where it does not agree.

    Parameters
    ----------
    picture : path, URL, bytes, PIL image or array
        The picture; the result's longer side is at most `size` pixels.
    values : numpy.ndarray, shape (height, width)
        The map, scaled from its own smallest to its own largest value; it covers the part `box` of the picture.
    """
    image = open_image(picture)
    image.thumbnail((size, size))
    low, high = float(values.min()), float(values.max())
    light = (values - low) / (high - low) if high > low else np.ones_like(values)
    left, top, right, bottom = (round(share * side) for share, side in zip(box, image.size * 2, strict=True))
    mask = Image.new("F", image.size, 0.0)
    mask.paste(Image.fromarray(light.astype(np.float32)).resize((right - left, bottom - top), 2), (left, top))
    brightness = 0.25 + 0.75 * np.asarray(mask)[..., None]
    return Image.fromarray((np.asarray(image) * brightness).astype(np.uint8))


def show_agreement(
    query: Source, hit: Source, found: Agreement, *, control: tuple[Source, Agreement] | None = None
) -> "Figure":
    """Draw a query and a hit side by side with how much each place agrees, and print it in words.

    Parameters
    ----------
    query, hit, found
        The two pictures, and what `agreement` says about them.
    control : (picture, Agreement), optional
        A picture that has nothing to do with the query, drawn in a second row on the same scale.
    """
    import matplotlib.pyplot as plt

    rows = [("hit", hit, found)] + ([("control", *control)] if control else [])
    high = max(float(part.max()) for _, _, pair in rows for part in (pair.query, pair.hit))
    figure, axes = plt.subplots(len(rows), 2, figsize=(5.4, 2.5 * len(rows)), squeeze=False, layout="constrained")
    for (left, right), (name, picture, pair) in zip(axes, rows, strict=True):
        _draw(left, "query", query, pair.query, pair.query_box, high)
        title = f"{name}: similarity {pair.similarity:.2f}"
        heat = _draw(right, title, picture, pair.hit, pair.hit_box, high)
    label = "share of the similarity" if found.method == "shares" else "cosine with the best match"
    figure.colorbar(heat, ax=axes, label=label, shrink=0.8)
    plt.close(figure)
    print(found)
    if control:
        print(f"The control: similarity {control[1].similarity:.3f}.")
    return figure


def _draw(axis: "Axes", title: str, picture: Source, values: np.ndarray, box: Box, high: float) -> "AxesImage":
    """Draw a map in color over its picture in grey, so that it is seen on dark pictures too."""
    image = open_image(picture)
    left, right = (share * image.width for share in box[::2])
    top, bottom = (share * image.height for share in box[1::2])
    axis.imshow(image.convert("L"), cmap="gray", vmin=0, vmax=255)
    extent = (left, right, bottom, top)
    heat = axis.imshow(values, cmap="inferno", vmin=0, vmax=high, alpha=0.65, extent=extent, interpolation="bilinear")
    axis.set(xlim=(0, image.width), ylim=(image.height, 0))
    axis.set_title(title, fontsize=8)
    axis.axis("off")
    return heat
