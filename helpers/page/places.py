"""Folders of one's own: a list, kept beside the local Memora's data, and copies of those that a browser has sent."""

import json
import secrets
import shutil
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from helpers.connect import memora_home
from helpers.images import DATA
from helpers.images.folders import SUFFIXES
from helpers.ingest import collection_for
from helpers.settings import from_root

MOST_FILES, MOST_BYTES = 5_000, 2 << 30  # of a folder that a browser sends; by its path a larger one can be searched


@dataclass(frozen=True)
class Place:
    """A folder, and the collection of its pictures.

    Parameters
    ----------
    key : str
        The collection's name without that of the network; empty for the kit's own.
    root : Path
        The folder.
    """

    key: str
    root: Path

    @property
    def called(self) -> str:
        """What its pictures are called in a sentence."""
        return f"the pictures of {self.root.name}" if self.key else "the kit's pictures"


KIT = Place("", DATA)


def place_of(text: str) -> Place:
    """Return the place of a folder that somebody has typed; ValueError and OSError say what is wrong with it."""
    text = text.strip().strip("\"'")
    if not text:
        raise ValueError("Type the path of a folder first.")
    try:
        root = from_root(text).resolve()
    except (RuntimeError, ValueError) as error:  # a user that does not exist, a zero byte
        raise ValueError(f"{text!r} is not a path: {error}.") from None
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is not a folder on this computer: type the path of one that holds pictures.")
    return KIT if root == DATA.resolve() else Place(collection_for(root), root)


def kept() -> dict[str, Place]:
    """Return the places of earlier visits that are still there, by key; the kit's own first."""
    try:
        roots = json.loads(_list().read_text(encoding="utf-8"))
    except FileNotFoundError:
        roots = {}
    return {"": KIT} | {key: Place(key, Path(root)) for key, root in roots.items() if Path(root).is_dir()}


def keep(place: Place) -> None:
    """Keep a place for the next visit."""
    if place != KIT:
        _write(kept() | {place.key: place})


def forget(place: Place) -> None:
    """Keep a place no longer, and delete its files if they are copies that a browser has sent."""
    if place.root.parent.parent == _copies():
        shutil.rmtree(place.root.parent)
    _write({key: one for key, one in kept().items() if key != place.key})


def _write(places: dict[str, Place]) -> None:
    written = _list().with_suffix(f".{secrets.token_hex(4)}")
    written.parent.mkdir(parents=True, exist_ok=True)
    written.write_text(json.dumps({key: str(one.root) for key, one in places.items() if key}, indent=1), "utf-8")
    written.replace(_list())  # another page reads the old list or the new one


def names(places: dict[str, Place]) -> list[list[str]]:
    """Return each place's key and name; where several have a name, also what tells them apart."""
    often = Counter(place.root.name for place in places.values())
    apart = {key: f" ({_where(one.root)})" * (often[one.root.name] > 1) for key, one in places.items()}
    return [[key, one.root.name + apart[key] if key else one.called] for key, one in places.items()]


def _where(root: Path) -> str:
    if root.is_relative_to(_copies()):
        return f"copied {datetime.fromtimestamp(root.stat().st_mtime):%d %b %H:%M:%S}"  # on this computer's clock
    return f"in {root.parent.name}"


def _list() -> Path:
    return memora_home() / "page" / "folders.json"


def _copies() -> Path:
    return memora_home().resolve() / "page" / "uploads"


class Upload:
    """A folder that a browser sends file by file; it becomes a folder of its own, also where another has its name."""

    def __init__(self, name: str, count: int) -> None:
        clean = "".join(sign if sign.isalnum() or sign in " -_." else "_" for sign in name).strip(" .") or "pictures"
        self.root = _copies() / secrets.token_hex(4) / clean[:60]
        self.count, self.done, self._bytes = count, 0, 0
        self.root.mkdir(parents=True)

    def add(self, path: str, content: bytes | memoryview) -> None:
        """Store a file. ValueError if it would lie elsewhere, is no picture, or makes the folder too large."""
        parts = PurePosixPath(path).parts
        table = path == "metadata.csv"
        if not parts or ".." in parts or PurePosixPath(path).is_absolute() or set(path) & set('\\:\0<>|"?*'):
            raise ValueError(f"{path!r} is not a name that can be stored here: rename the file.")
        if not table and PurePosixPath(path).suffix.lower() not in SUFFIXES:
            raise ValueError(f"{path!r} is not a picture.")
        self.done, self._bytes = self.done + 1, self._bytes + len(content)
        if self.done > MOST_FILES or self._bytes > MOST_BYTES:
            raise ValueError("The folder is too large to be copied: type its path instead.")
        file = self.root.joinpath(*parts)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    def remove(self) -> None:
        """Delete what was stored."""
        shutil.rmtree(self.root.parent, ignore_errors=True)
