"""Better rankings of the same pictures, and a fair judgement of each change: chosen on some kinds, judged on others."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from helpers.nearest import unit
from helpers.quality.metrics import Interval, bootstrap_interval


def halves(kinds: Sequence[Hashable] | np.ndarray) -> np.ndarray:
    """Return which queries are for validation: those of every other kind, in alphabetical order.

    Parameters
    ----------
    kinds : sequence, length n
        The kind of each query; ValueError where there are fewer than two different ones.

    Returns
    -------
    numpy.ndarray, shape (n,), bool
        True for validation, False for test; all queries of a kind are in the same half.
    """
    names = np.unique(np.asarray(kinds))
    if len(names) < 2:
        raise ValueError(f"{len(names)} kind of thing can't be split: at least two are needed.")
    return np.isin(np.asarray(kinds), names[1::2])


@dataclass(frozen=True)
class Gain:
    """How much a change adds to a measure, with a paired interval in each half of the kinds.

    Parameters
    ----------
    name : str
        What was changed.
    validation, test : Interval
        The mean difference per query. Choose by `validation`, believe `test`.
    """

    name: str
    validation: Interval
    test: Interval

    def __str__(self) -> str:
        told = (f"{one.mean:+.3f} [{one.low:+.3f}, {one.high:+.3f}]" for one in (self.validation, self.test))
        return f"{self.name:<33} validation {'   test '.join(told)}"


def gain(name: str, new: np.ndarray, old: np.ndarray, kinds: np.ndarray, validation: np.ndarray) -> Gain:
    """Compare two ways query by query; whole kinds are drawn for the intervals (`bootstrap_interval`).

    Parameters
    ----------
    name : str
        What was changed.
    new, old : numpy.ndarray, shape (n,), float
        The same measure of the same queries, such as AP, with the change and without.
    kinds, validation : numpy.ndarray, shape (n,)
        The kind of each query, and its half as from `halves`. ValueError where lengths differ or a half is empty.
    """
    if not len(new) == len(old) == len(kinds) == len(validation):
        raise ValueError(f"{len(new)} new, {len(old)} old values, {len(kinds)} kinds, {len(validation)} in halves.")
    parts = [bootstrap_interval((new - old)[half], kinds[half]) for half in (validation, ~validation)]
    return Gain(name, *parts)


def expanded(queries: np.ndarray, collection: np.ndarray, found: np.ndarray, k: int) -> np.ndarray:
    """Return the mean of each query and its first k hits, to search with again: query expansion.

    Chum et al., Total Recall, ICCV 2007, https://doi.org/10.1109/ICCV.2007.4408891. It helps where the first hits are
    right, and leads astray where they are wrong.

    Parameters
    ----------
    queries, collection : numpy.ndarray, shapes (m, dim) and (n, dim), float
        Unit vectors.
    found : numpy.ndarray, shape (m, at least k), int
        For each query the rows of `collection` that it found, best first, as from `rank`.
    k : int
        How many hits to take; with 0 the queries stay as they are.

    Returns
    -------
    numpy.ndarray, shape (m, dim), of the queries' dtype
        Of unit length. ValueError where the shapes do not fit together, or there are fewer than k hits.
    """
    if queries.ndim != 2 or collection.ndim != 2 or queries.shape[1] != collection.shape[1]:
        raise ValueError(f"queries {queries.shape} and collection {collection.shape}: (m, dim), (n, dim) are needed.")
    if found.ndim != 2 or len(found) != len(queries) or not 0 <= k <= found.shape[1]:
        raise ValueError(f"k is {k}, found of shape {found.shape}; ({len(queries)}, at least k) is needed.")
    return unit(queries + collection[found[:, :k]].sum(1)).astype(queries.dtype)


def best_matches(query: np.ndarray, hits: np.ndarray, power: float = 0.0) -> np.ndarray:
    """Compare pictures place by place: each place of the query counts by the place of the hit that is most like it.

    As in Razavian et al., Visual Instance Retrieval with Deep Convolutional Networks, 2016,
    https://arxiv.org/abs/1412.6574; places weighted by their strength as in Kalantidis et al. (CroW), ECCV Workshops
    2016, https://arxiv.org/abs/1512.04065. An empty background has weak features, and matches any other.

    Parameters
    ----------
    query, hits : numpy.ndarray, shapes (height, width, dim) and (n, height, width, dim), float
        The feature maps of a query and of its hits.
    power : float
        A place counts as its length to this power: with 0 all places count the same.

    Returns
    -------
    numpy.ndarray, shape (n,), float
        The weighted mean of the best cosines, at most 1. ValueError where the shapes do not fit together.
    """
    if query.ndim != 3 or hits.ndim != 4 or query.shape[-1] != hits.shape[-1]:
        raise ValueError(f"query {query.shape}, hits {hits.shape}; (h, w, dim) and (n, h, w, dim) are needed.")
    places = query.reshape(-1, query.shape[-1])
    weights = np.linalg.norm(places, axis=1) ** power
    theirs = unit(hits).reshape(-1, hits.shape[-1])
    best = (theirs @ unit(places).T).reshape(len(hits), -1, len(places)).max(1)  # (n, places of the query)
    return best @ weights / weights.sum()


def reranked(found: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Put the first hits of each query into a new order; the hits behind them stay where they are.

    Parameters
    ----------
    found : numpy.ndarray, shape (m, n), int
        For each query what it found, best first.
    scores : numpy.ndarray, shape (m, at most n), float
        A score for each of the first hits; larger is better, and equal ones keep their order.

    Returns
    -------
    numpy.ndarray, shape (m, n), int
        A new array. ValueError where the shapes do not fit together.
    """
    if found.ndim != 2 or scores.ndim != 2 or len(found) != len(scores) or scores.shape[1] > found.shape[1]:
        raise ValueError(f"found {found.shape}, scores {scores.shape}; (m, n) and (m, at most n) are needed.")
    again, first = found.copy(), scores.shape[1]
    again[:, :first] = np.take_along_axis(found[:, :first], np.argsort(-scores, axis=1, kind="stable"), axis=1)
    return again


def learned_projection(vectors: np.ndarray, labels: Sequence[Hashable] | np.ndarray) -> np.ndarray:
    """Learn from labels which directions tell kinds apart: linear discriminant analysis (Fisher, 1936).

    With few pictures the covariance is drawn towards a simple one (Ledoit and Wolf, 2004), as scikit-learn does it.

    Parameters
    ----------
    vectors, labels : numpy.ndarray, shape (n, dim), and sequence, length n
        Vectors of labelled pictures, and the kind of each.

    Returns
    -------
    numpy.ndarray, shape (dim, kinds - 1), float32
        `unit(vectors @ projection)` are the new vectors. ValueError where shapes do not fit, or there is one kind only.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from threadpoolctl import threadpool_limits

    kinds = len(np.unique(np.asarray(labels)))
    if vectors.ndim != 2 or len(vectors) != len(labels) or kinds < 2:
        raise ValueError(f"vectors {vectors.shape}, {len(labels)} labels, {kinds} kinds: (n, dim), n, at least two.")
    lda = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto")
    with threadpool_limits(1):
        lda.fit(vectors, labels)
    return lda.scalings_[:, : kinds - 1].astype(np.float32)
