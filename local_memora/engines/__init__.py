"""What an engine is: it stores columns and finds near vectors; what is common to all engines is not here.

An engine is one module with one class that has the methods of `Engine`. It may trust what it is given: names, types,
vectors and filters were checked against the contract and the collection's schema. What it can't do it refuses with
an `ApiError` 501 that names the engine that can.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from local_memora.contract.bodies import CreateParams, SearchKnobs
from local_memora.contract.errors import ApiError
from local_memora.contract.schema import DEFAULT_PARTITION, CollectionSchema, IndexSpec
from local_memora.filters.parse import Node

Row = dict[str, Any]
EMBEDDED, MILVUS = "the embedded engine", "the Milvus engine (MEMORA_ENGINE=http://...)"


@dataclass(frozen=True)
class Collection:
    """One collection as an engine knows it.

    Parameters
    ----------
    id : int
        Never used again once the collection is dropped.
    project, name : str
        Whose it is and what it is called.
    schema : CollectionSchema
        Its fields.
    indexes : tuple of IndexSpec
        Defined indexes, whether built yet or not; at most one a field.
    partitions : tuple of str
        At least the default one.
    released : frozenset of str
        The partitions that were released: nothing is found in them until they are loaded.
    properties : dict
        What else was asked for at its creation, such as `collection.ttl.seconds`.
    """

    id: int
    project: str
    name: str
    schema: CollectionSchema
    indexes: tuple[IndexSpec, ...] = ()
    partitions: tuple[str, ...] = (DEFAULT_PARTITION,)
    released: frozenset[str] = frozenset()
    properties: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def loaded(self) -> list[str]:
        """The partitions in which rows can be found."""
        return [name for name in self.partitions if name not in self.released]

    def index_on(self, field: str) -> IndexSpec | None:
        """Return the index on a field, if one is defined."""
        return next((index for index in self.indexes if index.field_name == field), None)


@dataclass
class SearchRequest:
    """One vector search.

    Parameters
    ----------
    vectors : numpy.ndarray, shape (n, dim), float32; for a BinaryVector (n, dim / 8), uint8
        The queries.
    field : str
        The vector field.
    metric : str
        COSINE, IP, L2 or HAMMING.
    limit : int
        Most hits for a query.
    index : IndexSpec or None
        The index defined on the field, built or not.
    where : Node or None
        Only rows that pass are considered.
    partitions : list of str or None
        Only rows in these are considered; None is all.
    fields : list of str
        What to return beside the primary key.
    params : SearchKnobs
        nprobe for an IVF_FLAT index, ef for HNSW; radius, range_filter.
    ignore_growing : bool
        Whether rows that are in no index yet may be left out.
    look_further : bool
        Whether an engine may search more than nprobe and ef say where that finds few hits.
    """

    vectors: np.ndarray
    field: str
    metric: str
    limit: int
    index: IndexSpec | None = None
    where: Node | None = None
    partitions: list[str] | None = None
    fields: list[str] = dataclasses.field(default_factory=list)
    params: SearchKnobs = dataclasses.field(default_factory=SearchKnobs)
    ignore_growing: bool = False
    look_further: bool = True


class Engine(Protocol):
    """What is needed of an engine. Writers of one collection take turns: the service sees to that.

    `fields` to return may hold `$meta`: then a row has there a dict of its dynamic fields.
    """

    def check(self) -> None:
        """Raise an ApiError, 410 or 503, where the engine, or one of its collections, can't work now."""

    def fault(self, collection: Collection, error: Exception) -> ApiError | None:
        """Explain why a call about a collection failed; None where the engine can say no more than the error."""

    def size(self, project: str) -> int:
        """Return how many bytes a project takes on this machine's disk."""

    def names(self, project: str) -> list[str]:
        """Return the names of the project's collections."""

    def find(self, project: str, name: str) -> Collection | None:
        """Return a collection, or None."""

    def create(
        self, project: str, name: str, schema: CollectionSchema, indexes: list[IndexSpec], params: CreateParams
    ) -> None:
        """Make an empty, loaded collection; its name is free."""

    def drop(self, collection: Collection) -> None:
        """Remove a collection with its rows."""

    def rename(self, collection: Collection, name: str) -> None:
        """Give it another name, which is free."""

    def create_partition(self, collection: Collection, partition: str) -> None:
        """Add a partition, loaded where the collection is."""

    def drop_partition(self, collection: Collection, partition: str) -> None:
        """Remove a partition with its rows."""

    def load(self, collection: Collection, partitions: list[str]) -> None:
        """Make partitions ready to search; what indexes wait for is built now."""

    def release(self, collection: Collection, partitions: list[str]) -> None:
        """Take partitions out of memory."""

    def create_index(self, collection: Collection, index: IndexSpec) -> None:
        """Define an index; it is built as soon as there are rows enough. The field has none."""

    def drop_index(self, collection: Collection, index: IndexSpec) -> None:
        """Remove an index, built or not; the field is searched exactly from then on."""

    def indexed_rows(self, collection: Collection, index: IndexSpec) -> int:
        """Return how many rows are in the index."""

    def fail_reason(self, collection: Collection, index: IndexSpec) -> str:
        """Return why an index could not be built; an empty text where nothing stands in its way."""

    def may_hold(self, collection: Collection, keys: list[Any]) -> bool:
        """Return False if it is known, without looking at rows, that none of these keys is stored."""

    def insert(self, collection: Collection, columns: dict[str, Any], partition: str) -> list[Any]:
        """Append rows whose primary keys are new, and return the keys; with autoID the engine makes them."""

    def upsert(self, collection: Collection, columns: dict[str, Any], partition: str) -> None:
        """Append rows, replacing those with the same primary key in whatever partition they are."""

    def delete(self, collection: Collection, where: Node, partitions: list[str] | None) -> int:
        """Remove the rows that pass and return how many they were."""

    def count(self, collection: Collection, where: Node | None, partitions: list[str] | None) -> int:
        """Return the number of rows that pass."""

    def query(
        self, collection: Collection, where: Node, fields: list[str], limit: int, partitions: list[str] | None
    ) -> list[Row]:
        """Return at most `limit` rows that pass, with `fields`."""

    def search(self, collection: Collection, request: SearchRequest) -> list[list[tuple[float, Row]]]:
        """Return for each query its hits, best first, each with its distance as Memora defines it."""
