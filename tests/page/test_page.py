"""What `make app` runs, without a browser."""

import shutil

import pytest

from helpers.connect import COLLECTION, local_client
from helpers.features.words import names_of
from helpers.images import DATA
from helpers.page import kernel, page, places
from helpers.settings import HOSTED

LITE0, LITE2 = "efficientnet-lite0", "efficientnet-lite2"


def test_without_dinov2_there_are_two_networks_to_compare(monkeypatch):
    monkeypatch.setenv("MEMORA_EXTRACTOR", "")
    assert [one.name for one in page.networks()] == [LITE0, LITE2]


def test_a_page_that_finds_no_memora_says_so_instead_of_a_traceback(monkeypatch):
    for name, value in zip(HOSTED, ("k", "p", "http://127.0.0.1:9"), strict=True):
        monkeypatch.setenv(name, value)
    assert "could not be reached" in page.page().value


def test_the_panel_does_not_wait_for_the_network_to_be_loaded(monkeypatch, extractor):
    loaded = []
    monkeypatch.setattr(page, "load_extractor", lambda name: loaded.append(name) or extractor)
    later = page.Later(LITE0)
    assert len(names_of(later)) == 1000
    assert loaded == []
    assert (later.dim, later.embed([DATA / "queries" / "mug_1.jpg"]).shape) == (1280, (1, 1280))
    assert loaded == [LITE0]


def test_a_kernel_started_ahead_ends_with_the_page_that_nobody_visited():
    process = kernel.start()
    process.stdin.close()
    assert process.wait(600) == 0


@pytest.fixture
def opened(monkeypatch, tmp_path, kit_home, extractor):
    """Return a page beside a Memora that holds the kit's collection; what it works on is done when `work` is called."""
    monkeypatch.setenv("MEMORA_ENGINE", "")
    monkeypatch.setenv("MEMORA_HOME", str(tmp_path / "memora"))
    shutil.copytree(kit_home, tmp_path / "memora")
    waiting = []
    monkeypatch.setattr(page, "Newest", lambda: waiting.append)
    with local_client(tmp_path / "memora") as client:
        made = page.Page(client, [extractor, page.Later(LITE2)])
        made.work = lambda: waiting.pop()()
        yield made
        made._visit.stop()


def mine(tmp_path):
    """Return a folder of one's own with three pictures."""
    folder = tmp_path / "holiday"
    folder.mkdir()
    for n, file in enumerate(sorted((DATA / "images" / "mug").iterdir())[:3]):
        shutil.copy(file, folder / f"IMG_{n}.jpg")
    return folder


def collections(made):
    return [name for name in made._client.collections.list()["data"] if name != COLLECTION]


def test_a_second_network_can_be_compared_with_after_the_first_search_and_no_sooner(opened, tmp_path):
    folder = mine(tmp_path)
    opened._hear({"do": "open", "path": str(folder)}, [])
    opened._visit.searched.wait = lambda: before.extend(collections(opened))  # in place of somebody who searches
    before = []
    opened.work()
    key = places.place_of(str(folder)).key
    assert before == [f"{key}_efficientnet_lite0"]
    assert collections(opened) == [*before, f"{key}_efficientnet_lite2"]
    assert f"network {LITE2}" in opened._session.comparisons
    assert opened._places.state["told"] == f"Compare with: {LITE2} has seen the pictures, too."


def test_elsewhere_no_second_collection_is_made_unasked_but_one_that_is_there_is_kept(opened, tmp_path, monkeypatch):
    """Else a hosted Memora gets, and may charge for, what nobody wanted."""
    monkeypatch.setattr(page, "LOCAL_URL", "")
    folder, asked = mine(tmp_path), []

    def wait():
        opened._session.ask(folder / "IMG_0.jpg")
        opened.work()  # the search is made
        asked.append((opened._places.asks, opened._visit.searched.is_set(), len(collections(opened))))
        opened._hear({"do": "compare"}, [])

    opened._hear({"do": "open", "path": str(folder)}, [])
    opened._visit.searched.wait = wait
    opened.work()
    assert asked == [(LITE2, False, 1)]
    assert opened._places.asks == ""
    assert len(collections(opened)) == 2
    opened._hear({"do": "open", "path": str(folder)}, [])
    assert opened._visit.asks == "", "it is there now"


def test_once_it_is_stopped_the_page_shows_no_progress_any_more(opened, tmp_path, monkeypatch):
    """Also if Stop is pressed just when a batch has ended."""
    goes_on = page.Visit.go_on

    def then_it_is_stopped(visit):
        goes_on(visit)
        opened._hear({"do": "stop"}, [])

    monkeypatch.setattr(page.Visit, "go_on", then_it_is_stopped)
    opened._hear({"do": "open", "path": str(mine(tmp_path))}, [])
    opened.work()
    assert "busy" not in opened._places.state
    assert opened._places.state["told"].startswith("Stopped.")


def test_a_network_that_can_not_be_loaded_leaves_the_search_as_it_is(opened, tmp_path, monkeypatch):
    def missing(name):
        raise page.ModelUnavailableError("its file is gone")

    monkeypatch.setattr(page, "load_extractor", missing)
    opened._hear({"do": "open", "path": str(mine(tmp_path))}, [])
    opened._visit.searched.set()
    opened.work()
    assert opened._places.state["told"] == f"{LITE2} can't be compared with: its file is gone"
    assert len(opened._session.pictures) == 3
    assert list(opened._session.extractors) == [LITE0]


def test_a_folder_is_forgotten_with_its_collections_and_stays_on_the_disk(opened, tmp_path):
    folder = mine(tmp_path)
    place = places.place_of(str(folder))
    opened._hear({"do": "open", "path": str(folder)}, [])
    opened._visit.searched.set()
    opened.work()
    assert len(collections(opened)) == 2
    opened._hear({"do": "forget", "key": place.key}, [])
    opened.work()
    assert collections(opened) == []
    assert list(places.kept()) == [""]
    assert len(list(folder.iterdir())) == 3
    assert opened._places.place == ""
    assert opened._places.state["told"] == "holiday is forgotten."
    opened._hear({"do": "forget", "key": ""}, [])
    opened.work()
    assert opened._count(COLLECTION) > 0, "the kit's own is not to be forgotten"
