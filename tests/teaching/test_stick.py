"""What lies on a USB stick: nothing that it can't hold, and whatever is damaged is found before it is used."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from teaching.stick import LARGEST, damaged, problems, write_manifest


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    folder = tmp_path / "a päck"
    (folder / "wheels").mkdir(parents=True)
    (folder / "student.zip").write_bytes(b"zip" * 1000)
    (folder / "wheels" / "one-1.0-py3-none-any.whl").write_bytes(b"wheel")
    (folder / "READ ME.txt").write_text("read me")
    write_manifest(folder)
    return folder


def test_a_whole_pack_has_no_problems_and_no_damage(pack: Path) -> None:
    assert problems(pack) == damaged(pack) == []
    done = subprocess.run([sys.executable, "-m", "teaching.stick", pack], capture_output=True, text=True)
    assert done.returncode == 0 and "All files are whole" in done.stdout


def add_large(folder: Path) -> None:
    with (folder / "large").open("wb") as file:
        file.truncate(LARGEST + 1)  # a file of holes: it takes no room


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (add_large, "large: larger than 4 GB"),
        (lambda folder: os.link(folder / "student.zip", folder / "again.zip"), "a hard link"),
        (lambda folder: (folder / "link").symlink_to("student.zip"), "link: a link"),
        (lambda folder: (folder / "Student.zip").touch(), "differs from Student.zip in the case of letters only"),
        (lambda folder: (folder / "what?").touch(), "a letter that Windows does not allow"),
        (lambda folder: (folder / "wheels" / "dot.").touch(), "a dot or space at an end"),
        (lambda folder: (folder / "aux.txt").touch(), "a name that Windows keeps for itself"),
        (lambda folder: (folder / ("x" * 201)).touch(), "longer than 200 letters"),
    ],
    ids=["large", "hard link", "link", "case", "letter", "dot", "reserved", "long"],
)
@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="such files can't be made here")
def test_what_a_stick_can_t_hold_is_found(pack: Path, spoil, said: str) -> None:
    spoil(pack)
    found = problems(pack)
    assert found and all(said in line for line in found[-1:]), found


def test_the_largest_file_that_fits_is_allowed(pack: Path) -> None:
    with (pack / "large").open("wb") as file:
        file.truncate(LARGEST)
    assert problems(pack) == []


def cut(folder: Path) -> None:
    (folder / "student.zip").write_bytes(b"zip")


def flip(folder: Path) -> None:
    data = bytearray((folder / "student.zip").read_bytes())
    data[500] ^= 1
    (folder / "student.zip").write_bytes(data)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (cut, "student.zip: damaged"),
        (flip, "student.zip: damaged"),
        (lambda folder: (folder / "student.zip").unlink(), "student.zip: missing"),
    ],
    ids=["cut", "one bit", "missing"],
)
def test_a_badly_copied_stick_is_found_before_it_is_used(pack: Path, spoil, said: str) -> None:
    spoil(pack)
    assert damaged(pack) == [said]
    done = subprocess.run([sys.executable, "-m", "teaching.stick", pack], capture_output=True, text=True)
    assert done.returncode == 1 and said in done.stdout and "Copy the pack anew" in done.stdout


def test_a_folder_that_is_no_pack_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no pack"):
        damaged(tmp_path)


def test_a_pack_comes_whole_out_of_a_fat32_image(pack: Path, tmp_path: Path) -> None:
    """Copied in and out as a stick is, with mtools: an image can't be mounted everywhere."""
    if not (shutil.which("mkfs.vfat") and shutil.which("mcopy")):
        pytest.skip("mkfs.vfat and mtools are not installed")
    image, back = tmp_path / "stick.img", tmp_path / "back"
    with image.open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    back.mkdir()
    language = os.environ | {"LC_ALL": "C.UTF-8"}
    for command in (
        ["mkfs.vfat", "-F", "32", image],
        ["mcopy", "-s", "-i", image, *pack.iterdir(), "::/"],
        ["mcopy", "-s", "-i", image, "::/*", back],
    ):
        subprocess.run(command, check=True, capture_output=True, env=language)
    assert damaged(back) == []
