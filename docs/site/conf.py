"""The course as static pages: `make site`.

Sphinx with myst-nb reads the notebooks and Markdown as they are; furo can be read on a phone and in the dark. All three
are well kept, and their files come from their packages, so the pages need no server and no other host. Nothing is
executed: pages show the outputs that are stored.
"""

import json
from typing import Any

project = "Memora Image Search"
html_title = project
copyright = "the authors. Apache-2.0; pictures CC0"
root_doc = "README"
extensions = ["myst_nb"]
include_patterns = [
    "*.md",
    "notebooks/*.ipynb",
    "docs/**.md",
    "benchmarks/*.md",
    "tests/README.md",
    "local_memora/README.md",
]
exclude_patterns = ["docs/teaching/lessons/*", "docs/teaching/edition-*"]  # parts of the editions
nb_execution_mode = "off"
myst_heading_anchors = 4
suppress_warnings = [
    "myst.xref_missing"
]  # anchors inside tables, as the glossary's: tests/test_site.py follows every link
html_theme = "furo"
html_show_sphinx = False

CONTENTS = {
    "The lessons": ["notebooks/*"],
    "To look things up": ["docs/glossary", "docs/cheat-sheet", "docs/responsible-use"],
    "To teach": ["docs/teaching/README", "docs/teaching/*"],
    "More": [
        *("docs/setup", "docs/networks", "docs/hosting", "docs/engines", "docs/scale", "benchmarks/RESULTS"),
        *("CONTRIBUTING", "CHANGELOG", "tests/README", "local_memora/README"),
    ],
}


def setup(app: Any) -> None:
    """Let Sphinx show each source to `prepare` before it reads it."""
    app.connect("source-read", prepare)


def prepare(app: Any, page: str, source: list[str]) -> None:
    """Give the first page its table of contents, and each lesson a way to run it and texts for its pictures."""
    if page == root_doc:
        known = app.env.found_docs
        for title, patterns in CONTENTS.items():
            pages = [p for p in patterns if "*" in p or p in known]
            if any(doc.startswith(p.rstrip("*")) for p in pages for doc in known):
                options = f":hidden:\n:glob:\n:caption: {title}\n\n"
                source[0] += "\n```{toctree}\n" + options + "\n".join(pages) + "\n```\n"
    if page.startswith("notebooks/"):
        notebook = json.loads(source[0])
        name = page.partition("/")[2] + ".ipynb"
        run = f"\n\n**Run this lesson:** `make lab` opens it ({{download}}`the notebook <{name}>`)."
        first = notebook["cells"][0]
        first["source"] = "".join(first["source"]) + run
        for cell in notebook["cells"]:
            said = [
                line for out in cell.get("outputs", []) for line in "".join(out.get("text", "")).splitlines() if line
            ]
            for out in cell.get("outputs", []):  # a picture that brings its own words, such as the map's
                said += [kind["alt"] for kind in out.get("metadata", {}).values() if "alt" in kind]
            cell["metadata"]["mystnb"] = {"image": {"alt": " ".join(said)[:300] or "a picture that the text explains"}}
        source[0] = json.dumps(notebook)
