"""Images -> unit vectors without any network: what a network has to beat.

Each has `name`, `dim` and `embed` like `helpers.features.FeatureExtractor`: it works with ingest, search and measures.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
from PIL import Image

from helpers.images import Source, open_image
from helpers.nearest import unit


class _Baseline:
    """Describes one picture after the other, and brings each vector to unit length."""

    name: str
    dim: int
    min_side: int | None = None  # pixels of a picture's shorter side that are needed; None opens it whole

    def embed(self, images: Iterable[Source]) -> np.ndarray:
        """Return the pictures' vectors, shape (n, dim), float32 of unit length; ImageError if one can't be opened."""
        rows = [self._describe(open_image(image, self.min_side)) for image in images]
        vectors = np.array(rows, dtype=np.float64).reshape(-1, self.dim)
        return unit(vectors).astype(np.float32)

    def _describe(self, picture: Image.Image) -> np.ndarray:
        """Return `dim` numbers, not all of them 0."""
        raise NotImplementedError


class RandomVectors(_Baseline):
    """A random direction for each picture, always the same for the same pixels: what chance alone gives."""

    name = "random"
    dim = 64

    def _describe(self, picture: Image.Image) -> np.ndarray:
        seed = int.from_bytes(hashlib.sha256(picture.tobytes()).digest()[:8], "big")
        return np.random.default_rng(seed).normal(size=self.dim)


class MeanColor(_Baseline):
    """The mean of red, green and blue, from -1 to 1, and a 1: it keeps bright and dark apart at unit length."""

    name = "mean color"
    dim = 4
    min_side = 64

    def _describe(self, picture: Image.Image) -> np.ndarray:
        mean = np.asarray(picture).reshape(-1, 3).mean(0)
        return np.append(mean / 127.5 - 1, 1)


class ColorHistogram(_Baseline):
    """How many pixels have each of 64 colors: 4 steps each of red, green and blue.

    Swain and Ballard, Color Indexing (1991). The square roots of the shares have length 1 together, and their cosine is
    the Bhattacharyya coefficient, which compares distributions.
    """

    name = "color histogram"
    dim = 64
    min_side = 128

    def _describe(self, picture: Image.Image) -> np.ndarray:
        red, green, blue = (np.asarray(picture) // 64).reshape(-1, 3).T.astype(np.int64)
        return np.sqrt(np.bincount(16 * red + 4 * green + blue, minlength=self.dim))


class PerceptualHash(_Baseline):
    """64 bits that say whether each of the lowest frequencies of the grey picture is above their median.

    The DCT hash of Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions (2010), as the package
    imagehash computes it (a test compares them). A bit is stored as 1 or -1: where b bits differ, the cosine is
    1 - b / 32, so COSINE ranks as the Hamming distance does.
    """

    name = "perceptual hash"
    dim = 64

    def _describe(self, picture: Image.Image) -> np.ndarray:
        from scipy.fft import dctn  # scipy comes with scikit-learn

        grey = picture.convert("L").resize((32, 32), Image.Resampling.LANCZOS)
        lowest = dctn(np.asarray(grey, dtype=np.float64))[:8, :8]
        return np.where(lowest > np.median(lowest), 1.0, -1.0).ravel()


BASELINES = (RandomVectors(), MeanColor(), ColorHistogram(), PerceptualHash())
