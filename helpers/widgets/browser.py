"""What runs in the browser and ipywidgets lack: pictures that are buttons, and a picture to drag a box on."""

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
    chosen : dict
        `{"key": ..., "what": "picture" or "details", "n": a number that grows}`, written by the browser.
    """

    _esm = HERE / "gallery.js"
    _css = STYLE
    label = traitlets.Unicode("pictures").tag(sync=True)
    items = traitlets.List().tag(sync=True)
    pictures = traitlets.List(traitlets.Bytes()).tag(sync=True)
    details = traitlets.Bool(False).tag(sync=True)
    chosen = traitlets.Dict().tag(sync=True)


class Cropper(anywidget.AnyWidget):
    """A picture to drag a box on, which also takes files that are dropped on it.

    Attributes
    ----------
    picture : bytes
        JPEG; empty where there is none yet.
    box : list of float
        Left, top, right, bottom as fractions of the sides; empty for the whole picture. The browser writes it when the
        pointer is let go.
    dropped : dict
        `name`, `size` and `content` of a dropped file, written by the browser; above `most_bytes` without content.
    """

    _esm = HERE / "cropper.js"
    _css = STYLE
    picture = traitlets.Bytes(b"").tag(sync=True)
    alt = traitlets.Unicode("").tag(sync=True)
    box = traitlets.List(traitlets.Float()).tag(sync=True)
    dropped = traitlets.Dict().tag(sync=True)
    most_bytes = traitlets.Int(0).tag(sync=True)


class MapView(anywidget.AnyWidget):
    """A map of pictures to zoom, drag and click.

    Attributes
    ----------
    items : list of dict
        For each picture `key`, `alt`, and its place `x`, `y` between 0 and 1. Fixed, like `pictures`.
    pictures : list of bytes
        JPEG.
    colors : list of str
        CSS colors of the pictures' frames.
    query : list of float
        The query's place; empty where there is none.
    chosen : dict
        `key` and a number `n` that grows, written by the browser.
    """

    _esm = HERE / "map.js"
    _css = STYLE
    items = traitlets.List().tag(sync=True)
    pictures = traitlets.List(traitlets.Bytes()).tag(sync=True)
    colors = traitlets.List(traitlets.Unicode()).tag(sync=True)
    query = traitlets.List(traitlets.Float()).tag(sync=True)
    chosen = traitlets.Dict().tag(sync=True)
