"""The search that a learner plays with: a session without a front end, the panel, the map."""

from helpers.widgets.session import Query, SearchSession, Settings

__all__ = ["Query", "SearchSession", "Settings"]
