"""Pictures of measurements: what they show, and the line that says the same in words."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from sklearn.metrics import precision_recall_curve

from helpers.quality.charts import show_quality, show_recall, show_sharing, show_threshold
from helpers.quality.factors import Sharing
from helpers.quality.metrics import Interval, Quality
from tests.test_plots import drawn

SURE, BROAD = Interval(0.9, 0.85, 0.95), Interval(0.4, 0.1, 0.7)


@pytest.fixture(autouse=True)
def nothing_stays_open():
    yield
    assert plt.get_fignums() == []


def told(capsys) -> str:
    (line,) = capsys.readouterr().out.splitlines()
    return line


def test_each_row_of_the_table_is_a_dot_with_its_interval(capsys) -> None:
    rows = [Quality("a $1 hash", BROAD, BROAD, BROAD, BROAD), Quality("network", SURE, SURE, SURE, SURE)]
    figure = show_quality(rows)
    for axis in figure.axes:
        bars, dots = axis.lines[::2], axis.lines[1::2]
        assert [tuple(bar.get_xdata()) for bar in bars] == [(0.1, 0.7), (0.85, 0.95)]
        assert [(dot.get_xdata()[0], dot.get_ydata()[0]) for dot in dots] == [(0.4, 0), (0.9, 1)]
        assert axis.yaxis_inverted()
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["a $1 hash", "network"]
    assert told(capsys) == "mAP from 0.40 (a $1 hash) to 0.90 (network); bars: 95 % intervals"
    drawn(figure)


def test_a_square_tells_how_far_a_factor_is_shared_above_chance(capsys) -> None:
    found = {
        "hash": {"color": Sharing(0.1, 0.1, 0.12), "ground": Sharing(0.2, 0.1, 0.2)},
        "network": {"color": Sharing(0.13, 0.1, 0.1), "ground": Sharing(0.9, 0.1, 0.2)},
    }
    figure = show_sharing(found)
    axis = figure.axes[0]
    assert [text.get_text() for text in axis.texts] == ["0.10 / 0.12", "0.20 / 0.20", "0.13 / 0.10", "0.90 / 0.20"]
    assert np.allclose(axis.images[0].get_array(), [[-0.02, 0], [0.03, 0.7]])
    assert told(capsys) == "share / matched; most above, color: none, ground: network +0.70"
    drawn(figure)


def test_every_number_on_a_colored_square_can_be_read() -> None:
    for above in np.linspace(-0.6, 0.6, 25):
        figure = show_sharing({"kind": {"factor": Sharing(0.3 + above, 0.3, 0.3)}})
        axis = figure.axes[0]
        shown = axis.images[0]
        back, front = (luminance(color) for color in (shown.cmap(shown.norm(above)), axis.texts[0].get_color()))
        contrast = (max(back, front) + 0.05) / (min(back, front) + 0.05)
        assert contrast >= 4.5, above  # WCAG 2, AA


def luminance(color) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def test_kinds_of_features_differ_by_mark_and_not_by_color_alone(capsys) -> None:
    figure = show_recall({"network": {"flip": SURE, "crop": SURE}, "hash": {"flip": BROAD, "crop": SURE}})
    axis = figure.axes[0]
    dots = [line for line in axis.lines if line.get_marker() not in ("None", "", None)]
    assert [list(line.get_xdata()) for line in dots] == [[0.9, 0.9], [0.4, 0.9]]
    assert len({line.get_marker() for line in dots}) == len({line.get_color() for line in dots}) == 2
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["network", "hash"]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["flip", "crop"]
    assert told(capsys) == "recall@1 over 2 edits: network 0.90, hash 0.65; bars: 95 % intervals"
    drawn(figure)


def test_the_threshold_stands_on_the_curve_where_it_says(capsys, rng: np.random.Generator) -> None:
    copies, strangers = rng.uniform(0.7, 1, size=40), rng.uniform(0.5, 0.8, size=20)
    copies[0] = 1 + 1e-6
    truth, weight = np.repeat([1, 0], [40, 20]), np.repeat([1 / 40, 1 / 20], [40, 20])
    precision, recall, thresholds = precision_recall_curve(truth, np.append(copies, strangers), sample_weight=weight)
    number = np.argmax(precision[:-1] >= 0.95)
    figure = show_threshold(copies, strangers, (precision, recall), thresholds[number])
    left, right = figure.axes
    point = right.lines[1]
    assert (point.get_xdata()[0], point.get_ydata()[0]) == pytest.approx((recall[number], precision[number]))
    assert left.lines[0].get_xdata()[0] == thresholds[number]
    heights = [sum(patch.get_height() for patch in bars) for bars in left.containers]
    assert heights == pytest.approx([1, 1])
    assert any(patch.get_hatch() for patch in left.containers[1])
    assert f"{recall[number]:.2f} of the copies recognised" in told(capsys)
    drawn(figure)


def test_a_threshold_that_nothing_reaches_is_drawn_too(capsys) -> None:
    figure = show_threshold(np.array([0.5, 0.6]), np.array([0.4]), (np.array([0.5, 1]), np.array([1, 0])), 0.99)
    assert told(capsys) == "at 0.99: 0.00 of the copies recognised, 0.00 of the strangers taken for copies"
    drawn(figure)
