"""The contract on every engine: rows in, rows out; every data type a round trip; keys, dynamic fields."""

import json
import re
from collections.abc import Iterator

import numpy as np
import pytest

from helpers.memora import InvalidRequestError
from helpers.memora.models import Collection
from local_memora.contract.errors import ApiError
from local_memora.verbs.rows_and_search import _refuse_doubled
from local_memora.verbs.service import Service
from tests.local_memora.contract import ALL, Api, Make, Table, body, column, ids, index

# In and out ------------------------------------------------------------------------------------------------------


def test_every_read_sees_the_write_before_it(make):
    """Insert, get, query, upsert, delete and search, in turn."""
    table = make(**body(column("name", "VarChar", max_length=9)))
    row = {n: {"id": n, "v": [float(n), 1.0], "name": f"n{n}"} for n in range(1, 6)}
    assert table.insert(*(row[n] for n in (5, 3, 1, 4, 2))) == {"insertCount": 5, "insertIds": [5, 3, 1, 4, 2]}
    assert table.rows() == 5
    assert table.ok("vectors/get", id=[4, 99, 2, 4]) == [row[2], row[4]]
    assert table.ok("vectors/get", id=3) == [row[3]]
    assert table.ok("vectors/get", id=[]) == []
    assert table.query('name >= "n3"') == [row[3], row[4], row[5]]
    assert table.query("id == 6") == []
    for message in ("2 rows deleted", "0 rows deleted"):
        assert table.ok("vectors/delete", filter="id in [1, 2, 99]") == message
    assert ids(table.search([1, 1])) == [3, 4, 5]
    assert table.rows() == 3

    rows = [{"id": 3, "v": [0, 5], "name": "new"}, {"id": 9, "v": [5, 0], "name": "added"}]
    for _ in range(2):  # the second time nothing changes
        assert table.ok("vectors/upsert", data=rows) == {"upsertCount": 2, "upsertIds": [3, 9]}
        assert table.query() == [rows[0], row[4], row[5], rows[1]]
        assert table.rows() == 4
    assert table.ok("vectors/upsert", data=rows[0]) == {"upsertCount": 1, "upsertIds": [3]}

    for n in range(20):  # each is seen at once, by every kind of read
        table.insert({"id": 100 + n, "v": [-1, n], "name": "fresh"})
        assert table.search([-1, n], limit=1)[0]["id"] == 100 + n
        assert ids(table.query('name == "fresh"')) == [100 + n]
        assert table.ok("vectors/delete", filter=f"id == {100 + n}") == "1 rows deleted"
        assert table.ok("vectors/get", id=100 + n) == []
    assert ids(table.ok("vectors/query", filter=ALL)) == [3, 4, 5, 9]


@pytest.fixture(scope="module")
def shared(api: Api) -> Iterator[Table]:
    with api.table(**body()) as shared:
        yield shared


@pytest.fixture
def table(shared: Table) -> Iterator[Table]:
    """Return a collection of keys and vectors, empty; it is emptied, not made anew, which would take Milvus 3 s."""
    yield shared
    shared.ok("vectors/delete", filter=f"id >= {-(2**63)}")
    assert shared.rows() == 0


def test_a_duplicate_key_is_refused_and_nothing_of_the_call_is_stored(table):
    table.insert({"id": 1, "v": [1, 0]})
    several = [{"id": 2, "v": [1, 1]}, {"id": 1, "v": [9, 9]}, {"id": 3, "v": [1, 1]}]
    assert table.refused(409, "vectors/insert", data=several) == (
        "1 of these keys are stored already (id: 1...); nothing was inserted"
    )
    twice = [{"id": 7, "v": [1, 0]}, {"id": 8, "v": [1, 0]}, {"id": 7, "v": [0, 1]}]
    for verb in ("vectors/insert", "vectors/upsert"):
        assert table.refused(400, verb, data=twice) == "the key id = 7 is in this call more than once"
    assert table.query() == [{"id": 1, "v": [1.0, 0.0]}]


def test_the_same_key_twice_is_told_before_other_writers_are_waited_for(client, monkeypatch):
    client.collections.create(collection=Collection("c", dimension=2))
    monkeypatch.setattr(Service, "turn", lambda *_: pytest.fail("it waited for its turn"))
    for store in (client.vectors.insert, client.vectors.upsert):
        with pytest.raises(InvalidRequestError, match="id = 7 is in this call more than once"):
            store(collection_name="c", data=[{"id": 7, "vector": [1, 0]}] * 2)


def test_the_same_key_twice_is_found_in_linear_time():
    """20,000 keys took 7 s when each was compared with every other."""
    compared = 0

    class Key(int):
        __hash__ = int.__hash__

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return int(self) == int(other)

    keys = [Key(n) for n in range(1_000)]
    with pytest.raises(ApiError, match="the key id = 999 is in this call more than once"):
        _refuse_doubled("id", [*keys, Key(999)])
    assert compared < 10 * len(keys)


WRONG_ROWS = [
    ({"id": 2, "v": [1, 0, 0]}, "yours has 3: was it made by another model"),
    ({"id": 2, "v": [1, None]}, "null stands for NaN"),
    ({"id": 2, "v": [1, True]}, "not a number"),
    ({"id": 2, "v": "text"}, "is not a list of numbers"),
    ({"id": 2, "v": None}, "is not a list of numbers"),
    *(
        ({"id": 2, "v": v}, "row 1, field 'v': COSINE can't compare a vector of zeros")
        for v in ([0, 0], [-0.0, 0], [1e-30, 0], [1e-300, 0])
    ),
    ({"id": 2, "v": [1e39, 0]}, "too large for 32 bits"),
    ({"id": 2, "v": [1e19, 1e19]}, "too large for 32 bits"),
    ({"id": 2}, r"row 1 misses \['v'\]; a row has: id, v"),
    ({"v": [1, 0]}, r"row 1 misses \['id'\]"),
    ({"id": 2, "v": [1, 0], "x": 1}, r"row 1 has unknown fields \['x'\]"),
    ({"id": "2", "v": [1, 0]}, "row 1, field 'id': '2' is not a number"),
    ({"id": 2.0, "v": [1, 0]}, "2.0 is not a valid Int64"),
    ({"id": True, "v": [1, 0]}, "not a number"),
    ({"id": 2**63, "v": [1, 0]}, "9223372036854775808 is not a valid Int64"),
    ({"id": None, "v": [1, 0]}, "not a number"),
]


def test_one_wrong_row_is_named_and_none_of_its_call_is_stored(table):
    for row, words in WRONG_ROWS:
        for verb in ("vectors/insert", "vectors/upsert"):
            message = table.refused(400, verb, data=[{"id": 1, "v": [1, 0]}, row])
            assert re.search(words, message), message
    assert table.rows() == 0


def test_a_null_counts_as_not_given(table):
    assert table.insert({"id": 1, "v": [1, 0]}, partitionName=None)["insertIds"] == [1]
    none = dict.fromkeys(("filter", "groupingField", "outputFields", "partitionNames"))
    assert table.search([1, 0], **none) == [{"distance": 1.0, "id": 1}]
    assert table.query(partitionNames=None) == [{"id": 1, "v": [1.0, 0.0]}]


# Types -----------------------------------------------------------------------------------------------------------


def test_numbers_and_booleans_come_back_to_the_last_digit(make):
    """And numbers that do not fit are refused."""
    bits = (8, 16, 32, 64)
    scalars = [*(column(f"i{n}", f"Int{n}") for n in bits), *(column(n[0].lower(), n) for n in ("Float", "Double"))]
    table = make(**body(*scalars, column("b", "Bool")))
    floats = [
        # Float in, out; Double in, out
        (0.1, 0.1, 0.1, 0.1),
        (1, 1.0, 1, 1.0),
        (3.4028234663852886e38, 3.4028235e38, 1.7976931348623157e308, 1.7976931348623157e308),
        (1e-45, 1e-45, 5e-324, 5e-324),
        (2**24 + 1, 2.0**24, 2**53 + 1, 2.0**53),
        (2**62, 4.611686e18, 2**64 - 1, 2.0**64),  # 32 bits are written with the digits they hold
        (-0.0, 0.0, -0.0, 0.0),
    ]
    rows = []
    for n, (f, _, d, _) in enumerate(floats):
        whole = {f"i{b}": [-(2 ** (b - 1)), -1, 0, 1, 2 ** (b - 1) - 1][n % 5] for b in bits}
        rows.append({"id": n, "v": [1, n], **whole, "f": f, "d": d, "b": n % 2 == 0})
    table.insert(*rows)
    want = [{**row, "f": f, "d": d} for row, (_, f, _, d) in zip(rows, floats, strict=True)]
    got = table.query()
    assert got == want
    for row in got:
        assert {type(row[name]) for name in ("i8", "i16", "i32", "i64")} == {int}
        assert type(row["f"]) is type(row["d"]) is float
        assert type(row["b"]) is bool
    assert table.search([1, 0], filter="id == 0", outputFields=["*"]) == [{"distance": 1.0, **want[0]}]
    wrong = [(f"i{b}", value) for b in bits for value in (-(2 ** (b - 1)) - 1, 2 ** (b - 1), 1.0, True, "1", None, [1])]
    wrong += [("f", value) for value in (3.5e38, -1e39, True, "1", None, [1.0])]
    wrong += [("d", value) for value in (False, "1", None, {})] + [("b", value) for value in (1, 0, "true", None)]
    for name, value in wrong:
        status, said = table.post("vectors/insert", data={**rows[0], "id": 99, name: value})
        assert status == 400, (name, value)
        assert f"row 0, field '{name}'" in said
    assert table.rows() == len(rows)


def test_texts_come_back_whole_and_max_length_counts_bytes(make):
    table = make(**body(column("s", "VarChar", max_length=10)))
    texts = ["", "0123456789", "ééééé", "日本語", "\U0001f600\U0001f600", "a\nb\0c", "'\"\\`", " \t", "\u2028", "\\n"]
    table.insert(*({"id": n, "v": [1, 0], "s": text} for n, text in enumerate(texts)))
    assert [row["s"] for row in table.query()] == texts
    assert [hit["s"] for hit in table.search([1, 0], filter="id == 3", outputFields=["s"])] == ["日本語"]
    for wrong in ("0123456789x", "éééééé", "日本語日", "\U0001f600" * 3):
        message = table.refused(400, "vectors/insert", data={"id": 99, "v": [1, 0], "s": wrong})
        assert f"has {len(wrong.encode())} bytes; max_length is 10" in message
    for wrong in (1, None, True, ["a"]):
        assert "is not a text" in table.refused(400, "vectors/insert", data={"id": 99, "v": [1, 0], "s": wrong})
    assert table.rows() == len(texts)


ELEMENTS = {
    "Bool": [True, False], "Int8": [-128, 0, 127], "Int16": [-(2**15), 2**15 - 1], "Int32": [-(2**31), 2**31 - 1],
    "Int64": [-(2**63), 2**53 + 1, 2**63 - 1], "Float": [0.1, -2.5, 3.4028235e38], "Double": [0.1, 1e300, 5e-324],
    "VarChar": ["", "\U0001f600", "'\"\\`\n"],
}  # fmt: skip


def test_json_and_arrays_of_each_type_come_back_as_they_were_sent(make):
    arrays = [
        column(f"a{kind}", "Array", element=kind, max_capacity=3, **({"max_length": 9} if kind == "VarChar" else {}))
        for kind in ELEMENTS
    ]
    table = make(**body(column("j", "JSON"), *arrays))
    nested = {
        "n": 1, "f": 0.1, "big": 2**53 + 1, "t": "\U0001f600 '\"\\\n", "b": True, "nothing": None, "": [],
        "list": [1, "two", [3, {"four": {}}]], "deep": {"a": {"b": {"c": [[[]]]}}}, "é": -2.5e-300,
    }  # fmt: skip
    rows = [
        {"id": 0, "v": [1.0, 0.0], "j": nested, **{f"a{kind}": values for kind, values in ELEMENTS.items()}},
        {"id": 1, "v": [0.0, 1.0], "j": {}, **{f"a{kind}": [] for kind in ELEMENTS}},
    ]
    table.insert(*rows)
    assert table.query() == rows
    assert table.ok("vectors/upsert", data=rows[0])["upsertCount"] == 1
    hits = table.search([1, 0], outputFields=["*"])
    assert hits == [{"distance": 1.0, **rows[0]}, {"distance": 0.0, **rows[1]}]
    wrong = {"j": [[], "{}", 1, None, {"t": "x" * 65_536}], "aInt8": [[128], [1.0], [1, 2, 3, 0], "1", None, [None]]}
    wrong |= {"aBool": [[1]], "aVarChar": [["0123456789"], [1]], "aFloat": [["1"], [1e39]]}
    for name, values in wrong.items():
        for value in values:
            message = table.refused(400, "vectors/insert", data={**rows[0], "id": 9, name: value})
            assert f"row 0, field '{name}'" in message
    assert table.rows() == 2


def test_float_vectors_come_back_in_all_their_32_bits(make, rng):
    table = make(**body(dim=384))
    stored = rng.normal(size=(20, 384)).astype(np.float32)
    table.insert(*({"id": n, "v": v.tolist()} for n, v in enumerate(stored)))
    found = table.query(outputFields=["v"])
    assert np.array_equal(np.array([row["v"] for row in found], np.float32), stored)
    hits = table.search(stored[0].tolist(), outputFields=["v"])
    assert np.array_equal(np.array([hit["v"] for hit in hits], np.float32), stored[ids(hits)])
    for n in range(3):  # the same vector has similarity 1, and never more
        best, *_ = table.search(stored[n].tolist(), limit=1)
        assert best["id"] == n
        assert 1 - 1e-6 < best["distance"] <= 1


def test_binary_vectors_come_back_and_are_searched_by_the_bits_that_differ(make):
    bits = {"fields": [column("id", "Int64", primary=True), column("v", "BinaryVector", dim=16)]}
    table = make(schema=bits, indexParams=[index("HAMMING")])
    table.insert({"id": 1, "v": [255, 0]}, {"id": 2, "v": [0, 0]}, {"id": 3, "v": [254, 129]})
    assert [row["v"] for row in table.query()] == [[255, 0], [0, 0], [254, 129]]
    hits = table.search([255, 0], outputFields=["v"])
    assert hits == [
        {"distance": 0.0, "id": 1, "v": [255, 0]},
        {"distance": 3.0, "id": 3, "v": [254, 129]},
        {"distance": 8.0, "id": 2, "v": [0, 0]},
    ]
    assert ids(table.search([255, 0], {"radius": 8, "range_filter": 1})) == [3]
    assert table.search([[0, 0], [255, 0]], limit=1) == [[{"distance": 0.0, "id": 2}], [{"distance": 0.0, "id": 1}]]
    for wrong in ([255], [256, 0], [1.0, 0], [-1, 0], [True, 0], "ÿ"):
        message = table.refused(400, "vectors/insert", data={"id": 9, "v": wrong})
        assert "16 bits are a list of 2 bytes" in message or "not a list" in message
    assert table.rows() == 3


# Keys ------------------------------------------------------------------------------------------------------------


def test_keys_may_be_texts_of_any_letters(make):
    key = column("key", "VarChar", primary=True, max_length=20)
    table = make(**body(key=key))
    keys = [
        "a",
        "A",
        "it's",
        '"',
        "\\",
        "",
        "\0",
        "a\nb",
        "'] or key != ['",
        "é",
        "日本",
        "\U0001f600",
        "%",
        "_",
        "a b",
    ]
    rows = [{"key": key, "v": [1, n]} for n, key in enumerate(keys)]
    assert table.insert(*rows)["insertIds"] == keys
    for n, key in enumerate(keys):
        assert table.ok("vectors/get", id=key) == [{"key": key, "v": [1.0, float(n)]}]
        table.refused(409, "vectors/insert", data={"key": key, "v": [0, 1]})
        table.ok("vectors/upsert", data={"key": key, "v": [2, n]})
    assert table.rows() == len(keys)
    got = table.ok("vectors/get", id=keys)
    assert ids(got, "key") == sorted(keys)
    assert all(row["v"][0] == 2 for row in got)
    assert table.search([2, 0], limit=1) == [{"distance": 1.0, "id": "a"}]  # a hit calls the key id, whatever its name
    assert table.search([2, 0], limit=1, outputFields=["key"]) == [{"distance": 1.0, "id": "a", "key": "a"}]
    assert "21 bytes" in table.refused(400, "vectors/insert", data={"key": "x" * 21, "v": [1, 0]})
    assert table.refused(400, "vectors/get", id=5) == "5 is not a valid VarChar, the type of the key 'key'"
    for gone, key in enumerate(keys, start=1):
        assert table.ok("vectors/delete", filter=f"key == {json.dumps(key)}") == "1 rows deleted"
        assert table.rows() == len(keys) - gone


def test_keys_reach_both_ends_of_64_bits(table, api):
    largest = 2**63 - (2 if api.engine == "milvus" else 1)  # one of the differences
    keys = [-(2**63), -(2**53) - 1, -1, 0, 2**53 + 1, largest]
    assert table.insert(*({"id": key, "v": [1, 0]} for key in keys))["insertIds"] == keys
    assert ids(table.ok("vectors/get", id=keys)) == keys
    assert sorted(ids(table.search([1, 0]))) == keys
    assert table.ok("vectors/delete", filter=f"id == {2**53 + 1} or id == {-(2**63)}") == "2 rows deleted"
    assert ids(table.ok("vectors/get", id=keys)) == [-(2**53) - 1, -1, 0, largest]


def test_automatic_ids_are_told_are_found_and_are_never_given_twice(make, rng):
    table = make(**body(dim=4, autoID=True))
    stored = rng.normal(size=(30, 4)).astype(np.float32).tolist()
    given = table.insert(*({"v": v} for v in stored))["insertIds"]
    assert [table.search(v, limit=1)[0]["id"] for v in stored] == given
    assert table.ok("vectors/delete", filter=f"id == {given[-1]}") == "1 rows deleted"  # the last
    given += table.insert({"v": stored[0]})["insertIds"]
    assert table.ok("vectors/delete", filter=f"id in {given}") == "30 rows deleted"  # all
    given += table.insert({"v": stored[0]}, {"v": stored[1]})["insertIds"]
    assert ids(table.ok("vectors/get", id=given)) == given[-2:]
    assert len(set(given)) == len(given) == 33
    assert given == sorted(given)
    assert given[0] >= 1
    known = table.refused(400, "vectors/insert", data={"id": 1, "v": stored[0]})
    assert known == "row 0 has unknown fields ['id']; a row has: v"
    assert "numbers its rows itself" in table.refused(400, "vectors/upsert", data={"id": given[-1], "v": stored[0]})


# Dynamic fields --------------------------------------------------------------------------------------------------


def test_dynamic_fields_are_stored_and_answered_where_they_are_allowed(make):
    table = make(dimension=2, vectorFieldName="v", params={"enableDynamicField": True, "ttlSeconds": None})
    assert table.ok("collections/describe")["enableDynamicField"] is True
    rows = [
        {"id": 1, "v": [1.0, 0.0], "color": "red", "n": 2**53 + 1, "info": {"tags": ["a", {"b": None}]}},
        {"id": 2, "v": [0.0, 1.0], "color": 5, "größe \"'\\": 0.1},
        {"id": 3, "v": [-1.0, 0.0]},
    ]
    table.insert(*rows)
    assert table.query() == rows
    assert table.query(outputFields=["color"]) == [{"id": 1, "color": "red"}, {"id": 2, "color": 5}, {"id": 3}]
    assert table.query(outputFields=["color", "nosuch"])[2] == {"id": 3}
    assert table.query(outputFields=[]) == [{"id": 1}, {"id": 2}, {"id": 3}]
    assert table.query(outputFields=["$meta"]) == [{k: v for k, v in row.items() if k != "v"} for row in rows]
    assert table.search([1, 0], limit=2, outputFields=["n", "v"]) == [
        {"distance": 1.0, "id": 1, "n": 2**53 + 1, "v": [1.0, 0.0]},
        {"distance": 0.0, "id": 2, "v": [0.0, 1.0]},
    ]
    assert table.search([1, 0], limit=1, outputFields=["*"]) == [{"distance": 1.0, **rows[0]}]
    assert table.ok("vectors/upsert", data={"id": 1, "v": [1, 0], "new": True})["upsertCount"] == 1
    assert table.ok("vectors/get", id=1) == [{"id": 1, "v": [1.0, 0.0], "new": True}]  # the whole row is replaced
    for name in ("distance", "", "$meta"):
        assert "is taken" in table.refused(400, "vectors/insert", data={"id": 9, "v": [1, 0], name: 1})
    assert table.rows() == 3


def test_a_stored_key_is_refused_whatever_order_keys_come_in(make: Make) -> None:
    """The engine remembers the highest key, so that rising keys need no look at the rows."""
    for key, keys in (
        (column("id", "Int64", primary=True), [5, 7, 3, 9, -4]),
        (column("id", "VarChar", primary=True, max_length=9), ["m", "z", "b", "\U0001f600", ""]),
    ):
        table = make(**body(key=key))
        rows = [{"id": k, "v": [1, 2]} for k in keys]
        for row in rows:
            table.insert(row)
            for stored in rows[: rows.index(row) + 1]:
                table.refused(409, "vectors/insert", data=[stored])
        table.ok("vectors/delete", filter="id >= " + ("9" if keys[0] == 5 else '"z"'))
        table.insert(rows[3])
        table.refused(409, "vectors/insert", data=[rows[3]])
        assert table.rows() == (5 if keys[0] == 5 else 4)
