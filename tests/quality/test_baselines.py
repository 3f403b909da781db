"""Baselines without a network, and edits that make near duplicates."""

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageChops

from helpers.connect import local_client
from helpers.images import DATA, ImageError, load_folder, open_image
from helpers.ingest import ingest
from helpers.quality.baselines import BASELINES, ColorHistogram, MeanColor, PerceptualHash, RandomVectors
from helpers.quality.edits import EDITS
from helpers.search import search
from tests.facts import ASKED

FILES = sorted((DATA / "queries").glob("*.jpg"))[::4]
NAMES = [one.name for one in BASELINES]


@pytest.mark.parametrize("baseline", BASELINES, ids=NAMES)
def test_a_baseline_goes_through_ingest_and_search_like_a_network(baseline, tmp_path) -> None:
    with local_client(tmp_path) as client:
        folder = load_folder(DATA, part="queries")
        report = ingest(client, folder, extractor=baseline, collection="baseline")
        assert report.added == ASKED
        hit = search(client, FILES[3], extractor=baseline, collection="baseline")[0]
        assert (hit.path, hit.distance) == (f"queries/{FILES[3].name}", pytest.approx(1, abs=1e-5))


@pytest.mark.parametrize("baseline", BASELINES, ids=NAMES)
def test_a_baseline_gives_unit_vectors_in_order_and_the_same_every_time(baseline) -> None:
    vectors = baseline.embed(FILES)
    assert vectors.shape == (len(FILES), baseline.dim) and vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert np.array_equal(baseline.embed(reversed(FILES)), vectors[::-1])
    assert baseline.embed([]).shape == (0, baseline.dim)


@pytest.mark.parametrize("baseline", BASELINES, ids=NAMES)
def test_a_baseline_refuses_what_is_no_picture_and_takes_a_blank_one(baseline) -> None:
    with pytest.raises(ImageError, match="not a JPEG"):
        baseline.embed([b"no picture"])
    flat = [Image.new("RGB", (1, 1), color) for color in ("black", "white", "#7f7f7f")]
    assert np.isfinite(baseline.embed(flat)).all()


def test_the_perceptual_hash_is_the_one_of_the_package_imagehash() -> None:
    vectors = PerceptualHash().embed(FILES)
    theirs = np.array([imagehash.phash(Image.open(file)).hash.ravel() for file in FILES])
    assert np.array_equal(vectors > 0, theirs)
    hamming = (theirs[:1] != theirs).sum(1)
    assert np.allclose(vectors @ vectors[0], 1 - hamming / 32, atol=1e-6)


def test_mean_color_tells_bright_from_dark_and_red_from_blue() -> None:
    colors = ["#101010", "#f0f0f0", "#e01010", "#d02020", "#1010e0"]
    near = (vectors := MeanColor().embed([Image.new("RGB", (8, 8), color) for color in colors])) @ vectors.T
    assert near[0, 1] < 0.9
    assert near[2].argsort()[-2] == 3
    assert near[2, 4] < near[2, 3]


def test_the_color_histogram_knows_how_much_of_each_color_and_not_where() -> None:
    left = np.zeros((64, 64, 3), np.uint8)
    left[:, :16] = (255, 0, 0)
    vectors = ColorHistogram().embed([left, left[:, ::-1].copy(), left[::-1, ::-1].copy(), 255 - left])
    assert np.allclose(vectors[:3] @ vectors[0], 1)
    assert vectors[3] @ vectors[0] == 0
    assert np.sort(vectors[0] ** 2)[-2:] == pytest.approx([1 / 4, 3 / 4])  # a quarter is red


def test_random_vectors_know_nothing_of_the_picture_but_recognise_it() -> None:
    picture = open_image(FILES[0])
    changed = picture.copy()
    changed.putpixel((0, 0), (1, 2, 3))
    one, same, other = RandomVectors().embed([picture, picture.copy(), changed])
    assert one @ same == pytest.approx(1)
    assert abs(one @ other) < 0.5


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_always_the_same_and_leaves_the_original(name: str) -> None:
    original = open_image(FILES[0])
    before = original.tobytes()
    edited = EDITS[name](original)
    assert original.tobytes() == before
    assert edited.mode == "RGB"
    assert edited.tobytes() != before or edited.size != original.size
    assert EDITS[name](open_image(FILES[0])).tobytes() == edited.tobytes()


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (40, 900), (900, 40)])
def test_an_edit_takes_pictures_of_any_size(name: str, size: tuple[int, int]) -> None:
    edited = EDITS[name](Image.new("RGB", size, "teal"))
    assert min(edited.size) >= 1
    open_image(edited)


def test_each_edit_does_what_its_name_says() -> None:
    picture = Image.new("RGB", (100, 50), "red")
    picture.paste("blue", (0, 0, 50, 50))
    assert EDITS["flip"](picture).getpixel((0, 0)) == (255, 0, 0)
    assert EDITS["turn 90°"](picture).size == (50, 100)
    assert EDITS["crop a tenth"](picture).size == (80, 40)
    assert EDITS["crop to half"](picture).size == (50, 25)
    assert EDITS["rotate 15°"](picture).getpixel((0, 0)) == (255, 255, 255)
    shifted = EDITS["color shift"](picture).getpixel((99, 0))
    assert shifted[1] > 240 and max(shifted[0], shifted[2]) < 15  # red became green
    large = picture.resize((400, 200))
    captioned = EDITS["caption"](large)
    assert ImageChops.difference(captioned, large).getbbox() == (0, 160, 400, 200)
    assert captioned.crop((0, 160, 400, 200)).getextrema() == ((0, 255),) * 3  # white letters on black
    assert ImageChops.difference(EDITS["JPEG, quality 10"](picture), picture).getbbox()
