"""What `make app` runs, without a browser."""

from helpers.connect import COLLECTION
from helpers.features.extractors import EfficientNetExtractor
from helpers.features.words import names_of
from helpers.images import DATA
from helpers.page import kernel, page
from helpers.settings import HOSTED


def test_the_page_offers_the_networks_at_hand_each_with_its_collection(monkeypatch):
    monkeypatch.setenv("MEMORA_EXTRACTOR", "")
    assert [(one.name, name) for one, name in page.networks()] == [("efficientnet-lite0", COLLECTION)]


def test_a_page_that_finds_no_memora_says_so_instead_of_a_traceback(monkeypatch):
    for name, value in zip(HOSTED, ("k", "p", "http://127.0.0.1:9"), strict=True):
        monkeypatch.setenv(name, value)
    assert "could not be reached" in page.page().value


def test_the_panel_does_not_wait_for_the_network_to_be_loaded(monkeypatch, extractor):
    loaded = []
    monkeypatch.setattr(page, "load_extractor", lambda name: loaded.append(name) or extractor)
    later = page.Later("efficientnet-lite0")
    assert isinstance(later, EfficientNetExtractor)
    assert len(names_of(later)) == 1000
    assert loaded == []
    assert (later.dim, later.embed([DATA / "queries" / "mug_1.jpg"]).shape) == (1280, (1, 1280))
    assert loaded == ["efficientnet-lite0"]


def test_a_kernel_started_ahead_ends_with_the_page_that_nobody_visited():
    process = kernel.start()
    process.stdin.close()
    assert process.wait(600) == 0
