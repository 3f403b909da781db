"""The one exception that refuses a request, and the messages about a disk that can't be written."""

import errno
import re
import reprlib
from typing import Any

NO_ROOM = "there is no room left to write: make room on the disk that holds the data, then try again"
NO_RIGHT = (
    "the local Memora lacks the right to write or read in its folder: change the folder's permissions, or use another "
    "folder (MEMORA_HOME, or --engine)"
)
NO_FILES = "too many files are open: close other clients, raise the limit (ulimit -n), or try again later"
REASONS = {
    NO_ROOM: (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, "SQLITE_FULL", "SQLITE_IOERR_WRITE"),
    NO_RIGHT: (errno.EACCES, errno.EPERM, errno.EROFS, "SQLITE_READONLY", "SQLITE_READONLY_DIRECTORY"),
    NO_FILES: (errno.EMFILE, errno.ENFILE),
}

LONGEST = 1_000  # characters of a message, which may repeat what was sent

_short = reprlib.Repr()
_short.maxlevel, _short.maxlong = 3, 40
_short.maxstring = _short.maxother = 60


class ApiError(Exception):
    """A refusal with the HTTP status and the sentence that the client gets.

    Parameters
    ----------
    status : int
        `REFUSALS` in openapi.py says what each means.
    message : str
        What happened, to which input, and what to do.
    retry_after : int
        Seconds after which the same call may succeed; 0 where that is not known.
    """

    def __init__(self, status: int, message: str, retry_after: int = 0) -> None:
        self.status, self.retry_after = status, retry_after
        self.message = message if len(message) <= LONGEST else f"{message[:LONGEST]}..."
        super().__init__(self.message)


def shown(value: Any) -> str:
    """Return a short form of any value, for a message; repr() fails on a thousand nested levels."""
    return _short.repr(value)


def without_password(text: str) -> str:
    """Remove user and password from the URLs in a message."""
    return re.sub(r"//[^/@\s]*@", "//", text)


def unwritable(error: Exception) -> ApiError | None:
    """Return the refusal for a full or read-only disk, or too many open files; None for any other error.

    Lance has the system's number only in its text.
    """
    told = re.search(r"\(os error (\d+)\)", str(error))
    code = int(told[1]) if told else getattr(error, "sqlite_errorname", None) or getattr(error, "errno", None)
    reason = next((reason for reason, codes in REASONS.items() if code in codes), None)
    return ApiError(503 if reason is NO_FILES else 507, reason) if reason else None
