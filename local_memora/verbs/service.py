"""What every verb needs: the collection it is about, this writer's turn, and a second look where things changed."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import filelock

from local_memora.contract.bodies import OnCollection
from local_memora.contract.errors import ApiError
from local_memora.engines import Collection, Engine

LOCK_SECONDS = 120
LOOKS = 3  # at a collection whose files, or itself, others may have replaced meanwhile
WAITING = 100  # requests that may wait for their turn to write


class Service:
    """An engine, and the locks by which writers of one collection take turns.

    Parameters
    ----------
    home : Path
        Where the locks lie.
    engine : Engine
        Who stores and searches.
    at_once : int
        How many requests are worked on at the same time, without those that wait for their turn to write.

    Attributes
    ----------
    places : threading.Semaphore
        A request takes a place while it is worked on.
    """

    def __init__(self, home: Path, engine: Engine, at_once: int) -> None:
        self.engine = engine
        self.places = threading.Semaphore(at_once)
        self._waiting = threading.Semaphore(WAITING)
        self._locks = home / "locks"  # made with the first lock: who only reads needs none
        self._threads: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        self._guard = threading.Lock()

    def find(self, body: OnCollection) -> Collection:
        """Return the collection that a call is about, or refuse with 404."""
        collection = self.engine.find(body.project_id, body.collection_name)
        if collection is None:
            raise ApiError(404, f"there is no collection {body.collection_name!r} in project {body.project_id!r}")
        return collection

    @contextmanager
    def turn(self, body: OnCollection) -> Iterator[Collection]:
        """Wait for this writer's turn, and yield the collection as it is then; 404 where it is not there."""
        while True:
            before = self.find(body)
            with self._lock(f"{before.id}", body.collection_name):
                found = self.engine.find(body.project_id, body.collection_name)
                if found is None or found.id != before.id:  # dropped or renamed meanwhile: look again
                    continue
                try:
                    yield found
                except ApiError:
                    raise
                except Exception as error:
                    raise (self.engine.fault(found, error) or error) from None
                return

    @contextmanager
    def naming(self, project: str, name: str) -> Iterator[None]:
        """Wait for the turn to give a name that is free; refuse with 409 one that is taken."""
        self._refuse_taken(project, name)  # if the data was deleted, refuse before a lock file recreates the folder
        with self._lock("names", name):
            self._refuse_taken(project, name)
            yield

    def _refuse_taken(self, project: str, name: str) -> None:
        if self.engine.find(project, name):
            raise ApiError(409, f"the collection {name!r} exists already")

    def forget(self, collection: Collection) -> None:
        """Remove the lock of a dropped collection."""
        with suppress(OSError):  # Windows removes no file that another process waits for
            self._file(f"{collection.id}").unlink(missing_ok=True)

    def _file(self, key: str) -> Path:
        return self._locks / f"{key}.lock"

    @contextmanager
    def _lock(self, key: str, name: str) -> Iterator[None]:
        """Hold a lock: first this process's own, so that only one of its threads polls the one in a file."""
        with self._guard:
            thread = self._threads.setdefault(key, threading.Lock())
        process = filelock.FileLock(self._file(key), poll_interval=0.01)
        busy = ApiError(503, f"another writer has been busy with {name!r} for {LOCK_SECONDS} s; try again")
        deadline = time.monotonic() + LOCK_SECONDS
        with ExitStack() as held:
            with self._out_of_the_way(name):
                if not thread.acquire(timeout=LOCK_SECONDS):
                    raise busy
                held.callback(thread.release)
                try:
                    process.acquire(timeout=max(0, deadline - time.monotonic()))
                except filelock.Timeout:
                    raise busy from None
                held.callback(process.release)
            yield

    @contextmanager
    def _out_of_the_way(self, name: str) -> Iterator[None]:
        """Give up this request's place while it waits, or waiting writers would soon hold all places."""
        if not self._waiting.acquire(blocking=False):
            raise ApiError(503, f"{WAITING} requests already wait to write; send this one, to {name!r}, again later")
        self.places.release()
        try:
            yield
        finally:
            self._waiting.release()
            self.places.acquire()

    def read(self, body: OnCollection, work: Callable[[Collection], Any], *, released: bool = False) -> Any:
        """Look into a collection; where that fails because rows or collection were changed meanwhile, look again.

        Parameters
        ----------
        body : OnCollection
            The call.
        work : callable
            What to do with the collection.
        released : bool
            Whether it may be done with a released collection.
        """
        looks = 0
        while True:
            collection, looks = self.find(body), looks + 1
            if not (released or collection.loaded):
                raise ApiError(400, f"the collection {collection.name!r} is released: load it first (collections/load)")
            try:
                return work(collection)
            except ApiError:
                raise
            except Exception as error:
                if looks >= LOOKS and self.find(body) == collection:
                    raise (self.engine.fault(collection, error) or error) from None


def writable(collection: Collection) -> Collection:
    """Return a collection whose rows a call changes, or refuse where keys in it can't be seen."""
    if collection.released:
        what = f"partition {min(collection.released)!r} of" if collection.loaded else "collection"
        raise ApiError(400, f"the {what} {collection.name!r} is released: load it before you change rows")
    return collection


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
    return narrowed(collection, asked or collection.loaded)


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
        why = f"the partition key {key.field_name!r} makes the partitions of {collection.name!r}"
        raise ApiError(400, f"{why}: don't name one")
    return collection
