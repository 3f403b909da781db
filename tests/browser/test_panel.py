"""The search panel in a real browser: as the page of `make app`, and in JupyterLab.

Every test asserts on ids, words and states that are shown, never on pixels. Screenshots for people go to `artefacts/`,
or where MEMORA_ARTEFACTS says.
"""

from __future__ import annotations

import base64
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import nbformat
import pytest
from PIL import Image

from helpers.connect import local_client
from helpers.explore import SearchSession
from helpers.explore.session import MAX_BYTES
from helpers.features import load_extractor
from helpers.images import DATA
from helpers.ingest import ingest
from helpers.search import search
from helpers.settings import ROOT
from tests.explore.test_session import slow
from tests.facts import PICTURES
from tests.local_memora.served import served, surroundings

if TYPE_CHECKING:  # playwright is imported with the first browser
    from playwright.sync_api import Browser, FileChooser, Locator, Page

__all__ = ["slow"]  # a fixture
NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = os.environ.get("CHROMIUM") or next((found for name in NAMES if (found := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here: `apt install chromium`, or set CHROMIUM to its path"
)
ARTEFACTS = Path(os.environ.get("MEMORA_ARTEFACTS") or ROOT / "artefacts")
MUG, GUITAR = "queries/mug_1.jpg", "queries/guitar_1.jpg"
# ms. A busy machine takes its time; nothing waits for this when all is well.
WAIT = 180_000
START = 600_000  # until a server answers, and a kernel has drawn the panel


# what runs: one browser, one collection, one server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return the browser; only this module's, for playwright's event loop would be in other tests' way."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=WAIT)
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@pytest.fixture(scope="module")
def home(tmp_path_factory, kit_home) -> Path:
    """Return a state of its own in which the kit's collection is there."""
    home = tmp_path_factory.mktemp("page")
    shutil.copytree(kit_home, home / "memora")
    return home


@contextmanager
def server(command: list[str], home: Path, **variables: str) -> Iterator[str]:
    """Run a web server until the block ends, and return its address when it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables |= {"JUPYTER_CONFIG_DIR": str(home / "jupyter"), "MEMORA_ALLOW_PRIVATE_ADDRESSES": "1"}
    log = home / f"{port}.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *command, f"--port={port}"],
            cwd=ROOT,
            env=surroundings(home) | variables,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        url, until = f"http://127.0.0.1:{port}", time.monotonic() + START / 1000
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            try:
                httpx.get(f"{url}/static/", timeout=5)  # any answer will do; the page itself would start a kernel
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()  # takes the kernels along
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()


@contextmanager
def opened(browser: Browser, url: str) -> Iterator[Page]:
    """Open a page; an error of its own JavaScript fails the test."""
    with browser.new_context(viewport={"width": 1400, "height": 1000}) as context:
        page, errors = context.new_page(), []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.set_default_timeout(WAIT)
        page.set_default_navigation_timeout(START)
        page.goto(url)
        yield page
        assert errors == []


@pytest.fixture(scope="module")
def app(home) -> Iterator[str]:
    """Return the address of what `make app` runs."""
    with server(["helpers.page", "--no-browser"], home) as url:
        yield url


def requests(page: Page) -> list[str]:
    """Return a list that grows with each address that the page asks; not those that its policy forbids."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("requestfailed", lambda request: request.failure == "csp" and asked.remove(request.url))
    return asked


@pytest.fixture(scope="module")
def visited(browser, app) -> Iterator[tuple[Page, list[str]]]:
    """Return the page when a picture can be chosen, and what it asked for."""
    with opened(browser, "about:blank") as page:
        asked = requests(page)
        page.goto(app)
        starter(page, MUG).wait_for(timeout=START)
        yield page, asked


@pytest.fixture
def page(visited) -> Page:
    """Return the page as it is after a mug was chosen, whatever was done to it before."""
    page = visited[0]
    page.set_viewport_size({"width": 1400, "height": 1000})
    page.evaluate("document.querySelectorAll('dialog[open]').forEach((one) => one.close())")
    starter(page, MUG).click()
    page.locator(".memora-panel:not(.empty)").wait_for()
    for name in ("settings", "filters", "call"):
        page.locator(f".memora-{name}").evaluate("one => { one.open = true; }")
    if button(page, "Clear all").count():
        button(page, "Clear all").click()
    slider(page, "Results").fill("10")
    if compare(page).count():
        compare(page).select_option("")
    for path in (GUITAR, MUG):  # two, so that the wait is for a new search and not for what was there
        starter(page, path).click()
        expect(status(page)).to_have_text(re.compile(f"10 pictures most like {Path(path).name}, [^,]*$"))
    return page


@pytest.fixture(scope="module")
def elsewhere(home, extractor) -> Iterator[SearchSession]:
    """Return a session of another process with the same collection: it says what the page has to show."""
    with local_client(home / "memora") as client:
        yield SearchSession(client, extractor)


@pytest.fixture
def same(elsewhere) -> SearchSession:
    elsewhere.clear_filters()
    elsewhere.change(limit=10)
    elsewhere.ask(DATA / MUG, category="mug")
    return elsewhere


# what a person sees and does


def expect(what: Any) -> Any:
    """Return what waits until something is true of a page, or of a part of it."""
    from playwright.sync_api import expect

    return expect(what)


def starter(page: Page, path: str) -> Locator:
    return page.locator(f".memora-starters li[data-key='{path}'] button")


def status(page: Page) -> Locator:
    return page.locator(".memora-status p")


def hits(page: Page) -> list[str]:
    return page.locator(".memora-hits li[data-key]").evaluate_all("all => all.map((li) => li.dataset.key)")


def first_hit(page: Page, key: str) -> None:
    """Wait until this is the first hit: nothing is more like a picture than itself."""
    expect(page.locator(".memora-hits li[data-key]").first).to_have_attribute("data-key", key)


def ids(session: SearchSession) -> list[str]:
    return [str(hit.id) for hit in session.hits]


def button(page: Page, name: str) -> Locator:
    return page.locator(".memora-panel").get_by_role("button", name=name, exact=True)


def of_hit(page: Page, rank: int, what: str = "picture") -> Locator:
    """Return a hit's picture, or what is shown on it when the pointer is there: `more`, `why` or `details`."""
    hit = page.locator(".memora-hits li[data-key]").nth(rank - 1)
    hit.hover()
    return hit.locator(f"[data-what={what}]")


def chip(page: Page, field: str, value: str) -> Locator:
    group = page.get_by_role("group", name=field)
    if group.locator(".more").count():
        group.locator(".more").click()
    return group.locator(f"button[value='{value}']")


def compare(page: Page) -> Locator:
    return page.locator(".memora-bar select")


def line(page: Page) -> Locator:
    return page.get_by_role("combobox", name="Words, or the address of a picture")


def side(page: Page, name: str) -> Locator:
    return page.locator(f".memora-sides input[aria-label={name}]")


def slider(page: Page, name: str) -> Locator:
    return page.get_by_label(name).and_(page.locator("input[type=range]"))


def upload(page: Page, file: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Upload a picture").click()
    chooser.value.set_files(file)


def keep(page: Page, name: str, *, height: int = 2600) -> None:
    """Keep a screenshot for people; the page scrolls inside itself, so the window is made as high as it."""
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    size = page.viewport_size
    page.set_viewport_size({"width": size["width"], "height": height})
    page.screenshot(path=ARTEFACTS / f"{name}.png")
    page.set_viewport_size(size)


def focus(page: Page) -> dict[str, str]:
    """Return what has the keyboard's focus, and how that is made visible."""
    return page.evaluate("""() => {
        const e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect();
        return { name: e.getAttribute("aria-label") || e.innerText || e.querySelector?.("img")?.alt || "",
            tag: e.tagName, what: e.dataset.what || "", key: e.dataset.key || "", id: e.className,
            column: e.dataset.column || "",
            visible: s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 1 && r.width > 0 };
    }""")


def tab_to(page: Page, wanted, most: int = 120) -> dict[str, str]:
    """Press Tab until what is wanted has the focus; at every stop on the way the focus must be visible."""
    for _ in range(most):
        page.keyboard.press("Tab")
        here = focus(page)
        assert here["tag"] == "BODY" or here["visible"], f"nobody sees that this has the focus: {here}"
        if wanted(here):
            return here
    raise AssertionError(f"not reached with {most} Tabs; last at {here}")


def named(name: str):
    return lambda here: here["name"].strip().startswith(name)


@pytest.fixture
def picture(tmp_path) -> Path:
    """Return a picture on the person's own disk."""
    return Path(shutil.copy(DATA / MUG, tmp_path / "my mug.jpg"))


def test_the_page_asks_no_other_host(page, visited):
    hosts = {urlsplit(url).hostname for url in visited[1] if url.startswith(("http", "ws"))}
    assert hosts == {"127.0.0.1"}


def test_a_picture_from_the_gallery_finds_what_the_search_finds(page, same):
    assert hits(page) == ids(same)
    assert status(page).inner_text() == same.message
    marks = page.locator(".memora-hits li[data-key]").evaluate_all("all => all.map((li) => li.dataset.mark)")
    assert marks == ["right" if hit.category == "mug" else "wrong" for hit in same.hits]
    keep(page, "found")


def test_an_uploaded_picture_is_searched_by_also_when_chosen_again(page, same, picture):
    starter(page, GUITAR).click()
    expect(status(page)).to_contain_text("guitar_1.jpg")
    for _ in range(2):
        upload(page, picture)
        expect(status(page)).to_have_text("10 pictures most like my mug.jpg.")
        assert hits(page) == ids(same)
        starter(page, GUITAR).click()
        expect(status(page)).to_contain_text("guitar_1.jpg")


def test_a_file_of_fifteen_megabytes_arrives(page, tmp_path):
    large = tmp_path / "large.bmp"
    Image.open(DATA / MUG).convert("RGB").resize((2300, 2300)).save(large)
    assert large.stat().st_size > 15e6
    upload(page, large)
    expect(status(page)).to_have_text("10 pictures most like large.bmp.")
    assert side(page, "Right").input_value() == "2300"


@pytest.mark.parametrize(
    ("name", "size", "words"), [("half.jpg", 2000, "half.jpg"), ("huge.png", MAX_BYTES + 1, "50 MB")]
)
def test_a_file_that_is_broken_or_too_large_is_told_and_the_results_stay(page, picture, name, size, words):
    before, file = hits(page), picture.with_name(name)
    file.write_bytes(picture.read_bytes()[:size])
    os.truncate(file, size)
    upload(page, file)
    expect(status(page)).to_have_attribute("data-state", "failed")
    expect(status(page)).to_contain_text(name)
    expect(status(page)).to_contain_text(words)
    assert hits(page) == before
    keep(page, f"failed-{name.partition('.')[0]}")


def test_a_file_can_be_dropped(page, same, picture):
    starter(page, GUITAR).click()
    expect(status(page)).to_contain_text("guitar_1.jpg")
    transfer = page.evaluate_handle(
        """(text) => { const t = new DataTransfer(), bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
        t.items.add(new File([bytes], "dropped.jpg", { type: "image/jpeg" })); return t; }""",
        base64.b64encode(picture.read_bytes()).decode(),
    )
    page.locator(".memora-panel").dispatch_event("drop", {"dataTransfer": transfer})
    expect(status(page)).to_have_text("10 pictures most like dropped.jpg.")
    assert hits(page) == ids(same)


def test_a_picture_in_the_clipboard_is_pasted_where_nothing_has_the_focus(page, same):
    starter(page, GUITAR).click()
    expect(status(page)).to_contain_text("guitar_1.jpg")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    png = io.BytesIO()
    Image.open(DATA / MUG).convert("RGB").save(png, "PNG")
    page.evaluate(
        """async (text) => { const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
        const picture = new Blob([bytes], { type: "image/png" });
        await navigator.clipboard.write([new ClipboardItem({ "image/png": picture })]);
        document.activeElement.blur(); }""",
        base64.b64encode(png.getvalue()).decode(),
    )
    page.keyboard.press("Control+v")
    expect(status(page)).to_have_text("10 pictures most like image.png.")  # as browsers call what has no name
    assert hits(page) == ids(same)


def test_something_dropped_that_is_no_file_is_told(page):
    page.locator(".memora-panel").dispatch_event("drop", {"dataTransfer": page.evaluate_handle("new DataTransfer()")})
    expect(status(page)).to_contain_text("What was dropped can't be used")


def test_a_picture_on_the_web_is_fetched_by_enter_and_by_a_click(page, same, picture):
    web = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=picture.parent))
    threading.Thread(target=web.serve_forever, daemon=True).start()
    try:
        for fetch in (lambda: page.keyboard.press("Enter"), button(page, "Search").click):
            starter(page, GUITAR).click()
            expect(status(page)).to_contain_text("guitar_1.jpg")
            line(page).fill(f"http://127.0.0.1:{web.server_port}/my%20mug.jpg")
            fetch()
            expect(status(page)).to_contain_text("10 pictures most like my mug.jpg")
            assert hits(page) == ids(same)
        line(page).fill(f"http://127.0.0.1:{web.server_port}/none.jpg")
        page.keyboard.press("Enter")
        expect(status(page)).to_contain_text("the server answered 404")
        assert hits(page) == ids(same)
    finally:
        web.shutdown()


def test_a_word_is_suggested_and_finds_pictures_by_the_keyboard(page, same):
    words = line(page)
    offered = words.evaluate("e => [...e.list.options].map((o) => o.value)")
    assert len(offered) == 1000
    assert "teapot" in offered
    words.press_sequentially("teap")
    page.keyboard.press("Enter")
    same.ask_words("teapot")
    expect(status(page)).to_have_text(same.message)
    assert hits(page) == ids(same)
    expect(words).to_have_value("teapot")
    expect(page.locator(".memora-crop img")).to_be_hidden()  # the mug before is not the query any more
    keep(page, "words")
    words.fill("no such thing")
    button(page, "Search").click()
    expect(status(page)).to_contain_text("no word for it")
    assert hits(page) == ids(same)
    of_hit(page, 2).click()
    first_hit(page, ids(same)[1])
    page.get_by_role("button", name='back to "teapot"').first.click()
    expect(status(page)).to_have_text(same.message)
    assert hits(page) == ids(same)


def test_what_is_wrong_is_in_view_wherever_one_has_scrolled(page, picture):
    page.set_viewport_size({"width": 360, "height": 740})
    (picture.parent / "half.jpg").write_bytes(picture.read_bytes()[:2000])
    page.locator(".memora-hits li[data-key]").last.scroll_into_view_if_needed()
    expect(page.get_by_role("button", name="Upload a picture")).not_to_be_in_viewport()
    page.locator(".memora-panel input[type=file]").set_input_files(picture.parent / "half.jpg")
    expect(status(page)).to_contain_text("half.jpg")
    expect(status(page)).to_be_in_viewport()


def test_a_dragged_box_searches_by_a_part_and_the_whole_comes_back(page, same):
    whole = hits(page)
    drag(page, (0.1, 0.15), (0.5, 0.6))
    expect(status(page)).to_contain_text("by its upper left quarter")
    expect(page.locator(".memora-part")).to_contain_text("upper left quarter")
    size = same.query.picture.size
    assert [round(10 * side / of) / 10 for side, of in zip(box(page), size * 2, strict=True)] == [0.1, 0.2, 0.5, 0.6]
    same.crop(box(page))
    expect(status(page)).to_have_text(same.message)
    assert hits(page) == ids(same) != whole
    keep(page, "part")
    drag(page, (0.5, 0.6), (0.8, 0.9))  # by its corner
    expect(side(page, "Right")).to_have_value(re.compile(str(round(0.8 * size[0]))[:-1]))
    before = box(page)
    drag(page, (0.4, 0.4), (0.5, 0.5))  # by its middle: it moves and keeps its size
    expect(side(page, "Left")).not_to_have_value(str(before[0]))
    assert box(page)[2] - box(page)[0] == pytest.approx(before[2] - before[0], abs=2)
    corner = page.get_by_role("button", name="upper left corner of the part")
    before = box(page)
    corner.focus()
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(side(page, "Left")).not_to_have_value(str(before[0]))
    assert [round(50 * (now - then) / of) / 50 for now, then, of in zip(box(page), before, size * 2, strict=True)] == [
        0.1, 0.02, 0, 0
    ]  # fmt: skip
    expect(corner).to_be_focused()
    same.crop(box(page))
    expect(status(page)).to_have_text(same.message)
    button(page, "Whole picture").click()
    same.crop(None)
    expect(status(page)).to_have_text(same.message)
    assert hits(page) == whole
    expect(page.locator(".memora-crop.part")).to_have_count(0)


def box(page: Page) -> tuple[int, int, int, int]:
    left, top, right, bottom = (int(side(page, name).input_value()) for name in ("Left", "Top", "Right", "Bottom"))
    return left, top, right, bottom


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    image = page.locator(".memora-crop img")
    image.scroll_into_view_if_needed()
    area = image.bounding_box()
    for (x, y), act in ((start, page.mouse.down), (end, page.mouse.up)):
        page.mouse.move(area["x"] + x * area["width"], area["y"] + y * area["height"], steps=4)
        act()


def test_a_box_can_be_typed_and_one_that_is_too_small_goes_back(page, same):
    page.get_by_text("Exact numbers").click()
    for name, value in (("Right", 200), ("Bottom", 180)):
        side(page, name).fill(str(value))
        page.keyboard.press("Tab")
    same.crop((0, 0, 200, 180))
    expect(status(page)).to_have_text(same.message)
    expect(page.locator(".memora-crop.part")).to_be_visible()
    first_hit(page, ids(same)[0])
    assert hits(page) == ids(same)
    side(page, "Right").fill("3")
    page.keyboard.press("Tab")
    expect(status(page)).to_contain_text("8 pixels")
    expect(side(page, "Right")).to_have_value("200")


def test_the_number_of_results_follows_the_slider_the_last_position_wins(page, same):
    results = slider(page, "Results")
    results.focus()
    for _ in range(7):  # faster than a search
        page.keyboard.press("ArrowLeft")
    expect(page.locator(".memora-hits li[data-key]")).to_have_count(3)
    assert hits(page) == ids(same)[:3]
    assert results.input_value() == "3"


def test_a_filter_that_nothing_passes_is_cleared_by_one_button(page):
    before = hits(page)
    chip(page, "Material", "cap").click()
    chip(page, "Category", "mug").click()
    expect(status(page)).to_have_text("No picture passes this filter.")
    expect(page.locator(".memora-hits li[data-key]")).to_have_count(0)
    keep(page, "nothing-found")
    button(page, "Clear filters").click()
    expect(status(page)).to_contain_text("10 pictures most like mug_1.jpg")
    assert hits(page) == before
    expect(page.locator(".memora-chips [aria-pressed=true]")).to_have_count(0)
    assert focus(page)["key"] == before[0], "the button is gone; the focus goes on to the hits"


def test_chips_count_pictures_and_are_chosen_and_freed_by_the_keyboard(page, same):
    """They also stand above the results, where one click takes one away, or all."""
    red = chip(page, "Color", "red")
    stored = sum(hit.metadata["color"] == "red" for hit in same.pictures)
    found = sum(hit.metadata["color"] == "red" for hit in same.hits)
    expect(red).to_have_text(f"red{found} of {stored}")
    page.get_by_role("group", name="Color").locator("button").first.focus()
    while not named("red:")(focus(page)):
        page.keyboard.press("ArrowRight")
    assert focus(page)["visible"]
    page.keyboard.press("Space")
    expect(red).to_have_attribute("aria-pressed", "true")
    same.allow("color", "red")
    expect(status(page)).to_have_text(same.message)
    assert hits(page) == ids(same)
    assert named("red:")(focus(page)), "choosing must not move the focus"
    chip(page, "Color", "blue").click()
    same.allow("color", "red", "blue")
    expect(button(page, "Remove the filter color: blue")).to_be_visible()
    expect(status(page)).to_have_text(same.message)
    assert hits(page) == ids(same)
    keep(page, "chips")
    button(page, "Remove the filter color: red").click()
    same.allow("color", "blue")
    expect(chip(page, "Color", "red")).to_have_attribute("aria-pressed", "false")
    expect(page.locator(".memora-hits li[data-key]").first).to_have_attribute("data-key", ids(same)[0])
    button(page, "Clear all").click()
    same.clear_filters()
    first_hit(page, ids(same)[0])
    expect(page.locator(".memora-active button")).to_have_count(0)


def test_numbers_are_filtered_by_a_range_with_two_thumbs(page, same):
    low, high = (page.get_by_label(f"Elevation {end}") for end in ("from", "to"))
    span = same.spans["elevation"]
    assert (low.input_value(), high.input_value()) == tuple(map(str, span))
    low.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    same.between("elevation", span[0] + 3, span[1])
    expect(button(page, f"Remove the filter elevation: {span[0] + 3} to {span[1]}")).to_be_visible()
    expect(status(page)).to_have_text(same.message)
    assert hits(page) == ids(same)
    expect(low).to_be_focused()


def test_two_settings_are_compared_side_by_side_and_back(page, same):
    compare(page).select_option("middle")
    same.change(beside="middle")
    beside = page.locator(".memora-beside li[data-key]")
    expect(page.locator(".memora-beside h3")).to_contain_text("only its middle")
    assert beside.evaluate_all("all => all.map((li) => li.dataset.key)") == [str(hit.id) for hit in same.beside]
    assert hits(page) == ids(same)
    both = {str(hit.id) for hit in same.beside} & set(ids(same))
    marked = page.locator(".memora-hits li[data-both=true]").evaluate_all("all => all.map((li) => li.dataset.key)")
    assert set(marked) == both
    keep(page, "compare")
    same.change(beside="")
    compare(page).select_option("")
    expect(page.locator(".memora-beside")).to_have_count(0)


def test_the_size_of_the_pictures_and_the_theme_are_a_choice(page):
    """Before anybody chooses, the theme is the system's."""
    before = page.locator(".memora-hits li[data-key]").first.bounding_box()["height"]
    button(page, "Size L").click()
    expect(button(page, "Size L")).to_have_attribute("aria-pressed", "true")
    assert page.locator(".memora-hits li[data-key]").first.bounding_box()["height"] > before
    button(page, "Size M").click()
    root = page.locator("html")
    expect(root).to_have_attribute("data-memora-theme", "light")
    button(page, "Light or dark").click()
    expect(root).to_have_attribute("data-memora-theme", "dark")
    keep(page, "dark")
    page.evaluate("localStorage.clear()")
    page.emulate_media(color_scheme="dark")  # a change is what the page hears, in the next frame
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.emulate_media(color_scheme="light")
    expect(root).to_have_attribute("data-memora-theme", "light")
    page.emulate_media(color_scheme="dark")
    expect(root).to_have_attribute("data-memora-theme", "dark")
    page.emulate_media(color_scheme="light")
    expect(root).to_have_attribute("data-memora-theme", "light")


def test_a_click_on_a_hit_goes_on_from_it_and_back_returns(page):
    before = hits(page)
    of_hit(page, 3).click()
    expect(status(page)).not_to_contain_text("mug_1.jpg")
    expect(status(page)).to_have_attribute("data-state", "found")
    assert hits(page)[0] == before[2]
    button(page, "Back").click()
    expect(status(page)).to_contain_text("10 pictures most like mug_1.jpg")
    assert hits(page) == before
    for rank in (1, 1):
        key = hits(page)[rank]
        page.locator(f".memora-hits li[data-key='{key}'] button").first.click()
        first_hit(page, key)
    page.get_by_role("button", name="back to mug_1.jpg").first.click()
    expect(status(page)).to_contain_text("10 pictures most like mug_1.jpg")
    assert hits(page) == before


def test_a_double_click_is_one_query(page):
    """The second click would else hit whatever picture is under the pointer by then."""
    earlier = page.get_by_role("button", name="back to ")
    before = earlier.count()
    third = hits(page)[2]
    page.locator(f".memora-hits li[data-key='{third}'] button").first.dblclick()
    first_hit(page, third)
    expect(earlier).to_have_count(min(before + 1, 8))
    expect(status(page)).to_have_attribute("data-state", "found")
    starter(page, GUITAR).dblclick()
    expect(status(page)).to_contain_text("10 pictures most like guitar_1.jpg")
    button(page, "Back").click()
    first_hit(page, third)
    button(page, "Back").click()
    expect(status(page)).to_contain_text("10 pictures most like mug_1.jpg")


def test_old_hits_are_grey_until_those_of_a_large_picture_are_there(page, tmp_path):
    large = tmp_path / "large.png"
    Image.effect_noise((6000, 5000), 90).convert("RGB").save(large, compress_level=1)
    page.evaluate("""() => { window.seen = [];
        new MutationObserver(() => {
            const p = document.querySelector(".memora-status p");
            if (p) window.seen.push([p.dataset.state, p.textContent, !!document.querySelector(".memora-outdated")]);
        }).observe(document.querySelector(".memora-panel"), { subtree: true, childList: true, attributes: true }); }""")
    upload(page, large)
    expect(status(page)).to_contain_text("10 pictures most like large.png")
    seen = page.evaluate("window.seen")
    assert ["opening", "Opening large.png ...", True] in seen
    assert ["searching", "Searching by large.png ...", True] in seen
    assert page.locator(".memora-outdated").count() == 0


def test_details_show_the_hit_beside_the_query_and_say_why(page, same):
    of_hit(page, 2, "details").click()
    dialog = page.get_by_role("dialog", name="Details")
    expect(dialog.get_by_role("heading", name="Hit 2")).to_be_visible()
    assert same.hits[1].path in dialog.locator(".memora-table").inner_text()
    expect(button(page, "Why this one?")).to_be_focused()
    button(page, "Why this one?").click()
    expect(page.locator(".memora-why")).to_have_text(str(same.why(same.hits[1])))
    assert dialog.locator(".memora-pair img").count() == 2
    keep(page, "why", height=1000)
    button(page, "Close").click()
    expect(dialog).to_be_hidden()
    of_hit(page, 3, "why").click()  # at once
    expect(page.locator(".memora-why")).to_have_text(str(same.why(same.hits[2])))
    dialog.get_by_role("button", name="More like this").click()
    first_hit(page, ids(same)[2])
    expect(dialog).to_be_hidden()


def test_the_call_that_can_be_copied_is_the_one_that_was_made(page, same):
    for kind in ("mug", "bucket"):
        chip(page, "Category", kind).click()
    slider(page, "Results").fill("4")
    slider(page, "Similarity").fill("0.3")
    same.allow("category", "mug", "bucket")
    same.change(limit=4, least_similarity=0.3)
    expect(status(page)).to_have_text(same.message)
    assert hits(page) == ids(same)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    button(page, "Copy").click()
    expect(page.get_by_text("Copied.")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == same.call
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('forbidden')); }")
    button(page, "Copy").click()
    expect(page.get_by_text("press Ctrl+C")).to_be_visible()
    assert page.evaluate("String(getSelection())") == same.call


NEAR = """(key) => {
    const at = (which) => {
        const found = document.querySelector(`.memora-map ${which}`)?.getAttribute("transform");
        return found ? found.match(/[\\d.]+/g) : [NaN, NaN];  // the map is not there yet
    };
    const [x, y] = at(".here"), [left, top] = at(`g[data-key="${key}"]`);
    return Math.hypot(x - left, y - top) < 80;
}"""


def test_the_map_searches_by_a_click_and_by_keys_and_marks_the_query(page):
    pictures = page.locator(".memora-map g[data-key]")
    expect(pictures).to_have_count(PICTURES)
    key = pictures.last.get_attribute("data-key")  # nothing lies above the last
    pictures.last.click()
    first_hit(page, key)
    expect(status(page)).to_have_attribute("data-state", "found")
    expect(page.locator(".memora-map .here")).to_have_attribute("visibility", "visible")
    page.wait_for_function(NEAR, arg=key)  # mugs lie far away
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    chosen = page.locator(".memora-map g.chosen").get_attribute("data-key")
    assert chosen != key
    first_hit(page, chosen)
    page.locator(".memora").get_by_label("Color by").select_option("color")
    expect(page.locator(".memora-legend")).to_contain_text("teal")
    page.locator(".memora-map svg").scroll_into_view_if_needed()
    keep(page, "map", height=3600)


def test_the_mouse_alone_is_enough(page, same, picture):
    """From a file of one's own to why the second hit was found, and to its place on the map."""
    upload(page, picture)
    expect(status(page)).to_have_text("10 pictures most like my mug.jpg.")
    assert hits(page)[:5] == ids(same)[:5]
    of_hit(page, 2, "why").click()
    expect(page.locator(".memora-why")).to_have_text(str(same.why(same.hits[1])))
    button(page, "Close").click()
    page.wait_for_function(NEAR, arg=ids(same)[0])
    page.locator(".memora-map .here").scroll_into_view_if_needed()
    expect(page.locator(".memora-map .here")).to_be_in_viewport()


def test_the_keyboard_alone_is_enough(browser, app, same, picture):
    """From the start of the page to why the second hit was found, and to the map."""
    with opened(browser, app) as page:
        starter(page, MUG).wait_for(timeout=START)
        keyboard = page.keyboard
        tab_to(page, named("Upload a picture"))
        chosen: list[FileChooser] = []
        page.on("filechooser", lambda one: chosen.append(one))
        for _ in range(60):  # a browser opens none for a key that it hears of seconds later, on a busy machine
            if not chosen:
                keyboard.press("Space")
                page.wait_for_timeout(1_000)
        chosen[0].set_files(picture)
        expect(status(page)).to_have_text("10 pictures most like my mug.jpg.")
        assert hits(page)[:5] == ids(same)[:5]
        assert named("Upload a picture")(focus(page))

        first = tab_to(page, lambda here: here["what"] == "picture")
        keyboard.press("ArrowRight")
        second = focus(page)
        assert second["key"] != first["key"]
        assert second["visible"]
        keyboard.press("Enter")
        expect(status(page)).to_contain_text(f"most like {Path(second['key']).name}")
        assert focus(page)["key"] == second["key"], "choosing must not move the focus"
        keyboard.press("b")  # back
        expect(status(page)).to_have_text("10 pictures most like my mug.jpg.")

        tab_to(page, lambda here: here["what"] == "picture" and here["key"] == ids(same)[0])
        keyboard.press("ArrowRight")
        assert focus(page)["key"] == ids(same)[1]
        keep(page, "keyboard-focus")
        tab_to(page, lambda here: here["what"] == "why" and here["key"] == ids(same)[1], most=2)
        keyboard.press("Enter")
        expect(page.locator(".memora-why")).to_have_text(str(same.why(same.hits[1])))
        assert focus(page)["visible"]
        keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        assert (focus(page)["what"], focus(page)["key"]) == ("picture", ids(same)[1])
        keyboard.press("Enter")  # more like this
        expect(status(page)).to_contain_text(f"most like {same.hits[1].path}")
        assert focus(page)["key"] == ids(same)[1], "the picture is the first hit now, and still has the focus"
        keyboard.press("b")
        expect(status(page)).to_have_text("10 pictures most like my mug.jpg.")
        assert hits(page) == ids(same)
        keyboard.press("?")
        expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
        keyboard.press("Escape")
        keyboard.press("/")
        expect(line(page)).to_be_focused()

        expect(page.locator(".memora-map .here")).to_have_attribute("visibility", "visible")
        page.wait_for_function(NEAR, arg=ids(same)[0])
        tab_to(page, named("Map of the collection"))
        keyboard.press("ArrowRight")
        keyboard.press("Enter")
        chosen = page.locator(".memora-map g.chosen").get_attribute("data-key")
        first_hit(page, chosen)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 360])
def test_nothing_keeps_people_out_and_nothing_scrolls_sideways(page, width, theme):
    """Found, compared, a part, nothing found, refused, details with why, the keys; the other states are below."""
    page.evaluate("theme => { document.documentElement.dataset.memoraTheme = theme; }", theme)
    page.set_viewport_size({"width": width, "height": 900})
    page.locator(".memora-map g[data-key]").last.wait_for()
    for name in ("settings", "filters", "call"):
        page.locator(f".memora-{name}").evaluate("one => { one.open = true; }")
    states = {
        "found": lambda: None,
        "compared": lambda: compare(page).select_option("grey"),
        "nothing-found": lambda: slider(page, "Similarity").fill("1"),
        "refused": lambda: (line(page).fill("/home/me.jpg"), page.keyboard.press("Enter")),
        "cleared": lambda: button(page, "Clear all").click(),
        "part": lambda: drag(page, (0.1, 0.15), (0.5, 0.6)),
        "why": lambda: of_hit(page, 2, "why").click(),
        "keys": lambda: (button(page, "Close").click(), button(page, "Keys").click()),
    }
    shown = {"found": ".memora-hits li", "compared": ".memora-beside li", "why": ".memora-why", "keys": "dialog dl",
             "nothing-found": "[data-state='nothing found']", "refused": "p[data-state=failed]",
             "cleared": ".memora-hits li", "part": ".memora-crop.part"}  # fmt: skip
    for state, bring in states.items():
        bring()
        page.locator(shown[state]).first.wait_for()
        expect(status(page)).to_have_attribute("aria-busy", "false")
        page.wait_for_timeout(300)  # until nothing moves: colors that fade have no contrast yet
        if state in ("found", "compared"):
            keep(page, f"{state}-{width}-{theme}", height=2600)
        assert serious(page) == [], state
        wider = page.evaluate("""() => [...document.querySelectorAll("body, .memora, .memora *")].filter((e) =>
            e.getBoundingClientRect().right > innerWidth + 1 &&
            !e.closest("svg, .memora-starters ul, .memora-earlier ul, .clip")
            ).map((e) => e.outerHTML.slice(0, 90))""")
        assert wider == [], state
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate("document.documentElement.dataset.memoraTheme = 'light'")


TWO = """
import time
from pathlib import Path
import httpx
from helpers.images import web
from helpers.connect import local_client
from helpers.explore.panel import Newest, SearchPanel, in_a_thread
from helpers.explore.session import SearchSession
from helpers.features import load_extractor

web.MAX_SECONDS, web.TIMEOUT = 600.0, httpx.Timeout(600.0)  # the page is looked at meanwhile
newest = Newest()
def start(job):
    def work():
        while Path({held!r}).exists():
            time.sleep(0.05)
        job()
    newest(work)

pairs = [(load_extractor(name), name.replace("-", "_")) for name in ("efficientnet-lite0", "efficientnet-lite2")]
client, options = local_client(Path({home!r})), dict(start=start, start_opening=in_a_thread)
SearchPanel(SearchSession(client, pairs, root=Path({root!r}), **options), for_page=True)
"""


def test_two_networks_are_compared_and_the_states_before_keep_nobody_out(browser, tmp_path, slow):
    """By mouse, by keyboard, in a narrow window; on the way nothing chosen, opening, searching, in both themes."""
    root, held, store = tmp_path / "few", tmp_path / "held", tmp_path / "store"
    for kind in ("mug", "teapot", "vase", "bucket", "apple", "orange"):
        shutil.copytree(DATA / "images" / kind, root / kind)
    networks = [load_extractor(name) for name in ("efficientnet-lite0", "efficientnet-lite2")]
    with local_client(store) as client:
        pairs = [(network, network.name.replace("-", "_")) for network in networks]
        for network, collection in pairs:
            ingest(client, root, extractor=network, collection=collection)
        same = SearchSession(client, pairs, root=root)
        same.ask(DATA / MUG)
        same.change(beside="network efficientnet-lite2")
        ours, theirs = (
            [str(hit.id) for hit in search(client, DATA / MUG, extractor=network, collection=name, limit=10)]
            for network, name in pairs
        )
        why = [str(same.why(hits[1])) for hits in (same.hits, same.beside)]
    assert ours != theirs
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(
        TWO.format(held=str(held), home=str(store), root=str(root)))])  # fmt: skip
    nbformat.write(notebook, tmp_path / "two.ipynb")
    address, gate = slow

    def nobody_is_kept_out(state: str) -> None:
        page.locator(f"[data-state='{state}']").wait_for()
        for width in (1280, 360):
            page.set_viewport_size({"width": width, "height": 900})
            for theme in ("dark", "light"):
                page.evaluate("theme => { document.documentElement.dataset.memoraTheme = theme; }", theme)
                page.wait_for_timeout(300)  # until nothing moves: colors that fade have no contrast yet
                keep(page, f"{state.replace(' ', '-')}-{width}-{theme}", height=1200)
                assert serious(page) == [], (state, width, theme)
            assert page.evaluate("document.documentElement.scrollWidth") <= width

    def column(name: str) -> list[str]:
        return page.locator(f".memora-{name} li[data-key]").evaluate_all("all => all.map((li) => li.dataset.key)")

    def marked(name: str) -> set[str]:
        both = page.locator(f".memora-{name} li[data-both=true]")
        return set(both.evaluate_all("all => all.map((li) => li.dataset.key)"))

    def compared() -> None:
        expect(page.locator(".memora-beside h3")).to_contain_text("efficientnet-lite2")
        assert (column("hits"), column("beside")) == (ours, theirs)
        assert marked("hits") == marked("beside") == set(ours) & set(theirs)

    with server(["voila", str(tmp_path / "two.ipynb"), "--no-browser"], tmp_path) as url, opened(browser, url) as page:
        page.locator(".memora-starters li").first.wait_for(timeout=START)
        nobody_is_kept_out("nothing chosen")
        page.set_viewport_size({"width": 1280, "height": 900})
        line(page).fill(address)
        page.keyboard.press("Enter")
        nobody_is_kept_out("opening")
        held.touch()
        gate.set()
        nobody_is_kept_out("searching")
        held.unlink()
        expect(status(page)).to_contain_text("10 pictures most like")

        page.set_viewport_size({"width": 1280, "height": 900})
        compare(page).select_option("network efficientnet-lite2")  # by mouse
        compared()
        for n, name in enumerate(("hits", "beside")):
            hit = page.locator(f".memora-{name} li[data-key]").nth(1)
            hit.hover()
            hit.locator("[data-what=why]").click()
            expect(page.locator(".memora-why")).to_have_text(why[n])
            button(page, "Close").click()
        nobody_is_kept_out("found")

        compare(page).select_option("")
        expect(page.locator(".memora-beside")).to_have_count(0)
        compare(page).focus()  # in the narrow window, by keys
        page.keyboard.press("e")  # the first choice that begins so
        compared()
        tab_to(page, lambda here: here["what"] == "picture" and here["column"] == "1")
        page.keyboard.press("ArrowRight")
        assert focus(page)["key"] == theirs[1]
        page.keyboard.press("w")
        expect(page.locator(".memora-why")).to_have_text(why[1])
        keep(page, "compare-why-360", height=900)
        assert serious(page) == []
        page.keyboard.press("Escape")
        assert (focus(page)["key"], focus(page)["column"]) == (theirs[1], "1")


def serious(page: Page, context: str | None = None) -> list[str]:
    """Return what axe-core calls serious or critical."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, context=context).response["violations"]
    return [
        f"{one['id']}: {node['html'][:200]} {node.get('failureSummary', '')}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def test_trying_again_is_enough_once_a_lost_memora_is_back(browser, home, same):
    options = {"key": "k", "project": "local"}
    with served(home / "memora", **options) as memora:
        variables = {"MEMORA_API_KEY": "k", "MEMORA_PROJECT_ID": "local", "MEMORA_URL": memora.url}
        with server(["helpers.page", "--no-browser"], home, **variables) as url, opened(browser, url) as page:
            starter(page, MUG).click(timeout=START)
            expect(status(page)).to_have_text(same.message)
            memora.stop()
            starter(page, GUITAR).click()
            expect(status(page)).to_have_attribute("data-state", "failed")
            expect(status(page)).to_contain_text("could not be reached")
            keep(page, "unreachable")
            for theme in ("dark", "light"):
                page.evaluate("theme => { document.documentElement.dataset.memoraTheme = theme; }", theme)
                assert serious(page) == [], theme
            with served(home / "memora", port=memora.port, **options):
                button(page, "Try again").click()
                expect(status(page)).to_contain_text("10 pictures most like guitar_1.jpg")
                assert len(hits(page)) == 10
                expect(button(page, "Try again")).to_be_hidden()


def test_jupyterlab_shows_the_panel_readable_in_both_themes(browser, home, same):
    from axe_playwright_python.sync_playwright import Axe

    folder = home / "lab"
    folder.mkdir()
    shutil.copy(ROOT / "notebooks" / "05_explore_interactively.ipynb", folder)  # JupyterLab saves what it runs
    command = [
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        "--IdentityProvider.token=",
        f"--ServerApp.root_dir={folder}",
    ]
    with server(command, home) as url, opened(browser, f"{url}/lab/tree/05_explore_interactively.ipynb") as page:
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=START)
        menu(page, "Run", "Run All Cells")
        starter(page, MUG).click(timeout=START)
        expect(status(page)).to_have_text(same.message)
        assert hits(page) == ids(same)
        page.keyboard.press("Control+s")
        page.get_by_text("Saving completed").wait_for()
        page.reload()  # the kernel goes on; the panel is another view of what it has
        expect(status(page)).to_have_text(same.message)
        of_hit(page, 1).click()
        first_hit(page, ids(same)[0])
        starter(page, MUG).click()
        expect(status(page)).to_have_text(same.message)
        for theme in ("Light", "Dark"):
            menu(page, "Settings", "Theme", f"JupyterLab {theme}")
            page.wait_for_function("name => document.body.dataset.jpThemeName === name", arg=f"JupyterLab {theme}")
            expect(page.locator("html")).to_have_attribute("data-memora-theme", theme.lower())
            keep(page, f"lab-{theme.lower()}", height=1600)
            contrast = Axe().run(page, ".memora-panel", {"runOnly": ["color-contrast"]}).response
            assert contrast["violations"] == []
            assert contrast["passes"][0]["nodes"], "axe looked at nothing"
        cell = page.locator(".jp-Cell").filter(has=page.locator(".memora-map"))
        expect(cell.locator(".memora-map svg")).to_have_count(1)
        expect(cell.locator(".jp-RenderedImage")).to_have_count(0)  # its picture is for pages without widgets
        page.keyboard.press("Control+b")  # without the list of files
        page.set_viewport_size({"width": 360, "height": 740})
        page.locator(".memora-hits li[data-key]").first.scroll_into_view_if_needed()
        keep(page, "lab-360", height=3000)
        wider = page.evaluate("""() => {
            const right = document.querySelector(".jp-Notebook").getBoundingClientRect().right;
            return [...document.querySelectorAll(".memora-panel, .memora-panel *")].filter((e) =>
                e.getBoundingClientRect().right > right && !e.closest(".memora-starters ul, .memora-earlier ul, .clip")
                ).map((e) => e.outerHTML.slice(0, 90)); }""")
        assert wider == []


def menu(page: Page, *names: str) -> None:
    page.get_by_role("menubar").get_by_role("menuitem", name=names[0], exact=True).click()
    for name in names[1:]:
        page.locator(".lm-Menu-item").filter(has_text=name).first.click()
