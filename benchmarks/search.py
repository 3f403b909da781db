"""Rows found: how fast, how exact, at what size; and how many a second for how many clients."""

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import BEFORE, EVERY_ROW, PATIENCE, Table, Work, beside, in_turn, latencies, target
from benchmarks.stores import BATCH, NPROBE, LanceStore, MemoraStore, stores
from benchmarks.vectors import DIM, Vectors, embeddings, make
from helpers.connect import playground
from helpers.quality.metrics import index_recall

NLIST = {10_000: 128, 100_000: 512, 1_000_000: 1024}  # from sqrt(n), in powers of two; none up to 1,000 rows
KIT = "Memora, embedded"
SMALL = 10_000  # up to here the kit is measured beside an older checkout of its own
EXACT_TOO = 100_000  # up to here every index is measured beside exact search in the same store,
SLOWLY = ("Milvus server", "Memora, on the Milvus server")  # but not in these: it fills them a second time
LARGE_TOO = ("FAISS", "LanceDB", KIT)  # also measured at more rows
CLIENTS = (1, 8, 32)
ROUNDS = 3  # of all contenders at one size, where there is time
SECONDS = 4.0  # of each measurement of clients
BUDGETS = {10_000: 130.0, 100_000: 330.0}  # seconds at so many rows; 75 at fewer


def tables(sizes: list[int], repeats: int, milvus: str | None, before: Path | None = None) -> Iterator[Table]:
    """Measure searches one after another at each size, then by several clients at once."""
    with tempfile.TemporaryDirectory() as folder:
        embedded = embeddings()
        largest = None
        for size in sizes:
            vectors = make(*embedded, size, Path(folder))
            yield _at_size(vectors, repeats, milvus, before)
            if size <= 100_000 and (largest is None or size > largest.count):
                largest = vectors
        if largest:
            yield _clients(largest, before)


def _at_size(vectors: Vectors, repeats: int, milvus: str | None, before: Path | None) -> Table:
    nlist = NLIST.get(vectors.count, max(1, round(vectors.count**0.5))) if vectors.count > 1_000 else None
    works = {}
    for name, contender in stores(milvus).items():
        if vectors.count > EXACT_TOO and name not in LARGE_TOO:
            continue  # at a million rows they take a second and more for each search, or minutes to fill
        for index in contender.indexes:
            if (index == "IVF_FLAT" and nlist is None) or (index == "exact" and _slow(name, vectors.count, nlist)):
                continue
            lists, engine = nlist if index == "IVF_FLAT" else None, milvus if "server" in name else None
            said = {"exact": EVERY_ROW, "HNSW": "HNSW, its defaults", "IVF_FLAT": f"IVF_FLAT, nlist {lists}"}[index]
            works[f"{name}: {said}"] = Work(_search, (contender.store, vectors, lists, repeats, engine))
    exact = f"{KIT}: {EVERY_ROW}"
    works = beside(works, exact, before if vectors.count <= SMALL else None)
    measured = in_turn(works, ROUNDS, BUDGETS.get(vectors.count, 75.0))
    rows = []
    for name, row in measured.items():
        store, _, said = name.removeprefix(BEFORE).partition(": ")
        rows.append({"in": (BEFORE if name.startswith(BEFORE) else "") + store, "index": said, **row})
    return Table(
        f"search_{vectors.count}",
        f"Search: {vectors.count:,} rows of {DIM} numbers",
        f"One search after another for the ten nearest by cosine: {len(vectors.queries)} queries, {repeats} times or "
        f"for {PATIENCE:.0f} s. Lists: nprobe {NPROBE}, Memora's default, which is not asked for there. Each contender "
        "in a process of its own, several times where that takes little.",
        rows,
        _targets(vectors.count, rows),
    )


def _slow(name: str, count: int, nlist: int | None) -> bool:
    """Say whether exact search is left out: at a million rows, beside Milvus Lite's index, where filling takes long."""
    return count > EXACT_TOO or (name == "Milvus Lite" and nlist is not None) or (count > SMALL and name in SLOWLY)


def _targets(count: int, rows: list[dict[str, Any]]) -> list[str]:
    if count <= 10_000:
        exact = {row["in"]: row["p50 ms"] for row in rows if row["index"] == EVERY_ROW}
        more = exact[KIT] - exact["LanceDB"]
        return [target("exact search at most 1 ms over raw LanceDB", more <= 1, f"{more:.2f} ms")]
    by_name = {row["in"]: row for row in rows if row["index"].startswith("IVF")}
    if count not in (100_000, 1_000_000) or KIT not in by_name:
        return []
    ours = by_name[KIT]
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
        found: dict[int, list[int]] = {}
        numbers = range(len(vectors.queries))
        median, p95 = latencies(
            lambda number: found.update({number: store.search(vectors.queries[number])}), numbers, repeats
        )
        return {
            "fill s": filled - start,
            "build s": built - filled,
            "p50 ms": median,
            "p95 ms": p95,
            "recall@10": float(np.mean(index_recall([*found.values()], vectors.exact[[*found]].tolist()))),
        }


def _clients(vectors: Vectors, before: Path | None) -> Table:
    served = "Memora, served, over HTTP"
    works = {"LanceDB, threads of one process": Work(_lance, (vectors,)), served: Work(_served, (vectors,))}
    rows: list[dict[str, Any]] = []
    for name, measured in in_turn(beside(works, served, before), 1, 0).items():
        for count in CLIENTS:
            row = {column: measured[count, column] for column in ("searches/s", "p50 ms", "p95 ms")}
            rows.append({"what": name, "clients": count, **row, "peak MB": measured["peak MB"]})
    note = (
        f"Searches as fast as each client can, for {SECONDS:.0f} s, IVF_FLAT. Clients and server share this machine's "
        "cores. Clients are threads of one process; the server is another, whose memory is not counted."
    )
    (at_8,) = (row["searches/s"] for row in rows if row["what"].startswith("Memora") and row["clients"] == 8)
    targets = [target("at least 260 searches a second for 8 clients", at_8 >= 260, f"{at_8:.0f}")]
    return Table("clients", f"Several clients at once: {vectors.count:,} rows of {DIM} numbers", note, rows, targets)


def _lance(vectors: Vectors) -> dict[Any, float]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        store = LanceStore(Path(home), DIM)
        for ids, part in vectors.batches(BATCH):
            store.insert(ids, part)
        store.build(NLIST.get(vectors.count))
        return _loads(store.search, vectors)


def _served(vectors: Vectors) -> dict[Any, float]:
    store = MemoraStore(Path(), DIM, client=playground(served=True))
    for ids, part in vectors.batches(BATCH):
        store.insert(ids, part)
    store.build(NLIST.get(vectors.count))
    return _loads(store.search, vectors)


def _loads(search: Callable[[np.ndarray], Any], vectors: Vectors) -> dict[Any, float]:
    return {(count, column): value for count in CLIENTS for column, value in _load(search, vectors, count).items()}


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
