"""The contract on every engine: collections, partitions and indexes, and what becomes of rows when they change."""

import os
import signal

import httpx
import numpy as np
import psutil
import pytest

from local_memora import create_app
from local_memora.contract.schema import CollectionSchema
from tests.local_memora.contract import ALL, KEY, Api, P, body, column, ids, index, shape

RELEASED = "is released: load it"

# Collections -----------------------------------------------------------------------------------------------------


def test_every_option_of_the_quick_set_up_holds(make):
    names = {"primaryFieldName": "key", "vectorFieldName": "v"}
    mine = index("IP", "HNSW", name="mine", M=8, efConstruction=64)
    table = make(dimension=2, idType="VarChar", **names, params={"max_length": 5}, indexParams=[mine])
    table.insert({"key": "12345", "v": [3, 0]})
    assert table.search([2, 0]) == [{"distance": 6.0, "id": "12345"}]
    assert table.ok("indexes/list") == ["mine"]
    assert table.ok("collections/describe")["fields"][0]["params"] == [{"key": "max_length", "value": "5"}]
    assert "6 bytes; max_length is 5" in table.refused(400, "vectors/insert", data={"key": "123456", "v": [3, 0]})


def test_a_schema_wins_over_the_quick_set_up(make):
    """Without an index its vectors are compared by cosine."""
    ignored = {"idType": "VarChar", "autoID": True, "primaryFieldName": "x", "vectorFieldName": "y"}
    array = column("n", "Array", element="Int8", max_capacity=4)
    fields = [column("k", "Int64", primary=True), column("v", "FloatVector", dim=2), array]
    table = make(schema={"fields": fields}, dimension=2, **ignored)
    about = table.ok("collections/describe")
    assert [field["name"] for field in about["fields"]] == ["k", "v", "n"]
    assert about["fields"][2]["elementDataType"] == "Int8"
    assert about["fields"][2]["params"] == [{"key": "max_capacity", "value": "4"}]
    assert about["autoID"] is False
    assert about["indexes"] == table.ok("indexes/list") == []
    table.insert({"k": 1, "v": [3, 0], "n": []}, {"k": 2, "v": [0, 2], "n": [1]})
    assert table.search([1, 0]) == [{"distance": 1.0, "id": 1}, {"distance": 0.0, "id": 2}]
    by_cosine = {"metricType": "COSINE", "params": {"radius": 0.5}}
    assert table.search([1, 0], searchParams=by_cosine) == [{"distance": 1.0, "id": 1}]


def test_a_released_collection_answers_no_reads_and_loses_no_row(make):
    table = make(**body())
    table.insert({"id": 1, "v": [1, 0]})
    for message in ("collection released", "collection released"):  # twice is no mistake
        assert table.ok("collections/release") == message
    assert table.ok("collections/describe")["load"] == "LoadStateNotLoad"
    row = {"id": 2, "v": [0, 1]}
    part = {"data": [1, 0], "annsField": "v"}
    for verb, sent in {
        "search": part,
        "hybrid_search": {"search": [part], "rerank": {"strategy": "rrf"}},
        "query": {"filter": ALL},
        "get": {"id": 1},
        "insert": {"data": row},
        "upsert": {"data": row},
        "delete": {"filter": ALL},
    }.items():
        assert RELEASED in table.refused(400, f"vectors/{verb}", **sent)
    assert table.ok("indexes/list") == ["by_v"]
    assert table.ok("partitions/list") == ["_default"]
    for message in ("collection loaded", "collection loaded"):
        assert table.ok("collections/load") == message
    assert table.ok("collections/get_load_state") == {"loadState": "LoadStateLoaded", "loadProgress": 100}
    assert ids(table.query()) == [1]
    table.insert(row)
    assert sorted(ids(table.search([1, 0]))) == [1, 2]


# Partitions ------------------------------------------------------------------------------------------------------


def test_a_partition_is_written_read_moved_between_and_dropped_alone(make):
    table = make(**body(column("s", "VarChar", max_length=9)))
    table.insert({"id": 1, "v": [1, 0], "s": "first"})
    table.ok("partitions/create", partitionName="a")
    table.ok("partitions/create", partitionName="b")
    table.insert({"id": 2, "v": [1, 1], "s": "a"}, {"id": 3, "v": [0, 1], "s": "a"}, partitionName="a")
    table.insert({"id": 4, "v": [-1, 0], "s": "b"}, partitionName="b")
    assert table.ok("collections/describe")["partitionNum"] == 3
    assert table.ok("partitions/list") == ["_default", "a", "b"]

    def counts() -> list[int]:
        names = table.ok("partitions/list")
        return [table.ok("partitions/get_stats", partitionName=name)["rowCount"] for name in names]

    assert counts() == [1, 2, 1]
    assert table.rows() == 4
    for names, there in ((["a"], [2, 3]), (["_default", "b"], [1, 4]), (["a", "b", "a"], [2, 3, 4])):
        assert sorted(ids(table.search([1, 0], partitionNames=names))) == there
        assert ids(table.query(partitionNames=names)) == there
        assert ids(table.ok("vectors/get", id=[1, 2, 3, 4], partitionNames=names)) == there
        searches = [{"data": [1, 0], "annsField": "v"}, {"data": [0, 1], "annsField": "v", "filter": "id != 3"}]
        hits = table.ok("vectors/hybrid_search", search=searches, rerank={"strategy": "rrf"}, partitionNames=names)
        assert sorted(ids(hits)) == there
        groups = table.search([1, 0], partitionNames=names, groupingField="s")
        assert len(groups) == len({row["s"] for row in table.query(partitionNames=names)})

    # a key is one row, in whichever partition: it can't be inserted again, and an upsert moves it
    table.refused(409, "vectors/insert", data={"id": 1, "v": [1, 0], "s": "x"}, partitionName="a")
    table.ok("vectors/upsert", data={"id": 1, "v": [1, 0], "s": "moved"}, partitionName="a")
    assert counts() == [0, 3, 1]
    table.ok("vectors/upsert", data=[{"id": 1, "v": [1, 0], "s": "back"}, {"id": 4, "v": [0, 1], "s": "here"}])
    assert counts() == [2, 2, 0]
    assert [row["s"] for row in table.query()] == ["back", "a", "a", "here"]

    assert table.ok("vectors/delete", filter="id > 1", partitionName="_default") == "1 rows deleted"
    assert counts() == [1, 2, 0]
    assert table.ok("partitions/drop", partitionName="b") == "partition dropped"
    assert table.ok("vectors/delete", filter="id in [1, 2]") == "2 rows deleted"
    assert table.ok("partitions/drop", partitionName="a") == "partition dropped"  # with the row that is left in it
    assert table.ok("partitions/list") == ["_default"]
    assert table.query() == []
    table.insert({"id": 3, "v": [1, 0], "s": "again"})  # its key is free again
    assert table.rows() == 1


def test_a_released_partition_is_not_searched_and_keeps_its_rows(make):
    table = make(**body())
    table.ok("partitions/create", partitionName="a")
    table.insert({"id": 1, "v": [1, 0]})
    table.insert({"id": 2, "v": [0, 1]}, partitionName="a")
    assert table.ok("partitions/release", partitionNames=["a"]) == "partitions released"
    assert table.ok("collections/get_load_state") == {"loadState": "LoadStateLoaded", "loadProgress": 50}
    assert ids(table.search([1, 0])) == ids(table.query()) == [1]
    assert table.ok("vectors/get", id=[1, 2], outputFields=[]) == [{"id": 1}]
    assert RELEASED in table.refused(400, "vectors/query", filter=ALL, partitionNames=["a"])
    for verb, sent in {
        "insert": {"data": {"id": 2, "v": [0, 1]}},  # whether the key is taken can't be seen
        "upsert": {"data": {"id": 2, "v": [0, 1]}},
        "delete": {"filter": ALL},
    }.items():
        assert "is released: load it before you change rows" in table.refused(400, f"vectors/{verb}", **sent)
    assert table.ok("partitions/load", partitionNames=["a"]) == "partitions loaded"
    assert ids(table.search([1, 0])) == [1, 2]
    assert table.rows() == 2
    table.ok("collections/release")
    assert table.ok("partitions/load", partitionNames=["a"]) == "partitions loaded"
    assert table.ok("collections/get_load_state")["loadProgress"] == 50
    assert ids(table.query()) == [2]


# Indexes ---------------------------------------------------------------------------------------------------------


def test_each_kind_of_index_is_made_described_searched_and_dropped(make, rng):
    stored = rng.normal(size=(300, 8)).astype(np.float32)
    stored /= np.linalg.norm(stored, axis=1, keepdims=True)
    table = make(**body(dim=8))
    table.insert(*({"id": n, "v": v} for n, v in enumerate(stored.tolist())))
    query = rng.normal(size=8).astype(np.float32)
    name = "by_v"  # FLAT, by COSINE
    for metric, kind, params, knobs in (
        ("L2", "IVF_FLAT", {"nlist": 8}, {"nprobe": 8}),
        ("IP", "HNSW", {"M": 8, "efConstruction": 64}, {"ef": 300}),
    ):
        table.ok("collections/release")  # Milvus would load it twice more, at 3 s each
        assert table.ok("indexes/drop", indexName=name) == "index dropped"
        assert table.ok("indexes/list") == []
        name = f"by_{kind}"
        table.ok("indexes/create", indexParams=[index(metric, kind, name=name, **params)])
        assert table.ok("indexes/list") == [name]
        table.ok("collections/load")  # what waits for rows is built now
        (about,) = table.ok("indexes/describe", indexName=name)
        assert about == {
            "fieldName": "v", "indexName": name, "indexState": "Finished", "indexType": kind, "indexedRows": 300,
            "metricType": metric, "pendingRows": 0, "totalRows": 300, "failReason": "",
        }  # fmt: skip
        assert table.ok("collections/describe")["indexes"] == [
            {"fieldName": "v", "indexName": name, "metricType": metric}
        ]
        values = ((stored - query) ** 2).sum(axis=1) if metric == "L2" else stored @ query
        hits = table.search(query.tolist(), knobs, limit=20)
        assert ids(hits) == list(np.argsort(values if metric == "L2" else -values)[:20])
        assert [hit["distance"] for hit in hits] == pytest.approx(values[ids(hits)], abs=1e-5)
        again = index(metric, kind, name="other", **params)
        assert f"field 'v' has the index {name!r}" in table.refused(409, "indexes/create", indexParams=[again])
        wrong = {"metricType": "COSINE"}
        message = table.refused(400, "vectors/search", data=query.tolist(), annsField="v", searchParams=wrong)
        assert f"compares by {metric}" in message
    too_few = {"params": {"ef": 5}}
    message = table.refused(
        400, "vectors/search", data=query.tolist(), annsField="v", limit=10, offset=1, searchParams=too_few
    )
    assert "ef is 5, less than the 11 hits asked for" in message


def test_rows_that_came_after_an_index_was_built_are_found_too(make, rng):
    stored = rng.normal(size=(60, 4)).astype(np.float32).tolist()
    table = make(**body(dim=4, by=index("L2", "IVF_FLAT", nlist=4)))
    message = table.refused(
        400, "vectors/search", data=stored[0], annsField="v", searchParams={"params": {"nprobe": 5}}
    )
    assert message == "nprobe is 5, but the index has only 4 lists"
    table.insert(*({"id": n, "v": v} for n, v in enumerate(stored[:50])))
    table.ok("collections/load")
    table.insert(*({"id": n, "v": stored[n]} for n in range(50, 60)))
    table.ok("vectors/upsert", data=[{"id": 0, "v": stored[1]}, {"id": 1, "v": stored[0]}])
    for n in (0, 30, 49, 50, 59):
        (hit,) = table.search(stored[n], {"nprobe": 4}, limit=1)
        assert hit == {"distance": 0.0, "id": 1 if n == 0 else n}
    (about,) = table.ok("indexes/describe", indexName="by_v")
    assert about["totalRows"] == 60 == about["indexedRows"] + about["pendingRows"]


# What it costs to find a collection ------------------------------------------------------------------------------


def test_finding_a_collection_on_milvus_costs_one_call(milvus_url, tmp_path):
    """What is asked of it later costs one call more each, and none is asked twice."""
    from local_memora.engines.milvus.engine import MilvusEngine

    wire = Api("milvus", "http://memora.invalid", httpx.WSGITransport(app=create_app(milvus_url, KEY, home=tmp_path)))
    with wire.table(**body()) as table:
        engine, calls = MilvusEngine(milvus_url), []
        client = engine._client(P)

        class Counting:
            def __getattr__(self, name):
                calls.append(name)
                return getattr(client, name)

        engine._clients[P] = Counting()
        found = engine.find(P, table.name)
        assert calls == ["describe_collection"]
        for _ in range(2):
            assert found.schema.primary.field_name == "id"
            assert [index.index_name for index in found.indexes] == ["by_v"]
            assert (found.partitions, found.loaded) == (("_default",), ["_default"])
        assert calls == ["describe_collection", "describe_index", "get_load_state"]


def test_a_milvus_server_that_stands_still_is_told_from_a_fault_of_ours(milvus_url, tmp_path):
    """Without it /health, after the five seconds it waits, would say that Memora failed."""
    port = int(milvus_url.rpartition(":")[2])
    (server,) = {one.pid for one in psutil.net_connections("tcp") if one.laddr.port == port and one.status == "LISTEN"}
    wire = httpx.Client(transport=httpx.WSGITransport(app=create_app(milvus_url, KEY, home=tmp_path)))
    os.kill(server, signal.SIGSTOP)
    try:
        while psutil.Process(server).status() != psutil.STATUS_STOPPED:
            pass
        answer = wire.get("http://memora.invalid/health", headers={"Api-Key": KEY})
    finally:
        os.kill(server, signal.SIGCONT)
    assert (answer.status_code, "does not answer" in answer.text) == (503, True), answer.text


@pytest.mark.parametrize("name", ["connections", "deadlines", "unavailable"])
def test_no_name_of_a_collection_is_taken_for_an_error(api, name):
    """Milvus names it in its refusal."""
    assert api.ok("collections/has", collectionName=name) == {"has": False}
    assert "there is no collection" in api.refused(404, "collections/describe", collectionName=name)


def test_a_schema_looks_its_fields_up_once():
    schema = CollectionSchema.model_validate(shape(column("s", "VarChar", max_length=9)))
    assert schema.by_name is schema.by_name
    assert schema.primary is schema.by_name["id"]
