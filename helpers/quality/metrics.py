"""How good is a ranking? The field's measures, each with its definition, and how far chance may have moved them.

A ranking is told as `relevant`, a bool array (queries, hits), best hit first, and `total`, how many relevant images the
collection holds for each query: what was not found must count too. Each measure gives one number per query.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np


def precision_at_k(relevant: np.ndarray, k: int) -> np.ndarray:
    """Return what fraction of the first k hits is relevant; fewer than k hits count as wrong ones.

    Manning, Raghavan and Schütze, Introduction to Information Retrieval (2008), chapter 8.

    Parameters
    ----------
    relevant : numpy.ndarray, shape (queries, hits), bool
        Best hit first.
    k : int
        How many hits to look at, at least 1.

    Returns
    -------
    numpy.ndarray, shape (queries,), float64
        Between 0 and 1.
    """
    return _ranking(relevant, k)[:, :k].sum(1) / k


def recall_at_k(relevant: np.ndarray, total: np.ndarray | int, k: int) -> np.ndarray:
    """Return what fraction of all relevant images is among the first k hits.

    Manning, Raghavan and Schütze (2008), chapter 8. With `total` above k, 1 can't be reached.

    Parameters
    ----------
    relevant : numpy.ndarray, shape (queries, hits), bool
        Best hit first.
    total : int or numpy.ndarray of int, shape (queries,)
        How many relevant images the collection holds for each query, at least 1.
    k : int
        How many hits to look at, at least 1.

    Returns
    -------
    numpy.ndarray, shape (queries,), float64
        Between 0 and 1.
    """
    relevant = _ranking(relevant, k)
    return relevant[:, :k].sum(1) / _totals(relevant, total)


def average_precision(relevant: np.ndarray, total: np.ndarray | int) -> np.ndarray:
    """Return the mean of the precision at the rank of each relevant image; one that is not among the hits counts as 0.

    Manning, Raghavan and Schütze (2008), chapter 8. The mean over queries is mAP. Divided by *all* relevant images: who
    divides by those found rewards a search for stopping early.

    Parameters
    ----------
    relevant : numpy.ndarray, shape (queries, hits), bool
        Best hit first.
    total : int or numpy.ndarray of int, shape (queries,)
        How many relevant images the collection holds for each query, at least 1.

    Returns
    -------
    numpy.ndarray, shape (queries,), float64
        Between 0 and 1.
    """
    relevant = _ranking(relevant)
    precision = relevant.cumsum(1) / np.arange(1, relevant.shape[1] + 1)
    return (precision * relevant).sum(1) / _totals(relevant, total)


def knn_accuracy(found: np.ndarray, labels: Sequence[str] | np.ndarray, k: int) -> np.ndarray:
    """Return 1 where the majority of the k nearest images has the query's label, else 0; the nearest decides a tie.

    Cover and Hart, Nearest neighbor pattern classification (1967). Unlike precision@k it asks for a decision.

    Parameters
    ----------
    found : numpy.ndarray, shape (queries, hits)
        The hits' labels, best hit first; at least k hits.
    labels : sequence, length queries
        The queries' labels.
    k : int
        How many neighbors vote, at least 1.

    Returns
    -------
    numpy.ndarray, shape (queries,), float64
        0 or 1.
    """
    found = np.asarray(found)
    if found.ndim != 2 or not 1 <= k <= found.shape[1]:
        raise ValueError(f"k is {k}, and the labels found are of shape {found.shape}: (queries, at least k) is needed.")
    nearest = found[:, :k]
    votes = (nearest[:, :, None] == nearest[:, None, :]).sum(2)  # how many of the k agree with each of them
    winners = nearest[np.arange(len(nearest)), votes.argmax(1)]  # argmax takes the first, which is the nearest
    return (winners == np.asarray(labels)).astype(np.float64)


def index_recall(found: Sequence[Iterable[Hashable]], exact: Sequence[Iterable[Hashable]]) -> np.ndarray:
    """Return what fraction of the truly nearest an index found: recall@k against exact search, k hits in `exact`.

    Aumüller, Bernhardsson and Faithfull, ANN-Benchmarks (2020), https://doi.org/10.1016/j.is.2019.02.006. It says
    nothing about whether the nearest are the right ones: that is the embedding's part.

    Parameters
    ----------
    found, exact : sequences of as many sequences of ids
        For each query the ids that the index gave, and those that exact search gave (at least one).

    Returns
    -------
    numpy.ndarray, shape (queries,), float64
        Between 0 and 1.
    """
    pairs = [(set(ids), set(truth)) for ids, truth in zip(found, exact, strict=False)]
    if len(found) != len(exact) or not all(truth for _, truth in pairs):
        raise ValueError(f"{len(found)} answers, {len(exact)} exact ones: one each is needed, with an id at least.")
    return np.array([len(ids & truth) / len(truth) for ids, truth in pairs])


@dataclass(frozen=True)
class Interval:
    """A mean, and between which bounds it would lie for most other samples of queries.

    Parameters
    ----------
    mean, low, high : float
        The mean, and its interval's ends.
    """

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}]"


def bootstrap_interval(
    values: Sequence[float] | np.ndarray,
    groups: Sequence[Hashable] | np.ndarray | None = None,
    *,
    confidence: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Return the mean with its percentile bootstrap interval: draw as many queries again, with replacement, many times.

    Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13. Two queries of one category are no two
    independent queries: with `groups`, whole groups are drawn (cluster bootstrap: Field and Welsh, JRSS B 69, 2007).
    Where all values are equal the interval has no width: that says "too few queries", not "certain".

    Parameters
    ----------
    values : sequence of float
        One number per query, at least one.
    groups : sequence, optional
        What belongs together, such as the queries' categories.
    confidence : float
        How often such an interval should hold the truth.
    draws, seed : int
        How often to draw; the same seed gives the same interval.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"values are of shape {values.shape}; one number per query is needed, at least one.")
    names, member = np.unique(np.arange(len(values)) if groups is None else np.asarray(groups), return_inverse=True)
    if len(member) != len(values):
        raise ValueError(f"{len(values)} values, and groups for {len(member)}: one each is needed.")
    sums, sizes = np.bincount(member, values), np.bincount(member)
    drawn = np.random.default_rng(seed).integers(len(names), size=(draws, len(names)))
    means = sums[drawn].sum(1) / sizes[drawn].sum(1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(values.mean()), float(low), float(high))


def wilson_interval(right: int, of: int, *, confidence: float = 0.95) -> Interval:
    """Return a share with Wilson's interval, which fits shares near 0 and 1 too.

    Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927). It takes the cases as
    independent: queries of one kind are not quite.

    Parameters
    ----------
    right, of : int
        How many of how many, of at least one.
    confidence : float
        How often such an interval should hold the truth.
    """
    from scipy.stats import binomtest  # scipy comes with scikit-learn

    if not 0 <= right <= of or of < 1:
        raise ValueError(f"{right} of {of}: at least one case is needed, and no more can be right than there are.")
    found = binomtest(right, of).proportion_ci(confidence, "wilson")
    return Interval(right / of, float(found.low), float(found.high))


@dataclass(frozen=True)
class Quality:
    """A row of the table: what a kind of feature is worth.

    Parameters
    ----------
    name : str
        Which.
    p1, p5, recall, map : Interval
        Precision at 1 and 5, recall at k, mean average precision.
    k : int
        The recall's.
    """

    name: str
    p1: Interval
    p5: Interval
    recall: Interval
    map: Interval
    k: int

    def __str__(self) -> str:
        return f"{self.name:<24}" + "".join(f"{value!s:<19}" for value in (self.p1, self.p5, self.recall, self.map))


def quality(
    name: str,
    relevant: np.ndarray,
    total: np.ndarray | int,
    groups: Sequence[Hashable] | np.ndarray | None = None,
    k: int = 20,
) -> Quality:
    """Measure one ranking of all queries, with 95 % intervals.

    Parameters
    ----------
    name : str
        What made it.
    relevant, total
        As for `average_precision`.
    groups
        As for `bootstrap_interval`.
    k : int
        For the recall.
    """
    return Quality(
        name,
        p1=bootstrap_interval(precision_at_k(relevant, 1), groups),
        p5=bootstrap_interval(precision_at_k(relevant, 5), groups),
        recall=bootstrap_interval(recall_at_k(relevant, total, k), groups),
        map=bootstrap_interval(average_precision(relevant, total), groups),
        k=k,
    )


def table(rows: Sequence[Quality]) -> str:
    """Return rows as text, under a heading."""
    heading = ("P@1", "P@5", f"recall@{rows[0].k}" if rows else "recall", "mAP")
    return "\n".join([" " * 24 + "".join(f"{name:<19}" for name in heading), *map(str, rows)])


def _ranking(relevant: np.ndarray, k: int = 1) -> np.ndarray:
    relevant = np.asarray(relevant)
    if relevant.ndim != 2 or relevant.dtype != bool:
        raise ValueError(f"relevant is {relevant.dtype} of shape {relevant.shape}; bool (queries, hits) is needed.")
    if k < 1:
        raise ValueError(f"k is {k}: at least 1.")
    return relevant


def _totals(relevant: np.ndarray, total: np.ndarray | int) -> np.ndarray:
    totals = np.broadcast_to(total, len(relevant))
    if (totals < 1).any():
        query = int(np.argmax(totals < 1))
        raise ValueError(f"Query {query} has no relevant image in the collection: nothing can be found, leave it out.")
    if (found := relevant.sum(1) > totals).any():
        query = int(np.argmax(found))
        raise ValueError(f"Query {query} has {relevant[query].sum()} relevant hits, and total says {totals[query]}.")
    return totals
