"""The contract on every engine: what is sent and what is answered, key and project, wrong requests, the SDK's names."""

import functools
import re
from collections.abc import Iterator
from typing import Any
from unittest.mock import ANY

import httpx
import orjson
import pytest

from helpers.memora import AuthenticationError
from helpers.memora.models import Collection, ElementTypeParams, Field, Index, IndexConfig, Ranker, Schema, Search
from local_memora.app import VERBS
from local_memora.filters.check import RESERVED
from tests.local_memora.contract import ALL, KEY, Api, P, Q, Table, body, column, ids, index, shape

# Every verb ------------------------------------------------------------------------------------------------------

C, TO_A = {"collectionName": "walk"}, {"collectionName": "walk", "partitionName": "a"}
INDEX = {"metricType": "L2", "fieldName": "vector", "indexName": "i", "params": {"index_type": "FLAT"}}
ONE = {"data": [0, 1], "annsField": "vector"}
# verb, body, status, answer; in this order on one collection
WALK: list[tuple[str, dict, int, Any]] = [
    ("collections/create", {**C, "dimension": 2, "metricType": "L2"}, 201, "collection created"),
    ("collections/create", {**C, "dimension": 2}, 409, None),
    ("collections/list", {}, 200, ["walk"]),
    ("collections/has", C, 200, {"has": True}),
    ("collections/has", {"collectionName": "d"}, 200, {"has": False}),
    ("collections/describe", C, 200, {
        "autoID": False, "collectionID": ANY, "collectionName": "walk", "description": "", "enableDynamicField": False,
        "fields": [
            {"autoId": False, "description": "", "id": 100, "name": "id", "params": [], "partitionKey": False,
             "primaryKey": True, "type": "Int64"},
            {"autoId": False, "description": "", "id": 101, "name": "vector",
             "params": [{"key": "dim", "value": "2"}], "partitionKey": False, "primaryKey": False,
             "type": "FloatVector"},
        ],
        "indexes": [{"fieldName": "vector", "indexName": "vector", "metricType": "L2"}],
        "load": "LoadStateLoaded", "partitionNum": 1, "properties": [],
    }),
    ("vectors/insert", {**C, "data": {"id": 1, "vector": [1, 0]}}, 200, {"insertCount": 1, "insertIds": [1]}),
    ("vectors/insert", {**C, "data": [{"id": 2, "vector": [1, 1]}, {"id": 1, "vector": [1, 0]}]}, 409, None),
    ("vectors/upsert", {**C, "data": [{"id": 1, "vector": [0, 1]}, {"id": 2, "vector": [0, 3]}]}, 200,
     {"upsertCount": 2, "upsertIds": [1, 2]}),
    ("collections/get_stats", C, 200, {"rowCount": 2}),
    ("vectors/search", {**C, **ONE}, 200, [{"distance": 0.0, "id": 1}, {"distance": 4.0, "id": 2}]),
    ("vectors/search", {**C, "data": [[0, 1]], "annsField": "vector", "limit": 1}, 200, [{"distance": 0.0, "id": 1}]),
    ("vectors/search", {**C, "data": [[0, 1], [0, 3]], "annsField": "vector", "limit": 1}, 200,
     [[{"distance": 0.0, "id": 1}], [{"distance": 0.0, "id": 2}]]),
    ("vectors/search", {**C, **ONE, "filter": "id > 1", "limit": 5, "offset": 0, "outputFields": ["*"],
      "groupingField": "id", "searchParams": {"metricType": "L2", "params": {"radius": 5, "range_filter": 1}}}, 200,
     [{"distance": 4.0, "id": 2, "vector": [0.0, 3.0]}]),
    ("vectors/hybrid_search", {**C, "search": [ONE, {**ONE, "limit": 1}], "outputFields": ["vector"],
      "rerank": {"strategy": "rrf", "params": {"k": 1}}}, 200,
     [{"distance": 1.0, "id": 1, "vector": [0.0, 1.0]}, {"distance": 1 / 3, "id": 2, "vector": [0.0, 3.0]}]),
    ("vectors/query", {**C, "filter": "id > 1"}, 200, [{"id": 2, "vector": [0.0, 3.0]}]),
    ("vectors/get", {**C, "id": [2, 9], "outputFields": ["id"]}, 200, [{"id": 2}]),
    ("partitions/create", TO_A, 200, "partition created"),
    ("partitions/create", TO_A, 409, None),
    ("partitions/has", TO_A, 200, {"has": True}),
    ("partitions/has", {**C, "partitionName": "b"}, 200, {"has": False}),
    ("partitions/list", C, 200, ["_default", "a"]),
    ("vectors/insert", {**TO_A, "data": {"id": 3, "vector": [0, 1]}}, 200, {"insertCount": 1, "insertIds": [3]}),
    ("partitions/get_stats", TO_A, 200, {"rowCount": 1}),
    ("vectors/search", {**C, **ONE, "partitionNames": ["a"]}, 200, [{"distance": 0.0, "id": 3}]),
    ("partitions/release", {**C, "partitionNames": ["a"]}, 200, "partitions released"),
    ("collections/get_load_state", C, 200, {"loadState": "LoadStateLoaded", "loadProgress": 50}),
    ("partitions/load", {**C, "partitionNames": ["a"]}, 200, "partitions loaded"),
    ("partitions/release", {**C, "partitionNames": ["a"]}, 200, "partitions released"),
    ("partitions/drop", TO_A, 200, "partition dropped"),
    ("partitions/drop", TO_A, 404, None),
    ("collections/release", C, 200, "collection released"),
    ("collections/get_load_state", C, 200, {"loadState": "LoadStateNotLoad", "loadProgress": 0}),
    ("vectors/search", {**C, **ONE}, 400, None),
    ("indexes/list", C, 200, ["vector"]),
    ("indexes/create", {**C, "indexParams": [INDEX]}, 409, None),
    ("indexes/drop", {**C, "indexName": "vector"}, 200, "index dropped"),
    ("indexes/drop", {**C, "indexName": "vector"}, 404, None),
    ("indexes/create", {**C, "indexParams": [INDEX]}, 201, "index created"),
    ("collections/load", C, 200, "collection loaded"),
    ("indexes/describe", {**C, "indexName": "i"}, 200,
     [{"fieldName": "vector", "indexName": "i", "indexState": "Finished", "indexType": "FLAT", "indexedRows": 2,
       "metricType": "L2", "pendingRows": 0, "totalRows": 2, "failReason": ""}]),
    ("indexes/describe", {**C, "indexName": "x"}, 404, None),
    ("vectors/delete", {**C, "filter": "id == 2"}, 200, "1 rows deleted"),
    ("vectors/query", {**C, "filter": "id > 0", "outputFields": []}, 200, [{"id": 1}]),
    ("collections/rename", {**C, "newCollectionName": "walk"}, 400, None),
    ("collections/rename", {**C, "newCollectionName": "walked"}, 200, "collection renamed"),
    ("collections/rename", {**C, "newCollectionName": "walked"}, 404, None),
    ("collections/drop", {"collectionName": "walked"}, 200, "collection dropped"),
    ("collections/drop", {"collectionName": "walked"}, 404, None),
]  # fmt: skip


def test_every_verb_answers_with_the_contracts_status_and_shape(api):
    assert {verb for verb, *_ in WALK} == VERBS.keys()
    try:
        for verb, sent, status, answer in WALK:
            got = api.post(verb, **sent)
            assert got[0] == status, (verb, sent, got)
            if answer is not None:
                assert got[1] == answer, (verb, sent)
    finally:
        for name in ("walk", "walked"):
            api.post("collections/drop", collectionName=name)


def test_the_sdks_names_and_models_reach_every_verb(api):
    here = {"collection_name": "sdk"}
    text, dim = ElementTypeParams(max_length=20), ElementTypeParams(dim=2)
    schema = Schema(
        [
            Field("id", "Int64", is_primary=True),
            Field("name", "VarChar", element_type_params=text),
            Field("v", "FloatVector", element_type_params=dim),
        ]
    )
    flat = Index("COSINE", "v", "by_v", IndexConfig("FLAT"))
    with api.client() as client:
        collections, partitions = client.collections, client.partitions
        indexes, vectors = client.indexes, client.vectors
        try:
            assert collections.create(collection=Collection("sdk", schema=schema, indexes=[flat])) == {
                "message": "collection created"
            }
            assert "sdk" in collections.list()["data"]
            assert collections.has(**here) == {"data": {"has": True}}
            assert [f["name"] for f in collections.describe(**here)["data"]["fields"]] == ["id", "name", "v"]
            rows = [{"id": n, "name": f"n{n % 2}", "v": v} for n, v in enumerate([[1, 0], [1, 1], [0, 1], [-1, 0]])]
            assert vectors.insert(**here, data=rows)["data"] == {"insertCount": 4, "insertIds": [0, 1, 2, 3]}
            assert vectors.upsert(**here, data={"id": 3, "name": "n1", "v": [-1, 1]})["data"]["upsertCount"] == 1
            assert collections.get_stats(**here)["data"] == {"rowCount": 4}
            near = {"anns_field": "v", "search_params": {"metric_type": "COSINE", "params": {"radius": 0.1}}}
            hits = vectors.search(**here, data=[1, 0], limit=2, offset=0, output_fields=["name"], **near)["data"]
            assert [(hit["id"], hit["name"]) for hit in hits] == [(0, "n0"), (1, "n1")]
            assert client.vector.search(**here, data=[[1, 0]], grouping_field="name", limit=9, **near)["data"] == [
                {"distance": 1.0, "id": 0}, {"distance": pytest.approx(0.5**0.5), "id": 1}
            ]  # fmt: skip
            searches = [Search([1, 0], "v", limit=2), Search([0, 1], "v", 2, filter="id < 3", params={"radius": 0.5})]
            assert ids(vectors.hybrid_search(**here, search=searches)["data"]) == [1, 0]  # the first is in both
            found = vectors.hybrid_search(
                **here, search=searches, rerank=Ranker("weighted", {"weights": [1.0, 0.0]}), output_fields=["name"]
            )["data"]
            assert found[0] == {"distance": 1.0, "id": 0, "name": "n0"}
            assert ids(vectors.query(**here, filter='name == "n1"', output_fields=["name"])["data"]) == [1, 3]
            assert vectors.get(**here, id=[2])["data"] == [{"id": 2, "name": "n0", "v": [0.0, 1.0]}]
            assert vectors.delete(**here, filter="id == 2") == {"message": "1 rows deleted"}
            partitions.create(**here, partition_name="new")
            assert partitions.has(**here, partition_name="new") == {"data": {"has": True}}
            assert partitions.list(**here) == {"data": ["_default", "new"]}
            vectors.insert(**here, data={"id": 9, "name": "p", "v": [0, 1]}, partition_name="new")
            assert partitions.get_stats(**here, partition_name="new") == {"data": {"rowCount": 1}}
            assert ids(vectors.query(**here, filter="id >= 0", partition_names=["new"])["data"]) == [9]
            assert vectors.get(**here, id=1, partition_names=["new"]) == {"data": []}
            partitions.release(**here, partition_names=["new"])
            assert collections.get_load_state(**here)["data"]["loadProgress"] == 50
            partitions.load(**here, partition_names=["new"])
            partitions.release(**here, partition_names=["new"])
            partitions.drop(**here, partition_name="new")
            collections.release(**here)
            assert collections.get_load_state(**here)["data"]["loadState"] == "LoadStateNotLoad"
            indexes.drop(**here, index_name="by_v")
            assert indexes.list(**here) == {"data": []}
            indexes.create(**here, index_params=[Index("IP", "v", "hnsw", IndexConfig("HNSW", m=8))])
            collections.load(**here)
            assert indexes.describe(**here, index_name="hnsw")["data"][0]["indexType"] == "HNSW"
            assert vectors.search(**here, data=[2, -1], anns_field="v", limit=1)["data"] == [{"distance": 2.0, "id": 0}]
            collections.rename(**here, new_collection_name="sdk2")
            assert collections.drop(collection_name="sdk2") == {"message": "collection dropped"}
        finally:
            for name in ("sdk", "sdk2"):
                api.post("collections/drop", collectionName=name)


# Key, project, transport -----------------------------------------------------------------------------------------

BODIES = {
    "collections/create": {"dimension": 2},
    "collections/rename": {"newCollectionName": "e"},
    **{f"partitions/{verb}": {"partitionName": "a"} for verb in ("create", "drop", "has", "get_stats")},
    **{f"partitions/{verb}": {"partitionNames": ["a"]} for verb in ("load", "release")},
    "indexes/create": {"indexParams": [INDEX]},
    "indexes/describe": {"indexName": "i"},
    "indexes/drop": {"indexName": "i"},
    "vectors/insert": {"data": {"id": 1}},
    "vectors/upsert": {"data": {"id": 1}},
    "vectors/search": {"data": [1], "annsField": "v"},
    "vectors/hybrid_search": {"search": [{"data": [1], "annsField": "v"}], "rerank": {"strategy": "rrf"}},
    "vectors/query": {"filter": "id > 0"},
    "vectors/get": {"id": 1},
    "vectors/delete": {"filter": "id > 0"},
}


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_a_wrong_key_opens_nothing_and_another_project_is_not_this_keys(api, verb):
    for sent in ("", "the-keys", "The-Key"):
        answer = api.send(verb, b"{}", **{"Api-Key": sent})
        assert answer.status_code == 401
        assert KEY not in answer.text
    bare = httpx.Client(base_url=api.url, transport=api.transport)
    assert bare.post(verb, content=b"{}").status_code == 401
    named = {} if verb == "collections/list" else {"collectionName": "nosuch"}
    sent = {**named, **BODIES.get(verb, {})}
    assert api.post(verb, "other", **sent) == (403, "this key does not open the project 'other'")
    if named and verb not in ("collections/create", "collections/has"):
        message = api.refused(404, verb, **sent)  # the same body in the key's own project
        assert message == "there is no collection 'nosuch' in project 'p'"


def test_the_client_says_that_the_key_or_the_project_is_wrong(api):
    for client in (api.client(api_key="another"), api.client(project="other")):
        with client, pytest.raises(AuthenticationError):
            client.collections.list()


def test_two_projects_with_the_same_collection_name_do_not_see_each_other(api):
    try:
        for project, dim in ((P, 2), (Q, 3)):
            api.ok("collections/create", project, collectionName="same", dimension=dim)
            row = {"id": 1, "vector": [dim] * dim}
            api.ok("vectors/insert", project, collectionName="same", data=row)
        for project, dim in ((P, 2), (Q, 3)):
            rows = api.ok("vectors/query", project, collectionName="same", filter="id > 0")
            assert rows == [{"id": 1, "vector": [dim] * dim}]
        api.refused(409, "collections/create", P, collectionName="same", dimension=2)
        assert api.ok("vectors/delete", P, collectionName="same", filter="id > 0") == "1 rows deleted"
        api.ok("collections/drop", P, collectionName="same")
        assert api.ok("collections/list", P) == []
        assert api.ok("collections/list", Q) == ["same"]
        assert api.ok("collections/get_stats", Q, collectionName="same") == {"rowCount": 1}
    finally:
        for project in (P, Q):
            api.post("collections/drop", project, collectionName="same")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"nonsense", b"[1]", b'"text"', b"null", b"3", b'{"project_id": NaN}', b"[" * 50_000,
     b'{"project_id": "\\ud800"}', b'{"project_id": "p",}', b"{'project_id': 'p'}"],
)  # fmt: skip
def test_a_body_that_is_no_json_object_is_told_so(api, content):
    answer = api.send("collections/list", content)
    assert answer.status_code == 400
    assert "JSON" in answer.json()["message"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_than_post_get_a_message_and_no_html(api, method):
    answer = api.send("collections/list", b"", method=method)
    assert answer.status_code == 405
    if method != "HEAD":
        assert answer.json() == {"message": f"/collections/list takes POST, not {method}"}


@pytest.mark.parametrize(
    "path",
    ["/", "/collections", "/collections/", "/collections/nosuch", "/nosql/list", "/collections/list/",
     "/collections//list", "//collections/list", "/a/b/c", "/collections/%2e%2e", "/collections/../../etc/passwd",
     "/COLLECTIONS/LIST", "/vectors/list", "/indexes/search", "/collections/list%00", "/collections/<b>"],
)  # fmt: skip
def test_an_unknown_call_gets_404_and_no_html(api, path):
    answer = api.send(path, b'{"project_id": "p"}')
    assert answer.status_code == 404
    assert answer.json()["message"].startswith("there is no call ")


# Wrong requests --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def table(api: Api) -> Iterator[Table]:
    """Return an empty collection that no wrong request may change: that is looked at when all were sent."""
    with api.table(dimension=2) as table:
        yield table
        assert api.ok("collections/list") == [table.name]
        assert table.ok("indexes/list") == ["vector"]
        assert table.ok("partitions/list") == ["_default"]
        assert table.rows() == 0


SCHEMA = {"fields": [column("id", "Int64", primary=True), column("v", "FloatVector", dim=2)]}


def changed(path: str, value: Any) -> dict:
    """Return SCHEMA, copied, with one value set; `path` is keys and positions joined by dots."""
    copy = orjson.loads(orjson.dumps(SCHEMA))
    *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    functools.reduce(lambda part, step: part[step], way, copy)[last] = value
    return copy


CREATE, FIND, HYBRID = "collections/create", "vectors/search", "vectors/hybrid_search"
NEW: dict = {"collectionName": "never"}
SEARCH = {"data": [1, 0], "annsField": "vector"}
STORE = {"data": {"id": 1, "vector": [1, 0]}}
RRF = {"rerank": {"strategy": "rrf"}}
WRONG_INDEXES = [
    ({"kind": "IVF_PQ"}, "there is no index_type 'IVF_PQ'; allowed: FLAT, IVF_FLAT, HNSW"),
    ({"kind": "hnsw"}, "there is no index_type 'hnsw'; allowed: FLAT, IVF_FLAT, HNSW"),
    ({"kind": ""}, "allowed: FLAT, IVF_FLAT, HNSW"),
    ({"kind": "FLAT", "nlist": 8}, "FLAT takes no parameter, not nlist"),
    ({"kind": "IVF_FLAT", "M": 8}, "IVF_FLAT takes nlist, not M"),
    ({"kind": "HNSW", "nlist": 8}, "HNSW takes M and efConstruction, not nlist"),
    ({"kind": "IVF_FLAT", "nlist": 0}, "nlist: .*greater than or equal to 1"),
    ({"kind": "IVF_FLAT", "nlist": 65_537}, "nlist: .*less than or equal to 65536"),
    ({"kind": "IVF_FLAT", "nlist": "8"}, "nlist: .*integer"),
    ({"kind": "HNSW", "M": 1}, "M: .*greater than or equal to 2"),
    ({"kind": "HNSW", "M": 2049}, "M: .*less than or equal to 2048"),
    ({"kind": "HNSW", "efConstruction": 0}, "efConstruction: .*greater than or equal to 1"),
    ({"kind": "HNSW", "M": 64, "efConstruction": 8}, r"efConstruction \(8\) must be at least M \(64\)"),
    ({"metric": "HAMMING"}, "HAMMING compares BinaryVector"),
]
WRONG = [
    # what a newcomer's client may get wrong: verb, body, words of the answer
    ("collections/list", {"collectionName": "c"}, "unknown field 'collectionName'"),
    ("collections/has", {"projectId": "p"}, "unknown field 'projectId'"),
    ("collections/has", {"project_id": 3}, "project_id: .*string"),
    ("collections/has", {"project_id": None}, "project_id: .*string"),
    ("collections/has", {"collectionName": None}, "collectionName: .*string"),
    ("collections/has", {"collection_name": "c"}, "required|unknown field"),
    ("collections/has", {"collectionName": ["c"]}, "collectionName: .*string"),
    ("collections/rename", {}, "newCollectionName: Field required"),
    (CREATE, NEW, "give a schema, or a dimension"),
    (CREATE, {**NEW, "dimension": "2"}, "dimension: .*integer"),
    (CREATE, {**NEW, "dimension": 2.0}, "dimension: .*integer"),
    (CREATE, {**NEW, "dimension": True}, "dimension: .*integer"),
    (CREATE, {**NEW, "dimension": 0}, "dimension: .*greater than or equal to 1"),
    (CREATE, {**NEW, "dimension": 32_769}, "dimension: .*less than or equal to 32768"),
    (CREATE, {**NEW, "dimension": 2, "metricType": "EUCLID"}, "'COSINE', 'IP', 'L2'"),
    (CREATE, {**NEW, "dimension": 2, "metricType": "HAMMING"}, "HAMMING compares BinaryVector"),
    (CREATE, {**NEW, "dimension": 2, "idType": "Int32"}, "'Int64' or 'VarChar'"),
    (CREATE, {**NEW, "dimension": 2, "idType": "VarChar", "autoID": True}, "autoID needs an Int64 primary key"),
    (CREATE, {**NEW, "dimension": 2, "primaryFieldName": "a", "vectorFieldName": "a"},
     "field names must differ: a is there twice"),
    (CREATE, {**NEW, "dimension": 2, "primaryFieldName": "a", "vectorFieldName": "id"}, "'id' is taken"),
    (CREATE, {**NEW, "dimension": 2, "primaryFieldName": "distance"}, "'distance' is taken"),
    (CREATE, {**NEW, "dimension": 2, "params": {"maxLength": 5}}, "params.maxLength"),
    (CREATE, {**NEW, "dimension": 2, "params": {"ttlSeconds": 0}}, "ttlSeconds: .*greater than or equal to 1"),
    (CREATE, {**NEW, "dimension": 2, "params": {"partitionsNum": 4}}, "partitionsNum is for .* a partition key"),
    (CREATE, {**NEW, "dimension": 2, "metricType": "L2", "indexParams": [INDEX | {"metricType": "IP"}]},
     "metricType is L2, but no index in indexParams has it"),
    (CREATE, {**NEW, "schema": SCHEMA, "dimension": 3}, "dimension is 3, but no vector field of the schema has this"),
    (CREATE, {**NEW, "schema": SCHEMA, "metricType": "L2"}, "metricType is L2, but no index in indexParams has it"),
    (CREATE, {**NEW, "schema": changed("enableDynamicField", True), "params": {"enableDynamicField": False}},
     "enableDynamicField is true in one place and false in the other"),
    (CREATE, {**NEW, "schema": changed("enableDynamicField", False), "params": {"enableDynamicField": True}},
     "enableDynamicField is true in one place and false in the other"),
    (CREATE, {**NEW, "schema": []}, "schema: "),
    (CREATE, {**NEW, "schema": changed("x", 1)}, "unknown field 'schema.x'"),
    (CREATE, {**NEW, "schema": changed("fields", [])}, "schema.fields: .*at least 1"),
    (CREATE, {**NEW, "schema": changed("fields.0.x", 1)}, "unknown field 'schema.fields.0.x'"),
    (CREATE, {**NEW, "schema": changed("fields.0.field_name", "a")}, "field_name"),
    (CREATE, {**NEW, "schema": changed("fields.0.isPrimary", 1)}, "isPrimary: .*boolean"),
    (CREATE, {**NEW, "schema": changed("fields.0", {"fieldName": "k", "dataType": "Int64"})}, "exactly one field"),
    (CREATE, {**NEW, "schema": changed("fields.0.isPartitionKey", True)}, "that is not the primary key"),
    (CREATE, {**NEW, "schema": changed("fields.0.dataType", "int64")}, "dataType: .*'Int64'"),
    (CREATE, {**NEW, "schema": changed("fields.0.dataType", "Int32")}, "Int64 or VarChar"),
    (CREATE, {**NEW, "schema": changed("fields.0.dataType", "VarChar")}, "max_length"),
    (CREATE, {**NEW, "schema": changed("fields.1.fieldName", "distance")}, "is taken"),
    (CREATE, {**NEW, "schema": changed("fields.1.elementTypeParams", {})}, "dim, its length"),
    (CREATE, {**NEW, "schema": changed("fields.1.elementTypeParams.dim", "2")}, "integer"),
    (CREATE, {**NEW, "schema": changed("fields.1.elementTypeParams.Dim", 2)}, "Dim"),
    (CREATE, {**NEW, "schema": changed("fields.1", column("v", "BinaryVector", dim=9))}, "a dim that 8 divides"),
    (CREATE, {**NEW, "schema": changed("fields.1", column("a", "Array", max_capacity=3))}, "needs an elementDataType"),
    (CREATE, {**NEW, "schema": changed("fields.1", column("a", "Array", element="JSON", max_capacity=3))},
     "needs an elementDataType"),
    (CREATE, {**NEW, "schema": changed("fields.1", column("a", "JSON", element="Int8"))}, "is for an Array"),
    (CREATE, {**NEW, "schema": {"fields": SCHEMA["fields"][:1]}}, "needs at least one vector"),
    (CREATE, {**NEW, "schema": {"fields": [SCHEMA["fields"][n] for n in (0, 1, 1)]}}, "v is there twice"),
    (CREATE, {**NEW, "schema": SCHEMA, "indexParams": [INDEX]}, "'vector' is not a vector field"),
    *((CREATE, {**NEW, "schema": SCHEMA, "indexParams": [index(**kind)]}, words) for kind, words in WRONG_INDEXES),
    *(("indexes/create", {"indexParams": [index(on="vector", **kind)]}, words) for kind, words in WRONG_INDEXES),
    ("partitions/create", {"partitionName": "a/b"}, "is not a valid name"),
    ("partitions/create", {}, "partitionName: Field required"),
    ("partitions/drop", {"partitionName": "_default"}, "can't be dropped"),
    ("partitions/load", {"partitionNames": []}, "partitionNames: .*at least 1"),
    ("partitions/load", {"partitionNames": "a"}, "partitionNames: .*list"),
    ("indexes/create", {"indexParams": []}, "indexParams: .*at least 1"),
    ("indexes/create", {"indexParams": INDEX}, "indexParams: .*list"),
    ("indexes/create", {"indexParams": [{**INDEX, "x": 1}]}, "unknown field 'indexParams.0.x'"),
    ("indexes/create", {"indexParams": [index(on="id")]}, "'id' is not a vector field of this collection"),
    ("indexes/describe", {}, "indexName: Field required"),
    ("vectors/insert", {**STORE, "data": []}, "data: it holds no row"),
    ("vectors/insert", {**STORE, "data": "x"}, "data: .*list"),
    ("vectors/insert", {**STORE, "data": [[1, 0]]}, "data.0: .*dictionary"),
    ("vectors/insert", {**STORE, "data": {}}, "row 0 misses .*'id', 'vector'"),
    ("vectors/insert", {**STORE, "rows": []}, "unknown field 'rows'"),
    (FIND, {**SEARCH, "data": []}, "data: .*at least 1"),
    (FIND, {**SEARCH, "data": [[]]}, "vectors of 2 numbers; yours has 0"),
    (FIND, {**SEARCH, "data": [1]}, "vectors of 2 numbers; yours has 1"),
    (FIND, {**SEARCH, "data": [[1, 0], [1]]}, "yours has 1: .*vector 1"),
    (FIND, {**SEARCH, "data": [[1, 0], 1]}, "vector 1 .* is not a list"),
    (FIND, {**SEARCH, "data": [1, [1]]}, "not a number"),
    (FIND, {**SEARCH, "data": [[[1, 0]]]}, "yours has 1"),
    (FIND, {**SEARCH, "data": [1, None]}, "null stands for NaN"),
    (FIND, {**SEARCH, "data": [1, "0"]}, "not a number"),
    (FIND, {**SEARCH, "data": [1, True]}, "not a number"),
    (FIND, {**SEARCH, "data": [1, 1e39]}, "too large for 32 bits"),
    (FIND, {**SEARCH, "data": {"v": [1, 0]}}, "data: .*list"),
    (FIND, {**SEARCH, "annsField": "id"}, "'id' is not a vector field of this collection; there is: vector"),
    (FIND, {**SEARCH, "annsField": "nosuch"}, "'nosuch' is not a vector field"),
    (FIND, {**SEARCH, "limit": 0}, "limit: .*greater than or equal to 1"),
    (FIND, {**SEARCH, "limit": 16_385}, "limit: .*less than or equal to 16384"),
    (FIND, {**SEARCH, "limit": 10.0}, "limit: .*integer"),
    (FIND, {**SEARCH, "limit": True}, "limit: .*integer"),
    (FIND, {**SEARCH, "offset": -1}, "offset: "),
    (FIND, {**SEARCH, "limit": 16_384, "offset": 1}, r"limit \+ offset is 16,385; at most 16,384"),
    (FIND, {**SEARCH, "outputFields": ["id", "nosuch"]}, "no field 'nosuch' in this collection; it has: id, v"),
    (FIND, {**SEARCH, "outputFields": "id"}, "outputFields: .*list"),
    (FIND, {**SEARCH, "groupingField": "vector"}, "hits can't be grouped by 'vector'; by these they can: id"),
    (FIND, {**SEARCH, "groupingField": "nosuch"}, "hits can't be grouped by 'nosuch'"),
    (FIND, {**SEARCH, "filter": 3}, "filter: .*string"),
    (FIND, {**SEARCH, "searchParams": {"metric_type": "L2"}}, "unknown field 'searchParams.metric_type'"),
    (FIND, {**SEARCH, "searchParams": {"metricType": "IP"}}, "compares by COSINE, not by IP"),
    (FIND, {**SEARCH, "searchParams": {"params": {"nprobes": 3}}}, "searchParams.params.nprobes"),
    (FIND, {**SEARCH, "searchParams": {"params": {"nprobe": 0}}}, "nprobe: .*greater"),
    (FIND, {**SEARCH, "searchParams": {"params": {"ef": 0}}}, "ef: .*greater"),
    (FIND, {**SEARCH, "searchParams": {"params": {"radius": "0.5"}}}, "radius: .*number"),
    (FIND, {**SEARCH, "searchParams": {"params": {"radius": True}}}, "radius: .*number"),
    (FIND, {**SEARCH, "searchParams": {"params": {"radius": 0.9, "range_filter": 0.9}}},
     "no distance is in this range: COSINE keeps radius < distance <= range_filter"),
    *(
        (FIND, {**SEARCH, "data": data}, "a query vector of zeros has no direction")
        for data in ([0, 0], [-0.0, 0], [1e-30, 0], [1e-300, 0], [[1, 0], [0, 0]])
    ),
    (HYBRID, {"search": [], **RRF}, "search: .*at least 1"),
    (HYBRID, {"search": [SEARCH]}, "rerank: Field required"),
    (HYBRID, {"search": [SEARCH], "rerank": {"strategy": "best"}}, "rerank.*'rrf', 'weighted'"),
    (HYBRID, {"search": [SEARCH], "rerank": {"strategy": "weighted", "params": {"weights": [1.0, 1.0]}}},
     "2 weights for 1 searches"),
    (HYBRID, {"search": [{**SEARCH, "data": [[1, 0], [0, 1]]}], **RRF}, "search.0.data: 2 query vectors; at most 1"),
    (HYBRID, {"search": [SEARCH, {**SEARCH, "metricType": "L2"}], **RRF}, "compares by COSINE, not by L2"),
    (HYBRID, {"search": [{**SEARCH, "outputFields": []}], **RRF}, "unknown field 'search.0.outputFields'"),
    ("vectors/query", {}, "filter: Field required"),
    ("vectors/query", {"filter": ""}, "filter: "),
    ("vectors/query", {"filter": "id > 0", "limit": 3}, "unknown field 'limit'"),
    ("vectors/get", {}, "id: Field required"),
    ("vectors/get", {"id": ["1"]}, "'1' is not a valid Int64, the type of the key 'id'"),
    ("vectors/get", {"id": [True]}, "True is not a valid Int64"),
    ("vectors/get", {"id": [1.5]}, "1.5 is not a valid Int64"),
    ("vectors/get", {"id": [2**63]}, "9223372036854775808 is not a valid Int64"),
    ("vectors/get", {"id": {"a": 1}}, "is not a valid Int64"),
    ("vectors/delete", {}, "filter: Field required"),
    ("vectors/delete", {"id": [1]}, "unknown field 'id'|filter: Field required"),
    # limits
    ("vectors/insert", {"data": [{}] * 100_001}, "data: 100,001 rows; at most 100,000 in one call"),
    (FIND, {**SEARCH, "data": [[1, 0]] * 16_385}, "data: 16,385 query vectors; at most 16,384 in one call"),
    (FIND, {**SEARCH, "data": [[1, 0]] * 100, "limit": 10_001}, r"100 queries .* 1,000,100 hits; at most 1,000,000"),
    (FIND, {**SEARCH, "groupingField": "id", "limit": 1_000, "offset": 25}, "with a groupingField at most 1,024"),
    (FIND, {**SEARCH, "outputFields": ["id"] * 1_025}, "outputFields: .*at most 1024"),
    (FIND, {**SEARCH, "outputFields": ["x" * 65_537]}, "outputFields.0: .*at most 65536"),
    (FIND, {**SEARCH, "partitionNames": ["_default"] * 1_025}, "partitionNames: .*at most 1024"),
    (FIND, {**SEARCH, "filter": " " * 1_000_001}, "filter: .*at most 1000000"),
    (HYBRID, {"search": [SEARCH] * 17, **RRF}, "search: .*at most 16"),
    (HYBRID, {"search": [SEARCH] * 16, "rerank": {"strategy": "weighted", "params": {"weights": [1.0] * 17}}},
     "weights: .*at most 16"),
    ("vectors/get", {"id": [1] * 16_385}, "id: 16,385 keys; at most 16,384 in one call"),
    ("partitions/load", {"partitionNames": ["_default"] * 1_025}, "partitionNames: .*at most 1024"),
    ("indexes/create", {"indexParams": [INDEX] * 65}, "indexParams: .*at most 64"),
    (CREATE, {**NEW, "dimension": 2, "params": {"ttlSeconds": 2**31}}, "ttlSeconds: .*less than 2147483648"),
]  # fmt: skip


@pytest.mark.parametrize(("verb", "sent", "words"), WRONG)
def test_a_wrong_request_is_refused_with_the_place_and_changes_nothing(api, table, verb, sent, words):
    named = {} if verb == "collections/list" else {"collectionName": table.name}
    message = api.refused(400, verb, **{**named, **sent})
    assert re.search(words, message), message


NOT_THERE = [
    ("indexes/describe", {"indexName": "nosuch"}, "no index 'nosuch'"),
    ("indexes/drop", {"indexName": "nosuch"}, "no index 'nosuch'"),
    *((f"partitions/{verb}", {"partitionName": "nosuch"}, "no partition 'nosuch'") for verb in ("drop", "get_stats")),
    *((f"partitions/{verb}", {"partitionNames": ["nosuch"]}, "no partition 'nosuch'") for verb in ("load", "release")),
    (FIND, {**SEARCH, "partitionNames": ["_default", "nosuch"]}, "no partition 'nosuch'"),
    (HYBRID, {"search": [SEARCH], **RRF, "partitionNames": ["nosuch"]}, "no partition 'nosuch'"),
    ("vectors/query", {"filter": "id > 0", "partitionNames": ["nosuch"]}, "no partition 'nosuch'"),
    ("vectors/get", {"id": 1, "partitionNames": ["nosuch"]}, "no partition 'nosuch'"),
    ("vectors/insert", {**STORE, "partitionName": "nosuch"}, "no partition 'nosuch'"),
    ("vectors/upsert", {**STORE, "partitionName": "nosuch"}, "no partition 'nosuch'"),
    ("vectors/delete", {"filter": "id > 0", "partitionName": "nosuch"}, "no partition 'nosuch'"),
]


@pytest.mark.parametrize(("verb", "sent", "words"), NOT_THERE)
def test_a_partition_or_an_index_that_is_not_there_is_404_and_says_what_is(table, verb, sent, words):
    message = table.refused(404, verb, **sent)
    assert words in message
    assert "there is: _default" in message or "there is: vector" in message


# Names -----------------------------------------------------------------------------------------------------------

BAD_NAMES = ["", " ", "..", ".", "../up", "a/b", "a\\b", "/etc", "C:\\x", "a.b", "a b", "a-b", "1a", "é", "名前", "a\n",
             "a\0", "a'", 'a"', "a`", "a;", "%2e", "a" * 256, "a" * 300, "\U0001f600"]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES, ids=lambda name: repr(name)[:12])
def test_a_name_that_could_leave_its_folder_or_its_query_is_refused(api, table, name):
    here = {"collectionName": table.name}
    tries = [
        (CREATE, {"collectionName": name, "dimension": 2}),
        ("collections/drop", {"collectionName": name}),
        ("collections/has", {"collectionName": name}),
        ("collections/rename", {**here, "newCollectionName": name}),
        (CREATE, {**NEW, "schema": changed("fields.1.fieldName", name)}),
        (CREATE, {**NEW, "dimension": 2, "vectorFieldName": name}),
        ("partitions/create", {**here, "partitionName": name}),
        ("partitions/release", {**here, "partitionNames": [name]}),
        ("indexes/create", {**here, "indexParams": [{**INDEX, "indexName": name}]}),
        ("vectors/insert", {**here, **STORE, "partitionName": name}),
        (FIND, {**here, **SEARCH, "annsField": name}),
    ]
    if name not in ("a-b", "1a"):  # projects may be called so
        tries.append(("collections/has", {**here, "project_id": name}))
    for verb, sent in tries:
        message = api.refused(400, verb, **sent)
        assert re.search("is not a valid .*name", message)
        assert len(message) < 300


def test_names_of_255_letters_and_words_of_sql_are_good_names(api):
    words = ["select", "order", "V", "_score", "group", "where", "null", "count", "_x", "a" * 255]
    name = "b" * 255
    api.ok("collections/create", collectionName=name, **body(*(column(word, "Int64") for word in words)))
    try:
        table = Table(api, name)
        table.insert({"id": 1, "v": [1, 0], **{word: n for n, word in enumerate(words)}})
        where = " and ".join(f"{word} == {n}" for n, word in enumerate(words))
        (hit,) = table.search([1, 0], filter=where, outputFields=["*"])
        assert hit == {"distance": 1.0, "id": 1, "v": [1.0, 0.0], **{word: n for n, word in enumerate(words)}}
    finally:
        api.post("collections/drop", collectionName=name)


def test_a_field_named_like_a_word_of_filters_is_refused_at_its_creation(api):
    """Stored, no filter could ever name it."""
    for word in sorted(RESERVED):
        shapes = {"schema": shape(column(word, "Int64"))}, {"dimension": 2, "primaryFieldName": word}
        for sent in shapes:
            message = api.refused(400, CREATE, collectionName="new", **sent)
            assert message == f"a field can't be called {word!r}: filters use this word, so rename the field"
    assert api.ok("collections/has", collectionName="new") == {"has": False}


def test_fields_named_almost_like_words_of_filters_are_found_by_filters(make):
    words = {word.capitalize() for word in RESERVED} - RESERVED
    words |= {f"{word}_" for word in RESERVED} | {f"_{word}" for word in RESERVED}
    names = sorted(words | {"nothing", "order", "android", "inside", "is", "null", "existing", "liked", "truest"})
    for some in (names[:40], names[40:]):  # a collection has at most 64 fields
        table = make(**body(*(column(name, "Int64") for name in some)))
        table.insert({"id": 1, "v": [1, 0], **dict.fromkeys(some, 7)})
        for name in some:
            for filter in (f"{name} == 7", f"not ({name} != 7)", f"0 < {name} < 9", f"{name} not in [1]"):
                assert ids(table.query(filter)) == [1], filter


def test_a_renamed_collection_keeps_its_rows_and_no_other_loses_its_name(make, api, table):
    table, other = make(dimension=2, vectorFieldName="v"), table
    table.insert({"id": 1, "v": [1, 0]})
    for taken, status in ((table.name, 400), (other.name, 409)):
        table.refused(status, "collections/rename", newCollectionName=taken)
    new = Table(api, f"{table.name}_renamed")
    assert table.ok("collections/rename", newCollectionName=new.name) == "collection renamed"
    try:
        assert table.ok("collections/has") == {"has": False}
        table.refused(404, "vectors/query", filter=ALL)
        assert new.query() == [{"id": 1, "v": [1.0, 0.0]}]
        assert new.search([2, 0]) == [{"distance": 1.0, "id": 1}]
        new.insert({"id": 2, "v": [0, 1]})
        assert new.rows() == 2
        new.refused(409, "collections/rename", newCollectionName=other.name)
        assert sorted(api.ok("collections/list")) == sorted([new.name, other.name])
    finally:
        new.ok("collections/rename", newCollectionName=table.name)
