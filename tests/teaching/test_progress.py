"""A teacher learns how far each student is, and a hand-in, which is somebody's code, does no harm by it."""

import csv
import os
import shutil
import socket
import threading
from pathlib import Path

import nbformat
import pytest

from teaching import progress
from teaching.exercises import NOTEBOOKS, exercises, lessons, read
from teaching.handed_in import refuse_network
from teaching.progress import Result, names_in, network_can_be_shut_off
from tests.execute_notebooks import edited

PLAN = (
    'plan = {"count": 4_000_000, "dim": 768, "index_type": "IVF_FLAT", "replicas": 1}\n'
    "check.plan_fits(plan, memory_gb=16)"
)
LESSON = {lesson.name[:2]: lesson for lesson in progress.course()}
# Lesson 6 compares ways to pool, of which no exercise asks: all three are the mean here.
POOLED = (
    "asked, stored = pooled(lite, files), pooled(lite, pictures)",
    "asked, stored = (np.repeat(made[:, None], 3, axis=1) for made in (vectors, matrix))",
)
SECONDS = 1_800  # a busy machine takes its time; nothing waits for this when all is well


def hand_in(path: Path, number: str, answers: dict[str, str], added: str = "") -> Path:
    """Write a student's copy of a lesson with some answers; the other exercises are left empty."""
    notebook = read(next(path for path in lessons() if path.stem.startswith(number)))
    for exercise in exercises(notebook):
        exercise.cell.source = answers.get(exercise.name, exercise.cell.source)
    if added:
        notebook.cells.insert(5, nbformat.v4.new_code_cell(added))
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


@pytest.fixture(scope="module")
def filled(kit_home: Path) -> Path:
    return kit_home


@pytest.fixture(scope="module")
def isolated() -> bool:
    return network_can_be_shut_off()


def states(results: list[Result]) -> dict[str, str]:
    return {result.exercise: result.state for result in results}


def test_right_tried_and_empty_are_told_apart(tmp_path: Path, filled: Path, isolated: bool) -> None:
    """With a function of the student's own in a cell between the lesson's, and a lesson's cell that was broken."""
    answers = {
        "precision": "def precision_at_k(hits, category):\n    return mean_of(h.category == category for h in hits)\n\n"
        "check.precision(precision_at_k)",
        "distance_to_itself": "check.distance_to_itself(client, COLLECTION, 0)",
        "blue_from_the_second": 'options = {"limit": 5}  # I do not know\n'
        "check.blue_from_the_second(client, extractor, options)",
    }
    added = "def mean_of(values):\n    values = list(values)\n    return sum(values) / len(values) if values else 0"
    path = hand_in(tmp_path / "ada" / "renamed (1).ipynb", "04", answers, added)
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].source = "client = None  # broken"
    nbformat.write(notebook, path)
    results = progress.check_one("ada", path, list(LESSON.values()), filled, SECONDS, isolated)
    assert {result.lesson for result in results} == {"04_search_by_image"}
    assert states(results) == {"distance_to_itself": "tried", "blue_from_the_second": "empty", "precision": "right"}
    assert "right angle" in results[0].why


def test_every_solution_of_the_course_is_found_right(tmp_path: Path, filled: Path, isolated: bool) -> None:
    """In small sizes: the question is whether each answer gets what it needs, and nothing that takes it away."""
    course = progress.course()
    for lesson in course:
        for cell in lesson.cells:
            cell.source = edited(lesson.name, cell.source).replace(*POOLED)
        solved = {one.name: one.filled_in for one in exercises(read(NOTEBOOKS / f"{lesson.name}.ipynb"))}
        path = hand_in(tmp_path / f"{lesson.name}.ipynb", lesson.name[:2], solved)
        results = progress.check_one("ada", path, course, filled, SECONDS, isolated)
        assert set(states(results).values()) == {"right"}, results


def test_an_answer_that_never_ends_or_kills_its_process_costs_itself_only(
    filled: Path, isolated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first process is the one that never ends: only it is stopped soon, whether or not it has come so far."""
    limits, start = iter([10, SECONDS, SECONDS]), progress._start
    monkeypatch.setattr(progress, "_start", lambda home, seconds, isolated: start(home, next(limits), isolated))
    steps = [
        ("comparisons", "while True:\n    pass"),
        ("smallest_nprobe", "import os\nos._exit(0)"),
        ("plan_fits", PLAN),
    ]
    found = progress.run(steps, filled, SECONDS, isolated)
    assert found["plan_fits"][0] == "right", found
    assert found["comparisons"] == ("tried", "it was stopped: it took more than 10 seconds")
    assert found["smallest_nprobe"] == ("tried", "the process ended before this answer was checked")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ('print("Right: 500")', "Right: 500"),
        ("check.comparisons(", "SyntaxError"),
        ("check.comparisons(count=nobody, nlist=1, nprobe=1, answer=1)", "NameError"),
        ("raise SystemExit", "SystemExit"),
    ],
)
def test_what_is_no_right_answer_counts_as_tried(filled: Path, isolated: bool, answer: str, why: str) -> None:
    found = progress.run([("comparisons", answer), ("plan_fits", PLAN)], filled, SECONDS, isolated)
    assert found["comparisons"][0] == "tried" and why in found["comparisons"][1]
    assert found["plan_fits"][0] == "right"


def test_a_hand_in_reaches_nobody_and_sees_none_of_the_teacher_s_settings(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server of this test listens on the machine; the hand-in tries by three ways to reach it."""
    if not network_can_be_shut_off():
        pytest.skip("a process without a network can't be started here")
    monkeypatch.setenv("MEMORA_API_KEY", "the teacher's key")
    with socket.create_server(("127.0.0.1", 0)) as server:
        asked = threading.Event()
        threading.Thread(target=lambda: (server.accept(), asked.set()), daemon=True).start()
        port = server.getsockname()[1]
        answer = (
            "import os, socket, subprocess, sys\nfound = []\n"
            f"code = 'import socket; socket.create_connection((\"127.0.0.1\", {port}), 5)'\n"
            "found.append(subprocess.run([sys.executable, '-c', code], capture_output=True).returncode)\n"
            f"try:\n    socket.create_connection(('127.0.0.1', {port}), 5)\n    found.append('reached')\n"
            "except OSError as error:\n    found.append(type(error).__name__)\n"
            "print(found, os.environ['MEMORA_API_KEY'] == '', os.environ['HOME'] != '/root')"
        )
        found = progress.run([("comparisons", answer)], filled, SECONDS, isolated=True)
        assert found["comparisons"][1] == "[1, 'OSError'] True True"
        assert not asked.is_set()


@pytest.mark.parametrize(
    ("event", "arguments"),
    [
        ("socket.connect", (None, ("memora.example", 443))),
        ("socket.sendto", (None, ("192.0.2.1", 53))),
        ("socket.getaddrinfo", ("memora.example", 443, 0, 0, 0)),
    ],
)
def test_where_the_network_stays_on_python_s_connections_are_refused(event: str, arguments: tuple) -> None:
    with pytest.raises(PermissionError, match="can't be reached"):
        refuse_network(event, arguments)
    refuse_network("socket.connect", (None, ("127.0.0.1", 80)))
    refuse_network("socket.connect", (None, "a socket"))
    refuse_network("open", ("file", "r", 0))


def test_students_are_named_by_their_folder_or_their_file(tmp_path: Path) -> None:
    names = ["ada/04_search_by_image.ipynb", "Grace Hopper_123_file_/x.ipynb", "linus_04_search_by_image.ipynb"]
    names += ["submitted/zoë/04_search_by_image/04_search_by_image.ipynb", "04_search_by_image.ipynb"]
    for name in [*names, "ada/.ipynb_checkpoints/04_search_by_image-checkpoint.ipynb"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [student for student, _ in progress.hand_ins(tmp_path)]
    assert sorted(found) == ["(no name)", "Grace Hopper_123_file", "ada", "linus", "submitted"]
    assert [student for student, _ in progress.hand_ins(tmp_path / "submitted")] == ["zoë"]


@pytest.mark.parametrize("name", ["nothing here", "empty"])
def test_a_folder_without_notebooks_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=name):
        list(progress.hand_ins(tmp_path / name))


def test_of_two_files_for_a_lesson_the_newer_counts_and_a_broken_one_is_named(
    tmp_path: Path, kit_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also: the table and the CSV, and a name that a spreadsheet would take for a formula."""
    monkeypatch.setattr(progress, "fill", lambda home: shutil.copytree(kit_home, home))
    older = hand_in(tmp_path / "in" / "=ada" / "07.ipynb", "07", {"plan_fits": "check.plan_fits(1)"})
    os.utime(older, (1, 1))
    hand_in(tmp_path / "in" / "=ada" / "07 again.ipynb", "07", {"plan_fits": PLAN})
    (tmp_path / "in" / "bob").mkdir()
    (tmp_path / "in" / "bob" / "07_choose_an_index.ipynb").write_text("{")
    progress.main([str(tmp_path / "in"), "--csv", str(tmp_path / "out.csv")])
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    ada = {row["exercise"]: row["state"] for row in rows if row["student"] == "'=ada"}
    assert ada.pop("plan_fits") == "right"
    assert ada and set(ada.values()) == {"empty"}
    said = capsys.readouterr().out
    assert "bob, (the file): 07_choose_an_index.ipynb is no notebook that can be read" in said
    assert [line.split() for line in said.splitlines() if line.startswith("=ada")] == [["=ada", "-", "right", "-", "-"]]


@pytest.mark.parametrize(
    ("source", "gives", "uses"),
    [
        ("import numpy as np\nx = np.array(y)", {"np", "x"}, {"np", "x", "y"}),
        ("session.ask(picture)", {"session"}, {"session", "picture"}),
        ("def double(x):\n    return x * factor", {"double"}, {"factor"}),
        ("rows[0]['id'] = len(rows)", {"rows"}, {"rows"}),
        ("this is no python", set(), set()),
    ],
)
def test_only_what_an_answer_needs_is_run_before_it(source: str, gives: set[str], uses: set[str]) -> None:
    assert names_in(source)[0] == gives
    assert names_in(source)[1] | gives == uses | gives
