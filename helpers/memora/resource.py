"""What the client's resources share: how a verb is called, and how a list of names is given."""

from collections.abc import Iterable
from typing import Any

from helpers.memora.errors import InvalidRequestError
from helpers.memora.http import Http
from helpers.memora.models import to_wire

Answer = dict[str, Any]


class Resource:
    """A group of verbs, such as `client.collections`.

    Parameters
    ----------
    http : Http
        The connection that all resources share.
    """

    def __init__(self, http: Http) -> None:
        self._http = http

    def _call(self, verb: str, *, repeatable: bool, **body: Any) -> Answer:
        """Send one call; its arguments are named as in Python, and those that are None are left out.

        Parameters
        ----------
        verb : str
            `resource/verb`.
        repeatable : bool
            Whether the call does no harm when it is done twice: only then it may be sent again.
        **body
            The call's arguments.
        """
        return self._http.post(verb, to_wire(body), repeatable=repeatable)


def names(argument: str, given: Any) -> list[str] | None:
    """Return the names an argument holds as a list; None stays None.

    A single string is refused: it is a sequence too, of letters, and each letter would be looked up as a name.

    Parameters
    ----------
    argument : str
        What the argument is called.
    given : iterable of str or None
        Its value.

    Raises
    ------
    InvalidRequestError
        It is a single string, or not all of it is strings.
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
