"""The one exception that a request may end in."""

import re


class ApiError(Exception):
    """A refusal with the HTTP status and the sentence that the client gets.

    Parameters
    ----------
    status : int
        400 wrong request, 401 wrong key, 404 not there, 409 taken, 413 too large, 501 known but not here, 503 busy.
    message : str
        What happened, to which input, and what to do.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def without_password(text: str) -> str:
    """Take user and password out of the URLs in a message."""
    return re.sub(r"//[^/@\s]*@", "//", text)
