"""Rows found: how fast, how exact, at what size; and how many a second for how many clients."""

import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import EVERY_ROW, Table, isolated, latencies, target
from benchmarks.stores import BATCH, NPROBE, LanceStore, MemoraStore, stores
from benchmarks.vectors import DIM, Vectors, embeddings, make
from helpers.connect import playground
from helpers.quality.metrics import index_recall

NLIST = {10_000: 128, 100_000: 512, 1_000_000: 1024}  # from sqrt(n), in powers of two; none up to 1,000 rows
EXACT_TOO = 100_000  # up to here every index is measured beside exact search in the same store
LARGE_TOO = ("FAISS", "LanceDB", "Memora, embedded")  # also measured at more rows
CLIENTS = (1, 8, 32)
SECONDS = 4.0  # of each measurement of clients


def tables(sizes: list[int], repeats: int, milvus: str | None) -> list[Table]:
    """Measure searches one after another at each size, then by several clients at once."""
    with tempfile.TemporaryDirectory() as folder:
        embedded = embeddings()
        made = [make(*embedded, size, Path(folder)) for size in sizes]
        found = [_at_size(vectors, repeats, milvus) for vectors in made]
        return [*found, _clients(max((v for v in made if v.count <= 100_000), key=lambda v: v.count))]


def _at_size(vectors: Vectors, repeats: int, milvus: str | None) -> Table:
    nlist = NLIST.get(vectors.count, max(1, round(vectors.count**0.5))) if vectors.count > 1_000 else None
    rows = []
    for name, contender in stores(milvus).items():
        if vectors.count > EXACT_TOO and name not in LARGE_TOO:
            continue  # at a million rows they take a second and more for each search, or minutes to fill
        for index in contender.indexes:
            if (index == "IVF_FLAT" and nlist is None) or (index == "exact" and _slow(name, vectors.count, nlist)):
                continue
            lists, engine = nlist if index == "IVF_FLAT" else None, milvus if "server" in name else None
            print(f"  {vectors.count:,} rows, {name}, {index}", file=sys.stderr, flush=True)
            measured, peak = isolated(_search, contender.store, vectors, lists, repeats, engine)
            said = {"exact": EVERY_ROW, "HNSW": "HNSW, its defaults", "IVF_FLAT": f"IVF_FLAT, nlist {lists}"}[index]
            rows.append({"in": name, "index": said, **measured, "peak MB": peak})
    return Table(
        f"search_{vectors.count}",
        f"Search: {vectors.count:,} rows of {DIM} numbers",
        f"One search after another for the ten nearest by cosine: {len(vectors.queries)} queries, {repeats} times or "
        f"for 8 s. Lists: nprobe {NPROBE}, Memora's default, which is not asked for there. Each contender in a "
        "process of its own.",
        rows,
        _targets(vectors.count, rows),
    )


def _slow(name: str, count: int, nlist: int | None) -> bool:
    """Say whether exact search is left out: at a million rows, and where Milvus Lite has an index."""
    return count > EXACT_TOO or (name == "Milvus Lite" and nlist is not None)


def _targets(count: int, rows: list[dict[str, Any]]) -> list[str]:
    if count <= 10_000:
        exact = {row["in"]: row["p50 ms"] for row in rows if row["index"] == EVERY_ROW}
        more = exact["Memora, embedded"] - exact["LanceDB"]
        return [target("exact search at most 1 ms over raw LanceDB", more <= 1, f"{more:.2f} ms")]
    by_name = {row["in"]: row for row in rows if row["index"].startswith("IVF")}
    if count not in (100_000, 1_000_000) or "Memora, embedded" not in by_name:
        return []
    ours = by_name["Memora, embedded"]
    recall = f"recall@10 {ours['recall@10']:.3f}"
    if count == 1_000_000:
        kept = ours["p50 ms"] <= 25 and ours["recall@10"] >= 0.95 and ours["peak MB"] < 4_000
        said = f"{ours['p50 ms']:.1f} ms, {recall}, {ours['peak MB']:,.0f} MB"
        seconds = f"{ours['fill s']:.0f} s, {ours['build s']:.0f} s"
        return [
            target("p50 at most 25 ms at recall@10 0.95, in less than 4 GB", kept, said),
            target("filled in 60 s, built in 60 s", ours["fill s"] <= 60 and ours["build s"] <= 60, seconds),
        ]
    more = ours["p50 ms"] - by_name["LanceDB"]["p50 ms"]
    targets = [
        target("at most 2 ms over raw LanceDB", more <= 2, f"{more:.2f} ms"),
        target("recall@10 at least 0.95 with the defaults", ours["recall@10"] >= 0.95, recall),
    ]
    if "Milvus Lite" in by_name:
        gain = by_name["Milvus Lite"]["p50 ms"] / ours["p50 ms"]
        targets.append(target("at least 10 times as fast as Milvus Lite", gain >= 10, f"{gain:.1f} times"))
    return targets


def _search(
    maker: Callable[..., Any], vectors: Vectors, nlist: int | None, repeats: int, engine: str | None
) -> dict[str, float]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        store = maker(Path(home), DIM, **({"engine": engine} if engine else {}))
        start = time.perf_counter()
        for ids, part in vectors.batches(BATCH):
            store.insert(ids, part)
        filled = time.perf_counter()
        store.build(nlist)
        built = time.perf_counter()
        found = [store.search(query) for query in vectors.queries]
        median, p95 = latencies(store.search, vectors.queries, repeats)
        return {
            "fill s": filled - start,
            "build s": built - filled,
            "p50 ms": median,
            "p95 ms": p95,
            "recall@10": float(np.mean(index_recall(found, vectors.exact))),
        }


def _clients(vectors: Vectors) -> Table:
    rows = []
    for name, function in (("LanceDB, threads of one process", _lance), ("Memora, served, over HTTP", _served)):
        measured, peak = isolated(function, vectors)
        rows += [{"what": name, "clients": count, **row, "peak MB": peak} for count, row in measured.items()]
    note = (
        f"Searches as fast as each client can, for {SECONDS:.0f} s, IVF_FLAT. Clients and server share this machine's "
        "cores. Clients are threads of one process; the server is another, whose memory is not counted."
    )
    (at_8,) = (row["searches/s"] for row in rows if row["what"].startswith("Memora") and row["clients"] == 8)
    targets = [target("at least 260 searches a second for 8 clients", at_8 >= 260, f"{at_8:.0f}")]
    return Table("clients", f"Several clients at once: {vectors.count:,} rows of {DIM} numbers", note, rows, targets)


def _lance(vectors: Vectors) -> dict[int, dict[str, float]]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        store = LanceStore(Path(home), DIM)
        for ids, part in vectors.batches(BATCH):
            store.insert(ids, part)
        store.build(NLIST.get(vectors.count))
        return {count: _load(store.search, vectors, count) for count in CLIENTS}


def _served(vectors: Vectors) -> dict[int, dict[str, float]]:
    store = MemoraStore(Path(), DIM, client=playground(served=True))
    for ids, part in vectors.batches(BATCH):
        store.insert(ids, part)
    store.build(NLIST.get(vectors.count))
    return {count: _load(store.search, vectors, count) for count in CLIENTS}


def _load(search: Callable[[np.ndarray], Any], vectors: Vectors, count: int) -> dict[str, float]:
    """Let so many clients search for some seconds; return searches a second and latencies."""
    times: list[float] = []
    ready = threading.Barrier(count)

    def work(number: int) -> None:
        search(vectors.queries[0])
        ready.wait()
        end = time.perf_counter() + SECONDS
        turn = number
        while (start := time.perf_counter()) < end:
            search(vectors.queries[turn % len(vectors.queries)])
            times.append((time.perf_counter() - start) * 1000)
            turn += 1

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(work, range(count)))
    return {
        "searches/s": len(times) / SECONDS,
        "p50 ms": float(np.median(times)),
        "p95 ms": float(np.quantile(times, 0.95)),
    }
