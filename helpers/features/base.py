"""What a feature extractor is, and the half that all of them share: pictures in batches, each batch in a thread."""

import contextlib
import copy
import functools
import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from PIL import Image
from threadpoolctl import ThreadpoolController  # comes with scikit-learn

from helpers.features.faster import Network, faster, import_torch, openvino_network
from helpers.images import DATA, Source, open_image


class FeatureExtractor(Protocol):
    """Turns pictures into vectors.

    Attributes
    ----------
    name : str
        Which network, and how it was asked: only vectors of the same name can be compared.
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


class NetworkExtractor:
    """Shares batches of pictures out among threads, which decode them and run a network, in the precision asked for.

    A subclass loads its model, calls `_set_up`, and says how a picture becomes the network's input and its output a
    vector: `_prepare`, `_pixels`, `_features`, `_to_bfloat16`, `_map`.
    """

    name: str
    dim: int
    model: Any
    batch_size = 8  # on two cores as fast as 16, with half the memory
    large_layers = False  # whether all cores together are quicker with one picture than one of them
    _alone: Callable[[], AbstractContextManager]  # surrounds the network in each of several threads,
    _by_itself: Callable[[], AbstractContextManager]  # and where there is one batch only

    def _set_up(self, model: Any, precision: str, backend: str) -> None:
        """Take the model to a GPU where there is one, and make the network as fast as asked for."""
        torch = import_torch()
        gpu = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        self.device = torch.device("cpu" if backend == "openvino" else gpu)
        self.model = model.eval().to(self.device).requires_grad_(False)
        self._network = self._exact()
        # PyTorch divides each layer among the cores, which wait for each other after it. A picture for each core leaves
        # nothing to wait for. OpenVINO and GPUs have threads of their own: they take one batch at a time.
        if gpu == "cpu" and backend == "torch":
            self._at_once, self._threads = 1, torch.get_num_threads()
            self._alone = functools.partial(ThreadpoolController().limit, limits=1, user_api="openmp")
            self._by_itself = contextlib.nullcontext if self.large_layers else self._alone
        else:
            self._at_once, self._threads, lock = self.batch_size, 2, threading.Lock()
            self._alone = self._by_itself = lambda: lock
        if (precision, backend) == ("float32", "torch"):
            return
        pixels = self._pixels([self._prepare(picture) for picture in _samples(self.batch_size)])
        on_torch = functools.partial(self._features, self.model)
        if backend == "openvino":
            self._network = openvino_network(on_torch, pixels, "float32")
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
            One row for each picture, of unit length.

        Raises
        ------
        TypeError
            `images` is one picture, not several.
        helpers.images.ImageError
            A picture can't be opened.
        """
        # Of a single one the letters would be taken for paths, or the rows for grey pictures.
        several = isinstance(images, np.ndarray) and not (images.ndim == 2 or images.shape[2:] in ((3,), (4,)))
        if isinstance(images, Source) and not several:
            raise TypeError("embed takes several pictures: put a single one into a list, embed([picture])")
        # If a PIL image is given twice, two threads must not load it at once.
        opened = (open_image(image) if isinstance(image, Image.Image) else image for image in images)
        batches = iter(lambda: list(itertools.islice(opened, self._at_once)), [])
        start = list(itertools.islice(batches, 2))
        if len(start) == 1:  # nothing to share out
            return self._vectors(start[0], self._by_itself)
        vectors, ahead = [np.empty((0, self.dim), np.float32)], deque[Future]()
        with ThreadPoolExecutor(self._threads) as pool:
            for batch in itertools.chain(start, batches):
                ahead.append(pool.submit(self._vectors, batch, self._alone))
                if len(ahead) > self._threads:
                    vectors.append(ahead.popleft().result())
            vectors += [one.result() for one in ahead]
        return np.concatenate(vectors)

    def _vectors(self, images: list[Source], cores: Callable[[], AbstractContextManager]) -> np.ndarray:
        """Return the vectors of one batch, computed in this thread."""
        torch = import_torch()
        with torch.inference_mode():
            pixels = self._pixels([self._prepare(image) for image in images])
            with cores():
                features = self._network(pixels)
            return torch.nn.functional.normalize(features.float(), dim=1).cpu().numpy()

    def feature_map(self, image: Source) -> FeatureMap:
        """Return what the network sees at each place of one picture.

        Parameters
        ----------
        image : path, URL, bytes, PIL image or array
            What `helpers.images.open_image` takes.
        """
        picture = open_image(image)
        with import_torch().inference_mode():
            return self._map(picture, self._pixels([self._prepare(picture)]))

    def _prepare(self, image: Source) -> Any:
        """Turn one picture into the numbers that make up the network's input."""
        raise NotImplementedError

    def _pixels(self, prepared: list[Any]) -> Any:
        """Turn prepared pictures into the network's input, a tensor (n, 3, height, width)."""
        raise NotImplementedError

    def _features(self, model: Any, pixels: Any) -> Any:
        """Run a model, and return a tensor (n, dim)."""
        raise NotImplementedError

    def _exact(self) -> Network:
        """Return the model in the form that runs fastest with the numbers that it has."""
        return functools.partial(self._features, self.model)

    def _to_bfloat16(self, model: Any) -> Any:
        """Make a copy of the model compute with 16 bits, and return it."""
        raise NotImplementedError

    def _map(self, picture: Image.Image, pixels: Any) -> FeatureMap:
        """Run the network on one picture, up to its last map."""
        raise NotImplementedError


class VisionTransformer(NetworkExtractor):
    """The half that networks of transformers share: their own processor prepares a picture, its patches are the places.

    A subclass gives the processor to `_take`, sets `patch_size`, and says what its vectors are: `_features`,
    `_patches`.
    """

    processor: Any
    patch_size: int  # pixels of a patch's side
    pooling = "cls"
    large_layers = True

    def _take(self, processor: Any) -> None:
        self.processor = processor
        self._shorter = processor.size["shortest_edge"]  # what a picture's shorter side is scaled to before the crop

    def _patches(self, pixels: Any) -> Any:
        """Return one picture's patches, a tensor (places, dim)."""
        raise NotImplementedError

    def _prepare(self, image: Source) -> Any:
        rgb = _middle(open_image(image, min_side=self._shorter))
        return self.processor(images=rgb, return_tensors="pt")["pixel_values"][0]

    def _pixels(self, prepared: list[Any]) -> Any:
        return import_torch().stack(prepared).to(self.device)

    def _to_bfloat16(self, model: Any) -> Any:
        return model.to(import_torch().bfloat16)  # it converts the pixels by itself

    def _map(self, picture: Image.Image, pixels: Any) -> FeatureMap:
        patches = self._patches(pixels).cpu().numpy()
        rows, columns = pixels.shape[2:]
        scale = self._shorter / min(picture.size)  # then the crop is cut out of the middle
        shares = [min(1.0, crop / (side * scale)) for crop, side in zip((columns, rows), picture.size, strict=True)]
        left, top = ((1 - share) / 2 for share in shares)
        return FeatureMap(
            patches.reshape(rows // self.patch_size, columns // self.patch_size, -1),
            (left, top, 1 - left, 1 - top),
            mean_is_pooled=self.pooling == "mean",
        )


def _middle(picture: Image.Image) -> Image.Image:
    """Return the middle of a very long picture: the crop is taken there, and scaled whole it could fill the memory."""
    most = 16 * min(picture.size)
    left, top = (max(0, (side - most) // 2) for side in picture.size)
    return picture.crop((left, top, picture.width - left, picture.height - top)) if left or top else picture


def _samples(count: int) -> list[Source]:
    """Return pictures to try a network on: some of the kit's own, or made ones where its `data` folder is missing."""
    own = sorted((DATA / "images").rglob("*.jpg"))
    if len(own) >= count:
        return list(own[:: len(own) // count][:count])
    colors = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return [Image.fromarray(one).resize((256, 256), Image.Resampling.BICUBIC) for one in colors]
