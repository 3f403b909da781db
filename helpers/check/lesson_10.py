"""Check of lesson 10: what is missing in a learner's report on a search of their own."""

import functools
import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from helpers.check.answers import NotYet, choice, exercise, near, number
from helpers.quality.metrics import average_precision

CARD = ("network", "pictures", "owners", "faces", "licence")
PLACEHOLDERS = r"^\s*(\.\.\.|…)|\b(TODO|TBD|FIXME)\b|lorem ipsum"
WORDS = r"[\u0e00-\u0eff\u3040-\u9fff]|\w+"  # of scripts that put no spaces between words: letters
Report = Mapping[str, Any]
PARTS: dict[str, Callable[[Report], str]] = {}


def part(look: Callable[[Report], str]) -> Callable[[Report], None]:
    """Make the check of one part of a report; whatever a learner wrote there, it ends in a hint."""

    @functools.wraps(look)
    def looked(report: Report) -> str:
        _want(isinstance(report, Mapping), "it looks at this lesson's report, a dict: write its name between the ( ).")
        try:
            return look(report)
        except NotYet:
            raise
        except Exception as error:
            raise NotYet(f"what is written there can't be read ({type(error).__name__}: {error}).") from None

    PARTS[look.__name__] = looked
    return exercise(looked)


def right_paths(report: Report, query: str) -> list[str]:
    """Return the stored pictures that are right for a query, by a report's `answers`; never the query itself."""
    given = report["answers"][query]
    patterns = [given] if isinstance(given, str) else given
    fits = {path for path in report["paths"] for one in patterns if path == one or fnmatchcase(path, one)}
    return sorted(fits - {query})


@part
def ten_queries(report: Report) -> str:
    """Ten queries with their right answers in `answers`, written before `searches`."""
    paths, answers = report.get("paths", ()), report.get("answers", {})
    _want(len(paths) >= 20, f"{len(paths)} pictures are stored; among fewer than 20 nearly everything is found.")
    _want(len(answers) >= 10, f"{len(answers)} queries have their right answers written down; ten are wanted.")
    for query in answers:
        _want(query in paths, f"{query!r} is not a stored picture; stored is, for example, {paths[0]!r}.")
        count = len(right_paths(report, query))
        _want(count, f"{answers[query]} fits no stored picture but the query {query!r} itself.")
        _want(2 * count <= len(paths), f"for {query!r} more than half of all would be right: any search finds those.")
    for query, made in report.get("searches", {}).items():
        _want(query in answers, f"{query!r} was searched and then left out: so the mean looks better than it is.")
        changed = (
            f"the answers to {query!r} were written or changed after its search; then they were {made['written']}:"
        )
        _want(made["written"] == str(answers[query]), f"{changed} put those back, or start anew with other queries.")
    return f"{len(paths)} pictures, {len(answers)} queries, their right answers written before the search"


@part
def search_quality(report: Report) -> str:
    """The mAP of all searches, with an interval that can be its own."""
    searches, given = report.get("searches", {}), report.get("quality")
    _want(searches and searches.keys() >= report["answers"].keys(), "not all queries have been searched with yet.")
    if not isinstance(given, list | tuple | np.ndarray):
        given = [_of(given, name) for name in ("mean", "low", "high")]
    _want(None not in given, "there is no number with its interval yet; bootstrap_interval gives both.")
    mean, low, high = (number(one) for one in given)
    values = [_ap(report, query) for query in searches]
    true = float(np.mean(values))
    _want(near(mean, true), f"it says {mean:.2f}; the mean AP of your searches is {true:.2f}.")
    _want(low <= mean <= high, f"the interval [{low:.2f}, {high:.2f}] does not hold the value {mean:.2f}.")
    wide = low >= 0 and high <= 1 and high - low < 0.99 and (low < high or len(set(values)) == 1)
    _want(wide, f"[{low:.2f}, {high:.2f}] can't be the interval of these values: bootstrap_interval gives it.")
    return f"mAP {mean:.2f} [{low:.2f}, {high:.2f}]"


@part
def two_failures(report: Report) -> str:
    """Two wrong hits, each with a reason and a crop or filter that was tried."""
    failures = report.get("failures", ())
    explained = {(one["query"], one["hit"]): one["why"] for one in failures}
    _want(len(explained) >= 2, f"{len(explained)} failures are explained; two different ones are wanted.")
    for (query, hit), why in explained.items():
        _want(query in report["searches"], f"{query!r} is not one of the queries that were searched with.")
        right, hits = set(right_paths(report, query)), report["searches"][query]["hits"]
        _want(hit in hits and hit not in right, f"{hit!r} is not a wrong hit of {query!r}.")
        _want(not right <= set(hits[: hits.index(hit)]), f"{hit!r} stands below all that is right for {query!r}.")
        _sentence(why, f"why {hit!r} came for {query!r}", 5)
    for one in failures:
        _want(one.get("crop") or one.get("filter"), f"for {one['query']!r} neither a crop nor a filter was tried.")
        true = near(one.get("before"), _ap(report, one["query"])) and 0 <= number(one.get("after")) <= 1
        _want(true, f"for {one['query']!r} AP before and after are not those of your searches.")
    _want(len(set(explained.values())) == len(explained), "two failures have the same sentence as their reason.")
    return f"{len(explained)} failures explained"


@part
def copy_threshold(report: Report) -> str:
    """A threshold that lets copies through, and no stranger."""
    copies, strangers = (np.asarray(report.get(name, ()), dtype=float).ravel() for name in ("copies", "strangers"))
    enough = min(len(copies), len(strangers)) >= 10 and (np.abs(np.append(copies, strangers)) < 1.001).all()
    _want(enough, "ten similarities of copies and ten of strangers are wanted at least, each between -1 and 1.")
    chosen = number(report.get("threshold"))
    let_in, passed = int((strangers >= chosen).sum()), int((copies >= chosen).sum())
    _want(not let_in, f"{let_in} of {len(strangers)} strangers have a similarity of {chosen:g} or more: go higher.")
    _want(passed, f"none of the {len(copies)} copies has a similarity of {chosen:g}: go lower.")
    return f"a threshold of {chosen:.3f}, passed by {passed} of {len(copies)} copies and no stranger"


@part
def index_choice(report: Report) -> str:
    """One of the measured indexes, with a reason that has a number."""
    about, measured = report.get("index", {}), report.get("index", {}).get("measured", {})
    _want(len(measured) >= 2, f"{len(measured)} indexes were measured; a choice needs two at least.")
    chosen = choice(about.get("choice"), tuple(measured))
    recall, took = ({kind: number(_of(one, name)) for kind, one in measured.items()} for name in ("recall", "p50"))
    _want(min(recall.values()) >= 0 and max(recall.values()) <= 1, "a recall lies between 0 and 1.")
    for other in measured:
        better = recall[other] > recall[chosen] + 0.005 and took[other] <= took[chosen]
        _want(not better, f"{other} finds more in less time: what speaks for {chosen}?")
    _sentence(about.get("why"), f"why {chosen}", 5)
    _want(re.search(r"\d", about["why"]), f"{about['why']!r} names no number: which one decides?")
    return f"{chosen}, with recall {recall[chosen]:.2f}"


@part
def model_card(report: Report) -> str:
    """A sentence of the learner's own for each entry of the card."""
    card = report.get("card", {})
    for name in CARD:
        _sentence(card.get(name), name)
    _want(len({card[name] for name in CARD}) == len(CARD), "one sentence stands there more than once.")
    return "a model card"


@exercise
def capstone(report: Report) -> str:
    """Go through a whole report and say what is missing.

    Parameters
    ----------
    report : dict
        `paths`, what is stored. `answers`: query (a path) -> right paths, or patterns such as `cats/*`. `searches`:
        query -> `hits`, paths, best first, without itself, and `written`, str() of its answers at the first search.
        `quality`: mAP as an Interval or (mean, low, high). `failures`: dicts of `query`, `hit` (a wrong one), `why`,
        `crop` or `filter`, AP `before`, `after`. `copies`, `strangers`: similarities; `threshold`. `index`: `measured`
        (type -> `recall`, `p50`), `choice`, `why`. `card`: a sentence for each name in CARD.
    """
    found, missing = [], []
    for name, look in PARTS.items():
        try:
            found.append(look(report))
        except NotYet as hint:
            missing.append(f"\n- {name}: {hint}")
    _want(not missing, f"{len(found)} of {len(PARTS)} parts are complete. Missing:{''.join(missing)}")
    return f"the report is complete: {'; '.join(found)}."


def _want(ok: Any, hint: str) -> None:
    if not ok:
        raise NotYet(hint)


def _ap(report: Report, query: str) -> float:
    right, hits = right_paths(report, query), report["searches"][query]["hits"]
    _want(query not in hits, f"{query!r} is among its own hits: leave it out, it always finds itself.")
    return float(average_precision(np.array([[path in right for path in hits]], dtype=bool), len(right))[0])


def _of(thing: Any, name: str) -> Any:
    return thing.get(name) if isinstance(thing, Mapping) else getattr(thing, name, None)


def _sentence(text: Any, what: str, least: int = 4) -> None:
    """Refuse what nobody wrote: nothing, a placeholder, a word or two."""
    _want(isinstance(text, str) and re.search(r"\w", text), f"{what}: nothing is written there yet.")
    _want(not re.search(PLACEHOLDERS, text), f"{what}: {text!r} is a placeholder.")
    words = len(set(re.findall(WORDS, text.lower())))
    _want(words >= least, f"{what}: {text!r} is too short; a sentence has {least} different words at least.")
