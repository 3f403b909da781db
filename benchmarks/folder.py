"""What a user waits for: a folder of pictures made searchable, then one picture query after another."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.features import plain_loop
from benchmarks.measure import Table, Work, beside, in_turn, installed, latencies, target
from benchmarks.stores import ChromaStore, MilvusStore
from helpers.connect import local_client
from helpers.features import EfficientNetExtractor
from helpers.images import load_folder
from helpers.ingest import ingest
from helpers.search import search

PLAIN = "one picture a call, one row an insert: Milvus Lite"
BATCHES = "batches of 16: Chroma"
KIT = "the kit, as it comes"
FAST = 'the kit, backend="openvino"'
AT_ONCE = 16
BUDGET = 240.0  # seconds
Found = Callable[[Path], list[str]]


def tables(repeats: int, before: Path | None = None) -> list[Table]:
    """Measure each way in a process of its own, in turn; medians count."""
    ways: dict[str, tuple[Callable[[], tuple[float, Found]], str | None]] = {
        PLAIN: (_plain, "milvus-lite"),
        BATCHES: (_batches, "chromadb"),
        KIT: (_kit, None),
        FAST: (_kit_with_openvino, "openvino"),
    }
    works = {
        way: Work(_measured, (make,)) for way, (make, package) in ways.items() if package is None or installed(package)
    }
    measured = in_turn(beside(works, KIT, before), repeats, BUDGET)
    rows: list[dict[str, Any]] = [{"way": way} | row for way, row in measured.items()]
    found = {row["way"]: row["P@5"] for row in rows}
    pictures, queries = len(load_folder().paths), len(load_folder(part="queries").paths)
    return [
        Table(
            "folder",
            f"From a folder of {pictures} JPEG files to hits",
            "EfficientNet-Lite0 in all, loaded before. To searchable: decode, network, store. A query: decode, "
            f"network, search; {queries} pictures, one after another. P@5 shows that all do the same work.",
            rows,
            [target("no way gains by worse hits: P@5 within 0.01 of the kit's", *_same_hits(found))],
        )
    ]


def _same_hits(found: dict[str, float]) -> tuple[bool, str]:
    return max(found.values()) - min(found.values()) <= 0.01, ", ".join(f"{value:.3f}" for value in found.values())


def _measured(make: Callable[[], tuple[float, Found]]) -> dict[str, float]:
    seconds, find = make()
    queries = load_folder(part="queries")
    files = [queries.root / path for path in queries.paths]
    found: dict[Path, list[str]] = {}
    median, p95 = latencies(lambda file: found.update({file: find(file)}), files, 1, patience=BUDGET)
    kinds = load_folder().metadata
    right = [
        kinds[path]["category"] == queries.metadata[query]["category"]
        for query, file in zip(queries.paths, files, strict=True)
        for path in found[file][:5]
    ]
    return {"to searchable, s": seconds, "a query, p50 ms": median, "p95 ms": p95, "P@5": float(np.mean(right))}


def _plain() -> tuple[float, Found]:
    folder, embed = load_folder(), plain_loop("efficientnet-lite0")
    embed([folder.root / folder.paths[0]])
    start = time.perf_counter()
    store = MilvusStore(Path(tempfile.mkdtemp()), 1280)
    for number, path in enumerate(folder.paths):
        store.insert(np.array([number]), embed([folder.root / path]))
    store.build(None)
    return time.perf_counter() - start, lambda file: [folder.paths[key] for key in store.search(embed([file])[0])]


def _batches() -> tuple[float, Found]:
    folder, embed = load_folder(), plain_loop("efficientnet-lite0", AT_ONCE)
    files = [folder.root / path for path in folder.paths]
    embed(files[:1])
    start = time.perf_counter()
    store = ChromaStore(Path(tempfile.mkdtemp()), 1280)
    store.insert(np.arange(len(files)), embed(files))
    return time.perf_counter() - start, lambda file: [folder.paths[key] for key in store.search(embed([file])[0])]


def _kit(backend: str = "torch") -> tuple[float, Found]:
    folder, extractor = load_folder(), EfficientNetExtractor(backend=backend)
    extractor.embed([folder.root / folder.paths[0]])
    start = time.perf_counter()
    client = local_client(Path(tempfile.mkdtemp()))
    ingest(client, folder, extractor=extractor)
    seconds = time.perf_counter() - start
    return seconds, lambda file: [hit.path for hit in search(client, file, extractor=extractor, limit=10)]


def _kit_with_openvino() -> tuple[float, Found]:
    return _kit("openvino")
