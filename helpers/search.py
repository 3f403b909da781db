"""An image in, hits out."""

import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from helpers.connect import COLLECTION
from helpers.features import FeatureExtractor
from helpers.images import Source
from helpers.ingest import describe_pictures
from helpers.memora import InvalidRequestError, Memora, NotFoundError
from helpers.memora.http import requests_of

FRESH_SECONDS = 5.0
REQUEST_HITS = 100_000  # of all queries of one request together: an answer of some 30 MB
# For each client and collection: when Memora was asked, after how many changes of this client, and the fields.
_FIELDS: WeakKeyDictionary[Memora, dict[str, tuple[float, int, list[str]]]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Hit:
    """A picture that was found.

    Parameters
    ----------
    rank : int
        1 is the nearest.
    distance : float
        As Memora returns it: with COSINE the similarity, 1 for the same direction.
    id : int
        The picture's key.
    path : str
        Relative to the folder that was ingested.
    metadata : dict
        Its other fields, such as category and color.
    """

    rank: int
    distance: float
    id: int
    path: str
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def category(self) -> str:
        """The picture's category; empty where it has none."""
        return str(self.metadata.get("category", ""))

    def file(self, root: str | os.PathLike) -> Path:
        """Return the picture's file, which must be inside the folder that was ingested.

        Raises
        ------
        ValueError
            The stored path leads out of the folder.
        """
        path = Path(root, self.path).resolve()
        if not path.is_relative_to(Path(root).resolve()):
            raise ValueError(f"The stored path {self.path!r} leads out of {root}, so it is not followed.")
        return path

    def __str__(self) -> str:
        return f"{self.rank}. {self.distance:.3f}  {self.category:<16}{self.path}"


def search(
    client: Memora, query: Source, *, extractor: FeatureExtractor, collection: str = COLLECTION, **options: Any
) -> list[Hit]:
    """Find the pictures most like a given one, best first; everything else is as for `search_many`."""
    return search_many(client, [query], extractor=extractor, collection=collection, **options)[0]


def search_many(
    client: Memora,
    queries: Sequence[Source] | np.ndarray,
    *,
    extractor: FeatureExtractor,
    collection: str = COLLECTION,
    **options: Any,
) -> list[list[Hit]]:
    """Return for each of several pictures the hits most like it, best first, with few calls to Memora.

    Parameters
    ----------
    client, collection
        Where to look.
    queries : sequence of path, URL, bytes, PIL image or array; or numpy.ndarray of floats, shape (n, dim)
        The pictures to look for; or the vectors that `extractor` has made of them.
    extractor : FeatureExtractor
        The extractor that made the collection's vectors.
    **options
        As for `request`: limit, offset, filter, radius, range_filter, metric.

    Raises
    ------
    helpers.images.ImageError
        A query can't be used as a picture.
    InvalidRequestError
        The collection holds no pictures, its vectors were made by another extractor, or Memora refused the request.
    """
    if not len(queries):
        return []
    fields = fields_of(client, collection)
    embedded = isinstance(queries, np.ndarray) and queries.ndim == 2 and queries.dtype.kind == "f"
    vectors = queries if embedded else extractor.embed(queries)

    def ask(fields: Sequence[str]) -> list[list[Hit]]:
        call = request(fields, collection, **options)
        answers: list[list[dict[str, Any]]] = []
        for part in requests_of(vectors, max(1, REQUEST_HITS // max(1, call["limit"] + call.get("offset", 0)))):
            found = client.vectors.search(data=part, **call)["data"]
            answers += [found] if len(part) == 1 else found  # one query is answered with a flat list of hits
        return [hits_from(hits, extractor, first_rank=call.get("offset", 0) + 1) for hits in answers]

    try:
        return ask(fields)
    except (InvalidRequestError, NotFoundError):  # another program may have replaced the collection meanwhile
        now = fields_of(client, collection, anew=True)
        if now == fields:
            raise
        return ask(now)


def request(
    fields: Sequence[str],
    collection: str,
    *,
    limit: int = 5,
    offset: int = 0,
    filter: str | None = None,
    radius: float | None = None,
    range_filter: float | None = None,
    metric: str | None = None,
) -> dict[str, Any]:
    """Return the arguments of `client.vectors.search` for a collection of pictures, except `data`.

    Parameters
    ----------
    fields : sequence of str
        Which fields of the collection to return with each hit, as `fields_of` lists them.
    limit, offset : int
        How many hits to return, and how many of the best to skip.
    filter : str, optional
        A condition on the fields, such as `category == "mug"`.
    radius, range_filter : float, optional
        With COSINE, only hits with radius < distance <= range_filter.
    metric : str, optional
        COSINE, IP or L2; by default the metric of the collection's index.
    """
    bounds = {"radius": radius, "range_filter": range_filter}
    params = {name: bound for name, bound in bounds.items() if bound is not None}
    search_params = {name: value for name, value in (("metric_type", metric), ("params", params)) if value}
    given = {"offset": offset, "filter": filter, "search_params": search_params}
    always = {"collection_name": collection, "anns_field": "vector", "limit": limit, "output_fields": list(fields)}
    return always | {name: value for name, value in given.items() if value}


def fields_of(client: Memora, collection: str, *, anew: bool = False) -> list[str]:
    """Return the fields that a hit shows: all fields of its collection except the id and vectors.

    Memora is asked once, not before each search. It is asked again after 5 seconds, because another program may have
    replaced the collection; after this client has created, dropped or renamed a collection; and if `anew` says so.

    Raises
    ------
    InvalidRequestError
        The collection holds no pictures.
    NotFoundError
        There is no such collection.
    """
    known, now = _FIELDS.setdefault(client, {}), getattr(client, "changes", 0)  # the real SDK does not count
    asked, changes, fields = known.get(collection, (-math.inf, 0, []))
    if not anew and changes == now and time.monotonic() - asked < FRESH_SECONDS:
        return fields
    told = describe_pictures(client, collection)["fields"]
    fields = [one["name"] for one in told if not one["primaryKey"] and not one["type"].endswith("Vector")]
    known[collection] = time.monotonic(), now, fields
    return fields


def hits_from(
    answer: list[dict[str, Any]], extractor: FeatureExtractor | None = None, first_rank: int = 1
) -> list[Hit]:
    """Turn Memora's hits for one query into `Hit`s; `extractor` made the query's vector.

    Raises
    ------
    InvalidRequestError
        Another extractor made a hit's vector, so its distance means nothing.
    """
    hits = []
    for rank, found in enumerate(answer, start=first_rank):
        rest = dict(found)
        distance, key, path = rest.pop("distance"), rest.pop("id"), rest.pop("image_path")
        maker = rest.pop("extractor", None)
        if extractor and maker and maker != extractor.name:
            raise InvalidRequestError(
                f"This collection's vectors were made by {maker}, the query's by {extractor.name}: numbers of "
                f"different models can't be compared. Search with load_extractor({maker!r})."
            )
        hits.append(Hit(rank, distance, key, path, rest))
    return hits


def as_matrix(rows: Sequence[dict[str, Any]]) -> np.ndarray:
    """Stack the `vector` of rows from `client.vectors.query` or `.get` into a float32 array (n, dim)."""
    return np.array([row["vector"] for row in rows], dtype=np.float32)
