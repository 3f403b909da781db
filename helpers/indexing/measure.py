"""What an index costs, measured through the client: recall, time, disk, and which errors are its own."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helpers.memora import Memora
from helpers.quality.metrics import index_recall


@dataclass(frozen=True)
class Measured:
    """What one way of searching gave.

    Parameters
    ----------
    recall : float
        Recall@k against exact search, the mean over the queries.
    p50, p95 : float
        Milliseconds of a call that half of the calls, and 19 in 20, did not exceed.
    hits : float
        How many hits a query got, on average.
    ids : list of list of int
        For each query the ids it found.
    """

    recall: float
    p50: float
    p95: float
    hits: float
    ids: list[list[int]]

    def __str__(self) -> str:
        return f"recall {self.recall:.2f}, p50 {self.p50:.1f} ms, p95 {self.p95:.1f} ms"


def measure(
    search: Callable[[np.ndarray], Sequence[int]], queries: np.ndarray, exact: Sequence[Sequence[int]]
) -> Measured:
    """Search with each query alone and take the time of each call; the first is made twice, and counted once.

    Parameters
    ----------
    search : callable
        Takes a vector, shape (dim,), and returns the ids of its hits.
    queries : numpy.ndarray, shape (n, dim)
        What to search for.
    exact : sequence of n sequences of int
        The truly nearest of each.
    """
    search(queries[0])  # opens files, fills caches
    found, seconds = [], []
    for query in queries:
        start = time.perf_counter()
        found.append(list(search(query)))
        seconds.append(time.perf_counter() - start)
    p50, p95 = np.percentile(seconds, [50, 95]) * 1e3
    recall = float(index_recall(found, exact).mean())
    return Measured(recall, float(p50), float(p95), float(np.mean([len(ids) for ids in found])), found)


@dataclass
class Spent:
    """What the block of a `spending` took; numbers once it has ended.

    Parameters
    ----------
    seconds : float
        Of the wall clock.
    disk : int
        Bytes by which the folder grew.
    """

    seconds: float = math.nan
    disk: int = 0

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s, {self.disk / 1e6:.1f} MB more on disk"


@contextmanager
def spending(folder: Path) -> Iterator[Spent]:
    """Measure what a block takes: time, and disk in a folder (nothing where a server stores elsewhere)."""
    spent, before, start = Spent(), disk_bytes(folder), time.perf_counter()
    yield spent
    spent.seconds = time.perf_counter() - start
    spent.disk = disk_bytes(folder) - before


def disk_bytes(folder: Path) -> int:
    """Return how many bytes a folder's files have."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # an engine tidies up while we look
            continue
    return total


def wait_for_index(client: Memora, collection: str, index: str, seconds: float = 600) -> None:
    """Wait until every row is in the index; an engine may build it after the call that asks for it has returned.

    Raises
    ------
    TimeoutError
        It took longer than `seconds`.
    """
    until = time.monotonic() + seconds
    while True:
        (told,) = client.indexes.describe(collection_name=collection, index_name=index)["data"]
        if told["pendingRows"] == 0:
            return
        if time.monotonic() >= until:
            break
        time.sleep(0.1)
    raise TimeoutError(f"{told['pendingRows']} rows of {collection!r} are still in no index after {seconds:.0f} s")


@dataclass(frozen=True)
class Blame:
    """Of the hits that were wanted, which part is right, and who is to blame for the rest; the five add up to 1.

    Parameters
    ----------
    right : float
        Of the wanted category, and exact search finds it too.
    right_instead : float
        Of the wanted category, though not among the truly nearest: the index lost one of those and found this.
    embedding : float
        Of another category, and exact search finds it too: the vectors lie so.
    index : float
        Of another category, and exact search does not find it: it is there because the index lost a nearer one.
    missing : float
        The index found fewer than were wanted.
    """

    right: float
    right_instead: float
    embedding: float
    index: float
    missing: float

    @property
    def precision(self) -> float:
        """The part that is of the wanted category."""
        return self.right + self.right_instead

    @property
    def recall(self) -> float:
        """The part that exact search finds too."""
        return self.right + self.embedding


def blame(
    found: Sequence[Sequence[int]], exact: Sequence[Sequence[int]], kinds: np.ndarray, wanted: Sequence[str]
) -> Blame:
    """Tell the embedding's errors from the index's.

    Parameters
    ----------
    found, exact : sequences of n sequences of int
        For each query the ids that the index found, and those of the truly nearest, as many as were wanted.
    kinds : numpy.ndarray
        The category of each id.
    wanted : sequence of n str
        The category of each query.

    Raises
    ------
    ValueError
        A query has more hits than were wanted, or there are not as many of one as of the others.
    """
    counts = np.zeros(5)
    for number, (ids, truth, kind) in enumerate(zip(found, exact, wanted, strict=True)):
        if len(ids) > len(truth):
            raise ValueError(f"query {number} has {len(ids)} hits, {len(truth)} were wanted: search with that limit")
        for one in ids:
            counts[(0 if one in set(truth) else 1) + (0 if kinds[one] == kind else 2)] += 1
        counts[4] += len(truth) - len(ids)
    return Blame(*(counts / sum(len(truth) for truth in exact)).tolist())
