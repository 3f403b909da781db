"""The embedded engine: its indexes, its ranges, what other processes see; what every engine does is in test_contract*.

And what the contract suite can't do to three engines: too large a body, damaged files, removed folders.
"""

import http.client
import logging
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import filelock
import httpx
import numpy as np
import pytest
from werkzeug.serving import make_server

from helpers.connect import local_client
from helpers.memora import AlreadyExistsError, InvalidRequestError, Memora, NotFoundError, UnavailableError
from helpers.memora.models import Collection, ElementTypeParams, Field, Index, IndexConfig, Schema
from helpers.settings import ROOT
from local_memora import create_app
from local_memora.app import MAX_BODY
from local_memora.verbs import service
from tests.local_memora.contract import KEY, Api, P

FLAT, HNSW = IndexConfig("FLAT"), IndexConfig("HNSW", m=16, ef_construction=200)
IVF = IndexConfig("IVF_FLAT", nlist=8)


def make(
    client: Memora,
    *more: Field,
    dim: int = 2,
    metric: str = "COSINE",
    index: IndexConfig | None = FLAT,
    auto_id: bool = False,
    key: Field | None = None,
) -> None:
    """Create the collection c: id, v, and more fields."""
    fields = [key or Field("id", "Int64", is_primary=True), vector("v", dim), *more]
    indexes = [Index(metric, "v", "by_v", index)] if index else None
    client.collections.create(collection=Collection("c", schema=Schema(fields, auto_id=auto_id), indexes=indexes))


def vector(name: str, dim: int) -> Field:
    return Field(name, "FloatVector", element_type_params=ElementTypeParams(dim=dim))


def count(client: Memora) -> int:
    return client.collections.get_stats(collection_name="c")["data"]["rowCount"]


def search(client: Memora, data: Any, params: dict | None = None, **more: Any) -> list:
    search_params = {"params": params} if params else None
    return client.vectors.search(collection_name="c", data=data, anns_field="v", search_params=search_params, **more)[
        "data"
    ]


def ids(hits: list[dict]) -> list:
    return [hit["id"] for hit in hits]


def insert(client: Memora, *rows: dict) -> dict:
    return client.vectors.insert(collection_name="c", data=list(rows))["data"]


def index_state(client: Memora) -> tuple[str, int, int, int]:
    (about,) = client.indexes.describe(collection_name="c", index_name="by_v")["data"]
    return about["indexState"], about["indexedRows"], about["pendingRows"], about["totalRows"]


def refused(status: int, words: str, call: Any, *arguments: Any, **named: Any) -> None:
    with pytest.raises(InvalidRequestError, match=words) as caught:
        call(*arguments, **named)
    assert caught.value.status == status


def wire_to(home: Path) -> Api:
    """Return the bare wire to a local Memora: what a client in any language would send."""
    return Api("embedded", "http://memora.test", httpx.WSGITransport(app=create_app(home, KEY, (P,))))


@pytest.fixture
def wire(tmp_path) -> Api:
    return wire_to(tmp_path)


# The wire ------------------------------------------------------------------------------------------------------


def test_a_body_that_is_too_large_is_refused_with_413(wire):
    answer = wire.send("vectors/insert", b" " * (MAX_BODY + 1))
    assert answer.status_code == 413
    assert answer.json() == {"message": "the request is larger than 64 MB: send fewer rows at a time"}
    assert wire.send("collections/list", b'{"project_id": "p"}'.rjust(MAX_BODY)).status_code == 200


def test_over_a_real_connection_a_client_is_told_413_and_works_on(tmp_path):
    server = make_server("127.0.0.1", 0, create_app(tmp_path, "the-key", ("p",)), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with Memora("the-key", "p", f"http://127.0.0.1:{server.server_port}") as client:
            client.collections.create(collection=Collection("c", dimension=2))
            too_much = [{"id": 1, "vector": np.zeros(9_000_000, np.float32)}] * 2
            refused(
                413, "larger than 64 MB: send fewer rows", client.vectors.insert, collection_name="c", data=too_much
            )
            assert insert(client, {"id": 1, "vector": [1.0, 2.0]}) == {"insertCount": 1, "insertIds": [1]}
            assert client.vectors.search(collection_name="c", data=[1, 2], anns_field="vector")["data"][0]["id"] == 1
        for key in ("a-key", "the-kéy"):
            bare = http.client.HTTPConnection("127.0.0.1", server.server_port)
            bare.request("POST", "/collections/list", b'{"project_id": "p"}', {"Api-Key": key})
            answer = bare.getresponse()
            assert (answer.status, answer.getheader("Content-Type")) == (401, "application/json")
            bare.close()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


SEARCH = {"collectionName": "c", "data": [1, 0], "annsField": "vector"}
STORE = {"collectionName": "c", "data": {"id": 1, "vector": [1, 0]}}


def test_a_fault_inside_is_a_500_whose_trace_is_only_in_the_log(tmp_path, wire, caplog, monkeypatch):
    def fails(*_: object) -> None:
        raise RuntimeError(f"a fault of ours, in {tmp_path}")

    wire.post("collections/create", collectionName="c", dimension=2)
    wire.post("vectors/insert", **STORE)
    caplog.set_level(logging.ERROR)
    monkeypatch.setattr("local_memora.engines.lance.engine.LanceEngine.search", fails)
    message = wire.refused(500, "vectors/search", **SEARCH)
    assert "the local Memora failed" in message
    assert str(tmp_path) not in message
    assert "/vectors/search failed" in caplog.text
    assert "Traceback" in caplog.text


# Ranges, with every index --------------------------------------------------------------------------------------


def distances(metric: str, query: np.ndarray, stored: np.ndarray) -> np.ndarray:
    query, stored = query.astype(float), stored.astype(float)
    if metric == "L2":
        return ((stored - query) ** 2).sum(axis=1)
    dots = stored @ query
    return dots / (np.linalg.norm(stored, axis=1) * np.linalg.norm(query)) if metric == "COSINE" else dots


def best_first(metric: str, values: np.ndarray) -> np.ndarray:
    return np.argsort(values if metric == "L2" else -values, kind="stable")


def in_range(metric: str, values: np.ndarray, params: dict) -> np.ndarray:
    keep = np.ones(len(values), bool)
    if "radius" in params:
        keep &= values < params["radius"] if metric == "L2" else values > params["radius"]
    if "range_filter" in params:
        keep &= values >= params["range_filter"] if metric == "L2" else values <= params["range_filter"]
    return keep


@pytest.mark.parametrize("metric", ["COSINE", "IP", "L2"])
@pytest.mark.parametrize("kind", ["FLAT", "IVF_FLAT", "HNSW"])
def test_range_searches_with_and_without_filters_find_what_numpy_finds(client, rng, metric, kind):
    index = {"FLAT": FLAT, "IVF_FLAT": IVF, "HNSW": HNSW}[kind]
    make(client, Field("g", "Int8"), dim=8, metric=metric, index=index)
    stored = rng.normal(size=(500, 8))
    # HNSW finds its way by the metric, and a dot product is none unless lengths are equal, as image vectors' are
    stored /= np.linalg.norm(stored, axis=1, keepdims=True) if kind == "HNSW" else 1
    stored = stored.astype(np.float32)
    groups = np.arange(500) % 5
    insert(client, *({"id": n, "v": v, "g": n % 5} for n, v in enumerate(stored[:450])))
    client.collections.load(collection_name="c")
    insert(client, *({"id": n, "v": stored[n], "g": n % 5} for n in range(450, 500)))  # these are not indexed yet
    assert index_state(client) == ("Finished", *((500, 0) if kind == "FLAT" else (450, 50)), 500)
    probe = {"FLAT": {}, "IVF_FLAT": {"nprobe": 8}, "HNSW": {"ef": 500}}[kind]
    for query in rng.normal(size=(3, 8)).astype(np.float32):
        values = distances(metric, query, stored)
        ranked = np.sort(values)
        low, high = ((ranked[n] + ranked[n + 1]) / 2 for n in np.sort(rng.choice(499, 2, replace=False)))
        bounds = {"range_filter": low, "radius": high} if metric == "L2" else {"radius": low, "range_filter": high}
        for names in ((), ("radius",), ("range_filter",), ("radius", "range_filter")):
            params = {name: float(bounds[name]) for name in names}
            for where, mask in ((None, True), ("g == 2", groups == 2), ("id in [1, 2, 3, 470]", None)):
                mask = np.isin(np.arange(500), [1, 2, 3, 470]) if mask is None else mask
                order = best_first(metric, values)
                want = [n for n in order if (in_range(metric, values, params) & mask)[n]]
                hits = search(client, query, params | probe, filter=where, limit=30)
                assert ids(hits) == want[:30], (names, where)
                assert [hit["distance"] for hit in hits] == pytest.approx(values[want[:30]], abs=1e-4)
                assert ids(search(client, query, params | probe, filter=where, limit=20, offset=5)) == want[5:25]


@pytest.mark.parametrize("metric", ["COSINE", "IP", "L2"])
@pytest.mark.parametrize("kind", ["FLAT", "IVF_FLAT", "HNSW"])
def test_a_hit_on_a_bound_is_out_at_the_open_end_in_at_the_closed(client, rng, metric, kind):
    make(client, dim=8, metric=metric, index={"FLAT": FLAT, "IVF_FLAT": IVF, "HNSW": HNSW}[kind])
    stored = rng.normal(size=(200, 8))
    stored /= np.linalg.norm(stored, axis=1, keepdims=True)
    insert(client, *({"id": n, "v": v} for n, v in enumerate(stored)))
    client.collections.load(collection_name="c")
    probe = {"FLAT": {}, "IVF_FLAT": {"nprobe": 8}, "HNSW": {"ef": 200}}[kind]
    for query in rng.normal(size=(4, 8)):
        every = search(client, query, probe, limit=200)
        for place in (1, 20, 100, 198):
            bound = every[place]["distance"]
            assert search(client, query, probe | {"radius": bound}, limit=200) == every[:place]
            assert search(client, query, probe | {"range_filter": bound}, limit=200) == every[place:]


# Pages ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "metric", "params"),
    [
        ("FLAT", "COSINE", None),
        ("IVF_FLAT", "L2", None),
        ("IVF_FLAT", "COSINE", {"nprobe": 6}),
        ("HNSW", "COSINE", None),
        ("HNSW", "L2", {"ef": 300}),
    ],
)
def test_pages_repeat_no_row_and_leave_none_out(client, rng, kind, metric, params):
    """They are cut from one ranking, also where a filter leaves few rows in a list, and where rows are equally near."""
    config = {"FLAT": FLAT, "IVF_FLAT": IndexConfig("IVF_FLAT", nlist=40), "HNSW": HNSW}[kind]
    make(client, Field("g", "Int16"), dim=8, index=config, metric=metric)
    stored = rng.normal(size=(2_400, 8)).astype(np.float32)
    stored[300:500] = stored[7]  # one picture under many names
    insert(client, *({"id": n, "v": v, "g": n % 150} for n, v in enumerate(stored[:2_300])))
    client.collections.load(collection_name="c")
    insert(client, *({"id": n, "v": stored[n], "g": n % 150} for n in range(2_300, 2_400)))  # in no index yet
    for query in (stored[7] + 0.01, rng.normal(size=8)):
        for where in (None, "g < 40", "g < 8"):
            for more in ({}, {"grouping_field": "g"}):

                def hits(limit, offset, query=query, where=where, more=more):
                    return search(client, query, params, filter=where, limit=limit, offset=offset, **more)

                every = hits(240, 0)
                pages = [hit for offset in range(0, 240, 20) for hit in hits(20, offset)]
                assert pages == every
                assert len({hit["id"] for hit in pages}) == len(pages)
                distances = [hit["distance"] for hit in pages]
                assert distances == sorted(distances, reverse=metric == "COSINE")
                if kind != "IVF_FLAT" or not params:
                    passing = 2_400 if where is None else int(where.split()[-1]) * 16
                    groups = 150 if where is None else int(where.split()[-1])
                    assert len(pages) == min(240, groups if more else passing)


# Automatic ids -------------------------------------------------------------------------------------------------


def test_automatic_ids_are_never_given_twice(tmp_path):
    given: list[int] = []

    def add(client: Memora, number: int = 2) -> None:
        given.extend(insert(client, *[{"v": [1, 0]}] * number)["insertIds"])

    with local_client(tmp_path) as client:
        make(client, auto_id=True)
        add(client)
        client.vectors.delete(collection_name="c", filter=f"id == {given[-1]}")  # the last
        add(client)
        client.vectors.delete(collection_name="c", filter="true")  # all
        add(client)
        with pytest.raises(InvalidRequestError, match="another model"):
            insert(client, {"v": [1, 0]}, {"v": [1, 0, 0]})
        refused(400, r"unknown fields \['id'\]; a row has: v", insert, client, {"id": 1, "v": [1, 0]})
        add(client)
    with local_client(tmp_path) as restarted, local_client(tmp_path) as another:
        add(restarted)
        add(another)
        add(restarted)
        assert count(another) == 10
        refused(
            400,
            "numbers its rows itself",
            another.vectors.upsert,
            collection_name="c",
            data={"id": given[0], "v": [1, 0]},
        )
    assert len(set(given)) == len(given) == 14
    assert given == sorted(given)
    assert given[0] >= 1


# Indexes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", [IVF, HNSW], ids=["IVF_FLAT", "HNSW"])
def test_an_index_is_built_when_it_can_be_and_its_counts_are_true(tmp_path, rng, index):
    stored = rng.normal(size=(1300, 4)).astype(np.float32)

    def rows(first: int, last: int) -> list[dict]:
        return [{"id": n, "v": stored[n]} for n in range(first, last)]

    def nearest_is_itself(*numbers: int) -> bool:
        return all(ids(search(client, stored[n], limit=1)) == [n] for n in numbers)

    with local_client(tmp_path) as client:
        make(client, dim=4, index=index, metric="L2")
        assert index_state(client) == ("Unissued", 0, 0, 0)
        client.collections.load(collection_name="c")  # nothing to build on
        assert index_state(client) == ("Unissued", 0, 0, 0)
        insert(client, *rows(0, 5))
        assert index_state(client) == ("Unissued", 0, 5, 5)
        assert nearest_is_itself(0, 4)
    with local_client(tmp_path) as client:  # after a restart
        assert index_state(client) == ("Unissued", 0, 5, 5)
        insert(client, *rows(5, 200))
        assert index_state(client) == ("Unissued", 0, 200, 200)
        client.collections.load(collection_name="c")
        assert index_state(client) == ("Finished", 200, 0, 200)
        insert(client, *rows(200, 300))
        assert index_state(client) == ("Finished", 200, 100, 300)
        assert nearest_is_itself(0, 199, 200, 299)  # the new ones too, before they are indexed
        client.vectors.upsert(collection_name="c", data=rows(0, 50))
        assert index_state(client) == ("Finished", 150, 150, 300)
        client.vectors.delete(collection_name="c", filter="id < 100")  # 50 pending, 50 indexed
        assert index_state(client) == ("Finished", 100, 100, 200)
        assert not nearest_is_itself(0)
        insert(client, *rows(300, 1300))  # a large ingest: the index follows by itself
        assert index_state(client) == ("Finished", 1200, 0, 1200)
        assert nearest_is_itself(100, 700, 1299)
        insert(client, *rows(0, 10))
        assert index_state(client) == ("Finished", 1200, 10, 1210)
        client.collections.load(collection_name="c")
        assert index_state(client) == ("Finished", 1210, 0, 1210)
        assert nearest_is_itself(0, 9, 100, 1299)
        client.indexes.drop(collection_name="c", index_name="by_v")
        assert client.indexes.list(collection_name="c") == {"data": []}
        assert ids(search(client, stored[700], limit=1)) == [700]
        with pytest.raises(NotFoundError, match="no index 'by_v' on 'c'; there is: none"):
            index_state(client)
        client.indexes.create(collection_name="c", index_params=[Index("L2", "v", "by_v", index)])
        assert index_state(client) == ("Finished", 1210, 0, 1210)  # rows are there: it is built at once


def test_ivf_flat_waits_until_there_is_a_row_for_each_list(client, rng):
    make(client, dim=4, index=IVF)
    insert(client, *({"id": n, "v": v} for n, v in enumerate(rng.normal(size=(7, 4)))))
    client.collections.load(collection_name="c")
    assert index_state(client) == ("Unissued", 0, 7, 7)
    assert len(search(client, [1, 0, 0, 0], {"nprobe": 1})) == 7  # exact until then
    insert(client, {"id": 7, "v": [1, 0, 0, 0]})
    client.collections.load(collection_name="c")
    assert index_state(client) == ("Finished", 8, 0, 8)


@pytest.mark.parametrize(("distinct", "lists"), [(1, 512), (3, 300), (600, 700)])
def test_an_index_on_too_many_equal_vectors_waits_and_says_why(tmp_path, rng, caplog, distinct, lists):
    """Such as one placeholder picture under many names: all else goes on, and searches are exact until it is built."""
    stored = np.resize(rng.normal(size=(distinct, 8)), (1_500, 8)).astype(np.float32)

    def describe(client: Memora) -> tuple[str, int, str]:
        (about,) = client.indexes.describe(collection_name="c", index_name="by_v")["data"]
        return about["indexState"], about["indexedRows"], about["failReason"]

    with local_client(tmp_path) as client:
        make(client, dim=8, index=IndexConfig("IVF_FLAT", nlist=lists), metric="L2")
        insert(client, *({"id": n, "v": v} for n, v in enumerate(stored)))
        insert(client, *({"id": n + 1_500, "v": v} for n, v in enumerate(stored[:1_000])))
        client.collections.load(collection_name="c")
        for each in (client, local_client(tmp_path)):  # any process knows
            state, indexed, why = describe(each)
            assert (state, indexed) == ("Unissued", 0)
            assert why.startswith("too few of the 2,500 vectors differ: they fill ")
            assert f"lists, not {lists}" in why
        assert not caplog.records
        stored = np.concatenate([stored, stored[:1_000]])
        for limit in (10, 300):
            hits = search(client, stored[0], limit=limit)
            assert [hit["distance"] for hit in hits] == pytest.approx(
                np.sort(distances("L2", stored[0], stored))[:limit], abs=1e-4
            )
        insert(client, *({"id": n, "v": v} for n, v in enumerate(rng.normal(size=(2_600, 8)), start=5_000)))
        assert describe(client) == ("Finished", 5_100, "")  # the rows have doubled: it was tried again
        client.vectors.delete(collection_name="c", filter="id >= 5000")
        client.collections.load(collection_name="c")
        client.indexes.drop(collection_name="c", index_name="by_v")
        client.indexes.create(collection_name="c", index_params=[Index("L2", "v", "by_v", IndexConfig("FLAT"))])
        assert describe(client) == ("Finished", 2_500, "")


def test_nprobe_looks_at_more_lists_and_finds_more(client, rng):
    make(client, dim=16, index=IndexConfig("IVF_FLAT", nlist=32), metric="L2")
    stored = rng.normal(size=(1000, 16)).astype(np.float32)
    insert(client, *({"id": n, "v": v} for n, v in enumerate(stored)))
    assert index_state(client) == ("Finished", 1000, 0, 1000)
    recall = {}
    queries = rng.normal(size=(20, 16)).astype(np.float32)
    for nprobe in (1, 8, 32):
        found = search(client, queries, {"nprobe": nprobe}, limit=10)
        recall[nprobe] = np.mean(
            [
                len({*ids(hits)} & {*best_first("L2", distances("L2", query, stored))[:10]}) / 10
                for query, hits in zip(queries, found, strict=True)
            ]
        )
    assert recall[1] < recall[8] < recall[32] == 1


def test_a_filter_that_leaves_few_rows_still_fills_the_limit(client, rng):
    """Unless nprobe says where to look."""
    make(client, Field("g", "Int8"), dim=8, index=IndexConfig("IVF_FLAT", nlist=50))
    stored = rng.normal(size=(1000, 8)).astype(np.float32)
    insert(client, *({"id": n, "v": v, "g": n % 100} for n, v in enumerate(stored)))
    assert index_state(client)[0] == "Finished"
    for query in rng.normal(size=(10, 8)):
        values = distances("COSINE", query, stored)
        want = [n for n in best_first("COSINE", values) if n % 100 == 7]
        for params in (None, {"nprobe": 50}):
            hits = search(client, query, params, filter="g == 7", limit=20)
            assert ids(hits) == want
            assert [hit["distance"] for hit in hits] == pytest.approx(values[want], abs=1e-5)
        assert ids(search(client, query, filter="g == 7", limit=9)) == want[:9]  # the nearest, not the first found
        assert len(search(client, query, {"nprobe": 1}, filter="g == 7", limit=20)) < 10


def test_a_narrow_filter_and_a_range_find_what_numpy_finds(client, rng):
    """Though there are many lists."""
    make(client, Field("g", "Int16"), dim=8, metric="L2", index=IndexConfig("IVF_FLAT", nlist=50))
    stored = rng.normal(size=(1000, 8)).astype(np.float32)
    insert(client, *({"id": n, "v": v, "g": n % 200} for n, v in enumerate(stored)))
    for query in rng.normal(size=(20, 8)):
        values = distances("L2", query, stored)
        passing = np.flatnonzero(np.arange(1000) % 200 == 7)
        radius = float(np.sort(values[passing])[2:4].mean())
        hits = search(client, query, {"radius": radius}, filter="g == 7", limit=10)
        assert ids(hits) == [n for n in best_first("L2", values) if n in passing and values[n] < radius]


def test_a_second_index_on_a_field_or_an_index_on_no_vector_is_refused(client):
    make(client, Field("n", "Int64"), vector("w", 2))
    for index, error, words in (
        (Index("L2", "v", "other", FLAT), AlreadyExistsError, "field 'v' has the index 'by_v': drop it first"),
        (Index("L2", "w", "by_v", FLAT), AlreadyExistsError, "there is an index 'by_v' already"),
        (
            Index("L2", "n", "by_n", FLAT),
            InvalidRequestError,
            "'n' is not a vector field of this collection; there is: v, w",
        ),
        (Index("HAMMING", "w", "by_w", FLAT), InvalidRequestError, "HAMMING compares BinaryVector"),
    ):
        with pytest.raises(error, match=words):
            client.indexes.create(collection_name="c", index_params=[index])
    with pytest.raises(AlreadyExistsError):  # both or none
        client.indexes.create(collection_name="c", index_params=[Index("L2", "w", n, FLAT) for n in ("one", "two")])
    assert client.indexes.list(collection_name="c")["data"] == ["by_v"]


# Other processes -----------------------------------------------------------------------------------------------


def test_a_collection_made_anew_by_another_process_is_seen_at_once(tmp_path):
    """With another dimension."""
    with local_client(tmp_path) as client:
        make(client)
        insert(client, {"id": 1, "v": [1, 0]})
        assert ids(search(client, [1, 0])) == [1]
        elsewhere = (
            "import sys; from pathlib import Path; from helpers.connect import local_client; "
            "from helpers.memora.models import Collection\n"
            "client = local_client(Path(sys.argv[1])); client.collections.drop(collection_name='c'); "
            "client.collections.create(collection=Collection('c', 3, vector_field_name='v', metric_type='L2')); "
            "client.vectors.insert(collection_name='c', data=[{'id': 5, 'v': [1, 2, 3]}, {'id': 6, 'v': [0, 0, 0]}])"
        )
        subprocess.run([sys.executable, "-c", elsewhere, str(tmp_path)], check=True, cwd=ROOT)
        assert search(client, [1, 2, 3]) == [{"distance": 0.0, "id": 5}, {"distance": 14.0, "id": 6}]
        assert count(client) == 2
        refused(400, "vectors of 3 numbers; yours has 2", search, client, [1, 0])
        refused(400, "vectors of 3 numbers; yours has 2", insert, client, {"id": 1, "v": [1, 0]})
        insert(client, {"id": 1, "v": [9, 9, 9]})
        assert client.collections.describe(collection_name="c")["data"]["indexes"][0]["metricType"] == "L2"


def test_a_collection_dropped_elsewhere_is_gone_here_with_its_rows(tmp_path):
    with local_client(tmp_path) as here, local_client(tmp_path) as there:
        make(here)
        insert(here, {"id": 1, "v": [1, 0]})
        there.collections.drop(collection_name="c")
        for call in (lambda: search(here, [1, 0]), lambda: insert(here, {"id": 2, "v": [1, 0]}), lambda: count(here)):
            with pytest.raises(NotFoundError, match="there is no collection 'c'"):
                call()
        make(there)
        assert here.collections.describe(collection_name="c")["data"]["collectionID"] == 2  # ids are not used again
        assert count(here) == 0
        assert search(here, [1, 0]) == []


def test_a_writer_that_waits_too_long_for_its_turn_is_told_so(tmp_path, monkeypatch):
    monkeypatch.setattr(service, "LOCK_SECONDS", 0.1)
    with local_client(tmp_path) as client:
        make(client)
        with (
            filelock.FileLock(tmp_path / "locks" / "1.lock"),
            pytest.raises(UnavailableError, match="another writer has been busy with 'c'") as caught,
        ):
            insert(client, {"id": 1, "v": [1, 0]})
        assert caught.value.status == 503
        assert insert(client, {"id": 1, "v": [1, 0]})["insertCount"] == 1


def test_data_removed_under_a_notebook_is_reported_with_advice(tmp_path):
    with local_client(tmp_path / "home") as client:
        make(client)
        shutil.rmtree(tmp_path / "home")
        for call in (lambda: client.collections.list(), lambda: search(client, [1, 0]), lambda: make(client)):
            with pytest.raises(InvalidRequestError, match="was removed while it was open: restart the kernel"):
                call()
    assert not (tmp_path / "home").exists()  # and nothing half-made is left in its place
