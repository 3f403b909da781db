"""Searching one Lance table: hits are cut from one ranking, however many are asked for."""

import re
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from lancedb.query import LanceVectorQueryBuilder

from local_memora.contract.errors import ApiError
from local_memora.engines import Collection, Row, SearchRequest
from local_memora.engines.lance.arrow import PARTITION, rows_of
from local_memora.engines.lance.sql import to_sql
from local_memora.filters.parse import Node

DISTANCE: dict[str, Any] = {"COSINE": "cosine", "IP": "dot", "L2": "l2", "HAMMING": "hamming"}
FEW = 100  # hits, the default limit: where a filter leaves fewer in nprobe lists, all lists are searched
Hits = list[tuple[float, Row]]
ROUNDING = 1e-6  # of a distance: an index does not compute it in the same order as the exact search


def search(table: lancedb.table.Table, collection: Collection, request: SearchRequest, vector: np.ndarray) -> Hits:
    """Return one query's hits, best first, with their distances as Memora defines them."""
    fields = fields_of(collection, request)
    found = _ranking(partial(_ask, table, request, vector, fields), request, fields[0]).slice(0, request.limit)
    return hits_of(found, np.maximum.accumulate(found["_distance"].to_numpy()), collection, request)


def hits_of(found: pa.Table, raw: np.ndarray, collection: Collection, request: SearchRequest) -> Hits:
    """Return found rows with their distances as Memora defines them; `raw` holds those of Lance (n,), float32."""
    raw = raw.astype(np.float64)
    distances = 1 - raw if request.metric in ("COSINE", "IP") else raw
    return list(zip(distances.tolist(), rows_of(collection.schema, found, fields_of(collection, request)), strict=True))


def fields_of(collection: Collection, request: SearchRequest) -> list[str]:
    """Return the columns that hits need."""
    return list(dict.fromkeys([collection.schema.primary.field_name, *request.fields]))


def _ranking(ask: Callable[..., pa.Table], request: SearchRequest, key: str) -> pa.Table:
    """Return the first hits of one ranking, `limit` or more: pages that are cut from it never repeat a row.

    It begins with hits of the index, whose number depends on no limit: FEW, or ef of an HNSW index. The exact search's
    hits follow, without those that the index has lost: they would be nearer than the ones before.
    """
    (low, high), limit, nprobe, ef = lance_range(request), request.limit, request.params.nprobe, request.params.ef
    if nprobe and not request.look_further:
        return ask(limit, low, high, exact=False)
    if nprobe:
        pool = ask(FEW, low, high, exact=False).slice(0, FEW)
    elif ef:
        pool = ask(ef, None, None, exact=False)  # the range comes later: it would change what the graph finds
    else:
        return ask(limit, low, high, exact=True)
    if pool.num_rows < (FEW if nprobe else 1):  # few rows pass, and those in nprobe lists need not be the nearest
        return ask(limit, low, high, exact=True)
    last, found = pool["_distance"][-1].as_py(), pool if nprobe else _within(pool, low, high)
    if found.num_rows >= limit or (high is not None and last >= high):
        return found
    low = max(last - ROUNDING * max(1.0, abs(last)), -np.inf if low is None else low)
    rest = ask(limit, low, high, exact=True)
    return pa.concat_tables([found, rest.filter(pc.invert(pc.is_in(rest[key], pool[key].combine_chunks())))])


def _ask(
    table: lancedb.table.Table,
    request: SearchRequest,
    vector: np.ndarray,
    fields: list[str],
    limit: int,
    low: float | None,
    high: float | None,
    *,
    exact: bool,
) -> pa.Table:
    """Search the table once; low <= Lance's distance < high. What an index finds at equal distances is put by keys."""
    # A search of table.search() asks for the schema three times, 0.7 ms each, to look for blobs: our tables have none.
    told: Any = SimpleNamespace(schema=pa.schema([]), _execute_query=table._execute_query)
    asked = LanceVectorQueryBuilder(told, vector.astype(np.float32), request.field)
    asked = asked.distance_type(DISTANCE[request.metric]).select([*fields, "_distance"])
    if where := condition(request.where, request.partitions):
        asked = asked.where(where, prefilter=True)
    if (low, high) != (None, None):
        asked = asked.distance_range(low, high)
    nprobe, ef = request.params.nprobe, request.params.ef
    order = [("_distance", "ascending"), (fields[0], "ascending")]
    if ef and not exact:
        return run(asked.ef(ef).limit(limit).to_arrow).sort_by(order)
    if not (nprobe and request.index):
        return run(asked.bypass_vector_index().limit(limit).to_arrow)  # equal distances come in the order of rows
    asked = asked.nprobes((exact and request.index.params.nlist) or nprobe)
    wanted = limit + 1
    while (found := run(asked.limit(wanted).to_arrow)).num_rows == wanted and _ends_in_a_tie(found, limit):
        wanted *= 16  # which of the equally near rows the index leaves out is chance: take all
    return found.sort_by(order)


def _ends_in_a_tie(found: pa.Table, limit: int) -> bool:
    return found["_distance"][limit - 1] == found["_distance"][-1]


def _within(found: pa.Table, low: float | None, high: float | None) -> pa.Table:
    distances = found["_distance"].to_numpy()
    with np.errstate(over="ignore"):  # a bound beyond float32 is infinite for it, and so is what it means
        kept = (distances >= (-np.inf if low is None else low)) & (distances < (np.inf if high is None else high))
    return found.filter(kept)


def lance_range(request: SearchRequest) -> tuple[float | None, float | None]:
    """Translate radius and range_filter: Lance keeps low <= its distance < high.

    For COSINE and IP Lance's distance is 1 - Memora's, so the bounds swap and Memora's open end stays open.
    """
    radius, range_filter = request.params.radius, request.params.range_filter
    if request.metric in ("L2", "HAMMING"):
        return range_filter, radius
    return (None if range_filter is None else 1 - range_filter), (None if radius is None else 1 - radius)


def run(work: Callable[[], Any]) -> Any:
    """Do what evaluates a filter; where its arithmetic fails, that is the filter's fault."""
    try:
        return work()
    except (RuntimeError, ValueError) as error:  # the second where it fails on constants alone
        if re.search("Divide by zero|zero raised to a negative power", str(error)):
            raise ApiError(400, "the filter divides by zero in at least one row") from None
        if re.search("Arithmetic overflow|value of .* is out of range Int64", str(error)):
            raise ApiError(400, "the filter calculates a number that does not fit into 64 bits") from None
        raise


def condition(where: Node | None, partitions: list[str] | None) -> str | None:
    """Print a filter, limited to partitions, in SQL; None where every row passes."""
    conditions = [] if where is None else [to_sql(where)]
    if partitions is not None:  # their names are letters, digits and underscores: the contract saw to that
        conditions.append(f"`{PARTITION}` IN ({', '.join(repr(name) for name in partitions)})")
    return " AND ".join(conditions) or None
