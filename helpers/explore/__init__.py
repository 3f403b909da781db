"""Lesson 5: a search session without a front end, the panel, the map, and why a picture was found.

Names are imported when they are first used: a session needs no widget, and widgets take half a second to import.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from helpers.explore.explain import agreement, show_agreement
    from helpers.explore.map import map_collection, map_panel, show_map
    from helpers.explore.panel import search_panel
    from helpers.explore.query import Query, Settings
    from helpers.explore.session import SearchSession

__all__ = ["Query", "SearchSession", "Settings", "agreement", "map_collection", "map_panel", "search_panel",
           "show_agreement", "show_map"]  # fmt: skip
_ROOMS = {
    "explain": ("agreement", "show_agreement"),
    "map": ("map_collection", "map_panel", "show_map"),
    "panel": ("search_panel",),
    "query": ("Query", "Settings"),
    "session": ("SearchSession",),
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
