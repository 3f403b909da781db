"""The embedded engine: LanceDB in a folder."""

import os

os.environ.setdefault("LANCEDB_LOG", "error")  # read when lancedb is imported; warnings would name paths in notebooks
