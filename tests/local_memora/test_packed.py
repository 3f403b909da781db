"""Rows whose vectors travel as bytes are the rows that JSON gives, and the form is used only where a server says so."""

import httpx
import numpy as np
import orjson
import pytest

from helpers.memora import InvalidRequestError, Memora
from helpers.memora.http import PACKED, TAKES
from local_memora.contract import packed
from tests.local_memora.contract import Api, Make, Table, body, column

FIELDS = [column("tags", "Array", element="Float", max_capacity=9), column("info", "JSON")]
FIRST = {"id": 1, "v": [0.5, 0.25], "tags": [], "info": {}}


def test_client_and_server_mean_the_same_form() -> None:
    assert (packed.PACKED, packed.TAKES) == (PACKED, TAKES)


def rows(first: int) -> list[dict]:
    vectors = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32) * [[1e-30], [1e15], *[[1]] * 48]
    return [
        {
            "id": first + n,
            "v": vector.astype(np.float32),
            "tags": np.array([0.1, n], np.float32),
            "info": {"float32": {"v": 2}},
            "more": np.array([0.1, 1e30], np.float32),
        }
        for n, vector in enumerate(vectors)
    ]


@pytest.mark.parametrize("verb", ["insert", "upsert"])
def test_rows_sent_as_bytes_are_stored_as_those_sent_as_json(api: Api, make: Make, verb: str) -> None:
    table = make(**body(*FIELDS, enableDynamicField=True, by={**body()["indexParams"][0], "metricType": "L2"}))
    client, kinds = api.client(), []
    client._http._client.event_hooks = {"request": [lambda sent: kinds.append(sent.headers["Content-Type"])]}
    for first in (0, 100):  # the first call has seen no answer
        done = getattr(client.vectors, verb)(collection_name=table.name, data=rows(first))
        assert done["data"][f"{verb}Ids"] == list(range(first, first + 50))
    assert kinds == ["application/json", PACKED]
    stored = table.query(outputFields=["*"])
    for plain, sent in zip(stored[:50], stored[50:], strict=True):
        assert sent == {**plain, "id": plain["id"] + 100}


def send(table: Table, head: object, content: bytes) -> str:
    sent = orjson.dumps(head, option=orjson.OPT_SERIALIZE_NUMPY) + content
    answer = table.api.send("vectors/insert", sent, **{"Content-Type": PACKED})
    assert answer.status_code == 400, answer.text
    return answer.json()["message"]


def test_bytes_that_are_no_vectors_are_refused_and_nothing_is_stored(api: Api, make: Make) -> None:
    table = make(**body())

    def said(vectors: object, row: object = None, **head: object) -> str:
        data = [{"id": 1} if row is None else row]
        inside = {"project_id": table.project, "collectionName": table.name, "data": data}
        content = b"\n" + np.array(vectors, "<f4").tobytes()
        return send(table, {"body": inside, "float32": {"v": 2}} | head, content)

    assert "not a number" in said([np.nan, 1])
    assert "too large for 32 bits" in said([np.inf, 1])
    assert "too large for 32 bits" in said([3e38, 1])
    assert "COSINE can't compare a vector of zeros" in said([0, 0])
    assert "yours has 3" in said([1, 2, 3], float32={"v": 3})
    assert "4 bytes follow" in said([1])
    assert "send it once" in said([1, 2], {"id": 1, "v": [1, 2]})
    assert "whole number above 0" in said([], float32={"v": -2})
    assert "whole number above 0" in said([1], float32={"v": True})
    assert "misses ['v']" in said([], float32={})
    assert "unknown fields ['w']" in said([1, 2, 3, 4], float32={"v": 2, "w": 2})
    assert "is not a number" in said([1, 2, 3, 4], {}, float32={"id": 2, "v": 2})
    assert "list of rows" in said([1, 2], 7)
    assert "list of rows" in said([1, 2], body=[])
    assert "body and float32" in said([1, 2], more=1)
    assert "not JSON" in send(table, {}, b"")
    assert table.rows() == 0


def test_a_vector_of_bits_is_not_taken_from_floats(make: Make) -> None:
    binary = {**column("v", "BinaryVector", dim=8)}
    fields = [column("id", "Int64", primary=True), binary]
    table = make(schema={"fields": fields})
    inside = {"project_id": table.project, "collectionName": table.name, "data": [{"id": 1}]}
    said = send(table, {"body": inside, "float32": {"v": 1}}, b"\n" + np.array([1], "<f4").tobytes())
    assert "8 bits are a list of 1 bytes" in said
    assert table.rows() == 0


def test_another_memora_after_a_restart_gets_json_and_one_that_says_nothing_never_gets_bytes() -> None:
    kinds, takes, statuses = [], [], []

    def answer(request: httpx.Request) -> httpx.Response:
        kind = request.headers["Content-Type"]
        if kind == "application/json":
            orjson.loads(request.content)
        if request.url.path == "/vectors/insert":  # a refusal is explained by what collections/describe says
            kinds.append(kind)
        status = statuses.pop() if statuses else 200
        return httpx.Response(status, json={"data": {}, "message": "no"}, headers={TAKES: takes[-1]} if takes else {})

    client = Memora("key", "p", "http://memora.test", transport=httpx.MockTransport(answer))
    row = {"id": 1, "v": np.ones(2, np.float32)}

    def insert(*more: dict) -> list[str]:
        kinds.clear()
        client.vectors.insert(collection_name="c", data=[row, *more])
        return kinds.copy()

    assert insert() == insert() == ["application/json"]
    takes.append(PACKED)
    assert insert() == ["application/json"]
    assert insert() == [PACKED]
    for odd in ([1.0, 2.0], np.ones(3, np.float32), np.ones(2), None):  # not all of one kind: JSON says what is wrong
        assert insert({"id": 2, "v": odd}) == ["application/json"]
    statuses.append(400)
    with pytest.raises(InvalidRequestError):  # what this Memora refuses is refused: nothing is sent again
        insert()
    assert kinds == [PACKED]
    takes.clear()
    statuses.append(400)
    assert insert() == [PACKED, "application/json"]
    assert insert() == ["application/json"]
