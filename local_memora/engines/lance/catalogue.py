"""What LanceDB can't hold: which collections a project has, their schemas, partitions, indexes and id counters."""

import functools
import logging
import sqlite3
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import orjson

from local_memora.contract.errors import ApiError
from local_memora.contract.schema import DEFAULT_PARTITION, CollectionSchema, IndexSpec
from local_memora.engines import Collection
from local_memora.engines.lance import beside
from local_memora.engines.lance.beside import COLUMNS

VERSION = 1
REPAIR = "stop the programs that use this data, then run: python -m local_memora repair"
JSON = ("schema", "indexes", "partitions", "released")
log = logging.getLogger(__name__)


class Catalogue:
    """A small SQLite file, opened anew for each call: any thread and any process may use it.

    Each table's folder has a copy of its entry (`beside`). It is written after the entry, so it is never the newer of
    the two, unless an older catalogue was put back: then what is about the collection is refused.

    Parameters
    ----------
    home : Path
        The folder it lies in, beside the folder of the tables; the file is made where there is neither file nor table.

    Raises
    ------
    ApiError
        410 where it can't be read, is of another version, or is not the one that these tables were entered in.
    """

    def __init__(self, home: Path) -> None:
        self._path, self._tables = home / "catalogue.sqlite", home / "lance"
        self._wrong: dict[tuple[str, str], str] = {}
        kinds = self._kinds() if self._path.exists() else set()
        if not kinds:
            self._refuse_to_forget(beside.tables_in(self._tables), "is missing or empty")
            make(self._path)
        elif not {"collections", "store"} <= kinds:
            older = "collections" in kinds
            self._refuse("was made by an older version of the kit" if older else "is a database of another program")
        self._store = self._read("SELECT id, version FROM store")[0]
        if self._store["version"] > VERSION:
            raise ApiError(410, f"the catalogue {self._path} was made by a newer version of the kit: use that one")
        self._compare()

    def _refuse(self, why: str) -> NoReturn:
        raise ApiError(410, f"the catalogue {self._path} {why}: {REPAIR} --engine {self._path.parent}")

    def _kinds(self) -> set[str]:
        return {row["name"] for row in self._read("SELECT name FROM sqlite_master WHERE type = 'table'")}

    def _compare(self) -> None:
        """Look for tables that this catalogue does not know, or knows less of than they say themselves."""
        described = {number: beside.read(table) for number, table in beside.tables_in(self._tables).items()}
        entries = {row["id"]: row for row in self._read("SELECT id, project, name, revision FROM collections")}
        numbers = {(row["project"], row["name"]): number for number, row in entries.items()}
        lost = {number for number in described.keys() - entries.keys() if self._is_lost(number)}
        if lost and not entries:
            self._refuse_to_forget(lost, "has no entries")
        for number, said in described.items():
            if number in entries and self._is_newer(said, entries[number]["revision"]):
                self._wrong[entries[number]["project"], entries[number]["name"]] = "is newer than the catalogue"
            elif number in lost and said and number > numbers.get((said["project"], said["name"]), 0):
                self._wrong[said["project"], said["name"]] = "is not in the catalogue, but its table is there"

    def _is_newer(self, said: dict[str, Any] | None, revision: int) -> bool:
        """Return whether a table knows more than its entry: an older catalogue, or another one, was put here."""
        return said is not None and (said["store"] != self._store["id"] or said["revision"] > revision)

    def _is_lost(self, number: int) -> bool:
        """Return whether a table without an entry is more than what a broken-off creation or drop has left."""
        table = beside.table(self._tables, number)
        said = beside.read(table)
        return not said.get("dropped") if said else beside.holds_rows(table)

    def _refuse_to_forget(self, numbers: Iterable[int], why: str) -> None:
        tables = {number: beside.table(self._tables, number) for number in numbers if self._is_lost(number)}
        if names := [repr((beside.read(table) or {"name": table.stem})["name"]) for table in tables.values()]:
            lost = f"but there are tables of {', '.join(names[:10])}"
            self._refuse(f"{why}, {lost}. Nothing was changed. Put the file back if you have a copy. If not")

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self._path, timeout=30, isolation_level=None)) as db:
                db.row_factory = sqlite3.Row
                yield db  # closed without a COMMIT it undoes everything
        except sqlite3.DatabaseError as error:
            kind = getattr(error, "sqlite_errorname", "")
            if kind.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")) or "no such table" in str(error):
                raise ApiError(410, f"the catalogue of this data can't be read ({error}): {REPAIR}") from None
            if kind.startswith("SQLITE_BUSY"):
                raise ApiError(503, "another program has kept the catalogue of this data busy; try again") from None
            raise

    def _read(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        self._check_file()
        with self._open() as db:
            return db.execute(sql, values).fetchall()

    @contextmanager
    def _change(self, number: int) -> Iterator[sqlite3.Connection]:
        """Change one entry, then its copy."""
        self._check_file()
        with self._open() as db:
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("UPDATE collections SET revision = revision + 1 WHERE id = ?", (number,))
            db.execute("COMMIT")
        self.describe(number)

    def _check_file(self) -> None:
        if not self._path.is_file():  # SQLite would make an empty one
            raise ApiError(410, "the local Memora's data was removed while it was open: restart the kernel")

    def names(self, project: str) -> list[str]:
        """Return the project's collection names."""
        return [row["name"] for row in self._read("SELECT name FROM collections WHERE project = ?", project)]

    def survey(self) -> tuple[list[Collection], list[str]]:
        """Return every project's collections, and what is wrong with the entries of others, with what to do."""
        found, faults = [], [f"the collection {name!r} {why}: {REPAIR}" for (_, name), why in self._wrong.items()]
        for row in self._read("SELECT * FROM collections"):
            try:
                found.append(collection_of(row))
            except ApiError as error:
                faults.append(error.message)
        return found, faults

    def find(self, project: str, name: str) -> Collection | None:
        """Return a collection, or None."""
        if why := self._wrong.get((project, name)):
            raise ApiError(410, f"the collection {name!r} {why}: {REPAIR}")
        rows = self._read("SELECT * FROM collections WHERE project = ? AND name = ?", project, name)
        return collection_of(rows[0]) if rows else None

    def create(
        self,
        project: str,
        name: str,
        schema: CollectionSchema,
        indexes: list[IndexSpec],
        make: Callable[[Collection], None],
    ) -> None:
        """Enter a collection; `make` builds its table before the entry is seen, so no entry lacks a table.

        Its id is larger than that of every table there is: what a broken-off creation has left is not touched.
        """
        self._check_file()
        with self._open() as db:
            db.execute("BEGIN IMMEDIATE")
            given = [row["seq"] for row in db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'collections'")]
            number = max([*given, *beside.tables_in(self._tables)], default=0) + 1
            collection = Collection(number, project, name, schema, tuple(indexes))
            described = schema.model_dump_json(by_alias=True)
            values = (number, project, name, described, _to_json(indexes), f'["{DEFAULT_PARTITION}"]', "[]", 1, 1)
            db.execute(f"INSERT INTO collections ({', '.join(COLUMNS)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
            make(collection)
            db.execute("COMMIT")
        self.describe(number)

    def drop(self, collection: Collection) -> None:
        """Remove a collection's entry.

        Its table's description says so first: what a broken-off drop leaves is seen to be no lost collection.
        """
        self.describe(collection.id, dropped=True)
        try:
            with self._change(collection.id) as db:
                db.execute("DELETE FROM collections WHERE id = ?", (collection.id,))
        except BaseException:
            self.describe(collection.id)
            raise

    def sweep(self) -> None:
        """Remove the tables of dropped collections, also those that a broken-off drop has left."""
        tables = beside.tables_in(self._tables)
        for number in tables.keys() - {row["id"] for row in self._read("SELECT id FROM collections")}:
            if (beside.read(tables[number]) or {}).get("dropped"):
                beside.remove(tables[number])

    def settle(self, collection: Collection) -> None:
        """Make the copy beside the table agree with the entry again; refuse where the entry is the older one.

        Raises
        ------
        ApiError
            410, where an older catalogue, or that of other tables, was put back while this one was open.
        """
        said = beside.read(beside.table(self._tables, collection.id))
        for row in self._read("SELECT revision FROM collections WHERE id = ?", collection.id):
            if self._is_newer(said, row["revision"]):
                raise ApiError(410, f"the collection {collection.name!r} is newer than the catalogue: {REPAIR}")
            if said is None or said["revision"] < row["revision"] or said.get("dropped"):
                self.describe(collection.id)

    def describe(self, number: int, *, dropped: bool = False) -> None:
        """Write an entry beside its table; where that fails, the next write to the collection tries again."""
        table = beside.table(self._tables, number)
        for row in self._read(f"SELECT {', '.join(COLUMNS)} FROM collections WHERE id = ?", number):
            parts = {column: orjson.Fragment(row[column]) if column in JSON else row[column] for column in COLUMNS}
            more = {"dropped": True} if dropped else {}
            try:
                beside.write(table, {"store": self._store["id"], **parts, **more})
            except OSError as error:
                if dropped and table.is_dir():
                    raise
                log.warning("the description beside c%d can't be written: %s", number, error)

    def rename(self, collection: Collection, name: str) -> None:
        """Give a collection another name; tables are called by id, so nothing else changes."""
        self._set(collection, name=name)

    def set_indexes(self, collection: Collection, indexes: list[IndexSpec]) -> None:
        """Replace a collection's index definitions."""
        self._set(collection, indexes=_to_json(indexes))

    def set_partitions(self, collection: Collection, partitions: list[str], released: set[str]) -> None:
        """Replace a collection's partitions, and which of them are released."""
        left = orjson.dumps(sorted(released)).decode()
        self._set(collection, partitions=orjson.dumps(partitions).decode(), released=left)

    def _set(self, collection: Collection, **columns: str) -> None:
        to = ", ".join(f"{column} = ?" for column in columns)
        with self._change(collection.id) as db:
            db.execute(f"UPDATE collections SET {to} WHERE id = ?", (*columns.values(), collection.id))

    def failure(self, collection: Collection, index: IndexSpec) -> tuple[int, str]:
        """Return why an index could not be built, and how many rows there were; (0, "") where it could."""
        for row in self._read("SELECT failures FROM collections WHERE id = ?", collection.id):
            rows, why = orjson.loads(row["failures"]).get(index.index_name, (0, ""))
            return rows, why
        return 0, ""  # dropped in this moment

    def set_failure(self, collection: Collection, index: IndexSpec, rows: int, why: str) -> None:
        """Keep, for every process, why an index could not be built; an empty text takes that back."""
        (row,) = self._read("SELECT failures FROM collections WHERE id = ?", collection.id)
        failures = orjson.loads(row["failures"]) | {index.index_name: (rows, why)}
        self._set(collection, failures=orjson.dumps({name: f for name, f in failures.items() if f[1]}).decode())

    def take_ids(self, collection: Collection, count: int) -> list[int]:
        """Hand out automatic ids; what was handed out is never handed out again, stored or not."""
        with self._change(collection.id) as db:
            ((first,),) = db.execute("SELECT next_id FROM collections WHERE id = ?", (collection.id,)).fetchall()
            db.execute("UPDATE collections SET next_id = ? WHERE id = ?", (first + count, collection.id))
        return list(range(first, first + count))


def make(path: Path) -> None:
    """Make an empty catalogue; another process may be doing the same."""
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        db.execute(
            "CREATE TABLE IF NOT EXISTS collections (id INTEGER PRIMARY KEY AUTOINCREMENT, project TEXT NOT NULL,"
            " name TEXT NOT NULL, schema TEXT NOT NULL, indexes TEXT NOT NULL, partitions TEXT NOT NULL,"
            " released TEXT NOT NULL, next_id INTEGER NOT NULL DEFAULT 1, revision INTEGER NOT NULL DEFAULT 1,"
            " failures TEXT NOT NULL DEFAULT '{}', UNIQUE (project, name))"
        )
        db.execute("CREATE TABLE IF NOT EXISTS store (id TEXT NOT NULL, version INTEGER NOT NULL)")
        new = (uuid.uuid4().hex, VERSION)
        db.execute("INSERT INTO store SELECT ?, ? WHERE NOT EXISTS (SELECT 1 FROM store)", new)
        db.execute("COMMIT")


def collection_of(row: sqlite3.Row | dict[str, Any]) -> Collection:
    """Read an entry.

    Raises
    ------
    ApiError
        410 where it can't be read.
    """
    try:
        places = tuple(orjson.loads(row["partitions"])), frozenset(orjson.loads(row["released"]))
        what = _schema(row["schema"]), _indexes(row["indexes"])
    except ValueError:  # neither JSON nor a schema
        raise ApiError(410, f"the catalogue's entry of {row['name']!r} can't be read: {REPAIR}") from None
    return Collection(row["id"], row["project"], row["name"], *what, *places)


def _to_json(indexes: list[IndexSpec]) -> str:
    return orjson.dumps([index.model_dump(by_alias=True, exclude_none=True) for index in indexes]).decode()


@functools.lru_cache(maxsize=64)
def _schema(text: str) -> CollectionSchema:
    return CollectionSchema.model_validate_json(text)


@functools.lru_cache(maxsize=64)
def _indexes(text: str) -> tuple[IndexSpec, ...]:
    return tuple(IndexSpec.model_validate(index) for index in orjson.loads(text))
