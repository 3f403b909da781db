"""Lessons 6 and 9: how good a search is, with baselines, causes and near copies; and how to make it better."""

from helpers.quality.baselines import BASELINES
from helpers.quality.charts import show_quality, show_recall, show_sharing, show_threshold
from helpers.quality.edits import EDITS
from helpers.quality.factors import shared_with_nearest
from helpers.quality.improve import best_matches, expanded, gain, halves, learned_projection, reranked
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
