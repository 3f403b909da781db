"""What differs between engines: each difference is asserted, and docs/engines.md has one row for each."""

import random
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from helpers.settings import ROOT
from local_memora.filters.check import CALLS
from tests.local_memora.contract import ALL, ODD, Api, Table, body, column, ids, index, shape


@dataclass
class Difference:
    """A row of the table, and what shows it.

    A cell that starts with a status says that the engine refuses with it. `cases` are requests: verb, body, and the
    keys that are found where it is not refused. A difference that requests alone do not show has a test that it names.
    """

    what: str
    embedded: str
    milvus: str
    cases: list[tuple[str, dict, Any]] = field(default_factory=list)
    shown_by: str = ""

    def status(self, engine: str) -> int:
        word = getattr(self, engine).split()[0].rstrip(":;,")
        return int(word) if word.isdigit() else 0


CREATE = "collections/create"


def finds(*filters: tuple[str, Any]) -> list[tuple[str, dict, Any]]:
    return [("vectors/query", {"filter": text, "outputFields": []}, found) for text, found in filters]


LARGEST = {"id": 2**63 - 1, "v": [1, 0], "n": 1, "i8": 1, "f": 1, "s": "", "info": {}, "tags": [], "floats": []}
KEYED = {
    **body(column("c", "VarChar", max_length=9, partition_key=True)),
    "params": {"partitionsNum": 4},
}
DIFFERENCES = {
    "ttl": Difference(
        "`ttlSeconds`",
        "501",
        "yes: the server removes expired rows in its own time",
        shown_by="test_a_time_to_live_is_told_by_describe_or_refused",
    ),
    "shards": Difference(
        "`shardsNum` above 1", "501", "yes", [(CREATE, {"dimension": 2, "params": {"shardsNum": 2}}, None)]
    ),
    "partition key": Difference(
        "a partition key, `partitionsNum`",
        "501",
        "yes; an upsert there deletes, then inserts",
        shown_by="test_rows_under_a_partition_key_are_found_by_it_also_after_it_changed",
    ),
    "several vectors": Difference(
        "several vector fields",
        "yes",
        "501",
        [(CREATE, {"schema": shape(column("w", "FloatVector", dim=3))}, None)],
        "test_each_of_two_vector_fields_is_searched_by_its_own_index",
    ),
    "field names": Difference(
        "field names that it keeps for itself",
        "400: `_distance`, `_rowid` and other `_row...`",
        "400: `RowID`, `Timestamp`",
        shown_by="test_a_field_name_one_engine_reserves_is_free_in_the_other",
    ),
    "inside": Difference(
        "filters that look inside JSON, Array and dynamic fields",
        "501",
        "yes",
        finds(
            ('info["n"] == 1', [1]),
            ('info["n"] >= 1.0 and info["t"] like "re%"', [1]),
            ('info["deep"]["a"][1] in [2, 3]', [1]),
            ('info["n"] in [1, 2.5]', [1]),
            ("year in [1999.5, 2020]", [1, 3]),
            ('exists info["n"]', [1, 2]),
            ('exists info["n"] and n > 1', [2]),
            ('not exists info["n"]', [3]),
            ('info["t"] == "it\'s \\"q\\""', [2]),
            ('json_contains(info["list"], "a")', [1]),
            ('json_contains_all(info["list"], ["a", "b"])', [1]),
            ('json_contains_any(info["list"], ["b", "z"])', [1]),
            ("tags[0] == 5", [1]),
            ("tags[0] + 1 == 6", [1]),
            ("array_contains(tags, 6)", [1]),
            ("array_contains_all(tags, [5, 6])", [1]),
            ("array_contains_any(tags, [6, 7])", [1, 2]),
            ("array_length(tags) == 0", [3]),
            ("year > 2000", [1]),
            ('color == "red" or color == 5', [1, 2]),
            ('$meta["color"] == "red"', [1]),
            ("exists color", [1, 2]),
            ("nosuch == 1", []),
        ),
    ),
    "like": Difference(
        'patterns other than `like "start%"`',
        "yes",
        "501",
        finds(('s like "%d"', [1]), ('s like "_ed"', [1]), ('s not like "%e%"', [3]), (r's like "50\\%"', [3])),
    ),
    "arithmetic": Difference(
        "arithmetic in filters, but for one field and one constant compared by `==` or `!=`",
        "yes",
        "501",
        finds(("n + 1 > 2", [2, 3]), ("n + i8 == 2", [1]), ("(n + 1) * 2 == 4", [1]), ("n ** 2 == 4", [2])),
    ),
    "overflow": Difference(
        "a sum or product in a filter that does not fit into 64 bits in some row",
        "400",
        "that row equals nothing",
        shown_by="test_a_sum_or_product_that_64_bits_can_not_hold_finds_no_other_row",
    ),
    "float arithmetic": Difference(
        "arithmetic on a Float field",
        "in 64 bits: `f + 0.1 == 0.2` misses the row with 0.1",
        "in 32 bits: it finds it",
        finds(("f + 0.1 == 0.2", {"embedded": [], "milvus": [1]}), ("f + 1 == 3.5", [2])),
    ),
    "float elements": Difference(
        "elements of an Array of Float beside a fraction in a filter",
        "501",
        "in 64 bits: `[0.1]` has no 0.1",
        finds(("floats[0] == 0.1", []), ("array_contains(floats, 0.1)", []), ("floats[0] == 2.5", [2])),
    ),
    "fractions": Difference(
        "whole numbers beside fractions in filters",
        "yes",
        "501",
        finds(("n < 1.5", [1]), ("n == 1.0", [1]), ("n in [1.0, 2.5]", [1]), ("n + 0.5 == 1.5", [1])),
    ),
    "no field": Difference(
        "conditions about no field, and conditions compared with each other",
        "yes",
        "501",
        finds(("1 == 1", [1, 2, 3]), ("true", [1, 2, 3]), ("2 in [1, 3]", []), ("(n > 1) == (i8 > 1)", [1, 2, 3])),
    ),
    "metric": Difference(
        "without an index, a search by another metric than COSINE",
        "yes",
        "501",
        [
            ("vectors/search", {"data": [1, 1], "annsField": "v", "searchParams": {"metricType": "IP"}}, [2, 1, 3]),
            ("vectors/search", {"data": [1, 1], "annsField": "v", "searchParams": {"metricType": "L2"}}, [1, 2, 3]),
        ],
    ),
    "zeros": Difference(
        "a COSINE index where a vector of zeros is stored",
        "400, naming the row",
        "made; that row is never found by it",
        shown_by="test_a_cosine_index_meets_a_stored_vector_of_zeros",
    ),
    "few rows": Difference(
        "IVF_FLAT with fewer rows than lists",
        "waits, `Unissued`; searched exactly until then",
        "built when loaded",
        shown_by="test_ivf_flat_with_fewer_rows_than_lists_and_rows_that_are_new_to_it",
    ),
    "growing": Difference(
        "`ignoreGrowing`",
        "leaves nothing out",
        "leaves out rows that are new to the server",
        shown_by="test_ivf_flat_with_fewer_rows_than_lists_and_rows_that_are_new_to_it",
    ),
    "index change": Difference(
        "reads while an index is made or dropped",
        "go on",
        "wait for it, or get a 400: the collection is released",
        shown_by="test_reads_while_an_index_changes",
    ),
    "released counts": Difference(
        "`get_stats`, and `indexes/describe`, of what is released",
        "yes",
        "501",
        shown_by="test_automatic_ids_and_row_counts_differ_as_the_table_says",
    ),
    "automatic ids": Difference(
        "automatic ids",
        "1, 2, 3, ...",
        "18 digits, beyond 2**53",
        shown_by="test_automatic_ids_and_row_counts_differ_as_the_table_says",
    ),
    "largest key": Difference(
        "the key 2**63 - 1",
        "yes",
        "501",
        [
            ("vectors/upsert", {"data": LARGEST}, None),
            ("vectors/get", {"id": 2**63 - 1, "outputFields": []}, [2**63 - 1]),
            ("vectors/delete", {"filter": f"id == {2**63 - 1}"}, None),
        ],
    ),
    "projects": Difference(
        "project ids with a hyphen, or with a digit first",
        "yes",
        "501",
        [("collections/list", {"project_id": ODD}, None), (CREATE, {"project_id": ODD, "dimension": 2}, None)],
    ),
}  # fmt: skip


def test_the_table_in_the_docs_holds_these_differences_and_no_others():
    lines = (ROOT / "docs" / "engines.md").read_text(encoding="utf-8").splitlines()
    table = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("|")]
    assert table[2:] == [[d.what, d.embedded, d.milvus] for d in DIFFERENCES.values()]
    shown = {name for name in globals() if name.startswith("test_")}
    for difference in DIFFERENCES.values():
        assert difference.shown_by in shown or (difference.cases and not difference.shown_by)
        assert difference.embedded != difference.milvus


@pytest.fixture(scope="module")
def full(api: Api) -> Iterator[Table]:
    """Return a collection with a field of every kind that filters meet, and no index."""
    fields = [
        column("n", "Int64"),
        column("i8", "Int8"),
        column("f", "Float"),
        column("s", "VarChar", max_length=9),
        column("info", "JSON"),
        column("tags", "Array", element="Int16", max_capacity=3),
        column("floats", "Array", element="Float", max_capacity=3),
    ]
    deep = {"n": 1, "t": "red", "deep": {"a": [1, 2]}, "list": ["a", "b"]}
    rows = [
        {"id": 1, "v": [1, 1], "f": 0.1, "s": "red", "info": deep, "tags": [5, 6], "color": "red", "year": 2020},
        {"id": 2, "v": [2, 3], "f": 2.5, "s": "green", "info": {"n": 2, "t": 'it\'s "q"'}, "tags": [7], "color": 5},
        {"id": 3, "v": [-1, 0], "f": 3.0, "s": "50%", "info": {}, "tags": [], "year": 1999.5},
    ]
    with api.table(schema=shape(*fields, enableDynamicField=True)) as full:
        full.insert(*({**row, "n": row["id"], "i8": row["id"], "floats": [row["f"]]} for row in rows))
        yield full


@pytest.mark.parametrize("difference", [name for name, d in DIFFERENCES.items() if d.cases])
def test_an_engine_does_what_the_table_says_or_names_the_one_that_does(api, full, difference):
    status = DIFFERENCES[difference].status(api.engine)
    other = "the Milvus engine" if api.engine == "embedded" else "the embedded engine"
    for verb, sent, found in DIFFERENCES[difference].cases:
        new = verb == CREATE
        sent = {"project_id": "p", "collectionName": "new" if new else full.name, **sent}
        if verb == "collections/list":
            del sent["collectionName"]
        if new:
            api.post("collections/drop", sent["project_id"], collectionName="new")
        got, said = api.post(verb, **sent)
        if not status:
            assert got == (201 if new else 200), (sent, said)
            if found is not None:
                assert ids(said) == (found[api.engine] if isinstance(found, dict) else found), sent
        elif verb not in ("vectors/get", "vectors/delete"):  # those look for what was refused, and tidy up
            assert got == status, (sent, said)
            assert other in said or (difference == "several vectors" and "embedded" in said)
        if new:
            api.post("collections/drop", sent["project_id"], collectionName="new")
    assert full.rows() == 3
    assert api.ok("collections/list") == [full.name]


WRAPPED = {  # filter: what is found by exact arithmetic; wrapped round, the result would be the number
    "n + 9223372036854775806 == -9223372036854775808": [],
    "n - -9223372036854775807 != -9223372036854775808": [1, 2, 3],
    "4611686018427387904 * n == -9223372036854775808": [],
    "n * -6148914691236517205 == 1": [],
    "not (n * 4611686018427387904 == -9223372036854775808)": [1, 2, 3],
}


@pytest.mark.parametrize("filter", WRAPPED)
def test_a_sum_or_product_that_64_bits_can_not_hold_finds_no_other_row(full, api, filter):
    if api.engine == "milvus":
        assert ids(full.query(filter)) == WRAPPED[filter]
    else:
        for verb in ("vectors/query", "vectors/delete"):
            assert full.refused(400, verb, filter=filter) == (
                "the filter calculates a number that does not fit into 64 bits"
            )


INSIDE = ["id", "n", "f", "s", "info", 'info["n"]', 'info["deep"]["a"][0]', "tags[0]", "floats[0]", "color", "year"]
VALUES = ["1", "-1", "2.5", '"red"', "''", "true", "1e300", "-9223372036854775808", "300", '"\U0001f600"']
SOUGHT = ["", ", 5", ", [5]", ", [5, 2.5]", ', ["red", 5]', ", []"]


def made_up(rng: random.Random, depth: int) -> str:
    """Return a filter, or what looks like one, about fields of every kind."""
    inner, field = [made_up(rng, depth - 1) for _ in range(2)] if depth else ["id", "1"], rng.choice(INSIDE)
    shapes = (
        rng.choice(INSIDE + VALUES),
        f"{field} in [{', '.join(rng.sample(VALUES, rng.randint(0, 3)))}]",
        f"{field} {rng.choice(['==', '<', '>='])} {rng.choice(VALUES)}",
        f"{inner[0]} {rng.choice(['==', '!=', '+', '*', '%'])} {inner[1]}",
        f"({inner[0]}) {rng.choice(['and', 'or'])} not ({inner[1]})",
        f'{field} like "re%"',
        f"{rng.choice([*CALLS])}({rng.choice(INSIDE)}{rng.choice(SOUGHT)})",
    )
    return rng.choice(shapes[1:] if depth else shapes)


def test_no_filter_about_fields_of_any_kind_fails_a_server(full):
    rng, seen = random.Random(3), Counter()
    for _ in range(200):
        filter = made_up(rng, rng.randint(1, 2))
        status, said = full.post("vectors/query", filter=filter, outputFields=[])
        assert status in (200, 400, 501), (filter, said)
        seen[status] += 1
    assert min(seen[status] for status in (200, 400, 501)) > 10, seen
    assert full.rows() == 3


def test_a_time_to_live_is_told_by_describe_or_refused(make, api):
    wanted = {"dimension": 2, "params": {"ttlSeconds": 3600}}
    if api.engine == "embedded":
        assert "the Milvus engine" in api.refused(501, CREATE, collectionName="new", **wanted)
        return
    about = make(**wanted).ok("collections/describe")
    assert about["properties"] == [{"key": "collection.ttl.seconds", "value": "3600"}]


def test_rows_under_a_partition_key_are_found_by_it_also_after_it_changed(make, api):
    if api.engine == "embedded":
        assert "the Milvus engine" in api.refused(501, CREATE, collectionName="new", **KEYED)
        return
    table = make(**KEYED)
    assert len(table.ok("partitions/list")) == 4
    table.insert(*({"id": n, "v": [1, n], "c": f"a{n}"} for n in range(12)))
    table.ok("vectors/upsert", data=[{"id": n, "v": [1, n], "c": f"b{n}"} for n in range(2, 12)])
    for n in range(12):
        letter = "a" if n < 2 else "b"
        assert ids(table.query(f'c == "{letter}{n}"')) == [n]
        assert ids(table.search([1, n], filter=f'c == "{letter}{n}"')) == [n]
    assert table.query('c in ["a2", "a11"]') == []
    assert table.rows() == 12
    table.refused(409, "vectors/insert", data={"id": 3, "v": [1, 0], "c": "z"})
    assert table.ok("vectors/delete", filter='c == "b5"') == "1 rows deleted"
    assert table.rows() == 11
    row, mine = {"id": 99, "v": [1, 0], "c": "z"}, {"partitionName": "_default_0"}
    near = {"data": [1, 0], "annsField": "v"}
    several = {"partitionNames": ["_default_0"]}
    for verb, sent in (
        ("partitions/create", {"partitionName": "mine"}),
        *((f"partitions/{verb}", mine) for verb in ("drop", "get_stats")),
        *((f"partitions/{verb}", several) for verb in ("load", "release")),
        *((f"vectors/{verb}", {"data": row, **mine}) for verb in ("insert", "upsert")),
        ("vectors/search", {**near, **several}),
        ("vectors/hybrid_search", {"search": [near], "rerank": {"strategy": "rrf"}, **several}),
        ("vectors/query", {"filter": ALL, **several}),
        ("vectors/get", {"id": 1, **several}),
        ("vectors/delete", {"filter": ALL, **mine}),
    ):
        assert "makes the partitions of" in table.refused(400, verb, **sent)
    assert table.ok("partitions/has", **mine) == {"has": True}
    table.ok("collections/release")
    assert table.ok("collections/get_load_state") == {"loadState": "LoadStateNotLoad", "loadProgress": 0}
    table.ok("collections/load")
    assert table.rows() == 11


def test_each_of_two_vector_fields_is_searched_by_its_own_index(make, api):
    fields = [column("id", "Int64", primary=True), column("v", "FloatVector", dim=2), column("w", "FloatVector", dim=3)]
    wanted = {"schema": {"fields": fields}, "indexParams": [index(), index("L2", on="w", name="by_w")]}
    if api.engine == "milvus":
        api.refused(501, CREATE, collectionName="new", **wanted)
        return
    table = make(**wanted)
    table.insert({"id": 1, "v": [1, 0], "w": [0, 0, 0]}, {"id": 2, "v": [0, 1], "w": [1, 1, 1]})
    assert table.search([1, 0]) == [{"distance": 1.0, "id": 1}, {"distance": 0.0, "id": 2}]
    assert table.search([1, 1, 1], annsField="w") == [{"distance": 0.0, "id": 2}, {"distance": 3.0, "id": 1}]
    parts = [{"data": [1, 0], "annsField": "v"}, {"data": [1, 1, 1], "annsField": "w"}]
    weighted = {"strategy": "weighted", "params": {"weights": [0.2, 0.8]}}
    assert ids(table.ok("vectors/hybrid_search", search=parts, rerank=weighted)) == [2, 1]


def test_a_field_name_one_engine_reserves_is_free_in_the_other(make, api):
    kept = {"embedded": ["_distance", "_rowid"], "milvus": ["RowID", "Timestamp"]}
    for name in kept.pop(api.engine):
        message = api.refused(400, CREATE, collectionName="new", schema=shape(column(name, "Int64")))
        assert message == f"the field name {name!r} is taken by the engine; choose another"
    (free,) = kept.values()
    table = make(**body(*(column(name, "Int64") for name in free)))
    table.insert({"id": 1, "v": [1, 0], **dict.fromkeys(free, 7)})
    assert ids(table.query(f"{free[0]} == 7 and {free[1]} == 7")) == [1]


def test_a_cosine_index_meets_a_stored_vector_of_zeros(make, api):
    table = make(schema=shape())
    table.insert({"id": 1, "v": [1, 0]}, {"id": 7, "v": [0, 0]})
    assert ids(table.search([1, 0])) == [1]
    if api.engine == "embedded":
        message = table.refused(400, "indexes/create", indexParams=[index()])
        assert message == "row 7 has a vector of zeros, which COSINE can't compare"
        assert table.ok("indexes/list") == []
        table.ok("vectors/delete", filter="id == 7")
    assert table.ok("indexes/create", indexParams=[index()]) == "index created"
    assert ids(table.search([1, 0])) == [1]


def test_ivf_flat_with_fewer_rows_than_lists_and_rows_that_are_new_to_it(make, api):
    table = make(**body(by=index("L2", "IVF_FLAT", nlist=8)))
    table.insert(*({"id": n, "v": [1, n]} for n in range(5)))
    table.ok("collections/load")
    (about,) = table.ok("indexes/describe", indexName="by_v")
    state = about["indexState"], about["indexedRows"], about["pendingRows"]
    assert state == (("Unissued", 0, 5) if api.engine == "embedded" else ("Finished", 5, 0))
    assert ids(table.search([1, 0])) == [0, 1, 2, 3, 4]

    table.insert({"id": 5, "v": [1, 5]})
    found = {}
    for ignore in (True, False):
        search = [{"data": [1, 0], "annsField": "v", "ignoreGrowing": ignore}]
        found[ignore] = ids(table.ok("vectors/hybrid_search", search=search, rerank={"strategy": "rrf"}))
    assert found[False] == [0, 1, 2, 3, 4, 5]
    assert (5 in found[True]) == (api.engine == "embedded")  # whether the others still are new is the server's affair


def test_reads_while_an_index_changes(make, api):
    table = make(**body())
    table.insert({"id": 1, "v": [1, 0]})
    change = threading.Thread(target=table.ok, args=["indexes/drop"], kwargs={"indexName": "by_v"})
    change.start()
    refusals = []
    while change.is_alive():
        if api.engine == "milvus" and table.ok("collections/get_load_state")["loadState"] == "LoadStateLoaded":
            continue  # a search that has begun by now may wait until the end
        status, said = table.post("vectors/search", data=[1, 0], annsField="v")
        if status != 200:
            refusals.append((status, said))
    change.join()
    if api.engine == "embedded":
        assert refusals == []
    else:
        assert {status for status, _ in refusals} == {400}, refusals
        assert all("is released: load it first" in said for _, said in refusals)
    assert ids(table.search([1, 0])) == [1]


def test_automatic_ids_and_row_counts_differ_as_the_table_says(make, api):
    table = make(**body(autoID=True))
    given = table.insert({"v": [1, 0]}, {"v": [0, 1]})["insertIds"]
    if api.engine == "embedded":
        assert given == [1, 2]
    else:
        assert all(2**53 < key < 2**63 and len(str(key)) == 18 for key in given)
    assert ids(table.query(ALL)) == given

    table.ok("collections/release")
    for verb, sent in (
        ("collections/get_stats", {}),
        ("partitions/get_stats", {"partitionName": "_default"}),
        ("indexes/describe", {"indexName": "by_v"}),
    ):
        if api.engine == "milvus":
            message = table.refused(501, verb, **sent)
            assert "counts loaded rows only" in message
            assert "the embedded engine counts all" in message
        elif verb == "indexes/describe":
            assert table.ok(verb, **sent)[0]["totalRows"] == 2
        else:
            assert table.ok(verb, **sent) == {"rowCount": 2}
