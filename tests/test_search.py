"""An image in, hits out: the right ones, in the right order, easy to read, and never from outside the folder."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

import helpers.memora.http
import helpers.search
from helpers.connect import COLLECTION, local_client
from helpers.images import DATA, ImageError, ImageFolder, load_folder
from helpers.ingest import content_id, image_collection
from helpers.memora import InvalidRequestError, Memora, NotFoundError
from helpers.memora.models import Collection
from helpers.search import Hit, as_matrix, hits_from, search, search_many
from tests.facts import PICTURES

KIT, QUERIES = load_folder(DATA), load_folder(DATA, part="queries")
MUG = DATA / "images" / "mug" / "mug_01.jpg"


class Other:
    """An extractor that gives fixed vectors under any name."""

    def __init__(self, name: str, dim: int) -> None:
        self.name, self.dim = name, dim

    def embed(self, images: list) -> np.ndarray:
        return np.eye(self.dim, dtype=np.float32)[: len(images)]


@pytest.fixture(scope="module")
def stored(kit: Memora) -> tuple[list[int], np.ndarray, list[str]]:
    """Return ids, vectors and paths of the kit's collection."""
    fields = ["vector", "image_path"]
    rows = kit.vectors.query(collection_name=COLLECTION, filter="id >= 0", output_fields=fields)["data"]
    return [row["id"] for row in rows], as_matrix(rows), [row["image_path"] for row in rows]


@pytest.fixture(scope="module")
def query_vectors(extractor) -> np.ndarray:
    return extractor.embed([DATA / path for path in QUERIES.paths])


@pytest.fixture(scope="module")
def found(kit, extractor) -> list[list[Hit]]:
    """Return the ten nearest for each of our queries."""
    return search_many(kit, [DATA / path for path in QUERIES.paths], extractor=extractor, limit=10)


# Is it right?


def test_hits_are_what_plain_numpy_finds_in_the_same_order(found, stored, query_vectors):
    ids, vectors, paths = stored
    for query, hits in zip(query_vectors, found, strict=True):
        similarities = vectors @ query
        nearest = np.argsort(-similarities)[:10]
        assert np.diff(similarities[nearest]).max() < -1e-6  # no ties, so there is one right order
        assert [hit.id for hit in hits] == [ids[i] for i in nearest]
        assert [hit.path for hit in hits] == [paths[i] for i in nearest]
        assert np.abs([hit.distance for hit in hits] - similarities[nearest]).max() < 1e-5


def precision(found: list[list[Hit]], categories: list[str], k: int) -> float:
    right = [[hit.category == category for hit in hits[:k]] for hits, category in zip(found, categories, strict=True)]
    assert all(len(row) == k for row in right)
    return float(np.mean(right))


def query_categories() -> list[str]:
    return [str(QUERIES.metadata[path]["category"]) for path in QUERIES.paths]


def test_searching_finds_pictures_of_the_same_kind(found):
    categories = query_categories()
    at_1, at_5 = precision(found, categories, 1), precision(found, categories, 5)
    print(f"P@1 {at_1:.3f}, P@5 {at_5:.3f}")
    assert at_1 >= 0.92
    assert at_5 >= 0.90


def test_with_shuffled_paths_searching_falls_to_chance(client, stored, query_vectors):
    """So it is the vectors that do the work."""
    # A control: if this were high too, the measure above would be true of anything.
    ids, vectors, paths = stored
    shuffled = [paths[i] for i in np.random.default_rng(0).permutation(len(paths))]
    client.collections.create(collection=image_collection(COLLECTION, vectors.shape[1], {"category": str}))
    data = [
        {"id": key, "image_path": path, "vector": vector, "extractor": "x", "category": KIT.metadata[path]["category"]}
        for key, path, vector in zip(ids, shuffled, vectors, strict=True)
    ]
    client.vectors.insert(collection_name=COLLECTION, data=data)
    answer = client.vectors.search(
        collection_name=COLLECTION, data=query_vectors, anns_field="vector", limit=5, output_fields=["*"]
    )["data"]
    at_5 = precision([hits_from(hits) for hits in answer], query_categories(), 5)
    print(f"shuffled: P@5 {at_5:.3f}")
    assert at_5 < 0.12


def test_a_stored_picture_finds_itself_first(kit, extractor):
    hit = search(kit, MUG, extractor=extractor, limit=1)[0]
    assert (hit.rank, hit.id, hit.path) == (1, content_id(MUG), "images/mug/mug_01.jpg")
    assert hit.distance == pytest.approx(1, abs=1e-5)


# What can be asked


def test_any_form_of_the_same_picture_finds_the_same_hits(kit, extractor):
    with Image.open(MUG) as picture:
        forms = [MUG, str(MUG), MUG.read_bytes(), picture, np.asarray(picture.convert("RGB"))]
        lists = [search(kit, form, extractor=extractor) for form in forms]
    for hits in lists[1:]:
        assert [hit.id for hit in hits] == [hit.id for hit in lists[0]]
        assert [hit.distance for hit in hits] == pytest.approx([hit.distance for hit in lists[0]], abs=1e-5)


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("MEMORA_ALLOW_PRIVATE_ADDRESSES", "1")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(DATA)))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_address_on_the_web_can_be_searched_with(kit, extractor, web):
    hits = search(kit, f"{web}/images/mug/mug_01.jpg", extractor=extractor)
    assert [hit.id for hit in hits] == [hit.id for hit in search(kit, MUG, extractor=extractor)]
    with pytest.raises(ImageError, match="the server answered 404"):
        search(kit, f"{web}/images/mug/mug_99.jpg", extractor=extractor)


def test_a_query_that_is_no_picture_is_refused_with_its_name(kit, extractor, tmp_path):
    (tmp_path / "letter.jpg").write_text("no picture")
    with pytest.raises(ImageError, match=r"letter\.jpg: not a JPEG"):
        search(kit, tmp_path / "letter.jpg", extractor=extractor)


def test_limit_and_offset_turn_pages_and_the_ranks_go_on(kit, extractor):
    whole = search(kit, MUG, extractor=extractor, limit=12)
    assert [hit.rank for hit in whole] == list(range(1, 13))
    distances = [hit.distance for hit in whole]
    assert distances == sorted(distances, reverse=True)
    pages = [hit for offset in (0, 5, 10) for hit in search(kit, MUG, extractor=extractor, limit=5, offset=offset)]
    assert pages[:12] == whole
    assert [hit.rank for hit in pages] == list(range(1, 16))
    assert len(search(kit, MUG, extractor=extractor)) == 5
    assert len(search(kit, MUG, extractor=extractor, limit=1000)) == PICTURES


def test_a_filter_leaves_the_best_of_those_that_pass(kit, extractor):
    everything = search(kit, MUG, extractor=extractor, limit=PICTURES)
    for condition, passes in {
        'category == "teapot"': lambda hit: hit.category == "teapot",
        'color == "red" and azimuth > 0': lambda hit: hit.metadata["color"] == "red" and hit.metadata["azimuth"] > 0,
        'category != "mug"': lambda hit: hit.category != "mug",
    }.items():
        expected = [hit.id for hit in everything if passes(hit)][:6]
        assert len(expected) == 6
        assert [hit.id for hit in search(kit, MUG, extractor=extractor, limit=6, filter=condition)] == expected
    assert search(kit, MUG, extractor=extractor, filter='category == "unicorn"') == []


def test_a_range_keeps_what_is_near_but_not_too_near(kit, extractor):
    everything = search(kit, MUG, extractor=extractor, limit=PICTURES)

    def between(rank: int) -> float:
        return (everything[rank - 1].distance + everything[rank].distance) / 2

    kept = search(kit, MUG, extractor=extractor, limit=PICTURES, radius=between(20), range_filter=between(4))
    assert [hit.id for hit in kept] == [hit.id for hit in everything[4:20]]
    no_copies = search(kit, MUG, extractor=extractor, limit=3, range_filter=between(1))
    assert [hit.id for hit in no_copies] == [hit.id for hit in everything[1:4]]


def test_several_queries_in_one_call_find_what_each_finds_alone(kit, extractor, found):
    files = [DATA / path for path in QUERIES.paths[:3]]
    for file, together in zip(files, found, strict=False):
        alone = search(kit, file, extractor=extractor, limit=10)
        assert [(hit.rank, hit.id) for hit in alone] == [(hit.rank, hit.id) for hit in together]
    one = search_many(kit, files[:1], extractor=extractor, limit=4)
    assert [[hit.id for hit in hits] for hits in one] == [[hit.id for hit in found[0][:4]]]
    assert search_many(kit, [], extractor=extractor) == []


def test_vectors_that_are_there_already_are_not_made_again(kit, extractor, found, query_vectors):
    class Blind:
        name, dim = extractor.name, extractor.dim

    assert search_many(kit, query_vectors, extractor=Blind(), limit=10) == found
    assert search_many(kit, query_vectors[:1], extractor=Blind(), limit=10) == found[:1]


def test_another_metric_than_the_indexs_is_refused(kit, extractor, found):
    assert search(kit, DATA / QUERIES.paths[0], extractor=extractor, limit=10, metric="COSINE") == found[0]
    with pytest.raises(InvalidRequestError, match="L2"):
        search(kit, MUG, extractor=extractor, metric="L2")


# How it is asked


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Return the calls that any client makes from now on: their path and how many bytes they have."""
    made = []
    post = httpx.Client.post

    def noted(self: httpx.Client, path: str, *, content: bytes, **more: object) -> httpx.Response:
        made.append((path, len(content)))
        return post(self, path, content=content, **more)

    monkeypatch.setattr(httpx.Client, "post", noted)
    return made


def test_a_collection_is_described_once_not_before_each_search(client, extractor, calls, monkeypatch):
    monkeypatch.setattr(helpers.search, "FRESH_SECONDS", 3_600)
    make_collection(client, extractor)
    for _ in range(3):
        search(client, MUG, extractor=extractor, collection="t")
    assert [path for path, _ in calls[-4:]] == ["collections/describe", *["vectors/search"] * 3]


def test_many_queries_are_sent_in_requests_that_memora_takes(kit, extractor, query_vectors, calls, monkeypatch):
    expected = search_many(kit, query_vectors, extractor=extractor)
    monkeypatch.setattr(helpers.memora.http, "REQUEST_BYTES", 150_000)
    del calls[:]
    assert search_many(kit, query_vectors, extractor=extractor) == expected
    sizes = [size for path, size in calls if path == "vectors/search"]
    assert len(sizes) > 3
    assert max(sizes) < 151_000
    monkeypatch.setattr(helpers.search, "REQUEST_HITS", 20)
    del calls[:]
    assert search_many(kit, query_vectors[:10], extractor=extractor) == expected[:10]
    assert [path for path, _ in calls].count("vectors/search") == 3, "four queries of five hits each go together"


def make_collection(client: Memora, extractor, **columns: str) -> None:
    """Make the collection t, with one row whose fields beside the usual ones are these."""
    client.collections.create(collection=image_collection("t", extractor.dim, dict.fromkeys(columns, str)))
    vector = extractor.embed([MUG])[0]
    row = {"id": 1, "image_path": "a.jpg", "extractor": extractor.name, "vector": vector, **columns}
    client.vectors.insert(collection_name="t", data=row)


@pytest.mark.parametrize("by", ["this client", "another client"])
def test_a_replaced_collection_is_searched_with_its_own_fields(client, tmp_path, extractor, monkeypatch, by):
    def metadata() -> dict:
        return search(client, MUG, extractor=extractor, collection="t")[0].metadata

    other = client if by == "this client" else local_client(tmp_path / "mémora home")
    make_collection(other, extractor, color="red")
    assert metadata() == {"color": "red"}
    other.collections.drop(collection_name="t")
    make_collection(other, extractor, year="1999")  # the old field is missing: Memora refuses it
    assert metadata() == {"year": "1999"}
    other.collections.drop(collection_name="t")
    make_collection(other, extractor, year="1999", color="red")  # nothing is missing
    if other is not client:
        monkeypatch.setattr(helpers.search, "FRESH_SECONDS", 0)  # as if the time had passed
    assert metadata() == {"year": "1999", "color": "red"}
    other.collections.drop(collection_name="t")
    with pytest.raises(NotFoundError, match="no collection 't'"):
        metadata()
    other.collections.create(collection=Collection("t", dimension=extractor.dim))
    with pytest.raises(InvalidRequestError, match="'t' holds no pictures"):
        metadata()


# What comes back


def test_a_hit_reads_well_and_carries_what_is_known(kit, extractor):
    hit = search(kit, MUG, extractor=extractor, limit=1)[0]
    assert str(hit) == "1. 1.000  mug             images/mug/mug_01.jpg"
    assert hit.category == "mug"
    assert hit.metadata == KIT.metadata["images/mug/mug_01.jpg"]
    assert hit.file(DATA) == MUG
    assert hit.file(str(DATA)) == MUG


def test_hits_without_metadata_have_no_category_and_still_print(client, extractor):
    client.collections.create(collection=image_collection("plain", extractor.dim, {}))
    row = {"id": 1, "image_path": "a.jpg", "extractor": extractor.name, "vector": extractor.embed([MUG])[0]}
    client.vectors.insert(collection_name="plain", data=row)
    hit = search(client, MUG, extractor=extractor, collection="plain")[0]
    assert (hit.category, hit.metadata) == ("", {})
    assert str(hit).split() == ["1.", "1.000", "a.jpg"]


@pytest.fixture
def tampered(client: Memora, extractor, tmp_path: Path) -> tuple[Memora, ImageFolder, list[str]]:
    """Return a collection whose rows lead out of the folder, and the folder."""
    root, outside = tmp_path / "pictures", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    for folder in (root, outside):
        Image.new("RGB", (9, 9)).save(folder / "a.jpg")
    (root / "link.jpg").symlink_to(outside / "a.jpg")
    (root / "folder").symlink_to(outside, target_is_directory=True)
    paths = ["../outside/a.jpg", str(outside / "a.jpg"), "link.jpg", "folder/a.jpg", "x/../../outside/a.jpg"]
    client.collections.create(collection=image_collection("tampered", extractor.dim, {}))
    vector = extractor.embed([root / "a.jpg"])[0]
    data = [
        {"id": n, "image_path": path, "extractor": extractor.name, "vector": vector}
        for n, path in enumerate([*paths, "a.jpg"])
    ]
    client.vectors.insert(collection_name="tampered", data=data)
    return client, ImageFolder(root, ["a.jpg"]), paths


def test_a_stored_path_that_leads_outside_the_folder_is_never_followed(tampered, extractor):
    client, folder, bad = tampered
    hits = search(client, folder.root / "a.jpg", extractor=extractor, collection="tampered", limit=9)
    hits = {hit.path: hit for hit in hits}
    assert len(hits) == 6
    for path in bad:
        with pytest.raises(ValueError, match="leads out of"):
            hits[path].file(folder.root)
    assert hits["a.jpg"].file(folder.root) == (folder.root / "a.jpg").resolve()


# What can't be asked


def test_a_query_of_another_network_is_refused_in_plain_words(kit):
    with pytest.raises(InvalidRequestError) as caught:
        search(kit, MUG, extractor=Other("clip", 1280))
    message = str(caught.value)
    assert "vectors were made by efficientnet-lite0, the query's by clip" in message
    assert "Search with load_extractor('efficientnet-lite0')" in message


def test_a_query_of_another_length_is_refused_in_plain_words(kit):
    with pytest.raises(InvalidRequestError, match=r"1280 numbers; yours has 384: was it made by another model\?"):
        search(kit, MUG, extractor=Other("dinov2-small", 384))


def test_a_missing_collection_is_told_with_what_to_run(client, extractor):
    with pytest.raises(NotFoundError) as caught:
        search(client, MUG, extractor=extractor)
    assert "no collection 'reverse_image_search'" in str(caught.value)
    assert "notebook 01 creates" in str(caught.value)


def test_a_collection_of_something_else_than_pictures_is_told(client, extractor):
    client.collections.create(collection=Collection("numbers", dimension=1280))
    with pytest.raises(InvalidRequestError, match="'numbers' holds no pictures: it has no field image_path"):
        search(client, MUG, extractor=extractor, collection="numbers")


def test_a_filter_with_a_typing_error_is_told_with_the_field(kit, extractor):
    with pytest.raises(InvalidRequestError, match="categroy"):
        search(kit, MUG, extractor=extractor, filter='categroy == "mug"')
