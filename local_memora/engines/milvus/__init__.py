"""The engine for scale: a Milvus server."""
