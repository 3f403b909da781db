"""Unit vectors, and exact nearest neighbours with numpy: what an index is held against."""

import numpy as np


def unit(vectors: np.ndarray) -> np.ndarray:
    """Bring vectors to length 1.

    Parameters
    ----------
    vectors : numpy.ndarray, shape (..., dim)
        Each along the last axis.

    Returns
    -------
    numpy.ndarray, shape (..., dim)
        Of the same dtype; a vector of zeros stays one.
    """
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def rank(queries: np.ndarray, collection: np.ndarray, metric: str = "COSINE") -> np.ndarray:
    """Search exactly, with numpy: every query against every vector of the collection.

    Parameters
    ----------
    queries, collection : numpy.ndarray, shapes (m, dim) and (n, dim)
        Vectors.
    metric : {"COSINE", "IP", "L2"}
        As Memora calls them.

    Returns
    -------
    numpy.ndarray, shape (m, n), int64
        For each query the numbers of the collection's vectors, nearest first; of equally near ones the first.
    """
    if metric not in ("COSINE", "IP", "L2"):
        raise ValueError(f"metric is {metric!r}; allowed: 'COSINE', 'IP', 'L2'")
    if metric == "COSINE":
        queries, collection = unit(queries), unit(collection)
    near = queries @ collection.T
    if metric == "L2":  # |q - c|^2 = |q|^2 - 2 qc + |c|^2, and |q|^2 changes no order
        near = 2 * near - (collection**2).sum(1)
    return np.argsort(-near, axis=1, kind="stable")
