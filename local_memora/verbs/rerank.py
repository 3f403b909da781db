"""Merges the hits of several searches into one list, as Milvus does.

https://milvus.io/docs/reranking.md
"""

import math
from collections import defaultdict
from typing import Any

from local_memora.contract.bodies import Rrf, Weighted

Hits = list[tuple[float, dict[str, Any]]]  # distance and row, best first


def rerank(found: list[Hits], metrics: list[str], how: Rrf | Weighted, key: str) -> Hits:
    """Merge the hits of several searches.

    `rrf` adds up 1 / (k + rank) with ranks from 1 (Cormack, Clarke, Buettcher: Reciprocal rank fusion, SIGIR 2009);
    `weighted` adds up weight * score, where a score is the distance brought between 0 and 1, 1 being closest.

    Parameters
    ----------
    found : list of list of (float, dict)
        For each search its hits, best first.
    metrics : list of str
        The metric of each search.
    how : Rrf or Weighted
        The strategy with its numbers.
    key : str
        The rows' primary key.

    Returns
    -------
    list of (float, dict)
        Each row found, once, with its score, largest first; equal scores in the order of their keys.
    """
    scores: dict[Any, float] = defaultdict(float)
    rows: dict[Any, dict[str, Any]] = {}
    for number, (hits, metric) in enumerate(zip(found, metrics, strict=True)):
        for rank, (distance, row) in enumerate(hits, start=1):
            rows.setdefault(row[key], row)
            if isinstance(how, Weighted):
                scores[row[key]] += how.params.weights[number] * _between_0_and_1(distance, metric)
            else:
                scores[row[key]] += 1 / (how.params.k + rank)
    return [(scores[k], rows[k]) for k in sorted(rows, key=lambda k: (-scores[k], k))]


def _between_0_and_1(distance: float, metric: str) -> float:
    if metric == "COSINE":
        return (1 + distance) / 2
    if metric == "IP":
        return 0.5 + math.atan(distance) / math.pi
    return 1 - 2 * math.atan(distance) / math.pi  # L2, HAMMING: 0 is closest, there is no farthest
