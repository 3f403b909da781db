import numpy as np
import pytest

from helpers import check
from tests.check.answering import hint, is_right


def one_after_the_other(recall_at, nlist, target):
    return next(nprobe for nprobe in range(1, nlist + 1) if recall_at(nprobe) >= target)


def halving(recall_at, nlist, target):
    low, high = 1, nlist
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if recall_at(middle) >= target else (middle + 1, high)
    return low


def halving_without_end(recall_at, nlist, target):
    low, high = 1, nlist
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if recall_at(middle) >= target else (middle, high)
    return low


def more_than_the_target(recall_at, nlist, target):
    return next((n for n in range(1, nlist) if recall_at(n) > target), nlist)


def never_all_lists(recall_at, nlist, target):
    for nprobe in range(1, nlist):
        if recall_at(nprobe) >= target:
            return nprobe


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda recall_at, nlist, target: None, "still ends in `...`"),
        (lambda recall_at, nlist, target: [recall_at(n) for n in range(1, nlist + 1)][nlist], "IndexError"),
        (never_all_lists, "for the target 1.0: the function returns nothing"),
        (lambda recall_at, nlist, target: 0.93, "a whole number is wanted, not 0.93"),
        (lambda recall_at, nlist, target: True, "one number is wanted"),
        (lambda recall_at, nlist, target: recall_at(0), "nprobe 0; there are lists 1 to 8"),
        (lambda recall_at, nlist, target: recall_at(nlist + 1), "nprobe 9; there are lists 1 to 8"),
        (lambda recall_at, nlist, target: recall_at(nlist / 2), "nprobe 4.0; there are lists 1 to 8"),
        (halving_without_end, "again and again, now at nprobe 4"),
        (more_than_the_target, "for the target 0.8 it gives 5; 3 reaches it exactly, and that is enough"),
        (lambda recall_at, nlist, target: 5 if target == 0.9 else 4, "gives 4; 3 reaches it exactly"),
        (lambda recall_at, nlist, target: halving(recall_at, nlist, target) + 1, "gives 6; a smaller one"),
        (lambda recall_at, nlist, target: nlist, "for the target 0.9 it gives 8; a smaller one reaches it too"),
        (lambda recall_at, nlist, target: halving(recall_at, nlist, target) - 1, "gives 4; the recall there is 0.8"),
        (lambda recall_at, nlist, target: 0, "gives 0; the smallest possible nprobe is 1"),
        (lambda recall_at, nlist, target: -1, "gives -1; the smallest possible nprobe is 1"),
    ],
)
def test_a_wrong_search_for_nprobe_gets_the_hint_that_fits(wrong, said: str) -> None:
    assert said in hint(check.smallest_nprobe, wrong)


@pytest.mark.parametrize(
    "right",
    [one_after_the_other, halving, lambda *given: np.int64(halving(*given)), lambda *given: halving(*given) / 1],
    ids=["one by one", "halving", "numpy's", "5.0"],
)
def test_a_right_search_for_nprobe_is_taken_in_any_form(right) -> None:
    assert is_right(check.smallest_nprobe, right)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (..., "in place of"),
        (400, "compared with before"),
        (100, "the centers"),
        (10_000, "every vector"),
        (200, "nprobe is 4"),
        (4, "not 4"),
        ("500", "a str"),
    ],
)
def test_a_wrong_number_of_comparisons_gets_the_hint_that_fits(wrong, said: str) -> None:
    assert said in hint(lambda: check.comparisons(count=10_000, nlist=100, nprobe=4, answer=wrong))


@pytest.mark.parametrize("right", [500, 500.0, np.int64(100 + 4 * 100)])
def test_a_right_number_of_comparisons_is_taken_in_any_form(right) -> None:
    assert is_right(lambda: check.comparisons(count=10_000, nlist=100, nprobe=4, answer=right))


PLAN = {"count": 4_000_000, "dim": 768, "index_type": "HNSW", "replicas": 2}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "25.7 GB of memory, 16 are there"),
        ({"count": 1_000_000}, "must stay"),
        ({"replicas": 0}, "can't be"),
        ({"index_type": "IVF"}, "can't be"),
        ({"dim": 8}, "hardly tell"),
        ({"dim": ...}, "in place of"),
        ({"more": 1}, "a dict with"),
    ],
)
def test_a_plan_that_does_not_fit_gets_the_hint_that_fits(change, said: str) -> None:
    assert said in hint(lambda: check.plan_fits(PLAN | change, memory_gb=16))


@pytest.mark.parametrize("change", [{"replicas": 1}, {"dim": 384}, {"index_type": "IVF_FLAT", "replicas": 1}])
def test_a_plan_that_fits_is_taken_in_any_form(change) -> None:
    assert is_right(lambda: check.plan_fits(PLAN | change, memory_gb=16))


FAULTS = {"teapot 1": "embedding", "vase 2": "index", "mug 8": "index"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"teapot 1": ...}, "in place of"),
        ({"teapot 1": "index"}, "teapot 1: is it among the exact four"),
        ({"vase 2": "embedding"}, "vase 2: would exact search"),
        ({"mug 8": "embedding"}, "mug 8: exact search finds it"),
        ({"mug 8": "both"}, "'both' is none of"),
        ({"mug 8": 1}, "none of"),
        ({"mug 3": "index"}, "a dict with"),
    ],
)
def test_the_wrong_one_blamed_gets_the_hint_that_fits(change, said: str) -> None:
    assert said in hint(check.whose_fault, FAULTS | change)


@pytest.mark.parametrize("faults", [..., None, [], "index"])
def test_what_blames_nobody_gets_a_hint(faults) -> None:
    assert "a dict with" in hint(check.whose_fault, faults) or "in place of" in hint(check.whose_fault, faults)


@pytest.mark.parametrize("change", [{}, {"vase 2": " Index "}, {"teapot 1": "EMBEDDING"}])
def test_the_right_one_blamed_is_taken_in_any_form(change) -> None:
    assert is_right(check.whose_fault, FAULTS | change)
