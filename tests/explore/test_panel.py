"""The panel's widgets, driven as a browser drives them; and the page around the panel."""

import json
import shutil
from pathlib import Path
from threading import Event

import pytest

from helpers.connect import COLLECTION, local_client
from helpers.explore import SearchSession
from helpers.explore.browser import MapView
from helpers.explore.map import map_collection, map_panel
from helpers.explore.panel import ALL, MARKS, Newest, SearchPanel, search_panel
from helpers.explore.session import MAX_BYTES
from helpers.features.extractors import DinoV2Extractor
from helpers.features.weights import save_untrained_dinov2
from helpers.images import DATA, load_folder
from helpers.ingest import ingest
from helpers.memora import Memora
from helpers.settings import ROOT
from tests.explore.conftest import QUERY
from tests.explore.test_session import Another
from tests.facts import ASKED


@pytest.fixture
def panel(mug) -> SearchPanel:
    return SearchPanel(mug, load_folder(DATA, part="queries"))


def items(panel: SearchPanel, column: int = 0) -> list[dict]:
    return panel.wall["columns"][column]["items"]


def keys(panel: SearchPanel) -> list[str]:
    return [item["key"] for item in items(panel)]


def test_the_panel_shows_pictures_with_words_similarities_and_marks(panel):
    assert keys(panel) == [str(hit.id) for hit in panel.session.hits]
    assert all(item["alt"] and "mug" in item["alt"] for item in items(panel) if item["mark"] == "right")
    assert {item["mark"] for item in items(panel)} <= {"right", "wrong"}
    assert all(item["picture"][:2] == b"\xff\xd8" and item["aspect"] > 0 for item in items(panel))
    assert panel.wall["marks"] == MARKS[panel.session.extractor.name]
    assert "10 pictures most like mug_1.jpg" in repr(panel)


def test_the_scale_of_similarity_has_the_marks_of_lesson_4():
    """Else a hit is called a copy where lesson 4 says that it is not."""
    cells = json.loads((ROOT / "notebooks" / "04_search_by_image.ipynb").read_text(encoding="utf-8"))["cells"]
    told = "".join(next(one for one in cells if one["id"] == "read-a-similarity")["outputs"][0]["text"])
    for line, (name, low) in zip(("same kind", "copies"), MARKS["efficientnet-lite0"], strict=True):
        assert line.startswith(name[:3])
        assert f"{low:.2f} to" in next(one for one in told.splitlines() if one.startswith(line))


def test_a_click_on_a_hit_searches_by_it_and_details_compare_it(panel):
    second = keys(panel)[1]
    panel.do({"do": "details", "key": second})
    assert all(one["picture"] for one in panel.detail["pair"])
    assert panel.detail["rows"]["file"] == panel.session.hits[1].path
    panel.do({"do": "why", "key": second})
    assert "they agree most" in panel.detail["why"]
    assert [one["words"] for one in panel.detail["pair"]] == [
        f"the {n}, bright where it agrees" for n in ("query", "hit")
    ]
    panel.do({"do": "more", "key": second})
    assert keys(panel)[0] == second
    assert panel.detail == {}
    panel.do({"do": "back"})
    assert keys(panel)[1] == second
    panel.do({"do": "more", "key": "0"})  # a hit that has gone meanwhile
    assert keys(panel)[1] == second


def test_an_upload_can_be_repeated_and_a_file_that_is_too_large_is_told(panel):
    for _ in range(2):
        panel.do({"do": "file", "name": "my mug.jpg", "size": 1}, [memoryview(QUERY.read_bytes())])
    assert panel.session.query.name == "my mug.jpg"
    assert len(panel.session.history) == 1
    panel.do({"do": "file", "name": "huge.png", "size": MAX_BYTES + 1})
    assert "huge.png" in panel.status["message"]


def test_dragging_and_typing_a_box_both_crop_and_the_numbers_follow(panel):
    panel.do({"do": "crop", "box": [0.1, 0.1, 0.5, 0.5]})
    width = panel.session.query.picture.width
    assert panel.session.query.box[0] == round(0.1 * width) == panel.query["sides"][0]
    assert panel.query["said"] == "The upper left quarter: 16% of the picture"
    panel.do({"do": "side", "i": 2, "value": round(0.8 * width)})
    assert panel.session.query.box[2] == round(0.8 * width)
    assert panel.query["box"][2] == pytest.approx(0.8, abs=0.01)
    panel.do({"do": "crop", "box": None})
    assert panel.session.query.box is None
    assert panel.query["box"] == ()


def test_every_control_changes_the_call_that_is_shown(panel):
    panel.do({"do": "change", "limit": 4})
    panel.do({"do": "change", "least_similarity": 0.25})
    panel.do({"do": "allow", "field": "category", "values": ["mug"]})
    panel.do({"do": "between", "field": "elevation", "low": 10, "high": 40})
    for words in ("limit=4", "'radius': 0.249999", 'category in ["mug"] and elevation >= 10 and elevation <= 40'):
        assert words in panel.call
    on = [one["name"] for one in panel.facets["on"]]
    assert on == ["category: mug", "elevation: 10 to 40", "similarity from 0.25"]
    for one in panel.facets["on"]:
        panel.do(one["undo"])
    assert panel.session.filter is None
    assert panel.facets["on"] == []
    assert panel.settings["least_similarity"] is None


def test_a_chip_counts_its_value_in_the_results_and_in_the_collection(panel):
    colors = next(group for group in panel.facets["groups"] if group["field"] == "color")["values"]
    for one in colors:
        assert one["found"] == sum(hit.metadata["color"] == one["value"] for hit in panel.session.hits)
        assert one["stored"] == sum(hit.metadata["color"] == one["value"] for hit in panel.session.pictures)
    panel.do({"do": "allow", "field": "color", "values": ["red", "blue"]})
    colors = next(group for group in panel.facets["groups"] if group["field"] == "color")["values"]
    assert {one["value"] for one in colors if one["on"]} == {"red", "blue"} == {colors[0]["value"], colors[1]["value"]}
    panel.do(next(one["undo"] for one in panel.facets["on"] if one["name"] == "color: red"))
    assert panel.session.settings.allowed["color"] == ("blue",)


def test_compared_hits_stand_side_by_side_and_those_in_both_are_marked(panel):
    panel.do({"do": "change", "beside": "middle"})
    left, right = ({item["title"]: item["both"] for item in items(panel, column)} for column in (0, 1))
    assert {path for path, both in left.items() if both} == left.keys() & right.keys()
    assert {path for path, both in right.items() if both} == left.keys() & right.keys()
    assert panel.wall["columns"][1]["title"] == "only its middle"
    assert f"{len(left.keys() & right.keys())} in both" in panel.wall["columns"][0]["note"]
    last = panel.session.beside[-1]
    panel.do({"do": "why", "key": str(last.id), "column": 1})
    assert panel.detail["why"] == str(panel.session.why(last))
    assert panel.detail["column"] == 1
    panel.do({"do": "change", "beside": ""})
    assert len(panel.wall["columns"]) == 1


def test_a_comparison_that_fails_says_why_in_its_column(panel):
    panel.session._collections["another"] = "dropped"
    panel.session.extractors["another"] = Another(panel.session.extractor)
    panel.do({"do": "change", "beside": "network another"})
    assert (panel.status["state"], len(items(panel)), items(panel, 1)) == ("found", 10, [])
    assert "dropped" in panel.wall["columns"][1]["problem"]


def test_values_are_shown_with_spaces_where_a_person_reads_them(panel):
    """Names of files stay as they are."""
    panel.do({"do": "find", "text": "analog clock"})
    assert panel.status["message"].endswith("of the category 'alarm clock'.")
    panel.do({"do": "allow", "field": "category", "values": ["alarm_clock"]})
    assert panel.facets["on"][0]["name"] == "category: alarm clock"
    first = items(panel)[0]
    assert (first["caption"], first["alt"].count("_"), first["title"].count("_")) == ("alarm clock", 0, 3)
    panel.do({"do": "details", "key": first["key"]})
    assert panel.detail["rows"]["category"] == "alarm clock"
    assert "alarm_clock" in panel.detail["rows"]["file"]


def test_a_box_that_was_refused_is_not_left_on_the_picture(panel):
    panel.do({"do": "crop", "box": [0.1, 0.1, 0.8, 0.8]})
    before = panel.query
    panel.do({"do": "crop", "box": [0.5, 0.5, 0.501, 0.501]})
    assert panel.session.state == "failed"
    assert (panel.query["box"], panel.query["sides"]) == (before["box"], before["sides"])
    assert panel.query != before, "the browser is told to draw it anew"


def test_the_strip_also_offers_the_collection_s_own_pictures_by_category(panel):
    assert len(panel.shelf["items"]) == ASKED
    panel.do({"do": "shelf", "value": "teapot"})
    assert [item["caption"] for item in panel.shelf["items"]] == ["teapot"] * 14
    third = panel.shelf["items"][3]["key"]
    panel.do({"do": "start", "key": third})
    assert keys(panel)[0] == third


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
        assert len(panel.words) == 1000
        session.change(beside="network untrained")
        assert [column["title"] for column in panel.wall["columns"]] == [extractor.name, "untrained"]
        assert [hit.path for hit in session.beside] != [hit.path for hit in session.hits]
        session.change(extractor="untrained")
        assert panel.words == []
        session.find("teapot")
        assert "untrained" in panel.status["message"]
        session.change(limit=10)
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


def test_a_folder_of_ones_own_shows_its_name_its_files_and_none_of_our_pictures(extractor, tmp_path):
    """A file that is gone is reported."""
    (tmp_path / "Holidays").mkdir()
    files = [shutil.copy(path, tmp_path / "Holidays") for path in sorted((DATA / "images" / "mug").iterdir())[:4]]
    with local_client(tmp_path / "home") as client:
        ingest(client, tmp_path / "Holidays", extractor=extractor)
        panel = search_panel(client, extractor, root=tmp_path / "Holidays", for_page=True)
        session = panel.session
        assert (panel.about["name"], panel.about["count"], panel.about["page"]) == ("Holidays", "4 pictures", True)
        assert (panel.shelf["options"], len(panel.shelf["items"])) == ([ALL], 4)
        assert (panel.facets["groups"], panel.wall["marks"]) == ([], [])
        found = Event()
        session.watch(lambda: found.set() if session.state == "found" else None)
        panel.do({"do": "start", "key": panel.shelf["items"][2]["key"]})
        assert found.wait(600)
        assert session.query.name == "mug_03.jpg"
        assert items(panel)[0]["caption"] == "mug_03.jpg"
        Path(files[0]).unlink()
        gone = next(hit for hit in session.hits if hit.path == "mug_01.jpg")
        panel.do({"do": "details", "key": str(gone.id)})
        query, hit = panel.detail["pair"]
        assert query["picture"]
        assert (hit["picture"], "mug_01.jpg can't be shown" in hit["words"]) == (b"", True)
        assert str(map_collection(client, COLLECTION, "PCA")) == "4 pictures by PCA"


def test_details_go_when_their_hit_is_no_longer_found(panel):
    panel.do({"do": "details", "key": keys(panel)[9]})
    panel.session.change(limit=10)
    assert panel.detail
    panel.session.change(limit=9)
    assert panel.detail == {}


def test_only_a_failed_search_can_be_tried_again_not_a_refused_file(panel):
    panel.do({"do": "file", "name": "half.jpg", "size": 9}, [b"no picture"])
    assert (panel.status["state"], panel.status["again"]) == ("failed", False)
    panel.session.client = Memora("k", "p", "http://127.0.0.1:9")
    panel.do({"do": "change", "limit": 3})
    assert panel.status["again"]


def test_earlier_queries_are_shown_and_one_click_goes_back_to_one(panel):
    assert panel.earlier == []
    first = keys(panel)
    for rank in (1, 2):
        panel.do({"do": "more", "key": keys(panel)[rank]})
    assert [item["alt"] for item in panel.earlier] == ["back to images/mug/mug_03.jpg", "back to mug_1.jpg"]
    panel.do({"do": "back", "steps": 2})
    assert keys(panel) == first
    assert panel.earlier == []


def test_words_are_offered_and_searched_by_and_stand_in_the_history(panel):
    assert len(panel.words) == 1000
    panel.do({"do": "find", "text": " "})
    assert panel.session.query.name == "mug_1.jpg"
    panel.do({"do": "find", "text": "teapot"})
    assert (panel.query["words"], panel.query["picture"]) == ("teapot", b"")
    assert items(panel)[0]["mark"] == "right"
    assert "teapot" in panel.call
    panel.do({"do": "details", "key": keys(panel)[1]})
    assert len(panel.detail["pair"]) == 2
    assert not panel.detail["can_why"]
    panel.do({"do": "why", "key": keys(panel)[1]})
    assert "search by a picture first" in panel.detail["why"]
    panel.do({"do": "more", "key": keys(panel)[1]})
    assert panel.query["picture"]
    assert panel.earlier[0]["alt"] == 'back to "teapot"'
    panel.do({"do": "back"})
    assert panel.session.query.words == ("teapot",)


def test_the_state_is_busy_while_a_picture_is_opened_or_searched_by(kit, extractor):
    waiting = []
    session = SearchSession(kit, extractor, start=waiting.append, start_opening=waiting.append)
    panel = SearchPanel(session, load_folder(DATA, part="queries"))
    seen = []
    session.ask(QUERY)
    while waiting:
        seen.append((session.state, panel.status["state"], panel.status["busy"]))
        waiting.pop()()
    assert seen == [("opening", "opening", True), ("searching", "searching", True)]
    assert not panel.status["busy"]
    session.ask(b"no picture", "x")
    waiting.pop()()
    assert (session.state, panel.status["busy"]) == ("failed", False)


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
