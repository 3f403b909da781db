"""`client.vectors`: the rows of a collection, stored, searched and fetched."""

from collections.abc import Iterable, Sequence
from typing import Any

from helpers.memora.errors import InvalidRequestError, MemoraError
from helpers.memora.http import refuse_non_finite
from helpers.memora.models import Ranker, Search
from helpers.memora.resource import Answer, Resource, names

Rows = dict[str, Any] | Sequence[dict[str, Any]]


class Vectors(Resource):
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
                if type(value) not in (int, str):  # most are keys and texts, in many rows
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
        _refuse_query(data, "The query vector")
        if search_params is not None:
            wire_names = {"metric_type": "metricType"}
            search_params = {wire_names.get(key, key): value for key, value in search_params.items()}
            _refuse_knobs(search_params.get("params"))
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
                outputFields=names("output_fields", output_fields),
                searchParams=search_params,
                partitionNames=names("partition_names", partition_names),
            )
        except InvalidRequestError as error:
            self._explain_lengths(error, collection_name, {(anns_field, n) for n in _lengths(data)})
            raise

    def hybrid_search(
        self,
        *,
        collection_name: str,
        search: Sequence[Search],
        rerank: Ranker | None = None,
        output_fields: Sequence[str] | None = None,
        partition_names: Sequence[str] | None = None,
    ) -> Answer:
        """Search several times, each with a vector field or a query of its own, and merge the hits into one ranking.

        Parameters
        ----------
        collection_name : str
            Where to look.
        search : sequence of Search
            The searches, each with its own vector, field, filter and limit.
        rerank : Ranker, optional
            How hits are merged; reciprocal rank fusion by default.
        output_fields : sequence of str, optional
            Fields to return beside `id` and `distance`.
        partition_names : sequence of str, optional
            Where to look within the collection.

        Returns
        -------
        dict
            `{"data": [hit, ...]}`, best first; `distance` is the merged score, and larger is better.
        """
        searches = list(search) if isinstance(search, Iterable) else []
        if not searches:
            given = "an empty one" if isinstance(search, Iterable) else f"a {type(search).__name__}"
            raise InvalidRequestError(
                f"hybrid_search takes a list of searches, and this is {given}: write search=[Search(...), ...]."
            )
        for number, one in enumerate(searches):
            if not isinstance(one, Search):
                raise InvalidRequestError(
                    f"Search {number} is a {type(one).__name__}: write Search(data, anns_field, ...) for it."
                )
            _refuse_query(one.data, f"Search {number}, field {one.anns_field!r}: the query vector")
            _refuse_knobs(one.params)
        try:
            return self._read(
                "vectors/hybrid_search",
                collectionName=collection_name,
                search=[one.to_wire() for one in searches],
                rerank=_rerank(rerank, len(searches)),
                outputFields=names("output_fields", output_fields),
                partitionNames=names("partition_names", partition_names),
            )
        except InvalidRequestError as error:
            lengths = {(one.anns_field, n) for one in searches for n in _lengths(one.data)}
            self._explain_lengths(error, collection_name, lengths)
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
            outputFields=names("output_fields", output_fields),
            partitionNames=names("partition_names", partition_names),
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
            outputFields=names("output_fields", output_fields),
            partitionNames=names("partition_names", partition_names),
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


def _refuse_knobs(params: dict[str, Any] | None) -> None:
    for name, value in (params or {}).items():
        refuse_non_finite(value, f"The search parameter {name!r}")


def _refuse_query(data: Any, where: str) -> None:
    """Refuse NaN and infinity in one vector or in any of several."""
    refuse_non_finite(data, where)
    if isinstance(data, list | tuple):
        for vector in data:
            refuse_non_finite(vector, where)


def _rerank(rerank: Ranker | None, searches: int) -> dict[str, Any]:
    """Return the wire form of a ranker that fits so many searches; the contract has no call without one."""
    if rerank is None:
        return Ranker().to_wire()
    if not isinstance(rerank, Ranker):
        raise InvalidRequestError(
            f"rerank is a {type(rerank).__name__}: write rerank=Ranker('weighted', {{'weights': [0.7, 0.3]}})."
        )
    wire = rerank.to_wire()
    weights = wire["params"].get("weights")
    if weights is not None and len(weights) != searches:
        raise InvalidRequestError(
            f"The ranker's number of weights is {len(weights)}, that of the searches {searches}: "
            "give one weight for each search, in the same order."
        )
    return wire


def _lengths(value: Any) -> set[int]:
    """Return how many numbers a vector, or each of several, has; nothing for what is no vector."""
    if hasattr(value, "shape"):
        return {int(value.shape[-1])} if len(value.shape) else set()
    if not isinstance(value, list | tuple):
        return set()
    return set().union(*map(_lengths, value)) or {len(value)}
