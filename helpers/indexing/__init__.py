"""Lesson 7: what indexes look at, what they cost, and how large they become."""

from helpers.indexing.charts import show_blame, show_curves, show_flat, show_hnsw, show_ivf
from helpers.indexing.grow import grown, reduced
from helpers.indexing.measure import blame, measure, spending, wait_for_index
from helpers.indexing.on_a_plane import Flat, Hnsw, Ivf
from helpers.indexing.size import size

__all__ = [
    "Flat",
    "Hnsw",
    "Ivf",
    "blame",
    "grown",
    "measure",
    "reduced",
    "show_blame",
    "show_curves",
    "show_flat",
    "show_hnsw",
    "show_ivf",
    "size",
    "spending",
    "wait_for_index",
]
