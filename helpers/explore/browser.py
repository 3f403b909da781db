"""Widgets that ipywidgets does not have: pictures that are buttons, a picture to drag a box on, a map."""

from pathlib import Path

import anywidget
import traitlets

HERE = Path(__file__).parent
STYLE = HERE / "panel.css"


class Gallery(anywidget.AnyWidget):
    """Pictures that are buttons: a click, or Enter, chooses one.

    Attributes
    ----------
    items : list of dict
        For each picture `key`, `alt`, `caption`, and `mark`: right, wrong or nothing. Set after `pictures`.
    pictures : list of bytes
        JPEG.
    details : bool
        Whether each has a second button, "Details".
    outdated : bool
        Whether new pictures are on their way: these are shown in grey.
    chosen : dict
        `{"key": ..., "what": "picture" or "details", "n": a number that grows}`, written by the browser.
    """

    def focus_on(self, key: str = "", what: str = "picture") -> None:
        """Give a picture's button the keyboard's focus; the first button if no picture has this key."""
        self.send({"focus": {"key": key, "what": what}})

    _esm, _css = HERE / "gallery.js", STYLE
    label = traitlets.Unicode("pictures").tag(sync=True)
    items: traitlets.List = traitlets.List().tag(sync=True)
    pictures = traitlets.List(traitlets.Bytes()).tag(sync=True)
    details = traitlets.Bool(False).tag(sync=True)
    outdated = traitlets.Bool(False).tag(sync=True)
    chosen = traitlets.Dict().tag(sync=True)


class Cropper(anywidget.AnyWidget):
    """A picture to drag a box on, and the place to upload or drop a file.

    Attributes
    ----------
    picture : bytes
        JPEG; empty if there is no picture yet.
    box : list of float
        Left, top, right, bottom as fractions of the sides; empty for the whole picture. The browser writes it when the
        pointer is released.
    file : dict
        `name`, `size` and `content` of a chosen or dropped file, written by the browser; without content if the file
        is larger than `most_bytes`. ipywidgets' FileUpload sends files of any size, and large ones are lost silently.
    kept : str
        What would be lost if the page were loaded again, in words; empty if nothing would.
    lost : str
        What was lost when the page was loaded again, written by the browser.
    """

    _esm, _css = HERE / "cropper.js", STYLE
    picture = traitlets.Bytes(b"").tag(sync=True)
    alt = traitlets.Unicode("").tag(sync=True)
    box = traitlets.List(traitlets.Float()).tag(sync=True)
    file = traitlets.Dict().tag(sync=True)
    most_bytes = traitlets.Int(0).tag(sync=True)
    kept = traitlets.Unicode("").tag(sync=True)
    lost = traitlets.Unicode("").tag(sync=True)


class Slider(anywidget.AnyWidget):
    """A slider labelled with its `description`: those of ipywidgets have no name that a screen reader could say."""

    _esm, _css = HERE / "slider.js", STYLE
    description = traitlets.Unicode("").tag(sync=True)
    value = traitlets.Float().tag(sync=True)
    min = traitlets.Float(0.0).tag(sync=True)
    max = traitlets.Float(1.0).tag(sync=True)
    step = traitlets.Float(1.0).tag(sync=True)


class Line(anywidget.AnyWidget):
    """A line of text to search by, with suggestions (`options`) and a `button` that does what Enter does.

    The browser writes `asked`: `text`, and a number `n` that grows. `value` is the text that Python shows.
    """

    _esm, _css = HERE / "line.js", STYLE
    label, button, placeholder, value = (traitlets.Unicode("").tag(sync=True) for _ in range(4))
    options = traitlets.List(traitlets.Unicode()).tag(sync=True)
    disabled = traitlets.Bool(False).tag(sync=True)
    asked = traitlets.Dict().tag(sync=True)


class Chips(anywidget.AnyWidget):
    """Values to choose, as buttons that stay pressed.

    Attributes
    ----------
    label : str
        What the values are of.
    values : list of [str, int]
        Each value, and how many pictures have it.
    value : tuple of str
        The chosen ones, in the order in which they were chosen; the browser writes it.
    """

    _esm, _css = HERE / "chips.js", STYLE
    label = traitlets.Unicode("").tag(sync=True)
    values: traitlets.List = traitlets.List().tag(sync=True)
    value: traitlets.Tuple = traitlets.Tuple().tag(sync=True)


class Call(anywidget.AnyWidget):
    """Lines of `code` with a button that copies them."""

    _esm, _css = HERE / "call.js", STYLE
    code = traitlets.Unicode("").tag(sync=True)


class MapView(anywidget.AnyWidget):
    """A map of pictures to zoom, drag and click.

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
    chosen, shown : dict, bool
        `key` and a number `n` that grows; whether the map is on a page. The browser writes both.
    """

    _esm, _css = HERE / "map.js", STYLE
    items: traitlets.List = traitlets.List().tag(sync=True)
    pictures = traitlets.List(traitlets.Bytes()).tag(sync=True)
    colors = traitlets.List(traitlets.Unicode()).tag(sync=True)
    query = traitlets.List(traitlets.Float()).tag(sync=True)
    chosen = traitlets.Dict().tag(sync=True)
    shown = traitlets.Bool(False).tag(sync=True)
