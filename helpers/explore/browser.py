"""Widgets that ipywidgets does not have: the panel as a browser shows it, and a map."""

from pathlib import Path

import anywidget
import traitlets

HERE = Path(__file__).parent
STYLE = HERE / "panel.css"
PARTS = ("dom.js", "crop.js", "wall.js", "panel.js")  # one module; each file is a part of the panel


class PanelView(anywidget.AnyWidget):
    """What the panel shows. What a person does arrives as a message `{"do": ...}`, which `SearchPanel` hears.

    Pictures are JPEG in bytes, wherever they stand.

    Attributes
    ----------
    about : dict
        What never changes: the collection's `name` and `count`, limits, the `spans` of fields of numbers, and whether
        this is the `page` for people who do not read code.
    status : dict
        `state` and `message` of the session, whether it is `busy`, and whether searching `again` may help.
    query, earlier, words : dict, list of dict, list of str
        What is searched for, what was before, and the words that can be typed.
    shelf : dict
        Pictures to begin with, and where others come from.
    wall : dict
        `columns` of hits, two while comparing, and the `marks` of the scale of similarity.
    facets, settings : dict
        Filters with counts, and those in use with the message that undoes each; `Settings` with what can be chosen.
    detail : dict
        What is shown of one hit; empty for none.
    call : str
        The search as code.
    """

    _esm, _css = "\n".join((HERE / part).read_text(encoding="utf-8") for part in PARTS), STYLE
    about, status, query, shelf, wall = (traitlets.Dict().tag(sync=True) for _ in range(5))
    facets, settings, detail = (traitlets.Dict().tag(sync=True) for _ in range(3))
    earlier: traitlets.List = traitlets.List().tag(sync=True)
    words = traitlets.List(traitlets.Unicode()).tag(sync=True)
    call = traitlets.Unicode("").tag(sync=True)


class MapView(anywidget.AnyWidget):
    """A map of pictures to zoom, drag, click and group.

    Attributes
    ----------
    items : list of dict
        For each picture `key`, `alt`, and its place `x`, `y` between 0 and 1. Set after `pictures` and `colors`.
    pictures : list of bytes
        JPEG.
    colors : list of str
        CSS colors of the pictures' frames.
    query : list of float
        The query's place; empty where there is none.
    facts : str
        What is told of the group.
    chosen, group, shown : dict, dict, bool
        `key` and a number `n` that grows; the `keys` of a group of pictures, and such a number; whether the map is on a
        page. The browser writes them.
    """

    _esm, _css = HERE / "map.js", "".join(path.read_text(encoding="utf-8") for path in (STYLE, HERE / "map.css"))
    items: traitlets.List = traitlets.List().tag(sync=True)
    pictures = traitlets.List(traitlets.Bytes()).tag(sync=True)
    colors = traitlets.List(traitlets.Unicode()).tag(sync=True)
    query = traitlets.List(traitlets.Float()).tag(sync=True)
    facts = traitlets.Unicode("").tag(sync=True)
    chosen = traitlets.Dict().tag(sync=True)
    group = traitlets.Dict().tag(sync=True)
    shown = traitlets.Bool(False).tag(sync=True)
