"""A folder in, rows stored: nothing lost, nothing doubled, nothing deleted unasked, whatever happens meanwhile."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from helpers import ingest as ingest_module
from helpers.connect import COLLECTION, local_client
from helpers.images import DATA, ImageError, Source, load_folder, open_image
from helpers.images.folders import list_images
from helpers.ingest import MAX_PATH, content_id, image_collection, ingest, stored_rows
from helpers.memora import InvalidRequestError, Memora
from helpers.memora import http as http_module
from helpers.search import as_matrix
from helpers.settings import ROOT
from local_memora import create_app
from local_memora.app import MAX_BODY
from tests.facts import PICTURES

KIT = load_folder(DATA)


class Colors:
    """An extractor that costs nothing: the picture at 3 x 3 pixels, of unit length. Counts what it embeds."""

    def __init__(self, name: str = "colors", side: int = 3) -> None:
        self.name, self.side, self.dim = name, side, 3 * side**2
        self.embedded = 0

    def embed(self, images: Iterable[Source]) -> np.ndarray:
        small = [np.asarray(open_image(one).resize((self.side, self.side)), np.float32).ravel() + 1 for one in images]
        self.embedded += len(small)
        rows = np.array(small, np.float32).reshape(-1, self.dim)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def colors() -> Colors:
    return Colors()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with six of the kit's pictures and no metadata; its path has a space and non-ASCII letters."""
    root = tmp_path / "my pictures é 日本"
    for path in KIT.paths[:42:7]:
        (root / Path(path).parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(DATA / path, root / Path(path).parent.name)
    assert len(load_folder(root).paths) == 6
    return root


def write_table(root: Path, columns: str, **values: str) -> None:
    """Write a metadata.csv; a picture's row is `values[stem]`, or `values["rest"]`."""
    lines = [f'"{path}",{values.get(Path(path).stem, values["rest"])}' for path in list_images(root)[0]]
    (root / "metadata.csv").write_text("\n".join([f"file,{columns}", *lines]), encoding="utf-8")


def rows(client: Memora, name: str = COLLECTION) -> dict[int, dict]:
    """Return all rows by id, with everything stored, vectors included."""
    found = client.vectors.query(collection_name=name, filter="id >= 0", output_fields=["*"])["data"]
    assert len(found) == len({row["id"] for row in found}), "an id is there twice"
    assert len(found) == client.collections.get_stats(collection_name=name)["data"]["rowCount"]
    return {row["id"]: row for row in found}


def paths(client: Memora, name: str = COLLECTION) -> list[str]:
    return sorted(row["image_path"] for row in rows(client, name).values())


# What is stored


def test_a_second_run_adds_nothing_and_does_not_run_the_network(client, folder, colors):
    first = ingest(client, folder, extractor=colors)
    assert (first.added, first.already_there, first.refused) == (6, 0, [])
    assert paths(client) == load_folder(folder).paths
    before = rows(client)
    second = ingest(client, folder, extractor=colors)
    assert (second.added, second.already_there) == (0, 6)
    assert str(second) == f"{COLLECTION}: 0 added, 6 already there, 0 refused"
    assert colors.embedded == 6
    assert rows(client) == before


def test_ids_are_the_content_and_survive_javascript(client, folder, colors):
    ingest(client, folder, extractor=colors)
    expected = {}
    for path in load_folder(folder).paths:
        digest = hashlib.sha256((folder / path).read_bytes()).hexdigest()
        expected[int(f"{int(digest, 16):0256b}"[:53], 2)] = path
    assert {key: row["image_path"] for key, row in rows(client).items()} == expected
    assert all(0 <= key < 2**53 and int(float(key)) == key for key in expected)
    assert content_id(folder / path) in expected


def test_a_row_holds_the_picture_in_numbers_its_path_and_who_made_it(client, folder, extractor):
    report = ingest(client, folder, extractor=extractor, batch_size=4)
    assert report.added == 6
    stored = list(rows(client).values())
    assert set(stored[0]) == {"id", "image_path", "vector", "extractor"}
    assert {row["extractor"] for row in stored} == {"efficientnet-lite0"}
    expected = extractor.embed([folder / row["image_path"] for row in stored])
    assert np.abs(as_matrix(stored) - expected).max() < 1e-6


def test_a_folder_without_metadata_can_be_given_as_text_path_or_list(client, folder, colors):
    for name, given in {"text": str(folder), "path": folder, "list": load_folder(folder)}.items():
        assert ingest(client, given, extractor=colors, collection=name).added == 6


def test_every_stored_field_of_the_kit_can_be_filtered_on(kit):
    def found(condition: str) -> set[str]:
        answer = kit.vectors.query(collection_name=COLLECTION, filter=condition, output_fields=["image_path"])
        return {row["image_path"] for row in answer["data"]}

    some = KIT.paths[100]
    values = KIT.metadata[some]
    assert list(KIT.columns) == ["category", "color", "material", "background", "light", "azimuth", "elevation"]
    for column, kind in KIT.columns.items():
        literal = f'"{values[column]}"' if kind is str else values[column]
        expected = {path for path, row in KIT.metadata.items() if row[column] == values[column]}
        assert some in expected
        assert 0 < len(expected) < PICTURES
        assert found(f"{column} == {literal}") == expected
    for bound in (-30, 0, 30):
        expected = {path for path, row in KIT.metadata.items() if row["azimuth"] > bound}
        assert found(f"azimuth > {bound}") == expected
        assert 20 < len(expected) < PICTURES - 20
    assert found('category == "mug" and color in ["red", "green"] and elevation < 30') == {
        path
        for path, row in KIT.metadata.items()
        if row["category"] == "mug" and row["color"] in ("red", "green") and row["elevation"] < 30
    }
    assert found(f'image_path == "{some}"') == {some}
    assert found(f"id in [{content_id(DATA / some)}]") == {some}
    assert len(found('extractor == "efficientnet-lite0"')) == PICTURES


def test_metadata_of_ones_own_keeps_its_types_and_odd_texts(client, folder, colors):
    write_table(folder, "caption,year,price", rest='"it\'s ""größe"", 日本 %_\\",1999,2.5')
    ingest(client, folder, extractor=colors)
    row = next(iter(rows(client).values()))
    assert (row["caption"], row["year"], row["price"]) == ('it\'s "größe", 日本 %_\\', 1999, 2.5)
    kept = client.vectors.query(collection_name=COLLECTION, filter="year > 1998 and price < 2.6")["data"]
    assert len(kept) == 6


def test_file_names_with_quotes_and_line_breaks_come_back_as_they_are(client, folder, colors):
    odd = ["it's.jpg", 'say "cheese".jpg', "a\nb.jpg", "100% _x_.jpg", "-rf.jpg", "$HOME.jpg", "back\\slash.jpg"]
    for number, name in enumerate(odd):
        Image.new("RGB", (9, 9), (30 * number, 0, 0)).save(folder / name)
    assert ingest(client, folder, extractor=colors).added == 6 + len(odd)
    assert set(odd) < set(paths(client))


def test_progress_is_shown_in_images_a_second(client, folder, colors, capsys):
    ingest(client, folder, extractor=colors)
    shown = capsys.readouterr().out
    assert "6/6" in shown
    assert "images/s" in shown
    ingest(client, folder, extractor=colors)
    assert capsys.readouterr().out == ""  # nothing to wait for


# Changes in the folder


def test_a_moved_file_keeps_its_row_and_vector_under_the_new_path(client, folder, colors):
    ingest(client, folder, extractor=colors)
    before, old = rows(client), load_folder(folder).paths[2]
    (folder / "new place").mkdir()
    (folder / old).rename(folder / "new place" / "renamed.jpg")
    report = ingest(client, folder, extractor=colors, remove_missing=True)
    assert report.moved == [(old, "new place/renamed.jpg")]
    assert (report.added, report.already_there, report.removed, report.missing) == (0, 5, 0, [])
    assert f"  {old} is now new place/renamed.jpg" in str(report)
    assert colors.embedded == 6
    after = rows(client)
    key = content_id(folder / "new place" / "renamed.jpg")
    assert after[key] == {**before[key], "image_path": "new place/renamed.jpg"}
    assert after.keys() == before.keys()


def test_two_files_that_swap_names_swap_their_rows_paths(client, folder, colors):
    ingest(client, folder, extractor=colors)
    one, two = (folder / path for path in load_folder(folder).paths[:2])
    one.rename(folder / "x")
    two.rename(one)
    (folder / "x").rename(two)
    report = ingest(client, folder, extractor=colors)
    assert len(report.moved) == 2
    assert (report.added, report.replaced, report.missing) == (0, 0, [])
    for key, row in rows(client).items():
        assert content_id(folder / row["image_path"]) == key


def test_identical_files_are_one_row_and_each_copy_is_reported_once(client, folder, colors):
    original = load_folder(folder).paths[0]
    shutil.copy(folder / original, folder / "zz copy.jpg")
    (folder / "again").mkdir()
    shutil.copy(folder / original, folder / "again" / "b.jpg")
    report = ingest(client, folder, extractor=colors)
    assert report.added == 6
    assert len(report.duplicates) == 2
    kept = ({original, "zz copy.jpg", "again/b.jpg"} & set(paths(client))).pop()
    assert {same for _, same in report.duplicates} == {kept}
    assert {kept, *(copy for copy, _ in report.duplicates)} == {original, "zz copy.jpg", "again/b.jpg"}
    assert "2 identical to another" in str(report)


def test_a_copy_that_comes_first_does_not_take_over_the_row(client, folder, colors):
    ingest(client, folder, extractor=colors)
    before = rows(client)
    original = load_folder(folder).paths[3]
    shutil.copy(folder / original, folder / "AAA.jpg")
    report = ingest(client, folder, extractor=colors)
    assert (report.moved, report.duplicates) == ([], [("AAA.jpg", original)])
    assert rows(client) == before
    (folder / original).unlink()  # now the copy is the only one left
    assert ingest(client, folder, extractor=colors).moved == [(original, "AAA.jpg")]
    assert colors.embedded == 6


def test_edited_metadata_is_stored_without_running_the_network_again(client, folder, colors):
    write_table(folder, "kind,year", rest="old,1990")
    ingest(client, folder, extractor=colors)
    before = rows(client)
    changed = Path(load_folder(folder).paths[1])
    write_table(folder, "kind,year", rest="old,1990", **{changed.stem: "new,2024"})
    report = ingest(client, folder, extractor=colors)
    assert (report.updated, report.already_there, report.added, report.moved) == (1, 5, 0, [])
    assert colors.embedded == 6
    key = content_id(folder / changed)
    after = rows(client)
    assert after == {**before, key: {**before[key], "kind": "new", "year": 2024}}


def test_rows_of_deleted_files_go_only_when_asked(client, folder, colors):
    ingest(client, folder, extractor=colors)
    gone = load_folder(folder).paths[4]
    (folder / gone).unlink()
    report = ingest(client, folder, extractor=colors)
    assert (report.missing, report.removed) == ([gone], 0)
    assert "1 missing" in str(report)
    assert gone in paths(client)
    report = ingest(client, folder, extractor=colors, remove_missing=True)
    assert (report.missing, report.removed, report.already_there) == ([], 1, 5)
    assert paths(client) == load_folder(folder).paths


def test_an_edited_picture_replaces_its_row(client, folder, colors):
    """Else a hit would show another picture."""
    ingest(client, folder, extractor=colors)
    edited = load_folder(folder).paths[0]
    old = content_id(folder / edited)
    Image.new("RGB", (9, 9), "lime").save(folder / edited)
    report = ingest(client, folder, extractor=colors)
    assert (report.added, report.replaced, report.already_there, report.missing) == (1, 1, 5, [])
    assert "1 replaced" in str(report)
    after = rows(client)
    assert old not in after
    assert len(after) == 6
    for key, row in after.items():
        assert content_id(folder / row["image_path"]) == key


# Files that can't be used


def test_bad_files_among_good_ones_are_named_and_the_good_ones_come_in(client, folder, extractor):
    good = load_folder(folder).paths
    (folder / "half.jpg").write_bytes((folder / good[0]).read_bytes()[:5000])
    (folder / "letter.png").write_text("Dear Anna")
    (folder / "empty.gif").touch()
    report = ingest(client, folder, extractor=extractor)
    assert report.added == 6
    assert [path for path, _ in report.refused] == ["empty.gif", "half.jpg", "letter.png"]
    assert "cut off" in dict(report.refused)["half.jpg"]
    assert "  refused letter.png: not a JPEG" in str(report)
    stored = list(rows(client).values())
    assert sorted(row["image_path"] for row in stored) == good
    expected = extractor.embed([folder / row["image_path"] for row in stored])
    assert np.abs(as_matrix(stored) - expected).max() < 1e-5  # no vector slipped to a neighbour


def test_what_is_not_taken_from_a_folder_is_named_in_the_report(client, folder, colors):
    for name in ("notes.txt", "raw.cr2", "@eaDir/thumb.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("no picture")
    report = ingest(client, folder, extractor=colors)
    assert (report.added, report.refused) == (6, [])
    assert "  left out: 1 .cr2, 1 .txt, what is in @eaDir/" in str(report).splitlines()
    shutil.rmtree(folder / "@eaDir")
    assert str(ingest(client, folder, extractor=colors)).endswith("left out: 1 .cr2, 1 .txt")


def test_a_folder_of_other_files_only_says_which(client, tmp_path, colors):
    own = tmp_path / "own"
    own.mkdir()
    (own / "a.cr2").write_bytes(b"raw")
    with pytest.raises(FileNotFoundError, match=r"GIF, only 1 \.cr2\."):
        ingest(client, own, extractor=colors)


def test_a_refused_file_is_tried_again_once_it_is_repaired(client, folder, colors):
    good = load_folder(folder).paths[0]
    whole = (folder / good).read_bytes()
    (folder / good).write_bytes(whole[:3000])
    report = ingest(client, folder, extractor=colors)
    assert (report.added, len(report.refused)) == (5, 1)
    (folder / good).write_bytes(whole)
    report = ingest(client, folder, extractor=colors)
    assert (report.added, report.already_there, report.refused) == (1, 5, [])


def test_a_file_that_cannot_be_read_now_does_not_lose_its_row(client, folder, colors, monkeypatch):
    ingest(client, folder, extractor=colors)
    before, locked = rows(client), load_folder(folder).paths[2]

    def guarded(path: Path) -> int:  # root may read every file, so permissions alone can't show it
        if path == folder / locked:
            raise PermissionError(13, "Permission denied", str(path))
        return content_id(path)

    monkeypatch.setattr(ingest_module, "content_id", guarded)
    report = ingest(client, folder, extractor=colors, remove_missing=True)
    assert report.refused == [(locked, "can't be read (Permission denied)")]
    assert (report.removed, report.missing, report.already_there) == (0, [], 5)
    assert rows(client) == before


def test_a_file_that_was_damaged_since_does_not_lose_its_row(client, folder, colors):
    ingest(client, folder, extractor=colors)
    before, damaged = rows(client), load_folder(folder).paths[2]
    (folder / damaged).write_bytes((folder / damaged).read_bytes()[:3000])
    report = ingest(client, folder, extractor=colors, remove_missing=True)
    assert [path for path, _ in report.refused] == [damaged]
    assert (report.removed, report.replaced, report.missing) == (0, 0, [])
    assert rows(client) == before


@pytest.mark.parametrize("content", [b"", b"no picture"], ids=["cut to nothing", "the same nonsense"])
def test_files_damaged_in_the_same_way_all_keep_their_rows(client, folder, colors, content):
    """The refusal belongs to the content: each file that has it is refused, not only the first."""
    ingest(client, folder, extractor=colors)
    before, damaged = rows(client), load_folder(folder).paths[1:4]
    for path in damaged:
        (folder / path).write_bytes(content)
    (folder / "new.jpg").write_bytes(content)
    report = ingest(client, folder, extractor=colors, remove_missing=True)
    assert [path for path, _ in report.refused] == sorted([*damaged, "new.jpg"])
    assert (report.removed, report.replaced, report.missing, report.duplicates) == (0, 0, [], [])
    assert rows(client) == before


def test_a_damaged_file_keeps_its_row_beside_a_copy_of_another_name(client, folder, colors):
    first, second = load_folder(folder).paths[:2]
    ingest(client, folder, extractor=colors)
    before = rows(client)
    shutil.copy(folder / first, folder / "copy.jpg")
    for path in (first, second):
        (folder / path).write_bytes(b"")
    report = ingest(client, folder, extractor=colors, remove_missing=True)
    assert report.moved == [(first, "copy.jpg")]
    assert [path for path, _ in report.refused] == [first, second]
    assert rows(client).keys() == before.keys()


def test_a_path_too_long_to_store_is_refused_in_bytes_not_letters(client, folder, colors):
    place = "/".join(["é" * 40, "ü" * 40, "x" * 85])  # 80 + 1 + 80 + 1 + 85 bytes
    longest, too_long = f"{place}/abcd.jpg", f"{place}/abcde.jpg"
    assert len(longest.encode()) == MAX_PATH
    (folder / longest).parent.mkdir(parents=True)
    Image.new("RGB", (9, 9), "red").save(folder / longest)
    Image.new("RGB", (9, 9), "blue").save(folder / too_long)
    report = ingest(client, folder, extractor=colors)
    assert report.added == 7
    assert report.refused == [(too_long, "its path has more than 256 bytes: use shorter folder names")]
    assert longest in paths(client)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are always Unicode")
def test_a_name_from_another_age_is_refused_and_does_not_stop_the_rest(client, folder, colors):
    odd = os.fsdecode(b"gr\xf6\xdfe.jpg")
    Image.new("RGB", (9, 9)).save(folder / odd)
    report = ingest(client, folder, extractor=colors)
    assert report.added == 6
    assert report.refused == [(odd, "its name is not in UTF-8: rename it")]


def test_a_caption_too_long_to_store_is_refused_with_the_files_name(client, folder, colors):
    wordy = Path(load_folder(folder).paths[2])
    write_table(folder, "caption", rest="short", **{wordy.stem: "é" * 129})
    report = ingest(client, folder, extractor=colors)
    assert report.added == 5
    assert report.refused == [
        (wordy.as_posix(), "its caption in metadata.csv has more than 256 bytes: make it shorter")
    ]


@pytest.mark.parametrize("content", [None, "no picture"])
def test_a_folder_without_pictures_is_told_and_makes_no_collection(client, tmp_path, colors, content):
    if content:
        (tmp_path / "notes.txt").write_text(content)
    with pytest.raises(FileNotFoundError, match=f"no picture in {tmp_path}"):
        ingest(client, tmp_path, extractor=colors)
    with pytest.raises(NotADirectoryError):
        ingest(client, tmp_path / "missing", extractor=colors)
    assert client.collections.list()["data"] == []


def test_a_folder_of_bad_files_only_is_reported_not_raised(client, tmp_path, colors):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.jpg").write_text("no picture")
    report = ingest(client, tmp_path / "pictures", extractor=colors)
    assert (report.added, len(report.refused)) == (0, 1)
    assert rows(client) == {}


# Collections that do not fit


@contextmanager
def refused_and_unchanged(client: Memora, match: str) -> Iterator[None]:
    before = rows(client)
    with pytest.raises(InvalidRequestError, match=match):
        yield
    assert rows(client) == before


def test_another_network_s_vectors_are_refused_before_any_change(client, folder, colors):
    """Even if they are as long."""
    ingest(client, folder, extractor=colors)
    Image.new("RGB", (9, 9)).save(folder / "new.jpg")
    other = Colors("other colors")
    with refused_and_unchanged(client, "holds vectors made by colors; vectors of other colors can't be compared"):
        ingest(client, folder, extractor=other, remove_missing=True)
    assert other.embedded == 0


def test_vectors_of_another_length_are_refused_before_anything_changes(client, folder, colors):
    ingest(client, folder, extractor=colors)
    (folder / load_folder(folder).paths[0]).unlink()
    with refused_and_unchanged(client, "stores vectors of 27 numbers; this extractor gives 12"):
        ingest(client, folder, extractor=Colors(side=2), remove_missing=True)


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (None, ("kind", "x"), r"kind \(none there, VarChar here\)"),
        (("kind", "x"), None, r"kind \(VarChar there, none here\)"),
        (("kind", "x"), ("color", "x"), r"kind \(VarChar there, none here\), color \(none there, VarChar here\)"),
        (("year", "1999"), ("year", "1999.5"), r"year \(Int64 there, Double here\)"),
        (("year", "1999"), ("year", "about 1999"), r"year \(Int64 there, VarChar here\)"),
    ],
    ids=["more columns", "no columns", "other columns", "whole numbers, then others", "numbers, then text"],
)
def test_other_metadata_is_refused_with_the_fields_that_differ(client, folder, colors, first, second, told):
    for columns in (first, second):
        (folder / "metadata.csv").unlink(missing_ok=True)
        if columns:
            write_table(folder, columns[0], rest=columns[1])
        if columns is first:
            ingest(client, folder, extractor=colors)
    with refused_and_unchanged(client, told):
        ingest(client, folder, extractor=colors)


def test_whole_numbers_fit_a_column_of_numbers(client, folder, colors):
    write_table(folder, "price", rest="2.5")
    ingest(client, folder, extractor=colors)
    write_table(folder, "price", rest="3")
    assert ingest(client, folder, extractor=colors).updated == 6


@pytest.mark.parametrize("column", ["id", "image_path", "vector", "extractor", "distance"])
def test_a_metadata_column_cannot_take_the_place_of_the_kits_own_fields(client, folder, colors, column):
    write_table(folder, column, rest="5")
    with pytest.raises(InvalidRequestError, match=f"metadata.csv has a column '{column}'"):
        ingest(client, folder, extractor=colors)
    assert client.collections.list()["data"] == []


@pytest.mark.parametrize("column", ["main color", "größe", "1st"])
def test_a_column_that_can_not_be_a_field_is_reported_first(client, folder, colors, column):
    write_table(folder, column, rest="5")
    with pytest.raises(InvalidRequestError, match=f"'{column}' is not a valid name"):
        ingest(client, folder, extractor=colors)
    assert client.collections.list()["data"] == []


# Many rows, crashes and company


@pytest.mark.parametrize("size", [0, -3])
def test_a_batch_of_nothing_is_refused_before_anything_is_made(client, folder, colors, size):
    with pytest.raises(ValueError, match=f"batch_size is {size}; it must be at least 1"):
        ingest(client, folder, extractor=colors, batch_size=size)
    assert client.collections.list()["data"] == []


def test_rows_larger_together_than_memora_takes_are_stored_and_moved(tmp_path, rng, monkeypatch):
    """A request may have 64 MB: here both that limit and ours are a hundredth of what they are."""

    class Wide(Colors):
        def embed(self, images: Iterable[Source]) -> np.ndarray:
            return rng.normal(size=(len(list(images)), self.dim)).astype(np.float32)

    app = create_app(tmp_path / "home", "k", ("p",))
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY // 100
    for module in (ingest_module, http_module):
        monkeypatch.setattr(module, "REQUEST_BYTES", http_module.REQUEST_BYTES // 100)
    extractor, folder = Wide(), tmp_path / "wide"
    extractor.dim = 1_280
    (folder / "a").mkdir(parents=True)
    for number in range(80):
        Image.new("RGB", (1, 1), (number, 0, 0)).save(folder / "a" / f"{number}.png")
    with Memora("k", "p", "http://memora.invalid", transport=httpx.WSGITransport(app=app)) as client:
        assert ingest(client, folder, extractor=extractor, batch_size=80).added == 80
        before = rows(client)
        (folder / "a").rename(folder / "b")
        assert len(ingest(client, folder, extractor=extractor).moved) == 80
        assert rows(client) == {
            key: {**row, "image_path": row["image_path"].replace("a/", "b/")} for key, row in before.items()
        }


def test_a_collection_larger_than_one_answer_is_read_completely(client, folder, colors, rng):
    """And cleared completely."""
    client.collections.create(collection=image_collection(COLLECTION, colors.dim, {}))
    keys = np.unique(rng.integers(0, 2**53, 17_000)).tolist()
    for start in range(0, len(keys), 2_000):
        data = [
            {"id": key, "image_path": f"gone/{key}.jpg", "extractor": "colors", "vector": [1.0] * colors.dim}
            for key in keys[start : start + 2_000]
        ]
        client.vectors.insert(collection_name=COLLECTION, data=data)
    found = stored_rows(client, COLLECTION, ["image_path"])
    assert sorted(found) == keys
    assert all(row["image_path"] == f"gone/{key}.jpg" for key, row in found.items())
    report = ingest(client, folder, extractor=colors, remove_missing=True)
    assert (report.added, report.removed) == (6, len(keys))
    assert paths(client) == load_folder(folder).paths


def test_stopping_by_hand_loses_nothing_that_was_stored(client, folder, colors):
    class Stopped(Colors):
        def embed(self, images: Iterable[Source]) -> np.ndarray:
            if self.embedded >= 4:
                raise KeyboardInterrupt
            return super().embed(images)

    with pytest.raises(KeyboardInterrupt):
        ingest(client, folder, extractor=Stopped(), batch_size=2)
    assert len(rows(client)) == 4
    report = ingest(client, folder, extractor=colors)
    assert (report.added, report.already_there) == (2, 4)
    assert colors.embedded == 2


def test_an_error_that_is_no_bad_picture_is_not_hidden_as_one(client, folder):
    class Broken(Colors):
        def embed(self, images: Iterable[Source]) -> np.ndarray:
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        ingest(client, folder, extractor=Broken())


# A child says what was stored, line by line (a bar may stand on the line before), and waits until it is told to go on.
CHILD = """
import sys
from pathlib import Path
from helpers.connect import local_client
from helpers.ingest import ingest
from tests.test_ingest import Colors

client = local_client(Path(sys.argv[1]))
upsert = client.vectors.upsert
def told(**call):
    upsert(**call)
    print("\\nstored", *(row["id"] for row in call["data"]), flush=True)
    sys.stdin.readline()
client.vectors.upsert = told
print("ready", flush=True)
sys.stdin.readline()
report = ingest(client, sys.argv[2], extractor=Colors(), batch_size=int(sys.argv[3]))
print("done", report.added, report.already_there, flush=True)
"""


def start(home: Path, folder: Path, batch_size: int) -> subprocess.Popen:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(home), str(folder), str(batch_size)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    while child.stdout.readline() != "ready\n":
        assert child.poll() is None
    return child


def go_on(*children: subprocess.Popen) -> None:
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Return a folder of 150 different small pictures."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(150):
        Image.new("RGB", (12, 12), (number, 255 - number, 90)).save(folder / f"{number:03}.png")
    return folder


def test_kill_9_in_the_middle_loses_nothing_stored_and_doubles_nothing(tmp_path, many):
    home, acknowledged = tmp_path / "home", set()
    for batch_size, stop_after in ((1, 7), (3, 4), (4, 3)):
        child = start(home, many, batch_size)
        go_on(child)
        for line in child.stdout:
            assert not line.startswith("done"), "it was to be killed in the middle"
            if line.startswith("stored"):
                acknowledged |= set(map(int, line.split()[1:]))
                stop_after -= 1
                if stop_after == 0:
                    child.send_signal(signal.SIGKILL)
                    break
                go_on(child)
        assert child.wait(600) == -signal.SIGKILL
    assert len(acknowledged) == 7 + 12 + 12
    with local_client(home) as client:
        there = rows(client)
        assert acknowledged <= there.keys()
        again = Colors()
        report = ingest(client, many, extractor=again)
        assert (report.added, report.already_there) == (150 - len(there), len(there))
        assert again.embedded == 150 - len(there)
        after = rows(client)
        assert {row["image_path"] for row in after.values()} == {f"{number:03}.png" for number in range(150)}
        assert len(after) == 150
        for key, row in after.items():
            assert content_id(many / row["image_path"]) == key
            assert np.abs(np.array(row["vector"]) - again.embed([many / row["image_path"]])[0]).max() < 1e-6


def test_two_processes_that_ingest_the_same_folder_at_once_store_it_once(tmp_path, many):
    home = tmp_path / "home"
    children = [start(home, many, 4) for _ in range(2)]
    go_on(*children)
    ends = [child.communicate(timeout=600)[0].split("\n")[-2].split() for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert all(end[0] == "done" and int(end[1]) + int(end[2]) == 150 for end in ends)
    with local_client(home) as client:
        assert len(rows(client)) == 150
        report = ingest(client, many, extractor=Colors())
        assert (report.added, report.already_there) == (0, 150)


def test_a_collection_made_by_another_notebook_just_now_is_used(client, folder, colors, monkeypatch):
    ingest(client, folder, extractor=colors)
    monkeypatch.setattr(client.collections, "has", lambda **_: {"data": {"has": False}})  # as it was a moment ago
    assert ingest(client, folder, extractor=colors).already_there == 6


def test_an_image_error_of_the_tests_own_extractor_is_the_real_one(colors, folder):
    (folder / "x.jpg").write_text("no picture")
    with pytest.raises(ImageError):  # else the tests of refused files would show nothing
        colors.embed([folder / "x.jpg"])
