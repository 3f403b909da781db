"""Small tables searched in memory: LanceDB plans a search for milliseconds, numpy compares 10,000 rows in one."""

import threading
from typing import Any, cast

import lancedb
import numpy as np
import pyarrow as pa

from local_memora.contract.schema import SHORTEST
from local_memora.engines import Collection, SearchRequest
from local_memora.engines.lance.search import Hits, fields_of, hits_of, lance_range

METRICS = ("COSINE", "IP", "L2")
MOST = 64 << 20  # bytes of a table that is kept: 10,000 rows of 1,280 numbers are 51 MB
TOGETHER = 128 << 20  # bytes of all; with more, the table that was searched longest ago is given up
HALF_STEP = 2.0**-24  # a float32 product or sum is wrong by so much of itself


class Memory:
    """Tables as they were in one version; a table of another version is read anew."""

    def __init__(self) -> None:
        self._kept: dict[int, _Kept] = {}  # in the order of their last use
        self._lock = threading.Lock()

    def search(self, table: lancedb.table.Table, collection: Collection, request: SearchRequest) -> list[Hits] | None:
        """Return each query's hits; None for what LanceDB has to search: filters, indexes, large tables."""
        limited = request.where or request.partitions is not None or request.params.nprobe or request.params.ef
        if limited or request.metric not in METRICS:
            return None
        kept = self._latest(table, collection)
        if kept.rows is None or (request.metric == "COSINE" and kept.field(request.field).shortest < SHORTEST):
            return None  # vectors of zeros, which a collection without a COSINE index may have, are not found by it
        found = [kept.field(request.field).nearest(vector, request) for vector in request.vectors]
        asked = kept.rows.select(fields_of(collection, request))
        return [hits_of(asked.take(at), raw, collection, request) for at, raw in found]

    def forget(self, number: int) -> None:
        """Give up a collection's table."""
        with self._lock:
            self._kept.pop(number, None)

    def _latest(self, table: lancedb.table.Table, collection: Collection) -> "_Kept":
        version = table.version
        with self._lock:
            kept = self._kept.pop(collection.id, None)
            if kept and kept.version == version:
                self._kept[collection.id] = kept
                return kept
        kept = _Kept(version, _read(table))  # rows of a later version, perhaps: then the next search reads them anew
        with self._lock:
            self._kept[collection.id] = kept
            while sum(each.size for each in self._kept.values()) > TOGETHER:
                del self._kept[next(iter(self._kept))]
        return kept


def _read(table: lancedb.table.Table) -> pa.Table | None:
    if cast(dict[str, Any], table.stats())["total_bytes"] > MOST:
        return None
    rows = table.to_arrow()
    return rows.combine_chunks() if rows.nbytes <= MOST else None


class _Kept:
    """A table in one version: its rows, None where they are too large, and its vectors as arrays."""

    def __init__(self, version: int, rows: pa.Table | None) -> None:
        self.version, self.rows = version, rows
        self.size = 0 if rows is None else rows.nbytes
        self._fields: dict[str, _Field] = {}

    def field(self, name: str) -> "_Field":
        if name not in self._fields:
            assert self.rows is not None
            column = self.rows[name].combine_chunks()
            self._fields[name] = _Field(column.flatten().to_numpy().reshape(len(column), column.type.list_size))
        return self._fields[name]


class _Field:
    """The vectors (n, dim), float32, of one field."""

    def __init__(self, vectors: np.ndarray) -> None:
        self._vectors = vectors
        self._lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
        self.shortest = float(self._lengths.min(initial=np.inf)) ** 2

    def nearest(self, query: np.ndarray, request: SearchRequest) -> tuple[np.ndarray, np.ndarray]:
        """Return numbers of rows, nearest first and equally near ones in their order, and Lance's distances, float32.

        All rows are compared roughly, in the fastest way, whose rounding depends on a row's place. Rows that may be
        among the nearest are then compared exactly: equal vectors are equally near.
        """
        low, high = lance_range(request)
        low, high = -np.inf if low is None else low, np.inf if high is None else high
        rough, slack = self._roughly(query, request.metric)
        inside = rough[(rough >= low + slack) & (rough < high - slack)]
        last = np.partition(inside, request.limit - 1)[request.limit - 1] if len(inside) > request.limit else np.inf
        near = (rough >= low - slack) & (rough < high + slack) & (rough <= last + 2 * slack)
        at = np.flatnonzero(near)
        raw = self._exactly(at, query, request.metric)
        at, raw = at[(raw >= low) & (raw < high)], raw[(raw >= low) & (raw < high)]
        order = np.argsort(raw, kind="stable")[: request.limit]
        return at[order], raw[order]

    def _roughly(self, query: np.ndarray, metric: str) -> tuple[np.ndarray, float]:
        """Return Lance's distances of all rows (n,), and by how much they may be wrong."""
        length, longest = float(np.linalg.norm(query)), float(self._lengths.max(initial=0))
        dots = self._vectors @ query
        wrong = 8 * (len(query) + 8) * HALF_STEP
        if metric == "COSINE":
            return 1 - dots / (self._lengths * np.float32(length)), wrong
        if metric == "IP":
            return 1 - dots, wrong * (1 + length * longest)
        return self._lengths**2 + np.float32(length**2) - 2 * dots, wrong * (length + longest) ** 2

    def _exactly(self, at: np.ndarray, query: np.ndarray, metric: str) -> np.ndarray:
        """Return Lance's distances of some rows, computed in 64 bits, in 32."""
        vectors, query = self._vectors[at].astype(np.float64), query.astype(np.float64)
        if metric == "L2":
            vectors -= query
            return np.einsum("ij,ij->i", vectors, vectors).astype(np.float32)
        dots = np.einsum("ij,j->i", vectors, query)
        if metric == "COSINE":
            dots /= np.sqrt(np.einsum("ij,ij->i", vectors, vectors) * (query @ query))
        return (1 - dots).astype(np.float32)
