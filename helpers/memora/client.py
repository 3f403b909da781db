"""The client: Memora's resources and verbs, named as in the SDK."""

import os
from collections.abc import Iterable, Sequence
from typing import Any

import httpx

from helpers.memora.errors import InvalidRequestError, MemoraError
from helpers.memora.http import Http, refuse_non_finite
from helpers.memora.models import Collection, Index, without_none

Answer = dict[str, Any]
Rows = dict[str, Any] | Sequence[dict[str, Any]]


class Memora:
    """A client for one project of Memora.

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
        base_url = base_url or os.environ.get("MEMORA_URL")
        if not base_url:
            raise InvalidRequestError(
                "No base URL: pass base_url=..., or set MEMORA_URL in the environment. "
                "helpers.connect.connect() needs neither: it falls back to a local Memora."
            )
        self.project_id = project_id
        self._http = Http(api_key, project_id, base_url, transport)
        self.collections = Collections(self._http)
        self.indexes = Indexes(self._http)
        self.vectors = Vectors(self._http)
        self.vector = self.vectors  # the blog post writes the singular; both work

    def __repr__(self) -> str:
        return f"Memora(project_id={self.project_id!r}, base_url={self._http.base_url!r})"

    def __enter__(self) -> "Memora":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection pool."""
        self._http.close()


class _Resource:
    def __init__(self, http: Http) -> None:
        self._http = http

    def _read(self, verb: str, **body: Any) -> Answer:
        """Call a verb that may safely be done twice."""
        return self._http.post(verb, without_none(body), repeatable=True)

    def _write(self, verb: str, **body: Any) -> Answer:
        return self._http.post(verb, without_none(body), repeatable=False)


class Collections(_Resource):
    """`client.collections`: what there is, and of which shape."""

    def create(self, *, collection: Collection) -> Answer:
        """Create a collection. Raises AlreadyExistsError where the name is taken."""
        return self._write("collections/create", **collection.to_wire())

    def list(self) -> Answer:
        """Return `{"data": [name, ...]}`."""
        return self._read("collections/list")

    def has(self, *, collection_name: str) -> Answer:
        """Return `{"data": {"has": bool}}`."""
        return self._read("collections/has", collectionName=collection_name)

    def describe(self, *, collection_name: str) -> Answer:
        """Return fields, indexes and load state."""
        return self._read("collections/describe", collectionName=collection_name)

    def drop(self, *, collection_name: str) -> Answer:
        """Remove a collection with all its rows. There is no way back."""
        return self._write("collections/drop", collectionName=collection_name)

    def load(self, *, collection_name: str) -> Answer:
        """Make a collection ready to search: indexes that wait for rows are built now."""
        return self._read("collections/load", collectionName=collection_name)

    def get_stats(self, *, collection_name: str) -> Answer:
        """Return `{"data": {"rowCount": n}}`."""
        return self._read("collections/get_stats", collectionName=collection_name)


class Indexes(_Resource):
    """`client.indexes`: how vectors are found faster than by looking at all."""

    def create(self, *, collection_name: str, index_params: Sequence[Index]) -> Answer:
        """Define indexes; they are built as soon as there are rows enough."""
        wire = [index.to_wire() for index in index_params]
        return self._write("indexes/create", collectionName=collection_name, indexParams=wire)

    def list(self, *, collection_name: str) -> Answer:
        """Return `{"data": [index name, ...]}`."""
        return self._read("indexes/list", collectionName=collection_name)

    def describe(self, *, collection_name: str, index_name: str) -> Answer:
        """Return type, state and how many rows are indexed and pending."""
        return self._read("indexes/describe", collectionName=collection_name, indexName=index_name)

    def drop(self, *, collection_name: str, index_name: str) -> Answer:
        """Remove an index; the rows stay, and search looks at all of them."""
        return self._write("indexes/drop", collectionName=collection_name, indexName=index_name)


class Vectors(_Resource):
    """`client.vectors`: rows in, and rows found."""

    def insert(self, *, collection_name: str, data: Rows, partition_name: str | None = None) -> Answer:
        """Add rows; a primary key that is there already is refused, with all rows of the call.

        Parameters
        ----------
        collection_name : str
            Where to.
        data : dict or list of dict
            Rows: field name to value. Vectors are lists, arrays or tensors of shape (dim,).
        partition_name : str, optional
            Into which partition.

        Returns
        -------
        dict
            `{"data": {"insertCount": n, "insertIds": [...]}}`
        """
        return self._store("vectors/insert", collection_name, data, partition_name)

    def upsert(self, *, collection_name: str, data: Rows, partition_name: str | None = None) -> Answer:
        """Add rows, replacing those with the same primary key. Returns upsertCount and upsertIds."""
        return self._store("vectors/upsert", collection_name, data, partition_name)

    def _store(self, verb: str, collection_name: str, data: Any, partition_name: str | None) -> Answer:
        rows = [data] if isinstance(data, dict) else list(data)
        for number, row in enumerate(rows):
            if not isinstance(row, dict):
                raise InvalidRequestError(
                    f"Row {number} is a {type(row).__name__}: a row is a dict, field name to value."
                )
            for field, value in row.items():
                refuse_non_finite(value, f"Row {number}, field {field!r}")
        call = self._read if verb.endswith("upsert") else self._write
        try:
            return call(verb, collectionName=collection_name, data=rows, partitionName=partition_name)
        except InvalidRequestError as error:
            lengths = {(field, n) for row in rows for field, value in row.items() for n in _lengths(value)}
            self._explain_lengths(error, collection_name, lengths)
            raise

    def search(
        self,
        *,
        collection_name: str,
        data: Any,
        anns_field: str,
        filter: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
        grouping_field: str | None = None,
        output_fields: Sequence[str] | None = None,
        search_params: dict[str, Any] | None = None,
        partition_names: Sequence[str] | None = None,
    ) -> Answer:
        """Find the rows whose vectors are nearest.

        Parameters
        ----------
        collection_name : str
            Where to look.
        data : array_like, shape (dim,) or (n, dim)
            One vector or several.
        anns_field : str
            The vector field to compare with.
        filter : str, optional
            A boolean expression; only rows that pass are considered.
        limit, offset : int, optional
            How many hits to return, and how many of the best to leave out.
        grouping_field : str, optional
            At most one hit for each value of this field.
        output_fields : sequence of str, optional
            Fields to return beside `id` and `distance`.
        search_params : dict, optional
            `{"metric_type": "COSINE", "params": {"nprobe": 16, "ef": 64, "radius": 0.5, "range_filter": 0.9}}`
        partition_names : sequence of str, optional
            Where to look within the collection.

        Returns
        -------
        dict
            `{"data": [hit, ...]}`, best first; for several vectors a list of such lists.
        """
        refuse_non_finite(data, "The query vector")
        if isinstance(data, list | tuple):
            for vector in data:
                refuse_non_finite(vector, "A query vector")
        if search_params is not None:
            wire_names = {"metric_type": "metricType"}
            search_params = {wire_names.get(key, key): value for key, value in search_params.items()}
        try:
            return self._read(
                "vectors/search",
                collectionName=collection_name,
                data=data,
                annsField=anns_field,
                filter=filter,
                limit=limit,
                offset=offset,
                groupingField=grouping_field,
                outputFields=output_fields,
                searchParams=search_params,
                partitionNames=partition_names,
            )
        except InvalidRequestError as error:
            self._explain_lengths(error, collection_name, {(anns_field, n) for n in _lengths(data)})
            raise

    def query(
        self,
        *,
        collection_name: str,
        filter: str,
        output_fields: Sequence[str] | None = None,
        partition_names: Sequence[str] | None = None,
    ) -> Answer:
        """Return the rows that pass a filter; no vector is compared."""
        return self._read(
            "vectors/query",
            collectionName=collection_name,
            filter=filter,
            outputFields=output_fields,
            partitionNames=partition_names,
        )

    def get(
        self,
        *,
        collection_name: str,
        id: Any,
        output_fields: Sequence[str] | None = None,
        partition_names: Sequence[str] | None = None,
    ) -> Answer:
        """Return the rows with these primary keys; keys that are not there are left out."""
        several = isinstance(id, Iterable) and not isinstance(id, str)
        return self._read(
            "vectors/get",
            collectionName=collection_name,
            id=list(id) if several else [id],
            outputFields=output_fields,
            partitionNames=partition_names,
        )

    def delete(self, *, collection_name: str, filter: str, partition_name: str | None = None) -> Answer:
        """Remove the rows that pass a filter."""
        return self._read("vectors/delete", collectionName=collection_name, filter=filter, partitionName=partition_name)

    def _explain_lengths(self, error: InvalidRequestError, collection_name: str, lengths: set[tuple[str, int]]) -> None:
        """Say it in the learner's terms where the trouble is a vector of another length.

        Any Memora refuses such a vector, each in its own words; asking for the schema only then keeps the
        good case at one call and never trusts a remembered schema.
        """
        if error.status is None or "was it made by another model?" in error.message:
            return  # nothing was sent, or our local Memora says it already
        try:
            fields = self._read("collections/describe", collectionName=collection_name)["data"]["fields"]
            dims = {f["name"]: int(param["value"]) for f in fields for param in f["params"] if param["key"] == "dim"}
        except (MemoraError, LookupError, TypeError, ValueError):
            return  # the first error is the one to show
        for name, length in sorted(lengths):
            if name in dims and length not in (0, dims[name]):
                raise InvalidRequestError(
                    f"This collection stores vectors of {dims[name]} numbers; yours has {length}: was it made by "
                    f"another model? (Collection {collection_name!r}, field {name!r}. Memora said: {error.message})",
                    error.status,
                ) from None


def _lengths(value: Any) -> set[int]:
    """Return how many numbers a vector, or each of several, has; nothing for what is no vector."""
    if hasattr(value, "shape"):
        return {int(value.shape[-1])} if len(value.shape) else set()
    if not isinstance(value, list | tuple):
        return set()
    return set().union(*map(_lengths, value)) or {len(value)}
