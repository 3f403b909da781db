"""The page of `make app` in a real browser: a folder of one's own, the address, the map."""

from __future__ import annotations

import math
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psutil
import pytest

from helpers.images import DATA
from tests.browser.test_panel import (
    CHROMIUM,
    MUG,
    START,
    app,
    browser,
    button,
    compare,
    expect,
    home,
    keep,
    line,
    opened,
    requests,
    serious,
    server,
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


def beside(page: Page) -> Locator:
    return page.locator(".memora-beside li[data-key]")


def test_a_folder_of_ones_own_is_searched_compared_kept_and_forgotten(browser, app, home, tmp_path):
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
        button(page, "Size L").click()
        page.reload()
        expect(status(page)).to_contain_text("4 pictures most like mug_1.jpg")
        expect(button(page, "Size L")).to_have_attribute("aria-pressed", "true")

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
        expect(said(page)).to_contain_text("Compare with: efficientnet-lite2")
        expect(said(page)).to_contain_text("broken.jpg can't be used")  # still to be read
        compare(page).select_option(label="efficientnet-lite2")
        expect(beside(page)).to_have_count(6)
        page.set_viewport_size({"width": 360, "height": 740})  # again, by the keyboard, on a window of a phone's size
        compare(page).select_option("")
        expect(beside(page)).to_have_count(0)
        compare(page).focus()
        page.keyboard.press("ArrowDown")
        expect(beside(page)).to_have_count(6)
        expect(page.locator(".memora-beside").get_by_role("heading")).to_contain_text("efficientnet-lite2")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        keep(page, "two-networks-360", height=3000)
        page.set_viewport_size({"width": 1400, "height": 1000})
        compare(page).select_option("")

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

        places(page).select_option(index=2)  # the copied folder
        expect(pictures(page)).to_have_count(5)
        (copies,) = (home / "memora" / "page" / "uploads").iterdir()
        page.once("dialog", lambda asked: asked.dismiss())
        page.get_by_role("button", name="Forget this folder").click()
        assert copies.is_dir(), "it asks first"
        page.once("dialog", lambda asked: asked.accept())
        page.get_by_role("button", name="Forget this folder").click()
        expect(said(page)).to_have_text("holiday is forgotten.")
        expect(places(page).locator("option")).to_have_count(2)
        expect(pictures(page)).to_have_count(PICTURES)
        assert not copies.exists()
        assert len(list(others.rglob("*.jpg"))) == 5
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


def test_a_dropped_folder_is_read_until_it_is_stopped_and_read_on_later(browser, app, tmp_path):
    """Also: nothing keeps people out while it is read, on the page before a search, and while a picture is opened."""
    large = tmp_path / "all"
    large.mkdir()
    for n, file in enumerate(sorted((DATA / "images").rglob("*.jpg"))[:300]):
        shutil.copy(file, large / f"IMG_{n:04d}.jpg")
    with opened(browser, app) as page:
        starter(page, MUG).wait_for(timeout=START)
        nothing_keeps_people_out(page, "start")
        page.get_by_text("A folder of your own").click()
        area = page.locator(".memora-places .drop").bounding_box()
        drop = {"items": [], "files": [str(large)], "dragOperationsMask": 1}
        at = {"x": area["x"] + area["width"] - 40, "y": area["y"] + area["height"] / 2}
        for kind in ("dragEnter", "dragOver", "drop"):
            page.context.new_cdp_session(page).send("Input.dispatchDragEvent", {"type": kind, "data": drop, **at})
        busy = page.locator(".memora-places .busy")
        page.wait_for_function("""/Looking at the pictures of all: \\d+ of 300/.test(
            document.querySelector(".memora-places .busy").textContent)""")
        with held(app):  # however fast this machine is, it is still reading when Stop is pressed
            nothing_keeps_people_out(page, "reading")
            page.get_by_role("button", name="Stop").click()
        expect(said(page)).to_contain_text("Stopped.")
        expect(busy).to_be_hidden()
        starter(page, MUG).click()  # the panel before is still there
        expect(status(page)).to_contain_text("most like mug_1.jpg")

        waits = threading.Event()

        class Slow(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                waits.wait()
                self.send_error(404)

        web = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
        threading.Thread(target=web.serve_forever, daemon=True).start()
        line(page).fill(f"http://127.0.0.1:{web.server_port}/a.jpg")
        page.keyboard.press("Enter")
        expect(status(page)).to_have_attribute("data-state", "opening")
        nothing_keeps_people_out(page, "opening")
        waits.set()
        expect(status(page)).to_contain_text("404")
        web.shutdown()


def serving(url: str) -> psutil.Process:
    """Return the process that serves a page."""
    port = f"--port={urlsplit(url).port}"
    (found,) = (one for one in psutil.process_iter(["cmdline"]) if port in (one.info["cmdline"] or []))
    return found


@contextmanager
def held(url: str) -> Iterator[None]:
    """Let the page's kernels stand still meanwhile."""
    kernels = serving(url).children()
    for one in kernels:
        one.suspend()
    try:
        yield
    finally:
        for one in kernels:
            one.resume()


def nothing_keeps_people_out(page: Page, state: str) -> None:
    for theme in ("dark", "light"):
        page.evaluate("theme => { document.documentElement.dataset.memoraTheme = theme; }", theme)
        page.wait_for_timeout(300)  # until nothing moves: colors that fade have no contrast yet
        keep(page, f"{state}-{theme}", height=1000)
        assert serious(page) == [], (state, theme)


def test_without_a_memora_the_page_says_so_and_its_kernel_ends_when_it_is_closed(browser, home):
    """Else each visit would hold half a gigabyte until the server ends."""
    away = {"MEMORA_API_KEY": "k", "MEMORA_PROJECT_ID": "p", "MEMORA_URL": "http://127.0.0.1:9"}
    culling = [f"--MappingKernelManager.cull_{name}" for name in ("idle_timeout=30", "interval=1")]
    with server(["helpers.page", "--no-browser", *culling], home, **away) as url:
        process = serving(url)
        kernels = process.children()
        assert kernels, "one is started ahead"
        with opened(browser, url) as page:
            alert = page.get_by_role("alert")
            alert.wait_for(timeout=START)
            expect(alert).to_contain_text("could not be reached")
            assert serious(page) == []
            assert all(one.is_running() for one in kernels)
        assert psutil.wait_procs(kernels, timeout=START / 1000)[1] == []
        assert process.is_running()
