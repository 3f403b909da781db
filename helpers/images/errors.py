"""Why a picture or a metadata.csv can't be used."""

import re

LONGEST = 200  # letters of a path or an address in a message
# The user name and password in an address; a "/" or "@" in the password does not end it.
SECRET = re.compile(r"(?<=://)(?:[^/?#\s]*|[^/?#\s:@]*:(?!\d+(?:[/?#]|$))\S*)@")


class ImageError(ValueError):
    """A picture can't be used: `name` (a file, an address, or words for the input) and `reason` say which and why.

    Messages show a name shortened and without a password.
    """

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = shortened(name), SECRET.sub("***@", reason[:1_000])
        super().__init__(f"{self.name}: {self.reason}")


class MetadataError(ValueError):
    """Files and metadata.csv do not agree."""


def shortened(text: str) -> str:
    """Return a path or an address as a message may show it: without a password, and not longer than two lines."""
    shown = SECRET.sub("***@", text[:1_000])
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST // 2]}... ({len(text):,} letters)"
