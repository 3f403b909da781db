"""What the notebooks lean on: chores behind the lessons, one room a module.

Data flows one way: images -> features -> ingest -> Memora -> search -> plots.
Nothing heavy is imported here; torch, transformers and lancedb are imported where they are used.
"""

import sys

# httpx would load its command line, and with it rich: a sixth of the time that the kit takes to import.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
