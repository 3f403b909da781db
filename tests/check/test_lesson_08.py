from collections import Counter, defaultdict
from fractions import Fraction

import numpy as np
import pytest

from helpers import check
from helpers.connect import COLLECTION
from helpers.features import Words, load_words
from tests.check.answering import hint, is_right


@pytest.fixture(scope="module")
def words(extractor) -> Words:
    return load_words(extractor)


PAIR = ("coffee mug", "teapot")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (..., "in place of"),
        (1, "same direction"),
        (0.22, "cosine of the two names"),
        (0.61, "plain mean"),
        (0.5, "not 0.5"),
        (45, "between -1 and 1"),
        ("near", "one number"),
    ],
)
def test_a_wrong_cosine_to_the_mean_gets_the_hint_that_fits(words, wrong, said: str) -> None:
    assert said in hint(check.cosine_to_the_mean, words, *PAIR, wrong)


@pytest.mark.parametrize("right", [0.78, np.float32(0.7806), Fraction(39, 50), np.sqrt((1 + 0.22) / 2)])
def test_a_right_cosine_to_the_mean_is_taken_in_any_form(words, right) -> None:
    assert is_right(check.cosine_to_the_mean, words, *PAIR, right)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["cactus"], "no word for it"),
        (["vase"], "0 of the first 10 are cactuses; the first other one is a vase"),
        (["pot", "vase"], "Take that name, and no other"),
        (["pots"], "did you mean"),
        ([], "a list of names"),
        (..., "a list of names"),
        ([1], "a list of names"),
    ],
)
def test_names_that_find_no_cactus_get_the_hint_that_fits(kit, words, wrong, said: str) -> None:
    assert said in hint(check.cactus_by_name, kit, words, wrong, COLLECTION)


@pytest.mark.parametrize("right", [["pot"], ("pot",), "pot"])
def test_the_name_that_finds_cactuses_is_taken_in_any_form(kit, words, right) -> None:
    assert is_right(check.cactus_by_name, kit, words, right, COLLECTION)


def by_hand(first, second):
    scores = {}
    for ids in (first, second):
        for rank, one in enumerate(ids, start=1):
            scores[one] = scores.get(one, 0) + 1 / (60 + rank)
    return sorted(scores, key=lambda one: -scores[one])


def with_defaultdict(first, second, k=60):
    scores = defaultdict(Fraction)
    for ids in (second, first):
        for i in range(len(ids)):
            scores[ids[i]] += Fraction(1, k + 1 + i)
    return [one for score, one in sorted(((s, one) for one, s in scores.items()), reverse=True)]


def with_counter(first, second):
    scores = Counter({one: 1 / (60 + rank) for rank, one in enumerate(first, 1)})
    scores.update({one: 1 / (60 + rank) for rank, one in enumerate(second, 1)})
    return np.array([one for one, _ in scores.most_common()])


@pytest.mark.parametrize("right", [by_hand, with_defaultdict, with_counter])
def test_a_right_merging_of_ranks_is_taken_in_any_form(right) -> None:
    assert is_right(check.merged_ranks, right)


def emptied(first, second):
    return by_hand([first.pop(0) for _ in list(first)], second)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda first, second: None, "returns nothing"),
        (lambda first, second: first + second, "comes once"),
        (lambda first, second: list(dict.fromkeys(first + second)), "3 comes first, not 1"),
        (lambda first, second: [one for one in first if one in second], "in either list"),
        (lambda first, second: by_hand(first, second)[::-1], "largest score comes first"),
        (lambda first, second: with_defaultdict(first, second, k=59), "99 comes first"),  # ranks from 0
        (lambda first, second: with_defaultdict(first, second, k=0), "8 comes first, not 9"),
        (
            lambda first, second: by_hand(first, second)[:1] + sorted(by_hand(first, second)[1:])[::-1],
            "by their scores",
        ),
        (lambda first, second: [(one, 0.1) for one in by_hand(first, second)], "a list of ids"),
        (lambda first, second: 3, "a list of ids"),
        (emptied, "changes the lists"),
        (lambda first: first, "can't be called"),
        (lambda first, second: by_hand(first, second[0]), "TypeError"),
    ],
)
def test_a_wrong_merging_of_ranks_gets_the_hint_that_fits(wrong, said: str) -> None:
    assert said in hint(check.merged_ranks, wrong)
