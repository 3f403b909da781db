"""What every verb needs: the collection it is about, this writer's turn, and a second look where things changed."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import filelock

from local_memora.contract.bodies import OnCollection
from local_memora.contract.errors import ApiError
from local_memora.engines import Collection, Engine

LOCK_SECONDS = 120


class Service:
    """An engine, and the locks by which writers of one collection take turns.

    Parameters
    ----------
    home : Path
        Where the locks lie.
    engine : Engine
        Who stores and searches.
    """

    def __init__(self, home: Path, engine: Engine) -> None:
        self.engine = engine
        self._locks = home / "locks"  # made with the first lock: who only reads needs none

    def find(self, body: OnCollection) -> Collection:
        """Return the collection that a call is about, or refuse with 404."""
        collection = self.engine.find(body.project_id, body.collection_name)
        if collection is None:
            raise ApiError(404, f"there is no collection {body.collection_name!r} in project {body.project_id!r}")
        return collection

    def find_writable(self, body: OnCollection) -> Collection:
        """Return the collection that a call changes, or refuse where keys in it can't be seen."""
        collection = self.find(body)
        if collection.released:
            what = f"partition {min(collection.released)!r} of" if collection.loaded else "collection"
            raise ApiError(400, f"the {what} {collection.name!r} is released: load it before you change rows")
        return collection

    @contextmanager
    def turn(self, body: OnCollection, *others: str) -> Iterator[None]:
        """Wait for this writer's turn; names are locked, so that create, rename and drop take turns too."""
        if not self._locks.exists():
            self.engine.check()  # where all data was removed, a lock is not to be the first thing that comes back
        with ExitStack() as stack:
            for name in sorted({body.collection_name, *others}):  # one order for all: nobody waits in a circle
                stack.enter_context(self._lock(body.project_id, name))
            yield

    @contextmanager
    def _lock(self, project: str, name: str) -> Iterator[None]:
        key = hashlib.sha256(f"{project}/{name}".encode()).hexdigest()[:32]
        lock = filelock.FileLock(self._locks / f"{key}.lock", timeout=LOCK_SECONDS, poll_interval=0.01)
        try:
            lock.acquire()
        except filelock.Timeout:
            raise ApiError(
                503, f"another program has been writing to {name!r} for {LOCK_SECONDS} s; try again"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def read(self, body: OnCollection, work: Callable[[Collection], Any], *, released: bool = False) -> Any:
        """Look into a collection; where that fails because it was changed meanwhile, look again.

        Parameters
        ----------
        body : OnCollection
            The call.
        work : callable
            What to do with the collection.
        released : bool
            Whether it may be done with a released collection.
        """
        collection = self.find(body)
        if not (released or collection.loaded):
            raise ApiError(400, f"the collection {collection.name!r} is released: load it first (collections/load)")
        try:
            return work(collection)
        except ApiError:
            raise
        except Exception:
            if self.find(body) == collection:
                raise
            return self.read(body, work, released=released)


def partitions_to_read(collection: Collection, asked: list[str] | None) -> list[str] | None:
    """Return the loaded partitions to look into; None is all there are.

    Raises
    ------
    ApiError
        404 for a partition that is not there, 400 for one that was asked for and is released.
    """
    for name in asked or []:
        known_partition(collection, name)
        if name in collection.released:
            raise ApiError(400, f"the partition {name!r} is released: load it first (partitions/load)")
    loaded = [name for name in collection.partitions if name not in collection.released]
    return narrowed(collection, asked or loaded)


def narrowed(collection: Collection, partitions: list[str]) -> list[str] | None:
    """Return the partitions to look into, or None where they are all there are."""
    return None if set(partitions) >= set(collection.partitions) else partitions


def known_partition(collection: Collection, name: str) -> str:
    """Return the name, or refuse with 404 where the collection has no such partition, with 400 where none is named."""
    without_partition_key(collection)
    if name not in collection.partitions:
        there = ", ".join(collection.partitions[:20])
        raise ApiError(404, f"no partition {name!r} in {collection.name!r}; there is: {there}")
    return name


def without_partition_key(collection: Collection) -> Collection:
    """Return the collection, or refuse with 400 where partitions are the engine's affair."""
    if key := collection.schema.partition_key:
        raise ApiError(
            400, f"the partition key {key.field_name!r} makes the partitions of {collection.name!r}: don't name one"
        )
    return collection
