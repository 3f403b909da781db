"""What can go wrong when talking to Memora.

MemoraError
 +-- AuthenticationError   401, 403   the key or the project is not accepted
 +-- NotFoundError         404        no such collection, partition, index or call
 +-- AlreadyExistsError    409        the name or the key is taken
 +-- InvalidRequestError   other 4xx and 501, and mistakes seen before anything is sent
 +-- UnavailableError      429, other 5xx (507: it can't write), no connection, no answer in time
"""


class MemoraError(Exception):
    """A call to Memora failed.

    Parameters
    ----------
    message : str
        What happened, in the server's words if it sent any.
    status : int or None
        The HTTP status; None if no answer came or nothing was sent.
    """

    next_step = ""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status

    def __str__(self) -> str:
        status = f" (HTTP {self.status})" if self.status else ""
        return f"{self.message}{status}" + (f"\n{self.next_step}" if self.next_step else "")


class AuthenticationError(MemoraError):
    """The API key or the project is not accepted."""

    next_step = "Check the API key and the project id (MEMORA_API_KEY, MEMORA_PROJECT_ID)."


class NotFoundError(MemoraError):
    """There is no such collection, partition, index or call."""

    next_step = (
        "client.collections.list() names what there is, client.partitions.list(...) and client.indexes.list(...) "
        "what a collection has; notebook 01 creates ours."
    )


class AlreadyExistsError(MemoraError):
    """The name, or the primary key, is taken."""

    next_step = (
        "Ask first with client.collections.has(...), client.partitions.has(...) or client.indexes.list(...); "
        "for rows, upsert(...) replaces them."
    )


class InvalidRequestError(MemoraError):
    """The request itself is wrong; nothing was stored."""


class UnavailableError(MemoraError):
    """Memora could not be reached, did not answer in time, or failed."""

    next_step = "Check that Memora is running and MEMORA_URL is right, then try again."


def from_status(status: int, message: str) -> MemoraError:
    """Return the error for an HTTP status outside 200 to 299, with the server's message."""
    classes = {401: AuthenticationError, 403: AuthenticationError, 404: NotFoundError, 409: AlreadyExistsError}
    if status in classes:
        return classes[status](message, status)
    if status == 501 or (400 <= status < 500 and status not in (408, 429)):
        return InvalidRequestError(message, status)
    error = UnavailableError(message, status)
    if status == 507:
        error.next_step = ""  # the server runs, but its disk is full or read-only: the message says what helps
    return error
