"""The Memora client: the SDK's names, the bytes it sends, what it repeats, and what it tells when something is wrong.

httpx.MockTransport stands in for a server only where the bytes that are sent, or a foreign server's words, matter.
"""

import dataclasses
import inspect
import json
import logging
import socket
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import numpy as np
import pytest
import torch

import helpers.memora
import helpers.memora.http
from helpers.memora import (
    AlreadyExistsError,
    AuthenticationError,
    InvalidRequestError,
    Memora,
    MemoraError,
    NotFoundError,
    UnavailableError,
)
from helpers.memora.http import REQUEST_BYTES, requests_of, to_json
from helpers.memora.models import (
    Collection,
    ElementTypeParams,
    Field,
    Index,
    IndexConfig,
    Ranker,
    Schema,
    Search,
)

KEY = "sk-3f9a-a-secret-that-must-not-show"


def watched(*answers: httpx.Response | Exception, api_key: str = KEY) -> tuple[Memora, list[httpx.Request]]:
    """Return a client and the list of requests it sends; the last answer is given again and again."""
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        what = answers[min(len(sent), len(answers)) - 1]
        if isinstance(what, Exception):
            raise what
        return httpx.Response(what.status_code, headers=what.headers, content=what.content)

    transport = httpx.MockTransport(answer)
    return Memora(api_key=api_key, project_id="p1", base_url="http://memora.test/v1", transport=transport), sent


def ok(data: object = None) -> httpx.Response:
    return httpx.Response(200, json={"data": data})


def body(request: httpx.Request) -> dict:
    return json.loads(request.content)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the pauses between attempts, which are not really made."""
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    return pauses


BLOG = Collection(
    collection_name="reverse_image_search",
    schema=Schema(
        fields=[
            Field("id", "Int64", is_primary=True),
            Field("image_path", "VarChar", element_type_params=ElementTypeParams(max_length=256)),
            Field("vector", "FloatVector", element_type_params=ElementTypeParams(dim=384)),
        ],
        auto_id=False,
    ),
    indexes=[Index("COSINE", "vector", "vector_index", IndexConfig("IVF_FLAT", nlist=128))],
)

# Names ---------------------------------------------------------------------------------------------------------


def test_code_written_for_the_sdk_finds_every_call_and_argument():
    client, _ = watched(ok())
    names = {
        "collections": {
            "create": ["collection"],
            "list": [],
            "has": ["collection_name"],
            "describe": ["collection_name"],
            "drop": ["collection_name"],
            "rename": ["collection_name", "new_collection_name"],
            "load": ["collection_name"],
            "release": ["collection_name"],
            "get_load_state": ["collection_name"],
            "get_stats": ["collection_name"],
        },
        "partitions": {
            "create": ["collection_name", "partition_name"],
            "drop": ["collection_name", "partition_name"],
            "has": ["collection_name", "partition_name"],
            "list": ["collection_name"],
            "get_stats": ["collection_name", "partition_name"],
            "load": ["collection_name", "partition_names"],
            "release": ["collection_name", "partition_names"],
        },
        "indexes": {
            "create": ["collection_name", "index_params"],
            "list": ["collection_name"],
            "describe": ["collection_name", "index_name"],
            "drop": ["collection_name", "index_name"],
        },
        "vectors": {
            "insert": ["collection_name", "data", "partition_name"],
            "upsert": ["collection_name", "data", "partition_name"],
            "search": [
                "collection_name", "data", "anns_field", "filter", "limit", "offset", "grouping_field", "output_fields",
                "search_params", "partition_names",
            ],
            "hybrid_search": ["collection_name", "search", "rerank", "output_fields", "partition_names"],
            "query": ["collection_name", "filter", "output_fields", "partition_names"],
            "get": ["collection_name", "id", "output_fields", "partition_names"],
            "delete": ["collection_name", "filter", "partition_name"],
        },
    }  # fmt: skip
    for resource, verbs in names.items():
        assert {verb for verb in dir(getattr(client, resource)) if verb[0] != "_"} == set(verbs), resource
        for verb, arguments in verbs.items():
            assert list(inspect.signature(getattr(getattr(client, resource), verb)).parameters) == arguments, verb
    assert list(inspect.signature(Memora).parameters)[:3] == ["api_key", "project_id", "base_url"]


def test_the_blog_posts_singular_client_vector_still_searches():
    client, sent = watched(ok([]))
    client.vector.search(collection_name="c", data=[1.0], anns_field="v")
    assert sent[0].url.path == "/v1/vectors/search"


def test_models_take_the_sdks_arguments_in_the_sdks_order():
    leading = {
        Collection: ["collection_name", "dimension", "schema", "indexes"],
        Schema: ["fields", "auto_id"],
        Field: ["field_name", "data_type", "is_primary", "element_type_params"],
        ElementTypeParams: ["max_length", "dim", "max_capacity"],
        Index: ["metric_type", "field_name", "index_name", "params"],
        IndexConfig: ["index_type", "nlist", "m", "ef_construction"],
        Search: ["data", "anns_field", "limit"],
        Ranker: ["strategy", "params"],
    }
    for model, names in leading.items():
        assert [field.name for field in dataclasses.fields(model)][: len(names)] == names


def test_every_error_a_learner_may_catch_is_named_and_a_memora_error():
    for error in (AuthenticationError, NotFoundError, AlreadyExistsError, InvalidRequestError, UnavailableError):
        assert issubclass(error, MemoraError)
        assert getattr(helpers.memora, error.__name__) is error


# The wire ------------------------------------------------------------------------------------------------------

CALLS = {
    "collections/create": (
        lambda c: c.collections.create(collection=BLOG),
        {
            "collectionName": "reverse_image_search",
            "schema": {
                "autoID": False,
                "fields": [
                    {"fieldName": "id", "dataType": "Int64", "isPrimary": True},
                    {
                        "fieldName": "image_path", "dataType": "VarChar", "isPrimary": False,
                        "elementTypeParams": {"max_length": 256},
                    },
                    {
                        "fieldName": "vector", "dataType": "FloatVector", "isPrimary": False,
                        "elementTypeParams": {"dim": 384},
                    },
                ],
            },
            "indexParams": [
                {
                    "metricType": "COSINE",
                    "fieldName": "vector",
                    "indexName": "vector_index",
                    "params": {"index_type": "IVF_FLAT", "nlist": 128},
                }
            ],
        },
    ),
    "collections/create quick": (
        lambda c: c.collections.create(
            collection=Collection(
                "c", 8, metric_type="L2", id_type="VarChar", auto_id=False, primary_field_name="k",
                vector_field_name="v", params={"max_length": 9},
            )
        ),
        {
            "collectionName": "c", "dimension": 8, "metricType": "L2", "idType": "VarChar", "autoID": False,
            "primaryFieldName": "k", "vectorFieldName": "v", "params": {"max_length": 9},
        },
    ),
    "collections/list": (lambda c: c.collections.list(), {}),
    "collections/has": (lambda c: c.collections.has(collection_name="c"), {"collectionName": "c"}),
    "collections/describe": (lambda c: c.collections.describe(collection_name="c"), {"collectionName": "c"}),
    "collections/drop": (lambda c: c.collections.drop(collection_name="c"), {"collectionName": "c"}),
    "collections/rename": (
        lambda c: c.collections.rename(collection_name="c", new_collection_name="d"),
        {"collectionName": "c", "newCollectionName": "d"},
    ),
    "collections/release": (lambda c: c.collections.release(collection_name="c"), {"collectionName": "c"}),
    "collections/get_load_state": (
        lambda c: c.collections.get_load_state(collection_name="c"),
        {"collectionName": "c"},
    ),
    "collections/load": (lambda c: c.collections.load(collection_name="c"), {"collectionName": "c"}),
    "collections/get_stats": (lambda c: c.collections.get_stats(collection_name="c"), {"collectionName": "c"}),
    "partitions/create": (
        lambda c: c.partitions.create(collection_name="c", partition_name="p"),
        {"collectionName": "c", "partitionName": "p"},
    ),
    "partitions/drop": (
        lambda c: c.partitions.drop(collection_name="c", partition_name="p"),
        {"collectionName": "c", "partitionName": "p"},
    ),
    "partitions/has": (
        lambda c: c.partitions.has(collection_name="c", partition_name="p"),
        {"collectionName": "c", "partitionName": "p"},
    ),
    "partitions/list": (lambda c: c.partitions.list(collection_name="c"), {"collectionName": "c"}),
    "partitions/get_stats": (
        lambda c: c.partitions.get_stats(collection_name="c", partition_name="p"),
        {"collectionName": "c", "partitionName": "p"},
    ),
    "partitions/load": (
        lambda c: c.partitions.load(collection_name="c", partition_names=["p", "q"]),
        {"collectionName": "c", "partitionNames": ["p", "q"]},
    ),
    "partitions/release": (
        lambda c: c.partitions.release(collection_name="c", partition_names=["p"]),
        {"collectionName": "c", "partitionNames": ["p"]},
    ),
    "indexes/create": (
        lambda c: c.indexes.create(
            collection_name="c", index_params=[Index("IP", "v", "i", IndexConfig("HNSW", m=16, ef_construction=200))]
        ),
        {
            "collectionName": "c",
            "indexParams": [
                {
                    "metricType": "IP", "fieldName": "v", "indexName": "i",
                    "params": {"index_type": "HNSW", "M": 16, "efConstruction": 200},
                }
            ],
        },
    ),
    "indexes/list": (lambda c: c.indexes.list(collection_name="c"), {"collectionName": "c"}),
    "indexes/describe": (
        lambda c: c.indexes.describe(collection_name="c", index_name="i"),
        {"collectionName": "c", "indexName": "i"},
    ),
    "indexes/drop": (
        lambda c: c.indexes.drop(collection_name="c", index_name="i"),
        {"collectionName": "c", "indexName": "i"},
    ),
    "vectors/insert": (
        lambda c: c.vectors.insert(collection_name="c", data={"id": 1, "v": [1.0, 2.0]}, partition_name="p"),
        {"collectionName": "c", "data": [{"id": 1, "v": [1.0, 2.0]}], "partitionName": "p"},
    ),
    "vectors/upsert": (
        lambda c: c.vectors.upsert(collection_name="c", data=[{"id": 1, "v": [1.0]}, {"id": 2, "v": [3.0]}]),
        {"collectionName": "c", "data": [{"id": 1, "v": [1.0]}, {"id": 2, "v": [3.0]}]},
    ),
    "vectors/search": (
        lambda c: c.vectors.search(
            collection_name="c", data=[0.5, 0.25], anns_field="v", filter="id > 1", limit=3, offset=2,
            grouping_field="g", output_fields=["name"], partition_names=["p"],
            search_params={"metric_type": "COSINE", "params": {"nprobe": 16, "radius": 0.5, "range_filter": 0.9}},
        ),
        {
            "collectionName": "c", "data": [0.5, 0.25], "annsField": "v", "filter": "id > 1", "limit": 3, "offset": 2,
            "groupingField": "g", "outputFields": ["name"], "partitionNames": ["p"],
            "searchParams": {"metricType": "COSINE", "params": {"nprobe": 16, "radius": 0.5, "range_filter": 0.9}},
        },
    ),
    "vectors/hybrid_search": (
        lambda c: c.vectors.hybrid_search(
            collection_name="c",
            search=[Search([0.5, 0.25], "v", 10), Search([[1.0]], "w")],
        ),
        {
            "collectionName": "c",
            "search": [{"data": [0.5, 0.25], "annsField": "v", "limit": 10}, {"data": [[1.0]], "annsField": "w"}],
            "rerank": {"strategy": "rrf", "params": {"k": 60}},
        },
    ),
    "vectors/hybrid_search with everything": (
        lambda c: c.vectors.hybrid_search(
            collection_name="c",
            search=(
                Search(
                    data=[0.5], anns_field="v", limit=3, filter="id > 1", offset=2, grouping_field="g",
                    metric_type="IP", ignore_growing=False, params={"nprobe": 16},
                ),
                Search([0.25], "v", 4),
            ),
            rerank=Ranker("weighted", {"weights": [0.7, 0.3]}), output_fields=["name"], partition_names=["p"],
        ),
        {
            "collectionName": "c",
            "search": [
                {
                    "data": [0.5], "annsField": "v", "filter": "id > 1", "groupingField": "g", "metricType": "IP",
                    "limit": 3, "offset": 2, "ignoreGrowing": False, "params": {"nprobe": 16},
                },
                {"data": [0.25], "annsField": "v", "limit": 4},
            ],
            "rerank": {"strategy": "weighted", "params": {"weights": [0.7, 0.3]}},
            "outputFields": ["name"],
            "partitionNames": ["p"],
        },
    ),
    "vectors/query": (
        lambda c: c.vectors.query(collection_name="c", filter="id > 1", output_fields=["*"], partition_names=["p"]),
        {"collectionName": "c", "filter": "id > 1", "outputFields": ["*"], "partitionNames": ["p"]},
    ),
    "vectors/get": (
        lambda c: c.vectors.get(collection_name="c", id=[1, 2], output_fields=["name"]),
        {"collectionName": "c", "id": [1, 2], "outputFields": ["name"]},
    ),
    "vectors/delete": (
        lambda c: c.vectors.delete(collection_name="c", filter="id in [1]", partition_name="p"),
        {"collectionName": "c", "filter": "id in [1]", "partitionName": "p"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_hosted_memora_gets_exactly_the_contracts_body(name):
    call, expected = CALLS[name]
    client, sent = watched(ok("anything"))
    assert call(client) == {"data": "anything"}  # the answer's JSON, as it came
    (request,) = sent
    assert request.method == "POST"
    assert str(request.url) == "http://memora.test/v1/" + name.split()[0]
    assert request.headers["Api-Key"] == KEY
    assert request.headers["Content-Type"] == "application/json"
    assert body(request) == {"project_id": "p1", **expected}


def test_defaults_are_left_to_the_server_so_that_its_own_hold():
    client, sent = watched(ok([]))
    client.vectors.search(collection_name="c", data=[1.0], anns_field="v")
    assert body(sent[0]) == {"project_id": "p1", "collectionName": "c", "data": [1.0], "annsField": "v"}
    client.collections.create(collection=Collection("c", dimension=4))
    assert body(sent[1]) == {"project_id": "p1", "collectionName": "c", "dimension": 4}


ROW = [0.5, -0.25, 3.0]
SEVERAL = [[0.5, -0.25, 3.0], [1.0, 2.0, -4.0]]  # exact in 16 bits too
ONE_VECTOR = {
    "list": ROW,
    "tuple": tuple(ROW),
    "list of numpy numbers": list(np.array(ROW, np.float32)),
    "float32": np.array(ROW, np.float32),
    "float64": np.array(ROW),
    "float16": np.array(ROW, np.float16),
    "every second": np.array([0.5, 9, -0.25, 9, 3.0, 9], np.float32)[::2],
    "reversed": np.array(ROW[::-1], np.float32)[::-1],
    "read-only": np.broadcast_to(np.array(ROW, np.float32), (2, 3))[0],
    "tensor": torch.tensor(ROW),
    "float64 tensor": torch.tensor(ROW, dtype=torch.float64),
    "bfloat16 tensor": torch.tensor(ROW, dtype=torch.bfloat16),
    "float16 tensor": torch.tensor(ROW, dtype=torch.float16),
    "tensor with gradient": torch.tensor(ROW, requires_grad=True),
    "tensor column": torch.tensor([[0.5, 9], [-0.25, 9], [3.0, 9]])[:, 0],
    "list of 0-d tensors": list(torch.tensor(ROW)),
}
MANY_VECTORS = {
    "list of lists": SEVERAL,
    "float32": np.array(SEVERAL, np.float32),
    "transposed": np.array(SEVERAL, np.float32).T.copy().T,
    "Fortran order": np.asfortranarray(np.array(SEVERAL)),
    "every second row": np.array([SEVERAL[0], ROW, SEVERAL[1], ROW])[::2],
    "tensor": torch.tensor(SEVERAL),
    "transposed bfloat16 tensor": torch.tensor(SEVERAL, dtype=torch.bfloat16).T.contiguous().T,
    "list of arrays": list(np.array(SEVERAL, np.float32)),
    "list of tensors": list(torch.tensor(SEVERAL, dtype=torch.bfloat16)),
    "tuple of tensors with gradient": tuple(torch.tensor(SEVERAL, requires_grad=True)),
}


@pytest.mark.parametrize("kind", ONE_VECTOR)
def test_one_vector_in_any_common_form_arrives_as_its_numbers(kind):
    client, sent = watched(ok([]))
    client.vectors.search(collection_name="c", data=ONE_VECTOR[kind], anns_field="v")
    client.vectors.insert(collection_name="c", data={"v": ONE_VECTOR[kind]})
    client.vectors.hybrid_search(collection_name="c", search=[Search(ONE_VECTOR[kind], "v")])
    assert body(sent[0])["data"] == ROW
    assert body(sent[1])["data"] == [{"v": ROW}]
    assert body(sent[2])["search"][0]["data"] == ROW


@pytest.mark.parametrize("kind", MANY_VECTORS)
def test_several_vectors_in_any_common_form_arrive_as_their_numbers(kind):
    client, sent = watched(ok([]))
    client.vectors.search(collection_name="c", data=MANY_VECTORS[kind], anns_field="v")
    client.vectors.hybrid_search(collection_name="c", search=[Search(MANY_VECTORS[kind], "v")])
    assert body(sent[0])["data"] == SEVERAL
    assert body(sent[1])["search"][0]["data"] == SEVERAL


def test_ids_and_numbers_from_numpy_and_torch_keep_every_digit():
    client, sent = watched(ok({}))
    large = 2**53 - 1  # 32-bit floats would lose it
    row = {
        "id": torch.tensor(large), "n": np.int64(large), "i": np.int8(-3), "b": np.bool_(True), "t": torch.tensor(True),
        "d": torch.tensor(0.1, dtype=torch.float64), "e": np.float64(0.1), "f": np.float32(0.5), "s": np.str_("é"),
    }  # fmt: skip
    client.vectors.insert(collection_name="c", data=[row])
    (stored,) = body(sent[0])["data"]
    assert stored == {
        "id": large, "n": large, "i": -3, "b": True, "t": True, "d": 0.1, "e": 0.1, "f": 0.5, "s": "é",
    }  # fmt: skip
    assert isinstance(stored["id"], int)
    for ids in (np.array([1, large]), torch.tensor([1, large]), (1, large), range(1, 2)):
        client.vectors.get(collection_name="c", id=ids)
        assert body(sent[-1])["id"] == [1, large][: len(ids)]
    for one in (7, np.int64(7)):
        client.vectors.get(collection_name="c", id=one)
        assert body(sent[-1])["id"] == [7]
    client.vectors.get(collection_name="c", id="seven")
    assert body(sent[-1])["id"] == ["seven"]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(
    "form",
    [
        list,
        tuple,
        np.array,
        torch.tensor,
        lambda v: np.array(v, np.float16),
        lambda v: torch.tensor(v, dtype=torch.bfloat16),
        lambda v: list(np.array(v, np.float32)),
        lambda v: torch.tensor(v, requires_grad=True),
    ],
    ids=["list", "tuple", "float64", "tensor", "float16", "bfloat16", "numpy numbers", "gradient"],
)
def test_a_vector_with_nan_or_infinity_is_refused_before_anything_is_sent(form, bad):
    client, sent = watched(ok({}))
    vector = form([1.0, bad, 2.0])
    for call in (client.vectors.insert, client.vectors.upsert):
        with pytest.raises(InvalidRequestError, match=r"Row 1, field 'v' holds NaN or infinity") as caught:
            call(collection_name="c", data=[{"v": [1.0, 2.0, 3.0]}, {"v": vector}])
        assert caught.value.status is None
    with pytest.raises(InvalidRequestError, match="query vector holds NaN or infinity"):
        client.vectors.search(collection_name="c", data=vector, anns_field="v")
    with pytest.raises(InvalidRequestError, match="query vector holds NaN or infinity"):
        client.vectors.search(collection_name="c", data=[[1.0, 2.0, 3.0], vector], anns_field="v")
    for data in (vector, [[1.0, 2.0, 3.0], vector]):
        with pytest.raises(InvalidRequestError, match=r"Search 1, field 'w': the query vector holds NaN or infinity"):
            client.vectors.hybrid_search(collection_name="c", search=[Search([1.0, 2.0, 3.0], "v"), Search(data, "w")])
    assert not sent


def test_a_single_number_that_is_nan_is_refused_before_anything_is_sent():
    client, sent = watched(ok({}))
    for nan in (float("nan"), np.float32("nan"), np.float64("inf"), torch.tensor(float("nan"))):
        with pytest.raises(InvalidRequestError, match="field 'price' holds NaN or infinity"):
            client.vectors.insert(collection_name="c", data={"price": nan})
    assert not sent


def test_nan_within_a_json_field_is_refused_for_it_would_come_back_as_null():
    client, sent = watched(ok({}))
    nan = float("nan")
    for info in ({"score": nan}, {"scores": [0.5, nan]}, {"a": {"b": [{"c": 1}, {"c": np.float32(nan)}]}}):
        for value in (info, [info], [[1.0], [info]]):
            with pytest.raises(InvalidRequestError, match="field 'info' holds NaN or infinity"):
                client.vectors.insert(collection_name="c", data={"info": value})
    assert not sent


INDEX = Index("L2", "v", "i", IndexConfig("FLAT"))
NO_MODELS = {
    r"collection takes Collection\(...\), and this is a dict": lambda c: c.collections.create(
        collection={"dimension": 3}
    ),
    r"collection takes Collection\(...\), and this is a str": lambda c: c.collections.create(collection="c"),
    r"schema takes Schema\(...\), and this is a list": lambda c: c.collections.create(
        collection=Collection("c", schema=[1])
    ),
    r"fields\[0\] takes Field\(...\), and this is a dict": lambda c: c.collections.create(
        collection=Collection("c", schema=Schema([{"fieldName": "id"}]))
    ),
    r"fields takes a list, and this is a Field: write fields=\[Field\(": lambda c: c.collections.create(
        collection=Collection("c", schema=Schema(Field("id", "Int64")))
    ),
    r"element_type_params takes ElementTypeParams\(...\), and this is a dict": lambda c: c.collections.create(
        collection=Collection("c", schema=Schema([Field("v", "FloatVector", element_type_params={"dim": 3})]))
    ),
    "indexes takes a list, and this is a Index": lambda c: c.collections.create(
        collection=Collection("c", 3, indexes=INDEX)
    ),
    r"index_params takes a list, and this is a Index: write index_params=\[Index\(": lambda c: c.indexes.create(
        collection_name="c", index_params=INDEX
    ),
    r"index_params\[1\] takes Index\(...\), and this is a dict": lambda c: c.indexes.create(
        collection_name="c", index_params=[INDEX, {"metricType": "L2"}]
    ),
    r"search takes a list, and this is a Search: write search=\[Search\(": lambda c: c.vectors.hybrid_search(
        collection_name="c", search=Search([1.0], "v")
    ),
    r"search takes a list, and this is a NoneType": lambda c: c.vectors.hybrid_search(collection_name="c", search=None),
    r"search\[1\] takes Search\(...\), and this is a dict": lambda c: c.vectors.hybrid_search(
        collection_name="c", search=[Search([1.0], "v"), {"data": [1.0], "annsField": "v"}]
    ),
    r"search\[0\] takes Search\(...\), and this is a list": lambda c: c.vectors.hybrid_search(
        collection_name="c", search=[[1.0, 2.0]]
    ),
    r"rerank takes Ranker\(...\), and this is a str": lambda c: c.vectors.hybrid_search(
        collection_name="c", search=TWO, rerank="rrf"
    ),
    r"rerank takes Ranker\(...\), and this is a dict": lambda c: c.vectors.hybrid_search(
        collection_name="c", search=TWO, rerank={"strategy": "rrf", "params": {"k": 60}}
    ),
    r"params takes IndexConfig\(...\), and this is a dict": lambda c: c.indexes.create(
        collection_name="c", index_params=[Index("L2", "v", "i", {"index_type": "FLAT"})]
    ),
}


@pytest.mark.parametrize("sentence", NO_MODELS)
def test_what_is_no_model_is_refused_before_anything_is_sent(sentence):
    client, sent = watched(ok([]))
    with pytest.raises(InvalidRequestError, match=sentence):
        NO_MODELS[sentence](client)
    assert not sent


@pytest.mark.parametrize("given", [384, "384", " 384 ", np.int64(384)])
def test_a_size_given_as_text_is_sent_as_the_number_it_says(given):
    client, sent = watched(ok({}))
    params = ElementTypeParams(max_length="64", dim=given)
    client.collections.create(
        collection=Collection("c", schema=Schema([Field("v", "FloatVector", element_type_params=params)]))
    )
    assert params.dim == 384
    (field,) = body(sent[0])["schema"]["fields"]
    assert field["elementTypeParams"] == {"max_length": 64, "dim": 384}


@pytest.mark.parametrize("given", ["many", "", "38.4", "1_000", "384 numbers"])
@pytest.mark.parametrize("name", ["max_length", "dim", "max_capacity"])
def test_a_size_given_as_text_that_is_not_a_whole_number_is_refused(name, given):
    with pytest.raises(InvalidRequestError, match=f"{name} takes a whole number, .* and this is {given!r}"):
        ElementTypeParams(**{name: given})


@pytest.mark.parametrize("names", ["python", "wire"])
def test_a_collections_params_may_have_pythons_names_or_the_wires(names):
    client, sent = watched(ok({}))
    wire = {"max_length": 9, "enableDynamicField": True, "shardsNum": 2, "partitionsNum": 4, "ttlSeconds": 60}
    python = {"max_length": 9, "enable_dynamic_field": True, "shards_num": 2, "partitions_num": 4, "ttl_seconds": 60}
    client.collections.create(collection=Collection("c", 3, params=python if names == "python" else wire))
    assert body(sent[0])["params"] == wire


def test_what_has_no_json_form_is_refused_in_words_before_anything_is_sent():
    client, sent = watched(ok({}))
    with pytest.raises(InvalidRequestError, match=r"can't be sent as JSON.*object"):
        client.vectors.insert(collection_name="c", data={"thing": object()})
    with pytest.raises(InvalidRequestError, match=r"can't be sent as JSON: Integer exceeds 64-bit range"):
        client.vectors.insert(collection_name="c", data={"id": 2**70})
    for rows in ([[0.1, 0.2]], "text", [1]):  # vectors without their rows: a common slip
        with pytest.raises(InvalidRequestError, match=r"Row 0 is a \w+: a row is a dict"):
            client.vectors.insert(collection_name="c", data=rows)
    assert not sent


TAKES_PARTITIONS = {
    "partitions.load": lambda c, names: c.partitions.load(collection_name="c", partition_names=names),
    "partitions.release": lambda c, names: c.partitions.release(collection_name="c", partition_names=names),
    "search": lambda c, names: c.vectors.search(collection_name="c", data=[1.0], anns_field="v", partition_names=names),
    "hybrid_search": lambda c, names: c.vectors.hybrid_search(
        collection_name="c", search=[Search([1.0], "v")], partition_names=names
    ),
    "query": lambda c, names: c.vectors.query(collection_name="c", filter="id > 1", partition_names=names),
    "get": lambda c, names: c.vectors.get(collection_name="c", id=1, partition_names=names),
}
TAKES_FIELDS = {
    "search": lambda c, names: c.vectors.search(collection_name="c", data=[1.0], anns_field="v", output_fields=names),
    "hybrid_search": lambda c, names: c.vectors.hybrid_search(
        collection_name="c", search=[Search([1.0], "v")], output_fields=names
    ),
    "query": lambda c, names: c.vectors.query(collection_name="c", filter="id > 1", output_fields=names),
    "get": lambda c, names: c.vectors.get(collection_name="c", id=1, output_fields=names),
}
NAME_LISTS = [("partition_names", "partitionNames", call) for call in TAKES_PARTITIONS.values()] + [
    ("output_fields", "outputFields", call) for call in TAKES_FIELDS.values()
]
NAME_IDS = [f"{name} partitions" for name in TAKES_PARTITIONS] + [f"{name} fields" for name in TAKES_FIELDS]


@pytest.mark.parametrize(("argument", "wire", "call"), NAME_LISTS, ids=NAME_IDS)
def test_one_name_without_its_brackets_is_not_looked_up_letter_by_letter(argument, wire, call):
    client, sent = watched(ok([]))
    for name in ("mugs", "", np.str_("mugs")):
        with pytest.raises(InvalidRequestError, match=rf"^{argument} is the single string .*: write {argument}=\["):
            call(client, name)
    for wrong in (7, [7], [["mugs"]], b"mugs", [None]):
        with pytest.raises(
            InvalidRequestError, match=rf"^{argument} takes a list of names, each a string; .* is a \w+"
        ):
            call(client, wrong)
    assert not sent


@pytest.mark.parametrize(("argument", "wire", "call"), NAME_LISTS, ids=NAME_IDS)
def test_names_in_any_common_collection_arrive_as_a_list_in_their_order(argument, wire, call):
    client, sent = watched(ok([]))
    for names in (["b", "a"], ("b", "a"), {"b": 1, "a": 2}, np.array(["b", "a"]), (name for name in "ba")):
        call(client, names)
        assert body(sent[-1])[wire] == ["b", "a"]


def test_rows_are_divided_by_their_bytes_in_order_and_none_is_lost(rng):
    vectors = rng.normal(size=(2_000, 1_280)).astype(np.float32)
    rows = [{"id": number, "text": "é" * (number % 100), "v": v} for number, v in enumerate(vectors)]
    parts = list(requests_of(iter(rows)))
    assert [row["id"] for part in parts for row in part] == list(range(2_000))
    sizes = [len(to_json(part)) for part in parts]
    assert max(sizes) <= REQUEST_BYTES + 2
    assert min(sizes[:-1]) > 0.99 * REQUEST_BYTES
    assert [len(part) for part in requests_of(["x" * (REQUEST_BYTES + 1), "y", torch.ones(3)])] == [1, 2]
    assert [len(part) for part in requests_of(range(7), most=3)] == [3, 3, 1]
    assert list(requests_of([])) == []


# Hybrid search -------------------------------------------------------------------------------------------------

TWO = [Search([1.0], "v", 5), Search([2.0], "w", 5)]


@pytest.mark.parametrize(
    ("ranker", "expected"),
    [
        (Ranker(), {"strategy": "rrf", "params": {"k": 60}}),
        (Ranker("rrf", {"k": 10}), {"strategy": "rrf", "params": {"k": 10}}),
        (Ranker("weighted", {"weights": (0, 1)}), {"strategy": "weighted", "params": {"weights": [0, 1]}}),
        (
            Ranker("weighted", {"weights": np.array([0.75, 0.25], np.float32), "norm_score": True}),
            {"strategy": "weighted", "params": {"weights": [0.75, 0.25], "norm_score": True}},
        ),
        (
            Ranker("weighted", {"weights": torch.tensor([0.75, 0.25])}),
            {"strategy": "weighted", "params": {"weights": [0.75, 0.25]}},
        ),
    ],
    ids=["default", "k", "tuple", "array and Milvus' own option", "tensor"],
)
def test_the_ranking_that_was_asked_for_is_the_one_that_is_sent(ranker, expected):
    client, sent = watched(ok([]))
    client.vectors.hybrid_search(collection_name="c", search=TWO, rerank=ranker)
    assert body(sent[0])["rerank"] == expected


@pytest.mark.parametrize(
    ("ranker", "sentence"),
    [
        (Ranker("weightd"), "'rrf', 'weighted'"),
        (Ranker("rrf", {"weights": [0.7, 0.3]}), r"rerank\.rrf\.params\.weights"),
        (Ranker("rrf", 60), r"rerank\.rrf\.params"),
        (Ranker("weighted"), r"rerank\.weighted\.params"),
        (Ranker("weighted", [0.7, 0.3]), r"rerank\.weighted\.params"),
        (Ranker("weighted", {"weights": 0.7}), r"weights.*list"),
        (Ranker("weighted", {"weights": ["a", "b"]}), r"weights\.0.*number"),
        (Ranker("weighted", {"weights": [7, 3]}), r"weights\.0.*1"),
        (Ranker("weighted", {"weights": [0.5, -0.1]}), r"weights\.1.*0"),
        (Ranker("weighted", {"weights": [float("nan"), 0.5]}), r"weights\.0.*number"),
        (Ranker("weighted", {"weights": [1]}), "1 weights for 2 searches"),
        (Ranker("weighted", {"weights": [0.1] * 3}), "3 weights for 2 searches"),
    ],
    ids=str,
)
def test_a_ranker_that_could_not_rank_is_refused_by_memora_in_words(client, ranker, sentence):
    client.collections.create(collection=Collection("c", 2))
    searches = [Search([1.0, 0.0], "vector", 5), Search([0.0, 1.0], "vector", 5)]
    assert client.vectors.hybrid_search(collection_name="c", search=searches) == {"data": []}
    with pytest.raises(InvalidRequestError, match=sentence) as caught:
        client.vectors.hybrid_search(collection_name="c", search=searches, rerank=ranker)
    assert caught.value.status == 400


def test_searches_that_hold_arrays_can_be_told_apart_without_a_numpy_error():
    one, other = Search(np.ones(3), "v"), Search(np.ones(3), "v")
    assert one == one
    assert one != other
    assert [one, other].index(other) == 1


# Retries -------------------------------------------------------------------------------------------------------

NOT_REPEATED = (
    "collections/create", "collections/drop", "collections/rename", "partitions/create", "partitions/drop",
    "indexes/create", "indexes/drop", "vectors/insert",
)  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("failure", [httpx.Response(503), httpx.Response(429), httpx.ConnectError("no")], ids=repr)
def test_only_calls_that_do_no_harm_twice_are_sent_again(name, failure, waits):
    call, _ = CALLS[name]
    client, sent = watched(failure)
    with pytest.raises(UnavailableError):
        call(client)
    if name.split()[0] in NOT_REPEATED:
        assert len(sent) == 1
        assert not waits
    else:
        assert len(sent) == 4
        assert len({request.content for request in sent}) == 1
        assert 0.2 <= waits[0] <= 0.3 < waits[1] <= 0.5 < waits[2] <= 0.9  # longer and longer, and not for ever


@pytest.mark.parametrize("name", ["vectors/search", "vectors/upsert", "collections/has"])
@pytest.mark.parametrize(
    "failure",
    [httpx.ReadTimeout("late"), httpx.WriteTimeout("late"), httpx.ConnectTimeout("late"), httpx.Response(504)],
    ids=repr,
)
def test_a_call_that_may_still_run_is_not_sent_again(name, failure, waits):
    """Else a slow server would have each search to do four times, and the learner to wait four times as long."""
    call, _ = CALLS[name]
    client, sent = watched(failure)
    with pytest.raises(UnavailableError):
        call(client)
    assert len(sent) == 1
    assert not waits


def test_calls_are_not_sent_again_once_the_time_out_has_passed(monkeypatch, waits):
    """A server that refuses slowly would else be asked for four times as long as one call may take."""
    clock = iter(range(0, 1_000, 40))  # seconds: each look at the clock is 40 later
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    client, sent = watched(httpx.Response(503))
    with pytest.raises(UnavailableError):
        client.collections.list()
    assert len(sent) < 4


def test_a_server_that_recovers_gives_the_answer_with_no_error(waits):
    client, sent = watched(httpx.Response(503), httpx.ConnectError("no"), ok(["c"]))
    assert client.collections.list() == {"data": ["c"]}
    assert len(sent) == 3


@pytest.mark.parametrize("name", ["vectors/insert", "collections/create", "vectors/search"])
@pytest.mark.parametrize(("asked", "waited"), [("2", 2), ("3600", 10)])
def test_a_call_refused_for_now_is_sent_again_when_memora_says(name, asked, waited, waits):
    """A busy class server refuses before anything is done, so that an insert may be sent again, too."""
    client, sent = watched(httpx.Response(429, headers={"Retry-After": asked}), ok({"insertCount": 1}))
    CALLS[name][0](client)
    assert len(sent) == 2
    assert waits == [waited]


def test_a_call_refused_for_ever_ends_with_the_reason(waits):
    client, sent = watched(httpx.Response(429, headers={"Retry-After": "1"}, json={"message": "too many"}))
    with pytest.raises(UnavailableError, match="too many"):
        CALLS["vectors/insert"][0](client)
    assert len(sent) == 4


@pytest.mark.parametrize("failure", [httpx.ReadError("reset"), httpx.RemoteProtocolError("disconnected")], ids=repr)
def test_a_write_that_lost_its_answer_says_to_look_first(failure, waits):
    client, sent = watched(failure)
    with pytest.raises(UnavailableError, match="It is not known whether vectors/insert was done"):
        CALLS["vectors/insert"][0](client)
    assert len(sent) == 1
    with pytest.raises(UnavailableError, match="try again"):
        CALLS["vectors/upsert"][0](client)  # may be done twice: it was sent again, and may be once more


def test_a_write_that_was_never_sent_does_not_say_so(waits):
    client, _ = watched(httpx.ConnectError("refused"))
    with pytest.raises(UnavailableError, match=r"(?s)could not be reached.*try again") as caught:
        CALLS["vectors/insert"][0](client)
    assert "not known" not in str(caught.value)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500, 501, 504])
def test_a_refusal_or_a_bug_is_not_asked_again(status, waits):
    client, sent = watched(httpx.Response(status, json={"message": "no"}))
    with pytest.raises(MemoraError):
        client.collections.list()
    assert len(sent) == 1


# Errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, InvalidRequestError), (401, AuthenticationError), (403, AuthenticationError), (404, NotFoundError),
        (408, UnavailableError), (409, AlreadyExistsError), (413, InvalidRequestError), (422, InvalidRequestError),
        (429, UnavailableError), (500, UnavailableError), (501, InvalidRequestError), (502, UnavailableError),
        (503, UnavailableError), (504, UnavailableError),
    ],
)  # fmt: skip
def test_each_status_is_an_error_of_its_kind_with_the_servers_words(status, error, waits):
    client, _ = watched(httpx.Response(status, json={"message": "the server's own words"}))
    with pytest.raises(error) as caught:
        client.collections.list()
    assert type(caught.value) is error
    assert caught.value.status == status
    assert caught.value.message == "the server's own words"
    assert str(caught.value).startswith(f"the server's own words (HTTP {status})")


def test_errors_a_learner_can_mend_say_what_to_do_next(waits):
    steps = {
        401: "MEMORA_API_KEY",
        404: r"collections\.list\(.*partitions\.list\(",
        409: r"partitions\.has\(.*upsert",
        503: "MEMORA_URL",
    }
    for status, step in steps.items():
        client, _ = watched(httpx.Response(status, json={"message": "no"}))
        with pytest.raises(MemoraError, match=step):
            client.collections.list()


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>Please log in</html>"),
        httpx.Response(200, json=["a", "list"]),
        httpx.Response(200, content=b""),
        httpx.Response(204),
        httpx.Response(302, headers={"location": "https://login.test"}),
        httpx.Response(200, headers={"content-type": "application/json"}, content=b"\xff{}"),
    ],
    ids=["HTML", "JSON list", "empty", "no content", "redirect", "bad bytes"],
)
def test_an_answer_that_is_not_memoras_leads_to_the_base_url(answer, waits):
    client, _ = watched(answer)
    with pytest.raises(UnavailableError, match=r"http://memora\.test/v1 answered .*is the base URL right\?"):
        client.collections.list()


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(502, text="<html>Bad Gateway</html>"),
        httpx.Response(502, json=["x"]),
        httpx.Response(502, json={"message": None}),
        httpx.Response(502, content=b""),
    ],
    ids=["HTML", "list", "null", "empty"],
)
def test_a_failure_without_a_message_still_says_what_failed(answer, waits):
    client, _ = watched(answer)
    with pytest.raises(UnavailableError, match=r"^collections/list failed: Bad Gateway \(HTTP 502\)"):
        client.collections.list()


def test_a_damaged_answer_is_a_memora_error_of_no_other_library(waits):
    class Damaged(httpx.BaseTransport):
        def handle_request(self, request):
            return httpx.Response(200, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(b"no gzip"))

    with pytest.raises(UnavailableError, match="could not be reached"):
        Memora(KEY, "p1", "http://memora.test", transport=Damaged()).collections.list()


def test_a_refused_connection_is_told_with_the_address_and_what_to_check(waits):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(UnavailableError, match=r"(?s)refused.*MEMORA_URL is right") as caught:
        Memora(KEY, "p1", url).collections.list()
    assert url in str(caught.value)
    assert caught.value.status is None
    assert len(waits) == 3


@pytest.mark.parametrize("verb", ["vectors/insert", "vectors/search"])
def test_a_server_that_never_answers_is_given_up_after_one_time_out(monkeypatch, verb):
    monkeypatch.setattr(helpers.memora.http, "TIMEOUT", httpx.Timeout(0.2))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = Memora(KEY, "p1", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(UnavailableError, match=rf"did not answer {verb} within 0\.2 seconds") as caught:
            CALLS[verb][0](client)
        assert "less busy" in str(caught.value)
        silent.settimeout(0)
        silent.accept()
        with pytest.raises(BlockingIOError):
            silent.accept()  # a second connection would be a second attempt


def test_a_request_never_waits_longer_than_a_minute():
    assert httpx.Timeout(60.0, connect=5.0) == helpers.memora.http.TIMEOUT
    client, _ = watched(ok())
    assert client._http._client.timeout == helpers.memora.http.TIMEOUT


# Settings ------------------------------------------------------------------------------------------------------


def test_the_base_url_comes_from_the_environment_and_the_argument_wins(monkeypatch):
    monkeypatch.setenv("MEMORA_URL", "http://from.environment")
    assert "http://from.environment" in repr(Memora(api_key=KEY, project_id="p1"))
    assert "http://from.argument" in repr(Memora(api_key=KEY, project_id="p1", base_url="http://from.argument"))


@pytest.mark.parametrize("empty", [None, ""])
def test_a_missing_base_url_is_told_in_a_sentence(monkeypatch, empty):
    monkeypatch.delenv("MEMORA_URL") if empty is None else monkeypatch.setenv("MEMORA_URL", empty)
    with pytest.raises(InvalidRequestError, match=r"No base URL: pass base_url=\.\.\., or set MEMORA_URL"):
        Memora(api_key=KEY, project_id="p1")


@pytest.mark.parametrize("url", ["memora.test", "ftp://memora.test", " http://memora.test", "http://x/\n"])
def test_a_base_url_that_is_none_is_refused_at_once(url):
    with pytest.raises(InvalidRequestError, match="base URL"):
        Memora(api_key=KEY, project_id="p1", base_url=url)


def test_a_password_in_the_base_url_is_shown_nowhere(waits):
    client = Memora(KEY, "p1", "http://me:secret@127.0.0.1:9/v1")
    with pytest.raises(UnavailableError, match=r"http://127\.0\.0\.1:9/v1 could not be reached") as caught:
        client.collections.list()
    assert "secret" not in f"{caught.value} {client!r}"
    with pytest.raises(InvalidRequestError, match="must start with http") as caught:
        Memora(KEY, "p1", "ftp://me:secret@host")
    assert "secret" not in str(caught.value)


def test_an_impossible_host_name_is_told_as_unreachable(waits):
    with pytest.raises(UnavailableError, match=r"http://a\.\.b could not be reached"):
        Memora(api_key=KEY, project_id="p1", base_url="http://a..b").collections.list()


@pytest.mark.parametrize("key", ["", " ", "two words", "with-a-break\n", "clé", None])
def test_a_key_spoilt_in_copying_is_refused_at_once_and_not_shown(key):
    with pytest.raises(InvalidRequestError, match="API key is empty, or holds") as caught:
        Memora(api_key=key, project_id="p1", base_url="http://memora.test")
    if key and key.strip():
        assert key not in str(caught.value)


# The key stays secret ------------------------------------------------------------------------------------------


@pytest.fixture
def echoing():
    """Run a real server that answers with the status in the path and repeats the key it was given."""

    class Echo(BaseHTTPRequestHandler):
        keys: list[str] = []
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            key = self.headers["Api-Key"]
            self.keys.append(key)
            status = int(self.path.split("/")[1])
            answer = json.dumps({"message": f"key {key!r} is not accepted: {key}"}).encode()
            if status == 500:
                answer = f"Traceback: Api-Key: {key}".encode()  # no JSON
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", Echo.keys
        server.shutdown()


@pytest.mark.parametrize("status", [401, 400, 500])
def test_the_key_is_in_no_log_error_or_traceback(echoing, status, caplog, waits):
    """Though the server repeats it."""
    url, keys = echoing
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "httpcore.http11", "httpcore.connection"):
        caplog.set_level(logging.DEBUG, logger=name)
    with (
        Memora(api_key=KEY, project_id="p1", base_url=f"{url}/{status}") as client,
        pytest.raises(MemoraError) as caught,
    ):
        client.vectors.search(collection_name="c", data=[1.0], anns_field="v")
    assert set(keys) == {KEY}  # it did travel
    assert "HTTP Request: POST" in caplog.text  # and the logs were on
    assert "receive_response_headers" in caplog.text
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
    variables = [frame.locals for frame in frames if frame.filename != __file__]  # ours hold the key, of course
    assert variables
    for place in (caplog.text, str(caught.value), repr(caught.value), repr(variables)):
        assert KEY not in place
    if status != 500:
        assert caught.value.message == "key '[the API key]' is not accepted: [the API key]"


def test_the_key_is_in_no_repr_of_the_client_nor_of_what_it_holds():
    client, _ = watched(ok())
    for thing in (client, client.vectors, client._http, vars(client), vars(client._http), vars(client._http._client)):
        assert KEY not in repr(thing)
        assert KEY not in str(thing)
    assert repr(client) == "Memora(project_id='p1', base_url='http://memora.test/v1')"


# The learner's sentence ----------------------------------------------------------------------------------------

HINT = "takes 384 numbers, not 512: load the extractor that made its vectors"
WRONG_LENGTH = {
    "list": [0.5] * 512,
    "array": np.full(512, 0.5, np.float32),
    "tensor": torch.full((512,), 0.5),
    "bfloat16 tensor": torch.full((512,), 0.5, dtype=torch.bfloat16),
    "tensor with gradient": torch.full((512,), 0.5, requires_grad=True),
}


@pytest.mark.parametrize("form", WRONG_LENGTH)
def test_the_local_memora_explains_a_vector_of_another_length(client, form):
    client.collections.create(collection=BLOG)
    row = {"id": 1, "image_path": "a.jpg", "vector": WRONG_LENGTH[form]}
    for call in (client.vectors.insert, client.vectors.upsert):
        with pytest.raises(InvalidRequestError, match=HINT) as caught:
            call(collection_name=BLOG.collection_name, data=row)
        assert caught.value.status == 400
    for data in (WRONG_LENGTH[form], [WRONG_LENGTH[form]]):
        with pytest.raises(InvalidRequestError, match=HINT):
            client.vectors.search(collection_name=BLOG.collection_name, data=data, anns_field="vector")
    assert client.collections.get_stats(collection_name=BLOG.collection_name) == {"data": {"rowCount": 0}}


def foreign(dim: object = "384", describe: httpx.Response | None = None) -> tuple[Memora, list[httpx.Request]]:
    """Return a client of a server that refuses vectors in Milvus' own words."""
    sent: list[httpx.Request] = []
    fields = [
        {"name": "id", "type": "Int64", "params": []},
        {"name": "bits", "type": "BinaryVector", "params": [{"key": "dim", "value": "64"}]},
        {
            "name": "vector",
            "type": "FloatVector",
            "params": [{"key": "dim", "value": dim}, {"key": "mmap", "value": ""}],
        },
    ]

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        if request.url.path.endswith("describe"):
            return describe or httpx.Response(200, json={"data": {"fields": fields}})
        return httpx.Response(400, json={"message": "vector dimension mismatch, expected vector size(byte) 1536"})

    return Memora(KEY, "p1", "http://memora.test", transport=httpx.MockTransport(answer)), sent


@pytest.mark.parametrize("form", WRONG_LENGTH)
@pytest.mark.parametrize("dim", ["384", 384])
def test_a_foreign_servers_words_about_lengths_stay_with_advice(form, dim):
    client, _ = foreign(dim)
    vector = WRONG_LENGTH[form]
    right = [0.5] * 384
    calls = [
        lambda: client.vectors.insert(collection_name="c", data={"id": 1, "vector": vector}),
        lambda: client.vectors.upsert(
            collection_name="c", data=[{"id": 1, "vector": right}, {"id": 2, "vector": vector}]
        ),
        lambda: client.vectors.search(collection_name="c", data=vector, anns_field="vector"),
        lambda: client.vectors.search(collection_name="c", data=[right, vector], anns_field="vector"),
        lambda: client.vectors.hybrid_search(
            collection_name="c", search=[Search(right, "vector"), Search(vector, "vector")]
        ),
    ]
    for call in calls:
        with pytest.raises(InvalidRequestError, match=HINT) as caught:
            call()
        assert caught.value.status == 400
        assert caught.value.message == "vector dimension mismatch, expected vector size(byte) 1536"


@pytest.mark.parametrize(
    "describe",
    [
        httpx.Response(404, json={"message": "gone"}),
        httpx.Response(200, json={"data": {}}),
        httpx.Response(200, json={"data": {"fields": [{"name": "vector"}]}}),
        httpx.Response(
            200,
            json={"data": {"fields": [{"name": "v", "type": "FloatVector", "params": [{"key": "dim", "value": "?"}]}]}},
        ),
        httpx.Response(200, json={"data": None}),
    ],
    ids=["gone", "no fields", "no params", "no number", "null"],
)
def test_a_failed_look_at_the_schema_never_hides_the_servers_own_words(describe):
    client, _ = foreign(describe=describe)
    with pytest.raises(InvalidRequestError, match="vector dimension mismatch") as caught:
        client.vectors.insert(collection_name="c", data={"id": 1, "vector": [0.5] * 512})
    assert "load the extractor" not in str(caught.value)


def test_a_refusal_that_is_not_about_lengths_keeps_the_servers_words():
    client, sent = foreign()
    with pytest.raises(InvalidRequestError, match="vector dimension mismatch") as caught:
        client.vectors.insert(
            collection_name="c", data={"id": 1, "vector": [0.5] * 384, "bits": [1] * 8, "name": "x" * 512}
        )
    assert "load the extractor" not in str(caught.value)
    with pytest.raises(InvalidRequestError, match="vector dimension mismatch"):
        client.vectors.query(collection_name="c", filter="id >")
    assert [request.url.path for request in sent] == ["/vectors/insert", "/collections/describe", "/vectors/query"]


def test_a_good_call_costs_one_request():
    client, sent = watched(ok({"insertCount": 1}))
    client.vectors.insert(collection_name="c", data={"id": 1, "vector": [0.5] * 512})
    client.vectors.search(collection_name="c", data=[0.5] * 512, anns_field="vector")
    client.vectors.hybrid_search(collection_name="c", search=[Search([0.5] * 512, "vector")])
    assert len(sent) == 3


def test_the_pool_is_closed_with_the_client():
    client, _ = watched(ok())
    with client as same:
        assert same is client
        same.collections.list()
    assert client._http._client.is_closed


def test_a_memora_on_this_machine_is_reached_without_the_proxy(echoing, monkeypatch):
    url, keys = echoing
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with (
        Memora(api_key=KEY, project_id="p1", base_url=f"{url}/401") as client,
        pytest.raises(AuthenticationError),
    ):
        client.collections.list()
    assert keys == [KEY]


@pytest.mark.parametrize("bound", [float("nan"), float("inf"), np.float32("nan")])
def test_a_bound_that_is_not_a_number_is_refused(bound):
    """JSON would drop it, and every row would pass."""
    client, sent = watched(ok([]))
    with pytest.raises(InvalidRequestError, match="'radius'"):
        client.vectors.search(
            collection_name="c", data=[1.0], anns_field="v", search_params={"params": {"radius": bound}}
        )
    with pytest.raises(InvalidRequestError, match="'radius'"):
        client.vectors.hybrid_search(collection_name="c", search=[Search([1.0], "v", params={"radius": bound})])
    assert not sent
