import contextlib
import copy
import io

import numpy as np
import pytest
import torch

from helpers import check
from helpers.indexing.measure import Measured
from helpers.quality.metrics import Interval, bootstrap_interval

PARTS = ["ten_queries", "search_quality", "two_failures", "copy_threshold", "index_choice", "model_card"]
KINDS = ["cat", "dog", "boat", "mug", "tree", "lamp", "kite", "shoe", "bell", "fish"]
PATHS = sorted(f"pets & things/{kind} {number}.jpg" for kind in KINDS for number in (1, 2, 3))
CARD = {
    "network": "EfficientNet-Lite0 learned 1,000 classes from labelled photographs.",
    "pictures": "Animals and things, one each, taken indoors; nothing at night.",
    "owners": "I took them all myself this year.",
    "faces": "Nobody can be recognised on any of them.",
    "licence": "Mine may be shared (CC BY); the weights are Apache-2.0.",
}


def query(kind):
    return f"pets & things/{kind} 1.jpg"


def complete():
    """Return a report in which nothing is missing: of two queries the first hit is wrong."""
    report = {"paths": PATHS, "answers": {query(kind): [f"pets & things/{kind} *.jpg"] for kind in KINDS}}
    report["searches"], ap = {}, {}
    for number, one in enumerate(report["answers"]):
        right = check.right_paths(report, one)
        others = [path for path in PATHS if path not in right and path != one]
        hits = [others[0], *right, *others[1:]] if number < 2 else right + others
        report["searches"][one] = {"written": str(report["answers"][one]), "hits": hits}
        ap[one] = (1 / 2 + 2 / 3) / 2 if number < 2 else 1.0
    report["quality"] = bootstrap_interval(list(ap.values()))
    report["failures"] = [
        {
            "query": one,
            "hit": report["searches"][one]["hits"][0],
            "why": f"The control agrees less: both {one[14:17]} and hit are furry and brown.",
            "crop": (0, 0, 50, 50),
            "before": ap[one],
            "after": 1.0,
        }
        for one in list(ap)[:2]
    ]
    report |= {"copies": np.linspace(0.85, 0.99, 30), "strangers": np.linspace(0.3, 0.9, 30), "threshold": 0.91}
    both = {"FLAT": Measured(1.0, 6.0, 9.0, 10.0, []), "IVF_FLAT": Measured(0.97, 5.0, 8.0, 10.0, [])}
    report["index"] = {"measured": both, "choice": "FLAT", "why": "It finds all: recall 1.00, and 6 ms will do."}
    return report | {"card": dict(CARD)}


def other_types():
    report = complete()
    report["quality"] = [round(one, 2) for one in (report["quality"].mean, 0.6, 1)]
    report["copies"], report["strangers"] = torch.tensor(report["copies"]), report["strangers"].tolist()
    report["threshold"] = np.float32(0.95)
    report["index"]["measured"] = {"HNSW": {"recall": 0.99, "p50": 2}, "FLAT": {"recall": 1, "p50": 30.5}}
    report["index"] |= {"choice": "HNSW", "why": "At 40,000 pictures it takes 2 ms in place of 30."}
    return report


def other_words():
    """With answers as one text, more queries than ten, filters, and in a script that puts no spaces between words."""
    report = complete()
    more = "pets & things/cat 2.jpg"
    report["answers"] = {one: given[0] for one, given in report["answers"].items()}
    report["answers"][more] = [query("cat")]
    report["searches"] |= {more: {"written": "", "hits": [query("cat"), *PATHS[9:]]}}
    for one, made in report["searches"].items():
        made["written"] = str(report["answers"][one])
    values = [(1 / 2 + 2 / 3) / 2] * 2 + [1.0] * 9
    report["quality"] = {"mean": np.mean(values), "low": 0.75, "high": 1.0}
    for failure in report["failures"]:
        failure["filter"] = failure.pop("crop") and 'color == "brown"'
    report["failures"][1]["after"] = 0  # a remedy that does not help is a result, too
    report["card"]["faces"] = "照片里没有人:也没有任何文字。"
    return report


def said(report, part="capstone"):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert getattr(check, part)(report) is None
    return out.getvalue()


@pytest.mark.parametrize("right", [complete, other_types, other_words])
def test_a_complete_report_is_taken_in_any_form(right) -> None:
    report = right()
    assert said(report).startswith("Right: the report is complete: 30 pictures, 1")
    assert all(said(report, part).startswith("Right: ") for part in PARTS)


@pytest.mark.parametrize("report", [{}, {"paths": PATHS}, dict.fromkeys(complete())], ids=["empty", "stored", "None"])
def test_an_empty_report_hears_of_every_part_what_is_missing(report) -> None:
    lines = said(report).splitlines()
    assert lines[0] == "Not yet: 0 of 6 parts are complete. Missing:"
    assert [line.partition(":")[0] for line in lines[1:]] == [f"- {part}" for part in PARTS]
    assert all(said(report, part).startswith("Not yet: ") for part in PARTS)


def change(report, *keys, to):
    for key in keys[:-1]:
        report = report[key]
    report[keys[-1]] = to


CAT, FAILED = query("cat"), next(iter(complete()["searches"]))
INCOMPLETE = {
    "nine queries": (["answers"], dict(list(complete()["answers"].items())[:9]), "9 queries have"),
    "a query that is not stored": (["answers", "cat.jpg"], ["x"], "'cat.jpg' is not a stored picture"),
    "a query without a right answer": (["answers", CAT], [CAT], "fits no stored picture but the query"),
    "everything is right": (["answers", CAT], ["*"], "more than half"),
    "answers written after the search": (["answers", CAT], PATHS[:2], "written or changed after its search"),
    "a hard query left out": (["searches", PATHS[1]], {"written": "", "hits": []}, "searched and then left out"),
    "no search": (["searches"], {}, "not all queries have been searched"),
    "the query among its hits": (["searches", CAT, "hits"], PATHS, "always finds itself"),
    "no number": (["quality"], None, "no number with its interval yet"),
    "a number of other searches": (["quality"], (0.5, 0.4, 0.6), "the mean AP of your searches is 0.92"),
    "an interval beside its value": (["quality"], Interval(0.92, 0.93, 0.99), "does not hold the value"),
    "an interval of everything": (["quality"], (0.92, 0, 1), "bootstrap_interval gives it"),
    "an interval without width": (["quality"], (0.92, 0.92, 0.92), "bootstrap_interval gives it"),
    "a number alone": (["quality"], 0.92, "no number with its interval yet"),
    "one failure": (["failures"], complete()["failures"][:1], "1 failures are explained"),
    "one failure twice": (["failures"], complete()["failures"][:1] * 2, "1 failures are explained"),
    "a failure that is right": (["failures", 0, "hit"], check.right_paths(complete(), FAILED)[0], "not a wrong hit"),
    "a failure below all": (["failures", 0, "hit"], complete()["searches"][FAILED]["hits"][9], "stands below all"),
    "a failure of another search": (["failures", 0, "query"], PATHS[1], "not one of the queries"),
    "no reason": (["failures", 1, "why"], "...", "nothing is written"),
    "a copied reason": (["failures", 0, "why"], complete()["failures"][1]["why"], "the same sentence"),
    "a placeholder": (["failures", 0, "why"], "... what the map shows of the two", "is a placeholder"),
    "no remedy": (["failures", 0, "crop"], None, "neither a crop nor a filter"),
    "an invented AP": (["failures", 0, "before"], 0.1, "not those of your searches"),
    "no copies": (["copies"], [], "ten similarities of copies"),
    "similarities that are none": (["strangers"], [3] * 20, "between -1 and 1"),
    "no threshold": (["threshold"], ..., "in place of"),
    "a threshold for strangers": (["threshold"], 0.8, "of 30 strangers have a similarity"),
    "a threshold for nobody": (["threshold"], 0.999, "go lower"),
    "one index": (["index", "measured"], {"FLAT": {"recall": 1, "p50": 3}}, "1 indexes were measured"),
    "an index not measured": (["index", "choice"], "HNSW", "is none of"),
    "an index that loses on both": (
        ["index"],
        {"choice": "HNSW", "measured": {"HNSW": {"recall": 0.5, "p50": 9}, "FLAT": {"recall": 1, "p50": 3}}},
        "what speaks for HNSW",
    ),
    "a choice without a number": (["index", "why"], "Everybody takes this one in the end.", "names no number"),
    "no card": (["card"], {}, "network: nothing is written"),
    "a card of one word": (["card", "licence"], "free", "too short"),
    "a card of one word again": (["card", "licence"], "free free free free free", "too short"),
    "a card to do": (["card", "owners"], "TODO ask my sister about hers", "is a placeholder"),
    "one sentence twice": (["card", "faces"], CARD["network"], "more than once"),
    "a card of another type": (["card"], ["a", "b"], "can't be read"),
    "few pictures": (["paths"], PATHS[:5], "5 pictures are stored"),
}


@pytest.mark.parametrize("case", INCOMPLETE)
def test_an_incomplete_report_hears_what_is_missing(case: str) -> None:
    keys, value, hint = INCOMPLETE[case]
    report = copy.deepcopy(complete())
    change(report, *keys, to=value)
    lines = said(report).splitlines()
    assert lines[0].startswith("Not yet: "), lines
    assert any(hint in line for line in lines), lines


@pytest.mark.parametrize("wrong", [None, 3, "report", [], complete])
def test_what_is_not_a_report_gets_a_hint(wrong) -> None:
    assert said(wrong).startswith("Not yet: 0 of 6 parts are complete.")
    assert all(said(wrong, part).startswith("Not yet: it looks at this lesson's report") for part in PARTS)


@pytest.mark.parametrize("key", [*complete()])
def test_whatever_stands_in_a_part_ends_in_a_hint(key: str) -> None:
    for junk in (
        None,
        ...,
        0,
        -1.5,
        float("nan"),
        "words",
        [1],
        [None],
        {"a": 1},
        {"a": {}},
        object(),
        np.eye(3),
        print,
    ):
        assert said(complete() | {key: junk}).startswith("Not yet: "), junk


def test_a_path_with_brackets_is_right_for_itself() -> None:
    """In a pattern brackets have a meaning of their own."""
    report = {"paths": ["a [1].jpg", "a [2].jpg", "b.jpg"], "answers": {"b.jpg": ["a [1].jpg"]}}
    assert check.right_paths(report, "b.jpg") == ["a [1].jpg"]
