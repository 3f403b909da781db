"""The client: Memora's resources and verbs, named as in the SDK."""

from collections.abc import Sequence
from typing import Any

import httpx

from helpers.memora.errors import InvalidRequestError
from helpers.memora.http import Http
from helpers.memora.models import Collection, Index, wire, wires
from helpers.memora.resource import Answer, Resource, names
from helpers.memora.vectors import Vectors
from helpers.settings import environment


class Memora:
    """A client of one project of Memora.

    Parameters
    ----------
    api_key : str
        The key; it is kept out of every repr, log and error.
    project_id : str
        The project all calls are about.
    base_url : str, optional
        Where Memora is; without it, `MEMORA_URL` from the environment.
    transport : httpx.BaseTransport, optional
        Ours, not the SDK's: how to reach a Memora that is not behind a network address.

    Raises
    ------
    InvalidRequestError
        No base URL is given and none is in the environment.
    """

    def __init__(
        self,
        api_key: str,
        project_id: str,
        base_url: str | None = None,
        *,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        base_url = base_url or environment("MEMORA_URL")
        if not base_url:
            raise InvalidRequestError(
                "No base URL: pass base_url=..., or set MEMORA_URL in the environment. "
                "helpers.connect.connect() needs neither: it falls back to a local Memora."
            )
        self.project_id = project_id
        self._http = Http(api_key, project_id, base_url, transport)
        self.base_url = self._http.base_url
        self.collections = Collections(self._http)
        self.partitions = Partitions(self._http)
        self.indexes = Indexes(self._http)
        self.vectors = Vectors(self._http)
        self.vector = self.vectors  # the blog post writes the singular; both work

    def __repr__(self) -> str:
        return f"Memora(project_id={self.project_id!r}, base_url={self.base_url!r})"

    def __enter__(self) -> "Memora":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def changes(self) -> int:
        """How often this client has created, dropped or renamed a collection: what was known before may be outdated.

        Ours, not the SDK's.
        """
        return self.collections._changes

    def close(self) -> None:
        """Close the connection pool."""
        self._http.close()


class Collections(Resource):
    """`client.collections`: which collections there are, and what their rows look like."""

    _changes = 0

    def create(self, *, collection: Collection) -> Answer:
        """Create a collection. Raises AlreadyExistsError if the name is taken."""
        return self._change("collections/create", **wire("collection", collection, Collection))

    def list(self) -> Answer:
        """Return `{"data": [name, ...]}`."""
        return self._call("collections/list")

    def has(self, *, collection_name: str) -> Answer:
        """Return `{"data": {"has": bool}}`."""
        return self._call("collections/has", collection_name=collection_name)

    def describe(self, *, collection_name: str) -> Answer:
        """Return fields, indexes and load state."""
        return self._call("collections/describe", collection_name=collection_name)

    def drop(self, *, collection_name: str) -> Answer:
        """Remove a collection with all its rows. This can't be undone."""
        return self._change("collections/drop", collection_name=collection_name)

    def rename(self, *, collection_name: str, new_collection_name: str) -> Answer:
        """Give a collection another name; its present name is refused."""
        return self._change(
            "collections/rename", collection_name=collection_name, new_collection_name=new_collection_name
        )

    def load(self, *, collection_name: str) -> Answer:
        """Make a collection ready to search: indexes that waited for rows are built now."""
        return self._call("collections/load", collection_name=collection_name)

    def release(self, *, collection_name: str) -> Answer:
        """Free the memory of a loaded collection; its rows stay, and can be searched when it is loaded again."""
        return self._call("collections/release", collection_name=collection_name)

    def get_load_state(self, *, collection_name: str) -> Answer:
        """Return `{"data": {"loadState": ..., "loadProgress": percent}}`."""
        return self._call("collections/get_load_state", collection_name=collection_name)

    def get_stats(self, *, collection_name: str) -> Answer:
        """Return `{"data": {"rowCount": n}}`."""
        return self._call("collections/get_stats", collection_name=collection_name)

    def _change(self, verb: str, **body: Any) -> Answer:
        try:
            return self._call(verb, **body)
        finally:
            self._changes += 1  # also without an answer: the call may have been done


class Partitions(Resource):
    """`client.partitions`: named parts of a collection, to be searched or dropped alone."""

    def create(self, *, collection_name: str, partition_name: str) -> Answer:
        """Add an empty partition. Raises AlreadyExistsError if the name is taken."""
        return self._call("partitions/create", collection_name=collection_name, partition_name=partition_name)

    def drop(self, *, collection_name: str, partition_name: str) -> Answer:
        """Remove a partition with all its rows. This can't be undone."""
        return self._call("partitions/drop", collection_name=collection_name, partition_name=partition_name)

    def has(self, *, collection_name: str, partition_name: str) -> Answer:
        """Return `{"data": {"has": bool}}`."""
        return self._call("partitions/has", collection_name=collection_name, partition_name=partition_name)

    def list(self, *, collection_name: str) -> Answer:
        """Return `{"data": [partition name, ...]}`."""
        return self._call("partitions/list", collection_name=collection_name)

    def get_stats(self, *, collection_name: str, partition_name: str) -> Answer:
        """Return `{"data": {"rowCount": n}}`."""
        return self._call("partitions/get_stats", collection_name=collection_name, partition_name=partition_name)

    def load(self, *, collection_name: str, partition_names: Sequence[str]) -> Answer:
        """Make these partitions ready to search."""
        listed = names("partition_names", partition_names)
        return self._call("partitions/load", collection_name=collection_name, partition_names=listed)

    def release(self, *, collection_name: str, partition_names: Sequence[str]) -> Answer:
        """Free the memory of these partitions; their rows stay."""
        listed = names("partition_names", partition_names)
        return self._call("partitions/release", collection_name=collection_name, partition_names=listed)


class Indexes(Resource):
    """`client.indexes`: how vectors are found without comparing all of them."""

    def create(self, *, collection_name: str, index_params: Sequence[Index]) -> Answer:
        """Define indexes; they are built when there are enough rows."""
        listed = wires("index_params", index_params, Index)
        return self._call("indexes/create", collection_name=collection_name, index_params=listed)

    def list(self, *, collection_name: str) -> Answer:
        """Return `{"data": [index name, ...]}`."""
        return self._call("indexes/list", collection_name=collection_name)

    def describe(self, *, collection_name: str, index_name: str) -> Answer:
        """Return an index's type and state, and how many rows are indexed and pending."""
        return self._call("indexes/describe", collection_name=collection_name, index_name=index_name)

    def drop(self, *, collection_name: str, index_name: str) -> Answer:
        """Remove an index; the rows stay, and a search compares all of them."""
        return self._call("indexes/drop", collection_name=collection_name, index_name=index_name)
