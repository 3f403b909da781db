"""The course as static pages: every link leads somewhere, nothing comes from another host, a phone can show it."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

from helpers.settings import ROOT
from tests.browser.test_panel import browser  # noqa: F401
from tests.browser.test_panel import pytestmark as needs_browser

LESSONS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
# What a browser loads by itself, and what a reader may follow.
LOADED = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src"), ("source", "srcset")}


class Page(HTMLParser):
    """What a page loads, where it leads, and which places in it can be linked to."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.loads, self.leads, self.places, self.pictures = [], [], {""}, []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.places |= {given[name] for name in ("id", "name") if name in given}
        self.loads += [given[name] for kind, name in LOADED if kind == tag and name in given]
        self.leads += [given["href"]] if tag == "a" and "href" in given else []
        self.pictures += [given.get("alt", "")] if tag == "img" else []


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    pytest.importorskip("myst_nb", reason="the extra `site` is not installed")
    folder = tmp_path_factory.mktemp("site é")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", "docs/site", ".", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {file: Page(file) for file in site.rglob("*.html")}


def test_every_link_leads_to_a_page_and_a_place_in_it(site: Path, pages: dict[Path, Page]):
    lost = []
    for file, page in pages.items():
        for link in page.leads:
            address, place = urldefrag(unquote(link))
            if re.match(r"\w+:", address):
                continue
            target = (file.parent / address).resolve() if address else file
            if not target.exists() or (place and target.suffix == ".html" and place not in pages[target].places):
                lost.append(f"{file.relative_to(site)}: {link}")
    assert not lost


def test_no_page_loads_anything_from_another_host(site: Path, pages: dict[Path, Page]):
    loaded = [link for page in pages.values() for link in page.loads]
    assert loaded
    assert not [link for link in loaded if re.match(r"(\w+:)?//", link)]
    styles = "".join(file.read_text(encoding="utf-8") for file in site.rglob("*.css"))
    assert not re.findall(r"(?:url\(|@import)\s*[\"']?(?:\w+:)?//[^)]*", styles)


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_shows_its_pictures_with_texts_and_how_to_run_it(site: Path, pages: dict[Path, Page], lesson: str):
    page = pages[site / "notebooks" / f"{lesson}.html"]
    assert page.pictures
    assert all(alt and not alt.endswith(".png") for alt in page.pictures)
    assert any(link.endswith(f"{lesson}.ipynb") for link in page.leads)
    text = (site / "README.html").read_text(encoding="utf-8")
    assert f"notebooks/{lesson}.html" in text


@needs_browser
def test_the_pages_can_be_searched_without_a_server(site: Path, browser):  # noqa: F811
    view = browser.new_page()
    view.goto((site / "search.html").as_uri() + "?q=bootstrap")
    view.wait_for_selector("#search-results li a")
    found = view.locator("#search-results li a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert any("06_measure_quality" in link for link in found)
    view.close()


@needs_browser
@pytest.mark.parametrize("page", ["README", "notebooks/04_search_by_image", "docs/glossary"])
@pytest.mark.parametrize("width", [390, 1280])
def test_a_page_fits_a_phone_and_a_screen(site: Path, browser, page: str, width: int):  # noqa: F811
    view = browser.new_page(viewport={"width": width, "height": 800})
    asked = []
    view.on("request", lambda request: asked.append(request.url))
    view.goto((site / f"{page}.html").as_uri())
    assert view.evaluate("document.documentElement.scrollWidth") <= width
    assert all(url.startswith(("file:", "data:")) for url in asked)
    view.close()
