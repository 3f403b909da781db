"""What the engine can't hold: which collections a project has, their schemas, index definitions and id counters."""

import functools
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from helpers.local_memora.schema import CollectionSchema, IndexSpec


@dataclass(frozen=True)
class Collection:
    """One collection as the catalogue knows it.

    Parameters
    ----------
    id : int
        Never used again once the collection is dropped; engines name their tables by it.
    project, name : str
        Whose it is and what it is called.
    schema : CollectionSchema
        Its fields.
    indexes : tuple of IndexSpec
        Defined indexes, whether built yet or not; at most one a field.
    """

    id: int
    project: str
    name: str
    schema: CollectionSchema
    indexes: tuple[IndexSpec, ...]

    def index_on(self, field: str) -> IndexSpec | None:
        """Return the index on a field, if one is defined."""
        return next((index for index in self.indexes if index.field_name == field), None)


class Catalogue:
    """A small SQLite file, opened anew for each call: any thread and any process may use it.

    Parameters
    ----------
    path : Path
        The file; it is made where it is missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._transaction() as db:
            db.execute(
                "CREATE TABLE IF NOT EXISTS collections (id INTEGER PRIMARY KEY AUTOINCREMENT, project TEXT NOT NULL,"
                " name TEXT NOT NULL, schema TEXT NOT NULL, indexes TEXT NOT NULL, next_id INTEGER NOT NULL DEFAULT 1,"
                " UNIQUE (project, name))"
            )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        db = sqlite3.connect(self._path, timeout=30, isolation_level=None)
        try:
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")
        finally:
            db.close()  # without a COMMIT this undoes everything

    def _read(self, sql: str, *values: str) -> list[tuple]:
        db = sqlite3.connect(self._path, timeout=30)
        try:
            return db.execute(sql, values).fetchall()
        finally:
            db.close()

    def names(self, project: str) -> list[str]:
        """Return the project's collection names in alphabetical order."""
        return [name for (name,) in self._read("SELECT name FROM collections WHERE project = ? ORDER BY name", project)]

    def find(self, project: str, name: str) -> Collection | None:
        """Return a collection, or None."""
        rows = self._read("SELECT id, schema, indexes FROM collections WHERE project = ? AND name = ?", project, name)
        if not rows:
            return None
        ((number, schema, indexes),) = rows
        return Collection(number, project, name, _schema(schema), _indexes(indexes))

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

    def drop(self, collection: Collection) -> None:
        """Remove a collection's entry."""
        with self._transaction() as db:
            db.execute("DELETE FROM collections WHERE id = ?", (collection.id,))

    def set_indexes(self, collection: Collection, indexes: list[IndexSpec]) -> None:
        """Replace a collection's index definitions."""
        with self._transaction() as db:
            db.execute("UPDATE collections SET indexes = ? WHERE id = ?", (_to_json(indexes), collection.id))

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
