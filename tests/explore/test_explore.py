"""The search behind the panel, without a browser: every control, the way back, and every state a person meets."""

import base64
import html
import shutil
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
from PIL import Image

from helpers.connect import COLLECTION, local_client
from helpers.explore import SearchSession
from helpers.explore.browser import MapView
from helpers.explore.explain import agreement, overlay
from helpers.explore.map import colors_of, map_collection, map_panel, project, show_map
from helpers.explore.page import networks, page
from helpers.explore.panel import ALL, Newest, SearchPanel
from helpers.explore.session import MAX_BYTES
from helpers.features.extractors import DinoV2Extractor
from helpers.features.weights import save_untrained_dinov2
from helpers.images import DATA, load_folder
from helpers.ingest import ingest
from helpers.memora import InvalidRequestError, Memora
from helpers.settings import HOSTED
from tests.facts import ASKED, KINDS, PICTURES

QUERY = DATA / "queries" / "mug_1.jpg"


@pytest.fixture
def session(kit, extractor) -> SearchSession:
    return SearchSession(kit, extractor)


@pytest.fixture
def mug(session) -> SearchSession:
    session.ask(QUERY, category="mug")
    return session


def ids(session: SearchSession) -> list[int]:
    return [hit.id for hit in session.hits]


# what a person does


def test_a_new_session_says_what_to_do_first(session):
    assert (session.state, session.hits) == ("nothing chosen", [])
    assert "Choose a picture" in str(session)


def test_a_picture_finds_its_like_and_the_sentence_counts_the_right_ones(mug):
    assert mug.state == "found"
    assert [hit.rank for hit in mug.hits] == list(range(1, 11))
    right = sum(hit.category == "mug" for hit in mug.hits)
    assert right >= 5
    assert mug.message == f"10 pictures most like mug_1.jpg, {right} of the category 'mug'."


@pytest.mark.parametrize("form", ["path", "bytes", "picture", "array"])
def test_every_form_of_a_picture_finds_the_same(session, mug, form):
    picture = Image.open(QUERY).convert("RGB")
    forms = {"path": QUERY, "bytes": QUERY.read_bytes(), "picture": picture, "array": np.array(picture)}
    expected = ids(mug)
    other = SearchSession(mug.client, mug.extractor)
    other.ask(forms[form])
    assert ids(other) == expected


def test_the_number_of_results_changes_what_is_shown(mug):
    mug.change(limit=3)
    assert len(mug.hits) == 3


def test_filters_leave_only_what_was_asked_for_and_add_up(mug):
    mug.allow("category", "mug", "bucket")
    assert {hit.category for hit in mug.hits} <= {"mug", "bucket"}
    mug.allow("color", "red")
    assert {hit.metadata["color"] for hit in mug.hits} == {"red"}
    assert mug.filter == 'category in ["mug", "bucket"] and color in ["red"]'
    mug.allow("color")
    assert mug.filter == 'category in ["mug", "bucket"]'


def test_the_least_similarity_leaves_out_what_is_less_similar(mug):
    bound = mug.hits[3].distance - 1e-4
    mug.change(least_similarity=bound)
    assert len(mug.hits) == 4


def test_the_least_similarity_means_the_same_by_every_metric(extractor, tmp_path):
    (tmp_path / "few").mkdir()
    for path in sorted((DATA / "images" / "mug").iterdir())[:6]:
        shutil.copy(path, tmp_path / "few")
    with local_client(tmp_path / "home") as client:
        ingest(client, tmp_path / "few", extractor=extractor)
        for name in client.indexes.list(collection_name=COLLECTION)["data"]:
            client.indexes.drop(collection_name=COLLECTION, index_name=name)
        session = SearchSession(client, extractor, root=tmp_path / "few")
        session.ask(QUERY)
        assert session.metrics == ["COSINE", "IP", "L2"]
        expected, bound = ids(session)[:3], session.hits[2].distance - 1e-4
        for metric in session.metrics:
            session.change(metric=metric, least_similarity=bound)
            assert ids(session) == expected, metric
        session.change(limit=1)
        assert session.message == "1 picture most like mug_1.jpg."


def test_every_text_field_of_the_collection_can_be_filtered_on_with_its_own_values(session):
    assert list(session.choices) == ["category", "color", "material", "background", "light"]
    assert session.choices["category"] == KINDS


def test_a_part_of_a_picture_finds_something_else_and_the_whole_again_the_same(mug):
    whole = ids(mug)
    mug.crop((10, 10, 90, 90))
    assert ids(mug) != whole
    assert "by a part of it" in mug.message
    mug.crop(None)
    assert ids(mug) == whole


def test_a_box_is_put_right_cut_to_the_picture_and_refused_where_nothing_is_left(mug):
    width, height = mug.query.picture.size
    mug.crop((width + 50, height, 10, -5))  # dragged from the lower right corner
    assert mug.query.box == (10, 0, width, height)
    mug.crop((5, 5, 9, 200))
    assert mug.state == "failed"
    assert "8 pixels" in mug.message
    mug.crop((0, 0, width, height))
    assert mug.query.box is None


def test_going_on_from_a_hit_and_back_again_is_where_one_was(mug):
    first, second = ids(mug), mug.hits[1]
    mug.more_like(second)
    assert mug.hits[0].id == second.id  # nothing is more like a picture than itself
    assert mug.hits[0].distance == pytest.approx(1, abs=1e-3)
    mug.more_like(mug.hits[2])
    mug.back()
    mug.back()
    assert ids(mug) == first
    mug.back()  # nothing before the first
    assert ids(mug) == first
    mug.more_like(second)
    mug.more_like(mug.hits[2])
    mug.back(2)
    assert ids(mug) == first
    assert mug.history == []


def test_a_click_on_the_map_searches_by_that_picture(session, mug):
    key = mug.hits[4].id
    mug.more_like_id(key)
    assert mug.hits[0].id == key
    mug.more_like_id(12345)
    assert mug.state == "failed"
    assert "12345" in mug.message


def test_the_call_that_is_shown_is_the_call_that_was_made(mug):
    mug.allow("category", "mug", "bucket")
    mug.change(limit=4, least_similarity=0.2)
    vector = mug.extractor.embed([QUERY])[0]
    answer = eval(mug.call, {"client": mug.client, "vector": vector})
    assert [hit["id"] for hit in answer["data"]] == ids(mug)
    assert "limit=4" in mug.call
    assert "'radius': 0.2" in mug.call


# the states a person meets


def test_a_filter_that_nothing_passes_is_told_and_can_be_cleared(mug):
    before = ids(mug)
    mug.allow("category", "mug")
    mug.allow("material", "burst", "cap")
    assert (mug.state, mug.hits) == ("nothing found", [])
    assert mug.message == "No picture passes this filter."
    mug.clear_filters()
    assert ids(mug) == before


def test_nothing_similar_enough_is_told_as_such(mug):
    mug.change(least_similarity=0.999)
    assert mug.state == "nothing found"
    assert "at least 1.00" in mug.message or "at least 0.999" in mug.message


def test_a_broken_file_is_told_by_name_and_the_results_stay(mug):
    before = ids(mug)
    mug.ask(QUERY.read_bytes()[:2000], "half.jpg")
    assert mug.state == "failed"
    assert "half.jpg" in mug.message
    assert ids(mug) == before
    assert mug.query.name == "mug_1.jpg"


def test_a_file_that_is_too_large_is_refused_before_it_is_opened(session):
    session.ask(bytes(MAX_BYTES + 1), "huge.tiff")
    assert session.state == "failed"
    assert "huge.tiff" in session.message
    assert "50 MB" in session.message


def test_an_address_that_does_not_answer_is_told(session, monkeypatch):
    monkeypatch.setenv("MEMORA_ALLOW_PRIVATE_ADDRESSES", "1")
    session.ask("http://127.0.0.1:9/cat.jpg")
    assert session.state == "failed"
    assert "127.0.0.1:9" in session.message
    assert session.message.endswith("online?")


class Slow(BaseHTTPRequestHandler):
    """Answers with a mug when it is let to."""

    gate: Event

    def do_GET(self) -> None:
        self.gate.wait(600)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(QUERY.read_bytes())

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Event]]:
    """Return the address of a picture on a server that answers when the event is set."""
    monkeypatch.setenv("MEMORA_ALLOW_PRIVATE_ADDRESSES", "1")
    Slow.gate = Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/a%20mug.jpg", Slow.gate
    Slow.gate.set()
    server.shutdown()


def fetching(session: SearchSession, address: str) -> Thread:
    told = Event()
    session.watch(lambda: told.set() if session.message.startswith("Fetching") else None)
    thread = Thread(target=session.ask, args=(address,))
    thread.start()
    assert told.wait(600)
    assert session.state == "searching"
    return thread


def test_a_picture_that_comes_late_does_not_replace_what_was_chosen_meanwhile(session, slow):
    address, gate = slow
    thread = fetching(session, address)
    session.ask(DATA / "queries" / "guitar_1.jpg")
    gate.set()
    thread.join(600)
    assert session.query.name == "guitar_1.jpg"
    assert session.history == []


def test_a_setting_that_is_changed_while_a_picture_is_fetched_does_not_lose_the_picture(mug, slow):
    expected, (address, gate) = ids(mug), slow
    thread = fetching(mug, address)
    mug.change(limit=3)
    gate.set()
    thread.join(600)
    assert len(mug.history) == 1
    assert ids(mug) == expected[:3]


def test_a_memora_that_went_away_is_told_and_searching_again_is_enough_when_it_is_back(kit, extractor):
    class Cable:
        cut = False

        def __getattr__(self, name):
            if self.cut:
                return Memora("k", "p", "http://127.0.0.1:9").vectors
            return getattr(kit, name)

    client = Cable()
    session = SearchSession(client, extractor)
    session.ask(QUERY)
    found = ids(session)
    client.cut = True
    session.more_like_id(found[0])  # a click on the map
    assert session.state == "failed"
    assert "could not be reached" in session.message
    session.change(limit=10)
    assert session.state == "failed"
    assert "could not be reached" in session.message
    client.cut = False
    session.search()
    assert ids(session) == found


def test_a_hit_whose_file_is_gone_is_told_when_it_is_searched_by(kit, extractor, tmp_path):
    session = SearchSession(kit, extractor, root=tmp_path)
    session.ask(QUERY)
    session.more_like(session.hits[0])
    assert session.state == "failed"
    assert "can't be opened" in session.message


def test_a_stored_path_that_leads_out_of_the_folder_is_told_and_not_followed(mug):
    mug.more_like(replace(mug.hits[0], path="../docs/hits.png"))
    assert mug.state == "failed"
    assert "leads out of" in mug.message


def test_a_collection_without_pictures_is_refused_in_a_sentence(tmp_path, extractor):
    from helpers.memora.models import Collection

    with local_client(tmp_path) as client:
        client.collections.create(collection=Collection("numbers", dimension=4))
        with pytest.raises(InvalidRequestError, match="holds no pictures"):
            SearchSession(client, extractor, collection="numbers")


def test_another_networks_vectors_are_refused_in_plain_words(kit, extractor, monkeypatch):
    class Other:
        name, dim = "another-network", extractor.dim
        embed = staticmethod(extractor.embed)

    session = SearchSession(kit, Other())
    session.ask(QUERY)
    assert session.state == "failed"
    assert "can't be compared" in session.message


# the newest request wins


def test_an_older_answer_that_comes_late_does_not_replace_the_newest(kit, extractor):
    waiting = []
    session = SearchSession(kit, extractor, start=waiting.append)
    session.ask(QUERY, category="mug")
    assert session.state == "searching"
    session.change(limit=2)
    session.change(limit=5)
    first, second, third = waiting
    third()
    assert (session.state, len(session.hits)) == ("found", 5)
    first()
    second()
    assert len(session.hits) == 5


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


def test_who_watches_is_told_of_every_state(kit, extractor):
    session, states = SearchSession(kit, extractor), []
    session.watch(lambda: states.append(session.state))
    session.ask(QUERY)
    session.ask(b"no picture", "x")
    assert states == ["searching", "found", "failed"]


# why this one


def test_the_places_shares_add_up_to_the_similarity_that_memora_gives(mug):
    found = mug.why(mug.hits[1])
    assert found.method == "shares"
    assert found.query.shape == (7, 7)
    assert found.query.sum() == pytest.approx(mug.hits[1].distance, abs=2e-3)
    assert found.hit.sum() == pytest.approx(found.query.sum(), abs=1e-4)
    assert f"{found.similarity:.3f}" in str(found)


def test_what_agrees_is_where_the_thing_is(extractor):
    mug = Image.open(QUERY).convert("RGB")
    beside = Image.new("RGB", (mug.width * 2, mug.height), "gray")
    beside.paste(mug, (mug.width, 0))  # the mug is in the right half
    found = agreement(extractor, beside, mug)
    assert found.query[:, 4:].sum() > 2 * found.query[:, :3].sum()
    assert "right of the query" in str(found)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_dinov2s_patches_are_compared_with_patches(tmp_path, pooling):
    save_untrained_dinov2(tmp_path)
    extractor = DinoV2Extractor(tmp_path, pooling)
    found = agreement(extractor, QUERY, QUERY)
    assert found.query.shape == (16, 16)
    assert found.similarity == pytest.approx(1, abs=1e-3)
    if pooling == "cls":
        assert found.method == "best match"
        assert found.query.min() > 0.999  # each patch is its own best match
    else:
        assert found.query.sum() == pytest.approx(1, abs=1e-3)


def test_a_wide_picture_is_covered_in_its_middle_only(tmp_path):
    save_untrained_dinov2(tmp_path)
    box = DinoV2Extractor(tmp_path).feature_map(Image.new("RGB", (600, 300))).box
    assert box == pytest.approx((0.5 - 224 / 512 / 2, 0.0625, 0.5 + 224 / 512 / 2, 0.9375), abs=0.01)


def test_the_picture_under_a_map_is_bright_where_it_agrees_and_dark_where_the_network_did_not_look():
    picture, values = Image.new("RGB", (100, 100), "white"), np.zeros((2, 2))
    values[0, 0] = 1
    drawn = overlay(picture, values, (0.1, 0.1, 0.9, 0.9))
    assert drawn[20, 20].mean() > 200 > drawn[80, 80].mean()
    assert drawn[5, 5].mean() < 80


# the map


def test_the_map_keeps_neighbours_together_far_beyond_chance(kit, extractor):
    made = map_collection(kit, COLLECTION)
    assert made.places.shape == (PICTURES, 2)
    assert made.places.min() >= 0
    assert made.places.max() <= 1
    assert made.neighbours_share("category") > 0.8  # by chance 0.03
    assert map_collection(kit, COLLECTION, "PCA").neighbours_share("category") < made.neighbours_share("category")


def test_the_query_lies_among_its_like(kit, extractor):
    made = map_collection(kit, COLLECTION)
    (vector,) = extractor.embed([QUERY])
    place = made.place(vector)
    assert made.place(made.vectors[7]) == pytest.approx(made.places[7]), "a picture of the collection lies at its place"
    mugs = np.array([meta["category"] == "mug" for meta in made.metadata])
    nearest = np.argsort(((made.places - place) ** 2).sum(1))[:5]
    assert mugs[nearest].sum() >= 3


def test_two_maps_of_the_same_collection_are_the_same(kit):
    vectors = map_collection(kit, COLLECTION, "PCA").vectors[:60]
    assert np.allclose(project(vectors), project(vectors))


@pytest.mark.parametrize("few", [0, 2])
def test_too_few_pictures_for_a_map_are_told(few):
    with pytest.raises(ValueError, match="at least 3"):
        project(np.ones((few, 4)))


def test_the_map_for_readers_says_in_words_what_it_shows(kit, capsys):
    made = map_collection(kit, COLLECTION, "PCA")
    figure = show_map(made, by="color")
    assert len(figure.axes[0].artists) == PICTURES
    assert capsys.readouterr().out.startswith(
        f"{PICTURES} pictures by PCA; of a picture's five nearest on the map have the same category"
    )


def test_the_map_for_readers_marks_where_the_query_lies_and_names_its_colors(kit, mug, capsys):
    made = map_collection(kit, COLLECTION)
    figure = show_map(made, query=mug.vector)
    ring = figure.axes[0].lines[-1].get_xydata()[0]
    assert ring == pytest.approx(made.place(mug.vector))
    assert capsys.readouterr().out.splitlines()[1] == "The ring is the query: it lies among pictures of category mug."
    assert "mug" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_colors_are_their_own_and_other_values_differ():
    assert colors_of(["red", "wood", "grass"])["red"] == "red"
    assert len(set(colors_of(KINDS).values())) == len(KINDS)


def test_the_map_widget_searches_by_what_is_clicked_and_marks_the_query(mug):
    box = map_panel(mug, map_collection(mug.client, COLLECTION, "PCA"))
    view = next(child for child in box.children if isinstance(child, MapView))
    assert len(view.items) == len(view.pictures) == len(view.colors) == PICTURES
    assert len(view.query) == 2
    view.chosen = {"key": view.items[7]["key"], "n": 1}
    assert str(mug.hits[0].id) == view.items[7]["key"]


def test_on_a_page_the_map_is_made_when_a_browser_shows_it_and_not_before(mug):
    waiting = []
    box = map_panel(mug, start=waiting.append)
    view = next(child for child in box.children if isinstance(child, MapView))
    assert (view.items, waiting) == ([], [])
    view.shown = True
    waiting.pop()()
    assert len(view.items) == PICTURES
    assert len(view.query) == 2


def test_a_map_that_cannot_be_made_is_told_below_its_frame(mug, monkeypatch):
    box, client = map_panel(mug, start=lambda work: work()), mug.client
    monkeypatch.setattr(mug, "client", Memora("k", "p", "http://127.0.0.1:9"))
    view = next(child for child in box.children if isinstance(child, MapView))
    view.shown = True
    assert "could not be reached" in box.children[-1].value
    assert view.items == []
    monkeypatch.setattr(mug, "client", client)
    mug.search()
    assert len(view.items) == PICTURES, "it is made when Memora is back"
    assert "mug" in box.children[-1].value


def test_a_page_that_finds_no_memora_says_so_instead_of_a_traceback(monkeypatch, capsys):
    for name, value in zip(HOSTED, ("k", "p", "http://127.0.0.1:9"), strict=True):
        monkeypatch.setenv(name, value)
    assert "could not be reached" in page().value
    assert capsys.readouterr().out == ""


# the panel's widgets, driven as the browser drives them


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


def test_a_click_on_a_hit_searches_by_it_and_details_show_it_beside_the_query(panel):
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
    assert len(panel.session.history) == 2
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
    for words in ("limit=4", "'radius': 0.25", 'category in ["mug"]'):
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
        session.change(extractor="untrained")
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


def test_a_collection_without_categories_can_be_chosen_from_and_tells_of_a_file_that_is_gone(extractor, tmp_path):
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


def test_only_a_search_that_failed_can_be_tried_again_a_file_that_was_refused_cannot(panel):
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


def test_the_page_offers_the_networks_at_hand_each_with_its_collection(monkeypatch):
    monkeypatch.setenv("MEMORA_EXTRACTOR", "")
    assert [(one.name, name) for one, name in networks()] == [("efficientnet-lite0", COLLECTION)]


def test_only_an_address_of_the_web_is_fetched(panel):
    before = panel.session.query
    panel._address.value = str(QUERY)
    panel._get.click()
    assert "http://" in panel._status.value
    panel._address.value = "x" * 20_000
    panel._get.click()
    assert len(panel._status.value) < 500
    assert panel.session.query is before


def test_a_pasted_data_address_is_searched_by_and_not_repeated_in_the_message(session):
    """A search engine's thumbnails have such addresses, of 20,000 letters."""
    address = "data:image/jpeg;base64," + base64.b64encode(QUERY.read_bytes()).decode()
    session.ask(address)
    assert session.state == "found"
    assert len(session.message) < 200
    session.ask(address[:5_000])
    assert session.state == "failed"
    assert len(session.message) < 500
