"""The page of `make app` in a real browser: a folder of one's own, the address, the map."""

from __future__ import annotations

import math
import re
import shutil
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from helpers.images import DATA
from tests.browser.test_panel import (
    CHROMIUM,
    MUG,
    START,
    app,
    browser,
    expect,
    home,
    keep,
    opened,
    requests,
    serious,
    starter,
    status,
)
from tests.facts import PICTURES

if TYPE_CHECKING:  # playwright is imported with the first browser
    from playwright.sync_api import Locator, Page

__all__ = ["app", "browser", "home"]  # fixtures
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here: `apt install chromium`, or set CHROMIUM to its path"
)


def places(page: Page) -> Locator:
    return page.get_by_label("Search in").and_(page.locator("select"))


def said(page: Page) -> Locator:
    return page.locator(".memora-places .told")


def pictures(page: Page) -> Locator:
    return page.locator(".memora-map g[data-key]")


def folder(tmp_path, name: str, kind: str, count: int):
    """Make a folder of some pictures of one kind."""
    made = tmp_path / name / "holiday"
    (made / "more").mkdir(parents=True)
    for n, file in enumerate(sorted((DATA / "images" / kind).iterdir())[:count]):
        shutil.copy(file, made / "more" / file.name if n % 2 else made / file.name)
    return made


def test_a_folder_of_ones_own_is_searched_kept_and_does_not_mix(browser, app, tmp_path):
    """By its path and sent by the browser, two of one name; also: a reload keeps what was searched for, and how."""
    mine, others = folder(tmp_path, "mine", "mug", 6), folder(tmp_path, "others", "banana", 5)
    (mine / "broken.jpg").write_text("no picture")
    with opened(browser, "about:blank") as page:
        asked = requests(page)
        page.goto(app)
        starter(page, MUG).click(timeout=START)
        expect(status(page)).to_contain_text("most like mug_1.jpg")
        expect(page).to_have_url(re.compile("#file=queries%2Fmug_1.jpg"))
        page.goto(page.url + "&limit=4")  # as somebody else's link has it
        expect(status(page)).to_contain_text("4 pictures most like mug_1.jpg")
        page.reload()
        expect(status(page)).to_contain_text("4 pictures most like mug_1.jpg")

        page.get_by_text("A folder of your own").click()
        path = page.get_by_label("Its path on this computer")
        path.fill(str(tmp_path / "nowhere"))
        path.press("Enter")
        expect(said(page)).to_have_attribute("role", "alert")
        expect(said(page)).to_contain_text("is not a folder on this computer")
        expect(status(page)).to_contain_text("4 pictures most like mug_1.jpg")  # what was there stays
        path.fill(str(mine))
        path.press("Enter")
        expect(said(page)).to_contain_text("broken.jpg can't be used: not a JPEG")
        expect(places(page).locator("option:checked")).to_have_text("holiday")
        expect(pictures(page)).to_have_count(6)
        pictures(page).last.click()
        expect(status(page)).to_contain_text("6 pictures most like")
        expect(page).to_have_url(re.compile(r"#in=my_images_\w+&id=|#in=my_images_\w+&file="))
        kept = page.url

        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Choose a folder").click()
        chooser.value.set_files(others)
        expect(places(page).locator("option")).to_have_count(3)
        expect(places(page).locator("option:checked")).to_contain_text("holiday (copied ")
        expect(pictures(page)).to_have_count(5)
        pictures(page).last.click()
        expect(status(page)).to_contain_text("5 pictures most like")

        page.goto("about:blank")
        page.goto(kept)  # another visit: the folder is there, and so is the search
        expect(status(page)).to_contain_text("6 pictures most like")
        places(page).select_option("")
        expect(pictures(page)).to_have_count(PICTURES)
    assert {urlsplit(url).hostname for url in asked if url.startswith(("http", "ws"))} == {"127.0.0.1"}


def seen(page: Page) -> list[list[float]]:
    """Return where the pictures lie that the map shows, without those that are dots."""
    return page.evaluate("""() => [...document.querySelectorAll(".memora-map g[data-key]:not(.dot)")].map((node) =>
        node.getAttribute("transform").match(/translate\\(([-\\d.]+)[ ,]([-\\d.]+)/).slice(1).map(Number))""")


def test_a_group_on_the_map_is_lassoed_or_grown_and_its_facts_are_told(browser, app):
    """Also: no picture covers another's middle, a click brings the results into view, nothing keeps people out."""
    with opened(browser, app) as page:
        expect(pictures(page)).to_have_count(PICTURES, timeout=START)
        shown = seen(page)
        assert 100 < len(shown) <= PICTURES
        nearest = min(max(abs(a - c), abs(b - d)) for n, (a, b) in enumerate(shown) for c, d in shown[:n])
        assert nearest >= 18, "half a picture's width"
        page.get_by_role("button", name="Zoom in").click()
        assert len(seen(page)) > len(shown)
        page.get_by_role("button", name="Whole map").click()

        svg, facts = page.locator(".memora-map svg"), page.locator(".memora-facts")
        page.get_by_role("button", name="Lasso").click()
        svg.scroll_into_view_if_needed()
        box = svg.bounding_box()
        for n in range(25):
            x, y = math.cos(n * math.tau / 24), math.sin(n * math.tau / 24)
            page.mouse.move(box["x"] + box["width"] / 2 + 200 * x, box["y"] + box["height"] / 2 + 150 * y)
            page.mouse.down() if n == 0 else None
        page.mouse.up()
        expect(facts).to_contain_text(re.compile(rf"^\d+ of {PICTURES} pictures\."))
        keep(page, "map-group", height=3000)
        page.get_by_role("button", name="Lasso").click()
        page.get_by_role("button", name="Clear the group").click()
        expect(facts).to_be_empty()
        svg.focus()
        page.keyboard.press("g")
        expect(facts).to_contain_text(re.compile(rf"^6 of {PICTURES} pictures\. .*category \w+: \d+% of them"))
        page.keyboard.press("g")
        expect(facts).to_contain_text(f"11 of {PICTURES}")
        page.keyboard.press("Escape")
        expect(facts).to_be_empty()

        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        pictures(page).last.click()
        expect(status(page)).to_have_attribute("data-state", "found")
        expect(status(page)).to_be_in_viewport()
        page.get_by_text("A folder of your own").click()
        for theme in ("light", "dark"):
            page.evaluate("theme => { document.documentElement.dataset.memoraTheme = theme; }", theme)
            assert serious(page) == []
            keep(page, f"page-{theme}")
        page.set_viewport_size({"width": 360, "height": 740})
        keep(page, "page-360", height=3600)
        wider = page.evaluate("""() => [...document.querySelectorAll("body, .memora, .memora *")].filter((e) =>
            e.getBoundingClientRect().right > innerWidth + 1 && !e.closest("svg, .memora-panel"))
            .map((e) => e.outerHTML.slice(0, 90))""")
        assert wider == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
