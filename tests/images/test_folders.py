"""A folder's pictures and its metadata.csv: what may lie in a folder of anyone's."""

import csv
import os
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from helpers.images import (
    DATA,
    ImageError,
    ImageFolder,
    MetadataError,
    load_categories,
    load_folder,
    open_image,
)
from helpers.images.folders import list_images
from tests.facts import ASKED, KINDS, PICTURES
from tests.images.samples import saved

# Listing


def test_every_kind_of_picture_in_a_tree_is_listed_sorted_and_with_slashes(tmp_path):
    names = [
        "b.jpg", "a.JPEG", "c.PNG", "d.webp", "e.bmp", "f.tif", "g.TIFF", "h.gif", "i.Jpg",
        "sub/deeper/j.png", "with space/k l.jpg", "Räume/größe é 日本.png", "l.jfif", "m.JPE", "n.mpo", "o.apng",
        "p.avif", "q.HEIC", "r.heif", "s.jxl", "t.jpg@width=300", "me@home.jpg",
    ]  # fmt: skip
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"listing goes by the name")
    for name in ["notes.txt", "metadata.csv", "jpg", "sub/raw.cr2", "sub/photo.jpg.part"]:
        (tmp_path / name).write_text("no picture")
    assert list_images(tmp_path)[0] == sorted(names)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no ? in names")
def test_what_was_fetched_with_its_query_string_is_listed(tmp_path):
    """wget calls it so; without it, half of a folder may be missing and nobody sees it."""
    for name in ("a.jpg?width=300&v=1.5", "b.txt?c.jpg"):
        saved(tmp_path / name, format="PNG")
    assert list_images(tmp_path)[0] == ["a.jpg?width=300&v=1.5", "b.txt?c.jpg"]


def test_what_is_left_out_is_counted_and_named(tmp_path):
    saved(tmp_path / "a.jpg")
    for name in ("b.txt", "sub/c.TXT", "d.cr2", "letter", ".DS_Store", "sub/._a.jpg", "metadata.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("file\na.jpg\n")
    folder = load_folder(tmp_path)
    assert folder.paths == ["a.jpg"]
    assert folder.left_out == {
        "b.txt": ".txt", "sub/c.TXT": ".txt", "d.cr2": ".cr2", "letter": "without a suffix", ".DS_Store": "hidden",
        "sub/._a.jpg": "hidden",
    }  # fmt: skip
    assert set(folder.left_out_summary().split(", ")) == {"2 .txt", "2 hidden", "1 .cr2", "1 without a suffix"}
    assert ImageFolder(tmp_path, []).left_out_summary() == ""
    assert load_folder(DATA).left_out == {}


OTHER_PROGRAMS = [
    "@eaDir/a.jpg/SYNOPHOTO_THUMB_XL.jpg", "#recycle/old.jpg", "$RECYCLE.BIN/old.jpg", "__MACOSX/a.jpg",
    "lost+found/old.jpg", ".thumbnails/a.jpg", "sub/@eaDir/b.jpg", "sub/.Trash-1000/c.jpg",
]  # fmt: skip


def test_thumbnails_and_deleted_files_of_other_programs_are_no_hits(tmp_path):
    for name in ("a.jpg", "sub/b.jpg", *OTHER_PROGRAMS):
        saved(tmp_path / name)
    folder = load_folder(tmp_path)
    assert folder.paths == ["a.jpg", "sub/b.jpg"]
    assert all(sum(name.startswith(path) for path in folder.left_out) == 1 for name in OTHER_PROGRAMS)
    assert len(folder.left_out) == len(OTHER_PROGRAMS)
    assert folder.left_out_summary().startswith("what is in ")
    assert folder.left_out_summary().endswith("/ and 5 more")


def test_hidden_files_and_the_shadows_that_macos_leaves_are_no_pictures(tmp_path):
    for name in ["._a.jpg", ".b.jpg", ".thumbnails/c.jpg", "sub/._d.png", "sub/.git/e.png", "a.jpg"]:
        saved(tmp_path / name)
    assert list_images(tmp_path)[0] == ["a.jpg"]


def test_links_never_bring_in_pictures_from_outside_the_folder(tmp_path):
    outside, folder = tmp_path / "outside", tmp_path / "pictures"
    secret = saved(outside / "secret.jpg")
    inside = saved(folder / "inside.jpg")
    (folder / "file.jpg").symlink_to(secret)
    (folder / "folder").symlink_to(outside, target_is_directory=True)
    (folder / "alias.jpg").symlink_to(inside)
    (folder / "dangling.jpg").symlink_to(folder / "nowhere.jpg")
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    assert list_images(folder)[0] == ["alias.jpg", "inside.jpg"]


def test_a_pipe_called_jpg_does_not_hang_the_listing_nor_the_opening(tmp_path):
    saved(tmp_path / "a.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    assert list_images(tmp_path)[0] == ["a.jpg"]
    with pytest.raises(ImageError, match=r"pipe.jpg: .*a pipe or a device"):
        open_image(tmp_path / "pipe.jpg")


def test_a_sub_folder_that_cannot_be_read_is_told_not_taken_for_empty(tmp_path, monkeypatch):
    saved(tmp_path / "open" / "a.jpg")
    saved(tmp_path / "locked" / "b.jpg")
    scandir = os.scandir

    def guarded(path):  # root may read every folder, so permissions alone can't show it
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(PermissionError, match="locked"):
        list_images(tmp_path)


@pytest.mark.parametrize("name", ["nothing", "a.jpg"])
def test_what_is_no_folder_is_told_by_name(tmp_path, name):
    saved(tmp_path / "a.jpg")
    with pytest.raises(NotADirectoryError, match=f"{name} is not a folder"):
        list_images(tmp_path / name)


# Metadata


def table(root: Path, lines: str | bytes) -> Path:
    content = lines if isinstance(lines, bytes) else lines.encode()
    (root / "metadata.csv").write_bytes(content)
    return root


@pytest.fixture
def two(tmp_path: Path) -> Path:
    saved(tmp_path / "a.jpg")
    saved(tmp_path / "sub" / "b.jpg", color="blue")
    return tmp_path


def test_the_shipped_pictures_and_their_metadata_agree():
    collection, queries = load_folder(DATA), load_folder(DATA, part="queries")
    assert sorted(collection.paths + queries.paths) == list_images(DATA)[0]
    assert collection.left_out == queries.left_out == {}
    assert not set(collection.paths) & set(queries.paths)
    assert collection.columns == {
        "category": str, "color": str, "material": str, "background": str, "light": str, "azimuth": int,
        "elevation": int,
    }  # fmt: skip
    assert queries.columns == collection.columns
    assert all(row["category"] == path.split("/")[1] for path, row in collection.metadata.items())
    for folder, each in ((collection, 14), (queries, 2)):
        assert Counter(row["category"] for row in folder.metadata.values()) == dict.fromkeys(load_categories(), each)


def test_every_kind_says_which_of_imagenet_s_classes_it_is_if_any():
    """Lessons report kinds that the network was trained on apart from the others."""
    classes = load_categories()
    assert classes["mug"] == ["coffee mug"]
    assert classes["wine_glass"] == ["goblet", "red wine"]
    assert [kind for kind, names in classes.items() if not names] == [
        "cactus", "chess_pawn", "dice", "donut", "gift_box", "light_bulb", "snowman", "traffic_cone",
    ]  # fmt: skip


def test_the_numbers_in_the_data_s_readme_are_those_of_the_data():
    words = (DATA / "README.md").read_text(encoding="utf-8")
    size = sum((DATA / path).stat().st_size for path in list_images(DATA)[0])
    said = [
        f"{len(KINDS)} kinds of everyday thing",
        f"14 pictures of each of {len(KINDS)} categories, {PICTURES} in all",
        f"two more of each category, {ASKED} in all",
        f"{size / 1e6:.0f} MB in all",
        f"{sum(not names for names in load_categories().values())} kinds have no class in ImageNet",
    ]
    assert [sentence for sentence in said if sentence not in words] == []


def test_every_shipped_picture_opens():
    for path in list_images(DATA)[0]:
        assert open_image(DATA / path).size == (320, 320)


def test_a_folder_of_ones_own_needs_no_metadata(two):
    assert load_folder(two) == ImageFolder(two, ["a.jpg", "sub/b.jpg"], {})
    assert load_folder(str(two)).columns == {}


def test_a_metadata_file_of_ones_own_describes_any_tree(two):
    table(two, "file,kind,year\nsub/b.jpg,boat,1999\na.jpg,apple,2024\n")
    folder = load_folder(two)
    assert folder.paths == ["a.jpg", "sub/b.jpg"]
    assert folder.metadata == {"a.jpg": {"kind": "apple", "year": 2024}, "sub/b.jpg": {"kind": "boat", "year": 1999}}
    assert folder.columns == {"kind": str, "year": int}


def test_a_picture_without_a_row_is_named(two):
    with pytest.raises(MetadataError, match=r"1 pictures have no row in metadata.csv: sub/b\.jpg"):
        load_folder(table(two, "file,kind\na.jpg,apple\n"))


def test_a_row_without_a_picture_is_named(two):
    with pytest.raises(MetadataError, match=r"1 rows of metadata.csv have no picture: gone\.jpg\. Correct them"):
        load_folder(table(two, "file,kind\na.jpg,apple\nsub/b.jpg,boat\ngone.jpg,x\n"))


NAMES = {"café.png": "drink", "Ǻ/über.png": "letter", "각.png": "syllable"}


@pytest.mark.parametrize(("on_disk", "in_table"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_a_name_typed_on_a_keyboard_finds_the_file_that_came_from_a_mac(tmp_path, on_disk, in_table):
    """The same letter is stored in two ways: as one sign, or as a letter and its accent."""
    for name in NAMES:
        saved(tmp_path / unicodedata.normalize(on_disk, name))
    rows = "".join(f"{unicodedata.normalize(in_table, name)},{kind}\n" for name, kind in NAMES.items())
    folder = load_folder(table(tmp_path, "file,kind\n" + rows))
    listed = set(list_images(tmp_path)[0])
    assert set(folder.paths) == set(folder.metadata) == listed
    assert {unicodedata.normalize("NFC", path): row["kind"] for path, row in folder.metadata.items()} == {
        unicodedata.normalize("NFC", name): kind for name, kind in NAMES.items()
    }


def test_two_rows_that_name_the_same_file_in_two_forms_are_refused(tmp_path):
    saved(tmp_path / "café.png")
    rows = "".join(f"{unicodedata.normalize(form, 'café.png')},x\n" for form in ("NFC", "NFD"))
    with pytest.raises(MetadataError, match=r"metadata.csv has a second row for café\.png"):
        load_folder(table(tmp_path, "file,kind\n" + rows))


@pytest.mark.parametrize("row", ["./sub/b.jpg", "sub\\b.jpg", "Sub/B.JPG", " sub/b.jpg", ".\\SUB\\b.jpg"])
def test_a_row_that_nearly_names_a_file_is_told_which(two, row):
    with pytest.raises(MetadataError) as caught:
        load_folder(table(two, f"file,kind\na.jpg,apple\n{row},boat\n"))
    assert f"no picture: {row} (write it as the file is called: sub/b.jpg)" in str(caught.value)


def test_a_row_for_a_file_that_is_not_listed_is_told_why(two):
    saved(two / "@eaDir" / "c.jpg")
    (two / "d.cr2").write_bytes(b"raw")
    with pytest.raises(MetadataError) as caught:
        load_folder(table(two, "file\na.jpg\nsub/b.jpg\n@eaDir/c.jpg\nd.cr2\n"))
    assert "@eaDir/c.jpg (the folder @eaDir/ is left out)" in str(caught.value)
    assert "d.cr2 (the file exists, but its name is not that of a picture: .cr2)" in str(caught.value)


def test_empty_lines_and_empty_columns_that_spreadsheets_leave_are_ignored(two):
    lines = "file,kind,,\n\na.jpg,apple,,\n,,,\nsub/b.jpg,boat, ,,,\n , \n\n"
    assert load_folder(table(two, lines)).metadata == {"a.jpg": {"kind": "apple"}, "sub/b.jpg": {"kind": "boat"}}
    assert load_folder(table(two, " file , kind\na.jpg,apple\nsub/b.jpg,boat\n")).columns == {"kind": str}


def test_what_a_spreadsheet_writes_can_be_read(two):
    lines = '\ufefffile,kind\r\na.jpg,"apple, ""red"""\r\nsub/b.jpg,größe\r\n\r\n'
    assert load_folder(table(two, lines)).metadata == {
        "a.jpg": {"kind": 'apple, "red"'},
        "sub/b.jpg": {"kind": "größe"},
    }


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("path,kind\na.jpg,apple\n", r"needs a column named 'file'; it has: \['path', 'kind'\]"),
        ("file;kind\na.jpg;apple\n", "needs a column named 'file'"),
        ("", "needs a column named 'file'"),
        ("file,kind\na.jpg,apple\nsub/b.jpg\n", "line 3: not as many values"),
        ("file,kind\na.jpg,apple,extra\nsub/b.jpg,boat\n", "line 2: not as many values"),
        ("file,kind\na.jpg,apple\nsub/b.jpg,boat\na.jpg,pear\n", "line 4: a second row for a.jpg"),
        ("file,kind,kind\na.jpg,apple,tea\nsub/b.jpg,boat,x\n", "two columns named 'kind'"),
        ("file,kind,file\na.jpg,apple,a.jpg\nsub/b.jpg,boat,x\n", "two columns named 'file'"),
        ("file,kind,,\na.jpg,apple,sweet,\nsub/b.jpg,boat,,\n", "line 2: a value in a column without a name"),
        ("file,kind\na.jpg,apple\n,boat\n", "line 3: no file"),
        ("file,kind\na.jpg,gr\xf6\xdfe\nsub/b.jpg,x\n".encode("cp1252"), "not a CSV file in UTF-8"),
        ("file,kind\na.jpg," + "x" * (csv.field_size_limit() + 1) + "\nsub/b.jpg,x\n", "not a CSV file"),
    ],
    ids=[
        "no file column",
        "semicolons",
        "empty",
        "too few",
        "too many",
        "twice",
        "a column twice",
        "file twice",
        "no name",
        "no file",
        "not UTF-8",
        "endless value",
    ],
)
def test_a_broken_metadata_file_is_refused_with_what_is_wrong(two, lines, reason):
    with pytest.raises(MetadataError, match=reason):
        load_folder(table(two, lines))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "-20"], int),
        (["1", "2.5"], float),
        (["1e3", "-0.25"], float),
        (["1", ""], str),
        (["red", "1"], str),
        (["007", "123"], str),
        (["1_000", "2"], str),
        (["nan", "1.5"], str),
        (["inf", "1"], str),
        (["٣", "4"], str),
        (["99999999999999999999", "1"], str),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else value.__name__,
)
def test_numbers_are_numbers_and_what_only_looks_like_one_stays_as_written(two, values, kind):
    folder = load_folder(table(two, f"file,value\na.jpg,{values[0]}\nsub/b.jpg,{values[1]}\n"))
    assert folder.columns == {"value": kind}
    assert [folder.metadata[path]["value"] for path in ("a.jpg", "sub/b.jpg")] == [kind(value) for value in values]


def test_queries_beside_the_images_are_not_part_of_the_collection(tmp_path):
    for name in ("images/a.jpg", "queries/b.jpg", "images_old/c.jpg"):
        saved(tmp_path / name)
    table(tmp_path, "file,n\nimages/a.jpg,1\nqueries/b.jpg,2\nimages_old/c.jpg,3.5\n")
    assert load_folder(tmp_path).paths == ["images/a.jpg"]
    queries = load_folder(tmp_path, part="queries")
    assert queries.paths == ["queries/b.jpg"]
    assert queries.columns == {"n": float}  # one type for all parts
