"""The main job in one screen, as a user runs it: from anywhere, on any folder, ending in words and not in a trace."""

import base64
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from helpers import demo
from helpers.connect import local_client
from helpers.demo import main
from helpers.images import DATA, load_folder
from helpers.settings import ROOT
from tests.facts import ASKED, PICTURES

Run = Callable[..., subprocess.CompletedProcess]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("a home")


@pytest.fixture
def run(home: Path, tmp_path: Path) -> Run:
    """Return what runs the demo in a process of its own, from a folder that is not the kit's."""

    def run(*arguments: object) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "helpers.demo", *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "MEMORA_HOME": str(home), "PYTHONPATH": str(ROOT), "COLUMNS": "100"},
            capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip

    return run


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Return a user's folder: no metadata, a space and a non-ASCII letter in its path."""
    folder = tmp_path / "my pictures é"
    for kind in ("mug", "sailboat"):
        (folder / kind).mkdir(parents=True)
        for number in (1, 2, 3):
            shutil.copy(DATA / "images" / kind / f"{kind}_0{number}.jpg", folder / kind)
    return folder


STAGES = r"Took: connect \d+\.\d s, load the network \d+\.\d s, ingest \d+\.\d s, search \d+\.\d s, draw \d+\.\d s"


def test_from_nothing_to_ranked_hits_and_nothing_twice_the_next_time(run, home, tmp_path):
    first = run("--picture", tmp_path / "first.png")
    assert first.returncode == 0, first.stderr
    out = first.stdout
    assert "Memora: the local one" in out
    assert "Feature extractor: efficientnet-lite0, 1280 numbers" in out
    assert f"reverse_image_search: {PICTURES} added, 0 already there, 0 refused" in out
    queries = load_folder(DATA, part="queries")
    for path in queries.paths:
        block = out.split(f"\n{path}  ({queries.metadata[path]['category']})\n")[1].split("\n\n")[0].splitlines()
        assert len(block) == 5
        for rank, line in enumerate(block, start=1):
            sign, number, distance, category, found = line.split()
            assert number == f"{rank}."
            assert 0 < float(distance) < 1
            assert (DATA / found).is_file()
            assert found.split("/")[1] == category
            assert (sign == "✓") == (category == queries.metadata[path]["category"])
    right, shown = map(int, re.search(rf"{ASKED} queries; (\d+) of (\d+) hits have the query's category", out).groups())
    assert (right, shown) == (out.count("✓"), 5 * ASKED)
    assert right / shown > 0.9
    assert re.search(STAGES, out)
    with Image.open(tmp_path / "first.png") as picture:
        assert picture.width > 1000
        assert picture.height > 500

    second = run("--picture", tmp_path / "second.png")
    assert second.returncode == 0, second.stderr
    assert f"reverse_image_search: 0 added, {PICTURES} already there, 0 refused" in second.stdout
    hits = [text.split("0 refused\n")[1].split("Drawn: ")[0] for text in (out, second.stdout)]
    assert hits[0] == hits[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first.png", "second.png"]  # and nothing else
    with local_client(home) as client:
        assert client.collections.list()["data"] == ["reverse_image_search"]


def test_folders_of_ones_own_work_without_metadata_and_do_not_mix(run, own, tmp_path):
    query = DATA / "images" / "mug" / "mug_04.jpg"
    done = run("--images", own, "--queries", query, "--limit", 3, "--picture", tmp_path / "hits.png")
    assert done.returncode == 0, done.stderr
    mine, added = re.search(r"(my_images_[0-9a-f]{8}): (\d+) added, 0 already there, 0 refused", done.stdout).groups()
    assert added == "6"
    hits = done.stdout.split(f"\n{query}\n")[1].split("\n\n")[0].splitlines()
    assert [line.split()[0] for line in hits] == ["1.", "2.", "3."]
    assert all(line.split()[-1].startswith("mug/") for line in hits)
    assert "✗" not in done.stdout  # nobody knows what is right here
    with Image.open(tmp_path / "hits.png") as picture:
        assert picture.width > 300

    # the same folder under another name, then another folder
    again = run("--images", f"./{own.name}/../{own.name}", "--queries", query, "--picture", tmp_path / "x.png")
    assert f"{mine}: 0 added, 6 already there" in again.stdout
    shutil.copytree(DATA / "images" / "apple", tmp_path / "other")
    other = run("--images", "other", "--queries", query, "--limit", 50, "--picture", tmp_path / "x.png").stdout
    assert re.search(r"(my_images_\w+): 14 added", other)[1] != mine
    assert len(re.findall(r"^ +\d+\. .* apple_\d\d\.jpg$", other, re.MULTILINE)) == 14
    assert "mug_01.jpg" not in other


def test_a_folder_without_pictures_is_told_in_a_sentence(run, tmp_path):
    empty = tmp_path / "empty one"
    empty.mkdir()
    done = run("--images", empty)
    assert done.returncode == 1
    assert done.stderr == (
        f"python -m helpers.demo: There is no picture in {empty}: JPEG, PNG, WebP, AVIF, BMP, TIFF or GIF.\n"
    )


@pytest.fixture
def refused(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., str]:
    """Return what runs the demo in this process, expects it to fail, and returns the one sentence it said."""
    monkeypatch.setenv("MEMORA_HOME", str(home))

    def refused(*arguments: object) -> str:
        with pytest.raises(SystemExit) as caught:
            main([*map(str, arguments)])
        assert caught.value.code == 1
        said = capsys.readouterr().err
        assert said.startswith("python -m helpers.demo: ")
        assert said.count("\n") == 1
        return said.removeprefix("python -m helpers.demo: ").strip()

    return refused


def test_a_folder_that_is_not_there_is_told_in_a_sentence(refused, tmp_path):
    assert f"{tmp_path / 'nowhere'} is not a folder" in refused("--images", tmp_path / "nowhere")


def test_a_missing_query_is_told_in_a_sentence_before_anything_is_ingested(refused, own, monkeypatch):
    monkeypatch.setattr(demo, "ingest", lambda *_, **__: pytest.fail("ingested first"))
    said = refused("--images", own, "--queries", DATA / "queries" / "mug_1.jpg", "missing.jpg")
    assert said == "missing.jpg: can't be read (No such file or directory)"


def test_queries_are_held_as_paths_not_as_pictures(tmp_path, monkeypatch):
    """Each photograph of a telephone would else take 36 MB until the end; one that is fetched is held small."""
    names = [str(tmp_path / f"{number}.png") for number in range(3)]
    for name in names:
        Image.new("RGB", (3000, 2000)).save(name)
    assert demo._queries(names) == [(name, name, "") for name in names]
    picture = Path(names[0]).read_bytes()
    ((_, kept, _),) = demo._queries(["data:image/png;base64," + base64.b64encode(picture).decode()])
    assert max(kept.size) == 1024


def test_a_query_that_is_no_picture_is_told_in_a_sentence(refused, tmp_path):
    (tmp_path / "letter.jpg").write_text("Dear Anna")
    assert "letter.jpg: not a JPEG" in refused("--queries", tmp_path / "letter.jpg")
    assert "only http://" in refused("--queries", "ftp://127.0.0.1/a.jpg")


def test_metadata_that_does_not_agree_with_the_files_is_told_in_a_sentence(refused, own):
    (own / "metadata.csv").write_text("file,kind\nmug/mug_01.jpg,mug\n")
    assert "5 pictures have no row in metadata.csv" in refused("--images", own)


def test_a_limit_that_finds_nothing_is_told_in_a_sentence(refused, own):
    assert "limit" in refused("--images", own, "--limit", 0)


def test_a_picture_that_cannot_be_written_is_told_in_a_sentence(refused, own, tmp_path):
    query = DATA / "queries" / "mug_1.jpg"
    assert "nowhere" in refused("--images", own, "--queries", query, "--picture", tmp_path / "nowhere" / "x.png")


def test_an_unknown_extractor_in_the_environment_is_told_in_a_sentence(refused, monkeypatch):
    monkeypatch.setenv("MEMORA_EXTRACTOR", "resnet")
    assert "There is no extractor 'resnet'" in refused()


def test_half_set_hosted_variables_are_told_in_a_sentence_without_the_key(refused, monkeypatch):
    monkeypatch.setenv("MEMORA_API_KEY", "secret-key")
    said = refused()
    assert "MEMORA_API_KEY" in said
    assert "MEMORA_PROJECT_ID and MEMORA_URL" in said
    assert "secret-key" not in said
