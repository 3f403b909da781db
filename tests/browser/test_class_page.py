"""The teacher's page of a class server, in a real browser: the key opens it, it is live, and readable from afar."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from helpers.memora import MemoraError
from helpers.memora.models import Collection
from tests.browser.test_panel import ARTEFACTS, CHROMIUM, WAIT
from tests.local_memora.test_classroom import ROWS, Class

if TYPE_CHECKING:  # playwright is imported with the first browser
    from playwright.sync_api import Page

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here: `apt install chromium`, or set CHROMIUM to its path"
)


@pytest.fixture
def page() -> Iterator[Page]:
    """Return a page as large as a projector's."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=WAIT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser.new_page(viewport={"width": 1280, "height": 720})


def test_the_teacher_watches_the_class_without_reloading(page, tmp_path):
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import expect

    one = Class(tmp_path, students=30)
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    with one.served() as process:
        page.goto(f"{one.url}/class")
        page.get_by_label("The teacher's key").fill(one.keys[one.names[0]])
        page.get_by_role("button", name="Show the class").click()
        expect(page.get_by_role("status")).to_contain_text("it needs the teacher's key")
        expect(page.get_by_role("table")).to_have_count(0)
        said.clear()  # the browser notes the refusal

        page.get_by_label("The teacher's key").fill(one.teacher)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("Evening <class>: 0 of 30 are here")
        row = page.get_by_role("row", name="student-03")
        expect(row).to_have_text("student-03never0000-")

        with one.client(one.names[2]) as client:
            client.collections.create(collection=Collection("c", 2))
            client.vectors.insert(collection_name="c", data=ROWS)
            client.vectors.search(collection_name="c", data=[1.0, 0.0], anns_field="vector", limit=1)
            with pytest.raises(MemoraError):
                client.collections.describe(collection_name="<b>misspelt</b>")
            with pytest.raises(MemoraError):
                client.vectors.query(collection_name="c", filter="nme == 1")
        for exercise, right in {"number_of_tokens": False, "look_alike": True, "precision": True}.items():
            assert one.report(one.names[2], exercise, right).status_code == 200
        expect(page.get_by_role("heading", level=1)).to_have_text("Evening <class>: 1 of 30 are here")
        expect(row.get_by_role("cell").nth(2)).to_have_text("1")
        expect(row.get_by_role("cell").nth(3)).to_have_text("5")
        expect(row.get_by_role("cell").nth(5)).to_have_text("2")
        expect(row.get_by_role("cell").nth(6)).to_have_text("2 of 3")
        expect(page.get_by_text("look_alike 1, number_of_tokens 0, precision 1")).to_be_visible()
        mistakes = page.get_by_role("listitem")
        expect(mistakes.filter(has_text="vectors/query: filter, position N: no field")).to_have_count(1)
        assert page.locator("b").count() == 0

        for kind in ("search", "get", "delete", "upsert"):  # as many kinds of mistakes as the page shows
            one.post(one.keys[one.names[4]], f"vectors/{kind}", one.names[4], wrong="x" * 200)
        expect(mistakes).to_have_count(5)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        one_table, other_table = (table.bounding_box() for table in page.get_by_role("table").all())
        assert one_table["x"] + one_table["width"] < other_table["x"]
        assert page.evaluate("document.documentElement.scrollHeight <= innerHeight"), "thirty students need scrolling"
        size = page.evaluate("parseFloat(getComputedStyle(document.querySelector('td')).fontSize)")
        assert size >= 20  # px: letters 1/36 of a projector's height
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        ARTEFACTS.mkdir(exist_ok=True)
        page.screenshot(path=ARTEFACTS / "class-page.png")
        assert said == []
        assert all(url.startswith(f"{one.url}/class") for url in asked)
        assert not [url for url in asked if one.teacher in url]

        process.terminate()
        process.wait()
        expect(page.get_by_role("status")).to_contain_text("The server does not answer")
        expect(row.get_by_role("cell").nth(3)).to_have_text("5")
        port = one.port
    with one.served(port):
        expect(page.get_by_role("status")).to_contain_text("As of")
