"""Pictures as a browser takes them: small JPEGs, and words for those who do not see them."""

import functools
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from helpers.explore.session import picture_of
from helpers.images import ImageError
from helpers.plots import LIGHT_GREY

VIEW = 640  # pixels of the longer side of a picture that is looked at


def said(value: Any) -> str:
    """Return a value as a person reads it, such as `alarm clock`."""
    return str(value).replace("_", " ")


def words(path: str, metadata: dict[str, Any]) -> str:
    """Describe a picture for those who do not see it."""
    known = [str(metadata[name]) for name in ("color", "material", "category") if metadata.get(name)]
    behind = f" on {metadata['background']}" if metadata.get("background") else ""
    return said(" ".join(known) + behind) if known else Path(path).name


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


def aspect(picture: bytes) -> float:
    """Return how many times as wide as high a JPEG is."""
    width, height = Image.open(io.BytesIO(picture)).size
    return round(width / height, 3)


def figure(open_picture: Callable[[], Image.Image], words: str) -> dict[str, Any]:
    """Return a picture with the words below it; the reason where it can't be opened."""
    try:
        return {"picture": jpeg(open_picture(), VIEW), "words": words}
    except ImageError as error:
        return {"picture": b"", "words": f"{words} can't be shown: {error}"}
