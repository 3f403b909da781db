"""How far a class is, from a folder of handed-in notebooks: `python -m teaching.progress FOLDER`, `make progress`.

Each hand-in's exercises are checked anew: in a process of its own (`teaching.handed_in`), in a clean state, with a
time limit and without the network. docs/teaching/editions.md says what a hand-in can and can't do there.
"""

import argparse
import ast
import builtins
import contextlib
import csv
import json
import os
import re
import shutil
import signal
import subprocess
import symtable
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from helpers.connect import local_client
from helpers.features import load_extractor
from helpers.images import load_folder
from helpers.ingest import ingest
from helpers.settings import HOSTED, ROOT
from teaching.exercises import checks, exercises, lessons, read

RIGHT, TRIED, EMPTY = "right", "tried", "empty"
FILE = "(the file)"  # stands for an exercise where a file can't be read
SIGNS = {RIGHT: "right", TRIED: "tried", EMPTY: "-"}
LARGEST = 50_000_000  # bytes of a notebook that is read
# Linux: a network in which there is nobody, and processes that end with the first of them.
ISOLATED = ["unshare", "--map-root-user", "--net", "--pid", "--fork", "--kill-child"]
BLANK = (*HOSTED, "MEMORA_ENGINE", "MEMORA_ENGINE_TOKEN", "MEMORA_EXTRACTOR", "MEMORA_REPORT")  # empty wins over .env
KEPT = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "SYSTEMDRIVE", "COMSPEC", "PATHEXT", "NUMBER_OF_PROCESSORS")


@dataclass
class Result:
    """One exercise of one student."""

    student: str
    lesson: str
    exercise: str
    state: str
    why: str = ""


@dataclass(frozen=True)
class Lesson:
    """What a lesson is held against: the kit's own cells, and each exercise's empty answer."""

    name: str
    cells: list[NotebookNode]
    empty: dict[str, str]


def course() -> list[Lesson]:
    """Return the lessons that have exercises."""
    found = []
    for path in lessons():
        notebook = read(path)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        empty = {exercise.name: exercise.cell.source for exercise in exercises(notebook)}
        if empty:
            found.append(Lesson(path.stem, code, empty))
    return found


def hand_ins(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield student and notebook: a folder for each student, or files such as `ada_04_search_by_image.ipynb`.

    Raises
    ------
    ValueError
        It is no folder, or it holds no notebook.
    """
    if not folder.is_dir():
        raise ValueError(f"There is no folder {str(folder)!r}: give the one with the handed-in notebooks.")
    paths = [path for path in sorted(folder.rglob("*.ipynb")) if ".ipynb_checkpoints" not in path.parts]
    if not paths:
        raise ValueError(f"In {str(folder)!r} and the folders below it there is no notebook (.ipynb).")
    for path in paths:
        first = path.relative_to(folder).parts[0]
        name = first if first != path.name else re.sub("|".join(lesson.stem for lesson in lessons()), "", path.stem)
        yield name.strip(" _-.()") or "(no name)", path


def lesson_of(notebook: NotebookNode, among: list[Lesson]) -> Lesson | None:
    """Return the lesson that has most of the checks that a notebook calls: files are renamed, checks are not."""
    called = {name for cell in notebook.cells for name in checks(cell.source)}
    best = max(among, key=lambda lesson: len(called & set(lesson.empty)))
    return best if called & set(best.empty) else None


def same_code(one: str, other: str) -> bool:
    """Return whether two cells differ in nothing but spaces and comments."""
    try:
        return ast.dump(ast.parse(one)) == ast.dump(ast.parse(other))
    except (SyntaxError, ValueError):
        return one.split() == other.split()


def answers(notebook: NotebookNode, lesson: Lesson) -> dict[str, list[tuple[str, str]]]:
    """Return for each exercise what a hand-in has there: pairs of the exercise's name, or "", and a cell's source.

    A cell that the student added belongs to the exercise that comes after it, and has no name. An exercise that is
    left empty has no pairs.
    """
    ids = {cell.id for cell in lesson.cells} | {f"{cell.id}-point" for cell in lesson.cells}
    known = [cell.source for cell in lesson.cells]
    answered: dict[str, list[tuple[str, str]]] = {name: [] for name in lesson.empty}
    added: list[tuple[str, str]] = []
    for cell in notebook.cells:
        names = [name for name in checks(cell.source) if name in lesson.empty]
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        if names and not same_code(cell.source, lesson.empty[names[-1]]):
            answered[names[-1]] += [*added, (names[-1], cell.source)]
            added = []
        elif not names and cell.id not in ids and cell.source not in known:
            added.append(("", cell.source))
    return answered


def plan(lesson: Lesson, answered: dict[str, list[tuple[str, str]]]) -> list[tuple[str, str]]:
    """Return what to run: pairs of an exercise's name, or "", and a cell's source, in the lesson's order.

    The lesson's own cells are the kit's, whatever a student made of them; of these and of the student's, only those
    that set up names which the answers use.
    """
    steps: list[tuple[str, str]] = []
    for cell in lesson.cells:
        names = [name for name in checks(cell.source) if name in lesson.empty]
        steps += (names and answered[names[-1]]) or [("", cell.source)]
    needed: set[str] = set()
    kept = []
    for name, source in reversed(steps):
        gives, uses = names_in(source)
        if name or gives & needed:
            needed |= uses
            kept.append((name, source))
    return kept[::-1]


def names_in(source: str) -> tuple[set[str], set[str]]:
    """Return the names that a cell gives or changes, and those that it uses and that come from elsewhere."""
    try:
        table, tree = symtable.symtable(source, "cell", "exec"), ast.parse(source)
    except (SyntaxError, ValueError):
        return set(), set()
    gives = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    for node in tree.body:  # session.ask(...) and row["id"] = 1 change what they name
        targets = node.targets if isinstance(node, ast.Assign) else [node.value] if isinstance(node, ast.Expr) else []
        gives |= {root for target in targets if (root := _root(target))}
    uses, tables = set(), [table]
    while tables:
        inner = tables.pop()
        tables += inner.get_children()
        module = inner is table
        uses |= {s.get_name() for s in inner.get_symbols() if s.is_referenced() and (module or s.is_global())}
    return gives, uses - set(dir(builtins)) - {"check"}


def _root(node: ast.expr) -> str:
    """Return the name before the first dot or bracket of a call's function, an attribute or an item."""
    if isinstance(node, ast.Call):
        return _root(node.func) if isinstance(node.func, ast.Attribute) else ""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def environment(home: Path) -> dict[str, str]:
    """Return the variables of a hand-in's process: nothing of the teacher's but what a program needs to start."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    places = dict.fromkeys(("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP", "IPYTHONDIR", "MPLCONFIGDIR"), str(home))
    settings = dict.fromkeys(BLANK, "") | {"MEMORA_HOME": str(home / "memora"), "HF_HOME": str(home / "hub")}
    return kept | places | settings | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "MPLBACKEND": "agg"}


def network_can_be_shut_off() -> bool:
    """Return whether this machine can start a process without any network."""
    if sys.platform != "linux" or not shutil.which(ISOLATED[0]):
        return False
    return subprocess.run([*ISOLATED, "true"], capture_output=True).returncode == 0


def run(steps: list[tuple[str, str]], filled: Path, seconds: float, isolated: bool) -> dict[str, tuple[str, str]]:
    """Run a hand-in's cells and return, for each exercise, its state and why.

    An answer that takes too long is stopped and left out; what comes after it is run without it.
    """
    found: dict[str, tuple[str, str]] = {}
    steps = list(steps)
    while waiting := [name for name, _ in steps if name and name not in found]:
        with tempfile.TemporaryDirectory(prefix="memora-hand-in-", ignore_cleanup_errors=True) as folder:
            home = Path(folder)
            shutil.copytree(filled, home / "memora")
            (home / "steps.json").write_text(json.dumps(steps), encoding="utf-8")
            stopped = _start(home, seconds, isolated)
            done = [json.loads(line) for line in _lines(home / "results")]
        for name, is_right, why in done:
            if name in waiting and found.get(name, (TRIED,))[0] != RIGHT:
                found[name] = (RIGHT if is_right else TRIED, why)
        late = next((name for name in waiting if name not in found), None)
        if late is not None:
            found[late] = (TRIED, stopped)
            steps = [step for step in steps if step[0] != late]
    return found


def _start(home: Path, seconds: float, isolated: bool) -> str:
    """Run the process and return why it ended early, where it did."""
    command = [*(ISOLATED if isolated else []), sys.executable, "-m", "teaching.handed_in", str(home)]
    nothing = subprocess.DEVNULL
    process = subprocess.Popen(
        command,
        cwd=home,
        env=environment(home),
        stdin=nothing,
        stdout=nothing,
        stderr=nothing,
        start_new_session=True,
    )
    try:
        process.wait(seconds)
        return "the process ended before this answer was checked"
    except subprocess.TimeoutExpired:
        return f"it was stopped: it took more than {seconds:g} seconds"
    finally:
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # also what the hand-in started
        process.kill()
        process.wait()


def _lines(path: Path) -> list[str]:
    """Return the whole lines of a file; none where it is missing."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return text[: text.rfind("\n") + 1].splitlines()


def check_one(
    student: str, path: Path, among: list[Lesson], filled: Path, seconds: float, isolated: bool
) -> list[Result]:
    """Return the results of one handed-in notebook; none where it has no exercise of the course."""
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"{path.name} is larger than {LARGEST // 1_000_000} MB")
        notebook = read(path)
    except (OSError, ValueError) as error:
        return [Result(student, path.stem, FILE, TRIED, str(error))]
    lesson = lesson_of(notebook, among)
    if lesson is None:
        return []
    found = run(plan(lesson, answers(notebook, lesson)), filled, seconds, isolated)
    return [Result(student, lesson.name, name, *found.get(name, (EMPTY, ""))) for name in lesson.empty]


def fill(home: Path) -> None:
    """Store the course's pictures in a local Memora, of which each hand-in gets a copy."""
    with local_client(home) as client:
        print(ingest(client, load_folder(), extractor=load_extractor("efficientnet-lite0")))  # what hand-ins load


def check_all(folder: Path, *, seconds: float, jobs: int, isolated: bool) -> list[Result]:
    """Return the results of all hand-ins, by student and lesson; of two files for one lesson the newer one counts."""
    among = course()
    files = sorted(hand_ins(folder), key=lambda pair: pair[1].stat().st_mtime)
    with tempfile.TemporaryDirectory(prefix="memora-progress-") as home:
        filled = Path(home, "memora")
        fill(filled)
        with ThreadPoolExecutor(jobs) as pool:
            work = [pool.submit(check_one, *pair, among, filled, seconds, isolated) for pair in files]
            checked = [result for one in work for result in one.result()]
    newest = {(result.student, result.lesson, result.exercise): result for result in checked}
    order = [name for lesson in among for name in lesson.empty]
    return sorted(
        newest.values(), key=lambda r: (r.student, r.lesson, order.index(r.exercise) if r.exercise in order else -1)
    )


def table(results: list[Result]) -> str:
    """Return the results as text: for each lesson a line for each student, then how many are right."""
    lines = []
    results = [result for result in results if result.exercise != FILE]
    for lesson in sorted({result.lesson for result in results}):
        rows = [result for result in results if result.lesson == lesson]
        names = list(dict.fromkeys(result.exercise for result in rows))
        students = list(dict.fromkeys(result.student for result in rows))
        wide = max(len(student) for student in [*students, "right"]) + 2
        lines += [lesson, " " * wide + "  ".join(names)]
        state = {(row.student, row.exercise): row.state for row in rows}
        for student in students:
            cells = [SIGNS.get(state.get((student, name), EMPTY), "").ljust(len(name)) for name in names]
            lines.append(f"{student:<{wide}}" + "  ".join(cells).rstrip())
        counts = Counter(row.exercise for row in rows if row.state == RIGHT)
        totals = [f"{counts[name]} of {len(students)}".ljust(len(name)) for name in names]
        lines += [f"{'right':<{wide}}" + "  ".join(totals).rstrip(), ""]
    return "\n".join(lines)


def write_csv(results: list[Result], path: Path) -> None:
    """Write a line for each student and exercise; a text that a spreadsheet would take for a formula gets a quote."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["student", "lesson", "exercise", "state", "why"])
        for result in results:
            values = (result.student, result.lesson, result.exercise, result.state, result.why)
            writer.writerow(
                [f"'{value}" if value.startswith(("=", "+", "-", "@", "\t")) else value for value in values]
            )


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, check the hand-ins, print the table and write the CSV."""
    parser = argparse.ArgumentParser(prog="python -m teaching.progress", description=__doc__)
    parser.add_argument("folder", type=Path, help="the handed-in notebooks: a folder for each student, or named files")
    parser.add_argument("--csv", type=Path, default=Path("progress.csv"), help="where to write (default: progress.csv)")
    parser.add_argument("--seconds", type=float, default=300, help="how long one hand-in may run (default: 300)")
    parser.add_argument("--jobs", type=int, default=1, help="how many run at once, 2 GB of memory each (default: 1)")
    options = parser.parse_args(arguments)
    isolated = network_can_be_shut_off()
    if not isolated:
        print("The network can't be shut off on this machine: Python's own connections are refused, others are not.")
    try:
        results = check_all(options.folder, seconds=options.seconds, jobs=options.jobs, isolated=isolated)
    except ValueError as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    write_csv(results, options.csv)
    print(table(results))
    for result in results:
        if result.state == TRIED:
            print(f"{result.student}, {result.exercise}: {result.why}")
    print(f"Written: {options.csv}")


if __name__ == "__main__":
    main()
