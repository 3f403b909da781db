"""Texts in figures: in every script, without boxes and warnings."""

import warnings
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.font_manager import fontManager
from PIL import Image

from helpers import labels
from helpers.indexing.charts import show_blame, show_curves
from helpers.indexing.measure import Blame, Measured
from helpers.labels import drawable, finished
from helpers.plots import show_hits, show_images, show_many, show_similarities
from helpers.quality.charts import show_quality, show_recall, show_sharing
from helpers.quality.factors import Sharing
from helpers.quality.metrics import Interval, Quality
from helpers.search import Hit
from tests.test_plots import MUG, drawn

CAT, PICTURE = "猫の写真", "ภาพ"


@pytest.fixture(autouse=True)
def fonts(monkeypatch: pytest.MonkeyPatch) -> list:
    """Let this machine have matplotlib's own fonts only."""
    own = [font for font in fontManager.ttflist if Path(font.fname).is_relative_to(matplotlib.get_data_path())]
    monkeypatch.setattr(fontManager, "ttflist", own)
    labels._other_fonts.cache_clear()
    yield own
    labels._other_fonts.cache_clear()
    assert plt.get_fignums() == []


def font(path: Path, name: str, letters: str) -> None:
    """Write a font in which each letter is a square, and let matplotlib know it."""
    pen = TTGlyphPen(None)
    for x, y in ((0, 0), (0, 700), (700, 700), (700, 0)):
        (pen.lineTo if pen.points else pen.moveTo)((x, y))
    pen.closePath()
    square, order = pen.glyph(), [".notdef", *(f"u{ord(letter):X}" for letter in letters)]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(order)
    builder.setupCharacterMap({ord(letter): glyph for letter, glyph in zip(letters, order[1:], strict=True)})
    builder.setupGlyf(dict.fromkeys(order, square))
    builder.setupHorizontalMetrics(dict.fromkeys(order, (800, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": name, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    fontManager.addfont(path)


def test_letters_that_another_font_has_are_drawn_with_it(tmp_path):
    font(tmp_path / "cats.ttf", "Cats", "猫の写")
    font(tmp_path / "thai.ttf", "Thai", "ภาพ")
    figure = plt.figure()
    text = figure.text(0, 0, drawable(f"a {CAT} {PICTURE} é"))
    drawn(finished(figure))
    assert text.get_text() == f"a 猫の写… {PICTURE} é"
    assert text.get_fontfamily() == ["sans-serif", "Cats", "Thai"]


def test_letters_that_no_font_has_are_left_out_without_a_box():
    assert drawable(CAT) == drawable(CAT + "\u200b\x07") == "…"
    assert drawable(f"{CAT}.jpg, {PICTURE}\nmug é ✓ Ж") == "….jpg, …\nmug é ✓ Ж"


def test_a_damaged_font_and_one_of_colored_letters_are_not_taken(tmp_path, fonts):
    font(tmp_path / "color.ttf", "Cat Color Emoji", CAT)
    font(tmp_path / "broken.ttf", "Broken", CAT)
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    assert drawable(CAT) == "…"


def test_every_figure_takes_names_of_every_script(tmp_path):
    """Without this a warning for each letter, and boxes in the picture."""
    for path in (f"{CAT}.jpg", f"{PICTURE}.jpg"):
        Image.new("RGB", (60, 60), "red").save(tmp_path / path)
    hits = [Hit(1, 0.9, 1, f"{CAT}.jpg"), Hit(2, 0.9, 2, "a.jpg", {"category": PICTURE})]
    one, share = Interval(0.5, 0.4, 0.6), Sharing(0.5, 0.4, 0.4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures = [
            show_hits(MUG, hits[:1], category=CAT, root=tmp_path),
            show_many([(MUG, CAT)], [hits[:1]], root=tmp_path),
            show_images([(MUG, CAT), (MUG, PICTURE)]),
            show_similarities(np.eye(2, dtype=np.float32), [CAT, PICTURE]),
            show_quality([Quality(CAT, one, one, one, one)]),
            show_sharing({CAT: {PICTURE: share}}),
            show_recall({CAT: {PICTURE: one}}),
            show_blame({CAT: Blame(1, 0, 0, 0, 0), PICTURE: Blame(0, 1, 0, 0, 0)}),
            show_curves({CAT: [(1, Measured(0.5, 2.0, 3.0, 10, []))]}),
        ]
        for figure in figures:
            drawn(figure)
    assert figures[0].axes[1].get_title() == "0.900 \nhit 1"
    assert len({patch.get_y() for patch in figures[-2].axes[0].patches}) == 2  # one bar each, though both are "…"
