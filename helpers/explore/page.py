"""The page of `make app`: the panel, and below it the map, which is made once the panel is there."""

import contextlib
import html
import io

import ipywidgets as widgets

from helpers.connect import COLLECTION, connect
from helpers.explore.map import map_panel
from helpers.explore.panel import Newest, search_panel
from helpers.features import FeatureExtractor, load_extractor
from helpers.features.weights import dinov2_on_this_machine
from helpers.memora import MemoraError


def networks() -> list[tuple[FeatureExtractor, str]]:
    """Return the networks on this machine, each with its collection's name; the usual network first."""
    found = [(load_extractor(), COLLECTION)]
    for name in ("efficientnet-lite0", "dinov2-small"):
        if name != found[0][0].name and (name == "efficientnet-lite0" or dinov2_on_this_machine()):
            found.append((load_extractor(name), f"{COLLECTION}_{name.replace('-', '_')}"))
    return found


def page() -> widgets.Widget:
    """Return the whole page, or a sentence if Memora can't be reached."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # what they print is for people who run code
            panel = search_panel(connect(), networks())
    except MemoraError as error:
        return widgets.HTML(
            f"<p role='alert'>{html.escape(error.message)} Put that right, then load this page again.</p>"
        )
    title = widgets.HTML("<h3>Map of the collection</h3>")
    return widgets.VBox([panel, title, map_panel(panel.session, start=Newest())])
