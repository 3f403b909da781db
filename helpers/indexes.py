"""Small indexes on a plane that tell what they looked at, and pictures of it: no engine tells that of its own."""

import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# From the palette of Okabe and Ito, told apart by everyone; each also has a shape of its own.
COMPARED, FOUND, LOST, WALK, OTHER, CELL = "#0072B2", "#000000", "#D55E00", "#E69F00", "#B6BEC7", "#D6E8F5"


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
        HNSW: for each layer, the top one first, the points the search stepped on, each nearer than the one before. A
        step in layer 0 may lead over others that were not nearer.
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
        return Visit(_nearest(self.points, everything, query, k), everything)


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
        probed = _nearest(self.centers, range(len(self.centers)), query, nprobe)
        compared = [point for number in probed for point in self.lists[number]]
        return Visit(_nearest(self.points, compared, query, k), compared, probed, len(self.centers))


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
        Which points get into upper layers is drawn.
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
        starts, seen = [self.entry], {}
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
        for candidate in _nearest(self.points, candidates, self.points[point], len(candidates)):
            to_point = _distance(self.points[candidate], self.points[point])
            if all(to_point < _distance(self.points[candidate], self.points[other]) for other in chosen):
                chosen.append(candidate)
        return chosen[:most]

    def search(self, query: np.ndarray, k: int, ef: int) -> Visit:
        """Walk down to layer 0, always to the nearest link, and there keep the `ef` nearest seen, at least k."""
        starts, seen, walks = [self.entry], {}, []
        for number in range(len(self.layers) - 1, -1, -1):
            starts, walk = self._search_layer(query, starts, max(ef, k) if number == 0 else 1, number, seen)
            walks.append(walk)
        return Visit(starts[:k], list(seen), walks=walks)

    def _search_layer(
        self, query: np.ndarray, starts: Sequence[int], ef: int, number: int, seen: dict[int, float]
    ) -> tuple[list[int], list[int]]:
        """Return the `ef` nearest that can be walked to, and the steps nearer; `seen` collects the distances."""
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


def show_flat(index: Flat, query: np.ndarray, *, k: int = 5) -> "Figure":
    """Draw what exact search looks at, and print it in words.

    Parameters
    ----------
    index : Flat
        On a plane.
    query : numpy.ndarray, shape (2,)
        The vector to search for.
    k : int
        How many are wanted.
    """
    visit = index.search(query, k)
    figure, (axis,) = _figure(1, (4, 4))
    _draw_points(axis, index.points, query, visit, k)
    _legend(figure)
    print(f"FLAT: {_summary(index.points, query, visit, k)}")
    return figure


def show_ivf(index: Ivf, query: np.ndarray, *, nprobes: Sequence[int] = (1, 3), k: int = 5) -> "Figure":
    """Draw the lists of an inverted file as cells, those searched shaded, side by side for several `nprobe`.

    Parameters
    ----------
    index : Ivf
        On a plane.
    query, k
        As for `show_flat`.
    nprobes : sequence of int
        How many lists to search in each picture.
    """
    from scipy.spatial import Voronoi

    figure, axes = _figure(len(nprobes), (3.6 * len(nprobes) + 0.4, 4))
    reach = 1_000 * np.abs(index.points).max()  # four centers far away close the outer cells
    around = reach * np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    cells = Voronoi(np.vstack([index.centers, around]))
    for axis, nprobe in zip(axes, nprobes, strict=True):
        visit = index.search(query, k, nprobe)
        for number in range(len(index.centers)):
            corners = cells.vertices[cells.regions[cells.point_region[number]]]
            axis.fill(*corners.T, facecolor=CELL if number in visit.lists else "white", edgecolor="#8C959F", lw=0.7)
        _draw_points(axis, index.points, query, visit, k)
        axis.scatter(*index.centers.T, s=26, marker="+", color="#57606A", lw=1, zorder=3, label="center")
        axis.set_title(f"nlist {len(index.lists)}, nprobe {nprobe}", fontsize=9)
        print(f"IVF_FLAT, nprobe {nprobe} of {len(index.lists)}: {_summary(index.points, query, visit, k)}")
    _legend(figure)
    return figure


def show_hnsw(index: Hnsw, query: np.ndarray, *, ef: int = 8, k: int = 5) -> "Figure":
    """Draw a graph's layers side by side, the top one first, and the walk to the query through them.

    Parameters
    ----------
    index : Hnsw
        On a plane.
    query, k
        As for `show_flat`.
    ef : int
        How many near points the search keeps in layer 0.
    """
    from matplotlib.collections import LineCollection

    visit = index.search(query, k, ef)
    figure, axes = _figure(len(index.layers), (3.2 * len(index.layers) + 0.2, 3.8))
    numbers = range(len(index.layers) - 1, -1, -1)
    for axis, number, walk in zip(axes, numbers, visit.walks, strict=True):
        links = index.layers[number]
        lines = [index.points[[one, other]] for one, others in links.items() for other in others]
        axis.add_collection(LineCollection(lines, color="#C9D1D9", lw=0.5, zorder=1))
        _draw_points(axis, index.points, query, visit, k, among=links)
        axis.plot(*index.points[walk].T, "D-", color=WALK, ms=4, mec="black", mew=0.5, lw=2, zorder=4, label="walk")
        axis.set_title(f"layer {number}: {len(links)} points, {len(walk) - 1} steps", fontsize=9)
    _legend(figure)
    print(
        f"HNSW, M {index.m}, ef {ef}: {len(index.layers)} layers, {sum(len(walk) - 1 for walk in visit.walks)} steps; "
        f"{_summary(index.points, query, visit, k)}"
    )
    return figure


def _figure(panels: int, size: tuple[float, float]) -> tuple["Figure", Sequence["Axes"]]:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, panels, figsize=size, squeeze=False, layout="constrained")
    plt.close(figure)  # the cell shows it once, as its value
    return figure, axes[0]


def _draw_points(
    axis: "Axes", points: np.ndarray, query: np.ndarray, visit: Visit, k: int, among: Iterable[int] | None = None
) -> None:
    drawn = set(range(len(points)) if among is None else among)
    nearest = _nearest(points, range(len(points)), query, k)
    found, lost = set(nearest) & set(visit.found) & drawn, (set(nearest) - set(visit.found)) & drawn
    compared = drawn & set(visit.compared)
    styles = [
        (drawn - compared, {"s": 8, "color": OTHER, "label": "not compared"}),
        (compared, {"s": 20, "color": COMPARED, "label": "compared"}),
        (found, {"s": 80, "facecolors": "none", "edgecolors": FOUND, "linewidths": 1.3, "label": "nearest, found"}),
        (lost, {"s": 60, "marker": "x", "color": LOST, "linewidths": 2, "label": "nearest, lost"}),
    ]
    for order, (members, style) in enumerate(styles, start=2):
        if members:
            axis.scatter(*points[sorted(members)].T, zorder=order, **style)
    axis.scatter(*query, s=170, marker="*", color="black", edgecolors="white", zorder=7, label="query")
    low, high = points.min(0), points.max(0)
    margin = 0.06 * (high - low)
    axis.set(xlim=(low[0] - margin[0], high[0] + margin[0]), ylim=(low[1] - margin[1], high[1] + margin[1]))
    axis.set(xticks=[], yticks=[])


def _legend(figure: "Figure") -> None:
    named = {
        name: handle for axis in figure.axes for handle, name in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(named.values(), named.keys(), fontsize=8, ncols=6, frameon=False, loc="outside lower center")


def _summary(points: np.ndarray, query: np.ndarray, visit: Visit, k: int) -> str:
    found = len(set(visit.found) & set(_nearest(points, range(len(points)), query, k)))
    centers = f"{visit.centers} centers + " if visit.centers else ""
    total = f" = {visit.comparisons} comparisons" if visit.centers else ""
    return f"{centers}{len(visit.compared)} of {len(points)} points compared{total}; {found} of the {k} nearest found"


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(((one - other) ** 2).sum())


def _nearest(points: np.ndarray, among: Iterable[int], query: np.ndarray, k: int) -> list[int]:
    """Return the numbers of the k points nearest to the query, the nearest first."""
    among = np.fromiter(among, int)
    order = ((points[among] - query) ** 2).sum(1).argsort(kind="stable")[:k]
    return among[order].tolist()
