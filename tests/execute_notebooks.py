"""Executes the notebooks from a clean state and stores their outputs: `make notebooks`.

The outputs that are committed come from here, and from nowhere else.
"""

import base64
import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

from tests.clean_state import environment

CELL_SECONDS = 1_800  # a busy machine takes its time; nothing waits for this when all is well
NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
# What is large is made smaller in tests, as a learner may do it: source text -> what replaces it.
SMALLER = {
    "07_choose_an_index": {
        "LARGEST = 100_000": "LARGEST = 4_000",
        "reduced(as_matrix(stored), pictures)": "reduced(as_matrix(stored), pictures[::16])",
        "for about in held_out.metadata.values()]": "for about in [*held_out.metadata.values()][::16]]",
    },
    "09_better_and_smaller": {
        "SIZE = 100_000": "SIZE = 4_000",
        "powers=(0, 1, 2, 3)": "powers=(3,)",
        # the first picture of a kind stands for all of it
        "maps_of(network, pictures)": "np.repeat(maps_of(network, pictures[::14]), 14, axis=0)",
        "large[:2_560]": "large[:512]",
        # as where it is not installed; with it, the lesson runs at its full size
        'larger = load_extractor("efficientnet-lite2")': 'raise ModelUnavailableError("left out here")',
    },
}
MEASURED = "measured"  # the tag of cells whose output depends on the size, or on the engine


def edited(lesson: str, source: str) -> str:
    """Return a cell's source with what is large made smaller."""
    for old, new in SMALLER.get(lesson, {}).items():
        source = source.replace(old, new)
    return source


def execute(path: Path) -> nbformat.NotebookNode:
    """Execute a notebook in a fresh kernel and return it with its outputs, as a reader sees them."""
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(NOTEBOOKS)}}
    options = {"timeout": CELL_SECONDS, "kernel_name": "python3", "record_timing": False, "coalesce_streams": True}
    NotebookClient(notebook, resources=resources, **options).execute()
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)  # a reader has no kernel
            photographs_as_jpeg(output.get("data", {}))
            if output.output_type == "stream":  # a terminal shows what was written after the last carriage return
                output.text = re.sub(r"[^\n]*\r", "", output.text)
    return notebook


def photographs_as_jpeg(data: dict[str, Any]) -> None:
    """Store a figure of photographs as JPEG, a quarter of its PNG. A chart is smaller and sharper as PNG, and stays."""
    if "image/png" not in data:
        return
    jpeg = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(data["image/png"]))) as figure:
        # without subsampling, so that colored letters stay sharp
        figure.convert("RGB").save(jpeg, "JPEG", quality=85, subsampling=0, optimize=True)
    text = base64.b64encode(jpeg.getvalue()).decode()
    if len(text) < len(data["image/png"]) / 2:
        del data["image/png"]
        data["image/jpeg"] = text


class Runner:
    """Executes notebooks one after the other in one clean state, each in processes of its own.

    Kernels are not started from here: what drives them has threads and sockets, and so have the engines that other
    tests have loaded into this process.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.variables = environment(home)

    def run(self, notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
        """Return the notebook with fresh outputs; a cell that fails fails the test."""
        file = self.home / "run.ipynb"
        nbformat.write(notebook, file)
        words = [sys.executable, "-X", "faulthandler", "-m", "tests.execute_notebooks", str(file)]
        done = subprocess.run(
            words, cwd=NOTEBOOKS.parent, env=os.environ | self.variables, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return nbformat.read(file, as_version=4)

    def run_cells(self, *sources: str) -> nbformat.NotebookNode:
        """Return a notebook made of these cells, executed."""
        return self.run(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources]))


def main() -> None:
    """Execute all notebooks in order, in one clean state, and write them in place.

    Where files are named, as by `Runner`: those only, in the state that the environment names.
    """
    if paths := sys.argv[1:]:
        for path in paths:
            nbformat.write(execute(Path(path)), path)
        return
    with tempfile.TemporaryDirectory(prefix="memora-notebooks-") as home:
        os.environ.update(environment(Path(home)))
        for path in sorted(NOTEBOOKS.glob("*.ipynb")):
            print(f"executing {path.name}", file=sys.stderr)
            nbformat.write(execute(path), path)


if __name__ == "__main__":
    main()
