"""Texts in figures: in fonts that have their letters, and not longer than their place."""

import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def drawable(text: str) -> str:
    """Return a text as it can be drawn: what no font of this machine has becomes "…", not boxes and warnings."""
    lacking = _lacking(text)
    fonts = _other_fonts(lacking)
    return re.sub("…+", "…", "".join("…" if letter in lacking - fonts.keys() else letter for letter in text))


def fitting(text: str, inches: float, size: float, weight: str = "normal") -> str:
    """Return a text as it can be drawn, with each line shortened at its end until it fits.

    Parameters
    ----------
    text : str
        Such as a file's name.
    inches : float
        The width that a line may have.
    size : float
        Of the letters, in points.
    weight : {"normal", "bold"}
        Of the letters.
    """
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    text = drawable(text)
    font = FontProperties(family=_families(text), size=size, weight=weight)
    lines = []
    for line in text.split("\n"):
        kept, end = line[:200], "…" * (len(line) > 200)
        while kept and text_to_path.get_text_width_height_descent(kept + end, font, False)[0] > 72 * inches:
            kept, end = kept[:-1].rstrip("… "), "…"
        lines.append(kept + end)
    return "\n".join(lines)


def finished(figure: "Figure") -> "Figure":
    """Give a figure's texts the fonts that they need, and close it: a cell shows it once, as its value."""
    import matplotlib.pyplot as plt
    from matplotlib.text import Text

    texts = figure.findobj(Text)
    families = _families("".join(text.get_text() for text in texts))
    if len(families) > 1:
        for text in texts:
            text.set_fontfamily(families)
    plt.close(figure)
    return figure


def _families(text: str) -> list[str]:
    return ["sans-serif", *sorted(set(_other_fonts(_lacking(text)).values()))]


def _lacking(text: str) -> frozenset[str]:
    """Return the letters that matplotlib's own font lacks, and what has no shape, such as a control character."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    has = get_font(findfont(FontProperties())).get_char_index
    return frozenset(letter for letter in text if letter != "\n" and not (letter.isprintable() and has(ord(letter))))


@functools.lru_cache(maxsize=1_000)
def _other_fonts(lacking: frozenset[str]) -> dict[str, str]:
    """Return for each letter that matplotlib's own font lacks another font of this machine, where one has it."""
    import matplotlib
    from matplotlib.font_manager import fontManager, get_font

    found: dict[str, str] = {}
    sought = {letter for letter in lacking if letter.isprintable()}
    for font in sorted(fontManager.ttflist, key=lambda font: (font.style != "normal", font.weight != 400)):
        if not sought:
            break
        if "Color" in font.name or Path(font.fname).is_relative_to(matplotlib.get_data_path()):
            continue  # colored letters can't be drawn, and matplotlib's other fonts are for formulas
        try:
            has = get_font(font.fname).get_char_index
        except (OSError, RuntimeError):  # a font of pixels, or a damaged one
            continue
        found |= {letter: font.name for letter in sought if has(ord(letter))}
        sought -= found.keys()
    return found
