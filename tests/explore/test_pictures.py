"""Pictures as a browser takes them."""

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from helpers.explore import pictures
from helpers.explore.pictures import thumbnail


def shown(root: Path, path: str) -> tuple[int, int, int]:
    with Image.open(io.BytesIO(thumbnail(root, path, 48))) as small:
        return small.convert("RGB").getpixel((5, 5))


def saved(path: Path, color: str, seconds: int) -> None:
    Image.new("RGB", (50, 50), color).save(path)
    os.utime(path, (seconds, seconds))  # two changes at once may get the same time


def test_a_thumbnail_follows_its_file_when_it_is_edited_goes_or_comes_back(tmp_path):
    """Else results show one picture, and details and search another one."""
    red, blue, grey = (254, 0, 0), (0, 0, 254), (208, 215, 223)
    saved(tmp_path / "a.png", "red", 1_000)
    assert shown(tmp_path, "a.png") == red
    saved(tmp_path / "a.png", "blue", 2_000)
    assert shown(tmp_path, "a.png") == blue
    (tmp_path / "a.png").rename(tmp_path / "b.png")
    assert (shown(tmp_path, "a.png"), shown(tmp_path, "b.png")) == (grey, blue)
    (tmp_path / "b.png").rename(tmp_path / "a.png")
    assert shown(tmp_path, "a.png") == blue
    (tmp_path / "a.png").write_text("no picture")
    assert shown(tmp_path, "a.png") == grey


def test_a_thumbnail_is_made_once_while_its_file_stays(tmp_path, monkeypatch: pytest.MonkeyPatch):
    saved(tmp_path / "a.png", "red", 1_000)
    once = thumbnail(tmp_path, "a.png", 48)
    monkeypatch.setattr(pictures, "picture_of", None)
    assert thumbnail(tmp_path, "a.png", 48) is once
