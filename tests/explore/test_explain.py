"""Why a picture was found: maps of where two pictures agree, true to the numbers that Memora gives."""

import numpy as np
import pytest
from PIL import Image

from helpers.explore.explain import agreement, overlay
from helpers.features.extractors import DinoV2Extractor
from helpers.features.weights import save_untrained_dinov2
from tests.explore.conftest import QUERY


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


def test_an_overlay_is_bright_where_pictures_agree():
    """And dark where the network did not look."""
    picture, values = Image.new("RGB", (100, 100), "white"), np.zeros((2, 2))
    values[0, 0] = 1
    drawn = np.asarray(overlay(picture, values, (0.1, 0.1, 0.9, 0.9)))
    assert drawn[20, 20].mean() > 200 > drawn[80, 80].mean()
    assert drawn[5, 5].mean() < 80
