"""Pictures of what indexes look at and of what they cost; each prints a line that says the same in words."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from helpers.indexing.measure import Blame, Measured
from helpers.indexing.on_a_plane import Flat, Hnsw, Ivf, Visit, nearest
from helpers.labels import drawable, finished
from helpers.plots import BLUE, DARK_GREY, GREY, LIGHT_BLUE, LIGHT_GREY, ORANGE, PALE_BLUE, SERIES, VERMILION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

K = 5  # how many points a search on a plane is for


def show_blame(rows: Mapping[str, Blame]) -> "Figure":
    """Draw, for each way of searching, the share of right hits and what the others are due to."""
    import matplotlib.pyplot as plt

    parts = [
        ("right", "right, and truly nearest", BLUE, ""),
        ("right_instead", "right, instead of a nearer one", LIGHT_BLUE, ""),
        ("embedding", "wrong: the embedding", ORANGE, "//"),
        ("index", "wrong: the index", VERMILION, "xx"),
        ("missing", "missing: the index", "white", ""),
    ]
    figure, axis = plt.subplots(figsize=(7.4, 0.42 * len(rows) + 1.3), layout="constrained")
    left = np.zeros(len(rows))
    for name, label, color, hatch in parts:
        width = np.array([getattr(row, name) for row in rows.values()])
        style: dict[str, Any] = {"color": color, "hatch": hatch, "edgecolor": "black", "lw": 0.5, "label": label}
        axis.barh(range(len(rows)), width, left=left, **style)
        left += width
    axis.set_yticks(range(len(rows)), [drawable(name) for name in rows], parse_math=False)
    axis.invert_yaxis()
    axis.set(xlim=(0, 1), xlabel="share of the ten hits")
    figure.legend(fontsize=8, ncols=3, frameon=False, loc="outside lower center")
    for name, row in rows.items():
        print(
            f"{name}: recall {row.recall:.2f}; of all hits right {row.precision:.2f}, wrong by the embedding "
            f"{row.embedding:.2f}, wrong by the index {row.index:.2f}, missing {row.missing:.2f}"
        )
    return finished(figure)


def show_curves(curves: Mapping[str, Sequence[tuple[int, Measured]]], *, exact: Measured | None = None) -> "Figure":
    """Draw recall against the setting and against the time of a search, one line per index; print the recalls.

    Parameters
    ----------
    curves : mapping of name to sequence of (setting, Measured)
        The setting is an nprobe or an ef.
    exact : Measured, optional
        The result of exact search.
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator, NullLocator, ScalarFormatter

    figure, (by_setting, by_time) = plt.subplots(1, 2, figsize=(8.6, 3.6), sharey=True, layout="constrained")
    styles = [(color, marker + line) for (color, marker), line in zip(SERIES, ("-", "--", ":", "-."), strict=True)]
    for (name, points), (color, style) in zip(curves.items(), cycle(styles), strict=False):  # the styles have no end
        recalls = [measured.recall for _, measured in points]
        by_setting.plot([setting for setting, _ in points], recalls, style, color=color, label=drawable(name), ms=5)
        by_time.plot([measured.p50 for _, measured in points], recalls, style, color=color, ms=5)
        told = ", ".join(f"{recall:.2f} at {setting}" for recall, (setting, _) in zip(recalls, points, strict=True))
        print(f"{name}: recall {told}")
    if exact:
        by_time.plot(exact.p50, exact.recall, "*", color="black", ms=13, label="FLAT: exact")
    settings = sorted({setting for points in curves.values() for setting, _ in points})
    by_setting.set(xscale="log", xlabel="nprobe, or ef", ylabel="recall@10")
    by_setting.set_xticks(settings, settings, fontsize=8)
    by_time.set(xscale="log", xlabel="median time of a search, ms")
    low, high = by_time.get_xlim()
    times = [t for t in (0.1, 0.2, 0.5, 1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000) if low <= t <= high]
    if len(times) < 2:  # all times are alike
        times = [t for t in MaxNLocator(4).tick_values(low, high) if low <= t <= high]
    by_time.set_xticks(times)
    by_time.xaxis.set_major_formatter(ScalarFormatter())
    by_setting.yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))  # not 2.5: each tick is what it says
    by_setting.yaxis.set_major_formatter(ScalarFormatter(useOffset=False))
    for axis in (by_setting, by_time):
        axis.xaxis.set_minor_locator(NullLocator())
        axis.grid(color=LIGHT_GREY, lw=0.5)
    figure.legend(fontsize=8, ncols=4, frameon=False, loc="outside lower center")
    return finished(figure)


def show_flat(index: Flat, query: np.ndarray) -> "Figure":
    """Draw what exact search on a plane looks at for a query, shape (2,), and print it in words."""
    visit = index.search(query, K)
    figure, (axis,) = _figure(1, (4, 4))
    _draw_points(axis, index.points, query, visit)
    _legend(figure)
    print(f"FLAT: {_summary(index.points, query, visit)}")
    return finished(figure)


def show_ivf(index: Ivf, query: np.ndarray, *, nprobes: Sequence[int] = (1, 3)) -> "Figure":
    """Draw the lists of an inverted file on a plane as cells, those searched shaded, side by side for each nprobe."""
    from scipy.spatial import Voronoi

    figure, axes = _figure(len(nprobes), (3.6 * len(nprobes) + 0.4, 4))
    reach = 1_000 * np.abs(index.points).max()  # four centers far away close the outer cells
    around = reach * np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    cells = Voronoi(np.vstack([index.centers, around]))
    for axis, nprobe in zip(axes, nprobes, strict=True):
        visit = index.search(query, K, nprobe)
        for number in range(len(index.centers)):
            corners = cells.vertices[cells.regions[cells.point_region[number]]]
            axis.fill(*corners.T, facecolor=PALE_BLUE if number in visit.lists else "white", edgecolor=GREY, lw=0.7)
        _draw_points(axis, index.points, query, visit)
        x, y = index.centers.T
        axis.scatter(x, y, s=26, marker="+", color=DARK_GREY, lw=1, zorder=3, label="center")
        axis.set_title(f"nlist {len(index.lists)}, nprobe {nprobe}", fontsize=9)
        print(f"IVF_FLAT, nprobe {nprobe} of {len(index.lists)}: {_summary(index.points, query, visit)}")
    _legend(figure)
    return finished(figure)


def show_hnsw(index: Hnsw, query: np.ndarray, *, ef: int = 8) -> "Figure":
    """Draw a graph's layers on a plane side by side, the top one first, and the walk to the query through them.

    In layer 0 the search keeps the `ef` nearest points.
    """
    from matplotlib.collections import LineCollection

    visit = index.search(query, K, ef)
    figure, axes = _figure(len(index.layers), (3.2 * len(index.layers) + 0.2, 3.8))
    numbers = range(len(index.layers) - 1, -1, -1)
    for axis, number, walk in zip(axes, numbers, visit.walks, strict=True):
        links = index.layers[number]
        lines = [index.points[[one, other]] for one, others in links.items() for other in others]
        axis.add_collection(LineCollection(lines, color=LIGHT_GREY, lw=0.5, zorder=1))
        _draw_points(axis, index.points, query, visit, among=links)
        axis.plot(*index.points[walk].T, "D-", color=ORANGE, ms=4, mec="black", mew=0.5, lw=2, zorder=4, label="walk")
        axis.set_title(f"layer {number}: {len(links)} points, {len(walk) - 1} steps", fontsize=9)
    _legend(figure)
    print(
        f"HNSW, M {index.m}, ef {ef}: {len(index.layers)} layers, {sum(len(walk) - 1 for walk in visit.walks)} steps; "
        f"{_summary(index.points, query, visit)}"
    )
    return finished(figure)


def show_smaller(rows: Sequence[tuple[str, int, float, Measured, Measured]]) -> "Figure":
    """Draw what ways of storing vectors keep: mAP, and the recall of the exact ten in two collections; print a table.

    Parameters
    ----------
    rows : sequence of (name, bytes, mAP, Measured, Measured)
        For each way its bytes a picture, its mAP, and what was measured in the small and in the large collection.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(8.2, 0.9 + 0.27 * len(rows)), sharey=True, layout="constrained")
    places, quality = range(len(rows)), [row[2] for row in rows]
    axes[0].plot(quality, places, "o", color=BLUE, ms=6)
    axes[0].set(xlabel="mAP, the collection's size", xlim=(min(quality) - 0.02, max(quality) + 0.02))
    for measured, name, color, marker in (
        ([row[3] for row in rows], "the collection's size", BLUE, "o"),
        ([row[4] for row in rows], "the large one", VERMILION, "s"),
    ):
        recalls = [one.recall for one in measured]
        axes[1].plot(recalls, places, marker, color=color, ms=6, label=name, alpha=0.8)
    axes[1].set(xlabel="recall of the exact ten", xlim=(-0.02, 1.04))
    axes[1].legend(fontsize=8, frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    axes[0].set_yticks(places, [f"{drawable(name)}: {size:,} B" for name, size, *_ in rows], fontsize=8)
    axes[0].invert_yaxis()
    for axis in axes:
        axis.grid(alpha=0.3)
    print(f"{'':<48}bytes    mAP   recall of the exact ten   ms a search (p50)")
    for name, size, precision, small, large in rows:
        both = f"{small.recall:.2f}, large {large.recall:.2f}"
        print(f"{name:<48}{size:>5}  {precision:.3f}   {both:<25} {small.p50:.2f}, large {large.p50:.1f}")
    return finished(figure)


def _figure(panels: int, size: tuple[float, float]) -> tuple["Figure", Sequence["Axes"]]:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, panels, figsize=size, squeeze=False, layout="constrained")
    return figure, axes[0]


def _draw_points(
    axis: "Axes", points: np.ndarray, query: np.ndarray, visit: Visit, among: Iterable[int] | None = None
) -> None:
    drawn = set(range(len(points)) if among is None else among)
    closest = nearest(points, range(len(points)), query, K)
    found, lost = set(closest) & set(visit.found) & drawn, (set(closest) - set(visit.found)) & drawn
    compared = drawn & set(visit.compared)
    styles: list[tuple[set[int], dict[str, Any]]] = [
        (drawn - compared, {"s": 8, "color": GREY, "label": "not compared"}),
        (compared, {"s": 20, "color": BLUE, "label": "compared"}),
        (found, {"s": 80, "facecolors": "none", "edgecolors": "black", "linewidths": 1.3, "label": "nearest, found"}),
        (lost, {"s": 60, "marker": "x", "color": VERMILION, "linewidths": 2, "label": "nearest, lost"}),
    ]
    for order, (members, style) in enumerate(styles, start=2):
        if members:
            axis.scatter(*points[sorted(members)].T, zorder=order, **style)
    axis.scatter(query[0], query[1], s=170, marker="*", color="black", edgecolors="white", zorder=7, label="query")
    low, high = points.min(0), points.max(0)
    margin = 0.06 * (high - low)
    axis.set(xlim=(low[0] - margin[0], high[0] + margin[0]), ylim=(low[1] - margin[1], high[1] + margin[1]))
    axis.set(xticks=[], yticks=[])


def _legend(figure: "Figure") -> None:
    named = {
        name: handle for axis in figure.axes for handle, name in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(named.values(), named.keys(), fontsize=8, ncols=6, frameon=False, loc="outside lower center")


def _summary(points: np.ndarray, query: np.ndarray, visit: Visit) -> str:
    found = len(set(visit.found) & set(nearest(points, range(len(points)), query, K)))
    centers = f"{visit.centers} centers + " if visit.centers else ""
    total = f" = {visit.comparisons} comparisons" if visit.centers else ""
    return f"{centers}{len(visit.compared)} of {len(points)} points compared{total}; {found} of the {K} nearest found"
