"""What LanceDB can't hold: which collections a project has, their schemas, partitions, indexes and id counters."""

import functools
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import orjson

from local_memora.contract.errors import ApiError
from local_memora.contract.schema import DEFAULT_PARTITION, CollectionSchema, IndexSpec
from local_memora.engines import Collection

LATER_COLUMNS = {"partitions": f'["{DEFAULT_PARTITION}"]', "released": "[]"}  # catalogues of the kit's 0.1 lack them


class Catalogue:
    """A small SQLite file, opened anew for each call: any thread and any process may use it.

    Parameters
    ----------
    path : Path
        The file; it is made where it is missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            db.execute(
                "CREATE TABLE IF NOT EXISTS collections (id INTEGER PRIMARY KEY AUTOINCREMENT, project TEXT NOT NULL,"
                " name TEXT NOT NULL, schema TEXT NOT NULL, indexes TEXT NOT NULL, next_id INTEGER NOT NULL DEFAULT 1,"
                " UNIQUE (project, name))"
            )
            there = {row[1] for row in db.execute("PRAGMA table_info(collections)")}
            for column in LATER_COLUMNS.keys() - there:
                default = LATER_COLUMNS[column]
                db.execute(f"ALTER TABLE collections ADD COLUMN {column} TEXT NOT NULL DEFAULT '{default}'")
            db.execute("COMMIT")

    def _connect(self) -> sqlite3.Connection:
        self.check()
        return sqlite3.connect(self._path, timeout=30, isolation_level=None)

    def check(self) -> None:
        """Raise an ApiError, 410, where the file is gone."""
        if not self._path.is_file():  # SQLite would make an empty one
            raise ApiError(410, "the local Memora's data was removed while it was open: restart the kernel")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with closing(self._connect()) as db:  # closed without a COMMIT this undoes everything
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")

    def _read(self, sql: str, *values: str) -> list[tuple]:
        with closing(self._connect()) as db:
            return db.execute(sql, values).fetchall()

    def names(self, project: str) -> list[str]:
        """Return the project's collection names."""
        return [name for (name,) in self._read("SELECT name FROM collections WHERE project = ?", project)]

    def find(self, project: str, name: str) -> Collection | None:
        """Return a collection, or None."""
        sql = "SELECT id, schema, indexes, partitions, released FROM collections WHERE project = ? AND name = ?"
        for number, schema, indexes, partitions, released in self._read(sql, project, name):
            places = tuple(orjson.loads(partitions)), frozenset(orjson.loads(released))
            return Collection(number, project, name, _schema(schema), _indexes(indexes), *places)
        return None

    def create(
        self,
        project: str,
        name: str,
        schema: CollectionSchema,
        indexes: list[IndexSpec],
        make: Callable[[Collection], None],
    ) -> None:
        """Enter a collection; `make` builds its table before the entry is seen, so no entry lacks a table."""
        with self._transaction() as db:
            cursor = db.execute(
                "INSERT INTO collections (project, name, schema, indexes) VALUES (?, ?, ?, ?)",
                (project, name, schema.model_dump_json(by_alias=True), _to_json(indexes)),
            )
            make(Collection(cursor.lastrowid or 0, project, name, schema, tuple(indexes)))

    def drop(self, collection: Collection) -> set[int]:
        """Remove a collection's entry, and return the ids that are left."""
        with self._transaction() as db:
            db.execute("DELETE FROM collections WHERE id = ?", (collection.id,))
            return {number for (number,) in db.execute("SELECT id FROM collections")}

    def rename(self, collection: Collection, name: str) -> None:
        """Give a collection another name; tables are called by id, so nothing else changes."""
        self._set(collection, "name", name)

    def set_indexes(self, collection: Collection, indexes: list[IndexSpec]) -> None:
        """Replace a collection's index definitions."""
        self._set(collection, "indexes", _to_json(indexes))

    def set_partitions(self, collection: Collection, partitions: list[str], released: set[str]) -> None:
        """Replace a collection's partitions, and which of them are released."""
        with self._transaction() as db:
            db.execute(
                "UPDATE collections SET partitions = ?, released = ? WHERE id = ?",
                (orjson.dumps(partitions).decode(), orjson.dumps(sorted(released)).decode(), collection.id),
            )

    def _set(self, collection: Collection, column: str, value: str) -> None:
        with self._transaction() as db:
            db.execute(f"UPDATE collections SET {column} = ? WHERE id = ?", (value, collection.id))

    def take_ids(self, collection: Collection, count: int) -> list[int]:
        """Hand out automatic ids; what was handed out is never handed out again, stored or not."""
        with self._transaction() as db:
            ((first,),) = db.execute("SELECT next_id FROM collections WHERE id = ?", (collection.id,)).fetchall()
            db.execute("UPDATE collections SET next_id = ? WHERE id = ?", (first + count, collection.id))
        return list(range(first, first + count))


def _to_json(indexes: list[IndexSpec]) -> str:
    return orjson.dumps([index.model_dump(by_alias=True, exclude_none=True) for index in indexes]).decode()


@functools.lru_cache(maxsize=64)
def _schema(text: str) -> CollectionSchema:
    return CollectionSchema.model_validate_json(text)


@functools.lru_cache(maxsize=64)
def _indexes(text: str) -> tuple[IndexSpec, ...]:
    return tuple(IndexSpec.model_validate(index) for index in orjson.loads(text))
