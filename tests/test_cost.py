import time
from pathlib import Path

import numpy as np
import pytest

from helpers.cost import Measured, blame, disk_bytes, measure, show_blame, show_curves, spending, wait_for_index
from helpers.memora import Memora
from helpers.memora.models import Collection, ElementTypeParams, Field, Index, IndexConfig, Schema
from helpers.metrics import rank

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


def test_exact_search_has_recall_one_and_few_lists_lose_what_all_lists_find(client, store, rng):
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


def test_each_query_is_timed_alone_and_the_warming_up_is_not_counted():
    calls = []

    def search(query):
        calls.append(query)
        time.sleep(0.2 if len(calls) == 1 else 0.002)
        return [1] if len(calls) % 2 else [1, 2]

    measured = measure(search, np.zeros((4, 3)), [[1, 2]] * 4)
    assert len(calls) == 5
    assert 2 <= measured.p50 < 200
    assert measured.recall == 0.75 and measured.hits == 1.5
    assert str(measured).startswith("recall 0.75, p50 ")


def test_spending_tells_the_bytes_that_files_grew_by(tmp_path: Path):
    (tmp_path / "before").write_bytes(bytes(100))
    with spending(tmp_path) as spent:
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "after").write_bytes(bytes(2_000_000))
    assert spent.disk == 2_000_000 and 0 < spent.seconds < 60
    assert str(spent).endswith(" s, 2.0 MB more on disk")
    assert disk_bytes(tmp_path) == 2_000_100
    assert disk_bytes(tmp_path / "missing") == 0


def test_waiting_for_an_index_that_no_row_reaches_ends_in_a_sentence(client, store):
    index = Index("COSINE", "vector", "i", IndexConfig("IVF_FLAT", nlist=5_000))  # more lists than rows
    client.indexes.create(collection_name="c", index_params=[index])
    with pytest.raises(TimeoutError, match="3000 rows of 'c' are still in no index"):
        wait_for_index(client, "c", "i", seconds=0.3)


KINDS = np.array(["mug", "mug", "mug", "vase", "vase"])


def test_a_wrong_hit_is_blamed_on_the_embedding_only_where_exact_search_finds_it_too():
    told = blame([[0, 2, 3, 4], [3]], [[0, 1, 3], [3, 4]], KINDS, ["mug", "vase"])
    # query 1: 0 right, 2 right instead of 1, 3 wrong in both, 4 wrong by the index; query 2: 3 right, one missing
    assert [told.right, told.right_instead, told.embedding, told.index] == pytest.approx([2 / 5, 1 / 5, 1 / 5, 1 / 5])
    told = blame([[0, 1, 3], [3]], [[0, 1, 3], [3, 4]], KINDS, ["mug", "vase"])
    assert [told.right, told.embedding, told.missing] == pytest.approx([3 / 5, 1 / 5, 1 / 5])
    assert told.recall == pytest.approx(4 / 5) and told.precision == pytest.approx(3 / 5)


def test_the_bars_say_what_the_lines_say(capsys):
    row = blame([[0, 3], [3]], [[0, 1], [3, 4]], KINDS, ["mug", "vase"])
    figure = show_blame({"nprobe 1": row})
    widths = [patch.get_width() for patch in figure.axes[0].patches]
    assert widths == pytest.approx([row.right, row.right_instead, row.embedding, row.index, row.missing])
    assert sum(widths) == pytest.approx(1)
    assert capsys.readouterr().out.startswith("nprobe 1: recall 0.50, right 0.50, ")
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
