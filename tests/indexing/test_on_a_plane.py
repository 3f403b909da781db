import re
from itertools import pairwise

import numpy as np
import pytest

from helpers.indexing import Flat, Hnsw, Ivf, show_flat, show_hnsw, show_ivf


@pytest.fixture(scope="module")
def plane() -> np.ndarray:
    """Return the points of notebook 07."""
    rng = np.random.default_rng(5)
    groups = rng.uniform(0, 10, size=(25, 2))
    return np.repeat(groups, 12, axis=0) + rng.normal(scale=0.75, size=(300, 2))


@pytest.fixture(scope="module")
def graph(plane) -> Hnsw:
    return Hnsw(plane, m=6, ef_construction=24, seed=2)


QUERY = np.array([4.4, 3.8])
QUERIES = np.random.default_rng(1).uniform(0, 10, size=(60, 2))


def nearest(points, query, k):
    return np.linalg.norm(points - query, axis=1).argsort()[:k].tolist()


def test_flat_compares_everything_and_is_exact(plane):
    for query in QUERIES:
        visit = Flat(plane).search(query, 5)
        assert visit.found == nearest(plane, query, 5)
        assert visit.comparisons == len(plane)


def test_every_point_is_in_the_one_list_whose_center_is_nearest(plane):
    index = Ivf(plane, 16)
    assert sorted(point for points in index.lists for point in points) == list(range(300))
    for number, points in enumerate(index.lists):
        for point in points:
            assert nearest(index.centers, plane[point], 1) == [number]


def test_all_lists_searched_are_exact_and_the_centers_count_too(plane):
    index = Ivf(plane, 16)
    for query in QUERIES:
        visit = index.search(query, 5, nprobe=16)
        assert visit.found == nearest(plane, query, 5)
        assert visit.comparisons == 16 + 300


def test_an_inverted_file_finds_the_nearest_of_what_it_compared(plane):
    index = Ivf(plane, 16)
    for query in QUERIES:
        visit = index.search(query, 5, nprobe=2)
        assert visit.lists == nearest(index.centers, query, 2)
        assert sorted(visit.compared) == sorted(index.lists[visit.lists[0]] + index.lists[visit.lists[1]])
        among = np.array(visit.compared)
        assert visit.found == among[nearest(plane[among], query, 5)].tolist()


def test_the_lesson_s_query_loses_hits_with_one_list_and_none_with_three(plane):
    index, truth = Ivf(plane, 16), set(nearest(plane, QUERY, 5))
    assert len(truth & set(index.search(QUERY, 5, 1).found)) < 5
    assert truth == set(index.search(QUERY, 5, 3).found)


@pytest.mark.parametrize(("nlist", "nprobe"), [(0, 1), (301, 1), (16, 0), (16, 17)])
def test_numbers_of_lists_that_make_no_sense_are_told_with_what_is_allowed(plane, nlist, nprobe):
    with pytest.raises(ValueError, match=r"allowed: 1 to (300|16)"):
        Ivf(plane, nlist).search(QUERY, 5, nprobe)


@pytest.mark.parametrize("m", [6, 2])  # in a plane few points need more than six links: two are a limit
def test_the_graph_keeps_the_paper_s_promises_on_layers_and_links(plane, m):
    graph = Hnsw(plane, m=m, ef_construction=24, seed=2)
    assert set(graph.layers[0]) == set(range(300))
    for number, links in enumerate(graph.layers):
        if number:
            assert set(links) < set(graph.layers[number - 1])
        for point, others in links.items():
            assert point not in others and set(others) <= set(links)
            assert len(others) == len(set(others)) <= (m if number else 2 * m)
    assert graph.entry in graph.layers[-1]


def test_every_step_comes_nearer_and_the_last_is_the_nearest_found(plane, graph):
    for query in QUERIES:
        visit = graph.search(query, 5, ef=8)
        assert len(visit.walks) == len(graph.layers) and visit.walks[0][0] == graph.entry
        steps = [point for walk in visit.walks for point in walk]
        distances = [np.linalg.norm(plane[point] - query) for point in steps]
        assert all(one >= other for one, other in pairwise(distances))
        assert set(steps) <= set(visit.compared)
        assert len(visit.compared) == len(set(visit.compared)) == visit.comparisons
        for above, below in pairwise(visit.walks):
            assert below[0] == above[-1]
        assert visit.walks[-1][-1] == visit.found[0]


def test_every_step_of_the_walk_follows_a_link(graph):
    for query in QUERIES:
        visit = graph.search(query, 5, ef=8)
        for number, walk in zip(range(len(graph.layers) - 1, -1, -1), visit.walks, strict=True):
            links = graph.layers[number]
            for one, other in pairwise(walk):  # in layer 0 it may lead over a point that was compared, too
                ways = [one] if number else [point for point in visit.compared if point in links]
                assert any(other in links[point] for point in ways)


@pytest.mark.parametrize(("m", "ef_construction"), [(6, 24), (4, 8), (3, 5)])
def test_a_larger_ef_never_finds_fewer_of_these_queries_nearest(plane, m, ef_construction):
    graph = Hnsw(plane, m=m, ef_construction=ef_construction, seed=2)
    truth = [set(nearest(plane, query, 5)) for query in QUERIES]
    recalls = []
    for ef in (5, 8, 16, 64):
        found = [graph.search(query, 5, ef).found for query in QUERIES]
        recalls.append(np.mean([len(set(ids) & wanted) / 5 for ids, wanted in zip(found, truth, strict=True)]))
    assert recalls == sorted(recalls)
    if m < 6:
        assert recalls[0] < recalls[-1]  # few links lose something: there is something to see


def test_the_same_seed_draws_the_same_graph_and_another_seed_another_one(plane, graph):
    again, other = (Hnsw(plane, m=6, ef_construction=24, seed=seed) for seed in (2, 3))
    assert again.layers == graph.layers and again.entry == graph.entry
    assert [set(layer) for layer in other.layers] != [set(layer) for layer in graph.layers]
    assert again.search(QUERY, 5, 8) == graph.search(QUERY, 5, 8)
    assert Ivf(plane, 16).lists == Ivf(plane, 16).lists


def test_a_graph_compares_few_points_and_more_with_a_larger_ef(plane, graph):
    visit = graph.search(QUERY, 5, ef=8)
    assert visit.found == nearest(plane, QUERY, 5)
    assert visit.comparisons < 100
    everything = [graph.search(query, 5, ef=300) for query in QUERIES]
    assert [visit.found for visit in everything] == [nearest(plane, query, 5) for query in QUERIES]
    assert all(visit.comparisons == 300 for visit in everything)  # every point can be reached
    few = np.mean([graph.search(query, 5, ef=5).comparisons for query in QUERIES])
    assert few < np.mean([graph.search(query, 5, ef=32).comparisons for query in QUERIES])


def test_a_graph_of_one_point_and_of_equal_points_can_be_searched():
    assert Hnsw(np.zeros((1, 2))).search(QUERY, 5, 8).found == [0]
    assert len(Hnsw(np.ones((20, 2))).search(QUERY, 3, 20).found) >= 1
    with pytest.raises(ValueError, match="2 links or more"):
        Hnsw(np.zeros((3, 2)), m=1)


def test_pictures_mark_as_many_points_as_the_line_of_text_says(plane, graph, capsys):
    index = Ivf(plane, 16)
    figures = [
        (show_flat(Flat(plane), QUERY), [Flat(plane).search(QUERY, 5)]),
        (show_ivf(index, QUERY, nprobes=(1, 3)), [index.search(QUERY, 5, nprobe) for nprobe in (1, 3)]),
        (show_hnsw(graph, QUERY, ef=8), [graph.search(QUERY, 5, 8)]),
    ]
    lines = iter(capsys.readouterr().out.splitlines())
    for figure, visits in figures:
        for axis, visit in zip(reversed(figure.axes), reversed(visits), strict=False):
            marks = {drawn.get_label(): len(drawn.get_offsets()) for drawn in axis.collections}
            assert marks["compared"] == len(visit.compared)
            assert marks.get("nearest, found", 0) + marks.get("nearest, lost", 0) == 5
        for visit in visits:
            line = next(lines)
            assert f"{len(visit.compared)} of 300 points compared" in line
            assert f"{len(set(visit.found) & set(nearest(plane, QUERY, 5)))} of the 5 nearest found" in line


def test_the_cells_that_are_shaded_are_the_lists_that_were_searched(plane):
    index = Ivf(plane, 16)
    (axis,) = show_ivf(index, QUERY, nprobes=(3,)).axes
    shaded = [patch for patch in axis.patches if patch.get_facecolor() != (1, 1, 1, 1)]
    assert len(axis.patches) == 16 and len(shaded) == 3
    searched = set(index.search(QUERY, 5, 3).compared)
    inside = {n for n, point in enumerate(plane) if any(patch.get_path().contains_point(point) for patch in shaded)}
    assert inside == searched


def test_the_walk_in_the_picture_is_the_walk_of_the_search(plane, graph):
    figure, visit = show_hnsw(graph, QUERY, ef=8), graph.search(QUERY, 5, 8)
    for axis, walk in zip(figure.axes, visit.walks, strict=True):
        (line,) = axis.lines
        assert np.array_equal(line.get_xydata(), plane[walk])
        assert re.search(rf" {len(walk) - 1} steps$", axis.get_title())
