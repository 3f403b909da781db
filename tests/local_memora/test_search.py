"""The contract on every engine: hits, distances, order, ranges, groups, hybrid searches; checked with numpy."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from tests.local_memora.contract import ALL, Api, Table, body, column, ids, index

SIMILAR = ("COSINE", "IP")  # larger is closer
ROWS, DIM, GROUPS = 200, 8, 5
# Beside them, in a group of their own, some whose distances from TWO are whole numbers.
NOTHING = {2001: 0, 2002: 1e-30}
EXACT, TWO = {1001: 1, 1002: 3, 1003: 0, 1004: -2}, [2, *[0] * 7]


@dataclass
class Space:
    """A collection of random vectors, which no test changes, and what it holds."""

    table: Table
    metric: str
    stored: np.ndarray

    def distances(self, query: np.ndarray) -> np.ndarray:
        """Return what Memora should tell, in 64 bits: a similarity, a dot product, a squared distance."""
        query, stored = query.astype(float), self.stored.astype(float)
        if self.metric == "L2":
            return ((stored - query) ** 2).sum(axis=1)
        dots = stored @ query
        lengths = np.linalg.norm(stored, axis=1) * np.linalg.norm(query)
        return dots / lengths if self.metric == "COSINE" else dots

    def best_first(self, values: np.ndarray) -> np.ndarray:
        return np.argsort(-values if self.metric in SIMILAR else values, kind="stable")

    def search(self, query: np.ndarray, params: dict | None = None, where: str = "g >= 0", **more: object) -> list:
        return self.table.search(query.tolist(), params, filter=where, **more)


@pytest.fixture(scope="module", params=["COSINE", "IP", "L2"])
def space(request: pytest.FixtureRequest, api: Api) -> Iterator[Space]:
    rng = np.random.default_rng(1)
    stored = rng.normal(size=(ROWS, DIM)).astype(np.float32)
    fields = [column("g", "Int8"), column("name", "VarChar", max_length=9), column("odd", "Bool")]
    with api.table(**body(*fields, dim=DIM, by=index(request.param))) as table:
        table.insert(
            *(
                {"id": n, "v": v, "g": n % GROUPS, "name": f"n{n}", "odd": n % 2 == 1}
                for n, v in enumerate(stored.tolist())
            ),
            *(
                {"id": n, "v": [x, float(x == 0), *[0] * 6], "g": -1, "name": "exact", "odd": False}
                for n, x in EXACT.items()
            ),
        )
        if request.param != "COSINE":
            table.insert(
                *({"id": n, "v": [x, *[0] * 7], "g": -2, "name": "", "odd": False} for n, x in NOTHING.items())
            )
        yield Space(table, request.param, stored)


# Hits ------------------------------------------------------------------------------------------------------------


def test_hits_are_flat_and_best_first_and_their_distances_are_the_metrics(space, rng):
    for query in rng.normal(size=(5, DIM)).astype(np.float32):
        want = space.distances(query)
        hits = space.search(query, limit=20, outputFields=["name"])
        assert ids(hits) == list(space.best_first(want)[:20])
        assert [hit["distance"] for hit in hits] == pytest.approx(want[ids(hits)], abs=1e-5)
        for hit in hits:
            assert hit.keys() == {"id", "distance", "name"}
            assert hit["name"] == f"n{hit['id']}"


def test_distances_are_exact_where_they_are_whole_numbers(space):
    expected = {
        "COSINE": {1001: 1.0, 1002: 1.0, 1003: 0.0, 1004: -1.0},
        "IP": {1001: 2.0, 1002: 6.0, 1003: 0.0, 1004: -4.0},
        "L2": {1001: 1.0, 1002: 1.0, 1003: 5.0, 1004: 16.0},  # squared
    }[space.metric]
    assert {hit["id"]: hit["distance"] for hit in space.table.search(TWO, filter="g == -1")} == expected


def test_vectors_of_zeros_are_stored_where_the_metric_can_compare_them(space):
    if space.metric == "COSINE":
        row = {"id": 2001, "v": [0] * DIM, "g": -2, "name": "", "odd": False}
        assert "COSINE can't compare" in space.table.refused(400, "vectors/insert", data=row)
    else:
        assert sorted(ids(space.table.search([0] * DIM, filter="g == -2"))) == [2001, 2002]
        expected = {2001: 0.0, 2002: pytest.approx(2e-30)} if space.metric == "IP" else {2001: 4.0, 2002: 4.0}
        assert {hit["id"]: hit["distance"] for hit in space.table.search(TWO, filter="g == -2")} == expected


def test_one_query_answers_a_flat_list_and_several_answer_lists(space, rng):
    """A list that holds one vector is one query."""
    queries = rng.normal(size=(3, DIM)).astype(np.float32)
    flat = [space.search(query, limit=4) for query in queries]
    assert space.search(queries[:1], limit=4) == flat[0]
    assert space.search(queries, limit=4) == flat
    assert space.search(queries, limit=2, offset=1) == [hits[1:3] for hits in flat]
    assert space.search(queries, where="id == 99999") == [[], [], []]
    assert space.search(queries[0], where="id == 99999") == []


def test_offset_turns_pages_without_gaps_or_repeats_and_limits_hold(space, rng):
    query = rng.normal(size=DIM)
    everything = space.search(query, limit=16_384)
    assert len(everything) == ROWS
    pages = [space.search(query, limit=30, offset=30 * page) for page in range(8)]
    assert [hit for page in pages for hit in page] == everything
    assert [len(page) for page in pages] == [30] * 6 + [20, 0]
    assert space.search(query, limit=1, offset=16_383) == []
    assert space.search(query) == everything[:100]  # without a limit
    assert space.search(query, limit=1) == everything[:1]


def test_output_fields_are_those_asked_for_and_a_star_is_all(space):
    row = {"id": 7, "v": space.stored[7].tolist(), "g": 2, "name": "n7", "odd": True}
    for asked, names in {
        (): {"id"},
        ("g",): {"id", "g"},
        ("id",): {"id"},
        ("v", "name"): {"id", "v", "name"},
        ("*",): row.keys(),
        ("*", "name", "name"): row.keys(),
    }.items():
        want = {name: pytest.approx(row[name]) if name == "v" else row[name] for name in names}
        (hit,) = space.search(space.stored[7], where="id == 7", outputFields=list(asked))
        assert hit.pop("distance") == pytest.approx(space.distances(space.stored[7])[7], abs=1e-5)
        assert hit == want
        assert space.table.query("id == 7", outputFields=list(asked)) == [want]
        assert space.table.ok("vectors/get", id=7, outputFields=list(asked)) == [want]
    (hit,) = space.search(space.stored[7], where="id == 7")
    assert hit.keys() == {"id", "distance"}
    for verb, what in (("vectors/query", {"filter": ALL}), ("vectors/get", {"id": 1})):
        message = space.table.refused(400, verb, outputFields=["nosuch"], **what)
        assert "no field 'nosuch' in this collection; it has: id, v, g, name, odd" in message


# Ranges ----------------------------------------------------------------------------------------------------------


def test_ranges_with_and_without_filters_find_what_numpy_finds(space, rng):
    for query in rng.normal(size=(3, DIM)).astype(np.float32):
        values = space.distances(query)
        ranked = np.sort(values)
        low, high = ((ranked[n] + ranked[n + 1]) / 2 for n in np.sort(rng.choice(ROWS - 1, 2, replace=False)))
        similar = space.metric in SIMILAR
        bounds = {"radius": low, "range_filter": high} if similar else {"range_filter": low, "radius": high}
        above, below = values > low, values < high
        keeps = {"radius": above if similar else below, "range_filter": below if similar else above}
        for names in ((), ("radius",), ("range_filter",), ("radius", "range_filter")):
            params = {name: float(bounds[name]) for name in names}
            for where, mask in (("g >= 0", np.ones(ROWS, bool)), ("g == 2", np.arange(ROWS) % GROUPS == 2)):
                for name in names:
                    mask = mask & keeps[name]
                want = [n for n in space.best_first(values) if mask[n]]
                hits = space.search(query, params, where=where, limit=30)
                assert ids(hits) == want[:30], (names, where)
                assert [hit["distance"] for hit in hits] == pytest.approx(values[want[:30]], abs=1e-5)
                assert ids(space.search(query, params, where=where, limit=20, offset=5)) == want[5:25]


def test_a_hit_at_the_bound_is_out_at_the_open_end_and_in_at_the_closed(space, rng):
    for query in rng.normal(size=(3, DIM)):
        every = space.search(query, limit=ROWS)
        for place in (1, 20, 100, ROWS - 2):
            bound = every[place]["distance"]
            assert space.search(query, {"radius": bound}, limit=ROWS) == every[:place]
            assert space.search(query, {"range_filter": bound}, limit=ROWS) == every[place:]


BOUNDS = {
    "COSINE": [
        ({"radius": 0}, [1001, 1002]),
        ({"radius": 0, "range_filter": 1}, [1001, 1002]),
        ({"range_filter": 0}, [1003, 1004]),
        ({"radius": -1}, [1001, 1002, 1003]),
        ({"radius": -1.5, "range_filter": 2}, [1001, 1002, 1003, 1004]),
        ({"range_filter": -1.5}, []),
        ({"radius": 1}, []),  # nothing is more similar than the same
        ({"range_filter": 1}, [1001, 1002, 1003, 1004]),
    ],
    "IP": [
        ({"radius": 2}, [1002]),
        ({"radius": 0, "range_filter": 2}, [1001]),
        ({"range_filter": 0}, [1003, 1004]),
        ({"radius": -4}, [1001, 1002, 1003]),
    ],
    "L2": [
        ({"radius": 5}, [1001, 1002]),
        ({"radius": 5.5, "range_filter": 1}, [1001, 1002, 1003]),
        ({"range_filter": 5}, [1003, 1004]),
        ({"radius": 1}, []),
        ({"radius": 0}, []),
    ],
}


def test_bounds_that_are_whole_numbers_hold_exactly(space):
    for params, found in BOUNDS[space.metric]:
        assert sorted(ids(space.table.search(TWO, params, filter="g == -1"))) == found, params


def test_a_range_turned_round_is_refused_with_the_rule(space):
    similar = space.metric in SIMILAR
    rule = "radius < distance <= range_filter" if similar else "range_filter <= distance < radius"
    for radius, range_filter in ((1, 1), (2, 1) if similar else (1, 2)):
        params = {"params": {"radius": radius, "range_filter": range_filter}}
        message = space.table.refused(400, "vectors/search", data=TWO, annsField="v", searchParams=params)
        assert message == f"no distance is in this range: {space.metric} keeps {rule}"


# Groups ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["g", "odd", "name"])
def test_a_grouping_field_leaves_the_best_of_each_group(space, rng, field):
    queries = rng.normal(size=(2, DIM)).astype(np.float32)
    answers = []
    for query in queries:
        best: dict = {}
        for hit in space.search(query, limit=ROWS, outputFields=["g", "odd", "name"]):
            best.setdefault(hit[field], hit)
        want = list(best.values())[:6]
        assert space.search(query, limit=6, groupingField=field, outputFields=["g", "odd", "name"]) == want
        assert (
            space.search(query, limit=2, offset=1, groupingField=field, outputFields=["g", "odd", "name"]) == want[1:3]
        )
        answers.append([{"distance": hit["distance"], "id": hit["id"]} for hit in want])
    assert space.search(queries, limit=6, groupingField=field) == answers


def test_a_group_larger_than_a_search_may_return_hides_no_other_group(make):
    table = make(
        **body(column("odd", "Bool"), column("g", "Int8"), column("s", "VarChar", max_length=9), by=index("L2"))
    )
    near = 16_384  # the most hits that a search answers; as many rows are nearer than the first of another group
    groups = {0: (False, -1, "it's"), near: (True, 2, '"'), near + 1: (True, 3, "\\")}
    group: tuple = ()
    rows = []
    for n in range(near + 2):
        group = groups.get(n, group)
        rows.append({"id": n, "v": [n / near, 0], "odd": group[0], "g": group[1], "s": group[2]})
    table.insert(*rows)
    for field, found in (("odd", [0, near]), ("g", [0, near, near + 1]), ("s", [0, near, near + 1])):
        assert ids(table.search([0, 0], groupingField=field, limit=9)) == found
    assert ids(table.search([0, 0], groupingField="g", limit=2, filter=f"id != {near}")) == [0, near + 1]


# Hybrid searches -------------------------------------------------------------------------------------------------


def merged(found: list[list[dict]], score: object) -> list[tuple[int, float]]:
    """Return keys and scores, best first; `score` takes the search's number, the rank from 1 and the distance."""
    scores: dict[int, float] = {}
    for number, hits in enumerate(found):
        for rank, hit in enumerate(hits, start=1):
            scores[hit["id"]] = scores.get(hit["id"], 0) + score(number, rank, hit["distance"])
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


def parts_of(space: Space, rng: np.random.Generator) -> tuple[list[dict], list[list[dict]]]:
    """Return three searches as they stand in a hybrid search, and what each finds alone."""
    first, second, third = rng.normal(size=(3, DIM)).astype(np.float32)
    parts = [
        {"data": first.tolist(), "annsField": "v", "limit": 12, "filter": "g >= 0"},
        {"data": [second.tolist()], "annsField": "v", "limit": 8, "filter": "g in [1, 2]", "metricType": space.metric},
        {"data": third.tolist(), "annsField": "v", "limit": 3, "offset": 2, "groupingField": "g", "filter": "g >= 0"},
    ]
    alone = [
        space.search(first, limit=12),
        space.search(second, where="g in [1, 2]", limit=8),
        space.search(third, limit=3, offset=2, groupingField="g"),
    ]
    return parts, alone


@pytest.mark.parametrize("k", [None, 1, 10.5])
def test_rrf_adds_up_one_over_k_plus_rank(space, rng, k):
    parts, alone = parts_of(space, rng)
    want = merged(alone, lambda number, rank, distance: 1 / ((k or 60) + rank))
    rerank = {"strategy": "rrf", **({"params": {"k": k}} if k else {})}
    hits = space.table.ok("vectors/hybrid_search", search=parts, rerank=rerank, outputFields=["name"])
    assert ids(hits) == [key for key, _ in want][:12]  # the largest of the limits
    assert [hit["distance"] for hit in hits] == pytest.approx([score for _, score in want][:12])
    assert all(hit["name"] == f"n{hit['id']}" for hit in hits)


def test_weighted_adds_up_weights_times_distances_brought_between_0_and_1(space, rng):
    between = {
        "COSINE": lambda d: (1 + d) / 2,
        "IP": lambda d: 0.5 + math.atan(d) / math.pi,
        "L2": lambda d: 1 - 2 * math.atan(d) / math.pi,
    }[space.metric]
    parts, alone = parts_of(space, rng)
    for weights in ([0.7, 0.2, 1.0], [0.0, 1.0, 0.5]):
        want = merged(alone, lambda number, rank, distance, w=weights: w[number] * between(distance))
        rerank = {"strategy": "weighted", "params": {"weights": weights}}
        hits = space.table.ok("vectors/hybrid_search", search=parts, rerank=rerank)
        assert [hit["distance"] for hit in hits] == pytest.approx([score for _, score in want][:12], abs=1e-6)
        if all(weights):  # where one is 0, the order of the rows that only its search found is open
            assert ids(hits) == [key for key, _ in want][:12]
        assert all(hit.keys() == {"id", "distance"} for hit in hits)


def test_each_search_of_a_hybrid_search_keeps_its_own_range(space, rng):
    query = rng.normal(size=DIM).astype(np.float32)
    alone = space.search(query, limit=20)
    bound = (alone[4]["distance"] + alone[5]["distance"]) / 2
    part = {"data": query.tolist(), "annsField": "v", "filter": "g >= 0", "params": {"radius": bound}}
    part["ignoreGrowing"] = False
    hits = space.table.ok("vectors/hybrid_search", search=[part], rerank={"strategy": "rrf"})
    assert ids(hits) == ids(alone[:5])
