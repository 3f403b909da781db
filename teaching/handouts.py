"""Slides, and pages to print, as HTML that needs no other host: `python -m teaching.handouts`, `make handouts`."""

import argparse
import base64
import re
from dataclasses import dataclass
from pathlib import Path

from nbconvert import SlidesExporter
from nbconvert.filters import markdown2html
from traitlets.config import Config

from helpers.settings import ROOT
from teaching.exercises import read

DOCS = ROOT / "docs"
TEMPLATES = Path(__file__).parent / "templates"
ANSWERS = "\n## Answers\n"  # what a quiz has from here on is for the teacher
KINDS = {".png": "image/png", ".jpg": "image/jpeg"}


@dataclass(frozen=True)
class Page:
    """A document to print on A4 paper: its file, the size of its letters in points, and how many columns it has."""

    file: str
    points: float
    columns: int = 1
    part: str = "all"


PAGES = {
    "glossary": Page("glossary.md", 6.8, 2),
    "cheat-sheet": Page("cheat-sheet.md", 6.4),
    "quiz": Page("teaching/quiz.md", 10.5, part="questions"),
    "quiz-with-answers": Page("teaching/quiz.md", 10.5),
    "rubric": Page("teaching/rubric.md", 10.5),
    "checklists": Page("teaching/checklists.md", 10.5),
}
STYLE = """
@page {{ size: A4; margin: 9mm 10mm; }}
body {{ font: {points}pt/1.25 system-ui, "DejaVu Sans", sans-serif; color: #111; max-width: 190mm; margin: auto; }}
h1 {{ font-size: 1.7em; margin: 0 0 .4em; }}
h2 {{ font-size: 1.25em; margin: .8em 0 .3em; }}
p, ul, ol {{ margin: .3em 0; }}
table {{ border-collapse: collapse; width: 100%; }}
td, th {{ border-bottom: .3pt solid #999; padding: .12em .4em .12em 0; text-align: left; vertical-align: top; }}
tr {{ break-inside: avoid; }}
thead {{ display: table-row-group; }}
code, pre {{ font: .92em ui-monospace, "DejaVu Sans Mono", monospace; }}
pre {{ background: #f3f3f3; padding: .4em; white-space: pre-wrap; }}
a {{ color: inherit; text-decoration: none; }}
.columns {{ columns: {columns}; column-gap: 6mm; }}
"""


def page(name: str) -> str:
    """Return a document as HTML that prints well."""
    about = PAGES[name]
    text = (DOCS / about.file).read_text(encoding="utf-8")
    if about.part == "questions":
        text = text.partition(ANSWERS)[0]
    if about.columns > 1:
        text = re.sub(r" \| \[?\d.*\|$", " |", text, flags=re.MULTILINE)  # where each word is shown needs room
        text = text.replace("| word | what it means | lesson |\n|---|---|---|", "| word | what it means |\n|---|---|")
    body = re.sub(r'<a [^>]*class="anchor-link"[^>]*>.*?</a>', "", markdown2html(text))
    title = re.sub("<.*?>", "", body.partition("</h1>")[0]).strip()
    style = STYLE.format(points=about.points, columns=about.columns)
    head = f'<meta charset="utf-8"><title>{title}</title><style>{style}</style>'
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body><div class="columns">{body}</div></body></html>\n'
    )


def slides(path: Path = DOCS / "teaching" / "slides.ipynb") -> str:
    """Return the slides as one HTML file with its pictures inside."""
    config = Config({"SlidesExporter": {"extra_template_basedirs": [str(TEMPLATES)]}})
    exporter = SlidesExporter(config=config, template_file=str(TEMPLATES / "slides.html.j2"))
    body, _ = exporter.from_notebook_node(read(path))
    return re.sub(
        r'(<img\b[^>]*?\bsrc=")([^":]+)"', lambda found: f'{found[1]}{_inside(path.parent / found[2])}"', body
    )


def _inside(picture: Path) -> str:
    data = base64.b64encode(picture.read_bytes()).decode()
    return f"data:{KINDS[picture.suffix]};base64,{data}"


def write_all(target: Path) -> list[Path]:
    """Write the slides and all pages into a folder, and return the files."""
    target.mkdir(parents=True, exist_ok=True)
    texts = {"slides": slides(), **{name: page(name) for name in PAGES}}
    for name, text in texts.items():
        (target / f"{name}.html").write_text(text, encoding="utf-8")
    return [target / f"{name}.html" for name in texts]


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and write the files."""
    parser = argparse.ArgumentParser(prog="python -m teaching.handouts", description=__doc__)
    parser.add_argument("--to", type=Path, default=ROOT / "dist" / "handouts", help="where to (default: dist/handouts)")
    for file in write_all(parser.parse_args(arguments).to):
        print(f"Written: {file}")


if __name__ == "__main__":
    main()
