"""The panel's widgets, driven as a browser drives them; and the page around the panel."""

import html
import shutil
from pathlib import Path
from threading import Event, Thread

import pytest

from helpers.connect import COLLECTION, local_client
from helpers.explore import SearchSession
from helpers.explore.browser import MapView
from helpers.explore.map import map_collection, map_panel
from helpers.explore.panel import ALL, Newest, SearchPanel
from helpers.explore.session import MAX_BYTES
from helpers.features.extractors import DinoV2Extractor
from helpers.features.weights import save_untrained_dinov2
from helpers.images import DATA, load_folder
from helpers.ingest import ingest
from helpers.memora import Memora
from tests.explore.conftest import QUERY
from tests.facts import ASKED


@pytest.fixture
def panel(mug) -> SearchPanel:
    return SearchPanel(mug, load_folder(DATA, part="queries"))


def test_the_panel_shows_pictures_with_words_distances_and_marks(panel):
    items = panel._hits.items
    assert [item["key"] for item in items] == [str(hit.id) for hit in panel.session.hits]
    assert all(item["alt"] and "mug" in item["alt"] for item in items if item["mark"] == "right")
    assert {item["mark"] for item in items} <= {"right", "wrong"}
    assert all(picture[:2] == b"\xff\xd8" for picture in panel._hits.pictures)
    assert "10 pictures most like mug_1.jpg" in repr(panel)


def test_a_click_on_a_hit_searches_by_it_and_details_compare_it(panel):
    second = panel._hits.items[1]["key"]
    panel._hits.chosen = {"key": second, "what": "details", "n": 1}
    assert panel._details.children[0].value.count("<img") == 2
    assert panel.session.hits[1].path in panel._details.children[-1].value
    panel._details.children[1].children[0].click()  # why this one?
    assert "they agree most" in panel._details.children[2].value
    assert panel._details.children[2].value.count("<img") == 2
    panel._hits.chosen = {"key": second, "what": "picture", "n": 2}
    assert panel._hits.items[0]["key"] == second
    assert panel._details.children == ()
    panel._back.click()
    assert panel._hits.items[1]["key"] == second


def test_an_upload_can_be_repeated_and_a_file_that_is_too_large_is_told(panel):
    file = {"name": "my mug.jpg", "size": 1, "content": memoryview(QUERY.read_bytes())}
    for at in range(2):
        panel._view.file = {**file, "at": at}
    assert panel.session.query.name == "my mug.jpg"
    assert len(panel.session.history) == 1
    panel._view.file = {"name": "huge.png", "size": MAX_BYTES + 1, "content": memoryview(b""), "at": 2}
    assert "huge.png" in panel._status.value


def test_dragging_and_typing_a_box_both_crop_and_the_fields_follow(panel):
    panel._view.box = [0.1, 0.1, 0.5, 0.5]
    width = panel.session.query.picture.width
    assert panel.session.query.box[0] == round(0.1 * width) == panel._sides[0].value
    panel._sides[2].value = round(0.8 * width)
    assert panel.session.query.box[2] == round(0.8 * width)
    assert panel._view.box[2] == pytest.approx(0.8, abs=0.01)
    panel._whole.click()
    assert panel.session.query.box is None
    assert panel._view.box == []


def test_every_control_changes_the_call_that_is_shown(panel):
    panel._limit.value = 4
    panel._least.value = 0.25
    panel._filters["category"].value = ("mug",)
    for words in ("limit=4", "'radius': 0.249999", 'category in ["mug"]'):
        assert words in panel._call.code
    panel._clear.click()
    assert panel._filters["category"].value == ()
    assert panel._least.value == 0


def test_a_control_that_is_moved_while_the_results_are_drawn_is_heard(panel):
    with panel._drawing:  # as if the thread that searches were in the middle of it, with the widgets told to be quiet
        panel._own.quiet = True
        moved = Thread(target=lambda: setattr(panel._limit, "value", 4))
        moved.start()
        while panel.session.settings.limit != 4 and moved.is_alive():
            pass
        panel._own.quiet = False
    moved.join(600)
    assert panel._limit.value == 4
    assert len(panel._hits.items) == 4


def test_a_box_that_was_refused_is_not_left_on_the_picture(panel):
    panel._view.box = [0.1, 0.1, 0.8, 0.8]
    before, sides = panel._view.box, [side.value for side in panel._sides]
    panel._view.box = [0.5, 0.5, 0.501, 0.501]
    assert panel.session.state == "failed"
    assert panel._view.box == pytest.approx(before, abs=0.01)
    assert [side.value for side in panel._sides] == sides


def test_the_gallery_also_offers_the_collection_s_own_pictures_by_category(panel):
    assert len(panel._gallery.items) == ASKED
    panel._shelf.value = "teapot"
    assert [item["caption"] for item in panel._gallery.items] == ["teapot"] * 14
    panel._gallery.chosen = {"key": panel._gallery.items[3]["key"], "what": "picture", "n": 1}
    assert panel._hits.items[0]["key"] == panel._gallery.items[3]["key"]


def test_another_network_searches_the_collection_of_its_own_vectors(extractor, tmp_path):
    save_untrained_dinov2(tmp_path / "untrained")
    other = DinoV2Extractor(tmp_path / "untrained", name="untrained")
    (tmp_path / "few").mkdir()
    for path in sorted((DATA / "images" / "mug").iterdir())[:6]:
        shutil.copy(path, tmp_path / "few")
    with local_client(tmp_path / "home") as client:
        ingest(client, tmp_path / "few", extractor=extractor)
        ingest(client, tmp_path / "few", extractor=other, collection="by_the_other")
        session = SearchSession(client, [(extractor, COLLECTION), (other, "by_the_other")], root=tmp_path / "few")
        session.ask(QUERY)
        first = [hit.distance for hit in session.hits]
        panel = SearchPanel(session, load_folder(DATA, part="queries"))
        assert not panel._words.disabled
        session.change(extractor="untrained")
        assert panel._words.disabled
        assert "untrained was not trained with names" in panel._words_help.value
        assert session.state == "found"
        assert "collection_name='by_the_other'" in session.call
        assert [hit.distance for hit in session.hits] != first
        assert session.why(session.hits[0]).method == "best match"

        box = map_panel(session)  # and the map is that of the network in use
        view = next(child for child in box.children if isinstance(child, MapView))
        places = [(item["x"], item["y"]) for item in view.items]
        assert len(view.query) == 2
        session.change(extractor=extractor.name)
        assert session.state == "found"
        assert [(item["x"], item["y"]) for item in view.items] != places
        assert len(view.query) == 2


def test_a_collection_without_categories_can_be_chosen_from(extractor, tmp_path):
    """A file that is gone is reported."""
    (tmp_path / "few").mkdir()
    files = [shutil.copy(path, tmp_path / "few") for path in sorted((DATA / "images" / "mug").iterdir())[:4]]
    with local_client(tmp_path / "home") as client:
        ingest(client, tmp_path / "few", extractor=extractor)
        session = SearchSession(client, extractor, root=tmp_path / "few")
        panel = SearchPanel(session, load_folder(DATA, part="queries"))
        panel._shelf.value = ALL
        assert len(panel._gallery.items) == 4
        panel._gallery.chosen = {"key": panel._gallery.items[2]["key"], "what": "picture", "n": 1}
        assert session.query.name == "mug_03.jpg"
        Path(files[0]).unlink()
        gone = next(hit for hit in session.hits if hit.path == "mug_01.jpg")
        panel._hits.chosen = {"key": str(gone.id), "what": "details", "n": 1}
        shown = panel._details.children[0].value
        assert shown.count("<img") == 1
        assert "mug_01.jpg can't be shown" in html.unescape(shown)
        assert str(map_collection(client, COLLECTION, "PCA")) == "4 pictures by PCA"


def test_details_go_when_their_hit_is_no_longer_found(panel):
    panel._hits.chosen = {"key": panel._hits.items[9]["key"], "what": "details", "n": 1}
    panel._limit.value = 10
    assert panel._details.children
    panel._limit.value = 9
    assert panel._details.children == ()


def test_only_a_failed_search_can_be_tried_again_not_a_refused_file(panel):
    panel._view.file = {"name": "half.jpg", "size": 9, "content": memoryview(b"no picture"), "at": 0}
    assert panel.session.state == "failed"
    assert panel._again.layout.display == "none"
    panel.session.client = Memora("k", "p", "http://127.0.0.1:9")
    panel._limit.value = 3
    assert panel._again.layout.display is None


def test_earlier_queries_are_shown_and_one_click_goes_back_to_one(panel):
    assert panel._earlier_box.layout.display == "none"
    first = [item["key"] for item in panel._hits.items]
    for rank in (1, 2):
        panel._hits.chosen = {"key": panel._hits.items[rank]["key"], "what": "picture", "n": rank}
    assert [item["alt"] for item in panel._earlier.items] == ["back to images/mug/mug_03.jpg", "back to mug_1.jpg"]
    assert panel._earlier_box.layout.display is None
    panel._earlier.chosen = {"key": "2", "what": "picture", "n": 1}
    assert [item["key"] for item in panel._hits.items] == first
    assert panel._earlier.items == []


def test_only_an_address_of_the_web_is_fetched(panel):
    before = panel.session.query
    panel._address.asked = {"text": str(QUERY), "n": 1}
    assert "http://" in panel._status.value
    panel._address.asked = {"text": "x" * 20_000, "n": 2}
    assert len(panel._status.value) < 500
    assert panel.session.query is before


def test_words_are_offered_and_searched_by_and_stand_in_the_history(panel):
    assert len(panel._words.options) == 1000
    panel._words.asked = {"text": " ", "n": 1}
    assert panel.session.query.name == "mug_1.jpg"
    panel._words.asked = {"text": "teapot", "n": 2}
    assert panel._words.value == "teapot"
    assert panel._hits.items[0]["mark"] == "right"
    assert "teapot" in panel._call.code
    assert (panel._view.picture, panel._whole.disabled) == (b"", True)
    panel._hits.chosen = {"key": panel._hits.items[1]["key"], "what": "details", "n": 1}
    assert panel._details.children[0].value.count("<img") == 2
    assert [button.description for button in panel._details.children[1].children] == ["Close"]
    panel._hits.chosen = {"key": panel._hits.items[1]["key"], "what": "picture", "n": 2}
    assert panel._view.picture
    assert panel._earlier.items[0]["alt"] == 'back to "teapot"'
    panel._back.click()
    assert panel.session.query.words == ("teapot",)
    panel._back.click()
    assert not panel._sides[0].disabled


def test_old_hits_are_greyed_while_a_picture_is_opened_or_searched_by(kit, extractor):
    waiting = []
    session = SearchSession(kit, extractor, start=waiting.append, start_opening=waiting.append)
    panel = SearchPanel(session, load_folder(DATA, part="queries"))
    seen = []
    session.ask(QUERY)
    while waiting:
        seen.append((session.state, panel._hits.outdated, session.state in panel._status.value))
        waiting.pop()()
    assert seen == [("opening", True, True), ("searching", True, True)]
    assert not panel._hits.outdated
    session.ask(b"no picture", "x")
    waiting.pop()()
    assert session.state == "failed"
    assert not panel._hits.outdated


def test_a_page_that_is_loaded_again_says_what_was_lost(panel, kit, extractor):
    assert panel._view.kept == "the search by mug_1.jpg"
    panel._hits.chosen = {"key": panel._hits.items[1]["key"], "what": "picture", "n": 1}
    assert panel._view.kept == "the search by images/mug/mug_03.jpg, 1 earlier query"
    after = SearchPanel(SearchSession(kit, extractor), load_folder(DATA, part="queries"))
    assert after._view.kept == ""
    after._view.lost = panel._view.kept  # the browser remembers it from one page to the next
    told = "The page was loaded again: the search by images/mug/mug_03.jpg, 1 earlier query and all settings are lost."
    assert told in after._status.value
    assert after.session.state == "nothing chosen"


# threads


def test_dragging_a_slider_leaves_out_what_came_in_between(kit, extractor):
    import threading

    done, gate, ran = threading.Event(), threading.Event(), []
    newest = Newest()
    newest(lambda: (ran.append("first"), gate.wait(600)))
    while not ran:
        pass
    for number in range(20):
        newest(lambda number=number: (ran.append(number), done.set() if number == 19 else None))
    gate.set()
    assert done.wait(600)
    assert ran == ["first", 19]


def test_a_search_that_breaks_does_not_keep_the_next_ones_from_being_made(capsys):
    newest, broke, done = Newest(), Event(), Event()
    newest(lambda: (broke.set(), 1 / 0))
    assert broke.wait(600)
    newest(done.set)
    assert done.wait(600)
    assert "ZeroDivisionError" in capsys.readouterr().err
