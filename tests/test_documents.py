"""The glossary and the cheat sheet: in order, linked, and true when they are tried."""

import re
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pytest

from helpers.images import DATA
from helpers.memora import Memora
from helpers.memora.models import Collection, ElementTypeParams, Field, Index, IndexConfig, Ranker, Schema, Search
from tests.test_project import DOCUMENTS, ROOT, tracked

SHEET = (ROOT / "docs" / "cheat-sheet.md").read_text(encoding="utf-8")
FIELDS = [
    Field("id", "Int64", is_primary=True),
    Field("color", "VarChar", element_type_params=ElementTypeParams(max_length=64)),
    Field("category", "VarChar", element_type_params=ElementTypeParams(max_length=64)),
    Field("image_path", "VarChar", element_type_params=ElementTypeParams(max_length=64)),
    Field("elevation", "Int64"),
    Field("vector", "FloatVector", element_type_params=ElementTypeParams(dim=8)),
]
PATHS = {1: "images/mug/mug_01.jpg", 2: "images/teapot/teapot_01.jpg", 3: "images/vase/vase_01.jpg"}


def row(key: int, path: str) -> dict:
    category, color = path.split("/")[1], "red" if key == 1 else "blue"
    facts = {"color": color, "category": category, "image_path": path, "elevation": 20 * key}
    return {"id": key, "vector": np.eye(8, dtype=np.float32)[key], **facts}


ROWS = [row(key, path) for key, path in PATHS.items()]


def part(title: str) -> str:
    """Return what stands under a heading of the cheat sheet."""
    return SHEET.partition(f"## {title}\n")[2].partition("\n## ")[0]


def story(path: Path) -> str:
    """Return a document's text, or that of a notebook's markdown cells."""
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    return "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown")


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a id="([^"]+)"', text))


def test_the_glossary_is_in_alphabetical_order_with_one_entry_for_a_word() -> None:
    text = story(ROOT / "docs" / "glossary.md")
    words = re.findall(r'^\| <a id="[^"]+"></a>`?([^|`(]+)', text, flags=re.MULTILINE)
    first = [word.split(",")[0].strip().lower() for word in words]
    plain = [re.sub(r"[^a-z0-9]", "", word) for word in first]
    assert plain == sorted(plain)
    ids = re.findall(r'<a id="([^"]+)"', text)
    assert len(ids) == len(set(ids)) == len(words) == text.count("\n| ") - 1  # one is the heading


def test_every_word_of_the_glossary_is_linked_from_a_lesson() -> None:
    stories = "\n".join(story(path) for path in tracked("notebooks/*.ipynb"))
    words = anchors(story(ROOT / "docs" / "glossary.md")) - {"glossary"}
    assert words == set(re.findall(r"docs/glossary\.md#([\w-]+)", stories))


@pytest.mark.parametrize("path", [*DOCUMENTS, *tracked("notebooks/*.ipynb")], ids=lambda path: path.name)
def test_a_link_to_a_word_or_a_part_leads_there(path: Path) -> None:
    text = story(path)
    for target, anchor in re.findall(r"\]\(([^)#:\s]*)#([^)]+)\)", text):
        other = (path.parent / target) if target else path
        assert anchor in anchors(story(other)), f"{target}#{anchor}"


def test_the_cheat_sheet_s_way_from_nothing_to_hits_can_be_gone(tmp_path: Path, monkeypatch, capsys) -> None:
    shutil.copytree(DATA / "images" / "mug", tmp_path / "my pictures")
    shutil.copy(DATA / "queries" / "mug_1.jpg", tmp_path / "query.jpg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEMORA_HOME", str(tmp_path / "memora"))
    (code,) = re.findall(r"```python\n(.*?)```", SHEET, flags=re.DOTALL)
    exec(compile(code, "cheat-sheet.md", "exec"), {})
    assert "mine: 14 added" in capsys.readouterr().out


def test_every_call_of_the_cheat_sheet_can_be_made(client: Memora) -> None:
    index = Index("COSINE", "vector", "by_vector", IndexConfig("FLAT"))
    given = {"client": client, "name": "mine", "fields": FIELDS, "index": index, "rows": ROWS, "Schema": Schema}
    calls = re.findall(r"`(client\.[^`]+)`", part("Calls"))
    given |= {"Collection": Collection, "Search": Search, "Ranker": Ranker}
    given |= {"vectors": ROWS[0]["vector"], "one": ROWS[0]["vector"], "other": ROWS[1]["vector"]}
    answers = [eval(call, given) for call in calls]
    assert len(calls) > 10 and all(answer.keys() <= {"data", "message"} for answer in answers)
    assert client.collections.list()["data"] == []


def test_every_filter_type_and_index_of_the_cheat_sheet_is_taken(client: Memora) -> None:
    client.collections.create(collection=Collection("c", schema=Schema(FIELDS)))
    client.vectors.insert(collection_name="c", data=ROWS)
    filters = [code for line in part("Filters").splitlines()[3:] for code in re.findall(r"`([^`]+)`", line)]
    found = {each: client.vectors.query(collection_name="c", filter=each)["data"] for each in filters}
    assert len(filters) > 5 and all(len(rows) in (1, 2) for rows in found.values()), found
    for code in re.findall(r"`(Index\([^`]+)`", part("Indexes")):
        made = eval(code, {"Index": Index, "IndexConfig": IndexConfig})
        client.indexes.create(collection_name="c", index_params=[made])
        client.indexes.drop(collection_name="c", index_name="by_vector")
    cells = [line.strip("| ").split(" | ") for line in part("Types, metrics").splitlines() if line.startswith("|")]
    for kind in (kind for row in cells[2:] for kind in re.findall(r"`([A-Z]\w+)`", row[1])):
        params = {"VarChar": ElementTypeParams(max_length=9), "FloatVector": ElementTypeParams(dim=8)}.get(kind)
        fields = [*FIELDS, Field("one", kind, element_type_params=params)]
        client.collections.create(collection=Collection(f"c_{kind}", schema=Schema(fields)))


def test_the_numbers_of_responsible_use_are_those_of_lesson_6() -> None:
    cells = nbformat.read(ROOT / "notebooks" / "06_measure_quality.ipynb", as_version=4).cells
    shown = "".join(out.get("text", "") for cell in cells for out in cell.get("outputs", []))
    found = re.findall(r"EfficientNet, mean  with(?:out)? a class +(\d+) queries: mAP ([\d.]+)", shown)
    (count, with_class), (others, without) = found
    text = story(ROOT / "docs" / "responsible-use.md")
    assert f"the mAP is {with_class} for the kinds with a class, and {without} for those" in " ".join(text.split())
    assert f"{count} and {others} queries" in text
