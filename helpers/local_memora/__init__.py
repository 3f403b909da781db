"""Memora's REST contract on our own machine, on an engine that exists already.

Read it in this order, half an hour for the contract: app (the verbs, and what they take), bodies and schema (what may
be sent), service, structure, vectors (what is done), filters and filter_types (the expressions), rows, rerank; then
engines, an interface with two modules behind it, of which one shows how it is met. A request is checked against the
contract, then against the collection's schema, then handed to the engine, which only stores and searches.
"""

from helpers.local_memora.app import create_app
from helpers.local_memora.errors import ApiError

__all__ = ["ApiError", "create_app"]
