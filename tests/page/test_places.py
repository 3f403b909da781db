"""Folders of one's own on the page of `make app`: where they are kept, and what a browser may send."""

import pytest

from helpers.images import DATA
from helpers.page import places


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("MEMORA_ENGINE", "")
    monkeypatch.setenv("MEMORA_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def folder(tmp_path, name):
    made = tmp_path / name / "holiday"
    made.mkdir(parents=True)
    return made


def test_two_folders_of_one_name_are_kept_apart_until_they_are_gone(tmp_path):
    one, two = (places.place_of(str(folder(tmp_path, name))) for name in ("one", "two"))
    assert one.key != two.key
    places.keep(one)
    places.keep(two)
    assert places.kept() == {"": places.KIT, one.key: one, two.key: two}
    assert [name for _, name in places.names(places.kept())] == [
        "the kit's pictures",
        "holiday (in one)",
        "holiday (in two)",
    ]
    one.root.rmdir()
    assert [name for _, name in places.names(places.kept())] == ["the kit's pictures", "holiday"]


def test_the_kit_s_own_folder_is_the_kit_s_own_place():
    assert places.place_of(f'"{DATA}"') == places.KIT


@pytest.mark.parametrize("text", ["", "  ", "/no/such/folder", "~nobody-of-this-name/x", __file__, "a\0b"])
def test_a_path_that_is_no_folder_is_refused_with_what_to_do(text):
    with pytest.raises((ValueError, OSError), match=r"path of|not a path"):
        places.place_of(text)


def test_a_browser_can_only_store_pictures_and_only_in_their_folder(home, monkeypatch):
    upload = places.Upload("../my holiday", 3)
    assert upload.root.is_relative_to(home)
    upload.add("a/b.jpg", b"x")
    upload.add("metadata.csv", b"file\n")
    for path in ("../b.jpg", "a/../../b.jpg", "/b.jpg", "c:b.jpg", "a\\b.jpg", "", "run.sh", "a/metadata.csv"):
        with pytest.raises(ValueError, match=r"stored here|not a picture"):
            upload.add(path, b"x")
    assert sorted(p.name for p in upload.root.rglob("*.*")) == ["b.jpg", "metadata.csv"]
    monkeypatch.setattr(places, "MOST_BYTES", 10)
    with pytest.raises(ValueError, match="too large"):
        upload.add("c.jpg", b"x" * 20)
    another = places.Upload("../my holiday", 1)
    assert another.root != upload.root
    upload.remove()
    assert not upload.root.exists()
    assert another.root.exists()


def test_only_the_page_s_own_copies_are_deleted_when_a_folder_is_forgotten(home, tmp_path):
    upload, mine = places.Upload("holiday", 1), folder(tmp_path, "mine")
    upload.add("a.jpg", b"x")
    inside = upload.root / "more"
    inside.mkdir()
    for root in (mine, inside, upload.root):
        places.keep(places.place_of(str(root)))
    places.forget(places.place_of(str(mine)))
    places.forget(places.place_of(str(inside)))
    assert mine.is_dir()
    assert (upload.root / "a.jpg").is_file()
    places.forget(places.place_of(str(upload.root)))
    assert not upload.root.parent.exists()
    assert places.kept() == {"": places.KIT}
