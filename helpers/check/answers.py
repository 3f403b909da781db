"""What the checks of all lessons share: an answer is looked at, and every mistake becomes a hint, never a traceback."""

import functools
import itertools
import linecache
import math
import traceback
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec

import numpy as np

from helpers.memora import MemoraError
from helpers.memora.http import Http
from helpers.settings import HOSTED, setting

P = ParamSpec("P")
NEAR = 0.0051  # an answer rounded to two digits is right
right: dict[str, bool] = {}  # what each check found when it was last called: for those who count


class NotYet(Exception):
    """An answer that is not right yet; its text is the hint."""


def exercise(check: Callable[P, str]) -> Callable[P, None]:
    """Make an exercise's check of a function that returns what is right, or raises `NotYet` with a hint.

    Parameters
    ----------
    check : callable
        Looks at the learner's answer. Returns a sentence without its "Right: "; raises `NotYet` otherwise.

    Returns
    -------
    callable
        Prints "Right: ..." or "Not yet: ..." and returns nothing.
    """

    @functools.wraps(check)
    def answered(*args: P.args, **kwargs: P.kwargs) -> None:
        right[check.__name__] = False
        try:
            print(f"Right: {check(*args, **kwargs)}")
            right[check.__name__] = True
        except NotYet as hint:
            print(f"Not yet: {hint}")
        if setting("MEMORA_REPORT"):
            _report(check.__name__)

    return answered


def _report(name: str) -> None:
    """Let the teacher of a class server see that an exercise was tried, and whether it is right; nothing else."""
    key, project, url = (setting(which) or "" for which in HOSTED)
    try:
        line = Http(key, project, url, None)
        line.post("class/exercise", {"exercise": name, "right": right[name]})
        line.close()
    except MemoraError as error:
        print(f"Your teacher does not see this yet: {error}")


def call(function: Any, *args: Any, inside: Any = None) -> Any:
    """Call a learner's function; what goes wrong in it becomes a hint with the line.

    Parameters
    ----------
    function : callable
        What to call; anything else is told in a hint.
    *args
        Its arguments.
    inside : callable, optional
        The learner's function where `function` is ours and calls it; by default `function` itself.

    Raises
    ------
    NotYet
        It is no function, it raises an exception, or it returns nothing.
    """
    if not callable(function):
        raise NotYet(f"a function is wanted here; this is {_a(function)}.")
    try:
        answer = function(*args)
        if isinstance(answer, Iterator):  # a generator runs only now; it may have no end
            answer = list(itertools.islice(answer, 1_000))
    except NotYet:
        raise
    except Exception as error:
        raise NotYet(_stopped(inside or function, error)) from None
    if answer is None:
        raise NotYet("the function returns nothing: it still ends in `...`, or misses its `return`.")
    return answer


def _stopped(function: Any, error: Exception) -> str:
    """Say where a learner's function stopped, and why."""
    code = getattr(function, "__code__", None)
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if code and frame.filename == code.co_filename]
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if not own or own[-1].lineno is None:
        return f"the function can't be called as it is meant to be ({said})."
    line = linecache.getline(own[-1].filename, own[-1].lineno).strip()
    return f"the function stops in its line `{line}` ({said})." if line else f"the function stops ({said})."


def number(answer: Any) -> float:
    """Return an answer as one number: an int, a float, a Fraction, a numpy number, or an array or tensor of one.

    NotYet for anything else, and for NaN.
    """
    if answer is None or answer is ...:
        raise NotYet("write your answer in place of `...`.")
    try:
        if isinstance(answer, bool | str | bytes):
            raise TypeError
        value = float(answer.item() if hasattr(answer, "item") else answer)  # arrays and tensors of one number have it
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise NotYet(f"one number is wanted; this is {_a(answer)}.") from None
    if math.isnan(value):
        raise NotYet("the answer is NaN, which is no number: is something divided by zero?")
    return value


def whole(answer: Any) -> int:
    """Return an answer as a whole number; NotYet for anything else."""
    value = number(answer)
    if not value.is_integer():
        raise NotYet(f"a whole number is wanted, not {value:g}.")
    return round(value)


def near(answer: Any, wanted: float, within: float = NEAR) -> bool:
    """Return whether an answer is a number near the wanted one."""
    return abs(number(answer) - wanted) <= within


def choice(answer: Any, allowed: tuple[str, ...]) -> str:
    """Return which of some words an answer is, whatever its case; NotYet for any other."""
    if answer is None or answer is ...:
        raise NotYet(f"write one of {', '.join(map(repr, allowed))} in place of `...`.")
    found = [word for word in allowed if isinstance(answer, str) and answer.strip().lower() == word.lower()]
    if not found:
        raise NotYet(f"{answer!r} is none of {', '.join(map(repr, allowed))}.")
    return found[0]


def vector(answer: Any, dim: int) -> np.ndarray:
    """Return an answer as a float64 array of shape (dim,); NotYet for another shape, or for no array of numbers."""
    try:
        array = np.asarray(answer, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError):
        raise NotYet(f"an array or tensor of numbers is wanted; this is {_a(answer)}.") from None
    if array.shape == (1, dim):
        raise NotYet(f"the shape is (1, {dim}), one level too deep: take number [0], the one picture.")
    if array.shape != (dim,):
        raise NotYet(f"the shape is {array.shape}; ({dim},) is wanted.")
    return array


def same_direction(one: np.ndarray, other: np.ndarray) -> bool:
    """Return whether two vectors point the same way."""
    with np.errstate(invalid="ignore"):  # NaN and infinity point nowhere
        return bool(one @ other > 0.9999 * np.linalg.norm(one) * np.linalg.norm(other) > 0)


def _a(answer: Any) -> str:
    name = type(answer).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
