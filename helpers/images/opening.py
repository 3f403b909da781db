"""Any source -> an RGB picture, within limits, or the true reason why not."""

import io
import os
import re
import struct
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np
from PIL import Image, TiffImagePlugin

from helpers.images.errors import ImageError, shortened
from helpers.images.pixels import BITS, CHANNELS, FORM, PHOTOMETRIC, WHITE_IS_ZERO, first, load
from helpers.images.web import fetch, from_data_url

KNOWN = ("JPEG", "PNG", "WEBP", "AVIF", "BMP", "TIFF", "GIF")  # Pillow opens MPO, which some cameras write, as JPEG
ADDED = ("HEIF", "JXL")  # read where somebody has registered their plugins with Pillow
MAX_PIXELS = 120_000_000  # a 108-megapixel telephone passes; a decompression bomb does not
MAX_REPAIRED = 100 * 1024 * 1024  # bytes: a larger file is not repaired
PIXEL_CHUNKS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"eXIf"}  # of a PNG; other chunks are comments and the like
EXPORT = "which can't be read here: export it as JPEG"
HEIC = rb".{4}ftyp(hei|hev)|.{4}ftypm[is]f1.{4,64}hei[cx]"  # Pillow's reader of AVIF may take it for one
# What people take for pictures, by its first bytes.
OTHERS = {
    HEIC: f"a HEIC picture, {EXPORT}",
    rb".{4}ftypavi[fs]": f"an AVIF picture, {EXPORT}",
    rb"\xff\x0a|.{4}JXL \r\n": f"a JPEG XL picture, {EXPORT}",
    rb".{4}jP  \r\n|\xff\x4f\xff\x51": f"a JPEG 2000 picture, {EXPORT}",
    rb"8BPS": f"a Photoshop file, {EXPORT}",
    rb"%PDF|%!PS": f"a PDF or PostScript file, {EXPORT}",
    rb"(\s|<\?xml[^>]*>|<!--((?!-->).)*-->|<!doctype svg[^>]*>)*<svg": f"an SVG drawing, {EXPORT}",
    rb"(\s|<!--((?!-->).)*-->)*<(!doctype )?html": "a web page: pass the address of the picture itself",
    rb".{4}ftyp|\x1aE\xdf\xa3|RIFF.{4}AVI ": "a video: save one of its pictures as JPEG",
}
NUMBERS = {1: "whole numbers", 2: "signed whole numbers", 3: "floats", 5: "complex whole numbers", 6: "complex floats"}

Source: TypeAlias = str | os.PathLike | bytes | bytearray | memoryview | Image.Image | np.ndarray


def open_image(source: Source, min_side: int | None = None) -> Image.Image:
    """Open a picture safely, upright and in RGB.

    Parameters
    ----------
    source : path, address, bytes, PIL image or array
        A file, an http(s) or data: address, a file's content, a picture, or an array (height, width[, 3 or 4]) of
        uint8. A str may have been pasted: blanks and quotes around it are ignored.
    min_side : int, optional
        The shorter side, in pixels, that is needed: a large JPEG may be decoded at a smaller scale, not below twice
        this, which saves most of the time.

    Returns
    -------
    PIL.Image.Image
        Mode RGB; transparent parts are white, EXIF orientation is applied, deeper samples are scaled to 8 bits.

    Raises
    ------
    ImageError
        It is not a picture, is cut off, is too large, is of a kind that can't be read, or can't be fetched.
    """
    if isinstance(source, Image.Image):
        with _refusals(f"{source.width} x {source.height} picture of mode {source.mode}"):
            return load(source)
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return _decode(io.BytesIO(source), f"{len(source):,} bytes", min_side)
    return _from_text(source, min_side) if isinstance(source, str) else _from_file(Path(source), min_side)


def called(source: Source) -> str:
    """Return what to call a picture: its file's name, or the end of its address decoded, without a password."""
    if not isinstance(source, str | os.PathLike) or str(source).lstrip()[:5].lower() == "data:":
        return "your picture"
    whole = shortened(str(source).strip())
    name = Path(whole).name or whole
    readable = urllib.parse.unquote(name) if "://" in whole else name  # an address writes a blank as %20
    # Signs that are not seen, or that turn the text around, would show another name than it has.
    return shortened(readable) if readable.isprintable() and "\ufffd" not in readable else name


def _from_text(text: str, min_side: int | None) -> Image.Image:
    """Open an address or a path that somebody typed or pasted."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":  # Windows copies a path with quotes around it
        text = text[1:-1].strip()
    if not text:
        raise ImageError("(nothing)", "no picture was given: pass a file or an address")
    if text[:5].lower() == "data:":
        return _decode(io.BytesIO(from_data_url(text)), text, min_side)
    scheme, _, rest = text.partition("://")
    if not rest:
        return _from_file(Path(text).expanduser() if text.startswith("~/") else Path(text), min_side)
    if scheme.lower() not in ("http", "https"):
        raise ImageError(text, "only http:// and https:// addresses are fetched")
    return _decode(io.BytesIO(fetch(text)), text, min_side)


def _from_file(path: Path, min_side: int | None) -> Image.Image:
    try:
        if path.is_dir():
            raise OSError("it is a folder")
        if path.exists() and not path.is_file():
            raise OSError("it is a pipe or a device")  # reading it might never end
        file = path.open("rb")
    except (OSError, ValueError) as error:  # ValueError: a zero byte in its name
        raise ImageError(str(path), f"can't be read ({getattr(error, 'strerror', None) or error})") from None
    with file:
        return _decode(file, path.name, min_side)


def _from_array(array: np.ndarray) -> Image.Image:
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise ImageError(
            f"array {array.shape} of {array.dtype}", "a picture is (height, width) or (height, width, 3), uint8 0..255"
        )
    with _refusals(f"array {array.shape}"):
        return load(Image.fromarray(array))


def _decode(file: IO[bytes], name: str, min_side: int | None) -> Image.Image:
    """Decode a file; where Pillow refuses it, try to repair what browsers overlook."""
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS  # Pillow's own warning must not come before our refusal
    with _refusals(name, file):
        try:
            return _decoded(file, name, min_side)
        except ImageError:
            raise
        except (OSError, SyntaxError, ValueError):
            pictures = [_decoded(io.BytesIO(content), name, min_side) for content in _repaired(file)]
            if not pictures or pictures[0].tobytes() != pictures[-1].tobytes():
                raise
            return pictures[0]


def _decoded(file: IO[bytes], name: str, min_side: int | None) -> Image.Image:
    with _opened(file) as image:
        if image.width * image.height > MAX_PIXELS:
            size = f"{image.width} x {image.height}"
            raise ImageError(name, f"{size} pixels are more than {MAX_PIXELS:,}: make it smaller first")
        if min_side:
            image.draft(None, (2 * min_side, 2 * min_side))  # only JPEG; never below this size
        return load(image)


def _opened(file: IO[bytes]) -> Image.Image:
    """Open a file as Image.open does, but raise the reader's own error where one refuses it."""
    refusal: Exception = Image.UnidentifiedImageError()
    file.seek(0)
    head = file.read(16)
    for form in (*KNOWN, *ADDED):
        if form not in Image.OPEN:
            Image.init()
        reader, accepts = Image.OPEN.get(form, (None, None))
        if reader and accepts and accepts(head) is True:  # a str would mean "not built in"
            file.seek(0)
            try:
                return reader(file, "")
            except SyntaxError as error:
                refusal = error
    raise refusal


def _repaired(file: IO[bytes]) -> list[bytes]:
    """Return repaired contents of a PNG or JPEG, which are right if they all show the same picture; else none.

    A PNG loses its comments: they may be longer than Pillow reads, or have a wrong checksum. A JPEG gets two
    different ends: the decoder makes up what is missing, so equal pictures mean that only the end marker was missing.
    """
    file.seek(0)
    content = file.read(MAX_REPAIRED + 1)
    if len(content) > MAX_REPAIRED:
        return []
    if content.startswith(b"\xff\xd8\xff"):
        scans = content.rstrip(b"\xff")  # half of the end marker may be left
        return [scans + filler * 64 + b"\xff\xd9" for filler in (b"\x00", b"\x55")]
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return [_without_comments(content)]
    return []


def _without_comments(png: bytes) -> bytes:
    kept, at = [png[:8]], 8
    while at < len(png):
        end = at + 12 + int.from_bytes(png[at : at + 4])  # its length, name, data and checksum
        if png[at + 4 : at + 8] in PIXEL_CHUNKS:
            kept.append(png[at:end])
        at = end
    return b"".join([*kept, b"\0\0\0\0IEND\xae\x42\x60\x82"])


@contextmanager
def _refusals(name: str, file: IO[bytes] | None = None) -> Iterator[None]:
    """Turn what Pillow's decoders raise into an ImageError that names the picture."""
    try:
        yield
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(name, f"more than {MAX_PIXELS:,} pixels: make it smaller first") from None
    except MemoryError:
        raise ImageError(name, "there is not enough memory to open it: make it smaller first") from None
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, IndexError, RuntimeError) as error:
        # What damaged files raise: https://pillow.readthedocs.io/en/stable/handbook/security.html
        raise ImageError(name, _reason(error, file)) from None


def _reason(error: Exception, file: IO[bytes] | None) -> str:
    """Return what is wrong with a file that could not be opened."""
    if isinstance(error, OSError) and error.errno:
        return f"can't be read ({error.strerror})"
    if file:
        file.seek(0)
        head = file.read(1_000)
        unknown = isinstance(error, Image.UnidentifiedImageError)
        for form, reason in OTHERS.items():
            if (unknown or form == HEIC) and re.match(form, head, re.DOTALL | re.IGNORECASE):
                return reason
        if unknown:
            return "not a JPEG, PNG, WebP, AVIF, BMP, TIFF or GIF, whatever its name says"
        if isinstance(error, SyntaxError) or "raw mode" in str(error):  # the reader does not know this kind
            if head.startswith((b"II", b"MM")) and (samples := _samples(file)):
                return f"{samples} that can't be read ({error}): save it as RGB with 8 bits a channel"
            return f"damaged, or of a kind that can't be read ({error})"
    return f"damaged or cut off ({error})"


def _samples(file: IO[bytes]) -> str:
    """Describe a TIFF's samples; return an empty text where its tags can't be read."""
    file.seek(0)
    head = file.read(8)
    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(head + (file.read(8) if head[2] == 43 else b""))
        file.seek(tags.next)
        tags.load(file)
        bits, channels, form = (first(tags, tag, 1) for tag in (BITS, CHANNELS, FORM))
    except Exception:  # damaged tags may raise anything; Pillow's own message is shown then
        return ""
    order = "big-endian " if head.startswith(b"MM") else ""
    white = ", 0 is white," if first(tags, PHOTOMETRIC, 1) == WHITE_IS_ZERO else ""
    plural, numbers = "s" if channels > 1 else "", NUMBERS.get(form, "samples")
    return f"a {order}TIFF of {channels} channel{plural} of {bits}-bit {numbers}{white}"
