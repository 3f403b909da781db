"""Vectors in fewer bytes: fewer numbers, fewer bits a number, codes; and a second look with the full vectors."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from helpers.nearest import unit
from helpers.quality.improve import reranked

BLOCK = 10_000  # vectors compared at once
PARTS = 64  # of a vector in product quantization, a byte for each


@dataclass(frozen=True)
class Way:
    """A way of storing vectors, and of searching among them.

    Parameters
    ----------
    name, bytes : str and int
        What is stored, and how many bytes of each picture are searched.
    search : callable
        Takes full queries, shape (m, dim), and k; returns rows of the collection, shape (m, k), nearest first.
    """

    name: str
    bytes: int
    search: Callable[[np.ndarray, int], np.ndarray]


def binary(vectors: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Keep one bit of each number, 1 where it is above the middle; eight bits make a byte, as a `BinaryVector` wants.

    The nearer two vectors, the fewer of their bits differ (Charikar, STOC 2002, for random directions,
    https://doi.org/10.1145/509907.509965).

    Parameters
    ----------
    vectors, middle : numpy.ndarray, shapes (n, dim) and (dim,), float
        The vectors, 8 divides dim; and the middle of each number, such as the stored vectors' median. (Our networks'
        numbers are seldom below 0: with 0 as the middle, many bits would be the same for all.)

    Returns
    -------
    numpy.ndarray, shape (n, dim / 8), uint8
        ValueError where the shapes do not fit together.
    """
    if vectors.ndim != 2 or middle.shape != vectors.shape[1:] or vectors.shape[1] % 8:
        raise ValueError(f"vectors {vectors.shape}, middle {middle.shape}: (n, dim) and (dim,), and 8 must divide dim.")
    return np.packbits(vectors > middle, axis=1)


def nearest_rows(queries: np.ndarray, stored: np.ndarray, k: int) -> np.ndarray:
    """Search exactly among many vectors: floats by inner product, packed bits by the number of bits that differ.

    Parameters
    ----------
    queries, stored : numpy.ndarray, shapes (m, d) and (n, d)
        Floats of unit length, of 16 or 32 bits each; or both uint8, as from `binary`.
    k : int
        How many to find, from 1 to n.

    Returns
    -------
    numpy.ndarray, shape (m, k), int64
        Rows of `stored`, nearest first. ValueError where shapes, types or k do not fit.
    """
    bits = stored.dtype == np.uint8
    if queries.ndim != 2 or queries.shape[1:] != stored.shape[1:] or bits != (queries.dtype == np.uint8):
        raise ValueError(f"queries {queries.dtype} {queries.shape} and stored {stored.dtype} {stored.shape} differ.")
    if not 1 <= k <= len(stored):
        raise ValueError(f"k is {k}; from 1 to {len(stored)} can be found.")
    far = np.empty((len(queries), len(stored)), np.float32)
    for start in range(0, len(stored), BLOCK):
        block = stored[start : start + BLOCK]
        if bits:
            parts = np.array([np.bitwise_count(query ^ block).sum(1, dtype=np.int32) for query in queries])
        else:  # numpy multiplies 32 bits much faster than 16
            parts = -queries.astype(np.float32) @ block.astype(np.float32, copy=False).T
        far[:, start : start + BLOCK] = parts
    best = np.sort(np.argpartition(far, k - 1, axis=1)[:, :k], axis=1)
    return np.take_along_axis(best, np.argsort(np.take_along_axis(far, best, 1), axis=1, kind="stable"), 1)


def again(way: Way, vectors: np.ndarray, candidates: int = 100) -> Way:
    """Let the full vectors put the first hits of another way in order: a search in two steps.

    As in Jégou et al., ICASSP 2011, https://arxiv.org/abs/1102.3828, with the full vectors in place of finer codes.

    Parameters
    ----------
    way, vectors : Way and numpy.ndarray, shape (n, dim), float32
        The first step, and the full vectors of the same collection, of unit length.
    candidates : int
        How many hits are compared again, at least 1.
    """
    if candidates < 1:
        raise ValueError(f"candidates is {candidates}: at least 1.")

    def search(queries: np.ndarray, k: int) -> np.ndarray:
        found = way.search(queries, min(len(vectors), max(k, candidates)))
        pairs = zip(queries, found[:, :candidates], strict=True)
        return reranked(found, np.array([vectors[rows] @ query for query, rows in pairs]))[:, :k]

    return Way(f"{way.name}, first {candidates} again", way.bytes, search)


def ways(vectors: np.ndarray, pictures: np.ndarray) -> list[Way]:
    """Store vectors as they are, in half precision, as the first 256 to 32 numbers of their PCA, and as bits.

    Parameters
    ----------
    vectors, pictures : numpy.ndarray, shapes (n, dim) and (more than 256, dim), float32
        What to store; and vectors of real pictures, which give the directions of the PCA and the middle of the bits.
    """
    from sklearn.decomposition import PCA
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        pca, middle = PCA(256, svd_solver="full").fit(pictures), np.median(pictures, axis=0)
    fewer = pca.transform(vectors)

    def shorter(queries: np.ndarray, dim: int) -> np.ndarray:
        return unit(pca.transform(queries)[:, :dim])

    def way(name: str, stored: np.ndarray, form: Callable[[np.ndarray], np.ndarray]) -> Way:
        return Way(name, stored[0].nbytes, lambda queries, k: nearest_rows(form(queries), stored, k))

    return [
        way("float32", vectors, np.asarray),
        way("float16", vectors.astype(np.float16), np.asarray),
        *(way(f"PCA to {dim}", unit(fewer[:, :dim]), partial(shorter, dim=dim)) for dim in (256, 128, 64, 32)),
        way("one bit a number", binary(vectors, middle), partial(binary, middle=middle)),
    ]


def product_quantized(vectors: np.ndarray, examples: np.ndarray) -> Way:
    """Store the number of a typical piece for each of 64 parts of a vector: product quantization, by `faiss-cpu`.

    Jégou, Douze and Schmid, Product Quantization for Nearest Neighbor Search, TPAMI 2011,
    https://doi.org/10.1109/TPAMI.2010.57.

    Parameters
    ----------
    vectors, examples : numpy.ndarray, shapes (n, dim) and (at least 256, dim), float32
        What to store, 64 divides dim; and what the 256 typical pieces of each part are learned from, by k-means.
    """
    import faiss
    from threadpoolctl import threadpool_limits

    index = faiss.IndexPQ(vectors.shape[1], PARTS, 8, faiss.METRIC_INNER_PRODUCT)
    index.pq.cp.niter, index.pq.cp.min_points_per_centroid = 10, 1  # few examples are enough here: no warning
    with threadpool_limits(1):
        index.train(examples)
        for start in range(0, len(vectors), 1_000):  # FAISS takes 64 KB for each vector that is added at once
            index.add(vectors[start : start + 1_000])
    return Way(f"product quantization, {PARTS} parts", PARTS, lambda queries, k: index.search(queries, k)[1])
