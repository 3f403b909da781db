"""Larger sets of vectors than there are pictures, for measuring indexes."""

import numpy as np

from helpers.nearest import unit

NEIGHBORS = 10
STEP = 0.5**0.5


def reduced(
    collection: np.ndarray, queries: np.ndarray, dim: int = 384, *, whiten: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Bring the vectors of a collection and of queries to fewer numbers, by PCA of the collection.

    Parameters
    ----------
    collection : numpy.ndarray, shape (n, from_dim), float32
        What the principal components are taken from.
    queries : numpy.ndarray, shape (m, from_dim), float32
        Projected in the same way.
    dim : int
        How many numbers to keep; fewer than `n`, and at most `from_dim`.
    whiten : bool
        Stretch the directions until the collection differs as much in each of them.

    Returns
    -------
    collection, queries : numpy.ndarray, shapes (n, dim) and (m, dim), float32
        Of unit length.

    Raises
    ------
    ValueError
        There are too few vectors for so many numbers.
    """
    from sklearn.decomposition import PCA
    from threadpoolctl import threadpool_limits

    if not 0 < dim <= min(len(collection) - 1, collection.shape[1]):
        raise ValueError(
            f"PCA of {len(collection)} vectors of {collection.shape[1]} numbers can't give {dim} numbers: "
            f"at most {min(len(collection) - 1, collection.shape[1])}."
        )
    with threadpool_limits(1):  # several threads wait for each other by spinning: slow beside other programs
        pca = PCA(dim, whiten=whiten, svd_solver="full").fit(collection)
    stored, asked = (unit(pca.transform(part)).astype(np.float32) for part in (collection, queries))
    return stored, asked


def grown(vectors: np.ndarray, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Make many vectors that lie as those of real pictures do, from a few that are.

    Each starts at a random vector (its parent), goes a random part of the way, half of it at most, towards one of the
    parent's ten nearest (as in SMOTE: Chawla et al., JAIR 16, 2002, https://doi.org/10.1613/jair.953), and then takes a
    normally distributed step with the covariance of the differences between vectors and their nearest neighbors,
    times 1/2: two that start at the same place differ as much as a picture and the one most like it. They are for
    measuring indexes; nothing about the quality of an embedding can be learned from them.

    Parameters
    ----------
    vectors : numpy.ndarray, shape (n, dim), float32
        Of unit length, more than ten.
    count : int
        How many to make.
    seed : int
        The same seed gives the same vectors; a set for searching with needs another one.

    Returns
    -------
    vectors : numpy.ndarray, shape (count, dim), float32
        Of unit length.
    parents : numpy.ndarray, shape (count,), int64
        Which of the given vectors each started at, and so which kind of thing it is.

    Raises
    ------
    ValueError
        There are too few vectors to have ten neighbors each.
    """
    if len(vectors) <= NEIGHBORS:
        raise ValueError(f"{len(vectors)} vectors are too few to grow more from: at least {NEIGHBORS + 1} are needed.")
    rng = np.random.default_rng(seed)
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -np.inf)
    nearest = np.argsort(-similarity, axis=1)[:, :NEIGHBORS]
    differences = (vectors[nearest[:, 0]] - vectors) * (STEP / len(vectors) ** 0.5)
    parents = rng.integers(len(vectors), size=count)
    made = np.empty((count, vectors.shape[1]), np.float32)
    for start in range(0, count, 10_000):  # in parts: the random numbers take as much memory as the vectors
        parent = parents[start : start + 10_000]
        neighbor = nearest[parent, rng.integers(nearest.shape[1], size=len(parent))]
        way = 0.5 * rng.random((len(parent), 1), dtype=np.float32)
        step = rng.standard_normal((len(parent), len(vectors)), dtype=np.float32) @ differences
        made[start : start + 10_000] = unit(vectors[parent] + way * (vectors[neighbor] - vectors[parent]) + step)
    return made, parents
