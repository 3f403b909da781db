"""How good is a ranking? The usual measures, each with its definition, and how far chance may have moved them.

The measures of a ranking take these parameters:

relevant : numpy.ndarray, shape (queries, hits), bool
    Whether each hit is relevant; best hit first.
total : int or numpy.ndarray of int, shape (queries,)
    How many relevant images the collection holds for each query, at least 1: images that were not found must count too.
k : int
    How many hits to look at, at least 1.

They return float64, shape (queries,), one number between 0 and 1 per query; ValueError says which parameter is wrong.
The definitions are those of Manning,
Raghavan and Schütze, Introduction to Information Retrieval (2008), chapter 8.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95  # how often an interval should hold the truth


def precision_at_k(relevant: np.ndarray, k: int) -> np.ndarray:
    """Return the fraction of the first k hits that is relevant; missing hits count as wrong."""
    return _ranking(relevant, k)[:, :k].sum(1) / k


def recall_at_k(relevant: np.ndarray, total: np.ndarray | int, k: int) -> np.ndarray:
    """Return the fraction of all relevant images that is among the first k hits; with `total` above k, below 1."""
    relevant = _ranking(relevant, k)
    return relevant[:, :k].sum(1) / _totals(relevant, total)


def average_precision(relevant: np.ndarray, total: np.ndarray | int) -> np.ndarray:
    """Return the mean of the precision at the rank of each relevant image; an image that was not found counts as 0.

    The mean over queries is mAP. The sum is divided by *all* relevant images: dividing by the images found would reward
    a search for stopping early.
    """
    relevant = _ranking(relevant)
    precision = relevant.cumsum(1) / np.arange(1, relevant.shape[1] + 1)
    return (precision * relevant).sum(1) / _totals(relevant, total)


def knn_accuracy(found: np.ndarray, labels: Sequence[str] | np.ndarray, k: int) -> np.ndarray:
    """Return 1 where most of the k nearest images have the query's label, else 0; the nearest image decides a tie.

    Cover and Hart, Nearest neighbor pattern classification (1967). Unlike precision@k it asks for a decision.

    Parameters
    ----------
    found : numpy.ndarray, shape (queries, hits)
        The hits' labels, best hit first; at least k hits.
    labels : sequence, length queries
        The queries' labels.
    k : int
        How many neighbors vote, at least 1.
    """
    found = np.asarray(found)
    if found.ndim != 2 or not 1 <= k <= found.shape[1]:
        raise ValueError(f"k is {k}, and the labels found are of shape {found.shape}: (queries, at least k) is needed.")
    nearest = found[:, :k]
    votes = (nearest[:, :, None] == nearest[:, None, :]).sum(2)  # how many of the k have each one's label
    winners = nearest[np.arange(len(nearest)), votes.argmax(1)]  # argmax takes the first, which is the nearest
    return (winners == np.asarray(labels)).astype(np.float64)


def index_recall(found: Sequence[Iterable[Hashable]], exact: Sequence[Iterable[Hashable]]) -> np.ndarray:
    """Return the fraction of the true nearest neighbors that an index found: recall@k, with k hits in `exact`.

    Aumüller, Bernhardsson and Faithfull, ANN-Benchmarks (2020), https://doi.org/10.1016/j.is.2019.02.006. It says
    nothing about whether the nearest images are right: that depends on the embedding.

    Parameters
    ----------
    found, exact : sequences of as many sequences of ids
        For each query the ids that the index found, and the ids that exact search found (at least one).
    """
    pairs = [(set(ids), set(truth)) for ids, truth in zip(found, exact, strict=False)]
    if len(found) != len(exact) or not all(truth for _, truth in pairs):
        raise ValueError(f"{len(found)} answers and {len(exact)} exact answers: each query needs both.")
    return np.array([len(ids & truth) / len(truth) for ids, truth in pairs])


@dataclass(frozen=True)
class Interval:
    """A mean, with bounds (`low`, `high`) that it would stay within for most other samples of queries."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}]"


def bootstrap_interval(
    values: Sequence[float] | np.ndarray,
    groups: Sequence[Hashable] | np.ndarray | None = None,
    *,
    draws: int = 10_000,
) -> Interval:
    """Return the mean with its 95 % percentile bootstrap interval: as many queries are drawn again, many times.

    Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13. Two queries of one category are not
    independent: with `groups`, whole groups are drawn (cluster bootstrap: Field and Welsh, JRSS B 69, 2007).
    Where all values are equal the interval has no width: that means "too few queries", not "certain".

    Parameters
    ----------
    values : sequence of float
        One number per query, at least one.
    groups : sequence, optional
        What each query belongs to, such as its category.
    draws : int
        How often to draw; the same values give the same interval.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"values are of shape {values.shape}; one number per query is needed, for at least one query.")
    names, member = np.unique(np.arange(len(values)) if groups is None else np.asarray(groups), return_inverse=True)
    if len(member) != len(values):
        raise ValueError(f"{len(values)} values, and groups for {len(member)}: each value needs its group.")
    sums, sizes = np.bincount(member, values), np.bincount(member)
    drawn = np.random.default_rng(0).integers(len(names), size=(draws, len(names)))
    means = sums[drawn].sum(1) / sizes[drawn].sum(1)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(values.mean()), float(low), float(high))


def wilson_interval(right: int, of: int) -> Interval:
    """Return a share with Wilson's 95 % interval, which fits shares near 0 and 1 too.

    Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927). It takes the cases as
    independent: queries of one kind are not quite.

    Parameters
    ----------
    right, of : int
        How many of how many, of at least one.
    """
    from scipy.stats import binomtest  # scipy comes with scikit-learn

    if not 0 <= right <= of or of < 1:
        raise ValueError(f"{right} of {of}: at least one case is needed, and no more can be right than there are.")
    found = binomtest(right, of).proportion_ci(CONFIDENCE, "wilson")
    return Interval(right / of, float(found.low), float(found.high))


@dataclass(frozen=True)
class Quality:
    """One row of the table: precision at 1 and at 5, recall at 20 and mean average precision of a kind of feature."""

    name: str
    p1: Interval
    p5: Interval
    recall: Interval
    map: Interval

    def __str__(self) -> str:
        return f"{self.name:<24}" + "".join(f"{value!s:<19}" for value in (self.p1, self.p5, self.recall, self.map))


def quality(
    name: str,
    relevant: np.ndarray,
    total: np.ndarray | int,
    groups: Sequence[Hashable] | np.ndarray | None = None,
) -> Quality:
    """Measure one ranking of all queries; `name` says what made it, `groups` are as for `bootstrap_interval`."""
    return Quality(
        name,
        p1=bootstrap_interval(precision_at_k(relevant, 1), groups),
        p5=bootstrap_interval(precision_at_k(relevant, 5), groups),
        recall=bootstrap_interval(recall_at_k(relevant, total, 20), groups),
        map=bootstrap_interval(average_precision(relevant, total), groups),
    )


def table(rows: Sequence[Quality]) -> str:
    """Return the rows as text, under a heading."""
    heading = ("P@1", "P@5", "recall@20", "mAP")
    return "\n".join([" " * 24 + "".join(f"{name:<19}" for name in heading), *map(str, rows)])


def _ranking(relevant: np.ndarray, k: int = 1) -> np.ndarray:
    relevant = np.asarray(relevant)
    if relevant.ndim != 2 or relevant.dtype != bool:
        raise ValueError(f"relevant is {relevant.dtype} of shape {relevant.shape}; bool (queries, hits) is needed.")
    if k < 1:
        raise ValueError(f"k is {k}; it must be at least 1.")
    return relevant


def _totals(relevant: np.ndarray, total: np.ndarray | int) -> np.ndarray:
    totals = np.broadcast_to(total, len(relevant))
    if (totals < 1).any():
        query = int(np.argmax(totals < 1))
        raise ValueError(f"Query {query} has no relevant image in the collection: leave it out.")
    if (found := relevant.sum(1) > totals).any():
        query = int(np.argmax(found))
        raise ValueError(f"Query {query} has {relevant[query].sum()} relevant hits, but its total is {totals[query]}.")
    return totals
