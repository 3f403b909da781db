"""The measures, against torchmetrics, scikit-learn and scipy, and worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import average_precision_score
from sklearn.metrics.pairwise import cosine_similarity, euclidean_distances
from sklearn.neighbors import KNeighborsClassifier

from helpers.nearest import rank
from helpers.quality.factors import shared_with_nearest
from helpers.quality.metrics import (
    Interval,
    average_precision,
    bootstrap_interval,
    index_recall,
    knn_accuracy,
    precision_at_k,
    quality,
    recall_at_k,
    table,
    wilson_interval,
)

ONE = np.array([[True, False, True, False, False]])  # two of three relevant images found, at ranks 1 and 3


def test_the_example_that_the_notebook_works_out_by_hand() -> None:
    assert precision_at_k(ONE, 5) == pytest.approx([2 / 5])
    assert recall_at_k(ONE, 3, 5) == pytest.approx([2 / 3])
    assert average_precision(ONE, 3) == pytest.approx([(1 / 1 + 2 / 3) / 3])


def test_a_relevant_image_that_was_not_found_lowers_average_precision() -> None:
    assert average_precision(ONE[:, :1], 1) == pytest.approx([1.0])
    assert average_precision(ONE[:, :1], 3) == pytest.approx([1 / 3])  # dividing by those found would give 1


def test_hits_that_a_filter_left_out_count_as_wrong_ones() -> None:
    assert precision_at_k(ONE[:, :1], 5) == pytest.approx([1 / 5])
    assert precision_at_k(np.zeros((2, 0), bool), 5) == pytest.approx([0, 0])
    assert average_precision(np.zeros((2, 0), bool), 4) == pytest.approx([0, 0])


whole_rankings = st.lists(st.booleans(), min_size=1, max_size=40).filter(any)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(whole_rankings, st.integers(1, 45))
def test_measures_of_a_ranking_equal_torchmetrics_and_scikit_learn(ranking: list[bool], k: int) -> None:
    import torch
    from torchmetrics.functional import retrieval  # seconds

    relevant, total = np.array([ranking]), sum(ranking)
    scores = torch.linspace(1, 0.1, len(ranking))
    target = torch.tensor(ranking)
    assert precision_at_k(relevant, k)[0] == pytest.approx(
        retrieval.retrieval_precision(scores, target, top_k=k).item()
    )
    assert recall_at_k(relevant, total, k)[0] == pytest.approx(
        retrieval.retrieval_recall(scores, target, top_k=k).item()
    )
    found = average_precision(relevant, total)[0]
    assert found == pytest.approx(retrieval.retrieval_average_precision(scores, target).item())
    assert found == pytest.approx(average_precision_score(ranking, scores.numpy()))


@settings(derandomize=True, max_examples=100, deadline=None)
@given(whole_rankings, st.integers(1, 40))
def test_a_search_that_stops_early_is_never_better_for_it(ranking: list[bool], stop: int) -> None:
    relevant, total = np.array([ranking]), sum(ranking)
    assert average_precision(relevant[:, :stop], total) <= average_precision(relevant, total) + 1e-12


def test_many_queries_are_measured_each_on_its_own(rng: np.random.Generator) -> None:
    relevant = rng.random((20, 30)) < 0.3
    total = relevant.sum(1) + rng.integers(1, 5, size=20)
    one_by_one = [average_precision(row[None], int(n))[0] for row, n in zip(relevant, total, strict=True)]
    assert average_precision(relevant, total) == pytest.approx(one_by_one)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: average_precision(ONE, 0), "Query 0 has no relevant image"),
        (lambda: recall_at_k(np.vstack([ONE, ONE]), np.array([3, 0]), 5), "Query 1 has no relevant image"),
        (lambda: average_precision(ONE, 1), "2 relevant hits, but its total is 1"),
        (lambda: precision_at_k(ONE, 0), "k is 0"),
        (lambda: precision_at_k(ONE[0], 5), r"shape \(5,\)"),
        (lambda: average_precision(np.array([[0.9, 0.8]]), 2), "float64"),
        (lambda: knn_accuracy(np.array([["a"]]), ["a"], 2), "at least k"),
        (lambda: rank(np.eye(2), np.eye(2), "cosine"), "'COSINE', 'IP', 'L2'"),
        (lambda: bootstrap_interval([]), "at least one"),
        (lambda: bootstrap_interval([1, 0], ["a"]), "needs its group"),
    ],
)
def test_what_can_not_be_measured_is_refused_and_says_why(call, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        call()


def test_the_majority_of_k_decides_and_the_nearest_breaks_a_tie() -> None:
    found = np.array([["mug", "vase", "vase"], ["mug", "vase", "lamp"]])
    assert knn_accuracy(found, ["vase", "mug"], 3).tolist() == [1, 1]
    assert knn_accuracy(found, ["vase", "vase"], 1).tolist() == [0, 0]
    assert knn_accuracy(found, ["mug", "mug"], 2).tolist() == [1, 1]


def test_knn_accuracy_is_scikit_learn_s(rng: np.random.Generator) -> None:
    collection, queries = rng.normal(size=(200, 3)), rng.normal(size=(100, 3))
    labels, asked = rng.integers(2, size=200), rng.integers(2, size=100)
    for k in (1, 3, 7):  # two labels and an odd k: no ties, which scikit-learn breaks in another way
        model = KNeighborsClassifier(k).fit(collection, labels)
        found = labels[rank(queries, collection, "L2")]
        assert knn_accuracy(found, asked, k).mean() == pytest.approx(model.score(queries, asked))


def test_rankings_are_those_of_scikit_learn_s_similarities(rng: np.random.Generator) -> None:
    queries, collection = rng.normal(size=(5, 8)), rng.normal(size=(50, 8))
    for metric, near in {
        "COSINE": cosine_similarity(queries, collection),
        "IP": queries @ collection.T,
        "L2": -euclidean_distances(queries, collection),
    }.items():
        assert (rank(queries, collection, metric) == np.argsort(-near, axis=1)).all(), metric


def test_a_picture_whose_vector_is_all_zeros_is_ranked_and_not_a_warning() -> None:
    assert rank(np.ones((1, 2)), np.array([[0.0, 0.0], [1.0, 1.0]])).tolist() == [[1, 0]]


def test_recall_of_an_index_counts_the_truly_nearest_whatever_their_order() -> None:
    exact = [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert index_recall(exact, exact).tolist() == [1, 1]
    assert index_recall([[4, 3, 9, 10], []], exact).tolist() == [0.5, 0]
    assert index_recall(np.array([[1, 2], [3, 9]]), np.array([[2, 1], [3, 4]])).tolist() == [1, 0.5]
    for wrong in ([[1]], [[1], []]):
        with pytest.raises(ValueError, match=f"2 answers and {len(wrong)} exact answers"):
            index_recall(exact, wrong)


def test_the_interval_is_scipy_s_percentile_bootstrap(rng: np.random.Generator) -> None:
    values = rng.random(56) ** 0.3
    ours = bootstrap_interval(values)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", rng=1).confidence_interval
    assert ours.mean == values.mean()
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.005)
    assert ours == bootstrap_interval(values)  # the same figures for everyone


def test_queries_that_belong_together_widen_the_interval() -> None:
    values = np.repeat([0.2, 0.9, 1.0, 0.4, 0.8, 0.6], 10)
    alone, together = bootstrap_interval(values), bootstrap_interval(values, np.repeat(list("abcdef"), 10))
    assert together.high - together.low > 2 * (alone.high - alone.low)
    six = bootstrap_interval(values[::10])  # copies of a query bring nothing new
    assert (together.low, together.high) == pytest.approx((six.low, six.high), abs=0.01)


def test_about_95_in_100_intervals_hold_the_truth(rng: np.random.Generator) -> None:
    samples = rng.beta(2, 1, size=(400, 56))  # of mean 2/3
    intervals = [bootstrap_interval(sample, draws=1_000) for sample in samples]
    assert 0.90 < np.mean([one.low <= 2 / 3 <= one.high for one in intervals]) < 0.98


def test_a_row_of_the_table_says_each_measure_with_its_interval() -> None:
    relevant = np.array([[True, True, False, False, False, True], [False, False, False, False, False, True]])
    row = quality("hash", relevant, np.array([3, 2]))
    assert row.p1 == Interval(0.5, 0, 1)
    assert row.p5.mean == pytest.approx(0.2)
    assert row.recall.mean == pytest.approx((1 + 1 / 2) / 2)
    assert row.map.mean == pytest.approx(((1 + 1 + 3 / 6) / 3 + (1 / 6) / 2) / 2)
    heading, line = table([row]).splitlines()
    assert heading.split() == ["P@1", "P@5", "recall@20", "mAP"]
    assert line.startswith("hash ") and "0.50 [0.00, 1.00]" in line
    assert heading.index("mAP") == line.index(f"{row.map}")


def test_a_factor_is_told_apart_from_what_comes_with_the_category() -> None:
    # Two groups of things in a plane; x says which thing, y which background. Fruit is always yellow.
    kinds = ["fruit"] * 4 + ["tool"] * 4 + ["toy"] * 4
    grounds = ["wood", "wood", "sky", "sky"] * 3
    colors = ["yellow"] * 4 + ["red", "blue", "red", "blue"] * 2
    vectors = np.array([[float(ground == "wood"), float(ground == "sky"), 0.0] for ground in grounds])
    vectors += np.eye(3)[[["fruit", "tool", "toy"].index(kind) for kind in kinds]] * 0.1
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ground = shared_with_nearest(vectors, grounds, kinds)
    assert (ground.share, ground.chance, ground.matched) == pytest.approx((1, 0.5, 0.5))
    color = shared_with_nearest(vectors, colors, kinds)
    assert color.share <= 0.5
    itself = shared_with_nearest(vectors, kinds)  # without groups: the nearest of all others
    assert itself.share == 1 and itself.chance == pytest.approx(3 / 11)


def test_by_chance_means_by_chance(rng: np.random.Generator) -> None:
    vectors = rng.normal(size=(600, 16))
    kinds, colors = rng.integers(6, size=600), rng.integers(4, size=600)
    found = shared_with_nearest(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), colors, kinds)
    assert found.chance == pytest.approx(0.25, abs=0.02)
    assert found.share == pytest.approx(found.chance, abs=0.07)
    assert found.matched == pytest.approx(found.chance, abs=0.02)


@pytest.mark.parametrize(
    ("right", "of", "low", "high"), [(54, 56, 0.88, 0.99), (0, 10, 0.0, 0.28), (10, 10, 0.72, 1.0)]
)
def test_a_share_near_1_has_an_interval_that_is_never_certain(right: int, of: int, low: float, high: float) -> None:
    """Values of Wilson's formula, worked out by hand: (p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)."""
    found = wilson_interval(right, of)
    assert (found.mean, found.low, found.high) == pytest.approx((right / of, low, high), abs=0.005)


@pytest.mark.parametrize(("right", "of"), [(1, 0), (3, 2), (-1, 2)])
def test_a_share_of_nothing_has_no_interval(right: int, of: int) -> None:
    with pytest.raises(ValueError, match=f"{right} of {of}"):
        wilson_interval(right, of)
