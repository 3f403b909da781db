"""What the checks' tests share."""

import contextlib
import io
from collections.abc import Callable
from typing import Any


def answer(check: Callable[..., None], *given: Any) -> str:
    """Return the one line that a check prints; whatever is wrong with the answer, it never raises."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert check(*given) is None
    (line,) = out.getvalue().splitlines()
    return line


def hint(check: Callable[..., None], *given: Any) -> str:
    """Return the hint for an answer that is not right."""
    line = answer(check, *given)
    assert line.startswith("Not yet: "), line
    return line


def is_right(check: Callable[..., None], *given: Any) -> bool:
    """Return whether a check takes an answer; the hint is shown where it does not."""
    line = answer(check, *given)
    assert line.startswith("Right: "), line
    return True
