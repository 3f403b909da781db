"""Which exercises students have done, of those who let the teacher see it: names, and right or not; no answer."""

import threading
from pathlib import Path

import orjson

from local_memora.contract.bodies import Body
from local_memora.contract.errors import ApiError
from local_memora.contract.schema import Name

FILE = "exercises.json"
MOST = 200  # exercises of one student


class Report(Body):
    """What a student's check sends."""

    exercise: Name
    right: bool


class Reports:
    """What was reported, kept in the class's folder.

    Parameters
    ----------
    folder : Path
        The data folder of the class.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._guard = threading.Lock()
        self._kept: dict[str, dict[str, bool]] = orjson.loads(self._path.read_bytes()) if self._path.exists() else {}

    def note(self, report: Report) -> None:
        """Keep a report: an exercise that was right once stays so.

        Raises
        ------
        ApiError
            413 where a student reports more exercises than the course could have.
        """
        with self._guard:
            done = self._kept.get(report.project_id, {})
            if report.exercise not in done and len(done) >= MOST:
                raise ApiError(413, f"{MOST} exercises were reported with this key already")
            if done.get(report.exercise) in (True, report.right):
                return
            self._kept = {**self._kept, report.project_id: {**done, report.exercise: report.right}}
            new = self._path.with_suffix(".new")
            new.write_bytes(orjson.dumps(self._kept))
            new.replace(self._path)

    def of(self, student: str) -> dict[str, bool]:
        """Return the exercises that a student has tried, and whether they were right."""
        return self._kept.get(student, {})
