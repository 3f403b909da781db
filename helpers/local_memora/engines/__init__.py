"""Engines store columns and find near vectors; what is common to all of them is not here but in the service.

An engine is one module with one class that has the methods of `Engine`. It may trust what it is given: names,
types, vectors and filters were checked against the collection's schema.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from helpers.local_memora.catalogue import Collection
from helpers.local_memora.filters import Node
from helpers.local_memora.schema import IndexSpec, RangeAndProbes

Row = dict[str, Any]


@dataclass
class SearchRequest:
    """One vector search.

    Parameters
    ----------
    vectors : numpy.ndarray, shape (n, dim), float32
        The queries.
    field : str
        The vector field.
    metric : str
        COSINE, IP or L2.
    limit : int
        Most hits for a query.
    index : IndexSpec or None
        The index defined on the field, built or not.
    where : Node or None
        Only rows that pass are considered.
    fields : list of str
        What to return beside the primary key.
    params : RangeAndProbes
        nprobe, ef, radius, range_filter.
    """

    vectors: np.ndarray
    field: str
    metric: str
    limit: int
    index: IndexSpec | None = None
    where: Node | None = None
    fields: list[str] = field(default_factory=list)
    params: RangeAndProbes = field(default_factory=RangeAndProbes)


class Engine(Protocol):
    """What the service needs of an engine. Writers of one collection take turns: the service sees to that."""

    def create(self, collection: Collection) -> None:
        """Make an empty table, replacing what an interrupted creation left under the same id."""

    def drop(self, collection: Collection) -> None:
        """Remove the table."""

    def count(self, collection: Collection) -> int:
        """Return the number of rows."""

    def insert(self, collection: Collection, columns: dict[str, Any]) -> None:
        """Append rows; their primary keys are new."""

    def upsert(self, collection: Collection, columns: dict[str, Any]) -> None:
        """Append rows, replacing those with the same primary key."""

    def delete(self, collection: Collection, where: Node) -> int:
        """Remove the rows that pass and return how many they were."""

    def query(self, collection: Collection, where: Node, fields: list[str], limit: int) -> list[Row]:
        """Return at most `limit` rows that pass, with `fields`."""

    def search(self, collection: Collection, request: SearchRequest) -> list[list[tuple[float, Row]]]:
        """Return for each query its hits, best first, each with its distance as Memora defines it."""

    def build_index(self, collection: Collection, index: IndexSpec) -> None:
        """Build an index over all rows, replacing it where it is there."""

    def drop_index(self, collection: Collection, index: IndexSpec) -> None:
        """Remove an index, built or not."""

    def indexed_rows(self, collection: Collection, index: IndexSpec) -> int:
        """Return how many rows are in the index."""

    def tidy(self, collection: Collection) -> None:
        """Merge what many small writes left behind."""
