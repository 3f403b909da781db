"""Files -> safe RGB pictures, and what is known about them. The only place that opens picture files."""

import contextlib
import csv
import io
import os
import struct
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import httpx
import numpy as np
from PIL import Image, ImageOps

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "data"  # the kit's own pictures
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"}
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")  # Pillow opens MPO, which some cameras write, as JPEG
MAX_PIXELS = 120_000_000  # a 108-megapixel telephone passes; a decompression bomb does not
MAX_URL_BYTES = 20 * 1024 * 1024
URL_TIMEOUT = httpx.Timeout(10.0, connect=5.0)

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

    Hidden files are left out, and so is what a link leads to outside the folder.

    Returns
    -------
    list of str
        Paths relative to `folder`, with `/`, sorted.

    Raises
    ------
    NotADirectoryError
        `folder` is no folder.
    """
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is no folder: pass the folder that holds the pictures.")
    real_root = folder.resolve()
    found = []
    for parent, folders, files in os.walk(folder):  # does not follow links to folders
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            path = Path(parent, name)
            if path.suffix.lower() not in SUFFIXES or name.startswith("."):
                continue
            if path.is_symlink() and not path.resolve().is_relative_to(real_root):
                continue
            found.append(path.relative_to(folder).as_posix())
    return sorted(found)


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
    with table.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        if "file" not in (reader.fieldnames or []):
            raise MetadataError(f"{table.name} needs a column named 'file'; it has: {reader.fieldnames}")
        rows = list(reader)
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise MetadataError(f"{table.name}, line {number}: not as many values as there are columns")
    names = [name for name in (reader.fieldnames or []) if name != "file"]
    convert = {name: _type_of([row[name] for row in rows]) for name in names}
    return {row["file"]: {name: convert[name](row[name]) for name in names} for row in rows}


def _type_of(values: Iterable[str]) -> type[str] | type[int] | type[float]:
    for kind in (int, float):
        try:
            for value in values:
                kind(value)
        except ValueError:
            continue
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
        return _to_rgb(source)
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return _decode(io.BytesIO(source), f"{len(source):,} bytes", min_side)
    text = os.fspath(source)
    if text.startswith(("http://", "https://")):
        return _decode(io.BytesIO(_fetch(text)), text, min_side)
    path = Path(text).expanduser()
    try:
        with path.open("rb") as file:
            return _decode(file, path.name, min_side)
    except OSError as error:
        raise ImageError(str(path), f"can't be read ({error.strerror or error})") from None


def _decode(file: io.BufferedIOBase, name: str, min_side: int | None) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is checked below
            with Image.open(file, formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    size = f"{image.width} x {image.height}"
                    raise ImageError(name, f"{size} pixels are more than {MAX_PIXELS:,}: make it smaller first")
                if min_side:
                    image.draft(None, (2 * min_side, 2 * min_side))  # only JPEG; never below this size
                image.load()
                return _to_rgb(image)
    except ImageError:
        raise
    except Image.UnidentifiedImageError:
        raise ImageError(name, "no JPEG, PNG, WebP, BMP, TIFF or GIF, whatever its name says") from None
    except Image.DecompressionBombError:
        raise ImageError(name, f"more than {MAX_PIXELS:,} pixels: make it smaller first") from None
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, IndexError, MemoryError) as error:
        # What Pillow's decoders raise on damaged files: https://pillow.readthedocs.io/en/stable/handbook/security.html
        raise ImageError(name, f"damaged or cut off ({error})") from None


def _to_rgb(image: Image.Image) -> Image.Image:
    # Where the EXIF tags are damaged, the picture need not be: it stays as it was stored.
    with contextlib.suppress(SyntaxError, ValueError, struct.error, KeyError, TypeError, OSError):
        image = ImageOps.exif_transpose(image)
    if image.mode in ("I;16", "I;16L", "I;16B", "I;16N", "I", "F"):
        return _from_deep_grey(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """Scale 16-bit greys to 8 bits (Pillow's own convert clips them to white); wider ones by their own range."""
    grey = np.asarray(image).astype(np.float64)
    low, high = (0.0, 65535.0) if image.mode != "F" else (grey.min(), grey.max())
    if grey.max() > high or grey.min() < low:
        low, high = grey.min(), grey.max()
    scaled = (grey - low) / max(high - low, 1e-9) * 255
    return Image.fromarray(scaled.round().astype(np.uint8)).convert("RGB")


def _from_array(array: np.ndarray) -> Image.Image:
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise ImageError(
            f"array {array.shape} of {array.dtype}", "a picture is (height, width) or (height, width, 3), uint8 0..255"
        )
    return _to_rgb(Image.fromarray(array))


def _fetch(url: str) -> bytes:
    """Fetch a picture's bytes, at most MAX_URL_BYTES of them and for at most the time-outs."""
    try:
        with httpx.stream("GET", url, timeout=URL_TIMEOUT, follow_redirects=True) as response:
            response.raise_for_status()
            content = bytearray()
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > MAX_URL_BYTES:
                    raise ImageError(url, f"larger than {MAX_URL_BYTES >> 20} MB: download and shrink it first")
            return bytes(content)
    except httpx.HTTPStatusError as error:
        raise ImageError(url, f"the server answered {error.response.status_code}") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ImageError(url, f"can't be fetched ({error or type(error).__name__}); are you online?") from None
