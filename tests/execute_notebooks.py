"""Executes the notebooks from a clean state and stores their outputs: `make notebooks`.

The outputs that are committed come from here, and from nowhere else.
"""

import os
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from tests.clean_state import environment

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"


def execute(path: Path, edits: Mapping[str, str] | None = None) -> nbformat.NotebookNode:
    """Execute a notebook in a fresh kernel and return it with its outputs, as a reader sees them.

    `edits` are changes that a learner would make first: source text, which must be there, to what replaces it.
    """
    notebook = nbformat.read(path, as_version=4)
    for old, new in (edits or {}).items():
        (cell,) = (cell for cell in notebook.cells if cell.cell_type == "code" and old in cell.source)
        cell.source = cell.source.replace(old, new)
    resources = {"metadata": {"path": str(path.parent)}}
    options = {"timeout": 180, "kernel_name": "python3", "record_timing": False, "coalesce_streams": True}
    NotebookClient(notebook, resources=resources, **options).execute()
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)  # a reader has no kernel
            if output.output_type == "stream":  # a terminal shows what was written after the last carriage return
                output.text = re.sub(r"[^\n]*\r", "", output.text)
    return notebook


def main() -> None:
    """Execute all notebooks in order, in one clean state, and write them in place."""
    with tempfile.TemporaryDirectory(prefix="memora-notebooks-") as home:
        os.environ.update(environment(Path(home)))
        for path in sorted(NOTEBOOKS.glob("*.ipynb")):
            print(f"executing {path.name}", file=sys.stderr)
            nbformat.write(execute(path), path)


if __name__ == "__main__":
    main()
