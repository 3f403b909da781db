"""Lesson 5: a search session without a front end, the panel, the map, and why a picture was found.

The panel and the map are imported when they are first used: widgets take half a second to import.
"""

import importlib
from typing import TYPE_CHECKING, Any

from helpers.explore.explain import agreement, show_agreement
from helpers.explore.query import Query, Settings
from helpers.explore.session import SearchSession

if TYPE_CHECKING:
    from helpers.explore.map import map_collection, map_panel, show_map
    from helpers.explore.panel import search_panel

__all__ = ["Query", "SearchSession", "Settings", "agreement", "map_collection", "map_panel", "search_panel",
           "show_agreement", "show_map"]  # fmt: skip
_LATER = {"map_collection": "map", "map_panel": "map", "show_map": "map", "search_panel": "panel"}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
