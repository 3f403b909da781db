"""The search behind the panel, without a front end: what a person does, the way back, and every state one meets."""

import base64
import shutil
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import numpy as np
import pytest
from PIL import Image

from helpers.connect import COLLECTION, local_client
from helpers.explore import SearchSession
from helpers.explore.query import Query
from helpers.explore.session import MAX_BYTES
from helpers.features import load_words
from helpers.images import DATA
from helpers.ingest import ingest
from helpers.memora import InvalidRequestError, Memora
from helpers.memora.models import Collection
from helpers.search import search
from tests.explore.conftest import QUERY, ids
from tests.facts import KINDS, PICTURES

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


def test_a_picture_of_the_collection_is_at_least_as_similar_to_itself_as_1(mug):
    mug.change(least_similarity=1.0)
    assert mug.hits == []
    mug.ask(DATA / "images" / "mug" / "mug_05.jpg")
    assert [hit.path for hit in mug.hits] == ["images/mug/mug_05.jpg"]


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


def test_every_text_field_can_be_filtered_on_with_its_own_values(session):
    assert list(session.choices) == ["category", "color", "material", "background", "light"]
    assert session.choices["category"] == KINDS


def test_a_part_finds_something_else_and_the_whole_the_same_again(mug):
    whole = ids(mug)
    mug.crop((10, 10, 90, 90))
    assert ids(mug) != whole
    assert "by its upper left part" in mug.message
    mug.crop(None)
    assert ids(mug) == whole


def test_a_box_is_cut_to_the_picture_and_refused_where_nothing_is_left(mug):
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
    assert "'radius': 0.199999" in mug.call  # just below: what is as similar as that passes


# words


def test_a_word_finds_its_kind_and_counts_the_right_ones(session):
    session.ask_words("coffee mug")
    assert session.state == "found"
    assert sum(hit.category == "mug" for hit in session.hits) >= 9
    assert session.message.startswith('10 pictures most like "coffee mug", ')
    assert session.message.endswith("of the category 'mug'.")


@pytest.mark.parametrize(
    ("text", "words", "kind"),
    [
        (" MUG ", ("coffee mug",), "mug"),
        ("orange", ("orange",), "orange"),  # "orangutan" contains it too
        ("acoustic guitar, electric guitar", ("acoustic guitar", "electric guitar"), "guitar"),
        ("lemon, teapot", ("lemon", "teapot"), ""),
        ("tench", ("tench",), ""),
    ],
)
def test_words_are_understood_in_any_case_in_part_and_several_at_once(session, text, words, kind):
    session.ask_words(text)
    assert (session.state, session.query.words, session.query.category) == ("found", words, kind)


@pytest.mark.parametrize(
    ("text", "told"), [("guitr", "acoustic guitar"), ("guitar", "electric guitar"), ("xyzzy", "no word"), (",", "name")]
)
def test_an_unknown_word_is_refused_with_names_to_take_and_the_hits_stay(mug, text, told):
    before = ids(mug)
    mug.ask_words(text)
    assert mug.state == "failed"
    assert told in mug.message
    assert ids(mug) == before


def test_words_and_pictures_share_filters_history_and_the_way_back(session):
    session.ask_words("coffee mug")
    found = ids(session)
    session.ask_words("coffee mug")
    assert session.history == [], "the same words again are the same query"
    session.allow("color", "red")
    assert {hit.metadata["color"] for hit in session.hits} == {"red"}
    session.clear_filters()
    hit = session.hits[1]
    session.more_like(hit)
    assert session.hits[0].id == hit.id
    session.back()
    assert (session.query.words, ids(session)) == (("coffee mug",), found)


def test_the_call_of_a_word_is_the_call_that_was_made(session):
    session.ask_words("teapot, vase")
    making, _, call = session.call.partition("\n")
    known = {"client": session.client, "extractor": session.extractor, "load_words": load_words}
    exec(making, known)
    assert [hit["id"] for hit in eval(call, known)["data"]] == ids(session)


def test_what_only_pictures_have_is_refused_for_words(session):
    session.ask_words("teapot")
    found = ids(session)
    session.crop((0, 0, 50, 50))
    assert (session.state, ids(session)) == ("failed", found)
    assert "no parts" in session.message
    with pytest.raises(ValueError, match="by a picture first"):
        session.why(session.hits[0])


def test_a_network_without_names_says_so_also_when_it_is_chosen_later(kit, extractor):
    class Other:
        name, dim = "another-network", extractor.dim
        embed = staticmethod(extractor.embed)

    session = SearchSession(kit, [(extractor, COLLECTION), (Other(), COLLECTION)])
    assert len(session.words) == 1000
    session.ask_words("teapot")
    session.change(extractor="another-network")
    assert session.words == []
    for _ in range(2):
        assert session.state == "failed"
        assert "was not trained with names" in session.message
        session.ask_words("vase")
    session.change(extractor=extractor.name)
    assert session.hits[0].category == "teapot"


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
    assert "at least 0.999" in mug.message


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
    session.watch(lambda: told.set() if session.state == "opening" else None)
    thread = Thread(target=session.ask, args=(address,))
    thread.start()
    assert told.wait(600)
    assert session.message == "Opening a mug.jpg ..."
    return thread


def test_a_late_picture_does_not_replace_what_was_chosen_meanwhile(session, slow):
    address, gate = slow
    thread = fetching(session, address)
    session.ask(DATA / "queries" / "guitar_1.jpg")
    gate.set()
    thread.join(600)
    assert session.query.name == "guitar_1.jpg"
    assert session.history == []


def test_a_setting_changed_during_a_fetch_does_not_lose_the_picture(mug, slow):
    expected, (address, gate) = ids(mug), slow
    thread = fetching(mug, address)
    mug.change(limit=3)
    gate.set()
    thread.join(600)
    assert len(mug.history) == 1
    assert ids(mug) == expected[:3]


def test_searching_again_is_enough_once_a_lost_memora_is_back(kit, extractor):
    class Cable:
        cut = False

        def __getattr__(self, name):
            if self.cut:
                return getattr(Memora("k", "p", "http://127.0.0.1:9"), name)
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


def test_a_stored_path_out_of_the_folder_is_reported_not_followed(mug):
    mug.more_like(replace(mug.hits[0], path="../docs/hits.jpg"))
    assert mug.state == "failed"
    assert "leads out of" in mug.message


def test_a_collection_without_pictures_is_refused_in_a_sentence(tmp_path, extractor):

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


def test_a_collection_too_large_to_list_is_searched_all_the_same(kit, extractor, monkeypatch):
    monkeypatch.setattr("helpers.explore.session.MOST_PICTURES", PICTURES - 1)
    session = SearchSession(kit, extractor)
    assert (session.pictures, session.choices) == ([], {})
    session.ask(QUERY)
    assert session.state == "found"


# compared, and numbers


def test_numbers_get_a_range_that_the_filter_says(mug):
    low, high = mug.spans["elevation"]
    mug.between("elevation", 30, 20)
    assert mug.filter == "elevation >= 20 and elevation <= 30"
    assert mug.hits
    assert all(20 <= hit.metadata["elevation"] <= 30 for hit in mug.hits)
    mug.between("elevation", low, high)
    assert mug.filter is None


@pytest.mark.parametrize(
    ("box", "where"),
    [
        ((0, 0, 50, 50), "upper left quarter"),
        ((50, 0, 100, 100), "right half"),
        ((0, 70, 100, 100), "lower part"),
        ((25, 25, 75, 75), "middle"),
        ((80, 80, 100, 100), "lower right part"),
    ],
)
def test_a_part_is_named_in_words(box, where):
    assert Query("x", Image.new("RGB", (100, 100))).cut(box).where == where
    assert Query("x", Image.new("RGB", (100, 100))).where == ""


def test_a_search_is_compared_with_the_same_picture_changed(mug):
    assert mug.beside == []
    first = ids(mug)
    for how in ("grey", "mirrored", "middle"):
        assert how in mug.comparisons
        mug.change(beside=how)
        other = mug.query.variant(how)
        assert ids(mug) == first
        expected = search(mug.client, other.part, extractor=mug.extractor, limit=10)
        assert [hit.id for hit in mug.beside] == [hit.id for hit in expected]
    assert "whole" not in mug.comparisons
    mug.crop((0, 0, 90, 90))
    assert mug.beside == [], "the middle of a part is not offered"
    mug.change(beside="whole")
    assert [hit.id for hit in mug.beside] == first
    mug.crop(None)
    mug.allow("color", "red")
    mug.change(beside="all")
    assert [hit.id for hit in mug.beside] == first != ids(mug)
    mug.change(beside="")
    assert mug.beside == []


def test_a_comparison_that_fails_leaves_the_search_itself_and_says_why(mug):
    """Two networks: the second one's collection is dropped by somebody else."""
    first, mug._collections = ids(mug), mug._collections | {"another": "dropped"}
    mug.extractors["another"] = Another(mug.extractor)
    mug.change(beside="network another")
    assert (mug.state, ids(mug), mug.beside) == ("found", first, [])
    assert "dropped" in mug.searches[1].problem
    mug.change(beside="mirrored")
    assert (mug.searches[1].problem, len(mug.beside)) == ("", 10)


class Another:
    """The same network by another name."""

    name = "another"

    def __init__(self, network) -> None:
        self.embed, self.dim, self.feature_map = network.embed, network.dim, network.feature_map


def test_why_compares_with_what_the_hit_was_found_by(mug):
    """Of the mirrored query, places on the left are those on the right of the query itself."""
    mug.change(beside="mirrored")
    key = next(iter({hit.id for hit in mug.hits} & {hit.id for hit in mug.beside}))
    one, other = (next(hit for hit in hits if hit.id == key) for hits in (mug.hits, mug.beside))
    found, mirrored = mug.why(one), mug.why(other)
    assert found.similarity == pytest.approx(one.distance, abs=2e-3)
    assert mirrored.similarity == pytest.approx(other.distance, abs=2e-3)
    assert np.abs(found.query - mirrored.query[:, ::-1]).mean() < np.abs(found.query - mirrored.query).mean()


# as text


def test_a_search_comes_back_from_its_text(mug, kit, extractor):
    """Else a page that is loaded again, or sent to somebody, shows something else."""
    mug.change(limit=7, least_similarity=0.2, beside="mirrored")
    mug.allow("color", "red", "blue")
    mug.between("elevation", 10, 35)
    for choose in (
        lambda: None,
        lambda: mug.crop((20, 30, 140, 170)),
        lambda: mug.more_like(mug.hits[1]),
        lambda: mug.ask_words("teapot"),
    ):
        choose()
        again = SearchSession(kit, extractor)
        again.restore(mug.as_text())
        assert (again.message, again.settings) == (mug.message, mug.settings)
        assert (ids(again), again.beside) == (ids(mug), mug.beside)
        assert again.as_text() == mug.as_text()


def test_an_upload_can_not_be_restored_and_the_message_says_so(session):
    session.ask(QUERY.read_bytes(), "my mug.jpg")
    session.change(limit=3)
    text = session.as_text()
    session.ask(QUERY)
    session.restore("?" + text)
    assert "my mug.jpg was on your machine only" in session.message
    assert session.settings.limit == 3
    session.change(limit=4)
    assert session.message.startswith("4 pictures most like"), "the next search has the last word"


@pytest.mark.parametrize(
    "text",
    [
        "id=x",
        "id=5&limit=999",
        "only.color=no_such",
        "between.elevation=1",
        "network=none",
        "part=1,2&id=5",
        "least=x",
        "least=nan",
        "least=inf",
        "between.elevation=nan,3",
        "between.elevation=1,inf",
        "beside=upside+down",
        "beside=network+none",
        "beside=metric+none",
        "metric=none",
    ],
)
def test_an_address_that_does_not_fit_is_refused_and_nothing_changes(mug, text):
    before, hits = mug.settings, ids(mug)
    mug.restore(text)
    assert (mug.state, mug.settings, ids(mug)) == ("failed", before, hits)
    assert "does not fit" in mug.message


def test_an_address_leads_to_no_file_outside_the_folder(mug):
    mug.restore("file=../README.md")
    assert mug.state == "failed"
    assert "leads out of" in mug.message


def test_one_line_tells_words_from_addresses_and_refuses_paths(mug, monkeypatch):
    mug.find(" teapot ")
    assert mug.query.words == ("teapot",)
    for text in (str(QUERY), "file:///etc/passwd", "~/cat.jpg", "x:" * 10_000):
        mug.find(text)
        assert mug.state == "failed"
        assert "http://" in mug.message
        assert len(mug.message) < 300
    asked = []
    monkeypatch.setattr(mug, "ask", asked.append)
    mug.find("HTTPS://example.org/cat.jpg")
    mug.find("  ")
    assert asked == ["HTTPS://example.org/cat.jpg"]


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


def test_who_watches_is_told_of_every_state(kit, extractor):
    session, states = SearchSession(kit, extractor), []
    session.watch(lambda: states.append(session.state))
    session.ask(QUERY)
    session.ask(b"no picture", "x")
    assert states == ["opening", "searching", "found", "opening", "failed"]


@pytest.fixture
def later(kit, extractor) -> tuple[SearchSession, list, list]:
    """Return a session whose work waits, the openings that wait, and the searches that wait."""
    openings, searches = [], []
    return SearchSession(kit, extractor, start=searches.append, start_opening=openings.append), openings, searches


def test_the_state_says_opening_and_searching_at_once(later):
    """A large picture takes seconds to open: else the message of the search before would stand there all the time."""
    session, openings, searches = later
    session.ask(QUERY)
    assert (session.state, session.message) == ("opening", "Opening mug_1.jpg ...")
    openings.pop()()
    assert (session.state, session.message) == ("searching", "Searching by mug_1.jpg ...")
    searches.pop()()
    assert session.state == "found"
    for choose in (lambda: session.more_like(session.hits[1]), lambda: session.more_like_id(session.hits[2].id)):
        choose()
        assert session.state == "opening"
        openings.pop()()
        assert session.state == "searching"


def test_a_search_that_ends_during_an_opening_leaves_that_state(later):
    session, openings, searches = later
    session.ask(QUERY)
    openings.pop()()
    session.ask(DATA / "queries" / "guitar_1.jpg")
    searches.pop()()
    assert session.message == "Opening guitar_1.jpg ..."
    assert session.hits[0].category == "mug"
    session.change(limit=3)
    assert session.message == "Opening guitar_1.jpg ..."
    openings.pop()()
    searches.pop()()
    assert session.hits[0].category == "guitar"


@pytest.mark.parametrize("how", ["broken", "too large", "gone"])
def test_a_refused_file_does_not_end_as_the_message_of_another_one(later, how):
    session, openings, searches = later
    session.ask(QUERY)
    openings.pop()()
    if how == "too large":
        session.refuse("huge.png", "larger than 50 MB")
    else:
        session.ask(b"no picture" if how == "broken" else DATA / "huge.png", "huge.png")
        openings.pop()()
    searches.pop()()  # the search by the mug ends after the file was refused
    assert session.state == "failed"
    assert session.message.startswith("huge.png can't be used")
    assert session.hits[0].category == "mug", "the results are those of the query that is shown"
    session.change(limit=3)
    searches.pop()()
    assert session.state == "found"


def test_a_file_refused_while_another_is_opened_is_the_last_word(later):
    session, openings, searches = later
    session.ask(QUERY)
    session.refuse("huge.png", "larger than 50 MB")
    openings.pop()()
    assert session.message == "huge.png can't be used: larger than 50 MB."
    assert session.query is None
    assert searches == []


def test_a_double_click_is_one_query(mug, monkeypatch):
    asked = []
    search = mug.client.vectors.search
    monkeypatch.setattr(mug.client.vectors, "search", lambda **call: asked.append(call) or search(**call))
    hit = mug.hits[1]
    for _ in range(2):
        mug.more_like(hit)
    assert (len(asked), len(mug.history), mug.state) == (1, 1, "found")
    key = mug.hits[3].id
    for _ in range(2):
        mug.more_like_id(key)
    assert (len(asked), len(mug.history), mug.state) == (2, 2, "found")


def test_the_same_file_twice_is_one_entry_of_the_history(mug):
    """Another file of its name is another one."""
    guitar = (DATA / "queries" / "guitar_1.jpg").read_bytes()
    for content in (guitar, guitar, QUERY.read_bytes()):
        mug.ask(content, "IMG_0001.jpg")
    assert [query.name for query in mug.history] == ["mug_1.jpg", "IMG_0001.jpg"]
    mug.crop((0, 0, 100, 100))
    mug.ask(QUERY.read_bytes(), "IMG_0001.jpg")
    assert mug.history[-1].box == (0, 0, 100, 100), "the whole picture is another query than a part of it"


def test_a_query_that_failed_is_searched_by_again_when_it_is_chosen_again(kit, extractor, monkeypatch):
    session = SearchSession(kit, extractor)
    with monkeypatch.context() as cut:
        cut.setattr(session, "client", Memora("k", "p", "http://127.0.0.1:9"))
        session.ask(QUERY)
        assert session.state == "failed"
    session.ask(QUERY)
    assert (session.state, session.history) == ("found", [])


# the history


def large(number: int) -> Image.Image:
    """Return a picture of 3 megapixels, another one for each number."""
    return Image.open(QUERY).convert("RGB").resize((2048, 1536)).rotate(number)


def test_the_history_keeps_small_copies_and_not_without_end(session, monkeypatch):
    """Each photograph of a telephone would else stay in memory in full: 36 MB, after every search."""
    monkeypatch.setattr("helpers.explore.session.HISTORY", 2)
    for number in range(4):
        session.ask(large(number), f"{number}.jpg")
    assert session.query.picture.size == (2048, 1536)
    assert [query.name for query in session.history] == ["1.jpg", "2.jpg"]
    assert {query.picture.size for query in session.history} == {(768, 576)}


def test_back_at_a_large_picture_the_hits_are_the_same_and_so_is_the_part(session):
    session.ask(large(0), "large.jpg")
    session.crop((512, 256, 1536, 1280))
    part, found = session.query.part, session.hits
    session.ask(QUERY)
    session.back()
    assert session.hits == found
    assert session.query.box == (192, 96, 576, 480)
    small = np.asarray(part.resize(session.query.part.size)).astype(int)
    assert np.abs(small - np.asarray(session.query.part)).mean() < 8
    session.crop(None)
    assert session.hits != found


@pytest.mark.parametrize("box", [(2039, 1527, 2047, 1535), (0, 0, 8, 8), (2040, 0, 2048, 1536)])
def test_a_tiny_part_of_a_large_picture_is_kept_as_a_part(box):
    query = Query("x", large(0)).cut(box).small()
    assert min(query.part.size) >= 1
    left, top, right, bottom = query.box
    assert 0 <= left < right <= 768
    assert 0 <= top < bottom <= 576


def test_a_pasted_data_address_is_searched_by_and_not_repeated(session):
    """A search engine's thumbnails have such addresses, of 20,000 letters."""
    address = "data:image/jpeg;base64," + base64.b64encode(QUERY.read_bytes()).decode()
    session.ask(address)
    assert session.state == "found"
    assert len(session.message) < 200
    session.ask(address[:5_000])
    assert session.state == "failed"
    assert len(session.message) < 500


def test_an_address_with_the_same_picture_and_other_settings_searches_anew(kit, extractor):
    session = SearchSession(kit, extractor)
    session.ask(DATA / "queries" / "mug_1.jpg")
    session.restore(session.as_text() + "&limit=4")
    assert (len(session.hits), session.history) == (4, [])
