"""Toy indexes on a plane that record every comparison, which real engines do not report."""

import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Visit:
    """What one search looked at.

    Parameters
    ----------
    found : list of int
        The numbers of the points it found, nearest first.
    compared : list of int
        The numbers of all points that the query was compared with, in that order.
    lists : list of int
        IVF_FLAT: which lists were searched, the nearest first.
    centers : int
        IVF_FLAT: how many centers the query was compared with before.
    walks : list of list of int
        HNSW: for each layer, from the top, the points that the search stepped on, each nearer than the one before. A
        step in layer 0 may pass over points that were not nearer.
    """

    found: list[int]
    compared: list[int]
    lists: list[int] = field(default_factory=list)
    centers: int = 0
    walks: list[list[int]] = field(default_factory=list)

    @property
    def comparisons(self) -> int:
        """How many distances were computed."""
        return self.centers + len(self.compared)


class Flat:
    """Exact search: no preparation, and every point is compared.

    Parameters
    ----------
    points : numpy.ndarray, shape (n, dim)
        What is stored.
    """

    def __init__(self, points: np.ndarray) -> None:
        self.points = points

    def search(self, query: np.ndarray, k: int) -> Visit:
        """Find the k nearest."""
        everything = list(range(len(self.points)))
        return Visit(nearest(self.points, everything, query, k), everything)


class Ivf:
    """An inverted file: points in lists around the centers that k-means finds (Sivic and Zisserman, ICCV 2003).

    Parameters
    ----------
    points : numpy.ndarray, shape (n, dim)
        What is stored.
    nlist : int
        How many lists, at most n.

    Raises
    ------
    ValueError
        There are more lists than points, or none.
    """

    def __init__(self, points: np.ndarray, nlist: int) -> None:
        from sklearn.cluster import KMeans

        if not 1 <= nlist <= len(points):
            raise ValueError(f"nlist is {nlist}; allowed: 1 to {len(points)}, the number of points")
        trained = KMeans(nlist, n_init=1, random_state=0).fit(points)
        self.points, self.centers = points, trained.cluster_centers_
        self.lists = [np.flatnonzero(trained.labels_ == number).tolist() for number in range(nlist)]

    def search(self, query: np.ndarray, k: int, nprobe: int) -> Visit:
        """Find the k nearest of the points in the `nprobe` lists whose centers are nearest."""
        if not 1 <= nprobe <= len(self.lists):
            raise ValueError(f"nprobe is {nprobe}; allowed: 1 to {len(self.lists)}, the number of lists")
        probed = nearest(self.centers, range(len(self.centers)), query, nprobe)
        compared = [point for number in probed for point in self.lists[number]]
        return Visit(nearest(self.points, compared, query, k), compared, probed, len(self.centers))


class Hnsw:
    """A graph in layers to walk on: Malkov and Yashunin, TPAMI 2020, https://arxiv.org/abs/1603.09320.

    Every point lies in layer 0, one in `m` of each layer also in the next. A point is linked to at most `m` others of
    its layer, in layer 0 to 2 `m`.

    Parameters
    ----------
    points : numpy.ndarray, shape (n, dim)
        What is stored; inserted in this order.
    m : int
        Links of a new point in each layer, at least 2.
    ef_construction : int
        How many near points are kept while looking for those to link to.
    seed : int
        Draws which points get into the upper layers.
    """

    def __init__(self, points: np.ndarray, m: int = 6, ef_construction: int = 24, seed: int = 0) -> None:
        if m < 2:
            raise ValueError(f"m is {m}; a graph to walk on needs 2 links or more")
        self.points, self.m, self.ef_construction = points, m, ef_construction
        self.layers: list[dict[int, list[int]]] = []  # for each layer: point -> the points it is linked to
        self.entry = 0
        drawn = 1 - np.random.default_rng(seed).random(len(points))  # in (0, 1]: it has a logarithm
        for point, level in enumerate((-np.log(drawn) / math.log(m)).astype(int)):
            self._insert(point, int(level))

    def _insert(self, point: int, level: int) -> None:
        top = len(self.layers) - 1
        starts: list[int] = [self.entry]
        seen: dict[int, float] = {}
        for number in range(top, level, -1):
            starts, _ = self._search_layer(self.points[point], starts, 1, number, seen)
        for number in range(min(top, level), -1, -1):
            starts, _ = self._search_layer(self.points[point], starts, self.ef_construction, number, seen)
            links = self.layers[number]
            links[point] = self._spread(point, starts, self.m)
            for other in links[point]:
                links[other].append(point)
                if len(links[other]) > (self.m if number else 2 * self.m):
                    links[other] = self._spread(other, links[other], self.m if number else 2 * self.m)
        while len(self.layers) <= level:
            self.layers.append({point: []})
            self.entry = point

    def _spread(self, point: int, candidates: Sequence[int], most: int) -> list[int]:
        """Choose links in several directions: a candidate nearer to a chosen one than to the point is left out."""
        chosen: list[int] = []
        for candidate in nearest(self.points, candidates, self.points[point], len(candidates)):
            to_point = _distance(self.points[candidate], self.points[point])
            if all(to_point < _distance(self.points[candidate], self.points[other]) for other in chosen):
                chosen.append(candidate)
        return chosen[:most]

    def search(self, query: np.ndarray, k: int, ef: int) -> Visit:
        """Walk down to layer 0, always to the nearest link, and there keep the `ef` nearest seen, at least k."""
        starts: list[int] = [self.entry]
        seen: dict[int, float] = {}
        walks: list[list[int]] = []
        for number in range(len(self.layers) - 1, -1, -1):
            starts, walk = self._search_layer(query, starts, max(ef, k) if number == 0 else 1, number, seen)
            walks.append(walk)
        return Visit(starts[:k], list(seen), walks=walks)

    def _search_layer(
        self, query: np.ndarray, starts: Sequence[int], ef: int, number: int, seen: dict[int, float]
    ) -> tuple[list[int], list[int]]:
        """Return the `ef` nearest points in reach, and the steps that came nearer; `seen` collects distances."""
        for start in starts:
            seen.setdefault(start, _distance(self.points[start], query))
        waiting = [(seen[start], start) for start in starts]
        heapq.heapify(waiting)
        kept = sorted(waiting)[:ef]
        walk, known = [kept[0][1]], set(starts)
        while waiting and (len(kept) < ef or waiting[0][0] <= kept[-1][0]):
            distance, point = heapq.heappop(waiting)
            if distance < seen[walk[-1]]:
                walk.append(point)
            for other in self.layers[number][point]:
                if other not in known:
                    known.add(other)
                    seen.setdefault(other, _distance(self.points[other], query))
                    if len(kept) < ef or seen[other] < kept[-1][0]:
                        heapq.heappush(waiting, (seen[other], other))
                        kept = sorted([*kept, (seen[other], other)])[:ef]
        return [point for _, point in kept], walk


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(((one - other) ** 2).sum())


def nearest(points: np.ndarray, among: Iterable[int], query: np.ndarray, k: int) -> list[int]:
    """Return the numbers of the k points nearest to the query, the nearest first."""
    among = np.fromiter(among, int)
    order = ((points[among] - query) ** 2).sum(1).argsort(kind="stable")[:k]
    return among[order].tolist()
