"""Expansion, re-ranking and a learned projection: their properties, and what they do on the kit's pictures."""

import numpy as np
import pytest

from helpers.images import load_folder
from helpers.nearest import rank, unit
from helpers.quality.improve import best_matches, expanded, gain, halves, learned_projection, reranked
from helpers.quality.metrics import average_precision


@pytest.fixture(scope="module")
def ap_of(embedded):
    _, categories, _, kinds = embedded

    def ap(order: np.ndarray) -> np.ndarray:
        return average_precision(categories[order] == kinds[:, None], (categories == kinds[:, None]).sum(1))

    return ap


def test_no_kind_is_in_both_halves_and_each_half_has_half_of_them() -> None:
    kinds = np.array(["mug", "vase", "apple", "mug", "dice", "vase"])
    assert halves(kinds).tolist() == [kind in ("dice", "vase") for kind in kinds]
    assert halves([3, 1, 2, 2]).tolist() == [False, False, True, True]
    for few in (["mug", "mug"], []):
        with pytest.raises(ValueError, match="at least two"):
            halves(few)


def test_a_gain_is_of_pairs_in_each_half_alone() -> None:
    kinds = np.array(["a", "a", "b", "b"])
    old, new = np.array([0.1, 0.9, 0.5, 0.5]), np.array([0.3, 1.1, 0.4, 0.4])
    found = gain("more", new, old, kinds, halves(kinds))
    assert (found.validation.mean, found.test.mean) == pytest.approx((-0.1, 0.2))
    assert found.test.low == pytest.approx(0.2)  # equal differences: hard or easy, the pairs say the same
    assert str(found).split() == [
        "more",
        "validation",
        "-0.100",
        "[-0.100,",
        "-0.100]",
        "test",
        "+0.200",
        "[+0.200,",
        "+0.200]",
    ]
    with pytest.raises(ValueError, match="3 new, 4 old"):
        gain("more", new[:3], old, kinds, halves(kinds))
    with pytest.raises(ValueError, match="at least one"):
        gain("more", new, old, kinds, np.ones(4, bool))


def test_an_expanded_query_lies_between_the_query_and_its_first_hits(rng) -> None:
    stored, queries = unit(rng.normal(size=(30, 8))).astype(np.float32), unit(rng.normal(size=(4, 8)))
    found = rank(queries, stored)
    asked = queries.astype(np.float32)
    again = expanded(asked, stored, found, 3)
    assert again.dtype == np.float32 and np.allclose(np.linalg.norm(again, axis=1), 1, atol=1e-6)
    for query, new, rows in zip(asked, again, found, strict=True):
        assert (stored[rows[:3]] @ new).mean() > (stored[rows[:3]] @ query).mean()
        assert np.allclose(new, unit(query + stored[rows[0]] + stored[rows[1]] + stored[rows[2]]), atol=1e-6)
    assert np.allclose(expanded(asked, stored, found, 0), asked, atol=1e-6)


def test_an_expansion_of_wrong_shapes_is_refused(rng) -> None:
    stored, queries = rng.normal(size=(30, 8)), rng.normal(size=(4, 8))
    found = rank(queries, stored)
    for wrong in (
        (queries[0], stored, found, 1),
        (queries[:, :7], stored, found, 1),
        (queries, stored[0], found, 1),
        (queries, stored, found[:3], 1),
        (queries, stored, found[:, :5], 6),
        (queries, stored, found, -1),
        (queries, stored, found[0], 1),
    ):
        with pytest.raises(ValueError, match="needed"):
            expanded(*wrong)


def test_a_moved_picture_matches_itself_in_every_place(rng) -> None:
    picture = rng.normal(size=(3, 4, 6))
    hits = np.array([np.roll(picture, 2, axis=1), rng.normal(size=(3, 4, 6)), 5 * picture[::-1]])
    scores = best_matches(picture, hits)
    assert scores[[0, 2]] == pytest.approx([1, 1]) and scores[1] < 0.95
    assert best_matches(picture, hits, power=2)[[0, 2]] == pytest.approx([1, 1])


def test_with_a_power_weak_places_count_less() -> None:
    """A strong place that agrees, and a weak one that does not."""
    query = np.array([[[4.0, 0.0], [0.0, 1.0]]])
    hit = np.array([[[[1.0, 0.0], [1.0, 0.0]]]])
    assert best_matches(query, hit).tolist() == [0.5]
    assert best_matches(query, hit, power=1).tolist() == [0.8]
    assert best_matches(query, hit, power=2) == pytest.approx([16 / 17])


@pytest.mark.parametrize("shapes", [((3, 4), (2, 3, 4, 6)), ((3, 4, 6), (3, 4, 6)), ((3, 4, 6), (2, 3, 4, 5))])
def test_feature_maps_of_wrong_shapes_are_refused(shapes) -> None:
    with pytest.raises(ValueError, match="are needed"):
        best_matches(*(np.ones(shape) for shape in shapes))


def test_re_ranking_sorts_the_first_hits_and_leaves_the_others() -> None:
    found = np.array([[5, 3, 8, 1], [2, 4, 6, 0]])
    again = reranked(found, np.array([[0.1, 0.9, 0.5], [0.5, 0.5, 0.7]]))
    assert again.tolist() == [[3, 8, 5, 1], [6, 2, 4, 0]]  # equal scores keep their order
    assert found[0].tolist() == [5, 3, 8, 1]
    for wrong in (np.zeros((1, 3)), np.zeros((2, 5)), np.zeros(2)):
        with pytest.raises(ValueError, match="are needed"):
            reranked(found, wrong)


def test_a_learned_projection_keeps_the_direction_that_tells_kinds_apart(rng) -> None:
    labels = np.repeat(["a", "b"], 40)
    vectors = rng.normal(size=(80, 5)) * [5, 1, 1, 1, 1]
    vectors[:, 2] += np.where(labels == "a", 4, -4)  # the loudest direction is another one
    projection = learned_projection(vectors, labels)
    assert projection.shape == (5, 1) and projection.dtype == np.float32
    assert np.abs(projection[:, 0]).argmax() == 2
    for wrong in ((vectors, labels[:-1]), (vectors, ["a"] * 80), (vectors[0], ["a", "b", "a", "b", "a"])):
        with pytest.raises(ValueError, match="at least two"):
            learned_projection(*wrong)


def test_expansion_is_better_than_none_on_kinds_that_chose_nothing(embedded, ap_of) -> None:
    """What lesson 9 promises: k is chosen on the validation half, and the test half's interval is above 0."""
    vectors, _, asked, kinds = embedded
    found, validation = rank(asked, vectors), halves(kinds)
    before = ap_of(found)
    tried = {k: ap_of(rank(expanded(asked, vectors, found, k), vectors)) for k in (1, 2, 3, 5, 8, 10, 14, 20)}
    chosen = max(tried, key=lambda k: tried[k][validation].mean())
    judged = gain("expansion", tried[chosen], before, kinds, validation).test
    assert judged.mean > 0.01 and judged.low > 0, (chosen, judged)


def test_a_learned_projection_helps_kinds_it_saw_and_hurts_others(embedded, ap_of) -> None:
    vectors, categories, asked, kinds = embedded
    validation, before = halves(kinds), ap_of(rank(asked, vectors))
    for labelled, sign in ((validation, 1), (~validation, -1)):
        seen = np.isin(categories, kinds[labelled])
        projection = learned_projection(vectors[seen], categories[seen])
        after = ap_of(rank(unit(asked @ projection), unit(vectors @ projection)))
        found = gain("LDA", after, before, kinds, validation)
        assert sign * found.validation.mean > 0.03 and sign * found.test.mean < -0.03, str(found)


def test_places_weighted_by_strength_tell_kinds_apart_better_than_equal_ones(extractor) -> None:
    """An empty background matches every other one: lesson 9 shows it on all queries, this on nine of them."""
    queries, stored = load_folder(part="queries"), load_folder()
    asked = queries.paths[::8]
    kinds = np.array([queries.metadata[path]["category"] for path in asked])
    paths = [path for kind in sorted(set(kinds)) for path in stored.paths if path.split("/")[1] == kind]
    paths = [path for path in paths if path.endswith(("_01.jpg", "_05.jpg", "_09.jpg"))]
    theirs = np.array([extractor.feature_map(stored.root / path).features for path in paths])
    relevant = np.array([path.split("/")[1] for path in paths])[None] == kinds[:, None]
    quality = {}
    for power in (0, 2):
        scores = [best_matches(extractor.feature_map(queries.root / one).features, theirs, power) for one in asked]
        order = reranked(np.tile(np.arange(len(paths)), (len(asked), 1)), np.array(scores))
        quality[power] = average_precision(np.take_along_axis(relevant, order, 1), 3).mean()
    assert relevant.sum() == 3 * len(asked)
    assert quality[2] > quality[0] + 0.05, quality
