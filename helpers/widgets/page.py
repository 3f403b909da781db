"""What the page of `make app` shows: the panel, and below it the map, made when the panel is there."""

import contextlib
import html
import io

import ipywidgets as widgets

from helpers.connect import connect
from helpers.features import load_extractor
from helpers.memora import MemoraError
from helpers.widgets.map import map_panel
from helpers.widgets.panel import Newest, search_panel


def page() -> widgets.Widget:
    """Return the whole page; where Memora can't be reached, the sentence that says so."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # what they print is for those who run code
            panel = search_panel(connect(), load_extractor())
    except MemoraError as error:
        return widgets.HTML(
            f"<p role='alert'>{html.escape(error.message)} Put that right, then load this page again.</p>"
        )
    title = widgets.HTML("<h3>Map of the collection</h3>")
    return widgets.VBox([panel, title, map_panel(panel.session, start=Newest())])
