"""What tests share: a fresh local Memora, a Milvus server, the real extractor, and the kit's collection."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from helpers.connect import COLLECTION, local_client
from helpers.images import DATA, load_folder
from helpers.ingest import ingest
from helpers.memora import Memora
from helpers.search import as_matrix
from tests.execute_notebooks import Runner
from tests.local_memora.milvus_server import milvus_server, why_not


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Memora]:
    """Return a client of a new, empty local Memora; its folder has a space and a non-ASCII letter in its path."""
    with local_client(tmp_path / "mémora home") as client:
        yield client


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """Return what executes notebooks, in a clean state of its own."""
    return Runner(tmp_path)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the time that `time.perf_counter` tells, in a list: it goes on only where a test adds to it."""
    now = [100.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    return now


@pytest.fixture(scope="session")
def milvus_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of a real Milvus server, started for the first test that asks."""
    if reason := why_not():
        pytest.skip(reason)
    with milvus_server(tmp_path_factory.mktemp("milvus")) as url:
        yield url


@pytest.fixture(scope="session")
def extractor():
    from helpers.features.extractors import EfficientNetExtractor  # imports torch

    return EfficientNetExtractor()


@pytest.fixture(scope="session")
def kit_home(tmp_path_factory: pytest.TempPathFactory, extractor) -> Path:
    """Return a folder in which a local Memora holds the kit's collection. Tests must not change it.

    It is filled once for all processes of `pytest -n 2`, which have temporary folders beside each other.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    home, filled = folder / "kit", folder / "kit is filled"
    with FileLock(folder / "kit.lock"):
        if not filled.exists():
            with local_client(home) as client:
                report = ingest(client, load_folder(DATA), extractor=extractor)
            assert report.added == len(load_folder(DATA).paths)
            filled.touch()
    return home


@pytest.fixture(scope="session")
def kit(kit_home: Path) -> Iterator[Memora]:
    """Return a client of a local Memora that holds the kit's collection. Tests must not change it."""
    with local_client(kit_home) as client:
        yield client


@pytest.fixture(scope="session")
def embedded(kit: Memora, extractor) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the kit's vectors as stored, float32 (n, dim), their kinds, and those of the held-out queries."""
    fields = ["category", "vector"]
    rows = kit.vectors.query(collection_name=COLLECTION, filter="id >= 0", output_fields=fields)["data"]
    held_out = load_folder(part="queries")
    asked = extractor.embed(held_out.root / path for path in held_out.paths)
    kinds = np.array([held_out.metadata[path]["category"] for path in held_out.paths])
    return as_matrix(rows), np.array([row["category"] for row in rows]), asked, kinds
