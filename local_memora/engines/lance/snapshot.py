"""Copies of a store, made while others use it."""

import sqlite3
import tempfile
import zipfile
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

from local_memora.engines.lance import beside


def save(home: Path, numbers: Collection[int], archive: zipfile.ZipFile) -> None:
    """Write catalogue and tables into an archive.

    Parameters
    ----------
    home : Path
        The data folder.
    numbers : collection of int
        The ids of the collections to keep. The caller holds their turns to write; others are left out.
    archive : zipfile.ZipFile
        Where to.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "catalogue.sqlite")
        with closing(sqlite3.connect(home / copy.name, timeout=30)) as live, closing(sqlite3.connect(copy)) as kept:
            live.backup(kept)
            kept.execute(f"DELETE FROM collections WHERE id NOT IN ({', '.join('?' * len(numbers))})", [*numbers])
            kept.commit()
        archive.write(copy, copy.name)
    for number in numbers:
        table = beside.table(home / "lance", number)
        for path in sorted(path for path in table.rglob("*") if path.is_file()):
            archive.write(path, path.relative_to(home).as_posix())
