"""Pictures as a browser takes them: small JPEGs, figures in HTML, and words for those who do not see them."""

import base64
import functools
import html
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from helpers.explore.session import picture_of
from helpers.images import ImageError
from helpers.plots import LIGHT_GREY

VIEW = 480  # pixels of the longer side of a picture that is looked at


def words(path: str, metadata: dict[str, Any]) -> str:
    """Describe a picture for those who do not see it."""
    known = [str(metadata[name]) for name in ("color", "material", "category") if metadata.get(name)]
    behind = f" on {metadata['background']}" if metadata.get("background") else ""
    return " ".join(known).replace("_", " ") + behind if known else Path(path).name


def jpeg(picture: Image.Image, size: int) -> bytes:
    """Return a picture as a JPEG whose longer side is at most `size` pixels."""
    small, out = picture.copy(), io.BytesIO()
    small.thumbnail((size, size))
    small.save(out, "JPEG", quality=85)
    return out.getvalue()


def thumbnail(root: Path, path: str, size: int) -> bytes:
    """Return a picture as a small JPEG; grey where its file can't be opened, which the details then say.

    It is made anew when the file has changed, is gone, or is there again.
    """
    try:
        told = Path(root, path).stat()
        state = (told.st_mtime_ns, told.st_ctime_ns, told.st_size)
    except OSError:
        state = None
    return _thumbnail(root, path, size, state)


@functools.lru_cache(maxsize=4096)
def _thumbnail(root: Path, path: str, size: int, state: tuple[int, int, int] | None) -> bytes:
    try:
        return jpeg(picture_of(root, path, size), size)
    except ImageError:
        return jpeg(Image.new("RGB", (size, size), LIGHT_GREY), size)


def figure(open_picture: Callable[[], Image.Image], words: str) -> str:
    """Return a picture with words below it; the reason where it can't be opened."""
    said = html.escape(words)
    try:
        uri = "data:image/jpeg;base64," + base64.b64encode(jpeg(open_picture(), VIEW)).decode()
    except ImageError as error:
        return f"<figure><figcaption>{said} can't be shown: {html.escape(str(error))}</figcaption></figure>"
    return f"<figure><img src='{uri}' alt='{said}'><figcaption>{said}</figcaption></figure>"


def side_by_side(left: str, right: str) -> str:
    """Return two figures as one piece of HTML."""
    return f"<div class='memora-pair'>{left}{right}</div>"
