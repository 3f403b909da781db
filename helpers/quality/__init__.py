"""Lesson 6: how good a search is, with baselines, causes, near copies, and pictures of all that."""

from helpers.quality.baselines import BASELINES
from helpers.quality.charts import show_quality, show_recall, show_sharing, show_threshold
from helpers.quality.edits import EDITS
from helpers.quality.factors import shared_with_nearest
from helpers.quality.metrics import (
    average_precision,
    bootstrap_interval,
    index_recall,
    knn_accuracy,
    precision_at_k,
    quality,
    recall_at_k,
    table,
    wilson_interval,
)

__all__ = [
    "BASELINES",
    "EDITS",
    "average_precision",
    "bootstrap_interval",
    "index_recall",
    "knn_accuracy",
    "precision_at_k",
    "quality",
    "recall_at_k",
    "shared_with_nearest",
    "show_quality",
    "show_recall",
    "show_sharing",
    "show_threshold",
    "table",
    "wilson_interval",
]
