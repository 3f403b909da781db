"""A class holds its lessons on the class server: `python -m benchmarks.classroom --lessons`.

Each student has a folder of its own: the student's edition, the slip's three lines in `.env`, and one picture that
nobody else has. It runs the lessons' notebooks, each in a kernel of its own; every second student answers the
exercises, and lets the teacher see it. One student floods the server all the time. One kernel is killed while it
stores, later the server itself. At the end every row of every student is compared with what it has to be.
"""

import os
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import nbformat
import numpy as np
import psutil
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from PIL import Image

from benchmarks.measure import Table, target
from benchmarks.room import Room, memory
from helpers.connect import COLLECTION, local_client
from helpers.ingest import content_id, stored_rows
from helpers.memora import AuthenticationError, Memora, NotFoundError, UnavailableError
from helpers.memora.http import to_json
from helpers.memora.models import Collection
from local_memora.classroom.register import SHARED
from teaching.editions import make_editions
from teaching.exercises import NOTEBOOKS, exercises, read
from teaching.shared import FIRST
from teaching.shared import main as share

LESSONS = ("00_first_search", "02_extract_features", "04_search_by_image")
FLOOD = "flood"  # the collection of the student who floods
MOST = 10_000  # rows of it in one answer
LINES = 12  # connections of the flood: more than one key may use at once
CELL_SECONDS = 600
PATIENCE = 600  # seconds for a server that starts again
TRIES = 4  # at a lesson
UNSEEN = "does not see this yet"  # what a check says where it could not report
TITLE = "A class holds lessons 0, 2 and 4"


@dataclass
class Student:
    """One student: a folder with the edition, and what came of the lessons.

    Parameters
    ----------
    room : Room
        The class.
    slip : dict of str to str
        The three settings.
    folder : Path
        Where the student's edition goes.
    answers : bool
        Whether the student writes the solutions into the exercises and lets the teacher see it.
    threads : int
        What the student's network may take of this machine: with more than its share, kernels wait for each other.
    """

    room: Room
    slip: dict[str, str]
    folder: Path
    answers: bool
    threads: int = 1
    seconds: dict[str, float] = field(default_factory=dict)
    again: list[str] = field(default_factory=list)  # lessons begun anew, and why
    failed: str = ""
    kernel: int = 0  # its process

    @property
    def name(self) -> str:
        """The student's project."""
        return self.slip["MEMORA_PROJECT_ID"]

    @property
    def picture(self) -> str:
        """The path of the picture that nobody else has."""
        return f"images/own/{self.name}.png"

    def client(self, project: str = "") -> Memora:
        """Return a client with the student's key."""
        return Memora(self.slip["MEMORA_API_KEY"], project or self.name, self.slip["MEMORA_URL"])

    def set_up(self, edition: Path) -> None:
        """Copy the edition, add the own picture, and paste the slip's lines into `.env`."""
        shutil.copytree(edition, self.folder)
        settings = self.slip | ({"MEMORA_REPORT": "1"} if self.answers else {})
        (self.folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        self.set_up_picture()
        with (self.folder / "data" / "metadata.csv").open("a", encoding="utf-8", newline="") as file:
            file.write(f"{self.picture},own,red,paint,wood,window,0,0\n")

    def set_up_picture(self) -> None:
        """Draw the picture that nobody else has."""
        picture = self.folder / "data" / self.picture
        picture.parent.mkdir(parents=True)
        pixels = np.random.default_rng(list(self.name.encode())).integers(0, 256, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((320, 240), Image.Resampling.NEAREST).save(picture)

    def work(self) -> None:
        """Run the lessons in order; begin one anew where its kernel or its Memora went, as a student does."""
        for lesson in LESSONS:
            begun = time.perf_counter()
            while not self._done(lesson):
                if self.failed:
                    return
            self.seconds[lesson] = time.perf_counter() - begun
        print(f"  {self.name} is done: {sum(self.seconds.values()):.0f} s", file=sys.stderr, flush=True)

    def _done(self, lesson: str) -> bool:
        try:
            self._run(self.folder / "notebooks" / f"{lesson}.ipynb")
            return True
        except DeadKernelError:
            why = "the kernel was killed"
        except CellExecutionError as error:
            why = f"{error.ename}: {error.evalue}".partition("\n")[0]
        except Exception as error:  # of what runs the notebook: it ends this student, and is told in the table
            why = f"{type(error).__name__}: {error}".partition("\n")[0]
        self.again.append(f"{lesson}: {why}")
        print(f"  {self.name}, {self.again[-1]}", file=sys.stderr, flush=True)
        if not ("was killed" in why or "could not be reached" in why) or len(self.again) >= TRIES:
            self.failed = self.again.pop()
        else:
            self.room.wait(PATIENCE)
        return False

    def _run(self, path: Path) -> None:
        notebook = nbformat.read(path, as_version=4)
        if self.answers:
            solutions = {exercise.cell.id: exercise.filled_in for exercise in exercises(read(NOTEBOOKS / path.name))}
            for cell in notebook.cells:
                cell.source = solutions.get(cell.id, cell.source)
        client = NotebookClient(notebook, timeout=CELL_SECONDS, kernel_name="python3", on_cell_start=self._note)
        self._client = client
        settings = {name: value for name, value in os.environ.items() if not name.startswith("MEMORA_")}
        settings |= {"PYTHONPATH": str(self.folder), "OMP_NUM_THREADS": str(self.threads)}
        client.execute(env=settings, cwd=str(path.parent))
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
        if any(UNSEEN in output.get("text", "") for output in outputs):
            raise ConnectionError("the server could not be reached with an exercise's report")

    def _note(self, **_: Any) -> None:
        manager: Any = self._client.km
        self.kernel = manager.provisioner.pid


class Flood:
    """One student's loop without a pause: it stores a row and searches, on several lines at once."""

    def __init__(self, student: Student) -> None:
        self.student, self._over = student, threading.Event()
        self.statuses: Counter[int | str] = Counter()
        self.stored: set[int] = set()  # ids whose insert was answered
        self.tried = 0  # the largest id

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Flood until the block ends."""
        with self.student.client() as client:
            client.collections.create(collection=Collection(FLOOD, 2))
        threads = [threading.Thread(target=self._line, args=[number]) for number in range(LINES)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def _line(self, number: int) -> None:
        slip = self.student.slip
        with httpx.Client(
            base_url=slip["MEMORA_URL"], headers={"Api-Key": slip["MEMORA_API_KEY"]}, timeout=PATIENCE
        ) as line:
            while not self._over.is_set():
                row = {"id": number, "vector": [1.0, number]}
                if self._call(line, "vectors/insert", data=row) == 200:
                    self.stored.add(number)
                self.tried = max(self.tried, number)
                number += LINES
                self._call(line, "vectors/search", data=row["vector"], annsField="vector", limit=3)

    def found(self) -> set[int]:
        """Return the ids that are stored."""
        with self.student.client() as client:
            parts = [f"id >= {low} and id < {low + MOST}" for low in range(0, self.tried + 1, MOST)]
            answers = [client.vectors.query(collection_name=FLOOD, filter=part)["data"] for part in parts]
            return {row["id"] for rows in answers for row in rows}

    def _call(self, line: httpx.Client, path: str, **body: Any) -> int | str:
        content = to_json({"project_id": self.student.name, "collectionName": FLOOD, **body})
        try:
            status: int | str = line.post(f"/{path}", content=content).status_code
        except httpx.HTTPError:
            status = "no answer"
            time.sleep(0.1)  # the server is away: this loop would only take the time of what starts it
        self.statuses[status] += 1
        return status


class Page:
    """What the teacher's page is told, asked for as the page does: every two seconds."""

    def __init__(self, room: Room) -> None:
        self._room, self._over = room, threading.Event()
        self.unanswered, self.too_many, self.slowest = 0, 0, 0.0
        self.last: dict[str, Any] = {}

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Ask until the block ends."""
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _watch(self) -> None:
        while not self._over.wait(2):
            try:
                self.last = self.ask()
            except httpx.HTTPError:
                self.unanswered += 1
                continue
            self.too_many = max(self.too_many, self.last["load"]["too_many"])
            self.slowest = max(self.slowest, self.last["load"]["search_p95_ms"] or 0)

    def ask(self) -> dict[str, Any]:
        """Return what the page would show now."""
        headers = {"Api-Key": self._room.teacher}
        return httpx.get(f"{self._room.url}/class/state", headers=headers, timeout=PATIENCE).raise_for_status().json()


def while_storing(student: Student, deed: Callable[[], None]) -> threading.Thread:
    """Start a thread that does something when a student's lesson 0 has stored a part of the pictures."""

    def watch() -> None:
        rows = 0
        with student.client() as client:
            while not rows and not student.failed:
                time.sleep(0.2)
                with suppress(NotFoundError, UnavailableError):  # not made yet; the server is away
                    rows = client.collections.get_stats(collection_name=FIRST)["data"]["rowCount"]
        if rows:
            deed()
            print(f"  interrupted while {student.name} stored, after {rows} rows", file=sys.stderr, flush=True)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def wrong_rows(student: Student, pictures: dict[int, dict[str, Any]]) -> list[str]:
    """Read all of a student's rows, and return what `wrong_in` says of them."""
    with student.client() as client:
        names = set(client.collections.list()["data"]) - {FLOOD}
        return wrong_in(student, {name: stored_rows(client, name, ["*"]) for name in names}, pictures)


def wrong_in(
    student: Student, stored: dict[str, dict[int, dict[str, Any]]], pictures: dict[int, dict[str, Any]]
) -> list[str]:
    """Return a sentence for each thing in a student's project that is not as it has to be.

    Parameters
    ----------
    stored : dict of str to dict
        The rows of each of the student's collections, by id.
    pictures : dict of int to dict
        The rows of the kit's pictures, by id, as the shared project has them.
    """
    if stored.keys() != {COLLECTION, FIRST}:
        return [f"{student.name} has the collections {sorted(stored)}"]
    own = content_id(student.folder / "data" / student.picture)
    known = stored[FIRST].get(own, {}) | {"image_path": student.picture}  # nobody else knows its vector
    wanted, found = pictures | {own: known}, []
    for name, rows in stored.items():
        found += [f"{student.name}, {name}: {key} is lost" for key in wanted.keys() - rows.keys()]
        found += [f"{student.name}, {name}: {key} is not this student's" for key in rows.keys() - wanted.keys()]
        for key in rows.keys() & wanted.keys():
            if any(rows[key][column] != value for column, value in wanted[key].items() if column != "vector"):
                found.append(f"{student.name}, {name}: {key} has other fields")
            elif np.dot(rows[key]["vector"], wanted[key]["vector"]) < 0.999:  # embedded anew: not the same bit for bit
                found.append(f"{student.name}, {name}: {key} has another vector")
    return found


def doors_open(student: Student, other: Student) -> list[str]:
    """Return what a student can do with another's project, and to the shared one: nothing, but to read the latter."""
    found = []
    with student.client(other.name) as foreign, student.client(SHARED) as shared:
        tries: dict[str, Callable[[], Any]] = {
            "list": foreign.collections.list,
            "read": lambda: foreign.vectors.query(collection_name=FIRST, filter="id >= 0"),
            "drop": lambda: foreign.collections.drop(collection_name=FIRST),
            "drop the shared": lambda: shared.collections.drop(collection_name=COLLECTION),
        }
        for what, call in tries.items():
            try:
                call()
                found.append(f"{student.name} could {what}: {other.name}")
            except AuthenticationError:
                continue
    return found


def lessons(students: int, at_once: int) -> Table:
    """Let a class hold its lessons, and return what came of it.

    Parameters
    ----------
    students : int
        How many, at least 3.
    at_once : int
        How many kernels work at the same time.
    """
    with tempfile.TemporaryDirectory(prefix="memora-class-", ignore_cleanup_errors=True) as name:
        home = Path(name)
        room = Room(home, students)
        share([str(room.folder)])
        make_editions(home / "editions")
        threads = max(1, (os.cpu_count() or 1) // at_once)
        people = [Student(room, slip, home / str(n), n % 2 == 0, threads) for n, slip in enumerate(room.slips)]
        killed, cut, flood = people[0], people[students // 2], Flood(people[-1])
        for person in (killed, cut):  # they begin with nothing, so that there is something to interrupt
            room.empty(person.slip)
        page, begun = Page(room), time.perf_counter()
        with room.served():
            for person in people:
                person.set_up(home / "editions" / "student")
            watchers = [
                while_storing(killed, lambda: psutil.Process(killed.kernel).kill()),
                while_storing(cut, room.restart),
            ]
            with memory(room) as seen, page.watched():
                with flood.going_on(), ThreadPoolExecutor(at_once) as pool:
                    list(pool.map(Student.work, people[:-1]))
                people[-1].work()
                for watcher in watchers:
                    watcher.join()
                page.last = page.ask()
            took = time.perf_counter() - begun
            room.restart()  # what is compared comes from the disk
            return _table(people, flood, page, seen, took)


def _table(people: list[Student], flood: Flood, page: Page, seen: list[float], took: float) -> Table:
    """Return what was measured, and whether all is as it has to be."""
    figures: dict[str, Any] = {
        "students; lessons of each": f"{len(people)}; {', '.join(LESSONS)}",
        "all together took (min)": took / 60,
        "CPU of the kernels (min)": sum(os.times()[2:4]) / 60,
        **{f"{lesson}, median and longest (s)": _spread(people, lesson) for lesson in LESSONS},
        "begun anew": "; ".join(f"{person.name}, {why}" for person in people for why in person.again) or "none",
        "the flood's calls": ", ".join(f"{count:,} x {status}" for status, count in flood.statuses.most_common()),
        "the page: most calls in a minute that were too many": page.too_many,
        "the page: slowest minute, 19 of 20 searches within (ms)": page.slowest,
        "the page: asked in vain while the server was away": page.unanswered,
        "the server's memory (MB): at first, at the end, most": f"{seen[0]:.0f}, {seen[-1]:.0f}, {max(seen):.0f}",
    }
    rows = [{"what": what, "figure": figure} for what, figure in figures.items()]
    note = __doc__.partition("\n\n")[2].strip().replace("\n", " ")
    return Table("lessons", TITLE, note, rows, _targets(people, flood, page))


def _targets(people: list[Student], flood: Flood, page: Page) -> list[str]:
    """Compare what is stored and shown with what it has to be."""
    with local_client(people[0].room.folder, project=SHARED) as shared:
        pictures = stored_rows(shared, COLLECTION, ["*"])
    flooded, each = flood.found(), len(pictures) + 1  # rows of a collection
    failed = [person.failed for person in people if person.failed]
    wrong = [said for person in people for said in wrong_rows(person, pictures)]
    wrong += [f"{flood.student.name}, {FLOOD}: {key} is lost" for key in flood.stored - flooded]
    opened = [said for n, person in enumerate(people) for said in doors_open(person, people[n - 1])]
    unlike = [person.name for person in people if not _is_shown(person, page.last, each, len(flooded))]
    for said in (*failed, *wrong, *opened, *(f"the page shows {name} otherwise" for name in unlike)):
        print(said, file=sys.stderr)
    killed = any("was killed" in why for person in people for why in person.again)
    away, refused = flood.statuses["no answer"], set(flood.statuses) - {200, 413, 429, "no answer"}
    compared = f"{2 * each * len(people) + len(flood.stored):,}"
    return [
        target("every student ran every lesson", not failed, f"{len(failed)} did not"),
        target("a kernel and the server were killed while they stored", killed and away > 0, f"{killed}, {away > 0}"),
        target("no row is lost, damaged or another's", not wrong, f"{len(wrong)} of {compared}"),
        target("nobody opens another's project", not opened, f"{len(opened)} of {4 * len(people)} tries"),
        target("the flood gets answers, or is told its limits", not refused, f"others: {sorted(map(str, refused))}"),
        target("the page shows what each has and did", not unlike, f"{len(unlike)} students otherwise"),
    ]


def _spread(people: list[Student], lesson: str) -> str:
    seconds = [person.seconds[lesson] for person in people if lesson in person.seconds]
    return f"{np.median(seconds):.0f}, {max(seconds):.0f}" if seconds else "none"


def _is_shown(person: Student, page: dict[str, Any], rows: int, flooded: int) -> bool:
    """Return whether the page shows a student's collections, rows and exercises as they are."""
    (shown,) = (each for each in page["students"] if each["name"] == person.name)
    floods = person.name == page["students"][-1]["name"]
    notebooks = [read(NOTEBOOKS / f"{lesson}.ipynb") for lesson in LESSONS if person.answers]
    done = {exercise.name: True for notebook in notebooks for exercise in exercises(notebook)}
    has = shown["collections"], shown["rows"], shown["exercises"]
    return has == (2 + floods, 2 * rows + floods * flooded, done)
