"""What the contract suite's cases share: one Memora, whatever runs it, spoken to as any program would."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx

from helpers.memora import Memora

KEY = "the-key"
P, Q = "p", "q"  # the two projects that the key opens,
ODD = "1-odd"  # and one that can be no Milvus database
ALL = "id > -1"  # a filter that every row of these tests passes
LEAKS = ("Traceback", 'File "', "<html", "<!doctype", "site-packages", "pydantic", "lance", "grpc", "Exception")


@dataclass
class Api:
    """A Memora that runs `embedded` or `served` on a folder, or on a `milvus` server."""

    runs: str
    url: str
    transport: httpx.BaseTransport | None
    numbers: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.http = httpx.Client(
            base_url=self.url, transport=self.transport, headers={"Api-Key": KEY}, timeout=600, follow_redirects=False
        )

    @property
    def engine(self) -> str:
        return "milvus" if self.runs == "milvus" else "embedded"

    def client(self, project: str = P, api_key: str = KEY) -> Memora:
        return Memora(api_key, project, self.url, transport=self.transport)

    def send(self, path: str, content: bytes, method: str = "POST", **headers: str) -> httpx.Response:
        """Send anything at all; whatever it is, the answer is JSON and shows nothing of the inside."""
        answer = self.http.request(method, path, content=content, headers=headers)
        assert answer.headers["Content-Type"] == "application/json"
        for leak in LEAKS:
            assert leak not in answer.text
        return answer

    def post(self, path: str, project_id: Any = P, **body: Any) -> tuple[int, Any]:
        """Return the status, and what is in `data` or `message`."""
        answer = self.send(path, json.dumps({"project_id": project_id, **body}).encode())  # it knows larger numbers
        said = answer.json()
        if answer.status_code >= 400:
            assert said.keys() == {"message"}
            assert isinstance(said["message"], str)
            assert said["message"]
        else:
            assert said.keys() in ({"data"}, {"message"})
        return answer.status_code, said.get("data", said.get("message"))

    def ok(self, path: str, project_id: str = P, **body: Any) -> Any:
        status, said = self.post(path, project_id, **body)
        assert status == (201 if path in ("collections/create", "indexes/create") else 200), said
        return said

    def refused(self, expected: int, path: str, project_id: Any = P, **body: Any) -> str:
        status, said = self.post(path, project_id, **body)
        assert status == expected, said
        return said

    @contextmanager
    def table(self, project_id: str = P, **body: Any) -> Iterator["Table"]:
        """Create a collection under a new name; it is dropped when the block ends."""
        name = f"t{next(self.numbers)}"
        self.ok("collections/create", project_id, collectionName=name, **body)
        try:
            yield Table(self, name, project_id)
        finally:
            self.post("collections/drop", project_id, collectionName=name)


@dataclass
class Table:
    """A collection, and the calls about it."""

    api: Api
    name: str
    project: str = P

    def post(self, path: str, **body: Any) -> tuple[int, Any]:
        return self.api.post(path, self.project, collectionName=self.name, **body)

    def ok(self, path: str, **body: Any) -> Any:
        return self.api.ok(path, self.project, collectionName=self.name, **body)

    def refused(self, expected: int, path: str, **body: Any) -> str:
        return self.api.refused(expected, path, self.project, collectionName=self.name, **body)

    def insert(self, *rows: dict[str, Any], **more: Any) -> dict[str, Any]:
        return self.ok("vectors/insert", data=list(rows), **more)

    def search(self, data: Any, params: dict[str, Any] | None = None, **more: Any) -> list[Any]:
        search_params = {"searchParams": {"params": params}} if params else {}
        return self.ok("vectors/search", **{"data": data, "annsField": "v", **search_params, **more})

    def query(self, where: str = ALL, **more: Any) -> list[dict[str, Any]]:
        return self.ok("vectors/query", filter=where, **more)

    def rows(self) -> int:
        return self.ok("collections/get_stats")["rowCount"]


def ids(rows: list[dict[str, Any]], key: str = "id") -> list[Any]:
    return [row[key] for row in rows]


def column(name: str, kind: str, **params: Any) -> dict[str, Any]:
    """Return a field as the wire has it; `primary`, `element` and `partition_key` are no type's parameters."""
    wire: dict[str, Any] = {"fieldName": name, "dataType": kind}
    names = {"primary": "isPrimary", "element": "elementDataType", "partition_key": "isPartitionKey"}
    wire |= {names[key]: value for key, value in params.items() if key in names}
    params = {key: value for key, value in params.items() if key not in names}
    return {**wire, "elementTypeParams": params} if params else wire


def index(metric: str = "COSINE", kind: str = "FLAT", on: str = "v", name: str = "by_v", **params: Any) -> dict:
    return {"metricType": metric, "fieldName": on, "indexName": name, "params": {"index_type": kind, **params}}


def shape(*more: dict[str, Any], dim: int = 2, key: dict | None = None, **schema: Any) -> dict[str, Any]:
    """Return a schema: the key `id`, the vector `v`, and more fields."""
    first = [key or column("id", "Int64", primary=True), column("v", "FloatVector", dim=dim)]
    return {"fields": [*first, *more], **schema}


def body(*more: dict[str, Any], dim: int = 2, by: dict | None = None, **schema: Any) -> dict[str, Any]:
    """Return what collections/create takes beside a name: the schema of `shape`, and an index on `v`."""
    return {"schema": shape(*more, dim=dim, **schema), "indexParams": [by or index()]}


Make = Callable[..., Table]
