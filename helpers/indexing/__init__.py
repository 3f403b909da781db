"""Lessons 7 and 9: what indexes look at and cost, how large they become, and vectors in fewer bytes."""

from helpers.indexing.charts import show_blame, show_curves, show_flat, show_hnsw, show_ivf, show_smaller
from helpers.indexing.compress import Way, again, binary, nearest_rows, product_quantized, ways
from helpers.indexing.grow import grown, reduced
from helpers.indexing.measure import blame, measure, spending, wait_for_index
from helpers.indexing.on_a_plane import Flat, Hnsw, Ivf
from helpers.indexing.size import size
