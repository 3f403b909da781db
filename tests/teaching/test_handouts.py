"""What a teacher shows and prints works without internet, fits its page, and is true of the lessons."""

import os
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from teaching.exercises import lessons, read
from teaching.handouts import ANSWERS, DOCS, PAGES, page, slides, write_all

TEACHING = DOCS / "teaching"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
PLANS = (TEACHING / "plans.md").read_text("utf-8").split("\n## ")[1:]


def chromium(folder: Path, *arguments: str) -> None:
    if not CHROMIUM:
        pytest.skip("no Chromium was found")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    subprocess.run([*command, *arguments], check=True, capture_output=True)


def pages_printed(folder: Path, file: Path) -> int:
    pdf = folder / f"{file.stem}.pdf"
    chromium(folder, "--no-pdf-header-footer", f"--print-to-pdf={pdf}", file.as_uri())
    return len(re.findall(rb"/Type\s*/Page\b", pdf.read_bytes()))


def test_each_sheet_fits_on_one_page_and_each_slide_on_one(tmp_path: Path) -> None:
    files = write_all(tmp_path)
    count = sum(cell.metadata.slideshow.slide_type == "slide" for cell in read(TEACHING / "slides.ipynb").cells)
    assert {file.stem: pages_printed(tmp_path, file) for file in files} == {"slides": count, **dict.fromkeys(PAGES, 1)}


@pytest.mark.parametrize("name", ["slides", *PAGES])
def test_nothing_that_is_shown_comes_from_another_host(name: str) -> None:
    text = slides() if name == "slides" else page(name)
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//|@import|url\(|import\s+.*from""", text)
    assert len(text) > 1_500


def test_the_slides_turn_and_show_their_notes(tmp_path: Path) -> None:
    """In a real browser: slide 3 by its address; one slide at a time."""
    file = tmp_path / "slides.html"
    turned = "document.body.dataset.shown = document.querySelectorAll('section.shown').length;"
    turned += "document.body.dataset.place = document.getElementById('place').textContent;"
    for key in ("End", "ArrowLeft", "s"):
        turned += f"document.dispatchEvent(new KeyboardEvent('keydown', {{key: '{key}'}}));"
    turned += "document.body.dataset.after = document.getElementById('place').textContent;"
    file.write_text(slides().replace("</body>", f"<script>{turned}</script></body>"), "utf-8")
    if not CHROMIUM:
        pytest.skip("no Chromium was found")
    command = [CHROMIUM, "--headless", "--no-sandbox", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    done = subprocess.run([*command, f"{file.as_uri()}#3"], check=True, capture_output=True, text=True)
    (body,) = re.findall(r"<body[^>]*>", done.stdout)
    assert 'data-shown="1"' in body and 'data-place="3 / 8"' in body and 'data-after="7 / 8"' in body
    assert 'class="with-notes"' in body


def test_the_quiz_hides_its_answers_and_has_one_for_each_question() -> None:
    questions, _, answers = (TEACHING / "quiz.md").read_text("utf-8").partition(ANSWERS)
    asked = re.findall(r"^(\d+)\. ", questions, re.MULTILINE)
    answered = re.findall(r"^\| (\d+) \| ([abc]) \|", answers, re.MULTILINE)
    assert asked == [number for number, _ in answered]
    assert all(re.search(rf"^{number}\. .*\*\*{letter}\*\*", questions, re.MULTILINE) for number, letter in answered)
    assert "Answers" not in page("quiz") and "Answers" in page("quiz-with-answers")


@pytest.mark.parametrize("plan", PLANS, ids=[plan.partition(":")[0] for plan in PLANS])
def test_a_plan_s_minutes_follow_each_other_and_fill_its_time(plan: str) -> None:
    length = int(re.search(r"(\d+) minutes", plan.partition("\n")[0])[1])
    times = [tuple(map(int, found)) for found in re.findall(r"\| (\d):(\d\d)\u2013(\d):(\d\d) \|", plan)]
    spans = [(60 * a + b, 60 * c + d) for a, b, c, d in times]
    assert all(start < end for start, end in spans)
    for (_, end), (start, _) in pairwise(spans):
        assert start == (0 if end == length else end), plan.partition("\n")[0]
    assert spans[0][0] == 0 and spans[-1][1] == length


def test_what_a_plan_names_is_in_the_lesson() -> None:
    """Headings in quotes, in a row that names a lesson."""
    headings = {}
    for path in lessons():
        text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
        headings[str(int(path.stem[:2]))] = set(re.findall(r"^## (.*)$", text, re.MULTILINE))
    rows = [row for plan in PLANS for row in plan.splitlines() if row.startswith("|")]
    named = [(re.search(r"[Ll]esson (\d+)", cell)[1], name) for row in rows for cell in row.split("|")
             if re.match(r" (.*: )?[Ll]esson \d", cell) for name in re.findall(r'"([^"]+)"', cell)]  # fmt: skip
    assert len(named) > 20
    assert [(lesson, name) for lesson, name in named if name not in headings[lesson]] == []


def test_queries_that_a_plan_names_are_there() -> None:
    text = (TEACHING / "plans.md").read_text("utf-8")
    assert all((DOCS.parent / "data" / "queries" / name).exists() for name in re.findall(r"`(\w+\.jpg)`", text))
