"""The OpenAPI document: what it allows the application takes, what it forbids is refused, what it promises comes."""

from typing import Any

import httpx
import jsonschema_rs
import orjson
import pytest

from local_memora import create_app
from local_memora.app import VERBS

HOST = "http://memora.test"
C, D = {"collectionName": "c"}, {"collectionName": "d"}
INDEX = {"metricType": "L2", "fieldName": "vector", "indexName": "i", "params": {"index_type": "IVF_FLAT", "nlist": 1}}
SEARCH = {"annsField": "vector", "data": [0, 1.5]}
# One call after the other on one store; each succeeds. Options and types that the contract names are all here.
EXAMPLES: list[tuple[str, dict[str, Any]]] = [
    ("collections/create", {**C, "dimension": 2, "metricType": "L2", "params": {"enableDynamicField": True}}),
    ("collections/create", {
        **D,
        "schema": {
            "autoID": True,
            "enableDynamicField": False,
            "fields": [
                {"fieldName": "id", "dataType": "Int64", "isPrimary": True},
                {"fieldName": "t", "dataType": "VarChar", "elementTypeParams": {"max_length": 9}},
                {"fieldName": "tags", "dataType": "Array", "elementDataType": "Int8", "isPartitionKey": False,
                 "elementTypeParams": {"max_capacity": 3}},
                {"fieldName": "info", "dataType": "JSON"},
                {"fieldName": "bits", "dataType": "BinaryVector", "elementTypeParams": {"dim": 8}},
                {"fieldName": "v", "dataType": "FloatVector", "elementTypeParams": {"dim": 2}},
            ],
        },
        "indexParams": [
            {"metricType": "COSINE", "fieldName": "v", "indexName": "h",
             "params": {"index_type": "HNSW", "M": 8, "efConstruction": 20}},
            {"metricType": "HAMMING", "fieldName": "bits", "indexName": "b", "params": {"index_type": "FLAT"}},
        ],
    }),
    ("collections/create", {
        "collectionName": "e", "dimension": 2, "idType": "VarChar", "primaryFieldName": "key", "autoID": False,
        "vectorFieldName": "where", "metricType": "IP", "params": {"max_length": 5, "shardsNum": 1}, "indexParams": [],
    }),
    ("collections/list", {}),
    ("collections/has", C),
    ("collections/describe", D),
    ("partitions/create", {**C, "partitionName": "p"}),
    ("partitions/has", {**C, "partitionName": "p"}),
    ("partitions/list", C),
    ("vectors/insert", {**C, "data": {"id": 1, "vector": [0, 1], "colour": "red"}}),
    ("vectors/insert", {**C, "data": [{"id": 2, "vector": [0.5, 1e-3]}], "partitionName": "p"}),
    ("vectors/insert", {**D, "data": [{"t": "é", "tags": [1], "info": {"a": [None]}, "bits": [7], "v": [0, 1]}]}),
    ("vectors/upsert", {"collectionName": "e", "data": [{"key": "k", "where": [1, 2]}]}),
    ("vectors/upsert", {"collectionName": "e", "data": {"key": "é", "where": [1, 2]}, "partitionName": None}),
    ("partitions/get_stats", {**C, "partitionName": "p"}),
    ("indexes/list", C),
    ("indexes/drop", {**C, "indexName": "vector"}),
    ("indexes/create", {**C, "indexParams": [INDEX]}),
    ("indexes/describe", {**C, "indexName": "i"}),
    ("indexes/describe", {**D, "indexName": "b"}),
    ("vectors/search", {**C, **SEARCH}),
    ("vectors/search", {**C, **SEARCH, "data": [[0, 1], [1, 0]], "outputFields": ["*"], "partitionNames": ["p"]}),
    ("vectors/search", {
        **C, **SEARCH, "filter": "id < 9", "limit": 5, "offset": 1, "groupingField": "id", "outputFields": ["colour"],
        "searchParams": {"metricType": "L2", "params": {"radius": 9, "range_filter": 0.0, "nprobe": 1}},
    }),
    ("vectors/search", {**D, "annsField": "bits", "data": [255], "outputFields": []}),
    ("vectors/hybrid_search", {**C, "search": [SEARCH], "rerank": {"strategy": "rrf", "params": {"k": 10}}}),
    ("vectors/hybrid_search", {
        **D,
        "search": [
            {"annsField": "v", "data": [0, 1], "metricType": "COSINE", "params": {"ef": 100}, "ignoreGrowing": True},
            {"annsField": "bits", "data": [[0]], "filter": 't like "%"', "limit": 3, "offset": 0},
        ],
        "rerank": {"strategy": "weighted", "params": {"weights": [0.5, 1]}},
        "outputFields": ["tags", "info"], "partitionNames": ["_default"],
    }),
    ("vectors/query", {**D, "filter": "true"}),
    ("vectors/query", {**C, "filter": "id in [1, 2]", "outputFields": ["*"], "partitionNames": None}),
    ("vectors/get", {**C, "id": [1, 9]}),
    ("vectors/get", {"collectionName": "e", "id": "k", "outputFields": ["where"]}),
    ("vectors/delete", {**D, "filter": "true"}),
    ("vectors/delete", {**C, "filter": "id == 2", "partitionName": "p"}),
    ("partitions/release", {**C, "partitionNames": ["p"]}),
    ("partitions/load", {**C, "partitionNames": ["p", "_default"]}),
    ("partitions/drop", {**C, "partitionName": "p"}),
    ("collections/release", C),
    ("collections/get_load_state", C),
    ("collections/load", C),
    ("collections/get_load_state", C),
    ("collections/get_stats", C),
    ("collections/rename", {**C, "newCollectionName": "b"}),
    ("collections/drop", D),
]  # fmt: skip
GONE = object()
# Changes that make a call's first example wrong; every required field is left out, and wrongly named, beside these.
WRONG: dict[str, list[dict[str, Any]]] = {
    "collections/create": [
        {"dimension": GONE}, {"dimension": 0}, {"dimension": 32_769}, {"dimension": 2.5}, {"dimension": "2"},
        {"dimension": True}, {"metricType": "cosine"}, {"metricType": None}, {"idType": "Int32"}, {"autoID": 1},
        {"autoId": True}, {"schema": []}, {"schema": {"fields": []}}, {"schema": {"fields": [{"fieldName": "id"}]}},
        {"schema": {"fields": [{"fieldName": "id", "dataType": "int64"}]}}, {"indexParams": INDEX},
        {"params": {"shardsNum": 0}}, {"params": {"partitionsNum": 1_025}}, {"params": {"ttlSeconds": "1 day"}},
        {"params": {"max_length": 65_536}}, {"params": {"maxLength": 5}}, {"params": None}, {"primaryFieldName": "1"},
    ],
    "indexes/create": [
        {"indexParams": []}, {"indexParams": INDEX}, {"indexParams": [{**INDEX, "metricType": "JACCARD"}]},
        {"indexParams": [{**INDEX, "params": {}}]}, {"indexParams": [{**INDEX, "params": {"index_type": "IVF_PQ"}}]},
        {"indexParams": [{**INDEX, "params": {"index_type": "IVF_FLAT", "nlist": 65_537}}]},
        {"indexParams": [{**INDEX, "params": {"index_type": "HNSW", "M": 1}}]}, {"indexParams": [{**INDEX, "x": 1}]},
    ],
    "partitions/load": [{"partitionNames": []}, {"partitionNames": "p"}, {"partitionNames": ["a b"]}],
    "vectors/insert": [{"data": []}, {"data": "x"}, {"data": [[1, 0]]}, {"data": None}, {"partitionName": "a/b"}],
    "vectors/search": [
        {"data": []}, {"data": {"v": [0, 1]}}, {"data": [1, "0"]}, {"data": [1, None]}, {"data": [True, False]},
        {"data": [[]]}, {"data": [[[1, 0]]]}, {"limit": 0}, {"limit": 16_385}, {"limit": True}, {"limit": None},
        {"offset": -1}, {"filter": 3}, {"outputFields": "id"}, {"outputFields": [1]}, {"partitionNames": []},
        {"searchParams": {"metric_type": "L2"}}, {"searchParams": {"params": {"nprobe": 0}}},
        {"searchParams": {"params": {"radius": "0.5"}}}, {"searchParams": {"params": {"rangeFilter": 1}}},
    ],
    "vectors/hybrid_search": [
        {"search": []}, {"search": [SEARCH] * 17}, {"search": [{"data": [1]}]}, {"rerank": {"strategy": "best"}},
        {"rerank": {}}, {"rerank": {"strategy": "rrf", "params": {"k": 0}}}, {"rerank": {"strategy": "weighted"}},
        {"rerank": {"strategy": "weighted", "params": {"weights": [1.5]}}}, {"limit": 3},
    ],
    "vectors/query": [{"filter": ""}, {"filter": None}, {"filter": ["true"]}, {"limit": 3}],
    "vectors/get": [{"id": None}, {"id": {"a": 1}}, {"id": [1.5]}, {"id": [[1]]}, {"id": True}, {"ids": [1]}],
    "vectors/delete": [{"filter": ""}, {"id": [1]}],
}  # fmt: skip
NAMES = ["", "1a", "a-b", "a b", "../a", "é", "a" * 256, 1, None, ["a"]]
PROJECTS = ["", "-a", "a b", "a/b", "é", "a" * 256, 1, None]


@pytest.fixture
def http(tmp_path) -> httpx.Client:
    app = create_app(tmp_path, "the-key", ["project-1"])
    return httpx.Client(transport=httpx.WSGITransport(app=app), base_url=HOST, headers={"Api-Key": "the-key"})


@pytest.fixture
def document(http) -> dict[str, Any]:
    return http.get("/openapi.json").json()


def check(document: dict[str, Any], schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]})


def body_schema(document: dict[str, Any], verb: str) -> dict[str, Any]:
    return document["paths"][f"/{verb}"]["post"]["requestBody"]["content"]["application/json"]["schema"]


def promised(document: dict[str, Any], operation: dict[str, Any], status: int) -> dict[str, Any]:
    response = operation["responses"][str(status)]
    if "$ref" in response:
        response = document["components"]["responses"][response["$ref"].rsplit("/")[-1]]
    return response["content"]["application/json"]["schema"]


def wrong_bodies() -> list[tuple[str, dict[str, Any]]]:
    """Return each verb's first example with one thing wrong in it."""
    bodies = []
    for verb in VERBS:
        example = {"project_id": "project-1", **next(body for path, body in EXAMPLES if path == verb)}
        names = {"collectionName", "newCollectionName", "partitionName", "indexName", "annsField"} & example.keys()
        changes: list[dict[str, Any]] = [{"unknown": 1}, {"projectId": "project-1"}, *WRONG.get(verb, [])]
        changes += [{name: wrong} for name in names for wrong in NAMES]
        changes += [{"project_id": wrong} for wrong in PROJECTS]
        for change in changes:
            bodies.append((verb, {k: v for k, v in {**example, **change}.items() if v is not GONE}))
    return bodies


def test_the_document_is_openapi_3_1_with_every_reference_in_it(document):
    from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR  # takes a second

    OPENAPI_31_VALIDATOR.validate(document)
    schemas = [*document["components"]["schemas"].values(), *(body_schema(document, verb) for verb in VERBS)]
    for schema in schemas:
        jsonschema_rs.meta.validate(schema)
        check(document, schema)  # fails where a reference leads nowhere


def test_the_document_lists_every_call_of_the_application_and_no_other(document):
    verbs = {f"/{verb}": {"post"} for verb in VERBS}
    listed = {path: {*operations} for path, operations in document["paths"].items()}
    assert listed == {**verbs, "/health": {"get"}, "/openapi.json": {"get"}}
    for verb, (_, _, status) in VERBS.items():
        statuses = {*document["paths"][f"/{verb}"]["post"]["responses"]}
        assert [code for code in statuses if int(code) < 400] == [str(status)]
        assert "500" not in statuses


LIMITS = {
    "string": {"maxLength", "pattern", "enum", "const"},
    "array": {"maxItems"},
    "integer": {"maximum", "exclusiveMaximum"},
}


def unlimited(document: dict[str, Any], part: dict[str, Any], way: str) -> list[str]:
    """Return the ways to the texts, lists and whole numbers of a JSON Schema that may be of any size."""
    if "$ref" in part:
        return unlimited(document, document["components"]["schemas"][part["$ref"].rsplit("/")[-1]], way)
    kinds = part.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    found = [way for kind in kinds if kind in LIMITS and not LIMITS[kind] & part.keys()]
    inner = [(way, each) for each in part.get("anyOf", part.get("oneOf", []))]
    inner += [(f"{way}.{name}", each) for name, each in part.get("properties", {}).items()]
    inner += [(f"{way}[]", part["items"])] if "items" in part else []
    return found + [place for way, each in inner for place in unlimited(document, each, way)]


@pytest.mark.parametrize("verb", VERBS)
def test_every_text_list_and_whole_number_has_a_limit_that_is_told(document, verb):
    """Rows and vectors hold what the collection's own schema limits."""
    assert unlimited(document, body_schema(document, verb), "") == []
    assert "4,000 parts" in document["components"]["schemas"]["Query"]["properties"]["filter"]["description"]


def test_what_it_allows_is_taken_and_answers_are_as_promised(http, document):
    assert {verb for verb, _ in EXAMPLES} == VERBS.keys()
    for verb, body in EXAMPLES:
        body = {"project_id": "project-1", **body}
        check(document, body_schema(document, verb)).validate(body)
        answer = http.post(verb, content=orjson.dumps(body))
        assert answer.is_success, (verb, body, answer.text)
        check(document, promised(document, document["paths"][f"/{verb}"]["post"], answer.status_code)).validate(
            answer.json()
        )
    for path in ("/health", "/openapi.json"):
        answer = http.get(path)
        check(document, promised(document, document["paths"][path]["get"], answer.status_code)).validate(answer.json())


def test_what_the_document_forbids_is_refused_with_a_message(http, document):
    for verb, body in EXAMPLES[:10]:  # so that no refusal is for a lack of collections
        assert http.post(verb, json={"project_id": "project-1", **body}).is_success
    for verb, body in wrong_bodies():
        assert not check(document, body_schema(document, verb)).is_valid(body), (verb, body)
        answer = http.post(verb, content=orjson.dumps(body))
        assert answer.status_code == 400, (verb, body, answer.text)
        operation = document["paths"][f"/{verb}"]["post"]
        check(document, promised(document, operation, 400)).validate(answer.json())


def test_a_promised_answer_forbids_other_shapes(document):
    """Else the answers above would hold for anything."""
    for verb in VERBS:
        status = VERBS[verb][2]
        validator = check(document, promised(document, document["paths"][f"/{verb}"]["post"], status))
        for wrong in ({}, [], {"data": 3}, {"data": [3]}, {"message": 3}, {"data": [], "message": "done"}):
            assert not validator.is_valid(wrong), (verb, wrong)
