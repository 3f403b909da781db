"""What nbval does not see: what is stored, whether order matters, and whether the exercises can be solved.

nbval itself (see pyproject.toml) executes every notebook and compares the outputs.
"""

import os
import re
import shutil
from pathlib import Path

import nbformat
import pytest

from helpers.connect import COLLECTION, local_client
from helpers.images import DATA
from tests.execute_notebooks import MEASURED, NOTEBOOKS, SMALLER, Runner, edited, photographs_as_jpeg

PATHS = sorted(NOTEBOOKS.glob("*.ipynb"))
NAMES = [path.stem for path in PATHS]
FIRST = "00_first_search"
STORES_NOTHING = "02_extract_features"
# From these cells on a lesson asks Memora nothing that a cell before, or another lesson, does not ask as well.
ASKED_ALL = {"06_measure_quality": "quality-12"}


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def text_of(cell: nbformat.NotebookNode) -> str:
    """Return all text a cell shows."""
    parts = []
    for output in cell.get("outputs", []):
        parts.append(output.get("text", "") or output.get("data", {}).get("text/plain", ""))
    return "\n".join(parts)


def test_there_are_notebooks_to_test() -> None:
    assert NAMES[:3] == ["00_first_search", "01_create_a_collection", "02_extract_features"]


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_stored_outputs_come_from_one_clean_run(path: Path) -> None:
    """nbval compares no cell without a count: a cleared notebook would pass."""
    notebook = read(path)
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    assert "widgets" not in notebook.metadata
    assert notebook.metadata.kernelspec.display_name == "Python 3 (ipykernel)"
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    for cell in code_cells(notebook):
        assert "execution" not in cell.metadata, f"{cell.id}: timestamps change in every run"
        for output in cell.outputs:
            assert output.output_type != "error" or "raises-exception" in cell.metadata.get("tags", []), cell.id
            data = output.get("data", {})
            if str(data.get("text/plain", "")).startswith("<Figure"):
                assert data.get("image/png") or data.get("image/jpeg"), f"{cell.id}: the picture is missing"
            if str(data.get("text/plain", "")).startswith("<Map"):
                assert data.get("image/jpeg"), f"{cell.id}: a page without widgets shows no map"
                assert output.metadata["image/jpeg"]["alt"], cell.id


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_a_notebook_is_light_enough_to_load_and_to_compare(path: Path) -> None:
    """Photographs are stored as JPEG; a picture whose PNG is twice as large was not stored by `make notebooks`."""
    assert path.stat().st_size < 1024**2
    for cell in code_cells(read(path)):
        for output in cell.outputs:
            data = dict(output.get("data", {}))
            photographs_as_jpeg(data)
            assert data == output.get("data", {}), f"{cell.id}: run `make notebooks`"


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_no_output_shows_another_machine_s_paths_warnings_or_addresses(path: Path) -> None:
    for cell in code_cells(read(path)):
        text = text_of(cell)
        assert not re.search(r"/(tmp|home|root|work|Users|var)/|[A-Z]:\\", text), (cell.id, text)
        assert " at 0x" not in text, (cell.id, text)
        assert "\r" not in text, f"{cell.id}: a progress bar's history"
        assert not any(output.get("name") == "stderr" for output in cell.outputs), (cell.id, text)


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_a_lesson_has_small_cells_and_every_part(path: Path) -> None:
    notebook = read(path)
    for cell in code_cells(notebook):
        assert len(cell.source.splitlines()) <= 12, f"{cell.id} has {len(cell.source.splitlines())} lines"
    story = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    parts = ["**You will learn**", "**Time:**", "run the cells above it first", "glossary.md", "**Next:**"]
    if path.stem != FIRST:
        parts += ["## Try it", "## Exercises", "<details>", "## What you know now"]
    for part in parts:
        assert part in story, part
    assert "sketch" not in story.lower(), "no text argues with something the reader never saw"


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_links_between_lessons_lead_somewhere(path: Path) -> None:
    for cell in read(path).cells:
        for target in re.findall(r"\]\(([^)#]+)\)", cell.source):
            if not target.startswith("http"):
                assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_no_notebook_ever_drops_a_collection_outside_the_playground(path: Path) -> None:
    for cell in code_cells(read(path)):
        for line in cell.source.splitlines():
            assert ".drop(" not in line or line.strip().startswith("sandbox."), (cell.id, line)
            assert ".delete(" not in line or line.strip().startswith("sandbox."), (cell.id, line)


def test_every_lesson_says_the_same_on_milvus(runner: Runner, tmp_path: Path, milvus_url: str) -> None:
    """One setting changed is all it takes. Of each lesson runs what asks Memora, in small sizes."""
    import pymilvus

    runner.variables["MEMORA_ENGINE"] = milvus_url
    for path in PATHS:
        if path.stem == STORES_NOTHING:
            continue
        notebook = read(path)
        end = [cell.id for cell in notebook.cells].index(ASKED_ALL[path.stem]) if path.stem in ASKED_ALL else None
        notebook.cells = notebook.cells[:end]
        stored = [text_of(cell) for cell in code_cells(notebook)]
        for cell in notebook.cells:
            cell.source = edited(path.stem, cell.source)
        for cell, kept in zip(code_cells(runner.run(notebook)), stored, strict=True):
            said = text_of(cell).replace(f"data on the Milvus server at {milvus_url}", "data in .../memora")
            said = said.replace(f"a playground, on the Milvus server at {milvus_url}", "a playground")
            measured = MEASURED in cell.metadata.get("tags", [])
            assert measured or without_numbers(said) == without_numbers(kept), cell.id
    assert not (tmp_path / "memora" / "catalogue.sqlite").exists()  # nothing was stored in the folder
    local_client(tmp_path, milvus_url).collections.drop(collection_name=COLLECTION)
    left = pymilvus.MilvusClient(milvus_url).list_databases()
    assert not any(name.startswith("memora_playground") for name in left)


@pytest.mark.parametrize("lesson", SMALLER)
def test_what_makes_a_lesson_smaller_is_in_it(lesson: str) -> None:
    source = "\n".join(cell.source for cell in code_cells(read(NOTEBOOKS / f"{lesson}.ipynb")))
    assert all(source.count(old) == 1 for old in SMALLER[lesson])


def without_numbers(text: str) -> str:
    return re.sub(r"127\.0\.0\.1:\d+|-?\d+\.\d+|[^\n]*\d+%\|[^\n]*|<Figure.*", "#", text)


def test_the_tests_environment_hides_the_user_s_data_keys_and_models() -> None:
    assert os.environ["MEMORA_API_KEY"] == os.environ["MEMORA_URL"] == ""
    assert "memora-tests-" in os.environ["MEMORA_HOME"]
    assert "memora-tests-" in os.environ["HF_HUB_CACHE"]


def test_your_own_pictures_are_measured_with_and_without_sub_folders(runner: Runner, tmp_path: Path) -> None:
    """Notebook 06, its last part: only the first cell comes before it."""
    notebook = read(NOTEBOOKS / "06_measure_quality.ipynb")
    cells, imports = notebook.cells, code_cells(notebook)[0].source
    imports = imports.replace("print(ingest(client, load_folder(), extractor=extractor))", "")  # not needed here
    (start,) = (number for number, cell in enumerate(cells) if "## Your own pictures" in cell.source)
    (end,) = (number for number, cell in enumerate(cells) if "## Try it" in cell.source)
    part = [cell.source for cell in cells[start:end] if cell.cell_type == "code"]
    kinds = ("flat", "bäume und häuser", "one")
    sources = [imports]
    for kind in kinds:
        folder = tmp_path / kind
        for number, thing in enumerate(["mug", "mug", "mug", "chair", "chair"][: 1 if kind == "one" else 5]):
            name = f"{thing}_{number + 1:02d}.jpg"
            target = folder / ("" if kind != "bäume und häuser" else thing) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(DATA / "images" / thing / name, target)
        (folder / "broken.jpg").write_text("no picture")
        first, count = re.subn(r"MY_FOLDER = .*", f"MY_FOLDER = Path({str(folder)!r})", part[0])
        assert count == 1
        sources += [first, *part[1:]]
    texts = [text_of(cell) for cell in runner.run_cells(*sources).cells[1:]]
    said = {kind: "\n".join(texts[n * len(part) : (n + 1) * len(part)]) for n, kind in enumerate(kinds)}
    for text in said.values():
        assert "1 refused" in text
        assert "crop a tenth       recall@1 1.00" in text
    assert "5 pictures in 0 sub-folders\n" in said["flat"]
    assert "only the copies can tell" in said["flat"] and "only the copies can tell" in said["one"]
    assert "5 pictures in 2 sub-folders\n" in said["bäume und häuser"]
    assert "mAP" in said["bäume und häuser"] and "1.00 [1.00, 1.00]" in said["bäume und häuser"]


def test_a_folder_without_metadata_becomes_a_report_of_its_own(runner: Runner, tmp_path: Path) -> None:
    """Notebook 10 with a learner's folder, and answers as patterns."""
    kinds = ["mug", "chair", "vase", "orange", "lemon", "bäume & häuser"]
    for number, kind in enumerate(kinds):
        thing = kind if number < 5 else "cactus"
        (tmp_path / "mine" / kind).mkdir(parents=True)
        for file in sorted((DATA / "images" / thing).iterdir())[:4]:
            shutil.copy(file, tmp_path / "mine" / kind)
    (tmp_path / "mine" / "broken.jpg").write_text("no picture")
    notebook = read(NOTEBOOKS / "10_your_own_search.ipynb")
    cells = {cell.id: cell for cell in code_cells(notebook)}
    cells["folder"].source = f"from pathlib import Path\n\nMY_FOLDER = Path({str(tmp_path / 'mine')!r})"
    by_folder = '{path: [path.partition("/")[0] + "/*"] for path in paths[::2]}'
    cells["answers"].source = f'report["answers"] = {by_folder}\ncheck.ten_queries(report)'
    said = {cell.id: text_of(cell) for cell in code_cells(runner.run(notebook))}
    assert "own_mine: 24 added, 0 already there, 1 refused" in said["ingest"]
    assert "Right: 24 pictures, 12 queries" in said["answers"]
    assert said["check-quality"].startswith("Right: mAP ")
    assert said["capstone"].startswith("Not yet: 2 of 6 parts are complete.")
