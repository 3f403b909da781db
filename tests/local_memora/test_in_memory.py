"""Small tables searched in memory give the hits that LanceDB gives, and never those of before a write."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from local_memora.contract.bodies import CreateParams, SearchKnobs
from local_memora.contract.schema import CollectionSchema, IndexSpec
from local_memora.engines import Collection, SearchRequest
from local_memora.engines.lance import memory
from local_memora.engines.lance.engine import LanceEngine
from local_memora.filters import check

DIM = 6
SCHEMA = CollectionSchema.model_validate(
    {
        "fields": [
            {"fieldName": "id", "dataType": "Int64", "isPrimary": True},
            {"fieldName": "v", "dataType": "FloatVector", "elementTypeParams": {"dim": DIM}},
            {"fieldName": "name", "dataType": "VarChar", "elementTypeParams": {"max_length": 20}},
        ]
    }
)


class Store:
    """One folder, opened twice: as programs open it, and by an engine that lets LanceDB search everything."""

    def __init__(self, home: Path) -> None:
        self.home, self.engine, self.lance = home, LanceEngine(home), LanceEngine(home)
        self.lance._memory.search = lambda *_: None  # type: ignore[method-assign]
        self.ids = 0

    def collection(self, indexes: list[IndexSpec] | None = None) -> Collection:
        self.ids += 1
        self.engine.create("p", f"c{self.ids}", SCHEMA, indexes or [], CreateParams())
        found = self.engine.find("p", f"c{self.ids}")
        assert found
        return found


def columns(first: int, vectors: np.ndarray) -> dict:
    keys = range(first, first + len(vectors))
    return {"id": list(keys), "v": vectors.astype(np.float32), "name": [f"n{key}" for key in keys]}


def looked_for(query: np.ndarray, metric: str, limit: int = 10, **knobs: float) -> SearchRequest:
    request = SearchRequest(np.atleast_2d(query).astype(np.float32), "v", metric, limit, fields=["name"])
    request.params = SearchKnobs(**knobs)
    return request


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    yield Store(tmp_path)


@pytest.mark.parametrize("whole", [True, False], ids=["whole numbers, many ties", "any numbers"])
@pytest.mark.parametrize("metric", ["COSINE", "IP", "L2"])
def test_hits_in_memory_are_lancedbs_in_any_collection(store: Store, metric: str, whole: bool) -> None:
    rng = np.random.default_rng(len(metric) + whole)
    for _ in range(2):
        collection, size = store.collection(), int(rng.integers(1, 200))
        vectors = (
            rng.integers(-2, 3, (size, DIM)) if whole else rng.normal(size=(size, DIM)) * 10.0 ** rng.integers(-3, 4)
        )
        vectors[~vectors.any(axis=1), 0] = 1  # LanceDB finds no zeros by COSINE: a test of its own
        for first in range(0, size, 50):  # several files
            store.engine.insert(collection, columns(first, vectors[first : first + 50]), "_default")
        store.engine.delete(collection, check.read("id % 7 == 3", SCHEMA), None)
        moved = columns(size, vectors[: size // 3])
        store.engine.upsert(collection, moved | {"id": list(range(size // 3))}, "_default")
        for _ in range(6):
            query = vectors[rng.integers(size)] if whole else rng.normal(size=(2, DIM))
            request = looked_for(query, metric, int(rng.choice([1, 3, 10, 500])))
            exact = whole and metric != "COSINE"  # then no distance is rounded
            hits = both(store, collection, request, exact=exact)
            if len(hits) > 2:  # a range between two hits, its ends among them
                low, high = sorted((hits[0][0], hits[len(hits) // 2][0]))
                ends = (
                    {"radius": high, "range_filter": low} if metric == "L2" else {"radius": low, "range_filter": high}
                )
                if exact:  # else rounding decides whether an end is inside
                    both(store, collection, looked_for(query, metric, 500, **ends), exact=True)
                between = looked_for(query, metric, 500, radius=low + 0.6180339 * (high - low))
                both(store, collection, between, exact=exact)


def both(store: Store, collection: Collection, request: SearchRequest, *, exact: bool) -> list:
    """Search both ways, compare the hits, and return the first query's."""
    ours = store.engine._memory.search(store.engine._table(collection), collection, request)
    theirs = store.lance.search(collection, request)
    assert ours is not None
    assert store.engine.search(collection, request) == ours
    for mine, wanted in zip(ours, theirs, strict=True):
        distances = np.array([distance for distance, _ in wanted])
        size = max(1, np.abs(distances).max(initial=0))
        np.testing.assert_allclose([distance for distance, _ in mine], distances, rtol=0, atol=1e-5 * size)
        where = {row["id"]: distance for distance, row in wanted}
        for (distance, row), (_, other) in zip(mine, wanted, strict=True):
            assert row.keys() == other.keys()
            if row != other:  # rows that are equally near but for rounding may change places
                assert abs(distance - where.get(row["id"], distances[-1])) < 1e-5 * size
                assert not exact
    return ours[0]


def test_equal_vectors_come_in_the_order_of_their_rows_wherever_they_stand(store: Store) -> None:
    """A matrix product rounds the last rows of a matrix otherwise than those before."""
    collection = store.collection()
    for first in range(0, 203, 29):
        store.engine.insert(collection, columns(first, np.full((29, DIM), 1 / 3)), "_default")
    for metric in ("COSINE", "IP", "L2"):
        (hits,) = store.engine.search(collection, looked_for(np.arange(DIM) / 7, metric, 150))
        assert [row["id"] for _, row in hits] == list(range(150))
        assert len({distance for distance, _ in hits}) == 1


def test_a_search_after_any_write_of_another_program_finds_it(store: Store, tmp_path: Path) -> None:
    collection, other = store.collection(), LanceEngine(tmp_path)

    def nearest() -> list:
        (hits,) = store.engine.search(collection, looked_for(np.ones(DIM), "L2", 3))
        return [(row["id"], row["name"], distance) for distance, row in hits]

    assert nearest() == []
    other.insert(collection, columns(1, np.zeros((2, DIM))), "_default")
    assert nearest() == [(1, "n1", DIM), (2, "n2", DIM)]
    other.upsert(collection, columns(2, np.ones((1, DIM))) | {"name": ["new"]}, "_default")
    assert nearest() == [(2, "new", 0), (1, "n1", DIM)]
    other.delete(collection, check.read("id == 2", SCHEMA), None)
    assert nearest() == [(1, "n1", DIM)]
    other.load(collection, ["_default"])  # merges files
    assert nearest() == [(1, "n1", DIM)]


def test_zeros_are_left_out_of_cosine_as_lancedb_leaves_them_out(store: Store) -> None:
    collection = store.collection()
    store.engine.insert(collection, columns(0, np.eye(DIM)[:3] * [[1], [0], [1]]), "_default")
    request = looked_for(np.ones(DIM), "COSINE")
    assert store.engine.search(collection, request) == store.lance.search(collection, request)


def test_large_tables_are_left_to_lancedb_and_no_more_is_kept_than_said(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [store.collection() for _ in range(3)]
    for collection in many:
        store.engine.insert(collection, columns(0, np.random.default_rng(0).normal(size=(500, DIM))), "_default")
    request = looked_for(np.ones(DIM), "COSINE")
    hits = [store.engine.search(collection, request) for collection in many]
    size = store.engine._memory._kept[many[0].id].size
    monkeypatch.setattr(memory, "TOGETHER", 2 * size)
    again = LanceEngine(store.home)
    assert [again.search(collection, request) for collection in many] == hits
    assert list(again._memory._kept) == [many[1].id, many[2].id]
    monkeypatch.setattr(memory, "MOST", size - 1)
    again = LanceEngine(store.home)
    assert again._memory.search(again._table(many[0]), many[0], request) is None
    assert [row["id"] for _, row in again.search(many[0], request)[0]] == [row["id"] for _, row in hits[0][0]]


def test_lancedb_is_imported_without_its_client_for_servers_which_works_when_asked_for() -> None:
    code = """
import sys
import local_memora.engines.lance.engine
assert "lancedb" in sys.modules and "lance_namespace_urllib3_client.api" not in sys.modules
from lance_namespace import QueryTableRequest
import lance_namespace_urllib3_client as client
assert client.DataApi.query_table and client.__version__
assert QueryTableRequest(k=3, vector={"single_vector": [1.0]}).vector.single_vector == [1.0]
from pydantic import BaseModel
assert not BaseModel.model_config.get("defer_build")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
