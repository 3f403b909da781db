"""DINOv2's and CLIP's weights: whether they are on this machine, how to fetch them, what to look at without them."""

import contextlib
import json
import os
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import httpx

from helpers.connect import memora_home
from helpers.features.faster import import_torch
from helpers.settings import setting

HUB_SECONDS = 5.0


class HubModel(NamedTuple):
    """A model of the hub: its repository, the files that it needs, and the setting that names a folder instead."""

    repository: str
    files: tuple[str, ...]
    setting: str


CONFIGS = ("config.json", "preprocessor_config.json")
HUB = {
    "dinov2-small": HubModel("facebook/dinov2-small", (*CONFIGS, "model.safetensors"), "MEMORA_EXTRACTOR"),
    "clip": HubModel(
        "openai/clip-vit-base-patch32",
        (*CONFIGS, "tokenizer_config.json", "tokenizer.json", "pytorch_model.bin"),
        "MEMORA_CLIP",
    ),
}
NETWORKS = ("efficientnet-lite0", "efficientnet-lite2", *HUB)  # that have a name; others are a folder


class ModelUnavailableError(RuntimeError):
    """A model's weights are not on this machine, and can't be fetched now; the message says what to do."""


def import_transformers() -> ModuleType:
    """Import transformers without progress bars for reading and writing weights; fetching them keeps its bar."""
    import_torch()  # with its settings, before transformers imports it
    import transformers

    transformers.logging.disable_progress_bar()
    return transformers


def model_folder(name: str) -> str:
    """Return the absolute path of a model's folder.

    Raises
    ------
    ValueError
        There is no such folder, or it has no model in it.
    """
    folder = Path(name).expanduser().absolute()
    if not folder.is_dir():
        names = ", ".join(map(repr, NETWORKS))
        raise ValueError(f"There is no extractor {name!r}: choose {names}, or the folder of a DINOv2 or CLIP model.")
    files = {path.name for path in folder.iterdir()}
    if "processor_config.json" in files:  # where transformers 5 saves it together with a tokenizer
        files.add("preprocessor_config.json")
    if missing := [file for file in CONFIGS if file not in files]:
        raise ValueError(f"The folder {name!r} holds no model: it has no {' and no '.join(missing)}.")
    return str(folder)


def is_clip(folder: str | os.PathLike) -> bool:
    """Return whether the model in a folder is a CLIP."""
    return json.loads(Path(folder, "config.json").read_text(encoding="utf-8")).get("model_type") == "clip"


def dinov2_on_this_machine() -> bool:
    """Return whether all files of DINOv2 are in the hub's cache on this machine."""
    return bool(_cached("dinov2-small"))


def clip_on_this_machine() -> bool:
    """Return whether MEMORA_CLIP names a folder, or all files of CLIP are in the hub's cache on this machine."""
    return bool(setting(HUB["clip"].setting) or _cached("clip"))


def _cached(name: str) -> str:
    from huggingface_hub import try_to_load_from_cache  # the one look-up that never calls the hub

    model = HUB[name]
    files = [try_to_load_from_cache(model.repository, file) for file in model.files]  # not a text: not there
    folders = [Path(file).parent for file in files if isinstance(file, str)]
    return str(folders[0]) if len(folders) == len(files) else ""


def fetch(name: str) -> str:
    """Return the folder of a model's files; fetch them, with a progress bar, if they are missing.

    Parameters
    ----------
    name : {"dinov2-small", "clip"}
        88 MB, and several hundred MB.

    Raises
    ------
    ModelUnavailableError
        The hub did not answer within 5 seconds, or failed midway; the message says what to do instead.
    """
    from huggingface_hub import constants, hf_hub_download

    if folder := _cached(name):
        return folder
    repository, needed, variable = HUB[name]
    instead = (
        "Go on with load_extractor('efficientnet-lite0'), which needs no download; or, from a machine that has the "
        f"files ({', '.join(needed)}), copy their folder here and set {variable} to its path."
    )
    if constants.HF_HUB_OFFLINE:
        raise ModelUnavailableError(
            f"{repository} is not on this machine, and HF_HUB_OFFLINE forbids fetching. {instead}"
        )
    try:
        # The hub's own client tries for half a minute: first ask once, with a short limit.
        url = f"{constants.ENDPOINT}/{repository}/resolve/main/config.json"
        httpx.head(url, timeout=HUB_SECONDS, follow_redirects=True).raise_for_status()
    except httpx.HTTPError as error:
        why = f"the model hub can't be reached ({error or type(error).__name__})"
        raise ModelUnavailableError(f"{repository} is not on this machine, and {why}. {instead}") from None
    try:
        for file in needed:  # not snapshot_download, which waits without end for a hub that falls silent
            hf_hub_download(repository, file, etag_timeout=HUB_SECONDS)
    except Exception as error:  # the hub's client raises the errors of several libraries
        why = str(error).partition("\n")[0]
        raise ModelUnavailableError(f"{repository} could not be fetched ({why}). Try again. {instead}") from error
    return _cached(name)


def dinov2_to_look_at() -> tuple[str, bool]:
    """Return a folder from which `AutoModel.from_pretrained` works offline, and whether its weights are trained.

    A model's folder that MEMORA_EXTRACTOR names comes first. If DINOv2's weights are not on this machine, the same
    architecture is saved untrained: its shapes and its speed are real, its numbers mean nothing.
    """
    import_transformers()
    named = setting("MEMORA_EXTRACTOR")
    if named and named not in NETWORKS and not is_clip(folder_named := model_folder(named)):
        return folder_named, True
    if cached := _cached("dinov2-small"):
        return cached, True
    folder = memora_home() / "untrained-dinov2-small"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as parent:
            whole = Path(parent, folder.name)
            save_untrained_dinov2(whole)
            with contextlib.suppress(OSError):  # another notebook was faster
                whole.rename(folder)
    return str(folder), False


def save_untrained_dinov2(folder: Path, **changes: Any) -> None:
    """Save DINOv2-small's architecture with random weights (seed 0), and its image processor.

    Parameters
    ----------
    folder : Path
        Where to.
    **changes
        Settings of `transformers.Dinov2Config` to change, to get a smaller one.
    """
    torch, transformers = import_torch(), import_transformers()
    # Settings as in the model's own config.json and preprocessor_config.json on the hub.
    settings = {"hidden_size": 384, "num_attention_heads": 6, "image_size": 518, "patch_size": 14} | changes
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.Dinov2Model(transformers.Dinov2Config(**settings))
    model.save_pretrained(folder)
    transformers.BitImageProcessorPil(
        size={"shortest_edge": 256},
        crop_size={"height": 224, "width": 224},
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
        resample=3,
    ).save_pretrained(folder)
