"""The editions of the course, made from the notebooks with solutions: `python -m teaching.editions`, `make edition`.

dist/student has no solutions, dist/teacher has them filled in, with notes; each is a folder that runs by itself.
dist/nbgrader/source has the lessons as nbgrader wants them.
"""

import argparse
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.preprocessors import (
    ClearOutputPreprocessor,
    Preprocessor,
    RegexRemovePreprocessor,
    TagRemovePreprocessor,
)
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell
from traitlets import Bool

from helpers.settings import ROOT
from teaching.exercises import FOLDED, Exercise, exercises, lessons, read

TEACHER = "teacher"  # the tag of cells that students do not get
FOLDERS = ("helpers", "local_memora", "data", "docs")
FILES = (
    "LICENSE",
    "benchmarks/RESULTS.md",
    "benchmarks/results.png",
    "constraints.txt",
    "environment.yml",
    "pyproject.toml",
)
TEACHING = ROOT / "docs" / "teaching"
FOR_STUDENTS = ("__init__.py", "preflight.py", "stick.py")  # of this package
# The Makefile is cut at these lines.
CUT = {"student": "# ---- For teachers", "teacher": "# ---- For contributors"}
NBGRADER_CONFIG = """# nbgrader's settings for this course: an answer is written above the cell's last line.
c = get_config()
c.CourseDirectory.course_id = "memora-image-search"
c.ClearSolutions.code_stub = {"python": ""}
c.ExecutePreprocessor.timeout = 600
"""


class WithSolutions(Preprocessor):
    """Writes the solutions into the exercises' cells; what is said about them goes into cells tagged `teacher`."""

    nbgrader = Bool(False, help="Add nbgrader's metadata, and below each exercise a cell that gives the point.")

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """Return the notebook with its solutions, and the resources as they were."""
        by_cell = {exercise.cell.id: exercise for exercise in exercises(nb)}
        cells = []
        for cell in nb.cells:
            if cell.id in by_cell:
                cells += self._answered(by_cell[cell.id])
            elif not cell.source.startswith(FOLDED):
                cells.append(cell)
        nb.cells = cells
        return nb, resources

    def _answered(self, exercise: Exercise) -> list[NotebookNode]:
        answer, name = exercise.cell, exercise.name
        answer.source, answer.outputs, answer.execution_count = exercise.filled_in, [], None
        below = []
        if exercise.remark:
            below.append(new_markdown_cell(f"**About the solution.** {exercise.remark}", id=exercise.folded.id))
            below[0].metadata.tags = [TEACHER]
        if self.nbgrader:
            answer.metadata.nbgrader = _marks(name, solution=True)
            source = f'from helpers.check.answers import right\n\nassert right.get("{name}"), "{name}: not right yet"'
            below.append(new_code_cell(source, id=f"{answer.id}-point"))
            below[-1].metadata.nbgrader = _marks(f"{name}-point", solution=False)
        return [answer, *below]


def _marks(grade_id: str, *, solution: bool) -> NotebookNode:
    """Return nbgrader's metadata: students write an answer; a test is locked and gives a point."""
    marks = {"grade": not solution, "grade_id": grade_id, "locked": not solution, "solution": solution, "task": False}
    return nbformat.from_dict(marks | {"schema_version": 3} | ({} if solution else {"points": 1}))


class Notes(Preprocessor):
    """Puts a lesson's notes for teachers below its title, in a cell tagged `teacher`."""

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """Return the notebook with docs/teaching/lessons/NAME.md, where there is such a file."""
        notes = TEACHING / "lessons" / f"{resources['name']}.md"
        if notes.is_file():
            nb.cells.insert(1, new_markdown_cell(notes.read_text(encoding="utf-8"), id="teacher-notes"))
            nb.cells[1].metadata.tags = [TEACHER]
        return nb, resources


def _without_teacher() -> Preprocessor:
    return TagRemovePreprocessor(remove_cell_tags={TEACHER}, enabled=True)


STEPS: dict[str, Callable[[], list[Preprocessor]]] = {
    # Students see no outputs: several lessons ask what will come out.
    "student": lambda: [
        RegexRemovePreprocessor(patterns=[FOLDED], enabled=True),
        _without_teacher(),
        ClearOutputPreprocessor(enabled=True),
    ],
    "teacher": lambda: [WithSolutions(enabled=True), Notes(enabled=True)],
    "nbgrader": lambda: [
        WithSolutions(nbgrader=True, enabled=True),
        _without_teacher(),
        ClearOutputPreprocessor(enabled=True),
    ],
}


def edition(path: Path, kind: str) -> NotebookNode:
    """Return a lesson as an edition has it.

    Parameters
    ----------
    path : Path
        The notebook with its solutions.
    kind : str
        "student", "teacher" or "nbgrader".
    """
    notebook = read(path)
    for step in STEPS[kind]():
        notebook, _ = step(notebook, {"name": path.stem})
    return notebook


def make_editions(target: Path, *, archives: bool = False) -> list[Path]:
    """Write the editions into a folder; those that are there are written anew.

    Parameters
    ----------
    target : Path
        The folder, made if need be.
    archives : bool
        Also write student.zip, teacher.zip and nbgrader.zip.

    Returns
    -------
    list of Path
        What was written.
    """
    target.mkdir(parents=True, exist_ok=True)
    written = []
    with tempfile.TemporaryDirectory(dir=target, prefix=".new-") as folder:
        for kind in STEPS:
            new = Path(folder, kind)
            _write_nbgrader(new) if kind == "nbgrader" else _write_folder(new, kind)
            shutil.rmtree(target / kind, ignore_errors=True)
            written.append(new.rename(target / kind))
    if archives:
        written += [Path(shutil.make_archive(str(one), "zip", target, one.name)) for one in list(written)]
    return written


def _write_nbgrader(folder: Path) -> None:
    for path in lessons():
        notebook = edition(path, "nbgrader")
        if any("nbgrader" in cell.metadata for cell in notebook.cells):
            assignment = folder / "source" / path.stem
            assignment.mkdir(parents=True)
            nbformat.write(notebook, assignment / path.name)
    (folder / "nbgrader_config.py").write_text(NBGRADER_CONFIG, encoding="utf-8")


def _write_folder(folder: Path, kind: str) -> None:
    """Write an edition that runs by itself: lessons, packages, pictures, documents and what sets it up."""
    (folder / "notebooks").mkdir(parents=True)
    for path in lessons():
        nbformat.write(edition(path, kind), folder / "notebooks" / path.name)
    left_out = ["__pycache__", ".*", *(["teaching"] if kind == "student" else [])]
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns(*left_out))
    (folder / "benchmarks").mkdir()
    for name in FILES:
        shutil.copyfile(ROOT / name, folder / name)
    package = folder / "teaching"
    package.mkdir()
    for file in sorted((ROOT / "teaching").glob("*.py")):
        if kind == "teacher" or file.name in FOR_STUDENTS:
            shutil.copyfile(file, package / file.name)
    if kind == "teacher":
        shutil.copytree(ROOT / "teaching" / "templates", package / "templates")
    makefile, cut, _ = (ROOT / "Makefile").read_text(encoding="utf-8").partition(CUT[kind])
    assert cut, f"the Makefile has no line {CUT[kind]!r}"
    (folder / "Makefile").write_text(makefile, encoding="utf-8", newline="\n")
    shutil.copyfile(TEACHING / f"edition-{kind}.md", folder / "README.md")


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and write the editions."""
    parser = argparse.ArgumentParser(prog="python -m teaching.editions", description=__doc__)
    parser.add_argument("--to", type=Path, default=ROOT / "dist", help="the folder to write to (default: dist)")
    parser.add_argument("--zip", action="store_true", help="also write each edition as an archive")
    options = parser.parse_args(arguments)
    for path in make_editions(options.to, archives=options.zip):
        print(f"Written: {path}")


if __name__ == "__main__":
    main()
