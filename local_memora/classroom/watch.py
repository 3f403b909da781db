"""What the teacher's page shows of the calls: who is here, how far, which mistakes, how fast."""

import re
import statistics
import threading
import time
from collections import Counter, defaultdict, deque
from dataclasses import dataclass
from typing import Any

from local_memora.contract.errors import ApiError

MINUTE = 60.0  # seconds: who has called since then is here; the load is that of this time
KEPT = 10_000  # calls, for the load
LONGEST = 160  # characters of a mistake
SHOWN = 5  # mistakes: more do not fit on a projector beside thirty students
SEARCHES = ("vectors/search", "vectors/hybrid_search")


@dataclass
class Progress:
    """What one student has done since the server started."""

    last: float = 0.0
    searches: int = 0
    mistakes: int = 0


class Watch:
    """Counts calls; it keeps no vector, no row and no key."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._students: defaultdict[str, Progress] = defaultdict(Progress)
        self._mistakes: Counter[str] = Counter()
        self._who: defaultdict[str, set[str]] = defaultdict(set)
        self._calls: deque[tuple[float, float, bool]] = deque(maxlen=KEPT)  # when, seconds, whether a search
        self._slowed: deque[float] = deque(maxlen=KEPT)

    def done(self, name: str, path: str, seconds: float) -> None:
        """Count a call that was answered."""
        with self._guard:
            self._seen(name).searches += path in SEARCHES
            self._calls.append((time.monotonic(), seconds, path in SEARCHES))

    def failed(self, name: str, path: str, error: Exception) -> None:
        """Count a call that was refused, or failed; one that came too often is not a mistake of its content."""
        status, message = (error.status, error.message) if isinstance(error, ApiError) else (500, type(error).__name__)
        with self._guard:
            student = self._seen(name)
            if status in (429, 503):
                self._slowed.append(time.monotonic())
                return
            student.mistakes += 1
            kind = f"{path}: {_general(message)}"
            if kind in self._mistakes or len(self._mistakes) < KEPT:
                self._mistakes[kind] += 1
                self._who[kind].add(name)

    def _seen(self, name: str) -> Progress:
        self._students[name].last = time.monotonic()
        return self._students[name]

    def student(self, name: str) -> dict[str, Any]:
        """Return what is known of a student's calls; `seconds` since the last one, None before the first."""
        with self._guard:
            if name not in self._students:
                return {"here": False, "seconds": None, "searches": 0, "mistakes": 0}
            one = self._students[name]
            seconds = time.monotonic() - one.last
            here = {"here": seconds < MINUTE, "seconds": round(seconds)}
            return {**here, "searches": one.searches, "mistakes": one.mistakes}

    def mistakes(self) -> list[dict[str, Any]]:
        """Return the mistakes that were made most, by how many students."""
        with self._guard:
            return [
                {"mistake": kind, "times": times, "students": len(self._who[kind])}
                for kind, times in self._mistakes.most_common(SHOWN)
            ]

    def load(self) -> dict[str, Any]:
        """Return calls a second, calls that were too many, and how long a search takes in ms, in the last minute."""
        since = time.monotonic() - MINUTE
        with self._guard:
            calls = [call for call in self._calls if call[0] > since]
            slowed = sum(when > since for when in self._slowed)
        searches = [1000 * seconds for _, seconds, search in calls if search]
        cuts = statistics.quantiles(searches, n=20, method="inclusive") if len(searches) > 1 else [*searches * 19]
        return {
            "calls_a_second": round(len(calls) / MINUTE, 1),
            "too_many": slowed,
            "search_p50_ms": round(cuts[9], 1) if cuts else None,
            "search_p95_ms": round(cuts[18], 1) if cuts else None,
        }


def _general(message: str) -> str:
    """Return a message without what only one student has: names in quotes, and numbers."""
    return re.sub(r"\d[\d,.]*\d|\d", "N", re.sub(r"'[^']*'|\"[^\"]*\"", "...", message))[:LONGEST]
