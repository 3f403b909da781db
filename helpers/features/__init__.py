"""Images and words -> unit vectors: the extractors, the weights they need, and the same vectors in less time."""

from helpers.features.base import FeatureExtractor, FeatureMap
from helpers.features.clip import ClipExtractor
from helpers.features.extractors import (
    DinoV2Extractor,
    EfficientNetExtractor,
    EfficientNetLite2Extractor,
    load_extractor,
)
from helpers.features.weights import (
    ModelUnavailableError,
    clip_on_this_machine,
    dinov2_on_this_machine,
    dinov2_to_look_at,
)
from helpers.features.words import Words, load_words
