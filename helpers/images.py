"""Files -> safe RGB pictures, and what is known about them. The only place that opens picture files."""

import csv
import io
import os
import re
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeAlias

import httpx
import numpy as np
from PIL import ExifTags, Image

from helpers.settings import DATA

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"}
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")  # Pillow opens MPO, which some cameras write, as JPEG
MAX_PIXELS = 120_000_000  # a 108-megapixel telephone passes; a decompression bomb does not
MAX_URL_BYTES = 20 * 1024 * 1024
MAX_URL_SECONDS = 30.0  # for the whole picture; a server that sends a byte now and then never times out otherwise
URL_TIMEOUT = httpx.Timeout(10.0, connect=5.0)
WHOLE_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]+)?([eE][-+]?[0-9]{1,2})?")
# How a picture was turned when it was stored (EXIF's orientation), and what turns it back.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

Source: TypeAlias = str | os.PathLike | bytes | Image.Image | np.ndarray


class ImageError(ValueError):
    """A picture can't be used; says which one and why.

    Parameters
    ----------
    name : str
        The file, URL or a description of the input.
    reason : str
        Why not.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


class MetadataError(ValueError):
    """Files and metadata.csv do not agree."""


@dataclass(frozen=True)
class ImageFolder:
    """A folder's pictures.

    Parameters
    ----------
    root : Path
        Paths are relative to it.
    paths : list of str
        Pictures, with `/` on every system, sorted.
    metadata : dict
        Path to its columns; empty where the folder has no metadata.csv.
    """

    root: Path
    paths: list[str]
    metadata: dict[str, dict[str, str | int | float]] = field(default_factory=dict)

    @property
    def columns(self) -> dict[str, type]:
        """Names of the metadata columns and their type: str, int or float."""
        first: dict = next(iter(self.metadata.values()), {})
        return {name: type(value) for name, value in first.items()}


def list_images(folder: Path) -> list[str]:
    """List the pictures of a folder and its sub-folders, by their suffixes.

    Hidden files are left out, and so are links that lead outside the folder or nowhere, and what is no file.

    Returns
    -------
    list of str
        Paths relative to `folder`, with `/`, sorted.

    Raises
    ------
    NotADirectoryError
        `folder` is no folder.
    OSError
        A sub-folder can't be read: without it, its pictures would be taken for deleted ones.
    """
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is no folder: pass the folder that holds the pictures.")
    real_root = folder.resolve()
    found = []
    for parent, folders, files in os.walk(folder, onerror=_raise):  # does not follow links to folders
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            path = Path(parent, name)
            if path.suffix.lower() not in SUFFIXES or name.startswith(".") or not path.is_file():
                continue
            if path.is_symlink() and not path.resolve().is_relative_to(real_root):
                continue
            found.append(path.relative_to(folder).as_posix())
    return sorted(found)


def _raise(error: OSError) -> None:
    raise error


def load_folder(root: str | os.PathLike = DATA, part: str = "images") -> ImageFolder:
    """List a folder's pictures with their metadata, and check that both agree.

    Parameters
    ----------
    root : path
        The kit's `data` folder, or any folder of pictures. With a `metadata.csv` in it (a column `file`, paths
        relative to `root`, and any other columns) every picture must have a row there, and every row a file.
    part : str
        Only the sub-folder of this name, where `root` has a metadata.csv and such a folder: the kit keeps
        `images` (the collection) apart from `queries`.

    Returns
    -------
    ImageFolder
        Paths relative to `root`.

    Raises
    ------
    MetadataError
        Files and metadata.csv do not agree.
    """
    root = Path(root).expanduser()
    paths = list_images(root)
    table = root / "metadata.csv"
    if not table.is_file():
        return ImageFolder(root, paths)
    metadata = read_metadata(table)
    _check_agreement(table, set(paths), set(metadata))
    if (root / part).is_dir():
        paths = [path for path in paths if path.startswith(f"{part}/")]
    return ImageFolder(root, paths, {path: metadata[path] for path in paths})


def read_metadata(table: Path) -> dict[str, dict[str, str | int | float]]:
    """Read a metadata.csv: file to its other columns; a column of whole numbers becomes int, of numbers float."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines)
            columns = reader.fieldnames or []
            rows = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise MetadataError(f"{table.name} is no CSV file in UTF-8 ({error}): save it as such") from None
    if "file" not in columns:
        raise MetadataError(f"{table.name} needs a column named 'file'; it has: {columns}")
    metadata = {}
    for line, row in rows:
        if None in row or None in row.values():
            raise MetadataError(f"{table.name}, line {line}: not as many values as there are columns")
        file = row.pop("file")
        if file in metadata:
            raise MetadataError(f"{table.name}, line {line}: a second row for {file}")
        metadata[file] = row
    names = [name for name in columns if name != "file"]
    convert = {name: _type_of([row[name] for row in metadata.values()]) for name in names}
    return {file: {name: convert[name](row[name]) for name in names} for file, row in metadata.items()}


def _type_of(values: Iterable[str]) -> type[str] | type[int] | type[float]:
    # Only what reads as a number to a person: "007", "1_000" and "nan" stay text.
    for kind, form in ((int, WHOLE_NUMBER), (float, NUMBER)):
        if all(form.fullmatch(value) for value in values):
            return kind
    return str


def _check_agreement(table: Path, files: set[str], rows: set[str]) -> None:
    for missing, what in ((files - rows, f"no row in {table.name}"), (rows - files, "a row, but no file")):
        if missing:
            examples = ", ".join(sorted(missing)[:3])
            raise MetadataError(f"{len(missing)} pictures have {what}: {examples}. Add what is missing, or remove it.")


def open_image(source: Source, min_side: int | None = None) -> Image.Image:
    """Open a picture safely, upright and in RGB.

    Parameters
    ----------
    source : path, URL, bytes, PIL image or array
        A file, an http(s) URL, a file's content, a picture, or an array (height, width[, 3 or 4]) of uint8.
    min_side : int, optional
        The shorter side, in pixels, that is needed: a large JPEG may be decoded at a smaller scale, not below twice
        this, which saves most of the time.

    Returns
    -------
    PIL.Image.Image
        Mode RGB; transparent parts are white, EXIF orientation is applied, 16-bit greys are scaled to 8.

    Raises
    ------
    ImageError
        It is no picture, is cut off, is too large, or can't be fetched.
    """
    if isinstance(source, Image.Image):
        with _refusals(f"{source.width} x {source.height} picture of mode {source.mode}"):
            source.load()
            return _to_rgb(source)
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return _decode(io.BytesIO(source), f"{len(source):,} bytes", min_side)
    text = os.fspath(source)
    scheme, _, rest = text.partition("://")
    if rest and isinstance(source, str):
        if scheme.lower() not in ("http", "https"):
            raise ImageError(text, "only http:// and https:// addresses are fetched")
        return _decode(io.BytesIO(_fetch(text)), text, min_side)
    path = Path(text).expanduser() if text.startswith("~/") else Path(text)
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise OSError("it is a pipe or a device")  # reading it might never end
        file = path.open("rb")
    except (OSError, ValueError) as error:  # ValueError: a zero byte in its name
        raise ImageError(str(path), f"can't be read ({getattr(error, 'strerror', None) or error})") from None
    with file:
        return _decode(file, path.name, min_side)


@contextmanager
def _refusals(name: str) -> Iterator[None]:
    """Say what Pillow's decoders raise as an ImageError that names the picture."""
    try:
        yield
    except ImageError:
        raise
    except Image.UnidentifiedImageError:
        raise ImageError(name, "no JPEG, PNG, WebP, BMP, TIFF or GIF, whatever its name says") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(name, f"more than {MAX_PIXELS:,} pixels: make it smaller first") from None
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, IndexError, MemoryError) as error:
        # What damaged files raise: https://pillow.readthedocs.io/en/stable/handbook/security.html
        raise ImageError(name, f"damaged or cut off ({error})") from None


def _decode(file: IO[bytes], name: str, min_side: int | None) -> Image.Image:
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS  # Pillow's own warning must not come before our refusal
    with _refusals(name), Image.open(file, formats=FORMATS) as image:
        if image.width * image.height > MAX_PIXELS:
            size = f"{image.width} x {image.height}"
            raise ImageError(name, f"{size} pixels are more than {MAX_PIXELS:,}: make it smaller first")
        if min_side:
            image.draft(None, (2 * min_side, 2 * min_side))  # only JPEG; never below this size
        image.load()
        return _to_rgb(image)


def _to_rgb(image: Image.Image) -> Image.Image:
    if not (image.width and image.height):
        raise ValueError("it has no pixels")
    image = _upright(image)
    if image.mode in ("I;16", "I;16L", "I;16B", "I;16N", "I", "F"):
        return _from_deep_grey(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _upright(image: Image.Image) -> Image.Image:
    # ImageOps.exif_transpose would rewrite all tags, and fail where another one is damaged.
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # the tags are damaged: the picture need not be, and stays as it was stored
        return image
    return image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """Scale 16-bit greys to 8 bits (Pillow's own convert clips them to white); wider ones by their own range."""
    grey = np.asarray(image).astype(np.float64)
    finite = grey[np.isfinite(grey)]
    if image.mode in ("I", "F") and finite.size:
        low, high = finite.min(), finite.max()
    else:
        low, high = 0.0, 65535.0
    scaled = (np.nan_to_num(grey, nan=low, posinf=high, neginf=low) - low) / max(high - low, 1e-9) * 255
    return Image.fromarray(scaled.round().astype(np.uint8)).convert("RGB")


def _from_array(array: np.ndarray) -> Image.Image:
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise ImageError(
            f"array {array.shape} of {array.dtype}", "a picture is (height, width) or (height, width, 3), uint8 0..255"
        )
    with _refusals(f"array {array.shape}"):
        return _to_rgb(Image.fromarray(array))


def _fetch(url: str) -> bytes:
    """Fetch a picture's bytes: at most MAX_URL_BYTES of them, for at most about MAX_URL_SECONDS."""
    end = time.monotonic() + MAX_URL_SECONDS
    try:
        with httpx.stream("GET", url, timeout=URL_TIMEOUT, follow_redirects=True) as response:
            response.raise_for_status()
            content = bytearray()
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > MAX_URL_BYTES:
                    raise ImageError(url, f"larger than {MAX_URL_BYTES >> 20} MB: download and shrink it first")
                if time.monotonic() > end:
                    raise ImageError(url, f"not all there after {MAX_URL_SECONDS:.0f} s: download it first")
            return bytes(content)
    except httpx.HTTPStatusError as error:
        raise ImageError(url, f"the server answered {error.response.status_code}") from None
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:  # UnicodeError: an impossible host name
        raise ImageError(url, f"can't be fetched ({error or type(error).__name__}); are you online?") from None
