"""The vectors that indexes are measured on: ours, reduced to 384 numbers and grown (helpers/indexing/grow.py)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helpers.features.extractors import EfficientNetExtractor
from helpers.images import load_folder
from helpers.indexing.grow import grown, reduced

DIM = 384


@dataclass(frozen=True)
class Vectors:
    """Vectors on disk, so that no contender's memory holds what it did not ask for.

    Parameters
    ----------
    file : Path
        float32, row after row.
    count : int
        How many rows.
    queries : numpy.ndarray, shape (queries, 384), float32
        Of the kit's query pictures: real ones.
    exact : numpy.ndarray, shape (queries, 10), int64
        Ids of the ten rows nearest to each.
    """

    file: Path
    count: int
    queries: np.ndarray
    exact: np.ndarray

    def batches(self, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Return ids and vectors, so many at a time."""
        for start in range(0, self.count, size):
            rows = min(size, self.count - start)
            part = np.fromfile(self.file, np.float32, count=rows * DIM, offset=start * DIM * 4)
            yield np.arange(start, start + rows), part.reshape(rows, DIM)


def embeddings() -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors of the kit's collection and queries, float32, 384 numbers each."""
    extractor = EfficientNetExtractor()
    parts = [load_folder(), load_folder(part="queries")]
    collection, queries = (extractor.embed(part.root / path for path in part.paths) for part in parts)
    return reduced(collection, queries, DIM)


def make(collection: np.ndarray, queries: np.ndarray, count: int, folder: Path) -> Vectors:
    """Write so many vectors to a file, grown where the collection is smaller, and find the exact answers."""
    vectors = collection if count == len(collection) else grown(collection, count)[0]
    file = folder / f"{count}.f32"
    vectors.tofile(file)
    exact = np.empty((len(queries), 10), np.int64)
    for number, query in enumerate(queries):
        similarity = vectors @ query
        best = np.argpartition(-similarity, 10)[:10]
        exact[number] = best[np.argsort(-similarity[best])]
    return Vectors(file, count, queries, exact)
