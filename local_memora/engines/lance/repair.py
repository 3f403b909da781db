"""Catalogue and tables made to agree again; nothing that holds rows is removed."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import lancedb
import orjson
import pyarrow.compute as pc

from local_memora.contract.errors import ApiError
from local_memora.contract.schema import DEFAULT_PARTITION
from local_memora.engines.lance import beside, damage
from local_memora.engines.lance.beside import COLUMNS
from local_memora.engines.lance.catalogue import JSON, VERSION, Catalogue, collection_of, make

Entry = dict[str, Any]
OLDER = {"partitions": f'["{DEFAULT_PARTITION}"]', "released": "[]", "next_id": 1, "revision": 1}  # what it may lack


def repair(home: Path) -> list[str]:
    """Build the catalogue anew, from what can be read of the old one and from the descriptions beside the tables.

    Of two that know the same collection, the newer counts. No other program may be using the data.

    Parameters
    ----------
    home : Path
        The data folder.

    Returns
    -------
    list of str
        What was done, and what is left to do: a sentence each.

    Raises
    ------
    ApiError
        404 where there is no data, 410 where a newer version of the kit made it.
    """
    path, folder = home / "catalogue.sqlite", home / "lance"
    if not (path.exists() or folder.exists()):
        raise ApiError(404, f"there is no data of the local Memora in {home}")
    highest = max(beside.tables_in(folder), default=0)
    entries, store, sound = _read(path)
    kept, said = _kept(folder, entries, store)
    if not sound or kept != entries:
        said = [*_write(home, path, kept, highest), *said]
    return [*(said or ["Catalogue and tables agree: nothing was changed."]), *_damage(home, folder)]


def _read(path: Path) -> tuple[dict[int, Entry], str, bool]:
    """Return what can be read of a catalogue: entries by id, the store's id, and whether it is whole."""
    entries: dict[int, Entry] = {}
    store, version, sound = "", 0, path.exists()
    try:
        with closing(sqlite3.connect(path if sound else ":memory:")) as db:
            db.row_factory = sqlite3.Row
            for row in db.execute("SELECT * FROM collections"):  # as many as can be read
                entry: Entry = {**OLDER, **dict(row)}
                if _is_readable(entry):
                    entries[entry["id"]] = {column: entry[column] for column in COLUMNS}
                else:
                    sound = False
            store, version = db.execute("SELECT id, version FROM store").fetchone()
    except (sqlite3.DatabaseError, TypeError):  # TypeError: no row
        sound = False
    if version > VERSION:
        raise ApiError(410, f"the catalogue {path} was made by a newer version of the kit: use that one")
    return entries, store, sound and version == VERSION


def _is_readable(entry: Entry) -> bool:
    try:
        collection_of(entry)
    except (ApiError, TypeError, KeyError):
        return False
    return True


def _kept(folder: Path, entries: dict[int, Entry], store: str) -> tuple[dict[int, Entry], list[str]]:
    """Choose between each entry and the description of its table; tables that have neither go out of the way."""
    kept, said = dict(entries), []
    for number, table in beside.tables_in(folder).items():
        described = beside.read(table)
        if described and not described.get("dropped"):
            entry = _from_description(described)
            if number in entries and described["store"] == store and entry["revision"] <= entries[number]["revision"]:
                continue
            if _is_readable(entry):
                kept[number] = entry
                said.append(f"{entry['name']!r} (project {entry['project']!r}): taken from beside its table.")
                continue
        if number in entries:
            continue
        if described or not beside.holds_rows(table):
            beside.remove(table)
            said.append(f"{table.name}: what a broken-off drop or creation had left; removed.")
        else:
            aside = table.rename(table.with_name(f"lost-{table.name}"))
            said.append(f"{table.name} has rows, but nothing says of which collection: it is {aside.name} now.")
    taken: set[tuple[str, str]] = set()
    for number in sorted(kept, reverse=True):
        entry = kept[number]
        if (entry["project"], entry["name"]) in taken:
            kept[number] = {**entry, "name": f"{entry['name'][:240]}_c{number}"}
            said.append(f"There were two collections {entry['name']!r}: the older is {kept[number]['name']!r} now.")
        taken.add((kept[number]["project"], kept[number]["name"]))
    return kept, said


def _from_description(described: Entry) -> Entry:
    return {c: orjson.dumps(described[c]).decode() if c in JSON else described[c] for c in COLUMNS}


def _write(home: Path, path: Path, kept: dict[int, Entry], highest: int) -> list[str]:
    """Replace the catalogue, keeping the old file under another name, then each table's description."""
    said = []
    db = lancedb.connect(home / "lance")
    new = path.with_name("catalogue.new")
    new.unlink(missing_ok=True)
    make(new)
    with closing(sqlite3.connect(new, isolation_level=None)) as catalogue:
        for entry in kept.values():
            values = {**entry, "revision": entry["revision"] + 1, "next_id": _next_id(db, entry)}
            catalogue.execute(
                f"INSERT INTO collections ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})",
                [values[column] for column in COLUMNS],
            )
        catalogue.execute("DELETE FROM sqlite_sequence")
        catalogue.execute("INSERT INTO sqlite_sequence VALUES ('collections', ?)", [max([highest, *kept])])
    if path.exists():
        old = next(p for n in range(1, 1_000) if not (p := path.with_name(f"catalogue-{n}.sqlite")).exists())
        shutil.copy2(path, old)
        said.append(f"The old catalogue is kept as {old.name}.")
    for suffix in ("-journal", "-wal", "-shm"):  # they belong to the old file
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    new.replace(path)
    catalogue_now = Catalogue(home)
    for number in kept:
        catalogue_now.describe(number)
    return [f"The catalogue was built anew, with {len(kept)} collections.", *said]


def _next_id(db: lancedb.DBConnection, entry: Entry) -> int:
    """Return an automatic id that was never handed out, as far as the rows show."""
    schema = collection_of(entry).schema
    if not schema.auto_id:
        return entry["next_id"]
    try:
        keys = db.open_table(f"c{entry['id']}").search().select([schema.primary.field_name]).to_arrow()
    except Exception:  # _damage reports it, with what to do
        return entry["next_id"]
    return max(entry["next_id"], (pc.max(keys[schema.primary.field_name]).as_py() or 0) + 1)


def _damage(home: Path, folder: Path) -> list[str]:
    collections, faults = Catalogue(home).survey()
    db = lancedb.connect(folder)
    return [fault for fault in [*faults, *(damage.found_in(db, folder, each) for each in collections)] if fault]
