"""What one key may take, so that one student's loop does not slow the class."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from local_memora.contract import bodies
from local_memora.contract.errors import ApiError

READS = {
    "collections/list", "collections/has", "collections/describe", "collections/get_load_state",
    "collections/get_stats", "partitions/has", "partitions/list", "partitions/get_stats", "indexes/list",
    "indexes/describe", "vectors/search", "vectors/hybrid_search", "vectors/query", "vectors/get",
}  # fmt: skip
AT_ONCE = 3  # calls of one key that are worked on at the same time,
IN_HAND = AT_ONCE + 6  # and those that may be here: the others wait for their turn
MANY_VECTORS, MANY_HITS, MANY_KEYS = 16, 1_000, 100  # in one call: more makes it a heavy one


@dataclass(frozen=True)
class Limits:
    """The limits of each key.

    Parameters
    ----------
    collections, rows, megabytes : int
        What its project may hold; megabytes on disk, old versions of rows included.
    requests : int
        Calls a second, on average; three times as many may come at once.
    """

    collections: int = 20
    rows: int = 50_000
    megabytes: int = 500
    requests: int = 20


class Share:
    """What one key takes at the moment.

    Every key has the same few turns, and turns come in the order in which they were asked for. So a key that asks all
    the time waits for itself, and others wait for few of its calls.
    """

    def __init__(self, requests: int) -> None:
        self._requests = requests
        self._guard = threading.Lock()
        self._left, self._filled = 3.0 * requests, time.monotonic()
        self._here = threading.Semaphore(IN_HAND)
        self._turns = threading.Semaphore(AT_ONCE)
        self._heavy = threading.Semaphore(1)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for one of this key's turns; refuse with 429 what comes too often, or beside too much else."""
        self._count()
        many = f"{IN_HAND} calls of this key are here already: wait for their answers"
        with _taken(self._here, many), self._turns:
            yield

    def _count(self) -> None:
        """Take from a bucket that fills at the speed that is allowed."""
        with self._guard:
            now = time.monotonic()
            self._left = min(3 * self._requests, self._left + (now - self._filled) * self._requests)
            self._filled = now
            if self._left < 1:
                most = f"more than {self._requests} calls a second come from this key"
                raise ApiError(429, f"{most}: wait a second, or send several rows or queries in one call", 1)
            self._left -= 1

    @contextmanager
    def heavy(self) -> Iterator[None]:
        """Refuse with 429 a heavy call beside another of this key."""
        with _taken(self._heavy, "1 large call is being answered: send this one when it is done"):
            yield


@contextmanager
def _taken(places: threading.Semaphore, refusal: str) -> Iterator[None]:
    if not places.acquire(blocking=False):
        raise ApiError(429, refusal, 1)
    try:
        yield
    finally:
        places.release()


def is_heavy(body: bodies.Body) -> bool:
    """Return whether a call has so much to do that a key may have only one of them at a time."""
    if isinstance(body, bodies.Search):
        return len(body.data) > MANY_VECTORS or body.wanted > MANY_HITS
    if isinstance(body, bodies.Get):
        return len(body.id) > MANY_KEYS
    if isinstance(body, bodies.Store):
        return len(body.data) > MANY_HITS
    return isinstance(body, bodies.HybridSearch | bodies.Query | bodies.Delete | bodies.CreateIndexes)
