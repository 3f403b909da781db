"""From JPEG files to vectors: the kit's extractors beside the plain loop that tutorials show."""

import functools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.measure import Table, Work, beside, in_turn, installed, isolated, latencies, medians, target
from helpers.features import DinoV2Extractor, FeatureExtractor, load_extractor
from helpers.features.extractors import EFFICIENTNETS
from helpers.features.faster import import_torch
from helpers.images import load_folder

PICTURES = {"efficientnet-lite0": 96, "efficientnet-lite2": 48, "dinov2-small": 24}  # to embed, of ours
CAMERA = (4000, 3000)  # pixels of a telephone's picture
OURS = "ours, float32 (default)"
BUDGET = 30.0  # seconds for each network, and for camera pictures
WAYS: dict[str, dict[str, str]] = {  # name: options of the kit's extractor
    OURS: {},
    'ours, precision="auto"': {"precision": "auto"},
    'ours, backend="openvino"': {"backend": "openvino"},
    "ours, openvino and auto": {"backend": "openvino", "precision": "auto"},
}
PROMISES: dict[str, dict[str, float]] = {  # network: (way, times as fast as the plain loop)
    "efficientnet-lite0": {"ours, float32 (default)": 1.8, 'ours, precision="auto"': 4.5},
    "efficientnet-lite2": {},
    "dinov2-small": {"ours, float32 (default)": 1.2, 'ours, precision="auto"': 2.0},
}


def tables(repeats: int, before: Path | None = None) -> list[Table]:
    """Measure each network, and large pictures."""
    ways = {way: options for way, options in WAYS.items() if "backend" not in options or installed("openvino")}
    rows: list[dict[str, Any]] = []
    targets = []
    for network in PICTURES:
        first = len(rows)
        for way in ["the plain loop", *ways]:  # each alone, for its memory; in turn, for its speed, below
            peak = isolated(_peak_of, network, way)[1]
            rows.append({"network": network, "way": way, "images/s": 0.0, "peak MB": peak})
        measured, _ = isolated(_speeds, network, list(ways), repeats)
        for row in rows[first:]:
            row |= measured[row["way"]]
        for way, promise in PROMISES[network].items():
            gain, cosine = measured[way]["times"], measured[way]["least cosine"]
            targets.append(
                target(
                    f"{network}, {way}: at least {promise} times the plain loop, cosine at least 0.999",
                    gain >= promise and cosine >= 0.999,
                    f"{gain:.2f} times, {cosine:.4f}",
                )
            )
    order = ["network", "way", "images/s", "times", "one picture, ms", "least cosine", "peak MB"]
    device, _ = isolated(_device)
    from helpers.features.weights import dinov2_on_this_machine

    trained = "" if dinov2_on_this_machine() else " DINOv2 is untrained here: its size and speed are the real ones."
    note = (
        "From the kit's JPEG files (320 x 320) to unit vectors. The plain loop: one picture a call, float32, PyTorch "
        "as it comes, in turn with ours. Times: as fast as the plain loop. Least cosine: to its vectors." + trained
    )
    large = _large(repeats, before)
    return [
        Table("features", "Features", note, [{key: row[key] for key in order} for row in rows], targets),
        _on_a_gpu(device, rows),
        Table(
            "large_pictures",
            f"Features of camera pictures ({CAMERA[0]} x {CAMERA[1]} JPEG)",
            "EfficientNet-Lite0, float32. Ours has the JPEG decoder shrink while it decodes.",
            large,
        ),
    ]


def _on_a_gpu(device: str, rows: list[dict[str, Any]]) -> Table:
    """Pick the rows of what ran on a GPU, with fewer bits too; without a GPU one row says that nothing was tried."""
    columns = ["network", "way", "images/s", "least cosine"]
    on_torch = [row for row in rows if row["way"].startswith("ours") and "openvino" not in row["way"]]
    tried = [{key: row[key] for key in columns} for row in on_torch if device != "cpu"]
    none = dict.fromkeys(columns) | {"way": "not tried: PyTorch finds no GPU here (CUDA or MPS)"}
    note = (
        'The kit takes a GPU by itself. precision="auto" computes with 16 bits there where that is faster and each '
        "vector keeps a cosine of 0.999 to its form in float32; the plain loop stays on the processor."
    )
    return Table("gpu", f"Features on a GPU: {'none' if device == 'cpu' else device}", note, tried or [none])


def _files(network: str) -> list[Path]:
    folder = load_folder()
    count = PICTURES[network]
    return [folder.root / path for path in folder.paths[:: len(folder.paths) // count][:count]]


def _dinov2() -> str:
    """Return a folder with DINOv2: the real one where it is at hand, else an untrained one of the same size."""
    from helpers.features.weights import dinov2_on_this_machine, fetch, save_untrained_dinov2  # an old kit lacks some

    if dinov2_on_this_machine():
        return fetch("dinov2-small")
    folder = Path(tempfile.gettempdir()) / "memora-bench-untrained-dinov2"
    if not (folder / "preprocessor_config.json").is_file():
        save_untrained_dinov2(folder)
    return str(folder)


def _ours(network: str, way: str) -> FeatureExtractor:
    if network == "dinov2-small":
        return DinoV2Extractor(_dinov2(), **WAYS[way])
    return load_extractor(network, **WAYS[way])


def plain_loop(network: str, at_once: int = 1) -> Callable[[list[Path]], np.ndarray]:
    """Return the loop that tutorials show: one picture a call, or so many."""
    torch = import_torch()  # with the same settings as ours: both run in one process
    if network == "dinov2-small":
        from transformers import AutoImageProcessor, AutoModel

        processor = AutoImageProcessor.from_pretrained(_dinov2())
        transformer = AutoModel.from_pretrained(_dinov2()).eval()

        def together(pictures: list[Image.Image]) -> Any:
            return transformer(**processor(images=pictures, return_tensors="pt")).last_hidden_state[:, 0]
    else:
        from efficientnet_lite_pytorch import EfficientNet

        kind = EFFICIENTNETS[network]
        model = EfficientNet.from_name(network)
        model.load_state_dict(torch.load(kind.weights(), weights_only=True))
        model.eval()
        whole, margin = kind.side * 8 // 7, kind.side // 14

        def together(pictures: list[Image.Image]) -> Any:
            squeezed = [picture.resize((whole, whole), Image.Resampling.BICUBIC) for picture in pictures]
            pixels = np.stack([np.asarray(picture, np.float32) for picture in squeezed])
            pixels = pixels[:, margin : margin + kind.side, margin : margin + kind.side]
            inputs = torch.from_numpy((pixels - 127) / 128).permute(0, 3, 1, 2).contiguous()
            return model.extract_features(inputs).mean((2, 3))

    def loop(files: list[Path]) -> np.ndarray:
        parts = []
        with torch.no_grad():
            for start in range(0, len(files), at_once):
                pictures = [Image.open(file).convert("RGB") for file in files[start : start + at_once]]
                vectors = together(pictures).numpy()
                parts.append(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
        return np.concatenate(parts)

    return loop


def _device() -> str:
    return vars(_ours("efficientnet-lite0", OURS))["device"].type


def _peak_of(network: str, way: str) -> None:
    embed = plain_loop(network) if way == "the plain loop" else _ours(network, way).embed
    embed(_files(network))


def _speeds(network: str, ways: list[str], repeats: int) -> dict[str, dict[str, float]]:
    files = _files(network)
    embeds = {"the plain loop": plain_loop(network)} | {way: _ours(network, way).embed for way in ways}
    vectors = {way: embed(files) for way, embed in embeds.items()}
    seconds = medians({way: functools.partial(embed, files) for way, embed in embeds.items()}, repeats, BUDGET)
    return {
        way: {
            "images/s": len(files) / seconds[way],
            "times": seconds["the plain loop"] / seconds[way],
            "one picture, ms": _one_by_one(embed, files[:8], repeats),
            "least cosine": float((vectors[way] * vectors["the plain loop"]).sum(axis=1).min()),
        }
        for way, embed in embeds.items()
    }


def _one_by_one(embed: Callable[[list[Path]], np.ndarray], files: list[Path], repeats: int) -> float:
    return latencies(lambda file: embed([file]), files, repeats)[0]


def _large(repeats: int, before: Path | None) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, file in enumerate(_files("efficientnet-lite0")[::12]):
            files.append(Path(folder, f"{number}.jpg"))
            Image.open(file).convert("RGB").resize(CAMERA).save(files[-1], quality=90)
        works = {"the plain loop": Work(_speed, (None, files)), "ours": Work(_speed, (OURS, files * 3))}
        measured = in_turn(beside(works, "ours", before), repeats, BUDGET)
    return [{"way": way, "images/s": row["images/s"]} for way, row in measured.items()]


def _speed(way: str | None, files: list[Path]) -> dict[str, float]:
    """Return how many pictures a second Lite0 takes, after some to warm up with."""
    embed = _ours("efficientnet-lite0", way).embed if way else plain_loop("efficientnet-lite0")
    embed(files[:2])
    start = time.perf_counter()
    embed(files)
    return {"images/s": len(files) / (time.perf_counter() - start)}
