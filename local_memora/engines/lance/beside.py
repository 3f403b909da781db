"""The description that lies in each table's folder: the catalogue's entry once more, should the catalogue be lost."""

import re
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

FILE = "memora.json"
COLUMNS = ("id", "project", "name", "schema", "indexes", "partitions", "released", "next_id", "revision")


def table(folder: Path, number: int) -> Path:
    """Return where a collection's table lies."""
    return folder / f"c{number}.lance"


def tables_in(folder: Path) -> dict[int, Path]:
    """Return the folder of each table, by the id of its collection."""
    found = {path: re.fullmatch(r"c([1-9]\d*)\.lance", path.name) for path in folder.glob("c*.lance")}
    return {int(match[1]): path for path, match in sorted(found.items()) if match}


def read(table: Path) -> dict[str, Any] | None:
    """Return a table's description, or None where it has none that can be read, or that of another table.

    It holds COLUMNS, and `store`, the catalogue's own id; of a dropped collection `dropped`, too.
    """
    try:
        described = orjson.loads((table / FILE).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    whole = isinstance(described, dict) and {"store", *COLUMNS} <= described.keys()
    return described if whole and f"c{described['id']}" == table.stem else None


def write(table: Path, described: dict[str, Any]) -> None:
    """Replace a table's description as a whole.

    Raises
    ------
    OSError
        It can't be written.
    """
    with tempfile.NamedTemporaryFile(dir=table, prefix=FILE, delete=False) as file:
        new = Path(file.name)
        try:
            file.write(orjson.dumps(described, option=orjson.OPT_INDENT_2))
            file.close()  # Windows renames no open file
            new.replace(table / FILE)
        except BaseException:
            new.unlink(missing_ok=True)
            raise


def holds_rows(table: Path) -> bool:
    """Return whether rows were ever written into a table."""
    return any((table / "data").glob("*"))


def holds_versions(table: Path) -> bool:
    """Return whether there is anything that LanceDB could open."""
    return any((table / "_versions").glob("*.manifest"))


def size(table: Path) -> int:
    """Return how many bytes a table takes on disk, old versions included."""
    total = 0
    for path in table.rglob("*"):
        with suppress(OSError):  # another process has removed it meanwhile
            total += path.stat().st_size if path.is_file() else 0
    return total


def remove(table: Path) -> None:
    """Remove a table; other processes may be doing the same."""
    shutil.rmtree(table, ignore_errors=True)
