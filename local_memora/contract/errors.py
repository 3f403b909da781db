"""The one exception that a request may end in, and what it says of a disk that takes nothing more."""

import errno
import re
import reprlib
from typing import Any

NO_ROOM = "there is no room left to write: make room on the disk that holds the data, then try again"
NO_RIGHT = (
    "the local Memora lacks the right to write, or to read, in its folder: get that right, or name another folder "
    "(MEMORA_HOME, or --engine)"
)
NO_FILES = "too many files are open: close other clients, raise the limit (ulimit -n), or try again later"
REASONS = {
    NO_ROOM: (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, "SQLITE_FULL", "SQLITE_IOERR_WRITE"),
    NO_RIGHT: (errno.EACCES, errno.EPERM, errno.EROFS, "SQLITE_READONLY", "SQLITE_READONLY_DIRECTORY"),
    NO_FILES: (errno.EMFILE, errno.ENFILE),
}

LONGEST = 1_000  # letters of a message, which may repeat what was sent

_short = reprlib.Repr()
_short.maxlevel, _short.maxlong = 3, 40
_short.maxstring = _short.maxother = 60


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
        self.status = status
        self.message = message if len(message) <= LONGEST else f"{message[:LONGEST]}..."
        super().__init__(self.message)


def shown(value: Any) -> str:
    """Show in a message what was sent, however long it is, and however deep: repr() gives up at a thousand levels."""
    return _short.repr(value)


def without_password(text: str) -> str:
    """Take user and password out of the URLs in a message."""
    return re.sub(r"//[^/@\s]*@", "//", text)


def unwritable(error: Exception) -> ApiError | None:
    """Recognise a full or read-only disk, or too many open files; Lance gives the system's number in words."""
    told = re.search(r"\(os error (\d+)\)", str(error))
    code = int(told[1]) if told else getattr(error, "sqlite_errorname", None) or getattr(error, "errno", None)
    reason = next((reason for reason, codes in REASONS.items() if code in codes), None)
    return ApiError(503 if reason is NO_FILES else 507, reason) if reason else None
