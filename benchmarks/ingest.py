"""Rows in: the client beside raw LanceDB, what JSON alone costs, and Milvus Lite."""

import cProfile
import pstats
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from benchmarks.measure import Table, Work, beside, in_turn, isolated, target
from benchmarks.stores import BATCH, MemoraStore, stores
from benchmarks.vectors import DIM, Vectors, embeddings, make

BUDGET = 80.0  # seconds
WHOLE = "the whole insert"
PARTS = {  # what is shown: the file and the function that do it
    "rows to bytes": ("http.py", "_packed"),
    "bytes to rows": ("packed.py", "unpack"),
    "rows to columns, each number checked": ("columns.py", "of"),
    "are the keys new?": ("rows_and_search.py", "_refuse_known_keys"),
    "LanceDB stores them": ("engine.py", "insert"),
    WHOLE: ("stores.py", "insert"),
}


def tables(rows: int, repeats: int, milvus: str | None, before: Path | None = None) -> list[Table]:
    """Measure how fast rows go in, a thousand at a time, into an empty collection."""
    in_memory = ("numpy", "FAISS", "USearch")
    contenders = {name: made.store for name, made in stores(milvus).items() if name not in in_memory}
    with tempfile.TemporaryDirectory() as folder:
        vectors = make(*embeddings(), rows, Path(folder))
        works = {
            name: Work(_insert, (store, vectors, milvus if "server" in name else None))
            for name, store in contenders.items()
        }
        works["JSON alone"] = Work(_json, (vectors,))
        measured = in_turn(beside(works, "Memora, embedded", before), repeats, BUDGET)
        profile, _ = isolated(_profile, vectors)
    speed = {name: rows / row["seconds"] for name, row in measured.items()}
    ours, parts = speed["Memora, embedded"], 1 / (1 / speed["JSON alone"] + 1 / speed["LanceDB"])
    targets = [
        target("ingest at least 20,000 rows a second, embedded", ours >= 20_000, f"{ours:,.0f}"),
        target(
            "ingest at most twice what JSON and raw LanceDB cost together", parts / ours <= 2, f"{parts / ours:.2f}"
        ),
    ]
    if "Milvus Lite" in speed:
        gain, most = ours / speed["Milvus Lite"], speed["JSON alone"] / speed["Milvus Lite"]
        said = f"{gain:.1f} times; JSON alone, with nothing stored, is {most:.1f} times as fast"
        targets.append(target("ingest at least 3 times as fast as Milvus Lite", gain >= 3, said))
    return [
        Table(
            "ingest",
            f"Ingest: {rows:,} rows of {DIM} numbers",
            f"Inserted {BATCH:,} at a time, each contender in a process of its own. JSON alone: the requests' bodies "
            "encoded and decoded again with orjson, nothing stored; the kit's client sends vectors as bytes.",
            [{"into": name, "rows/s": s, "peak MB": measured[name]["peak MB"]} for name, s in speed.items()],
            targets,
        ),
        Table(
            "ingest_profile",
            "Where the time of an insert goes",
            f"Memora, embedded, {BATCH:,} rows a call, under Python's profiler, which makes what is written in Python "
            "look slower than it is.",
            profile,
        ),
    ]


def _insert(maker: Callable[..., Any], vectors: Vectors, engine: str | None) -> dict[str, float]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        options = {"engine": engine} if engine else {}
        store = maker(Path(home), DIM, **options)
        first, *batches = [*vectors.batches(BATCH)]
        store.insert(*first)  # the first call prepares things
        start = time.perf_counter()
        for ids, part in batches:
            store.insert(ids, part)
        return {"seconds": (time.perf_counter() - start) * vectors.count / (vectors.count - BATCH)}


def _profile(vectors: Vectors) -> list[dict[str, Any]]:
    """Return the milliseconds that parts of an insert take, the rest last."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        store = MemoraStore(Path(home), DIM)
        first, *batches = [*vectors.batches(BATCH)]
        store.insert(*first)
        profiler = cProfile.Profile()
        with profiler:
            for batch in batches:
                store.insert(*batch)
    spent = {(Path(file).name, name): row[3] for (file, _, name), row in vars(pstats.Stats(profiler))["stats"].items()}
    parts = {part: spent[key] / len(batches) * 1000 for part, key in PARTS.items()}
    whole = parts.pop(WHOLE)
    shown = parts | {"the rest: checks, HTTP in this process, locks": whole - sum(parts.values()), WHOLE: whole}
    return [{"part": part, "ms": milliseconds} for part, milliseconds in shown.items()]


def _json(vectors: Vectors) -> dict[str, float]:
    batches = [*vectors.batches(BATCH)]
    start = time.perf_counter()
    for ids, part in batches:
        rows = [{"id": key, "vector": vector} for key, vector in zip(ids.tolist(), part, strict=True)]
        orjson.loads(orjson.dumps({"data": rows}, option=orjson.OPT_SERIALIZE_NUMPY))
    return {"seconds": time.perf_counter() - start}
