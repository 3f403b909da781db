from pathlib import Path

import numpy as np
import pytest

from helpers.indexing.charts import show_blame, show_curves
from helpers.indexing.measure import (
    Measured,
    blame,
    disk_bytes,
    measure,
    spending,
    wait_for_index,
)
from helpers.memora import Memora
from helpers.memora.models import Collection, ElementTypeParams, Field, Index, IndexConfig, Schema
from helpers.nearest import rank
from helpers.quality.metrics import index_recall

SCHEMA = Schema(
    [
        Field("id", "Int64", is_primary=True),
        Field("vector", "FloatVector", element_type_params=ElementTypeParams(dim=16)),
    ]
)


@pytest.fixture
def store(client: Memora, rng: np.random.Generator) -> np.ndarray:
    vectors = rng.normal(size=(3_000, 16)).astype(np.float32)
    client.collections.create(collection=Collection("c", schema=SCHEMA))
    client.vectors.insert(collection_name="c", data=[{"id": n, "vector": v} for n, v in enumerate(vectors)])
    return vectors


def searching(client: Memora, **params):
    def search(query):
        found = client.vectors.search(
            collection_name="c", data=query, anns_field="vector", limit=10, search_params={"params": params}
        )
        return [hit["id"] for hit in found["data"]]

    return search


def test_exact_search_has_recall_1_and_few_lists_lose_some(client, store, rng):
    queries = rng.normal(size=(20, 16)).astype(np.float32)
    exact = rank(queries, store)[:, :10].tolist()
    flat = measure(searching(client), queries, exact)
    assert flat.recall == 1 and flat.hits == 10 and flat.ids == exact
    assert 0 < flat.p50 <= flat.p95
    index = Index("COSINE", "vector", "i", IndexConfig("IVF_FLAT", nlist=50))
    client.indexes.create(collection_name="c", index_params=[index])
    wait_for_index(client, "c", "i")
    one, every = (measure(searching(client, nprobe=nprobe), queries, exact) for nprobe in (1, 50))
    assert one.recall < 0.9 and every.recall == 1


def test_each_query_is_timed_alone_and_the_warming_up_is_not_counted(clock):
    calls = []

    def search(query):
        calls.append(query)
        clock[0] += 1 if len(calls) == 1 else 0.002
        return [1] if len(calls) % 2 else [1, 2]

    measured = measure(search, np.zeros((4, 3)), [[1, 2]] * 4)
    assert len(calls) == 5
    assert measured.p50 == pytest.approx(2) == measured.p95
    assert measured.recall == 0.75 and measured.hits == 1.5
    assert str(measured).startswith("recall 0.75, p50 ")


def test_spending_tells_the_time_and_the_bytes_that_files_grew_by(tmp_path: Path, clock):
    (tmp_path / "before").write_bytes(bytes(100))
    with spending(tmp_path) as spent:
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "after").write_bytes(bytes(2_000_000))
        clock[0] += 3
    assert spent.disk == 2_000_000 and spent.seconds == 3
    assert str(spent).endswith(" s, 2.0 MB more on disk")
    assert disk_bytes(tmp_path) == 2_000_100
    assert disk_bytes(tmp_path / "missing") == 0


def test_waiting_for_an_index_that_no_row_reaches_ends_in_a_sentence(client, store):
    index = Index("COSINE", "vector", "i", IndexConfig("IVF_FLAT", nlist=5_000))  # more lists than rows
    client.indexes.create(collection_name="c", index_params=[index])
    with pytest.raises(TimeoutError, match="3000 rows of 'c' are still in no index"):
        wait_for_index(client, "c", "i", seconds=0.3)
    with pytest.raises(TimeoutError, match="after 0 s"):
        wait_for_index(client, "c", "i", seconds=0)


def test_an_index_that_is_ready_is_not_waited_for(client, store):
    index = Index("COSINE", "vector", "i", IndexConfig("IVF_FLAT", nlist=50))
    client.indexes.create(collection_name="c", index_params=[index])
    wait_for_index(client, "c", "i")
    wait_for_index(client, "c", "i", seconds=0)


KINDS = np.array(["mug", "mug", "mug", "vase", "vase"])


def test_the_embedding_is_blamed_only_for_what_exact_search_finds():
    told = blame([[0, 2, 3, 4], [3]], [[0, 1, 3, 5], [3, 4]], KINDS, ["mug", "vase"])
    # query 1: 0 right, 2 right instead of 1, 3 wrong in both, 4 wrong by the index; query 2: 3 right, one missing
    parts = [told.right, told.right_instead, told.embedding, told.index, told.missing]
    assert parts == pytest.approx([2 / 6, 1 / 6, 1 / 6, 1 / 6, 1 / 6])
    told = blame([[0, 1, 3], [3]], [[0, 1, 3], [3, 4]], KINDS, ["mug", "vase"])
    assert [told.right, told.embedding, told.missing] == pytest.approx([3 / 5, 1 / 5, 1 / 5])
    assert told.recall == pytest.approx(4 / 5) and told.precision == pytest.approx(3 / 5)


def test_the_five_parts_add_up_to_one_and_recall_stays_the_same(rng):
    kinds = rng.choice(["mug", "vase", "bucket"], size=40)
    for _ in range(50):
        exact = [rng.permutation(40)[:10].tolist() for _ in range(6)]
        found = [rng.permutation(ids + list(range(20)))[: rng.integers(11)].tolist() for ids in exact]
        found = [list(dict.fromkeys(ids)) for ids in found]
        told = blame(found, exact, kinds, rng.choice(kinds, size=6))
        parts = [told.right, told.right_instead, told.embedding, told.index, told.missing]
        assert min(parts) >= 0 and sum(parts) == pytest.approx(1)
        assert told.recall == pytest.approx(index_recall(found, exact).mean())
    perfect = blame(exact, exact, kinds, rng.choice(kinds, size=6))
    assert perfect.right_instead == perfect.index == perfect.missing == 0 and perfect.recall == pytest.approx(1)


def test_more_hits_than_wanted_are_refused():
    """They would make a part negative."""
    with pytest.raises(ValueError, match="query 1 has 3 hits, 2 were wanted"):
        blame([[0, 3], [0, 1, 2]], [[0, 1], [0, 1]], KINDS, ["mug", "mug"])


def test_the_bars_say_what_the_lines_say(capsys):
    row = blame([[0, 3], [3]], [[0, 1], [3, 4]], KINDS, ["mug", "vase"])
    figure = show_blame({"nprobe 1": row})
    widths = [patch.get_width() for patch in figure.axes[0].patches]
    assert widths == pytest.approx([row.right, row.right_instead, row.embedding, row.index, row.missing])
    assert sum(widths) == pytest.approx(1)
    begins = [patch.get_x() for patch in figure.axes[0].patches]
    assert begins == pytest.approx(np.cumsum([0, *widths[:-1]]))  # each where the one before ends
    said = "recall 0.50; of all hits right 0.50, wrong by the embedding 0.00, wrong by the index 0.25, missing 0.25"
    assert capsys.readouterr().out == f"nprobe 1: {said}\n"
    hatches = {patch.get_hatch() or patch.get_facecolor() for patch in figure.axes[0].patches}
    assert len(hatches) == 5  # told apart by more than hue


def test_the_curves_have_a_point_for_each_setting_in_both_pictures(capsys):
    points = [(1, Measured(0.5, 2.0, 3.0, 10, [])), (8, Measured(0.96, 4.0, 5.0, 10, []))]
    figure = show_curves({"IVF_FLAT": points}, exact=Measured(1, 80.0, 90.0, 10, []))
    by_setting, by_time = figure.axes
    assert by_setting.lines[0].get_xydata().tolist() == [[1, 0.5], [8, 0.96]]
    assert by_time.lines[0].get_xydata().tolist() == [[2.0, 0.5], [4.0, 0.96]]
    assert by_time.lines[1].get_xydata().tolist() == [[80.0, 1]]
    assert capsys.readouterr().out == "IVF_FLAT: recall 0.50 at 1, 0.96 at 8\n"


def test_every_index_has_a_line_of_its_own_however_many_there_are(capsys):
    curves = {f"index {n}": [(1, Measured(n / 10, 1.0 + n, 9.0, 10, []))] for n in range(6)}
    figure = show_curves(curves)
    assert [line.get_label() for line in figure.axes[0].lines] == list(curves)
    assert [line.get_ydata()[0] for line in figure.axes[1].lines] == pytest.approx([n / 10 for n in range(6)])
    assert len(capsys.readouterr().out.splitlines()) == 6


@pytest.mark.parametrize("times", [(0.2, 0.4), (1.0, 80.0), (5.6, 8.8), (7.01, 7.02), (3_000.0, 9_000.0)])
def test_times_can_be_read_off_the_axis_however_fast_the_machine(times):
    figure = show_curves({"HNSW": [(n, Measured(0.9, ms, ms, 10, [])) for n, ms in enumerate(times, start=1)]})
    figure.canvas.draw()
    axis = figure.axes[1]
    low, high = axis.get_xlim()
    ticks = {tick.get_text(): place for tick, place in zip(axis.get_xticklabels(), axis.get_xticks(), strict=True)}
    assert len(ticks) >= 2
    for text, place in ticks.items():
        assert low <= place <= high and float(text) == pytest.approx(place)


@pytest.mark.parametrize("least", [0.44, 0.83, 0.97, 0.995])
def test_recall_can_be_read_off_the_axis_where_all_are_near_1(least):
    """Steps of 0.025, written with two digits, once showed 0.98 where 0.975 was."""
    figure = show_curves({"HNSW": [(1, Measured(least, 1.0, 2.0, 10, [])), (2, Measured(1.0, 2.0, 3.0, 10, []))]})
    figure.canvas.draw()
    axis = figure.axes[0]
    ticks = zip(axis.get_yticklabels(), axis.get_yticks(), strict=True)
    assert all(float(tick.get_text()) == pytest.approx(place, abs=1e-9) for tick, place in ticks)
