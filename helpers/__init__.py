"""What the notebooks lean on: chores behind the lessons, one room a module.

Data flows one way: images -> features -> ingest -> Memora -> search -> plots.
Nothing heavy is imported here; torch, transformers and lancedb are imported where they are used.
"""

import sys

# httpx would import its command line, and rich with it, which nothing here uses: an eighth of what a lesson imports.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
