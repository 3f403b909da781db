"""A folder's pictures and its metadata.csv."""

import csv
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from helpers.images.errors import MetadataError
from helpers.settings import DATA

# HEIC and JPEG XL are listed too: opening them fails with advice, and a file that is not listed may go unnoticed.
SUFFIXES = {
    ".apng", ".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jpe", ".jpeg", ".jpg", ".jxl", ".mpo", ".png",
    ".tif", ".tiff", ".webp",
}  # fmt: skip
QUERY = re.compile(r"[?@].*$")  # wget names files photo.jpg?width=300, on Windows photo.jpg@width=300
# Folders in which other programs keep thumbnails and deleted files. Hidden folders are left out as well.
FOREIGN = {"@eadir", "#recycle", "$recycle.bin", "recycler", "lost+found", "__macosx", "system volume information"}
WHOLE_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]+)?([eE][-+]?[0-9]{1,2})?")

Row: TypeAlias = dict[str, str | int | float]


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
    left_out : dict of str to str
        Path of each file or folder that was left out, and what it is: a suffix, or a few words.
    """

    root: Path
    paths: list[str]
    metadata: dict[str, Row] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def columns(self) -> dict[str, type]:
        """Names of the metadata columns and their type: str, int or float."""
        first: Row = next(iter(self.metadata.values()), {})
        return {name: type(value) for name, value in first.items()}

    def left_out_summary(self) -> str:
        """Return in one line what was left out; an empty text where nothing was."""
        folders = [path for path in self.left_out if path.endswith("/")]
        kinds = Counter(kind for path, kind in self.left_out.items() if not path.endswith("/"))
        parts = [f"{count} {kind}" for kind, count in sorted(kinds.items(), key=lambda one: (-one[1], one[0]))]
        if folders:
            more = f" and {len(folders) - 3} more" if len(folders) > 3 else ""
            parts.append(f"what is in {', '.join(folders[:3])}{more}")
        return ", ".join(parts)


def list_images(folder: Path) -> tuple[list[str], dict[str, str]]:
    """Return the pictures of a folder and its sub-folders, sorted, and what was left out: path to reason.

    Pictures are known by their suffixes. Hidden files are left out, and so are links that lead outside the folder or
    nowhere, and folders in which other programs keep thumbnails and deleted files. Paths are relative, with `/`.

    Raises
    ------
    NotADirectoryError
        `folder` is not a folder.
    OSError
        A sub-folder can't be read: without it, its pictures would be taken for deleted ones.
    """
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a folder: pass the folder that holds the pictures.")
    real_root = folder.resolve()
    found, left_out = [], {}
    for parent, folders, files in os.walk(folder, onerror=_raise):  # does not follow links to folders
        here = Path(parent).relative_to(folder)
        for name in sorted(folders):
            if name.startswith(".") or name.lower() in FOREIGN:
                folders.remove(name)
                left_out[f"{(here / name).as_posix()}/"] = "hidden, or of another program"
        folders.sort()
        for name in files:
            if kind := _no_picture(Path(parent, name), real_root):
                left_out[(here / name).as_posix()] = kind
            else:
                found.append((here / name).as_posix())
    return sorted(found), left_out


def _raise(error: OSError) -> None:
    raise error


def _no_picture(path: Path, real_root: Path) -> str:
    """Return why a file is not listed; an empty text for a picture."""
    if path.name.startswith("."):
        return "hidden"
    if not any(Path(name).suffix.lower() in SUFFIXES for name in (path.name, QUERY.sub("", path.name))):
        return path.suffix.lower() or "without a suffix"
    if not path.is_file():
        return "not a file"
    if path.is_symlink() and not path.resolve().is_relative_to(real_root):
        return "linked from another folder"
    return ""


def load_folder(root: str | os.PathLike = DATA, part: str = "images") -> ImageFolder:
    """List a folder's pictures, as `list_images` does, with their metadata, and check that both agree.

    Parameters
    ----------
    root : path
        The kit's `data` folder, or any folder of pictures. With a `metadata.csv` in it (a column `file`, paths
        relative to `root`, and any other columns) every picture must have a row there, and every row a file.
    part : str
        Only the sub-folder of this name, where `root` has a metadata.csv and such a folder: the kit keeps
        `images` (the collection) apart from `queries`.

    Raises
    ------
    MetadataError
        Files and metadata.csv do not agree, or it can't be read.
    """
    root = Path(root).expanduser()
    paths, left_out = list_images(root)
    table = root / "metadata.csv"
    if not table.is_file():
        return ImageFolder(root, paths, left_out=left_out)
    del left_out["metadata.csv"]
    metadata = _agreed(read_metadata(table), paths, left_out)
    if (root / part).is_dir():
        paths = [path for path in paths if path.startswith(f"{part}/")]
        left_out = {path: kind for path, kind in left_out.items() if path.startswith(f"{part}/")}
    return ImageFolder(root, paths, {path: metadata[path] for path in paths}, left_out)


def read_metadata(table: Path) -> dict[str, Row]:
    """Read a metadata.csv: file to its other columns; a column of whole numbers becomes int, of numbers float.

    Empty lines are ignored, and so are columns with neither a name nor a value, which spreadsheets leave.

    Raises
    ------
    MetadataError
        It is not a CSV file in UTF-8, names a column or a file twice, or a line does not fit the columns.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines)
            columns = [name.strip() for name in next(reader, [])]
            rows = [(reader.line_num, row) for row in reader if any(value.strip() for value in row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise MetadataError(f"{table.name} is not a CSV file in UTF-8 ({error}): save it as such") from None
    _check_columns(table, columns)
    texts: dict[str, dict[str, str]] = {}
    for line, row in rows:
        if len(row) < len(columns) or any(value.strip() for value in row[len(columns) :]):
            raise MetadataError(f"{table.name}, line {line}: not as many values as there are columns")
        if any(value.strip() for name, value in zip(columns, row, strict=False) if not name):
            raise MetadataError(f"{table.name}, line {line}: a value in a column without a name")
        named = dict(zip(columns, row, strict=False))
        file = named.pop("file")
        if not file.strip():
            raise MetadataError(f"{table.name}, line {line}: no file")
        if file in texts:
            raise MetadataError(f"{table.name}, line {line}: a second row for {file}")
        texts[file] = named
    names = [name for name in columns if name not in ("file", "")]
    convert = {name: _type_of([row[name] for row in texts.values()]) for name in names}
    return {file: {name: convert[name](row[name]) for name in names} for file, row in texts.items()}


def load_categories(root: str | os.PathLike = DATA) -> dict[str, list[str]]:
    """Read which of ImageNet's classes each kind of thing corresponds to, from categories.csv.

    EfficientNet was trained to tell ImageNet's 1,000 classes apart. How well it finds kinds without a class (an empty
    list) says more about other pictures than how well it finds kinds that it was trained on. The columns are `category`
    and `imagenet`; `; ` separates several classes.
    """
    with (Path(root).expanduser() / "categories.csv").open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.DictReader(lines)
        return {row["category"]: [name for name in row["imagenet"].split("; ") if name] for row in rows}


def _check_columns(table: Path, columns: list[str]) -> None:
    if "file" not in columns:
        raise MetadataError(f"{table.name} needs a column named 'file'; it has: {columns}")
    twice = [name for name, count in Counter(columns).items() if count > 1 and name]
    if twice:
        raise MetadataError(f"{table.name} has two columns named {twice[0]!r}: rename or remove one")


def _type_of(values: Iterable[str]) -> type[str] | type[int] | type[float]:
    # Only what reads as a number to a person: "007", "1_000" and "nan" stay text.
    for kind, form in ((int, WHOLE_NUMBER), (float, NUMBER)):
        if all(form.fullmatch(value) for value in values):
            return kind
    return str


def _agreed(metadata: dict[str, Row], paths: list[str], left_out: dict[str, str]) -> dict[str, Row]:
    """Return the rows by the paths of their files; refuse a picture without a row, or a row without a picture.

    Unicode stores "é" in two ways: as one sign, or as a letter and its accent. Here both are the same name.
    """
    files, composed = set(paths), {_composed(path): path for path in paths}
    rows: dict[str, Row] = {}
    for row, columns in metadata.items():
        path = row if row in files else composed.get(_composed(row), row)
        if path in rows:
            raise MetadataError(f"metadata.csv has a second row for {path}")
        rows[path] = columns
    if without_file := sorted(rows.keys() - files):
        alike = {_alike(path): path for path in paths}
        examples = ", ".join(row + _hint(row, alike, left_out) for row in without_file[:3])
        raise MetadataError(f"{len(without_file)} rows of metadata.csv have no picture: {examples}. Correct them.")
    if without_row := sorted(files - rows.keys()):
        examples = ", ".join(without_row[:3])
        raise MetadataError(
            f"{len(without_row)} pictures have no row in metadata.csv: {examples}. Add rows, or remove the pictures."
        )
    return rows


def _composed(path: str) -> str:
    return unicodedata.normalize("NFC", path)


def _alike(path: str) -> str:
    return _composed(path).strip().replace("\\", "/").removeprefix("./").casefold()


def _hint(row: str, alike: dict[str, str], left_out: dict[str, str]) -> str:
    """Return what a row without a picture probably means; an empty text where nobody knows."""
    if path := alike.get(_alike(row)):
        return f" (write it as the file is called: {path})"
    if kind := left_out.get(row):
        return f" (the file exists, but its name is not that of a picture: {kind})"
    folder = next((path for path in left_out if path.endswith("/") and row.startswith(path)), "")
    return f" (the folder {folder} is left out)" if folder else ""
