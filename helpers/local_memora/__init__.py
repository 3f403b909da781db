"""Memora's REST contract on our own machine, on an engine that exists already.

app -> service -> schema, filters, catalogue, engines: a request is checked against the contract, then against
the collection's schema, then handed to the engine, which only stores and searches.
"""

from helpers.local_memora.app import create_app

__all__ = ["create_app"]
