"""Vectors to measure indexes on: like those of pictures, and the same ones again for the same seed."""

import numpy as np
import pytest

from helpers.indexing.grow import grown, reduced
from tests.facts import ASKED, PICTURES

COUNT = 12_000  # more than are made at a time


@pytest.fixture(scope="module")
def pictures(embedded) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return vectors of the collection and of the queries, 1,280 numbers each, and the collection's kinds."""
    vectors, categories, asked, _ = embedded
    return vectors, asked, categories


@pytest.fixture(scope="module")
def own(pictures) -> np.ndarray:
    return reduced(pictures[0], pictures[1])[0]


@pytest.fixture(scope="module")
def many(own) -> tuple[np.ndarray, np.ndarray]:
    return grown(own, COUNT, seed=1)


def ten_nearest(queries: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    return np.argsort(-(queries @ vectors.T), axis=1)[:, :10]


def overlap(some: np.ndarray, others: np.ndarray) -> float:
    return float(np.mean([len(set(one) & set(other)) / 10 for one, other in zip(some, others, strict=True)]))


def of_unit_length(vectors: np.ndarray) -> bool:
    return vectors.dtype == np.float32 and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_seed_gives_the_same_vectors_and_another_seed_others(own, many) -> None:
    vectors, parents = many
    given = own.copy()
    again, again_parents = grown(own, COUNT, seed=1)
    assert np.array_equal(vectors, again) and np.array_equal(parents, again_parents)
    other, _ = grown(own, COUNT, seed=2)
    rows = {row.tobytes() for row in vectors}
    assert len(rows) == COUNT  # none is there twice
    assert not rows & {row.tobytes() for row in other}
    assert np.array_equal(own, given)  # what it grows from stays as it is


def test_grown_vectors_are_of_unit_length_and_every_picture_has_some(own, many) -> None:
    vectors, parents = many
    assert vectors.shape == (COUNT, 384) and parents.shape == (COUNT,) and parents.dtype == np.int64
    assert of_unit_length(vectors)
    assert set(parents.tolist()) == set(range(len(own)))
    assert grown(own, 0)[0].shape == (0, 384)


def test_a_grown_vector_lies_by_the_parent_it_names_and_is_of_its_kind(own, many, pictures) -> None:
    vectors, parents = many
    kinds = pictures[2]
    nearest = ten_nearest(vectors, own)
    for part in (slice(0, 10_000), slice(10_000, None)):  # as they are made
        assert np.mean((nearest[part] == parents[part, None]).any(1)) > 0.99
        assert np.mean(nearest[part, 0] == parents[part]) > 0.9
        assert np.mean(kinds[nearest[part, 0]] == kinds[parents[part]]) > 0.98


def test_two_of_one_parent_differ_as_much_as_two_similar_pictures(own, many) -> None:
    vectors, parents = many
    order = np.argsort(parents, kind="stable")
    one, other = order[:-1], order[1:]
    siblings = parents[one] == parents[other]
    between_siblings = 1 - (vectors[one] * vectors[other]).sum(1)[siblings]
    similarity = own @ own.T
    np.fill_diagonal(similarity, -1)
    between_pictures = 1 - similarity.max(1)
    assert between_siblings.mean() == pytest.approx(between_pictures.mean(), rel=0.1)
    assert np.median(between_siblings) == pytest.approx(np.median(between_pictures), rel=0.1)


def test_fewer_numbers_leave_nearly_the_same_pictures_nearest(pictures) -> None:
    collection, queries, _ = pictures
    own, asked = reduced(collection, queries)
    assert own.shape == (PICTURES, 384) and asked.shape == (ASKED, 384)
    assert of_unit_length(own) and of_unit_length(asked)
    before = ten_nearest(queries, collection)
    assert overlap(ten_nearest(asked, own), before) > 0.9
    few, asked_few = reduced(collection, queries, 4)
    assert few.shape == (PICTURES, 4) and overlap(ten_nearest(asked_few, few), before) < 0.8  # so this can fail


def test_as_many_numbers_as_pca_has_change_no_similarity_but_for_the_mean(pictures) -> None:
    collection, queries, _ = pictures
    own, asked = reduced(collection, queries, len(collection) - 1)
    centered, centered_queries = collection - collection.mean(0), queries - collection.mean(0)
    centered /= np.linalg.norm(centered, axis=1, keepdims=True)
    assert np.allclose(own @ own.T, centered @ centered.T, atol=1e-4)
    # a query's part that no picture has is cut off, and with it some of its length: the order stays
    assert overlap(ten_nearest(asked, own), ten_nearest(centered_queries, centered)) > 0.99


def test_queries_are_brought_to_the_same_numbers_as_the_collection(pictures) -> None:
    collection, _, _ = pictures
    own, again = reduced(collection, collection[5:9], 64)
    assert np.allclose(own[5:9], again, atol=1e-5)


@pytest.mark.parametrize(
    ("count", "numbers", "dim", "most"), [(384, 1280, 384, 383), (500, 64, 65, 64), (20, 8, 0, 8), (1, 8, 1, 0)]
)
def test_too_few_vectors_are_refused_with_what_is_possible(rng, count, numbers, dim, most) -> None:
    vectors = rng.normal(size=(count, numbers)).astype(np.float32)
    with pytest.raises(ValueError, match=f"can't give {dim} numbers: at most {most}"):
        reduced(vectors, vectors[:1], dim)


def test_too_few_vectors_to_have_ten_neighbors_are_refused(own) -> None:
    with pytest.raises(ValueError, match="10 vectors are too few to grow more from: at least 11"):
        grown(own[:10], 100)
    assert of_unit_length(grown(own[:11], 100)[0])
