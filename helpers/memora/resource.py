"""What the client's resources share: how a call is sent, and how a list of names is checked."""

from collections.abc import Iterable
from typing import Any

from helpers.memora.errors import InvalidRequestError
from helpers.memora.http import Http
from helpers.memora.models import to_wire

Answer = dict[str, Any]


class Resource:
    """A group of verbs, such as `client.collections`; all share one connection."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def _call(self, verb: str, **body: Any) -> Answer:
        """Send one call, `resource/verb`; arguments are named as in Python, and those that are None are left out."""
        return self._http.post(verb, to_wire(body))


def names(argument: str, given: Any) -> list[str] | None:
    """Return an argument's names as a list; None stays None.

    A single string is refused: it is a sequence of letters, and each letter would be looked up as a name.

    Raises
    ------
    InvalidRequestError
        It is a single string, or holds something that is not a string.
    """
    if given is None:
        return None
    if isinstance(given, str):
        raise InvalidRequestError(
            f"{argument} is the single string {given!r}, but takes a list of names: write {argument}=[{given!r}]."
        )
    listed = list(given) if isinstance(given, Iterable) else [given]
    for name in listed:
        if not isinstance(name, str):
            raise InvalidRequestError(
                f"{argument} takes a list of names, each a string; {str(name)[:60]!r} is a {type(name).__name__}."
            )
    return listed
