"""The local Memora keeps the REST contract: statuses, shapes, distances, ids, types, indexes; no stack trace ever."""

import functools
import http.client
import logging
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import filelock
import httpx
import numpy as np
import orjson
import pytest
from werkzeug.serving import make_server

from helpers.connect import ROOT, local_client
from helpers.local_memora import create_app, service
from helpers.local_memora.app import MAX_BODY, VERBS
from helpers.memora import AlreadyExistsError, InvalidRequestError, Memora, NotFoundError, UnavailableError
from helpers.memora.models import Collection, ElementTypeParams, Field, Index, IndexConfig, Schema

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


def text(name: str, max_length: int, **more: Any) -> Field:
    return Field(name, "VarChar", element_type_params=ElementTypeParams(max_length=max_length), **more)


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


class Wire:
    """The bare wire: what a client in any language would send."""

    def __init__(self, home: Path, key: str = "the-key", sent: str = "the-key") -> None:
        app = create_app(home, key, ("p", "q"))
        self.http = httpx.Client(
            transport=httpx.WSGITransport(app=app), base_url="http://memora.test", headers={"Api-Key": sent}
        )

    def send(self, path: str, content: bytes, method: str = "POST", **headers: str) -> httpx.Response:
        answer = self.http.request(method, path, content=content, headers=headers)
        assert answer.headers["Content-Type"] == "application/json"
        for leak in ("Traceback", 'File "', "<html", "<!doctype", "site-packages", "pydantic", "lance"):
            assert leak not in answer.text
        return answer

    def post(self, path: str, **body: Any) -> tuple[int, Any]:
        answer = self.send(path, orjson.dumps({"project_id": "p", **body}))
        said = answer.json()
        if answer.status_code >= 400:
            assert said.keys() == {"message"}
            assert isinstance(said["message"], str)
            assert said["message"]
        else:
            assert said.keys() in ({"data"}, {"message"})
        return answer.status_code, said.get("data", said.get("message"))


@pytest.fixture
def wire(tmp_path) -> Wire:
    return Wire(tmp_path)


# The wire ------------------------------------------------------------------------------------------------------

INDEX = {"metricType": "L2", "fieldName": "vector", "indexName": "i", "params": {"index_type": "FLAT"}}
# verb: body, status, answer; in this order on one collection
VERBS_IN_ORDER: list[tuple[str, dict, int, Any]] = [
    ("collections/create", {"collectionName": "c", "dimension": 2, "metricType": "L2"}, 201, "collection created"),
    ("collections/create", {"collectionName": "c", "dimension": 2}, 409, None),
    ("collections/list", {}, 200, ["c"]),
    ("collections/has", {"collectionName": "c"}, 200, {"has": True}),
    ("collections/has", {"collectionName": "d"}, 200, {"has": False}),
    ("indexes/list", {"collectionName": "c"}, 200, ["vector"]),
    ("indexes/create", {"collectionName": "c", "indexParams": [INDEX]}, 409, None),
    ("indexes/drop", {"collectionName": "c", "indexName": "vector"}, 200, "index dropped"),
    ("indexes/drop", {"collectionName": "c", "indexName": "vector"}, 404, None),
    ("indexes/create", {"collectionName": "c", "indexParams": [INDEX]}, 201, "index created"),
    ("indexes/describe", {"collectionName": "c", "indexName": "x"}, 404, None),
    ("vectors/insert", {"collectionName": "c", "data": {"id": 1, "vector": [1, 0]}}, 200,
     {"insertCount": 1, "insertIds": [1]}),
    ("vectors/insert", {"collectionName": "c", "data": [{"id": 1, "vector": [1, 0]}]}, 409, None),
    ("vectors/upsert", {"collectionName": "c", "data": [{"id": 1, "vector": [0, 1]}, {"id": 2, "vector": [0, 3]}]}, 200,
     {"upsertCount": 2, "upsertIds": [1, 2]}),
    ("collections/load", {"collectionName": "c"}, 200, "collection loaded"),
    ("collections/get_stats", {"collectionName": "c"}, 200, {"rowCount": 2}),
    ("indexes/describe", {"collectionName": "c", "indexName": "i"}, 200,
     [{"fieldName": "vector", "indexName": "i", "indexState": "Finished", "indexType": "FLAT", "indexedRows": 2,
       "metricType": "L2", "pendingRows": 0, "totalRows": 2, "failReason": ""}]),
    ("vectors/search", {"collectionName": "c", "data": [0, 1], "annsField": "vector"}, 200,
     [{"distance": 0.0, "id": 1}, {"distance": 4.0, "id": 2}]),
    ("vectors/query", {"collectionName": "c", "filter": "id > 1"}, 200, [{"id": 2, "vector": [0.0, 3.0]}]),
    ("vectors/get", {"collectionName": "c", "id": [2, 9], "outputFields": ["id"]}, 200, [{"id": 2}]),
    ("vectors/delete", {"collectionName": "c", "filter": "id == 2"}, 200, "1 rows deleted"),
    ("collections/describe", {"collectionName": "c"}, 200, {
        "autoID": False, "collectionID": 1, "collectionName": "c", "description": "", "enableDynamicField": False,
        "fields": [
            {"autoId": False, "description": "", "id": 100, "name": "id", "params": [], "partitionKey": False,
             "primaryKey": True, "type": "Int64"},
            {"autoId": False, "description": "", "id": 101, "name": "vector",
             "params": [{"key": "dim", "value": "2"}], "partitionKey": False, "primaryKey": False,
             "type": "FloatVector"},
        ],
        "indexes": [{"fieldName": "vector", "indexName": "i", "metricType": "L2"}],
        "load": "LoadStateLoaded", "partitionNum": 1, "properties": [],
    }),
    ("collections/drop", {"collectionName": "c"}, 200, "collection dropped"),
    ("collections/drop", {"collectionName": "c"}, 404, None),
]  # fmt: skip


def test_every_verb_answers_with_the_contracts_status_and_shape(wire):
    assert {verb for verb, *_ in VERBS_IN_ORDER} == VERBS.keys()
    for verb, body, status, answer in VERBS_IN_ORDER:
        got = wire.post(verb, **body)
        assert got[0] == status, (verb, got)
        if answer is not None:
            assert got[1] == answer, verb


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_a_wrong_key_opens_nothing_and_another_project_is_not_this_keys(tmp_path, verb):
    for sent in ("", "the-keys", "The-Key"):
        assert Wire(tmp_path, sent=sent).send(verb, b"{}").status_code == 401
    right = Wire(tmp_path)
    assert right.http.post(verb, content=b"{}", headers={"Api-Key": ""}).status_code == 401
    bodies = {
        "collections/create": {"dimension": 2},
        "indexes/create": {"indexParams": [INDEX]},
        "indexes/describe": {"indexName": "i"},
        "indexes/drop": {"indexName": "i"},
        "vectors/insert": {"data": {"id": 1}},
        "vectors/upsert": {"data": {"id": 1}},
        "vectors/search": {"data": [1], "annsField": "v"},
        "vectors/query": {"filter": "true"},
        "vectors/get": {"id": 1},
        "vectors/delete": {"filter": "true"},
    }
    named = {} if verb == "collections/list" else {"collectionName": "c"}
    status, message = right.post(verb, project_id="other", **named, **bodies.get(verb, {}))
    assert (status, message) == (403, "this key does not open the project 'other'")
    if named and verb not in ("collections/create", "collections/has"):
        assert right.post(verb, **named, **bodies.get(verb, {}))[0] == 404  # the same body in the key's own project


def test_two_projects_with_the_same_collection_name_do_not_see_each_other(wire):
    for project, dim in (("p", 2), ("q", 3)):
        assert wire.post("collections/create", project_id=project, collectionName="c", dimension=dim)[0] == 201
        row = {"id": 1, "vector": [dim] * dim}
        assert wire.post("vectors/insert", project_id=project, collectionName="c", data=row)[0] == 200
    for project, dim in (("p", 2), ("q", 3)):
        rows = wire.post("vectors/query", project_id=project, collectionName="c", filter="true")[1]
        assert rows == [{"id": 1, "vector": [dim] * dim}]
    assert wire.post("vectors/delete", project_id="p", collectionName="c", filter="true")[0] == 200
    assert wire.post("collections/drop", project_id="p", collectionName="c")[0] == 200
    assert wire.post("collections/list", project_id="p") == (200, [])
    assert wire.post("collections/list", project_id="q") == (200, ["c"])
    assert wire.post("collections/get_stats", project_id="q", collectionName="c") == (200, {"rowCount": 1})


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"nonsense", b"[1]", b'"text"', b"null", b"3", b'{"project_id": NaN}', b"[" * 50_000,
     b'{"project_id": "\\ud800"}', b'{"project_id": "p",}', b"{'project_id': 'p'}"],
)  # fmt: skip
def test_a_body_that_is_no_json_object_is_told_so(wire, content):
    answer = wire.send("collections/list", content)
    assert answer.status_code == 400
    assert "JSON" in answer.json()["message"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_than_post_get_a_message_and_no_html(wire, method):
    answer = wire.send("collections/list", b"", method=method)
    assert answer.status_code == 405
    if method != "HEAD":
        assert answer.json() == {"message": f"/collections/list takes POST, not {method}"}


@pytest.mark.parametrize(
    "path",
    ["/", "/collections", "/collections/", "/collections/nosuch", "/nosql/list", "/collections/list/",
     "/collections//list", "//collections/list", "/a/b/c", "/collections/%2e%2e", "/collections/../../etc/passwd",
     "/COLLECTIONS/LIST", "/vectors/list", "/indexes/search", "/collections/list%00", "/collections/<b>"],
)  # fmt: skip
def test_an_unknown_call_gets_404_and_no_html(wire, path):
    answer = wire.send(path, b'{"project_id": "p"}')
    assert answer.status_code == 404
    assert answer.json()["message"].startswith("there is no call ")


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


SCHEMA = {
    "fields": [
        {"fieldName": "id", "dataType": "Int64", "isPrimary": True},
        {"fieldName": "v", "dataType": "FloatVector", "elementTypeParams": {"dim": 2}},
    ]
}


def changed(path: str, value: Any) -> dict:
    """Return SCHEMA, copied, with one value set; `path` is keys and positions joined by dots."""
    copy = orjson.loads(orjson.dumps(SCHEMA))
    *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    functools.reduce(lambda part, step: part[step], way, copy)[last] = value
    return copy


CREATE, FIND, NEW = "collections/create", "vectors/search", {"collectionName": "d"}
SEARCH = {"collectionName": "c", "data": [1, 0], "annsField": "vector"}
STORE = {"collectionName": "c", "data": {"id": 1, "vector": [1, 0]}}
WRONG = [
    # what a newcomer's client may get wrong: verb, body, words of the answer
    ("collections/list", {"x": 1}, "unknown field 'x'"),
    ("collections/list", {"projectId": "p"}, "unknown field 'projectId'"),
    ("collections/list", {"project_id": 3}, "project_id: .*string"),
    ("collections/list", {"project_id": None}, "project_id: .*string"),
    ("collections/has", {}, "collectionName: Field required"),
    ("collections/has", {"collection_name": "c"}, "required|unknown field"),
    ("collections/has", {"collectionName": ["c"]}, "collectionName: .*string"),
    (CREATE, NEW, "give a schema, or a dimension"),
    (CREATE, {**NEW, "dimension": "2"}, "dimension: .*integer"),
    (CREATE, {**NEW, "dimension": 2.0}, "dimension: .*integer"),
    (CREATE, {**NEW, "dimension": True}, "dimension: .*integer"),
    (CREATE, {**NEW, "dimension": 0}, "dimension: .*greater than or equal to 1"),
    (CREATE, {**NEW, "dimension": 32_769}, "dimension: .*less than or equal to 32768"),
    (CREATE, {**NEW, "dimension": 2, "metricType": "HAMMING"}, "'COSINE', 'IP' or 'L2'"),
    (CREATE, {**NEW, "dimension": 2, "idType": "Int32"}, "'Int64' or 'VarChar'"),
    (CREATE, {**NEW, "dimension": 2, "idType": "VarChar", "autoID": True},
     "autoID needs an Int64 primary key"),
    (CREATE, {**NEW, "dimension": 2, "primaryFieldName": "a", "vectorFieldName": "a"},
     "field names must differ: a is there twice"),
    (CREATE, {**NEW, "dimension": 2, "primaryFieldName": "a", "vectorFieldName": "id"},
     "'id' is taken"),
    (CREATE, {**NEW, "dimension": 2, "primaryFieldName": "distance"}, "'distance' is taken"),
    (CREATE, {**NEW, "dimension": 2, "params": {"maxLength": 5}}, "params.maxLength"),
    (CREATE, {**NEW, "schema": []}, "schema: "),
    (CREATE, {**NEW, "schema": changed("x", 1)}, "unknown field 'schema.x'"),
    (CREATE, {**NEW, "schema": changed("fields", [])}, "schema.fields: .*at least 1"),
    (CREATE, {**NEW, "schema": changed("fields.0.x", 1)}, "unknown field 'schema.fields.0.x'"),
    (CREATE, {**NEW, "schema": changed("fields.0.field_name", "a")}, "field_name"),
    (CREATE, {**NEW, "schema": changed("fields.0.isPrimary", 1)}, "isPrimary: .*boolean"),
    (CREATE, {**NEW, "schema": changed("fields.0", {"fieldName": "k", "dataType": "Int64"})}, "exactly one field"),
    (CREATE, {**NEW, "schema": changed("fields.0.dataType", "int64")}, "dataType: .*'Int64'"),
    (CREATE, {**NEW, "schema": changed("fields.0.dataType", "Int32")}, "Int64 or VarChar"),
    (CREATE, {**NEW, "schema": changed("fields.0.dataType", "VarChar")}, "max_length"),
    (CREATE, {**NEW, "schema": changed("fields.1.fieldName", "distance")}, "is taken"),
    (CREATE, {**NEW, "schema": changed("fields.1.fieldName", "_distance")}, "is taken"),
    (CREATE, {**NEW, "schema": changed("fields.1.fieldName", "_rowid")}, "is taken"),
    (CREATE, {**NEW, "schema": changed("fields.1.elementTypeParams", {})}, "dim, its length"),
    (CREATE, {**NEW, "schema": changed("fields.1.elementTypeParams.dim", "2")}, "integer"),
    (CREATE, {**NEW, "schema": changed("fields.1.elementTypeParams.Dim", 2)}, "Dim"),
    (CREATE, {**NEW, "schema": {"fields": SCHEMA["fields"][:1]}}, "needs at least one vector"),
    (CREATE, {**NEW, "schema": {"fields": [SCHEMA["fields"][n] for n in (0, 1, 1)]}},
     "v is there twice"),
    (CREATE, {**NEW, "schema": SCHEMA, "indexParams": [INDEX]}, "'vector' is no vector field"),
    ("indexes/create", {"collectionName": "c", "indexParams": []}, "indexParams: .*at least 1"),
    ("indexes/create", {"collectionName": "c", "indexParams": INDEX}, "indexParams: .*list"),
    ("indexes/create", {"collectionName": "c", "indexParams": [{**INDEX, "x": 1}]}, "unknown field 'indexParams.0.x'"),
    ("indexes/describe", {"collectionName": "c"}, "indexName: Field required"),
    ("vectors/insert", {**STORE, "data": []}, "data holds no row"),
    ("vectors/insert", {**STORE, "data": "x"}, "data: .*list"),
    ("vectors/insert", {**STORE, "data": [[1, 0]]}, "data.0: .*dictionary"),
    ("vectors/insert", {**STORE, "data": {}}, "row 0 misses .*'id', 'vector'"),
    ("vectors/insert", {**STORE, "rows": []}, "unknown field 'rows'"),
    (FIND, {**SEARCH, "data": []}, "data holds no vector"),
    (FIND, {**SEARCH, "data": [[]]}, "vectors of 2 numbers; yours has 0"),
    (FIND, {**SEARCH, "data": [1]}, "vectors of 2 numbers; yours has 1"),
    (FIND, {**SEARCH, "data": [[1, 0], [1]]}, "yours has 1: .*vector 1"),
    (FIND, {**SEARCH, "data": [[1, 0], 1]}, "vector 1 .* is no list"),
    (FIND, {**SEARCH, "data": [1, [1]]}, "no number"),
    (FIND, {**SEARCH, "data": [[[1, 0]]]}, "yours has 1"),
    (FIND, {**SEARCH, "data": [1, None]}, "null stands for NaN"),
    (FIND, {**SEARCH, "data": [1, "0"]}, "no number"),
    (FIND, {**SEARCH, "data": [1, True]}, "no number"),
    (FIND, {**SEARCH, "data": [1, 1e39]}, "too large for 32 bits"),
    (FIND, {**SEARCH, "data": {"v": [1, 0]}}, "data: .*list"),
    (FIND, {**SEARCH, "annsField": "id"}, "'id' is no vector field of this collection; there is: vector"),
    (FIND, {**SEARCH, "annsField": "nosuch"}, "'nosuch' is no vector field"),
    (FIND, {**SEARCH, "limit": 0}, "limit: .*greater than or equal to 1"),
    (FIND, {**SEARCH, "limit": -1}, "limit: "),
    (FIND, {**SEARCH, "limit": 16_385}, "limit: .*less than or equal to 16384"),
    (FIND, {**SEARCH, "limit": 10.0}, "limit: .*integer"),
    (FIND, {**SEARCH, "limit": True}, "limit: .*integer"),
    (FIND, {**SEARCH, "offset": -1}, "offset: "),
    (FIND, {**SEARCH, "limit": 16_384, "offset": 1}, r"limit \+ offset is 16,385; at most 16,384"),
    (FIND, {**SEARCH, "outputFields": ["id", "nosuch"]}, "no field 'nosuch' in this collection; it has: id, v"),
    (FIND, {**SEARCH, "outputFields": "id"}, "outputFields: .*list"),
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
    (FIND, {**SEARCH, "data": [0, 0]}, "a query vector of zeros has no direction"),
    ("vectors/query", {"collectionName": "c"}, "filter: Field required"),
    ("vectors/query", {"collectionName": "c", "filter": ""}, "filter: "),
    ("vectors/query", {"collectionName": "c", "filter": "true", "limit": 3}, "unknown field 'limit'"),
    ("vectors/get", {"collectionName": "c"}, "id: Field required"),
    ("vectors/get", {"collectionName": "c", "id": ["1"]}, "'1' is no Int64, which the key 'id' is"),
    ("vectors/get", {"collectionName": "c", "id": [True]}, "True is no Int64"),
    ("vectors/get", {"collectionName": "c", "id": [1.5]}, "1.5 is no Int64"),
    ("vectors/get", {"collectionName": "c", "id": [2**63]}, "9223372036854775808 is no Int64"),
    ("vectors/get", {"collectionName": "c", "id": {"a": 1}}, "is no Int64"),
    ("vectors/delete", {"collectionName": "c"}, "filter: Field required"),
    ("vectors/delete", {"collectionName": "c", "id": [1]}, "unknown field 'id'|filter: Field required"),
]  # fmt: skip


@pytest.mark.parametrize(("verb", "body", "words"), WRONG)
def test_a_wrong_request_is_refused_with_the_place_and_changes_nothing(wire, verb, body, words):
    wire.post("collections/create", collectionName="c", dimension=2)
    status, message = wire.post(verb, **body)
    assert status == 400, message
    assert re.search(words, message), message
    assert wire.post("collections/list") == (200, ["c"])
    assert wire.post("collections/get_stats", collectionName="c") == (200, {"rowCount": 0})
    assert wire.post("indexes/list", collectionName="c") == (200, ["vector"])


BAD_NAMES = ["", " ", "..", ".", "../up", "a/b", "a\\b", "/etc", "C:\\x", "a.b", "a b", "a-b", "1a", "é", "名前", "a\n",
             "a\0", "a'", 'a"', "a`", "a;", "%2e", "a" * 256, "a" * 300, "\U0001f600"]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES, ids=lambda name: repr(name)[:12])
def test_a_name_that_could_leave_its_folder_or_its_query_is_refused(wire, tmp_path, name):
    wire.post("collections/create", collectionName="c", dimension=2)
    before = sorted(tmp_path.rglob("*"))
    tries = [
        ("collections/create", {"collectionName": name, "dimension": 2}),
        ("collections/drop", {"collectionName": name}),
        ("collections/has", {"collectionName": name}),
        (CREATE, {**NEW, "schema": changed("fields.1.fieldName", name)}),
        (CREATE, {**NEW, "dimension": 2, "vectorFieldName": name}),
        ("indexes/create", {"collectionName": "c", "indexParams": [{**INDEX, "indexName": name}]}),
        (FIND, {**SEARCH, "annsField": name}),
    ]
    if name not in ("a-b", "1a"):  # projects may be called so
        tries.append(("collections/has", {"collectionName": "c", "project_id": name}))
    for verb, body in tries:
        status, message = wire.post(verb, **body)
        assert status == 400, (verb, message)
        assert "is no name" in message
        assert len(message) < 300
    assert sorted(tmp_path.rglob("*")) == before


def test_a_name_of_255_letters_and_words_with_a_meaning_elsewhere_are_good_names(client):
    names = ["a" * 255, "_x", "SELECT", "order", "null", "table", "A", "B2"]
    for name in names:
        client.collections.create(collection=Collection(name, dimension=2))
    assert client.collections.list()["data"] == sorted(names)
    make(client, *(Field(name, "Int64") for name in ("select", "order", "V", "_score", "group", "where")))
    insert(client, {"id": 1, "v": [1, 0], "select": 1, "order": 2, "V": 3, "_score": 4, "group": 5, "where": 6})
    (hit,) = search(client, [1, 0], filter="order == 2 and V == 3 and _score == 4 and where == 6", output_fields=["*"])
    assert hit == {
        "distance": 1.0, "id": 1, "v": [1.0, 0.0], "select": 1, "order": 2, "V": 3, "_score": 4, "group": 5, "where": 6,
    }  # fmt: skip


NOT_HERE = [
    ("collections/rename", {"collectionName": "c", "newCollectionName": "d"}),
    ("collections/release", {"collectionName": "c"}),
    ("collections/get_load_state", {"collectionName": "c"}),
    *((f"partitions/{verb}", {}) for verb in ("create", "drop", "has", "list", "load", "release", "get_stats")),
    ("vectors/hybrid_search", {}),
    (FIND, {**SEARCH, "groupingField": "id"}),
    (FIND, {**SEARCH, "partitionNames": ["a"]}),
    ("vectors/query", {"collectionName": "c", "filter": "true", "partitionNames": ["a"]}),
    ("vectors/get", {"collectionName": "c", "id": 1, "partitionNames": ["a"]}),
    ("vectors/insert", {**STORE, "partitionName": "a"}),
    ("vectors/upsert", {**STORE, "partitionName": "a"}),
    ("vectors/delete", {"collectionName": "c", "filter": "true", "partitionName": "a"}),
    (CREATE, {**NEW, "dimension": 2, "params": {"ttlSeconds": 5}}),
    (CREATE, {**NEW, "dimension": 2, "params": {"partitionsNum": 5}}),
    (CREATE, {**NEW, "dimension": 2, "params": {"enableDynamicField": True}}),
    (CREATE, {**NEW, "schema": changed("enableDynamicField", True)}),
    (CREATE, {**NEW, "schema": changed("fields.0.isPartitionKey", True)}),
    *(
        (
            "collections/create",
            {"collectionName": "d", "schema": {"fields": [*SCHEMA["fields"], {"fieldName": "x", **kind}]}},
        )
        for kind in (
            {"dataType": "JSON"},
            {"dataType": "Array", "elementDataType": "Int64", "elementTypeParams": {"max_capacity": 3}},
            {"dataType": "BinaryVector", "elementTypeParams": {"dim": 8}},
        )
    ),
]


@pytest.mark.parametrize(("verb", "body"), NOT_HERE)
def test_what_memora_knows_and_this_one_does_not_yet_is_501_and_never_half_done(wire, verb, body):
    wire.post("collections/create", collectionName="c", dimension=2)
    status, message = wire.post(verb, **body)
    assert status == 501, message
    assert "the local Memora" in message
    assert wire.post("collections/list") == (200, ["c"])
    assert wire.post("collections/get_stats", collectionName="c") == (200, {"rowCount": 0})


def test_options_that_change_nothing_here_are_accepted(wire):
    params = {"shardsNum": 2, "partitionsNum": 1, "ttlSeconds": 0, "enableDynamicField": False, "max_length": 10}
    assert wire.post("collections/create", collectionName="c", dimension=2, params=params)[0] == 201
    row = {"id": 1, "vector": [1, 0]}
    assert wire.post("vectors/insert", collectionName="c", data=row, partitionName=None)[0] == 200
    assert wire.post("vectors/search", **SEARCH, partitionNames=[], filter=None)[1] == [{"distance": 1.0, "id": 1}]


def test_a_fault_inside_is_a_500_with_a_sentence_and_the_trace_only_in_the_log(tmp_path, wire, caplog):
    wire.post("collections/create", collectionName="c", dimension=2)
    wire.post("vectors/insert", **STORE)
    for file in (tmp_path / "lance").rglob("*"):
        if file.is_file():
            file.write_bytes(b"damaged")
    caplog.set_level(logging.ERROR)
    status, message = Wire(tmp_path).post("vectors/search", **SEARCH)
    assert status == 500
    assert "the local Memora failed" in message
    assert str(tmp_path) not in message
    assert "/vectors/search failed" in caplog.text
    assert "Traceback" in caplog.text


# Hits ----------------------------------------------------------------------------------------------------------


def distances(metric: str, query: np.ndarray, stored: np.ndarray) -> np.ndarray:
    query, stored = query.astype(float), stored.astype(float)
    if metric == "L2":
        return ((stored - query) ** 2).sum(axis=1)
    dots = stored @ query
    return dots / (np.linalg.norm(stored, axis=1) * np.linalg.norm(query)) if metric == "COSINE" else dots


def best_first(metric: str, values: np.ndarray) -> np.ndarray:
    return np.argsort(values if metric == "L2" else -values, kind="stable")


@pytest.mark.parametrize("metric", ["COSINE", "IP", "L2"])
def test_hits_are_flat_and_best_first_and_their_distances_are_the_metrics(client, rng, metric):
    make(client, text("name", 20), dim=8, metric=metric)
    stored = rng.normal(size=(300, 8)).astype(np.float32)
    insert(client, *({"id": n, "v": v, "name": f"n{n}"} for n, v in enumerate(stored)))
    for query in rng.normal(size=(5, 8)):
        want = distances(metric, query, stored)
        hits = search(client, query, limit=20, output_fields=["name"])
        assert ids(hits) == list(best_first(metric, want)[:20])
        assert [hit["distance"] for hit in hits] == pytest.approx(want[ids(hits)], abs=1e-5)
        for hit in hits:
            assert hit.keys() == {"id", "distance", "name"}
            assert hit["name"] == f"n{hit['id']}"


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("COSINE", {1: 1.0, 2: 1.0, 3: 0.0, 4: -1.0}),
        ("IP", {1: 2.0, 2: 6.0, 3: 0.0, 4: -4.0}),
        ("L2", {1: 1.0, 2: 1.0, 3: 5.0, 4: 16.0}),  # squared
    ],
)
def test_distances_are_exact_where_they_are_whole_numbers(client, metric, expected):
    make(client, metric=metric)
    insert(client, *({"id": n, "v": v} for n, v in {1: [1, 0], 2: [3, 0], 3: [0, 1], 4: [-2, 0]}.items()))
    assert {hit["id"]: hit["distance"] for hit in search(client, [2, 0])} == expected


def test_the_same_vector_has_similarity_one_and_never_more(client, rng):
    make(client, dim=384)
    stored = rng.normal(size=(50, 384)).astype(np.float32)
    insert(client, *({"id": n, "v": v} for n, v in enumerate(stored)))
    for n, v in enumerate(stored):
        best = search(client, v, limit=1)[0]
        assert best["id"] == n
        assert 1 - 1e-6 < best["distance"] <= 1
        assert search(client, v, {"radius": 1}) == []  # nothing is more similar than the same
        assert search(client, v, {"radius": 1.5}) == []
        assert len(search(client, v, {"range_filter": 1})) == 50


def test_one_vector_or_a_list_of_one_answers_a_flat_list_and_several_answer_lists(client):
    make(client)
    insert(client, {"id": 1, "v": [1, 0]}, {"id": 2, "v": [0, 1]})
    flat = [{"distance": 1.0, "id": 1}, {"distance": 0.0, "id": 2}]
    other = [{"distance": 1.0, "id": 2}, {"distance": 0.0, "id": 1}]
    assert search(client, [1, 0]) == flat
    assert search(client, [[1, 0]]) == flat
    assert search(client, np.array([[1.0, 0.0]])) == flat
    assert search(client, [[1, 0], [0, 1]]) == [flat, other]
    assert search(client, [[1, 0], [0, 1], [1, 0]], limit=1, offset=1) == [flat[1:], other[1:], flat[1:]]
    assert search(client, [[1, 0], [0, 1]], filter="id == 3") == [[], []]


def test_offset_turns_pages_without_gaps_or_repeats(client, rng):
    make(client, dim=4)
    insert(client, *({"id": n, "v": v} for n, v in enumerate(rng.normal(size=(50, 4)))))
    query = rng.normal(size=4)
    everything = search(client, query, limit=50)
    pages = [search(client, query, limit=7, offset=7 * page) for page in range(9)]
    assert [hit for page in pages for hit in page] == everything
    assert [len(page) for page in pages] == [7] * 7 + [1, 0]
    assert search(client, query, limit=1, offset=16_383) == []


def test_a_search_without_a_limit_answers_a_hundred_and_the_largest_limit_all(client, rng):
    make(client)
    insert(client, *({"id": n, "v": v} for n, v in enumerate(rng.normal(size=(120, 2)))))
    assert len(search(client, [1, 0])) == 100
    assert len(search(client, [1, 0], limit=16_384)) == 120
    assert len(search(client, [1, 0], limit=1)) == 1


def test_output_fields_are_those_asked_for_and_a_star_is_all(client):
    make(client, text("name", 9), Field("n", "Int8"))
    insert(client, {"id": 1, "v": [1, 0], "name": "one", "n": 5})
    everything = {"id": 1, "v": [1.0, 0.0], "name": "one", "n": 5}
    for asked, fields in {
        (): {"id"},
        ("n",): {"id", "n"},
        ("id",): {"id"},
        ("v", "name"): {"id", "v", "name"},
        ("*",): everything.keys(),
        ("*", "name", "name"): everything.keys(),
    }.items():
        (hit,) = search(client, [1, 0], output_fields=list(asked))
        assert hit == {"distance": 1.0, **{name: everything[name] for name in fields}}
        (row,) = client.vectors.query(collection_name="c", filter="true", output_fields=list(asked))["data"]
        assert row == {name: everything[name] for name in fields}
        assert client.vectors.get(collection_name="c", id=1, output_fields=list(asked))["data"] == [row]
    assert client.vectors.query(collection_name="c", filter="true")["data"] == [everything]
    assert search(client, [1, 0]) == [{"distance": 1.0, "id": 1}]
    for call in (client.vectors.query, client.vectors.get):
        what = {"filter": "true"} if call == client.vectors.query else {"id": 1}
        refused(
            400,
            "no field 'nosuch'.*it has: id, v, name, n",
            call,
            collection_name="c",
            output_fields=["nosuch"],
            **what,
        )


def test_a_hit_calls_the_key_id_whatever_the_field_is_called(client):
    make(client, key=text("file", 20, is_primary=True))
    insert(client, {"file": "a.jpg", "v": [1, 0]})
    assert search(client, [1, 0]) == [{"distance": 1.0, "id": "a.jpg"}]
    assert search(client, [1, 0], output_fields=["file"]) == [{"distance": 1.0, "id": "a.jpg", "file": "a.jpg"}]
    assert client.vectors.get(collection_name="c", id="a.jpg")["data"] == [{"file": "a.jpg", "v": [1.0, 0.0]}]


def test_a_collection_without_an_index_compares_by_cosine_or_as_asked(client):
    make(client, index=None)
    insert(client, {"id": 1, "v": [3, 0]}, {"id": 2, "v": [0, 0]})
    assert search(client, [1, 0]) == [{"distance": 1.0, "id": 1}]  # a vector of zeros is like nothing
    for metric, best in {"COSINE": 1.0, "IP": 3.0, "L2": 4.0}.items():
        answer = client.vectors.search(
            collection_name="c", data=[1, 0], anns_field="v", search_params={"metric_type": metric}, filter="id == 1"
        )
        assert answer["data"] == [{"distance": best, "id": 1}]


def test_each_of_two_vector_fields_is_searched_by_its_own_index(client):
    fields = [Field("id", "Int64", is_primary=True), vector("shape", 2), vector("color", 3)]
    indexes = [Index("COSINE", "shape", "by_shape", FLAT), Index("L2", "color", "by_color", FLAT)]
    client.collections.create(collection=Collection("c", schema=Schema(fields), indexes=indexes))
    insert(client, {"id": 1, "shape": [1, 0], "color": [0, 0, 0]}, {"id": 2, "shape": [0, 1], "color": [1, 1, 1]})
    by_shape = client.vectors.search(collection_name="c", data=[1, 0], anns_field="shape")["data"]
    by_color = client.vectors.search(collection_name="c", data=[1, 1, 1], anns_field="color")["data"]
    assert by_shape == [{"distance": 1.0, "id": 1}, {"distance": 0.0, "id": 2}]
    assert by_color == [{"distance": 0.0, "id": 2}, {"distance": 3.0, "id": 1}]


# Ranges, with every index --------------------------------------------------------------------------------------


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
def test_a_hits_own_distance_as_bound_is_out_at_the_open_end_and_in_at_the_closed(client, rng, metric, kind):
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


@pytest.mark.parametrize(
    ("metric", "params", "found"),
    [
        ("COSINE", {"radius": 0}, [1, 2]),
        ("COSINE", {"radius": 0, "range_filter": 1}, [1, 2]),
        ("COSINE", {"range_filter": 0}, [3, 4]),
        ("COSINE", {"radius": -1}, [1, 2, 3]),
        ("COSINE", {"radius": -1.5, "range_filter": 2}, [1, 2, 3, 4]),
        ("COSINE", {"range_filter": -1.5}, []),
        ("IP", {"radius": 2}, [2]),
        ("IP", {"radius": 0, "range_filter": 2}, [1]),
        ("IP", {"range_filter": 0}, [3, 4]),
        ("IP", {"radius": -4}, [2, 1, 3]),
        ("L2", {"radius": 5}, [1, 2]),
        ("L2", {"radius": 5.5, "range_filter": 1}, [1, 2, 3]),
        ("L2", {"range_filter": 5}, [3, 4]),
        ("L2", {"radius": 1}, []),
        ("L2", {"radius": 0}, []),
    ],
)
def test_bounds_that_are_whole_numbers_hold_exactly(client, metric, params, found):
    make(client, metric=metric)
    insert(client, *({"id": n, "v": v} for n, v in {1: [1, 0], 2: [3, 0], 3: [0, 1], 4: [-2, 0]}.items()))
    assert sorted(ids(search(client, [2, 0], params))) == sorted(found)


def test_a_range_turned_round_is_refused_with_the_rule(client):
    make(client, metric="L2")
    rule = r"no distance is in this range: L2 keeps range_filter <= distance < radius"
    refused(400, rule, search, client, [1, 0], {"radius": 1, "range_filter": 1})
    refused(400, rule, search, client, [1, 0], {"radius": 1, "range_filter": 2})
    assert search(client, [1, 0], {"radius": 2, "range_filter": 1}) == []


# Rows ----------------------------------------------------------------------------------------------------------


def test_rows_are_got_queried_and_deleted_by_key_and_by_filter(client):
    make(client, text("name", 9))
    insert(client, *({"id": n, "v": [n, 1], "name": f"n{n}"} for n in (5, 3, 1, 4, 2)))
    row = {n: {"id": n, "v": [float(n), 1.0], "name": f"n{n}"} for n in range(1, 6)}
    assert client.vectors.get(collection_name="c", id=[4, 99, 2, 4])["data"] == [row[2], row[4]]
    assert client.vectors.get(collection_name="c", id=3)["data"] == [row[3]]
    assert client.vectors.get(collection_name="c", id=[])["data"] == []
    assert client.vectors.query(collection_name="c", filter='name >= "n3"')["data"] == [row[3], row[4], row[5]]
    assert client.vectors.delete(collection_name="c", filter="id in [1, 2, 99]") == {"message": "2 rows deleted"}
    assert client.vectors.delete(collection_name="c", filter="id in [1, 2, 99]") == {"message": "0 rows deleted"}
    assert client.vectors.query(collection_name="c", filter="true")["data"] == [row[3], row[4], row[5]]
    assert ids(search(client, [1, 1])) == [3, 4, 5]
    assert count(client) == 3


def test_an_upsert_replaces_the_whole_row_and_adds_what_is_new(client):
    make(client, text("name", 9))
    insert(client, {"id": 1, "v": [1, 0], "name": "old"}, {"id": 2, "v": [0, 1], "name": "kept"})
    rows = [{"id": 1, "v": [0, 5], "name": "new"}, {"id": 3, "v": [5, 0], "name": "added"}]
    assert client.vectors.upsert(collection_name="c", data=rows)["data"] == {"upsertCount": 2, "upsertIds": [1, 3]}
    assert client.vectors.query(collection_name="c", filter="true")["data"] == [
        {"id": 1, "v": [0.0, 5.0], "name": "new"},
        {"id": 2, "v": [0.0, 1.0], "name": "kept"},
        {"id": 3, "v": [5.0, 0.0], "name": "added"},
    ]
    assert count(client) == 3
    assert client.vectors.upsert(collection_name="c", data=rows)["data"]["upsertCount"] == 2
    assert count(client) == 3


def test_an_inserted_duplicate_key_is_refused_and_nothing_of_the_call_is_stored(client):
    make(client)
    insert(client, {"id": 1, "v": [1, 0]})
    with pytest.raises(AlreadyExistsError, match=r"1 of these keys are stored already \(id: 1\.\.\.\)") as caught:
        insert(client, {"id": 2, "v": [1, 1]}, {"id": 1, "v": [9, 9]}, {"id": 3, "v": [1, 1]})
    assert caught.value.status == 409
    assert client.vectors.query(collection_name="c", filter="true")["data"] == [{"id": 1, "v": [1.0, 0.0]}]


def test_a_key_twice_in_one_call_is_refused_and_nothing_of_the_call_is_stored(client):
    make(client)
    twice = [{"id": 7, "v": [1, 0]}, {"id": 8, "v": [1, 0]}, {"id": 7, "v": [0, 1]}]
    for call in (client.vectors.insert, client.vectors.upsert):
        refused(400, "the key id = 7 is in this call more than once", call, collection_name="c", data=twice)
    assert count(client) == 0


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"id": 2, "v": [1, 0, 0]}, "yours has 3: was it made by another model"),
        ({"id": 2, "v": [1, None]}, "null stands for NaN"),
        ({"id": 2, "v": [1, True]}, "no number"),
        ({"id": 2, "v": "text"}, "is no list of numbers"),
        ({"id": 2, "v": None}, "is no list of numbers"),
        ({"id": 2, "v": [0, 0]}, "row 1, field 'v': COSINE can't compare a vector of zeros"),
        ({"id": 2, "v": [1e39, 0]}, "too large for 32 bits"),
        ({"id": 2, "v": [1e19, 1e19]}, "too large for 32 bits"),
        ({"id": 2}, r"row 1 misses \['v'\]; a row has: id, v"),
        ({"v": [1, 0]}, r"row 1 misses \['id'\]"),
        ({"id": 2, "v": [1, 0], "x": 1}, r"row 1 has unknown fields \['x'\]"),
        ({"id": "2", "v": [1, 0]}, "row 1, field 'id': '2' is no number"),
        ({"id": 2.0, "v": [1, 0]}, "2.0 is no Int64"),
        ({"id": True, "v": [1, 0]}, "no number"),
        ({"id": 2**63, "v": [1, 0]}, "9223372036854775808 is no Int64"),
        ({"id": None, "v": [1, 0]}, "no number"),
    ],
)
def test_one_wrong_row_is_named_and_none_of_its_call_is_stored(client, row, words):
    make(client)
    for call in (client.vectors.insert, client.vectors.upsert):
        refused(400, words, call, collection_name="c", data=[{"id": 1, "v": [1, 0]}, row])
    assert count(client) == 0


def test_a_call_about_a_collection_that_is_not_there_says_so(client):
    calls = [
        lambda: client.collections.describe(collection_name="c"),
        lambda: client.collections.drop(collection_name="c"),
        lambda: client.collections.load(collection_name="c"),
        lambda: count(client),
        lambda: client.indexes.list(collection_name="c"),
        lambda: client.indexes.describe(collection_name="c", index_name="i"),
        lambda: client.indexes.drop(collection_name="c", index_name="i"),
        lambda: client.indexes.create(collection_name="c", index_params=[Index("L2", "v", "i", FLAT)]),
        lambda: insert(client, {"id": 1}),
        lambda: client.vectors.upsert(collection_name="c", data={"id": 1}),
        lambda: search(client, [1]),
        lambda: client.vectors.query(collection_name="c", filter="true"),
        lambda: client.vectors.get(collection_name="c", id=1),
        lambda: client.vectors.delete(collection_name="c", filter="true"),
    ]
    for call in calls:
        with pytest.raises(NotFoundError, match="there is no collection 'c' in project 'local'") as caught:
            call()
        assert caught.value.status == 404


# Types ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [8, 16, 32, 64])
def test_whole_numbers_keep_their_range_to_the_last_one(client, bits):
    make(client, Field("n", f"Int{bits}"))
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    insert(client, *({"id": i, "v": [1, 0], "n": n} for i, n in enumerate((low, -1, 0, 1, high))))
    rows = client.vectors.query(collection_name="c", filter="true", output_fields=["n"])["data"]
    assert [row["n"] for row in rows] == [low, -1, 0, 1, high]
    assert all(type(row["n"]) is int for row in rows)
    for wrong in (low - 1, high + 1, 1.0, 1.5, True, "1", None, [1]):
        with pytest.raises(InvalidRequestError, match=r"row 0, field 'n'|Integer exceeds 64-bit range"):
            insert(client, {"id": 9, "v": [1, 0], "n": wrong})
    assert count(client) == 5


def test_floats_come_back_as_written_and_refuse_what_does_not_fit(client):
    make(client, Field("f", "Float"), Field("d", "Double"))
    pairs = [
        # Float in, out; Double in, out
        (0.1, 0.1, 0.1, 0.1),
        (1, 1.0, 1, 1.0),
        (-2.5, -2.5, -2.5, -2.5),
        (3.4028234663852886e38, 3.4028235e38, 1.7976931348623157e308, 1.7976931348623157e308),
        (1e-45, 1e-45, 5e-324, 5e-324),
        (2**24 + 1, 2.0**24, 2**53 + 1, 2.0**53),
        (2**62, 4.611686e18, 2**64 - 1, 2.0**64),  # 32 bits are written with the digits they hold
        (-0.0, 0.0, -0.0, 0.0),
    ]
    insert(client, *({"id": n, "v": [1, 0], "f": f, "d": d} for n, (f, _, d, _) in enumerate(pairs)))
    rows = client.vectors.query(collection_name="c", filter="true", output_fields=["f", "d"])["data"]
    assert [(row["f"], row["d"]) for row in rows] == [(f, d) for _, f, _, d in pairs]
    assert all(type(row["f"]) is type(row["d"]) is float for row in rows)
    for wrong in (3.5e38, -1e39, True, "1", None, [1.0]):
        refused(400, "row 0, field 'f'", insert, client, {"id": 99, "v": [1, 0], "f": wrong, "d": 1})
    for wrong in (False, "1", None, {}):
        refused(400, "row 0, field 'd'", insert, client, {"id": 99, "v": [1, 0], "f": 1, "d": wrong})
    assert count(client) == len(pairs)


def test_booleans_come_back_and_nothing_else_counts_as_one(client):
    make(client, Field("b", "Bool"))
    insert(client, {"id": 1, "v": [1, 0], "b": True}, {"id": 2, "v": [1, 0], "b": False})
    assert [row["b"] for row in client.vectors.query(collection_name="c", filter="true")["data"]] == [True, False]
    for wrong in (1, 0, "true", None):
        refused(400, "is not true or false", insert, client, {"id": 3, "v": [1, 0], "b": wrong})


def test_texts_come_back_whole_and_max_length_counts_bytes(client):
    make(client, text("s", 10))
    texts = ["", "0123456789", "ééééé", "日本語", "\U0001f600\U0001f600", "a\nb\0c", "'\"\\`", " \t", "\u2028"]
    insert(client, *({"id": n, "v": [1, 0], "s": s} for n, s in enumerate(texts)))
    assert [row["s"] for row in client.vectors.query(collection_name="c", filter="true")["data"]] == texts
    assert [hit["s"] for hit in search(client, [1, 0], filter="id == 3", output_fields=["s"])] == ["日本語"]
    for wrong in ("0123456789x", "éééééé", "日本語日", "\U0001f600" * 3):
        size = len(wrong.encode())
        refused(400, f"has {size} bytes; max_length is 10", insert, client, {"id": 99, "v": [1, 0], "s": wrong})
    for wrong in (1, None, True, ["a"]):
        refused(400, "is no text", insert, client, {"id": 99, "v": [1, 0], "s": wrong})
    assert count(client) == len(texts)


def test_vectors_come_back_in_all_their_32_bits(client, rng):
    make(client, dim=384)
    stored = rng.normal(size=(20, 384)).astype(np.float32)
    insert(client, *({"id": n, "v": v} for n, v in enumerate(stored)))
    rows = client.vectors.query(collection_name="c", filter="true", output_fields=["v"])["data"]
    assert np.array_equal(np.array([row["v"] for row in rows], np.float32), stored)
    hits = search(client, stored[0], limit=20, output_fields=["v"])
    assert np.array_equal(np.array([hit["v"] for hit in hits], np.float32), stored[ids(hits)])


def test_keys_may_be_texts_of_any_letters(client):
    make(client, key=text("key", 20, is_primary=True))
    keys = ["a", "A", "it's", '"', "\\", "", "\0", "a\nb", "'; DROP TABLE", "é", "日本", "\U0001f600", "%", "_", "a b"]
    assert insert(client, *({"key": key, "v": [1, n]} for n, key in enumerate(keys)))["insertIds"] == keys
    for n, key in enumerate(keys):
        assert client.vectors.get(collection_name="c", id=key)["data"] == [{"key": key, "v": [1.0, float(n)]}]
        with pytest.raises(AlreadyExistsError):
            insert(client, {"key": key, "v": [0, 1]})
        client.vectors.upsert(collection_name="c", data={"key": key, "v": [2, n]})
    assert count(client) == len(keys)
    got = client.vectors.get(collection_name="c", id=keys)["data"]
    assert [row["key"] for row in got] == sorted(keys)
    assert all(row["v"][0] == 2 for row in got)
    refused(400, "21 bytes; max_length is 20", insert, client, {"key": "x" * 21, "v": [1, 0]})
    refused(400, "5 is no VarChar, which the key 'key' is", client.vectors.get, collection_name="c", id=5)


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


def test_each_row_with_an_automatic_id_is_found_under_the_id_that_was_told(client, rng):
    make(client, dim=4, auto_id=True)
    stored = rng.normal(size=(30, 4)).astype(np.float32)
    told = insert(client, *({"v": v} for v in stored))["insertIds"]
    assert [search(client, v, limit=1)[0]["id"] for v in stored] == told


# Quick set-up --------------------------------------------------------------------------------------------------


def test_a_dimension_alone_makes_a_collection_to_work_with(client):
    client.collections.create(collection=Collection("c", dimension=3))
    about = client.collections.describe(collection_name="c")["data"]
    assert [(f["name"], f["type"], f["primaryKey"]) for f in about["fields"]] == [
        ("id", "Int64", True),
        ("vector", "FloatVector", False),
    ]
    assert about["indexes"] == [{"fieldName": "vector", "indexName": "vector", "metricType": "COSINE"}]
    insert(client, {"id": 1, "vector": [1, 0, 0]})
    assert client.vectors.search(collection_name="c", data=[2, 0, 0], anns_field="vector")["data"][0]["distance"] == 1


def test_every_option_of_the_quick_set_up_holds(client):
    quick = Collection(
        "c", 2, metric_type="IP", id_type="VarChar", primary_field_name="key", vector_field_name="v",
        params={"max_length": 5}, indexes=[Index("IP", "v", "mine", HNSW)],
    )  # fmt: skip
    client.collections.create(collection=quick)
    insert(client, {"key": "12345", "v": [3, 0]})
    assert search(client, [2, 0]) == [{"distance": 6.0, "id": "12345"}]
    assert client.indexes.list(collection_name="c")["data"] == ["mine"]
    refused(400, "6 bytes; max_length is 5", insert, client, {"key": "123456", "v": [3, 0]})
    client.collections.create(collection=Collection("d", 2, auto_id=True))
    row = {"vector": [1, 0]}
    assert client.vectors.insert(collection_name="d", data=row)["data"] == {"insertCount": 1, "insertIds": [1]}


def test_a_schema_wins_over_the_quick_set_ups_names(client):
    schema = Schema([Field("k", "Int64", is_primary=True), vector("w", 3)])
    client.collections.create(
        collection=Collection("c", schema=schema, id_type="VarChar", auto_id=True, primary_field_name="x")
    )
    about = client.collections.describe(collection_name="c")["data"]
    assert [field["name"] for field in about["fields"]] == ["k", "w"]
    assert about["autoID"] is False


# Indexes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", [IVF, HNSW], ids=["IVF_FLAT", "HNSW"])
def test_an_index_is_remembered_built_when_it_can_be_and_its_counts_are_true_all_along(tmp_path, rng, index):
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


def test_a_filter_that_leaves_few_rows_still_fills_the_limit_unless_nprobe_says_where_to_look(client, rng):
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
        assert len(search(client, query, {"nprobe": 1}, filter="g == 7", limit=20)) < 10


def test_a_narrow_filter_and_a_range_together_find_what_numpy_finds_though_lists_are_many(client, rng):
    make(client, Field("g", "Int16"), dim=8, metric="L2", index=IndexConfig("IVF_FLAT", nlist=50))
    stored = rng.normal(size=(1000, 8)).astype(np.float32)
    insert(client, *({"id": n, "v": v, "g": n % 200} for n, v in enumerate(stored)))
    for query in rng.normal(size=(20, 8)):
        values = distances("L2", query, stored)
        passing = np.flatnonzero(np.arange(1000) % 200 == 7)
        radius = float(np.sort(values[passing])[2:4].mean())
        hits = search(client, query, {"radius": radius}, filter="g == 7", limit=10)
        assert ids(hits) == [n for n in best_first("L2", values) if n in passing and values[n] < radius]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        (IndexConfig("IVF_PQ"), "there is no index_type 'IVF_PQ'; allowed: FLAT, IVF_FLAT, HNSW"),
        (IndexConfig("hnsw"), "there is no index_type 'hnsw'; allowed: FLAT, IVF_FLAT, HNSW"),
        (IndexConfig(""), "allowed: FLAT, IVF_FLAT, HNSW"),
        (IndexConfig("FLAT", nlist=8), "FLAT takes no parameter, not nlist"),
        (IndexConfig("IVF_FLAT", m=8), "IVF_FLAT takes nlist, not M"),
        (IndexConfig("HNSW", nlist=8), "HNSW takes M and efConstruction, not nlist"),
        (IndexConfig("IVF_FLAT", nlist=0), "nlist: .*greater than or equal to 1"),
        (IndexConfig("IVF_FLAT", nlist=65_537), "nlist: .*less than or equal to 65536"),
        (IndexConfig("IVF_FLAT", nlist="8"), "nlist: .*integer"),
        (IndexConfig("HNSW", m=1), "M: .*greater than or equal to 2"),
        (IndexConfig("HNSW", m=2049), "M: .*less than or equal to 2048"),
        (IndexConfig("HNSW", ef_construction=0), "efConstruction: .*greater than or equal to 1"),
        (IndexConfig("HNSW", m=64, ef_construction=8), r"efConstruction \(8\) must be at least M \(64\)"),
    ],
)
def test_an_unknown_index_or_a_senseless_parameter_is_refused_naming_what_is_allowed(client, params, words):
    index = Index("COSINE", "v", "by_v", params)
    schema = Schema([Field("id", "Int64", is_primary=True), vector("v", 2)])
    refused(400, words, client.collections.create, collection=Collection("d", schema=schema, indexes=[index]))
    make(client, index=None)
    refused(400, words, client.indexes.create, collection_name="c", index_params=[index])
    assert client.indexes.list(collection_name="c")["data"] == []
    assert client.collections.list()["data"] == ["c"]


def test_a_second_index_on_a_field_or_an_index_on_no_vector_is_refused(client):
    make(client, Field("n", "Int64"), vector("w", 2))
    for index, error, words in (
        (Index("L2", "v", "other", FLAT), AlreadyExistsError, "field 'v' has the index 'by_v': drop it first"),
        (Index("L2", "w", "by_v", FLAT), AlreadyExistsError, "there is an index 'by_v' already"),
        (
            Index("L2", "n", "by_n", FLAT),
            InvalidRequestError,
            "'n' is no vector field of this collection; there is: v, w",
        ),
        (Index("HAMMING", "w", "by_w", FLAT), InvalidRequestError, "'COSINE', 'IP' or 'L2'"),
    ):
        with pytest.raises(error, match=words):
            client.indexes.create(collection_name="c", index_params=[index])
    with pytest.raises(AlreadyExistsError):  # both or none
        client.indexes.create(collection_name="c", index_params=[Index("L2", "w", n, FLAT) for n in ("one", "two")])
    assert client.indexes.list(collection_name="c")["data"] == ["by_v"]


def test_search_parameters_that_an_index_can_not_obey_are_told(client):
    make(client, index=IVF)
    refused(400, "nprobe is 9, but the index has only 8 lists", search, client, [1, 0], {"nprobe": 9})
    client.collections.drop(collection_name="c")
    make(client, index=HNSW)
    refused(400, "ef is 5, less than the 11 hits asked for", search, client, [1, 0], {"ef": 5}, limit=10, offset=1)
    assert search(client, [1, 0], {"ef": 11}, limit=10, offset=1) == []


# Vectors of zeros ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nothing", [[0, 0], [-0.0, 0], [1e-30, 0], [1e-300, 0]])
def test_cosine_refuses_vectors_without_a_direction_and_the_other_metrics_take_them(client, nothing):
    make(client)
    refused(400, "row 0, field 'v': COSINE can't compare", insert, client, {"id": 1, "v": nothing})
    refused(
        400,
        "row 0, field 'v': COSINE can't compare",
        client.vectors.upsert,
        collection_name="c",
        data={"id": 1, "v": nothing},
    )
    refused(400, "has no direction", search, client, nothing)
    refused(400, "has no direction", search, client, [[1, 0], nothing])
    for metric in ("IP", "L2"):
        client.collections.drop(collection_name="c")
        make(client, metric=metric)
        insert(client, {"id": 1, "v": nothing}, {"id": 2, "v": [1, 0]})
        assert len(search(client, nothing)) == 2


def test_a_cosine_index_is_not_made_over_a_stored_vector_of_zeros(client):
    make(client, index=None)
    insert(client, {"id": 1, "v": [1, 0]}, {"id": 7, "v": [0, 0]})
    index = Index("COSINE", "v", "by_v", FLAT)
    refused(400, "row 7 has a vector of zeros", client.indexes.create, collection_name="c", index_params=[index])
    assert client.indexes.list(collection_name="c")["data"] == []
    client.vectors.delete(collection_name="c", filter="id == 7")
    assert client.indexes.create(collection_name="c", index_params=[index]) == {"message": "index created"}


# Other processes -----------------------------------------------------------------------------------------------


def test_a_collection_made_anew_with_another_dimension_by_another_process_is_seen_at_once(tmp_path):
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


def test_a_collection_dropped_elsewhere_is_gone_here_and_its_rows_do_not_come_back(tmp_path):
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
        (path,) = (tmp_path / "locks").iterdir()
        with (
            filelock.FileLock(path),
            pytest.raises(UnavailableError, match="another program has been writing to 'c'") as caught,
        ):
            insert(client, {"id": 1, "v": [1, 0]})
        assert caught.value.status == 503
        assert insert(client, {"id": 1, "v": [1, 0]})["insertCount"] == 1


def test_data_removed_under_an_open_notebook_is_told_at_once_with_what_to_do(tmp_path):
    with local_client(tmp_path / "home") as client:
        make(client)
        shutil.rmtree(tmp_path / "home")
        for call in (lambda: client.collections.list(), lambda: search(client, [1, 0]), lambda: make(client)):
            with pytest.raises(InvalidRequestError, match="was removed while it was open: restart the kernel"):
                call()
    assert not (tmp_path / "home").exists()  # and nothing half-made is left in its place
