"""What the notebooks lean on: chores behind the lessons, one room a module.

Data flows one way: images -> features -> ingest -> Memora -> search -> plots.
Nothing heavy is imported here; torch, transformers and lancedb are imported where they are used.
"""
