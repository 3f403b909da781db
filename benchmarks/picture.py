"""The results in one picture: what a user waits for, beside what people would pick instead."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from benchmarks.measure import EVERY_ROW
from helpers.plots import BLUE, GREY

SEARCHES = {"search_10000": "10,000 rows", "search_100000": "100,000 rows"}
Bars = list[tuple[str, float, str]]


def draw(tables: dict[str, Any], file: Path) -> None:
    """Draw what was measured of searches and of a whole folder; nothing where neither was."""
    plots: list[tuple[str, str, Bars]] = []
    if "folder" in tables:
        rows = tables["folder"]["rows"]
        plots.append(("From a folder to searchable", "seconds", [(r["way"], r["to searchable, s"], "") for r in rows]))
        plots.append(
            ("One picture query", "milliseconds, median", [(r["way"], r["a query, p50 ms"], "") for r in rows])
        )
    for name, size in SEARCHES.items():
        if name in tables:
            plots.append((f"One search among {size}", "milliseconds, median", fastest(tables[name]["rows"])))
    if not plots:
        return
    columns = min(2, len(plots))  # two side by side: all of it fits on a screen
    pairs = [plots[start : start + columns] for start in range(0, len(plots), columns)]
    heights = [max(len(bars) for *_, bars in pair) + 2.5 for pair in pairs]
    figure, axes = plt.subplots(
        *(len(pairs), columns),
        figsize=(7 * columns, 0.6 + 0.3 * sum(heights)),
        height_ratios=heights,
        squeeze=False,
    )
    for ax, (title, unit, bars) in zip(axes.flat, plots, strict=False):
        _bars(ax, title, unit, bars)
    for ax in axes.flat[len(plots) :]:
        ax.axis("off")
    figure.tight_layout()
    figure.savefig(file, dpi=100, bbox_inches="tight")
    plt.close(figure)


def fastest(rows: list[dict[str, Any]]) -> Bars:
    """Return each store's fastest way with its recall, fastest first."""
    best: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row["p50 ms"] < best.get(row["in"], row | {"p50 ms": float("inf")})["p50 ms"]:
            best[row["in"]] = row
    ordered = sorted(best.values(), key=lambda row: row["p50 ms"])
    return [(f"{row['in']}: {_short(row)}", row["p50 ms"], f"recall {row['recall@10']:.2f}") for row in ordered]


def _short(row: dict[str, Any]) -> str:
    return "exact" if row["index"] == EVERY_ROW else row["index"].partition(",")[0]


def _bars(ax: Axes, title: str, unit: str, bars: Bars) -> None:
    names = [name for name, *_ in bars]
    colors = [BLUE if name.startswith(("the kit", "Memora")) else GREY for name in names]
    values = [value for _, value, _ in bars]
    if max(values) > 20 * min(values):  # on such a scale a bar's length would mean nothing: points
        ax.scatter(values, names, color=colors, s=60)
        ax.set_xscale("log")
        unit += "; each step is ten times as long"
    else:
        ax.barh(names, values, color=colors)
    for place, (_, value, note) in enumerate(bars):
        ax.text(value, place, f"   {value:.3g}" + (f", {note}" if note else ""), va="center", fontsize=8)
    ax.invert_yaxis()
    ax.set_title(title, loc="left", fontsize=10)
    ax.set_xlabel(unit, fontsize=8)
    ax.tick_params(labelsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    ax.margins(x=0.25)
    ax.grid(axis="x", alpha=0.3)
    ax.set_axisbelow(True)
