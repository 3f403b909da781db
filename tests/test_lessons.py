"""The lessons as learners use them: exercises are solved, and each "Try it" is tried, in one run of each lesson."""

import re
from collections.abc import Iterator

import pytest

from helpers.connect import COLLECTION
from teaching.exercises import exercises
from tests.execute_notebooks import NOTEBOOKS, Runner
from tests.facts import PICTURES
from tests.features.models import SMALL, save_untrained_clip
from tests.local_memora.served import Served, served
from tests.test_notebooks import FIRST, STORES_NOTHING, code_cells, read, text_of

LESSONS = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb") if not path.stem.startswith("00"))
KINDS = ("**1. Predict.**", "**2. Change.**", "**3. Build.**")
MORE = {"07_choose_an_index": 1, "10_your_own_search": 2}  # exercises beside those three
# What each "Try it" suggests: source text -> what a learner would write instead.
TRY_IT: dict[str, dict[str, str]] = {
    "01_create_a_collection": {
        '"banana": [0.1, 0.9]}': '"banana": [0.1, 0.9], "lemon": [0.08, 0.3]}',
        "wrong = [\n": 'wrong = [\n    {"id": 4, "name": "cup", "vector": [1, 2, 3]},\n',
    },
    "02_extract_features": {
        'kinds = ["apple", "orange", "mug", "vase", "guitar", "sailboat"]': (
            'kinds = ["lemon", "orange", "wine_bottle", "wine_glass", "teapot", "bucket"]'
        ),
    },
    "03_ingest_images": {
        'color == "blue" and background == "grass"': 'category in ["mug", "vase"] and elevation > 25',
        "folder.paths[:6]": "folder.paths[:10]",
    },
    "04_search_by_image": {
        'queries.root / "queries/teapot_2.jpg", "teapot"': 'str(queries.root / "queries/vase_2.jpg"), None',
        'EDITS["crop a tenth"]': 'EDITS["crop to half"]',
    },
    "05_explore_interactively": {"hit = session.hits[1]": "hit = session.hits[4]"},
    "06_measure_quality": {
        "sample = np.arange(0, len(rows), total[0])": (
            "from PIL import ImageFilter\n"
            'EDITS["blur"] = lambda image: image.filter(ImageFilter.GaussianBlur(6))\n'
            "sample = np.arange(0, len(rows), total[0])"
        ),
        "(places.clip(1e-6) ** 3).mean(0) ** (1 / 3)": "(places.clip(1e-6) ** 10).mean(0) ** (1 / 10)",
    },
    "07_choose_an_index": {"query = np.array([4.4, 3.8])": "query = np.array([4.0, 5.0])"},  # and LARGEST, as nbval
    "08_search_by_words": {
        'data=words.embed("teapot")': 'data=words.embed("goblet")',
        '"queries/mug_1.jpg", "teapot"': '"queries/lemon_1.jpg", "basketball"',
        "find(unit(orange - lemon), limit=10)": "find(unit(orange - 0.5 * lemon), limit=10)",
    },
    "09_better_and_smaller": {  # and SIZE, as nbval
        "theirs[order[:50]]": "theirs[order[:20]]",
        "middle = np.median(vectors, axis=0)": "middle = np.zeros(vectors.shape[1], np.float32)",
    },
    "10_your_own_search": {'("crop a tenth", "flip", "caption")': '("crop a tenth", "flip", "caption", "rotate 15°")'},
}
# What cells say, by their ids, where the lessons are run in reverse and there is a CLIP.
FOUND = {
    "09_better_and_smaller": {"connect": f"{PICTURES} added, 0 already there"},  # the first to need the course's
    "08_search_by_words": {
        "connect": f"0 added, {PICTURES} already there",
        "clip-here": "16 numbers per picture",
        "two-rows": f"{{'rowCount': {PICTURES}}}",
        "by-sentence": "7 pictures: ",
        "both-networks": "7 pictures: ",
    },
    "01_create_a_collection": {"01-16": "It is there already"},
}


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_has_three_exercises_each_with_a_hint_and_a_solution(lesson: str) -> None:
    notebook = read(NOTEBOOKS / f"{lesson}.ipynb")
    story = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert [kind for kind in KINDS if story.count(kind) == 1] == list(KINDS)
    found = exercises(notebook)
    assert len(found) == len(KINDS) + MORE.get(lesson, 0)
    for exercise in found:
        cell = exercise.cell
        assert text_of(cell).startswith("Not yet: "), cell.id
        assert cell.source.splitlines()[-1].startswith(f"check.{exercise.name}("), cell.id
        assert cell.source != exercise.solution, cell.id
        above = notebook.cells[notebook.cells.index(cell) - 1].source
        question = above.partition("## Exercises")[2] or above
        to_change = re.findall(r"(?:Change|in place of)(?: each)? `([^`]+)`", question)
        assert all(text in cell.source for text in to_change), f"{cell.id}: its question names what is not in it"


@pytest.fixture(scope="module")
def classroom(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Runner, Served]]:
    """Return what executes lessons on one served Memora, which is empty at first, where there is a CLIP."""
    home = tmp_path_factory.mktemp("lessons")
    save_untrained_clip(home / "clip", SMALL, dim=16)
    with served(home / "served", project="class-7") as process:
        runner = Runner(home)
        runner.variables |= process.settings | {"MEMORA_CLIP": str(home / "clip")}
        yield runner, process


@pytest.mark.parametrize("lesson", [*reversed(LESSONS), FIRST])
def test_in_reverse_on_a_served_memora_solutions_are_right_and_trying_is_safe(
    lesson: str, classroom: tuple[Runner, Served]
) -> None:
    """Executed with the change that each "Try it" suggests and with every solution in its place, the last one first.

    Each does what the lessons before it would have done. The sizes are the full ones.
    """
    runner, process = classroom
    notebook = read(NOTEBOOKS / f"{lesson}.ipynb")
    for old, new in TRY_IT.get(lesson, {}).items():
        cells = [cell for cell in code_cells(notebook) if old in cell.source]
        assert cells, f"{old!r} is in no cell"
        cells[0].source = cells[0].source.replace(old, new)
    solved = exercises(notebook)
    for exercise in solved:
        exercise.cell.source = exercise.filled_in  # as the teacher's edition has it
        exercise.cell.metadata.tags = ["solved"]
    run = code_cells(runner.run(notebook))
    assert sum("solved" in cell.metadata.get("tags", []) for cell in run) == len(solved)
    checked = [cell for cell in run if re.search(r"^check\.", cell.source, flags=re.MULTILINE)]
    assert all(cell in checked for cell in run if "solved" in cell.metadata.get("tags", []))
    for cell in checked:
        assert text_of(cell).splitlines()[-1].startswith("Right: "), text_of(cell)
    said = {cell.id: text_of(cell) for cell in run}
    connected = [said[cell.id] for cell in run if "connect()" in cell.source]
    assert connected or lesson == STORES_NOTHING
    assert all(f"Memora: project 'class-7' at {process.url}\n" in text for text in connected)
    assert not any("Memora: the local one" in text or process.key in text for text in said.values())
    for cell, text in FOUND.get(lesson, {}).items():
        assert text in said[cell], said[cell]


def test_after_all_lessons_each_picture_is_stored_once_and_nothing_on_the_learner_s_machine(
    classroom: tuple[Runner, Served],
) -> None:
    """After the lessons above."""
    runner, process = classroom
    assert process.client().collections.get_stats(collection_name=COLLECTION)["data"]["rowCount"] == PICTURES
    assert process.stop() == 0
    assert not (runner.home / "memora" / "catalogue.sqlite").exists()
