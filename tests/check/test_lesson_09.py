import numpy as np
import pytest

from helpers import check
from helpers.indexing.compress import Way, binary, nearest_rows
from helpers.nearest import rank, unit
from helpers.quality import halves
from tests.check.answering import hint, is_right


def expand(query, vectors, k):
    total = query + vectors[np.argsort(-(vectors @ query))[:k]].sum(axis=0)
    return total / np.linalg.norm(total)


def by_a_loop(query, vectors, k):
    total = query.copy()
    for row in sorted(range(len(vectors)), key=lambda row: -float(vectors[row] @ query))[:k]:
        total += vectors[row]
    return (total / (k + 1) / np.linalg.norm(total / (k + 1))).tolist()


def as_mean(query, vectors, k):
    near = np.vstack([query, vectors[np.argsort(vectors @ query)[::-1][:k]]])
    return unit(near.mean(axis=0))


def half_query(query, vectors, k):
    return unit(query + vectors[np.argsort(-(vectors @ query))[:k]].mean(axis=0))


@pytest.mark.parametrize("right", [expand, by_a_loop, as_mean])
def test_a_right_expansion_is_taken_in_any_form(right) -> None:
    assert is_right(check.expansion, right)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda query, vectors, k: None, "still ends in `...`"),
        (lambda query, vectors, k: vectors[np.argsort(-(vectors @ query))[:k]].mean(axis=0), "query itself is missing"),
        (lambda query, vectors, k: unit(query + vectors[:k].sum(axis=0)), "the k *nearest* are wanted"),
        (lambda query, vectors, k: unit(query + vectors[np.argsort(vectors @ query)[:k]].sum(axis=0)), "the farthest"),
        (lambda query, vectors, k: expand(query, vectors, k + 1), "you take 4 hits"),
        (lambda query, vectors, k: expand(query, vectors, k) * 2, "the length is 2.00"),
        (half_query, "as much as"),
        (lambda query, vectors, k: expand(query, vectors, k)[None], "one level too deep"),
        (lambda query, vectors, k: query @ vectors, "the function stops in its line"),
        (lambda query, vectors, k: unit(np.ones(6)), "not the mean of the query and its 3 nearest"),
        (lambda query, vectors, k: expand(query, vectors, max(k, 1)), "for k = 0 you take 1 hits"),
        (lambda query, vectors, k: np.full(6, np.nan), "not the mean"),
    ],
)  # fmt: skip
def test_a_wrong_expansion_gets_the_hint_that_fits(wrong, said: str) -> None:
    assert said in hint(check.expansion, wrong)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (..., "in place of"),
        ("validation", "not 'validation'"),
        ("both", "not 'both'"),
        ("neither", "not 'neither'"),
        (0.1, "none of"),
        ("tests", "none of"),
    ],
)
def test_a_wrong_guess_of_who_gains_gets_the_hint_that_fits(embedded, wrong, said: str) -> None:
    assert said in hint(lambda: check.who_gains(*embedded_in_order(embedded), answer=wrong))


@pytest.mark.parametrize("right", ["test", " Test", "TEST\n"])
def test_who_gains_is_learned_and_a_right_guess_is_taken_in_any_form(embedded, right: str) -> None:
    assert is_right(lambda: check.who_gains(*embedded_in_order(embedded), answer=right))


def test_who_gains_follows_the_pictures_and_not_a_typed_answer(embedded) -> None:
    """With the halves the other way round the projection learns from the others, and those are now called test."""
    *given, validation = embedded_in_order(embedded)
    assert is_right(lambda: check.who_gains(*given, ~validation, answer="test"))


def embedded_in_order(embedded):
    vectors, categories, asked, kinds = embedded
    return vectors, categories, asked, kinds, halves(kinds)


@pytest.fixture
def large(rng):
    """Return a first step by bits, the vectors, queries, and a number of candidates that is just enough."""
    vectors = unit(rng.normal(size=(4_000, 64))).astype(np.float32)
    queries = unit(rng.normal(size=(12, 64))).astype(np.float32)
    middle = np.zeros(64, np.float32)
    packed = binary(vectors, middle)
    way = Way("bits", 8, lambda asked, k: nearest_rows(binary(asked, middle), packed, k))
    ten = rank(queries, vectors)[:, :10]
    places = np.argsort(way.search(queries, len(vectors)), axis=1)  # where each row stands by its bits
    return way, vectors, queries, int(np.quantile(np.take_along_axis(places, ten, 1), 0.92)) + 2


@pytest.mark.parametrize("form", [int, float, np.int64])
def test_enough_candidates_are_taken_in_any_form(large, form) -> None:
    *given, enough = large
    assert is_right(check.enough_candidates, *given, form(enough))
    assert is_right(check.enough_candidates, *given, form(1.4 * enough // 1))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda enough: ..., "in place of"),
        (lambda enough: enough // 4, "is wanted: take more"),
        (lambda enough: 2.5 * enough // 1, "half as many candidates are enough"),
        (lambda enough: 5, "not 5"),
        (lambda enough: 4_001, "to all 4,000"),
        (lambda enough: 100.5, "a whole number"),
        (lambda enough: [enough, enough], "one number is wanted"),
    ],
)
def test_a_wrong_number_of_candidates_gets_the_hint_that_fits(large, wrong, said: str) -> None:
    *given, enough = large
    assert enough > 200, "else nothing is too many"
    assert said in hint(check.enough_candidates, *given, wrong(enough))
