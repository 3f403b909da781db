"""`client.vectors`: the rows of a collection, stored, searched and fetched."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from helpers.memora.errors import InvalidRequestError, MemoraError
from helpers.memora.http import refuse_non_finite
from helpers.memora.models import Ranker, Search, to_wire, wire, wires
from helpers.memora.resource import Answer, Resource, names

Rows = dict[str, Any] | Sequence[dict[str, Any]]


class Vectors(Resource):
    """`client.vectors`: store rows, and find them."""

    def insert(self, *, collection_name: str, data: Rows, partition_name: str | None = None) -> Answer:
        """Add rows; if one primary key is stored already, all rows of the call are refused.

        Parameters
        ----------
        collection_name, partition_name : str
            Where to store them; without a partition, in the collection's own.
        data : dict or list of dict
            Rows: field name to value. Vectors are lists, arrays or tensors of shape (dim,).

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
                kind = type(row).__name__
                raise InvalidRequestError(f"Row {number} is a {kind}: a row is a dict, field name to value.")
            for field, value in row.items():
                if type(value) not in (int, str):  # most are keys and texts, in many rows
                    refuse_non_finite(value, f"Row {number}, field {field!r}")
        with self._lengths_explained(
            collection_name,
            lambda: {(field, length) for row in rows for field, value in row.items() for length in _lengths(value)},
        ):
            return self._call(verb, collection_name=collection_name, data=rows, partition_name=partition_name)

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
            How many hits to return, and how many of the best to skip.
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
        _refuse_query(data, "The query vector")
        if search_params is not None:
            search_params = to_wire(search_params)
            _refuse_knobs(search_params.get("params"))
        with self._lengths_explained(collection_name, lambda: {(anns_field, length) for length in _lengths(data)}):
            return self._call(
                "vectors/search",
                collection_name=collection_name,
                data=data,
                anns_field=anns_field,
                filter=filter,
                limit=limit,
                offset=offset,
                grouping_field=grouping_field,
                output_fields=names("output_fields", output_fields),
                search_params=search_params,
                partition_names=names("partition_names", partition_names),
            )

    def hybrid_search(
        self,
        *,
        collection_name: str,
        search: Sequence[Search],
        rerank: Ranker | None = None,
        output_fields: Sequence[str] | None = None,
        partition_names: Sequence[str] | None = None,
    ) -> Answer:
        """Search several times, each time with its own field or query, and merge the hits into one ranking.

        Parameters
        ----------
        collection_name : str
            Where to look.
        search : sequence of Search
            The searches, each with its own vector, field, filter and limit.
        rerank : Ranker, optional
            How hits are merged; reciprocal rank fusion by default.
        output_fields, partition_names
            As for `search`.

        Returns
        -------
        dict
            `{"data": [hit, ...]}`, best first; `distance` is the merged score, and larger is better.
        """
        searches = list(search) if isinstance(search, Iterable) else search
        body = wires("search", searches, Search)
        for number, one in enumerate(searches):
            _refuse_query(one.data, f"Search {number}, field {one.anns_field!r}: the query vector")
            _refuse_knobs(one.params)
        with self._lengths_explained(
            collection_name, lambda: {(one.anns_field, length) for one in searches for length in _lengths(one.data)}
        ):
            return self._call(
                "vectors/hybrid_search",
                collection_name=collection_name,
                search=body,
                rerank=wire("rerank", Ranker() if rerank is None else rerank, Ranker),  # the contract wants one
                output_fields=names("output_fields", output_fields),
                partition_names=names("partition_names", partition_names),
            )

    def query(
        self,
        *,
        collection_name: str,
        filter: str,
        output_fields: Sequence[str] | None = None,
        partition_names: Sequence[str] | None = None,
    ) -> Answer:
        """Return the rows that pass a filter; no vector is compared."""
        return self._call(
            "vectors/query",
            collection_name=collection_name,
            filter=filter,
            output_fields=names("output_fields", output_fields),
            partition_names=names("partition_names", partition_names),
        )

    def get(
        self,
        *,
        collection_name: str,
        id: Any,
        output_fields: Sequence[str] | None = None,
        partition_names: Sequence[str] | None = None,
    ) -> Answer:
        """Return the rows with these primary keys; keys that are not stored are left out."""
        several = isinstance(id, Iterable) and not isinstance(id, str)
        return self._call(
            "vectors/get",
            collection_name=collection_name,
            id=list(id) if several else [id],
            output_fields=names("output_fields", output_fields),
            partition_names=names("partition_names", partition_names),
        )

    def delete(self, *, collection_name: str, filter: str, partition_name: str | None = None) -> Answer:
        """Remove the rows that pass a filter."""
        return self._call(
            "vectors/delete", collection_name=collection_name, filter=filter, partition_name=partition_name
        )

    @contextmanager
    def _lengths_explained(self, collection_name: str, lengths: Callable[[], set[tuple[str, int]]]) -> Iterator[None]:
        """Add what to do to a refusal, if a vector is not as long as its field needs.

        Each Memora refuses such a vector in its own words. The schema is asked for only then: a good call stays one
        request, and no remembered schema is trusted.
        """
        try:
            yield
        except InvalidRequestError as error:
            dims = {} if error.status is None else self._dims(collection_name)
            for field, length in sorted(lengths()):
                if field in dims and length not in (0, dims[field]):
                    error.next_step = (
                        f"The field {field!r} takes {dims[field]} numbers, not {length}: load the extractor that made "
                        "its vectors, or use another collection."
                    )
                    break
            raise

    def _dims(self, collection_name: str) -> dict[str, int]:
        """Return how many numbers each field of float vectors stores; empty if Memora does not say."""
        try:
            fields = self._call("collections/describe", collection_name=collection_name)["data"]["fields"]
            vectors = [field for field in fields if field["type"] == "FloatVector"]
            return {f["name"]: int(param["value"]) for f in vectors for param in f["params"] if param["key"] == "dim"}
        except (MemoraError, LookupError, TypeError, ValueError):
            return {}  # the refusal itself is the error to show


def _refuse_knobs(params: dict[str, Any] | None) -> None:
    for name, value in (params or {}).items():
        refuse_non_finite(value, f"The search parameter {name!r}")


def _refuse_query(data: Any, where: str) -> None:
    """Refuse NaN and infinity in one vector or in any of several."""
    refuse_non_finite(data, where)
    if isinstance(data, list | tuple):
        for vector in data:
            refuse_non_finite(vector, where)


def _lengths(value: Any) -> set[int]:
    """Return the lengths of a vector or of several vectors; empty for what is not a vector."""
    if hasattr(value, "shape"):
        return {int(value.shape[-1])} if len(value.shape) else set()
    if not isinstance(value, list | tuple):
        return set()
    return set().union(*map(_lengths, value)) or {len(value)}
