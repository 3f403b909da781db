"""Names -> vectors: the right name in the right place, and pictures found by it."""

import numpy as np
import pytest

from helpers.connect import COLLECTION
from helpers.features import load_extractor, load_words
from helpers.features.words import Words
from helpers.images import load_categories, load_folder
from helpers.nearest import rank
from helpers.quality.baselines import MeanColor
from helpers.search import as_matrix

CLASSES = {kind: names for kind, names in load_categories().items() if names}  # kinds that ImageNet has a name for


@pytest.fixture(scope="module")
def words(extractor) -> Words:
    return load_words(extractor)


@pytest.fixture(scope="module")
def stored(kit) -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors of the kit's collection, and their kinds."""
    rows = kit.vectors.query(collection_name=COLLECTION, filter="id >= 0", output_fields=["category", "vector"])["data"]
    return as_matrix(rows), np.array([row["category"] for row in rows])


def precision_at_5(words: Words, vectors: np.ndarray, kinds: np.ndarray) -> float:
    asked = np.array([kind for kind in CLASSES if kind in kinds])
    queries = np.concatenate([words.embed(*CLASSES[kind]) for kind in asked])
    return float((kinds[rank(queries, vectors)[:, :5]] == asked[:, None]).mean())


def test_a_word_finds_pictures_of_the_thing(words, stored):
    assert precision_at_5(words, *stored) >= 0.93  # measured: 0.98


def test_with_the_names_shuffled_words_find_nothing(words, stored):
    """A control: the right vector must stand at the right name."""
    order = np.random.default_rng(0).permutation(len(words.names))
    assert precision_at_5(Words([words.names[i] for i in order], words.vectors), *stored) < 0.15


def test_the_name_nearest_to_a_picture_is_mostly_that_of_its_kind(words, stored):
    vectors, kinds = stored
    named = np.isin(kinds, list(CLASSES))
    nearest = rank(vectors[named], words.vectors)[:, 0]
    right = [words.names[i] in CLASSES[kind] for i, kind in zip(nearest, kinds[named], strict=True)]
    assert np.mean(right) > 0.75  # measured: 0.83


def test_words_of_the_larger_network_find_pictures_too():
    extractor, folder = load_extractor("efficientnet-lite2"), load_folder()
    some = list(CLASSES)[::3]
    paths = [path for path, about in folder.metadata.items() if about["category"] in some][::2]
    kinds = np.array([folder.metadata[path]["category"] for path in paths])
    words = load_words(extractor)
    assert words.vectors.shape == (1000, extractor.dim)
    assert precision_at_5(words, extractor.embed(folder.root / path for path in paths), kinds) >= 0.93


def test_there_are_a_thousand_different_names_each_with_a_unit_vector(words, extractor):
    assert len(words.names) == len(set(words.names)) == 1000
    assert {name for names in CLASSES.values() for name in names} <= set(words.names)
    assert words.vectors.shape == (1000, extractor.dim)
    assert words.vectors.dtype == np.float32
    assert np.abs(np.linalg.norm(words.vectors, axis=1) - 1).max() < 1e-5


def test_a_name_is_found_by_a_part_of_it_in_any_case_and_if_misspelled(words):
    assert words.find("mug") == ["coffee mug"]
    assert words.find("GUITAR") == ["acoustic guitar", "electric guitar"]
    assert words.find("guitr") == ["acoustic guitar", "electric guitar"]
    assert words.find("umbrela") == ["umbrella"]
    assert words.find("xyzzy") == []


def test_a_name_is_its_own_vector_and_several_are_their_mean(words):
    mug, pot = (words.vectors[words.names.index(name)] for name in ("coffee mug", "teapot"))
    assert words.embed("coffee mug").shape == (1, len(mug))
    assert words.embed("coffee mug").dtype == np.float32
    assert np.allclose(words.embed("coffee mug")[0], mug, atol=1e-6)
    both = words.embed("coffee mug", "teapot")[0]
    assert np.linalg.norm(both) == pytest.approx(1, abs=1e-5)
    assert both @ mug == pytest.approx(both @ pot, abs=1e-5)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["mug"], "called 'mug': did you mean 'coffee mug'"),
        (["coffee mug", "Teapot"], "called 'Teapot': did you mean 'teapot'"),
        (["xyzzy"], "called 'xyzzy': the network has no word for it"),
        ([], "at least one name"),
    ],
)
def test_a_name_that_is_none_is_refused_with_what_was_meant(words, names, message):
    with pytest.raises(ValueError, match=message):
        words.embed(*names)


def test_an_extractor_without_a_classifier_says_so_and_which_has_one(tiny):
    for extractor in (MeanColor(), load_extractor(str(tiny))):
        with pytest.raises(ValueError, match=rf"{extractor.name} has no classifier.*'efficientnet-lite0'"):
            load_words(extractor)
