"""Editions are what their readers need: students get no solution, teachers all, nbgrader its own form."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest

from teaching.editions import WithSolutions, edition, main
from teaching.exercises import BEGIN, END, exercises, lessons, read

PATHS = lessons()
NAMES = [path.stem for path in PATHS]
# nbgrader's documented metadata, schema 3: name -> kind.
SCHEMA = {"schema_version": int, "grade": bool, "solution": bool, "locked": bool, "task": bool, "grade_id": str}


@pytest.fixture(scope="module")
def editions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with all editions and their archives; its path has a space and a non-ASCII letter."""
    folder = tmp_path_factory.mktemp("éditions of all")
    main(["--to", str(folder), "--zip"])
    return folder


def sources(notebook: nbformat.NotebookNode) -> dict[str, str]:
    return {cell.id: cell.source for cell in notebook.cells}


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_students_get_every_cell_but_the_solutions(path: Path) -> None:
    notebook, student = read(path), edition(path, "student")
    hidden = {exercise.folded.id for exercise in exercises(notebook)}
    hidden |= {cell.id for cell in notebook.cells if "teacher" in cell.metadata.get("tags", [])}
    kept = {name: source for name, source in sources(notebook).items() if name not in hidden}
    assert list(sources(student).items()) == list(kept.items())
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in student.cells)


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_no_line_of_a_solution_or_a_note_reaches_students(path: Path) -> None:
    notebook, text = read(path), "\n".join(sources(edition(path, "student")).values())
    assert "<details>" not in text and "Solution" not in text and BEGIN not in text
    for exercise in exercises(notebook):
        others = "\n".join(cell.source for cell in notebook.cells if cell is not exercise.folded)
        told = [line.strip() for line in exercise.solution.splitlines() if line.strip() not in others]
        assert told, exercise.name
        assert not [line for line in told if line in text], exercise.name


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_teachers_get_every_solution_below_its_empty_answer(path: Path) -> None:
    notebook, teacher = read(path), sources(edition(path, "teacher"))
    for exercise in exercises(notebook):
        filled = f"{exercise.cell.source}\n{BEGIN}\n{exercise.solution}\n{END}"
        assert teacher[exercise.cell.id] == filled
        told = exercise.folded.source.replace(f"```python\n{exercise.solution}\n```", "")
        told = re.sub(r"<summary>Solution</summary>|</?details>", "", told)
        assert exercise.remark.split() == told.split(), "all that is said about the solution"
        assert not exercise.remark or exercise.remark in teacher[exercise.folded.id]
    assert teacher["teacher-notes"].startswith("> **For the teacher.**"), "write docs/teaching/lessons/NAME.md"


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_without_what_stands_between_the_marks_nbgrader_s_form_is_the_student_s(path: Path) -> None:
    """The two drift apart where one of them is made in another way."""
    cleared = []
    for cell in edition(path, "nbgrader").cells:
        if not cell.id.endswith("-point"):
            cleared.append((cell.id, re.sub(f"\n{BEGIN}\n.*?\n{END}", "", cell.source, flags=re.DOTALL)))
    assert cleared == [(cell.id, cell.source) for cell in edition(path, "student").cells]


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_nbgrader_s_metadata_is_of_its_schema(path: Path) -> None:
    notebook = edition(path, "nbgrader")
    nbformat.validate(notebook)
    marked = [cell for cell in notebook.cells if "nbgrader" in cell.metadata]
    marks = [cell.metadata.nbgrader for cell in marked]
    assert len({mark.grade_id for mark in marks}) == len(marks) == 2 * len(exercises(read(path)))
    for cell, mark in zip(marked, marks, strict=True):
        wanted = SCHEMA | ({"points": int} if mark.grade else {})
        assert {name: type(value) for name, value in mark.items()} == wanted
        assert re.fullmatch(r"[A-Za-z0-9_\-]+", mark.grade_id) and mark.schema_version == 3
        assert mark.solution != mark.grade == mark.locked
        assert (BEGIN in cell.source) == mark.solution


def test_the_point_is_given_for_the_last_answer_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A right answer that was made wrong again gives no point, and an empty one none."""
    from helpers import check
    from helpers.check import answers

    monkeypatch.setattr(answers, "right", {})  # other tests in this process give answers too

    path = next(path for path in PATHS if path.stem.startswith("07"))
    point = next(cell.source for cell in edition(path, "nbgrader").cells if cell.id == "exercise-plan-point")
    plan = {"count": 4_000_000, "dim": 768, "index_type": "HNSW", "replicas": 2}
    with pytest.raises(AssertionError, match="plan_fits: not right yet"):
        exec(point, {})
    check.plan_fits(plan | {"index_type": "IVF_FLAT", "replicas": 1}, memory_gb=16)
    exec(point, {})
    check.plan_fits(plan, memory_gb=16)
    with pytest.raises(AssertionError, match="plan_fits: not right yet"):
        exec(point, {})


def test_an_exercise_whose_solution_has_no_code_is_refused() -> None:
    notebook = read(next(path for path in PATHS if path.stem.startswith("04")))
    folded = exercises(notebook)[1].folded
    folded.source = folded.source.replace("```python", "```")
    with pytest.raises(ValueError, match="its solution has a Python block"):
        WithSolutions(enabled=True)(notebook, {})


@pytest.mark.parametrize("kind", ["student", "teacher"])
def test_links_in_an_edition_lead_somewhere(editions: Path, kind: str) -> None:
    files = [*(editions / kind).rglob("*.md"), *(editions / kind).rglob("*.ipynb")]
    assert len(files) > 15
    for path in files:
        texts = [path.read_text("utf-8")] if path.suffix == ".md" else sources(read(path)).values()
        for target in (found for text in texts for found in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)):
            assert (path.parent / target).exists(), f"{path.relative_to(editions)}: {target}"


def test_a_student_s_folder_has_nothing_for_teachers(editions: Path) -> None:
    names = {path.relative_to(editions / "student").as_posix() for path in (editions / "student").rglob("*")}
    assert not [name for name in names if name.startswith(("tests", "docs/teaching", ".git", ".venv", ".memora"))]
    assert "teaching/progress.py" not in names and "teaching/preflight.py" in names
    makefile = (editions / "student" / "Makefile").read_text("utf-8")
    assert set(re.findall(r"^([a-z-]+):.*## ", makefile, flags=re.MULTILINE)) >= {
        "setup",
        "demo",
        "lab",
        "app",
        "preflight",
    }
    assert "edition:" not in makefile and "test:" not in makefile


@pytest.mark.parametrize("kind", ["student", "teacher"])
def test_an_edition_uses_its_own_packages_and_pictures(editions: Path, tmp_path: Path, kind: str) -> None:
    code = "import helpers, local_memora, helpers.settings as s; print(helpers.__file__, local_memora.__file__, s.DATA)"
    command, variables = [sys.executable, "-c", code], os.environ | {"PYTHONPATH": str(editions / kind)}
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.count(str(editions / kind)) == 3


def test_the_student_s_edition_runs_the_demo_by_itself(editions: Path, tmp_path: Path) -> None:
    folder = editions / "student"
    variables = os.environ | {"PYTHONPATH": str(folder), "MEMORA_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "helpers.demo"]
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (folder / "demo.png").stat().st_size > 10_000


def test_the_archives_hold_one_folder_each(editions: Path) -> None:
    for kind in ("student", "teacher", "nbgrader"):
        with zipfile.ZipFile(editions / f"{kind}.zip") as archive:
            assert {name.partition("/")[0] for name in archive.namelist()} == {kind}
            assert archive.testzip() is None


def test_editions_are_written_anew_and_leave_nothing_behind(editions: Path) -> None:
    (editions / "student" / "old.txt").write_text("from the last time")
    main(["--to", str(editions)])
    assert not (editions / "student" / "old.txt").exists()
    assert not list(editions.glob(".new-*"))


def test_nbgrader_takes_the_course_as_it_is(editions: Path, tmp_path: Path) -> None:
    """Where nbgrader is installed (never in the kit's own environment): its student version has our empty answers."""
    found = os.environ.get("NBGRADER")
    if not found:
        pytest.skip("set NBGRADER to the nbgrader command of an environment of its own")
    course = tmp_path / "course"
    subprocess.run(["cp", "-r", editions / "nbgrader", course], check=True)
    for name in NAMES[1:]:
        command = [found, "generate_assignment", name, "--create", "--force"]
        path = os.pathsep.join([str(Path(found).parent), os.environ["PATH"]])  # nbgrader calls alembic by its name
        done = subprocess.run(command, cwd=course, env=os.environ | {"PATH": path}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        released = json.loads((course / "release" / name / f"{name}.ipynb").read_text("utf-8"))
        texts = ["".join(cell["source"]).rstrip() for cell in released["cells"]]
        student = [cell.source for cell in edition(PATHS[NAMES.index(name)], "student").cells]
        assert [text for text in texts if not text.startswith("from helpers.check.answers")] == student
