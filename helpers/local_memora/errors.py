"""The one exception that a request may end in, and what it says of a disk that takes nothing more."""

import errno
import re

NO_ROOM = "there is no room left to write: make room on the disk that holds the data, then try again"
NO_RIGHT = (
    "the local Memora lacks the right to write, or to read, in its folder: get that right, or name another folder "
    "(MEMORA_HOME, or --engine)"
)
REASONS = {
    NO_ROOM: (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, "SQLITE_FULL", "SQLITE_IOERR_WRITE"),
    NO_RIGHT: (errno.EACCES, errno.EPERM, errno.EROFS, "SQLITE_READONLY", "SQLITE_READONLY_DIRECTORY"),
}


class ApiError(Exception):
    """A refusal with the HTTP status and the sentence that the client gets.

    Parameters
    ----------
    status : int
        400 wrong request, 401 wrong key, 404 not there, 409 taken, 413 too large, 501 known but not here, 503 busy,
        507 nothing can be written.
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


def unwritable(error: Exception) -> ApiError | None:
    """Recognise a full or read-only disk, met by a lock, SQLite or Lance, which tells the number in words."""
    told = re.search(r"\(os error (\d+)\)", str(error))
    code = int(told[1]) if told else getattr(error, "sqlite_errorname", None) or getattr(error, "errno", None)
    return next((ApiError(507, reason) for reason, codes in REASONS.items() if code in codes), None)
