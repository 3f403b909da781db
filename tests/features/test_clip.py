"""CLIP: pictures and sentences as transformers' own calls give them, in one collection beside another network."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.features import ClipExtractor, clip_on_this_machine, dinov2_to_look_at, extractors, load_extractor
from helpers.features.faster import import_torch
from helpers.features.weights import HUB, ModelUnavailableError
from helpers.images import DATA, load_folder
from helpers.memora.models import Collection, ElementTypeParams, Field, Ranker, Schema, Search
from helpers.settings import ROOT
from tests.features.models import put_into, save_untrained_clip

torch = import_torch()
FILES = [DATA / path for path in load_folder().paths[::68]]
SENTENCES = ["a photo of a coffee mug", "Two mugs on a wooden table.", "ein Kaktus", "mug"]


def by_the_book(folder: Path, files: list[Path], texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the two networks' vectors as transformers' own documentation gets them, one at a time, of unit length.

    Source: https://huggingface.co/docs/transformers/model_doc/clip
    """
    from transformers import CLIPModel, CLIPProcessor

    model, processor = CLIPModel.from_pretrained(folder), CLIPProcessor.from_pretrained(folder)
    rows: list[np.ndarray] = []
    for file, text in zip(files, texts, strict=True):
        with torch.no_grad(), Image.open(file) as picture:
            output = model(**processor(text=[text], images=picture.convert("RGB"), return_tensors="pt"))
        rows.append(np.stack([output.image_embeds[0].numpy(), output.text_embeds[0].numpy()]))
    pictures, sentences = np.stack(rows, axis=1)
    return pictures, sentences


def test_pictures_and_sentences_get_the_vectors_of_transformers_own_calls(tiny_clip):
    clip = load_extractor(str(tiny_clip))
    assert isinstance(clip, ClipExtractor)
    assert (clip.name, clip.dim) == ("tiny-clip", 16)
    pictures, sentences = by_the_book(tiny_clip, FILES[:4], SENTENCES)
    assert np.abs(clip.embed(FILES[:4]) - pictures).max() < 1e-5
    together = clip.embed_text(SENTENCES)  # of several lengths: the padding must not count
    assert together.dtype == np.float32
    assert np.abs(together - sentences).max() < 1e-5
    assert clip.embed_text([]).shape == (0, 16)


def test_a_sentence_that_is_too_long_is_cut_and_a_single_one_refused(tiny_clip):
    clip = load_extractor(str(tiny_clip))
    endless = "mug " * 500
    assert np.abs(clip.embed_text([endless]) - clip.embed_text([endless + "cactus"])).max() < 1e-6
    with pytest.raises(TypeError, match=r"embed_text\(\[text\]\)"):
        clip.embed_text("mug")


def test_each_place_of_a_picture_lies_in_the_space_of_the_vectors(tiny_clip):
    """A network that pools all places: with one layer less to mix them, the way of a patch is that of the CLS token."""
    clip = ClipExtractor(tiny_clip)
    seen = clip.feature_map(Image.new("RGB", (448, 224), "red"))
    assert seen.features.shape == (7, 7, clip.dim)
    assert seen.box == pytest.approx((0.25, 0, 0.75, 1))
    vision = clip.model.vision_model
    vision.post_layernorm.forward = lambda tokens: torch.ones_like(tokens)
    patch = clip.feature_map(FILES[0]).features[3, 3]
    assert patch @ clip.embed(FILES[:1])[0] == pytest.approx(np.linalg.norm(patch), rel=1e-5)


def test_other_precision_and_openvino_change_no_sentence(tiny_clip, capsys):
    exact = load_extractor(str(tiny_clip))
    ways = [{"precision": "auto"}]
    if subprocess.run([sys.executable, "-c", "import openvino"], capture_output=True).returncode == 0:
        ways.append({"backend": "openvino"})
    for way in ways:
        other = load_extractor(str(tiny_clip), **way)
        assert np.abs(other.embed_text(SENTENCES) - exact.embed_text(SENTENCES)).max() < 1e-5
        assert (other.embed(FILES) * exact.embed(FILES)).sum(axis=1).min() > 0.999


def test_clip_is_never_taken_or_fetched_unless_it_is_named(hub_cache, tiny_clip, no_network, monkeypatch):
    assert not clip_on_this_machine()
    put_into(hub_cache, tiny_clip, name="clip")
    assert clip_on_this_machine()
    assert load_extractor().name == "efficientnet-lite0"
    clip = load_extractor("clip")
    assert (clip.name, clip.embed(FILES[:1]).shape, clip.embed_text(["a mug"]).shape) == ("clip", (1, 16), (1, 16))
    monkeypatch.setenv("MEMORA_EXTRACTOR", str(tiny_clip))
    assert load_extractor() is load_extractor(str(tiny_clip))
    assert dinov2_to_look_at()[1] is False  # lesson 2 looks at a DINOv2, whatever else is set


def test_the_setting_for_clip_names_any_folder_with_one(hub_cache, tiny, tiny_clip, no_network, monkeypatch):
    monkeypatch.setenv("MEMORA_CLIP", str(tiny_clip))
    assert clip_on_this_machine()
    assert load_extractor("clip") is load_extractor(str(tiny_clip))
    assert load_extractor().name == "efficientnet-lite0"
    monkeypatch.setenv("MEMORA_CLIP", str(tiny))
    with pytest.raises(ValueError, match=r"MEMORA_CLIP is .*tiny-dinov2.* not a CLIP"):
        load_extractor("clip")
    monkeypatch.setenv("MEMORA_CLIP", "nowhere")
    with pytest.raises(ValueError, match="no extractor 'nowhere'"):
        load_extractor("clip")


def test_clip_asked_for_by_name_is_fetched_once(hub, tiny_clip):
    hub.model, hub.folder = HUB["clip"], tiny_clip
    assert load_extractor("clip").dim == 16
    assert sorted(hub.fetched) == sorted(HUB["clip"].files)
    extractors._load.cache_clear()
    assert load_extractor("clip").embed_text(["a mug"]).shape == (1, 16)
    assert len(hub.fetched) == len(HUB["clip"].files)


def test_clip_that_can_t_be_fetched_says_which_files_and_setting(hub, tiny_clip):
    hub.model, hub.folder, hub.broken = HUB["clip"], tiny_clip, "pytorch_model.bin"
    with pytest.raises(ModelUnavailableError, match=r"clip-vit-base-patch32 could not .*tokenizer\.json.*MEMORA_CLIP"):
        load_extractor("clip")
    assert not clip_on_this_machine()


def test_a_clip_without_its_tokenizer_is_refused(tiny_clip, tmp_path, no_network):
    """transformers makes an empty one, for which all sentences are alike."""
    for file in ("config.json", "preprocessor_config.json", "pytorch_model.bin"):
        (tmp_path / file).write_bytes((tiny_clip / file).read_bytes())
    with pytest.raises(ValueError, match="has no tokenizer"):
        load_extractor(str(tmp_path))


def test_a_clip_saved_by_transformers_itself_can_be_loaded(tiny_clip, tmp_path):
    """It writes processor_config.json and model.safetensors; the hub's repository has files of other names."""
    from transformers import CLIPModel, CLIPProcessor

    CLIPModel.from_pretrained(tiny_clip).save_pretrained(tmp_path)
    CLIPProcessor.from_pretrained(tiny_clip).save_pretrained(tmp_path)
    ours, theirs = load_extractor(str(tmp_path)), load_extractor(str(tiny_clip))
    assert np.abs(ours.embed(FILES[:2]) - theirs.embed(FILES[:2])).max() < 1e-6
    assert np.abs(ours.embed_text(SENTENCES) - theirs.embed_text(SENTENCES)).max() < 1e-6


def test_two_networks_share_a_collection_and_are_searched_together(client, extractor, tiny_clip):
    clip = load_extractor(str(tiny_clip))
    fields = [Field("id", "Int64", is_primary=True)]
    for name, network in (("vector", extractor), ("clip", clip)):
        fields.append(Field(name, "FloatVector", element_type_params=ElementTypeParams(dim=network.dim)))
    client.collections.create(collection=Collection("both", schema=Schema(fields)))
    vectors, others = extractor.embed(FILES), clip.embed(FILES)
    rows = [{"id": i, "vector": vectors[i], "clip": others[i]} for i in range(len(FILES))]
    client.vectors.insert(collection_name="both", data=rows)
    text = clip.embed_text(["a photo of a coffee mug"])[0]
    found = client.vectors.search(collection_name="both", data=text, anns_field="clip", limit=3)["data"]
    assert [hit["id"] for hit in found] == np.argsort(-others @ text)[:3].tolist()
    searches = [Search(vectors[2], "vector", limit=7), Search(text, "clip", limit=7)]
    ranker = Ranker("weighted", {"weights": [0.5, 1.0]})
    merged = client.vectors.hybrid_search(collection_name="both", search=searches, rerank=ranker)["data"]
    assert [hit["id"] for hit in merged] == np.argsort(-(0.5 * vectors @ vectors[2] + others @ text)).tolist()


def test_clip_in_its_full_size_has_the_real_shapes(tmp_path):
    save_untrained_clip(tmp_path)
    clip = ClipExtractor(tmp_path)
    parameters = sum(p.numel() for name, p in clip.model.named_parameters() if "token_embedding" not in name)
    assert parameters == pytest.approx(151.3e6 - 49_408 * 512, rel=0.01)  # ViT-B/32's own number
    pictures, sentences = by_the_book(tmp_path, FILES[:2], SENTENCES[:2])
    assert pictures.shape == (2, 512)
    assert np.abs(clip.embed(FILES[:2]) - pictures).max() < 1e-5
    assert np.abs(clip.embed_text(SENTENCES[:2]) - sentences).max() < 1e-5
    assert clip.feature_map(FILES[0]).features.shape == (7, 7, 512)


def test_make_models_refuses_a_model_that_it_can_t_fetch():
    words = [sys.executable, "-m", "helpers.features", "cliip"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "There is no model 'cliip' to fetch: choose one of dinov2-small, clip.\n"
