"""Images -> unit vectors: the extractors, the weights they need, and the same vectors in less time."""

from helpers.features.base import FeatureExtractor, FeatureMap
from helpers.features.extractors import DinoV2Extractor, EfficientNetExtractor, load_extractor
from helpers.features.weights import ModelUnavailableError, dinov2_on_this_machine, dinov2_to_look_at

__all__ = [
    "DinoV2Extractor",
    "EfficientNetExtractor",
    "FeatureExtractor",
    "FeatureMap",
    "ModelUnavailableError",
    "dinov2_on_this_machine",
    "dinov2_to_look_at",
    "load_extractor",
]
