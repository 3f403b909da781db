"""An image in, hits out."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from helpers.connect import COLLECTION
from helpers.features import FeatureExtractor
from helpers.images import Source
from helpers.memora import InvalidRequestError, Memora


@dataclass(frozen=True)
class Hit:
    """One picture that was found.

    Parameters
    ----------
    rank : int
        1 is the nearest.
    distance : float
        As Memora gives it: with COSINE the similarity, 1 for the same direction.
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
        """Return the picture's file under the folder that was ingested, never outside it.

        Raises
        ------
        ValueError
            The stored path leads elsewhere.
        """
        path = Path(root, self.path).resolve()
        if not path.is_relative_to(Path(root).resolve()):
            raise ValueError(f"The stored path {self.path!r} leads out of {root}: it is not followed.")
        return path

    def __str__(self) -> str:
        return f"{self.rank}. {self.distance:.3f}  {self.category:<16}{self.path}"


def search(
    client: Memora, query: Source, *, extractor: FeatureExtractor, collection: str = COLLECTION, **options: Any
) -> list[Hit]:
    """Find the pictures most like one.

    Parameters
    ----------
    client : Memora
        Where to look.
    query : path, URL, bytes, PIL image or array
        The picture to look for.
    extractor : FeatureExtractor
        The one that made the collection's vectors.
    collection : str
        Where to look within Memora.
    **options
        As for `search_many`.

    Returns
    -------
    list of Hit
        Best first.
    """
    return search_many(client, [query], extractor=extractor, collection=collection, **options)[0]


def search_many(
    client: Memora,
    queries: Sequence[Source],
    *,
    extractor: FeatureExtractor,
    collection: str = COLLECTION,
    limit: int = 5,
    offset: int = 0,
    filter: str | None = None,
    radius: float | None = None,
    range_filter: float | None = None,
) -> list[list[Hit]]:
    """Find the pictures most like each of several, with one call to Memora.

    Parameters
    ----------
    client, extractor, collection
        As for `search`.
    queries : sequence of pictures
        Each as for `search`.
    limit, offset : int
        How many hits to return, and how many of the best to leave out.
    filter : str, optional
        A condition on the fields, such as `category == "mug"`.
    radius, range_filter : float, optional
        With COSINE, only hits with radius < distance <= range_filter.

    Returns
    -------
    list of list of Hit
        For each query its hits, best first.

    Raises
    ------
    helpers.images.ImageError
        A query is no usable picture.
    InvalidRequestError
        The collection holds no pictures, its vectors were made by another extractor, or Memora refused the request.
    """
    if not queries:
        return []
    fields = client.collections.describe(collection_name=collection)["data"]["fields"]
    if "image_path" not in (f["name"] for f in fields):
        raise InvalidRequestError(f"The collection {collection!r} holds no pictures: it has no field image_path.")
    vectors = extractor.embed(queries)
    bounds = {"radius": radius, "range_filter": range_filter}
    answer = client.vectors.search(
        collection_name=collection,
        data=vectors,
        anns_field="vector",
        filter=filter,
        limit=limit,
        offset=offset,
        output_fields=[f["name"] for f in fields if f["type"] != "FloatVector" and not f["primaryKey"]],
        search_params={"params": {name: bound for name, bound in bounds.items() if bound is not None}},
    )["data"]
    # One query is answered with a flat list of hits, several with a list of such lists.
    lists = [answer] if len(vectors) == 1 else answer
    return [hits_from(hits, extractor, first_rank=offset + 1) for hits in lists]


def hits_from(
    answer: list[dict[str, Any]], extractor: FeatureExtractor | None = None, first_rank: int = 1
) -> list[Hit]:
    """Turn Memora's hits into ones that are easy to read.

    Parameters
    ----------
    answer : list of dict
        One query's hits, with `image_path` and, for the check, `extractor` among their fields.
    extractor : FeatureExtractor, optional
        The one that made the query's vector.
    first_rank : int
        The rank of the first hit: offset + 1.

    Raises
    ------
    InvalidRequestError
        A hit's vector was made by another extractor: its distance means nothing.
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
