"""The exercises of a lesson: an empty answer that ends in a check, and below it the hidden solution."""

import re
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from helpers.settings import ROOT

NOTEBOOKS = ROOT / "notebooks"
FOLDED = "<details><summary>Solution"  # the cell with the solution begins with it
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"  # nbgrader's marks


@dataclass(frozen=True)
class Exercise:
    """One exercise as a notebook has it.

    Attributes
    ----------
    name : str
        The check's name. No two exercises of the course have the same.
    cell, folded : NotebookNode
        The code cell with the empty answer, and the cell below it with the solution.
    solution, remark : str
        The solution's code, and what is said about it.
    """

    name: str
    cell: NotebookNode
    folded: NotebookNode
    solution: str
    remark: str

    @property
    def filled_in(self) -> str:
        """The cell's code with the solution between nbgrader's marks, below the answer, which may give what it uses."""
        return f"{self.cell.source}\n{BEGIN}\n{self.solution}\n{END}"


def lessons() -> list[Path]:
    """Return the notebooks of the course, in order."""
    return sorted(NOTEBOOKS.glob("*.ipynb"))


def read(path: Path) -> NotebookNode:
    """Return a notebook in today's form.

    Raises
    ------
    ValueError
        The file is no notebook.
    """
    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:  # nbformat raises the errors of its parsers, and of its schema
        raise ValueError(f"{path.name} is no notebook that can be read: {error}".partition("\n")[0]) from None


def exercises(notebook: NotebookNode) -> list[Exercise]:
    """Return the exercises of a lesson, in order.

    Raises
    ------
    ValueError
        A solution has no Python block, or the exercise above it has no check.
    """
    found = []
    for cell, below in zip(notebook.cells, notebook.cells[1:], strict=False):
        if cell.cell_type != "code" or not below.source.startswith(FOLDED):
            continue
        form = r"<details><summary>Solution</summary>(.*?)```python\n(.*?)```(.*)</details>\s*"
        parts = re.fullmatch(form, below.source, flags=re.DOTALL)
        names = checks(cell.source)
        if not parts or not names:
            raise ValueError(
                f"Cell {cell.id}: an exercise ends in check.name(...), and its solution has a Python block."
            )
        remark = f"{parts[1].strip()}\n\n{parts[3].strip()}".strip()
        found.append(Exercise(names[-1], cell, below, parts[2].rstrip(), remark))
    return found


def checks(source: str) -> list[str]:
    """Return the names of the checks that a cell calls."""
    return re.findall(r"\bcheck\.(\w+)\(", source)
