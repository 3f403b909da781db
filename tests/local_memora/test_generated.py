"""Generated attacks: whatever is sent, an answer in words comes back, and nobody else's data is seen or moved."""

import copy
import json
import tempfile
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from flask import Flask
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from local_memora import create_app
from local_memora.app import VERBS
from tests.local_memora.test_filters import ROWS, TEXTS, TOKENS, Writer, like
from tests.local_memora.test_openapi import body_schema, check, promised
from tests.plan import examples

KEY = "the-key"
CHANGES = {verb for verb in VERBS if verb.split("/")[1] in ("create", "drop", "rename", "load", "release")}
CHANGES |= {"vectors/insert", "vectors/upsert", "vectors/delete"}
settings.register_profile(
    "generated",
    derandomize=True,  # the same cases every time
    database=None,
    deadline=None,  # a shared processor is no failure
    suppress_health_check=list(HealthCheck),
)
GENERATED = settings.get_profile("generated")


class Store:
    """An application whose key opens the project `p`, and behind it another project, with something to lose."""

    def __init__(self, home: Path) -> None:
        self.app = create_app(home, KEY, ["p"])
        self._http = self.client(self.app)
        self._owner = self.client(create_app(home, KEY, ["canary"]))
        self.fill(self._owner, "canary")
        self.canary = self.look("canary")
        self.restore()

    @staticmethod
    def client(app: Flask) -> httpx.Client:
        return httpx.Client(
            transport=httpx.WSGITransport(app=app), base_url="http://memora.test", headers={"Api-Key": KEY}
        )

    def send(self, verb: str, content: bytes) -> httpx.Response:
        return self._http.post(f"/{verb}", content=content)

    def post(self, verb: str, **body: Any) -> httpx.Response:
        return self.send(verb, orjson.dumps({"project_id": "p", "collectionName": "c", **body}))

    @staticmethod
    def fill(http: httpx.Client, project: str) -> None:
        """Make a collection with a field of each type and a second partition."""
        types: list[dict[str, Any]] = [
            {"fieldName": "id", "dataType": "Int64", "isPrimary": True},
            {"fieldName": "t", "dataType": "VarChar", "elementTypeParams": {"max_length": 99}},
            *({"fieldName": t.lower(), "dataType": t} for t in ("Bool", "Int8", "Int32", "Float", "Double", "JSON")),
            {"fieldName": "a", "dataType": "Array", "elementDataType": "Int16",
             "elementTypeParams": {"max_capacity": 4}},
            {"fieldName": "b", "dataType": "BinaryVector", "elementTypeParams": {"dim": 8}},
            {"fieldName": "v", "dataType": "FloatVector", "elementTypeParams": {"dim": 2}},
        ]  # fmt: skip
        index = {"metricType": "COSINE", "fieldName": "v", "indexName": "i", "params": {"index_type": "HNSW"}}
        named = {"project_id": project, "collectionName": "c"}
        schema = {"fields": types, "enableDynamicField": True}
        for verb, body in (
            ("collections/create", {"schema": schema, "indexParams": [index]}),
            ("partitions/create", {"partitionName": "q"}),
            ("vectors/insert", {"data": [row(n, project) for n in range(6)]}),
            ("vectors/insert", {"data": [row(n, project) for n in range(6, 9)], "partitionName": "q"}),
        ):
            assert http.post(f"/{verb}", json={**named, **body}).is_success

    def restore(self) -> None:
        """Make project `p` what it was at first, where it is something else."""
        if getattr(self, "first", None) == self.look("p"):
            return
        for name in self.send("collections/list", b'{"project_id": "p"}').json()["data"]:
            self.post("collections/drop", collectionName=name)
        self.fill(self._http, "p")
        self.first = self.look("p")

    def look(self, project: str) -> list[bytes]:
        """Return all there is to see of a project, byte for byte, without what differs between equal collections."""
        http = self._http if project == "p" else self._owner
        named = {"project_id": project, "collectionName": "c"}
        answers = [http.post("/collections/list", json={"project_id": project})] + [
            http.post(f"/{verb}", json={**named, **body})
            for verb, body in (
                ("collections/describe", {}), ("collections/get_stats", {}), ("collections/get_load_state", {}),
                ("partitions/list", {}), ("partitions/get_stats", {"partitionName": "q"}),
                ("indexes/list", {}), ("vectors/query", {"filter": "true", "outputFields": ["*"]}),
                ("vectors/query", {"filter": "true", "partitionNames": ["q"]}),
            )
        ]  # fmt: skip
        return [answer.content for answer in answers]


def row(n: int, project: str) -> dict[str, Any]:
    return {
        "id": n, "t": f"{project} {n}", "bool": n % 2 == 0, "int8": n, "int32": -n, "float": n / 2, "double": n / 3,
        "json": {"n": n}, "a": [n], "b": [n], "v": [1, n], "colour": "red",
    }  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def document(store: Store) -> dict[str, Any]:
    return store.app.test_client().get("/openapi.json", headers={"Api-Key": KEY}).json


def said(answer: httpx.Response) -> int:
    """Return the status of an answer that is one, whatever was asked."""
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.status_code < 500 or answer.status_code == 501, answer.text
    if answer.status_code >= 400:
        assert list(answer.json()) == ["message"]
        assert 0 < len(answer.json()["message"]) < 2_000
    return answer.status_code


# Requests made up from the OpenAPI document --------------------------------------------------------------------

VECTOR = {"type": "array", "items": {"type": "number", "minimum": 0.01, "maximum": 1e9}, "minItems": 2, "maxItems": 2}
KEYS = ["*", "id", "t", "json", "a", "b", "colour", "$meta", "$partition"]
# Names and rows made up from the whole of the document would meet nothing: these meet what is there.
AIMED: dict[str, Any] = {
    "project_id": {"const": "p"},
    "collectionName": {"const": "c"},
    "newCollectionName": {"enum": ["c", "d"]},
    "partitionName": {"enum": ["q", "r"]},
    "partitionNames": {"type": "array", "items": {"enum": ["_default", "q"]}, "minItems": 1},
    "indexName": {"enum": ["i", "j"]},
    "annsField": {"const": "v"},
    "groupingField": {"enum": ["int8", "t", "a"]},
    "outputFields": {"type": "array", "items": {"enum": KEYS}},
    "filter": {"enum": ["id < 5", "t like '%1'", "1 == 1", "int8 / id > 0", 'json["n"] == 1', "$partition == 'q'"]},
}
WHOLE = {"enum": [-9, 0, 99]}  # JSON Schema's "integer" makes 7.0 as well, which no integer field takes
ROW = {
    "id": {"enum": [-1, 8, 9, 2**63 - 1]}, "t": {"type": "string", "maxLength": 20}, "bool": {"type": "boolean"},
    "int8": WHOLE, "int32": WHOLE, "float": {"type": "number"}, "double": {"type": "number"},
    "json": {"type": "object"},
    "a": {"type": "array", "items": WHOLE, "maxItems": 4}, "b": {"enum": [[0], [255]]}, "v": VECTOR,
}  # fmt: skip
SEARCHES = {
    "data": {"anyOf": [VECTOR, {"type": "array", "items": VECTOR, "minItems": 1, "maxItems": 3}]},
    "metricType": {"const": "COSINE"},
    "limit": {"enum": [1, 3, 16_383]},
    "offset": {"enum": [0, 2]},
    "nprobe": {"enum": [1, 128]},
    "ef": {"enum": [5, 20_000]},
}
# What has to fit together seldom does by chance: every second list of fields or indexes is one that does,
# and every second request for a collection.
FIELDS: list[dict[str, Any]] = [
    {"fieldName": "k", "dataType": "Int64", "isPrimary": True},
    {"fieldName": "v", "dataType": "FloatVector", "elementTypeParams": {"dim": 8}},
    {"fieldName": "b", "dataType": "BinaryVector", "elementTypeParams": {"dim": 8}},
]
INDEX = {"metricType": "COSINE", "fieldName": "v", "indexName": "i", "params": {"index_type": "FLAT"}}
OTHER_INDEX = {**INDEX, "metricType": "HAMMING", "fieldName": "b", "indexName": "j"}
FITTING = [
    {"project_id": "p", "collectionName": name, "schema": {"fields": FIELDS}, "indexParams": indexes}
    for name in "de"
    for indexes in ([], [INDEX], [INDEX, OTHER_INDEX])
]


def fitting_or_any(fitting: list[Any], name: str) -> dict[str, Any]:
    """Return the schema of a list: one of these, or what the document calls so."""
    other = {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}, "minItems": 1, "maxItems": 3}
    return {"anyOf": [{"enum": fitting}, other]}


AIMED_IN: dict[str, dict[str, Any]] = {
    "Create": {
        "collectionName": {"enum": ["c", "d", "e", "f"]},
        "dimension": {"const": 8},
        "metricType": {"const": "COSINE"},
        "vectorFieldName": {"const": "v"},
        "schema": {"$ref": "#/components/schemas/CollectionSchema"},
        "indexParams": fitting_or_any([[INDEX], [INDEX, OTHER_INDEX]], "IndexSpec"),
    },
    "CollectionSchema": {"fields": fitting_or_any([FIELDS, FIELDS[:2]], "FieldSchema")},
    "CreateIndexes": {"indexParams": fitting_or_any([[OTHER_INDEX]], "IndexSpec")},
    "IndexSpec": {"fieldName": {"enum": ["b", "v"]}, "metricType": {"enum": ["HAMMING", "L2"]}},
    "IndexParams": {"nlist": {"enum": [None, 1]}, "M": {"enum": [None, 8]}, "efConstruction": {"type": "null"}},
    "Store": {"data": {"type": "object", "properties": ROW, "required": [*ROW]}},
    "Search": SEARCHES,
    "SearchParams": SEARCHES,
    "SearchKnobs": SEARCHES,
    "SubSearch": {**SEARCHES, "data": VECTOR},
}


def aimed(document: dict[str, Any], **more: Any) -> dict[str, Any]:
    document = copy.deepcopy(document)
    for name, schema in document["components"]["schemas"].items():
        here = {**AIMED, **AIMED_IN.get(name, {}), **more}
        for field in schema.get("properties", {}).keys() & here.keys():
            schema["properties"][field] = here[field]
    return document


def made_up(document: dict[str, Any], verb: str, mode: str) -> st.SearchStrategy[bytes]:
    """Return requests' contents: JSON that the document allows, or JSON that it forbids, and what is no JSON."""
    import schemathesis  # takes a second

    config = schemathesis.Config.from_dict({"generation": {"with-security-parameters": False}})
    cases = schemathesis.openapi.from_dict(document, config=config)[f"/{verb}"]["POST"].as_strategy(
        generation_mode=schemathesis.GenerationMode[mode.upper()]
    )
    return cases.map(
        lambda case: case.body if isinstance(case.body, bytes) else json.dumps(case.body, default=str).encode()
    )


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_whatever_is_sent_the_answer_is_one_that_the_document_knows(store, document, verb, mode):
    allowed = check(document, body_schema(document, verb))
    seen = set()

    sent = made_up(aimed(document), verb, mode)
    if (verb, mode) == ("collections/create", "positive"):
        sent |= st.sampled_from(FITTING).map(orjson.dumps)

    @settings(GENERATED, max_examples=examples(16 if "search" in verb or "create" in verb else 5))
    @given(sent)
    def attack(content: bytes) -> None:
        answer = store.send(verb, content)
        status = said(answer)
        seen.add(status)
        check(document, promised(document, document["paths"][f"/{verb}"]["post"], status)).validate(answer.json())
        if status >= 400:
            return
        assert allowed.is_valid(json.loads(content)), content
        if verb in CHANGES:
            store.restore()

    attack()
    if mode == "positive":
        assert min(seen) < 300  # else they all were refused for something at the door
    assert store.look("p") == store.first
    assert store.look("canary") == store.canary


@pytest.mark.parametrize("verb", VERBS)
def test_no_project_id_opens_a_project_that_the_key_does_not(store, document, verb):
    schema = document["components"]["schemas"]["Body"]["properties"]["project_id"]
    others = aimed(document, project_id={"anyOf": [{"enum": ["canary", "P", "p-", "CANARY"]}, schema]})

    @settings(GENERATED, max_examples=examples(3))
    @given(made_up(others, verb, "positive").filter(lambda content: json.loads(content)["project_id"] != "p"))
    def attack(content: bytes) -> None:
        answer = store.send(verb, content)
        assert said(answer) in (400, 403)
        assert "canary " not in answer.text  # its rows' texts begin so

    attack()
    assert store.look("canary") == store.canary


# Bodies that are right but for one value -----------------------------------------------------------------------

DEEP = ["[" * n + "]" * n for n in (20, 300, 1000)] + ['{"a":' * n + "1" + "}" * n for n in (300, 1000)]
ODD = [
    "NaN", "-Infinity", "1e400", "9" * 400, str(2**64), str(2**63), str(-(2**63)), str(-(2**63) - 1), "1e38", "-1e308",
    "5e-324", "1.0", "-0.0", "1.5", "0", "-1", "true", "null", '""', '"\\ud800"', '"a\\u0000b"', '"\\ud83d\\ude00"',
    '"' + "x" * 70_000 + '"', "[]", "{}", "[[]]", '[null]', '{"": 1}', '{"$meta": 1}', '"../c"', '"`id`"',
    "\"'; DROP TABLE c1; --\"", "01", "'x'", "//", '1, "project_id": "canary"', '1, "collectionName": "d"', *DEEP,
]  # fmt: skip
BODIES: list[tuple[str, dict[str, Any]]] = [
    ("collections/create", {"collectionName": "e", "dimension": 2, "idType": "VarChar", "params": {"max_length": 9}}),
    ("collections/create", {
        "collectionName": "e",
        "schema": {"autoID": False, "fields": [
            {"fieldName": "k", "dataType": "Int64", "isPrimary": True},
            {"fieldName": "a", "dataType": "Array", "elementDataType": "VarChar",
             "elementTypeParams": {"max_length": 9, "max_capacity": 3}},
            {"fieldName": "v", "dataType": "FloatVector", "elementTypeParams": {"dim": 2}},
        ]},
        "indexParams": [{"metricType": "IP", "fieldName": "v", "indexName": "i",
                         "params": {"index_type": "HNSW", "M": 8, "efConstruction": 20}}],
    }),
    ("partitions/load", {"partitionNames": ["q"]}),
    ("vectors/insert", {"data": [row(50, "p")]}),
    ("vectors/search", {
        "annsField": "v", "data": [[1, 2]], "filter": "id < 9", "limit": 3, "offset": 1, "outputFields": ["*"],
        "searchParams": {"metricType": "COSINE", "params": {"radius": 0.5, "range_filter": 0.9, "ef": 50}},
    }),
    ("vectors/hybrid_search", {
        "search": [{"annsField": "v", "data": [1, 2], "groupingField": "int8"}, {"annsField": "b", "data": [[7]]}],
        "rerank": {"strategy": "weighted", "params": {"weights": [0.5, 1]}},
    }),
    ("vectors/query", {"filter": "id < 3", "outputFields": ["t", "colour"], "partitionNames": ["q"]}),
    ("vectors/get", {"id": [1, 2]}),
    ("vectors/delete", {"filter": "id == 99"}),
]  # fmt: skip


def places(part: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to each value in a body."""
    inner = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    return [way] * bool(way) + [place for key, value in inner for place in places(value, (*way, key))]


def with_odd(body: dict[str, Any], way: tuple[Any, ...], odd: str) -> bytes:
    body = copy.deepcopy(body)
    part = body
    for key in way[:-1]:
        part = part[key]
    part[way[-1]] = "@odd@"
    return json.dumps(body).replace('"@odd@"', odd).encode()


@pytest.mark.parametrize(("verb", "body"), BODIES, ids=[f"{verb} {n}" for n, (verb, _) in enumerate(BODIES)])
def test_an_odd_value_anywhere_in_a_body_is_taken_whole_or_refused_whole(store, verb, body):
    body = {"project_id": "p", "collectionName": "c", **body}
    refused = 0
    for way in places(body):
        for odd in ODD:
            if way[-1] == "strategy" and len(odd) > 1_000:
                continue  # is refused, but pydantic complains on stderr that it can't print it
            status = said(store.send(verb, with_odd(body, way, odd)))
            refused += status >= 400
            if status < 400 and verb == "vectors/insert" and way[-1] != "id":
                store.post("vectors/delete", filter="id == 50")  # faster
            elif status < 400 and verb in CHANGES:
                store.restore()
        assert store.look("p") == store.first, way
    assert refused > 10
    assert store.look("canary") == store.canary


def test_of_a_key_that_is_in_a_body_twice_the_last_counts_for_the_door_too(store):
    """A door that reads the first project_id and a room that reads the second would let anyone in."""
    both = b'{"project_id": "%s", "project_id": "%s", "collectionName": "c", "filter": "true"}'
    assert said(store.send("vectors/query", both % (b"p", b"canary"))) == 403
    assert "canary " not in store.send("vectors/query", both % (b"canary", b"p")).text


# Filters -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def table(store: Store) -> Store:
    """Return the store with the rows of the filter tests in a collection `f`, those with odd keys in partition `q`."""
    kinds = {"s": "VarChar", "color": "VarChar", "b": "Bool", "f": "Float", "d": "Double"}
    kinds |= {f"i{bits}": f"Int{bits}" for bits in (8, 16, 32, 64)}
    fields = [
        {"fieldName": "id", "dataType": "Int64", "isPrimary": True},
        *(
            {"fieldName": name, "dataType": kind, "elementTypeParams": {"max_length": 99}}
            for name, kind in kinds.items()
        ),
        {"fieldName": "v", "dataType": "FloatVector", "elementTypeParams": {"dim": 2}},
    ]
    assert said(store.post("collections/create", collectionName="f", schema={"fields": fields})) == 201
    assert said(store.post("partitions/create", collectionName="f", partitionName="q")) == 200
    put(store, [row["id"] for row in ROWS])
    yield store
    store.post("collections/drop", collectionName="f")


def put(store: Store, keys: list[int]) -> None:
    for name, odd in (("q", 1), ("_default", 0)):
        rows = [{**row, "v": [1, row["id"]]} for row in ROWS if row["id"] in keys and row["id"] % 2 == odd]
        if rows:
            assert said(store.post("vectors/insert", collectionName="f", data=rows, partitionName=name)) == 200


def found(store: Store, filter: str, verb: str = "vectors/query", **more: Any) -> list[int]:
    answer = store.post(verb, collectionName="f", filter=filter, outputFields=["id"], **more)
    assert said(answer) == 200, (filter, answer.text)
    return sorted(row["id"] for row in answer.json()["data"])


@settings(GENERATED, max_examples=examples(15))
@given(seed=st.integers(100, 2**32))
def test_filter_and_partition_together_find_and_delete_what_python_does(table, seed):
    condition = Writer(seed).condition(3)
    want = [row["id"] for row in ROWS if condition.value(row)]
    odd = [key for key in want if key % 2]
    assert found(table, condition.text) == want
    assert found(table, condition.text, partitionNames=["q"]) == odd
    search = {"annsField": "v", "data": [1, 1], "partitionNames": ["_default"]}
    assert found(table, condition.text, "vectors/search", **search) == [key for key in want if key not in odd]
    answer = table.post("vectors/delete", collectionName="f", filter=condition.text, partitionName="q")
    assert answer.json() == {"message": f"{len(odd)} rows deleted"}
    assert found(table, "true") == [row["id"] for row in ROWS if row["id"] not in odd]
    put(table, odd)


LETTERS = st.one_of(
    st.text(max_size=12), st.sampled_from(TEXTS), st.lists(st.sampled_from(TOKENS), max_size=8).map("".join)
)
PATTERNS = st.lists(
    st.sampled_from(["%", "_", "\\", "\\\\", "'", '"', "m", "u", "50", "\n", ".", "*", "(", "日"]), max_size=6
)


@settings(GENERATED, max_examples=examples(40))
@given(text=LETTERS, ascii=st.booleans())
def test_any_text_in_quotes_is_only_a_text(table, text, ascii):
    quoted = json.dumps(text, ensure_ascii=ascii)
    same = [row["id"] for row in ROWS if row["s"] == text]
    assert found(table, f"s == {quoted}") == same
    assert found(table, f"not (s in [{quoted}]) and id % 2 == 1", partitionNames=["q"]) == [
        row["id"] for row in ROWS if row["id"] % 2 and row["id"] not in same
    ]


@settings(GENERATED, max_examples=examples(40))
@given(pattern=PATTERNS.map("".join))
@example("\\")
@example("%\\")
def test_any_pattern_means_what_it_means_in_sql(table, pattern):
    assert found(table, f"s like {json.dumps(pattern)}") == [row["id"] for row in ROWS if like(row["s"], pattern)]


ATTACKS = [
    "true) or (true", "1 == 1 or `$partition` == '_default'", "$partition == '_default'", "_rowid >= 0",
    "_rowaddr >= 0",
    "id >= 0 or _distance < 1", "id == 1; DROP TABLE c1", "id == 1 -- ", "id == 1 /* */",
    "id == (select max(id) from c1)",
    "id in (select id from c1)", "s == 'a' 'b'", "s == '' or 1==1 --'", "s == '\\' or 1 == 1 --'",
    "s == \"\\\" or true\"",
    "`id` == 1", "f.id == 1", "c1.id == 1", "CAST(id AS STRING) == '1'", "id IS NULL", "id BETWEEN 1 AND 2",
    "power(id, 2) > 1",
    "regexp_match(s, '.')", "s ~ '.'", "s || s == s", "id == 1 UNION ALL SELECT 1", "true = true", "\\", "'", '"',
    "[", "{}",
    "id == 0x10", "id == 1_000", "id == 1e999", "i64 * i64 * i64 > 0", "2 ** 1e308 > 1", "id % 0 == 1",
    "id / (id - id) == 1",
    "9223372036854775808 > id", "-(-9223372036854775808) == id", "d == " + "9" * 400, "s == '" + "x" * 99_999 + "'",
    "id in [" + ",".join(["1"] * 9_999) + "]", " or ".join(["id == 1"] * 700), "+".join(["id"] * 700) + " > 0",
    "not " * 700 + "b", "(" * 700 + "b" + ")" * 700, "-" * 700 + "1 == id", "id" + " ** 1" * 700 + " > 0", "\0",
    "b\0", "\ufeffb",
]  # fmt: skip
SOUP = st.one_of(
    st.sampled_from(ATTACKS),
    st.text(min_size=1, max_size=20),
    st.lists(st.sampled_from([*TOKENS, "$partition", "_rowid", "$meta", "9" * 30]), min_size=1, max_size=9).map(
        " ".join
    ),
    st.tuples(
        st.sampled_from(ATTACKS), st.sampled_from([" or ", " and ", " == ", ", ", ";", "--"]), st.sampled_from(ATTACKS)
    ).map("".join),
)


@settings(GENERATED, max_examples=examples(60))
@given(filter=SOUP)
def test_no_filter_leaves_its_partition_or_fails_the_server(table, filter):
    odd = {row["id"] for row in ROWS if row["id"] % 2}
    asked = {"collectionName": "f", "filter": filter, "outputFields": ["id"], "partitionNames": ["q"]}
    answer = table.post("vectors/query", **asked)
    status = said(answer)
    search = {"annsField": "v", "data": [1, 1]}
    hits = table.post("vectors/search", **asked, **search)
    hybrid = {"search": [{**search, "filter": filter}], "rerank": {"strategy": "rrf"}, "partitionNames": ["q"]}
    merged = table.post("vectors/hybrid_search", collectionName="f", **hybrid)
    if filter.strip():  # a search takes an empty filter for none
        assert said(hits) == said(merged) == status
    if status == 200:
        assert {row["id"] for row in answer.json()["data"]} == {hit["id"] for hit in hits.json()["data"]} <= odd
    else:
        assert said(table.post("vectors/delete", collectionName="f", filter=filter)) == status
    assert table.post("collections/get_stats", collectionName="f").json() == {"data": {"rowCount": len(ROWS)}}


def test_no_filter_above_has_touched_another_collection_or_project(table):
    """Last of the section: it looks at what the attacks above have left."""
    assert found(table, "true") == [row["id"] for row in ROWS]
    assert table.look("canary") == table.canary


# A collection beside a Python dictionary -----------------------------------------------------------------------


class Model(RuleBasedStateMachine):
    """Whatever is done in whatever order, the collection holds what a dictionary would."""

    keys = st.lists(st.integers(-2, 6), min_size=1, max_size=4, unique=True)
    values = st.fixed_dictionaries(
        {"t": st.sampled_from(TEXTS), "n": st.integers(-(2**31), 2**31 - 1), "x": st.integers(-9, 9)},
        optional={"more": st.recursive(st.none() | st.booleans() | st.text(max_size=3), st.lists, max_leaves=3)},
    )
    names = st.sampled_from(["_default", "a", "b"])

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.name = "c"
        self.rows: dict[int, tuple[str, dict[str, Any]]] = {}  # key -> partition, row
        self.partitions, self.released = ["_default"], set()
        self.restart()
        types = {"t": "VarChar", "n": "Int32", "v": "FloatVector"}
        fields = [{"fieldName": "id", "dataType": "Int64", "isPrimary": True}] + [
            {"fieldName": name, "dataType": kind, "elementTypeParams": {"max_length": 99, "dim": 2}}
            for name, kind in types.items()
        ]
        self.ask(201, "collections/create", schema={"fields": fields, "enableDynamicField": True})
        self.create_partition("a")
        self.insert([0, 1, 2], {"t": "", "n": 0, "x": 0}, "_default")
        self.insert([3, 4], {"t": "", "n": 0, "x": 0, "more": []}, "a")

    def teardown(self) -> None:
        self.folder.cleanup()

    def ask(self, status: int, verb: str, **body: Any) -> Any:
        named = {} if verb == "collections/list" else {"collectionName": self.name}
        answer = self.http.post(f"/{verb}", content=orjson.dumps({"project_id": "p", **named, **body}))
        assert said(answer) == status, (verb, body, answer.text)
        return answer.json().get("data", answer.json().get("message"))

    def refused(self, status: int, verb: str, **body: Any) -> None:
        self.ask(status, verb, **body)

    @property
    def loaded(self) -> list[str]:
        return [name for name in self.partitions if name not in self.released]

    def visible(self, *partitions: str) -> dict[int, dict[str, Any]]:
        return {key: row for key, (place, row) in sorted(self.rows.items()) if place in (partitions or self.loaded)}

    @rule()
    def restart(self) -> None:
        app = create_app(Path(self.folder.name), KEY, ["p"])
        self.http = Store.client(app)

    @rule(keys=keys, values=values, name=names)
    def insert(self, keys: list[int], values: dict[str, Any], name: str) -> None:
        self.write("insert", keys, values, name, 409 if self.rows.keys() & set(keys) else 200)

    @rule(keys=keys, values=values, name=names)
    def upsert(self, keys: list[int], values: dict[str, Any], name: str) -> None:
        self.write("upsert", keys, values, name, 200)

    def write(self, verb: str, keys: list[int], values: dict[str, Any], name: str, status: int) -> None:
        rows = [{"id": key, **values, "v": [values["x"], key]} for key in keys]
        for row in rows:
            del row["x"]
        status = 400 if self.released else status if name in self.partitions else 404
        told = self.ask(status, f"vectors/{verb}", data=rows, partitionName=None if name == "_default" else name)
        if status == 200:
            assert told == {f"{verb}Count": len(keys), f"{verb}Ids": keys}
            self.rows |= {row["id"]: (name, row) for row in rows}

    @rule(low=st.integers(-2, 6), text=st.sampled_from(TEXTS), name=st.none() | names)
    def delete(self, low: int, text: str, name: str | None) -> None:
        body = {"filter": f"id >= {low} and t != {json.dumps(text)}", "partitionName": name}
        if self.released:
            return self.refused(400, "vectors/delete", **body)
        if name and name not in self.partitions:
            return self.refused(404, "vectors/delete", **body)
        gone = [
            key
            for key, (place, row) in self.rows.items()
            if key >= low and row["t"] != text and place == (name or place)
        ]
        assert self.ask(200, "vectors/delete", **body) == f"{len(gone)} rows deleted"
        for key in gone:
            del self.rows[key]

    @rule(name=names)
    def create_partition(self, name: str) -> None:
        if name in self.partitions:
            return self.refused(409, "partitions/create", partitionName=name)
        self.ask(200, "partitions/create", partitionName=name)
        self.released |= set() if self.loaded else {name}
        self.partitions.append(name)

    @rule(name=names)
    def drop_partition(self, name: str) -> None:
        status = 400 if name == "_default" else 200 if name in self.partitions else 404
        self.ask(status, "partitions/drop", partitionName=name)
        if status == 200:
            self.partitions.remove(name)
            self.released.discard(name)
            self.rows = {key: (place, row) for key, (place, row) in self.rows.items() if place != name}

    @rule(verb=st.sampled_from(["load", "release"]), some=st.none() | st.sets(names, min_size=1))
    def load_or_release(self, verb: str, some: set[str] | None) -> None:
        if some is None:
            self.ask(200, f"collections/{verb}")
        elif not some <= set(self.partitions):
            return self.refused(404, f"partitions/{verb}", partitionNames=sorted(some))
        else:
            self.ask(200, f"partitions/{verb}", partitionNames=sorted(some))
        some = set(self.partitions) if some is None else some
        self.released = self.released - some if verb == "load" else self.released | some

    @rule(name=st.sampled_from(["c", "d", "e"]))
    def rename(self, name: str) -> None:
        self.ask(400 if name == self.name else 200, "collections/rename", newCollectionName=name)
        self.name = name

    @rule(x=st.integers(-9, 9), limit=st.integers(1, 20), name=st.none() | names)
    def search(self, x: int, limit: int, name: str | None) -> None:
        names = [name] if name else None
        body = {"annsField": "v", "data": [x, 0.5], "limit": limit, "partitionNames": names, "outputFields": ["*"]}
        body["searchParams"] = {"metricType": "L2"}
        if not self.loaded or (name in self.released and name in self.partitions):
            return self.refused(400, "vectors/search", **body)
        if name and name not in self.partitions:
            return self.refused(404, "vectors/search", **body)
        rows = self.visible(*(names or []))
        distances = {key: (row["v"][0] - x) ** 2 + (row["v"][1] - 0.5) ** 2 for key, row in rows.items()}
        hits = self.ask(200, "vectors/search", **body)
        assert [hit["distance"] for hit in hits] == sorted(distances.values())[:limit]
        assert hits == [{"distance": distances[hit["id"]], **rows[hit["id"]]} for hit in hits]
        assert len({hit["id"] for hit in hits}) == len(hits)

    @invariant()
    def holds_what_the_dictionary_holds(self) -> None:
        if not hasattr(self, "http"):
            return
        assert self.ask(200, "collections/list") == [self.name]
        assert self.ask(200, "partitions/list") == self.partitions
        assert self.ask(200, "collections/get_stats") == {"rowCount": len(self.rows)}
        for name in self.partitions:
            count = len(self.visible(name))
            assert self.ask(200, "partitions/get_stats", partitionName=name) == {"rowCount": count}
        percent = round(100 * len(self.loaded) / len(self.partitions))
        state = "LoadStateLoaded" if self.loaded else "LoadStateNotLoad"
        assert self.ask(200, "collections/get_load_state") == {"loadState": state, "loadProgress": percent}
        rows = list(self.visible().values())
        if self.loaded:
            assert self.ask(200, "vectors/query", filter="true", outputFields=["*"]) == rows
            assert self.ask(200, "vectors/get", id=[*range(-2, 4)], outputFields=["*"]) == [
                row for row in rows if row["id"] < 4
            ]
        else:
            self.ask(400, "vectors/query", filter="true")


TestModel = Model.TestCase
TestModel.settings = settings(GENERATED, max_examples=examples(4), stateful_step_count=25)
