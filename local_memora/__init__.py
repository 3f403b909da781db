"""Memora's REST contract on our own machine, on an engine that exists already.

A learner never needs to open it: README.md beside this file has the map.
"""

from local_memora.app import create_app
from local_memora.contract.errors import ApiError

__all__ = ["ApiError", "create_app"]
