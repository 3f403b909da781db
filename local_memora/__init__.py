"""Memora's REST calls, answered on this machine with an existing database.

Learners need not open this package. README.md beside this file has the map.
"""

from local_memora.app import create_app
from local_memora.contract.errors import ApiError

__all__ = ["ApiError", "create_app"]
