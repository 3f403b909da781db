"""Pictures of measurements; each prints a line that says the same in words."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from helpers.labels import drawable, finished
from helpers.plots import BLUE, SERIES, VERMILION
from helpers.quality.factors import Sharing
from helpers.quality.metrics import Interval, Quality

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def show_quality(rows: Sequence[Quality]) -> "Figure":
    """Draw precision at 5 and mAP of each row, from top to bottom, as dots on lines that are their intervals."""
    import matplotlib.pyplot as plt

    size = (7.2, 0.9 + 0.27 * len(rows))
    figure, axes = plt.subplots(1, 2, figsize=size, sharey=True, layout="constrained")
    for axis, title, values in (
        (axes[0], "precision@5", [row.p5 for row in rows]),
        (axes[1], "mAP", [row.map for row in rows]),
    ):
        for y, value in enumerate(values):
            axis.plot([value.low, value.high], [y, y], color=BLUE, linewidth=5, alpha=0.35, solid_capstyle="butt")
            axis.plot(value.mean, y, "o", color=BLUE, markersize=5)
        axis.set(xlim=(-0.02, 1.02))
        axis.set_title(title, fontsize=10)
        axis.grid(axis="x", alpha=0.3)
    axes[0].set_yticks(range(len(rows)), [drawable(row.name) for row in rows], fontsize=8, parse_math=False)
    axes[0].invert_yaxis()
    best, worst = max(rows, key=lambda row: row.map.mean), min(rows, key=lambda row: row.map.mean)
    print(f"mAP from {worst.map.mean:.2f} ({worst.name}) to {best.map.mean:.2f} ({best.name}); bars: 95 % intervals")
    return finished(figure)


def show_sharing(found: Mapping[str, Mapping[str, Sharing]]) -> "Figure":
    """Draw how often the nearest picture shares each factor, and how far that lies above `matched`.

    `found` has for each kind of feature each factor's `Sharing`, the same factors for all.
    """
    import matplotlib.pyplot as plt

    kinds, factors = list(found), list(next(iter(found.values())))
    above = np.array(
        [[found[kind][factor].share - found[kind][factor].matched for factor in factors] for kind in kinds]
    )
    size = (1.9 + 1.15 * len(factors), 1.1 + 0.36 * len(kinds))
    figure, axis = plt.subplots(figsize=size, layout="constrained")
    shown = axis.imshow(above, cmap="PuOr_r", vmin=-0.5, vmax=0.5, aspect="auto")
    for y, kind in enumerate(kinds):
        for x, factor in enumerate(factors):
            one = found[kind][factor]
            luminance = np.power(shown.cmap(shown.norm(above[y, x]))[:3], 2.2) @ (0.2126, 0.7152, 0.0722)
            color = "white" if luminance < 0.18 else "black"  # where both have the same contrast
            axis.text(x, y, f"{one.share:.2f} / {one.matched:.2f}", ha="center", va="center", fontsize=8, color=color)
    axis.set_xticks(range(len(factors)), [drawable(factor) for factor in factors], fontsize=8, parse_math=False)
    axis.set_yticks(range(len(kinds)), [drawable(kind) for kind in kinds], fontsize=8, parse_math=False)
    axis.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    bar = figure.colorbar(shown, label="share - matched", extend="both")
    bar.ax.tick_params(labelsize=7)
    told = []
    for factor, column in zip(factors, above.T, strict=True):
        most = int(column.argmax())
        told.append(f"{factor}: {kinds[most]} {column[most]:+.2f}" if column[most] > 0.05 else f"{factor}: none")
    print(f"share / matched; most above, {', '.join(told)}")
    return finished(figure)


def show_recall(found: Mapping[str, Mapping[str, Interval]]) -> "Figure":
    """Draw recall@1 of the originals, with intervals.

    `found` has for each kind of feature (four at most) each edit's interval, the same edits for all.
    """
    import matplotlib.pyplot as plt

    edits = list(next(iter(found.values())))
    figure, axis = plt.subplots(figsize=(6.4, 0.9 + 0.36 * len(edits)), layout="constrained")
    for number, ((kind, values), (color, marker)) in enumerate(zip(found.items(), SERIES, strict=False)):
        places = np.arange(len(edits)) + 0.3 * (number - (len(found) - 1) / 2)
        for y, edit in zip(places, edits, strict=True):
            one = values[edit]
            axis.plot([one.low, one.high], [y, y], color=color, linewidth=4, alpha=0.35, solid_capstyle="butt")
        means = [values[edit].mean for edit in edits]
        axis.plot(means, places, marker, color=color, markersize=5, label=drawable(kind))
    axis.set(xlim=(-0.02, 1.02), xlabel="recall@1: the original is the nearest")
    axis.set_yticks(range(len(edits)), [drawable(edit) for edit in edits], fontsize=8, parse_math=False)
    axis.invert_yaxis()
    axis.grid(axis="x", alpha=0.3)
    axis.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(found), frameon=False)
    told = [f"{kind} {np.mean([one.mean for one in values.values()]):.2f}" for kind, values in found.items()]
    print(f"recall@1 over {len(edits)} edits: {', '.join(told)}; bars: 95 % intervals")
    return finished(figure)


def show_threshold(
    copies: np.ndarray, strangers: np.ndarray, curve: tuple[np.ndarray, np.ndarray], threshold: float
) -> "Figure":
    """Draw how similar copies are to their originals and strangers to their nearest, and what a threshold does.

    Parameters
    ----------
    copies, strangers : numpy.ndarray of float
        Similarities, one number per picture.
    curve : tuple of numpy.ndarray
        Precision and recall, as from `sklearn.metrics.precision_recall_curve` with weights that let all copies together
        count as much as all strangers.
    threshold : float
        A picture at least this similar counts as a copy.
    """
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 2.9), layout="constrained", width_ratios=(1.4, 1))
    both = np.append(copies, strangers)
    bins = np.linspace(both.min(), max(1, both.max()), 26)  # rounding lets a similarity be a hair over 1
    for values, name, color, hatch in (
        (copies, "copies: to their originals", BLUE, None),
        (strangers, "strangers: to their nearest", VERMILION, "///"),
    ):
        weights = np.full(len(values), 1 / len(values))
        left.hist(values, bins, weights=weights, color=color, alpha=0.5, hatch=hatch, edgecolor=color, label=name)
    left.axvline(threshold, color="black", linestyle="--", linewidth=1, label=f"threshold {threshold:.2f}")
    left.set(xlabel="similarity", ylabel="fraction of them")
    left.legend(fontsize=7, loc="upper left")

    precision, recall = curve
    right.plot(recall, precision, color=BLUE)
    found, alarms = float((copies >= threshold).mean()), float((strangers >= threshold).mean())
    right.plot(found, found / max(found + alarms, 1e-12), "o", color="black", label="at the threshold")
    right.set(xlabel="recall", ylabel="precision", xlim=(0, 1.03), ylim=(min(0.45, precision.min()), 1.03))
    right.grid(alpha=0.3)
    right.legend(fontsize=7, loc="lower left")
    print(f"at {threshold:.2f}: {found:.2f} of the copies recognised, {alarms:.2f} of the strangers taken for copies")
    return finished(figure)
