"""CLIP: one network for pictures and one for sentences, whose vectors can be compared."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from helpers.features.base import VisionTransformer
from helpers.features.faster import import_torch
from helpers.features.weights import import_transformers


class ClipExtractor(VisionTransformer):
    """CLIP through transformers: trained on pictures with their captions, so that the two vectors of a pair agree.

    Radford et al., Learning transferable visual models from natural language supervision, 2021.
    https://arxiv.org/abs/2103.00020

    Parameters
    ----------
    source : str or path
        A folder with the model's and the tokenizer's files.
    name : str
        What to call its vectors.
    precision, backend : str
        As for `load_extractor`; for pictures only.

    Raises
    ------
    ValueError
        The tokenizer's files are missing in the folder.
    OSError
        The model's are.
    """

    def __init__(
        self, source: str | os.PathLike, name: str = "clip", precision: str = "float32", backend: str = "torch"
    ) -> None:
        transformers, files = import_transformers(), {path.name for path in Path(source).iterdir()}
        if not (files & {"tokenizer.json", "vocab.json"}):  # transformers would make an empty one, which knows no word
            raise ValueError(f"The CLIP in {source} has no tokenizer: copy its tokenizer.json there too.")
        self.tokenizer = transformers.CLIPTokenizer.from_pretrained(source, local_files_only=True)
        self._take(transformers.AutoImageProcessor.from_pretrained(source, local_files_only=True))
        model = transformers.CLIPModel.from_pretrained(source, local_files_only=True)
        self.name, self.dim = name, model.config.projection_dim
        self.patch_size = model.config.vision_config.patch_size
        self._set_up(model, precision, backend)

    def embed_text(self, texts: Sequence[str]) -> np.ndarray:
        """Turn sentences into vectors that pictures can be searched with.

        Parameters
        ----------
        texts : sequence of str
            In English, as the captions were; the network reads the first 77 tokens (some 50 words) of each.

        Returns
        -------
        numpy.ndarray, shape (n, dim), float32
            One row for each text, of unit length.

        Raises
        ------
        TypeError
            `texts` is one text, not several.
        """
        if isinstance(texts, str):
            raise TypeError("embed_text takes several texts: put a single one into a list, embed_text([text])")
        if not texts:
            return np.empty((0, self.dim), np.float32)
        torch, most = import_torch(), self.model.config.text_config.max_position_embeddings
        tokens = self.tokenizer(list(texts), padding=True, truncation=True, max_length=most, return_tensors="pt")
        with torch.inference_mode():
            features = self.model.get_text_features(**tokens.to(self.device)).pooler_output
            return torch.nn.functional.normalize(features.float(), dim=1).cpu().numpy()

    def _features(self, model: Any, pixels: Any) -> Any:
        return model.get_image_features(pixel_values=pixels).pooler_output

    def _patches(self, pixels: Any) -> Any:
        # The way that the CLS token takes: so each patch lies in the space of the pictures' vectors too.
        vision = self.model.vision_model
        tokens = vision(pixel_values=pixels).last_hidden_state[0, 1:]
        return self.model.visual_projection(vision.post_layernorm(tokens))
