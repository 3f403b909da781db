"""Memora's verbs on rows: store, delete, get, query, search."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np

from local_memora.contract import bodies
from local_memora.contract.errors import ApiError, shown
from local_memora.contract.schema import DEFAULT_PARTITION, SHORTEST, CollectionSchema, IndexSpec, check_metric
from local_memora.engines import Collection, SearchRequest
from local_memora.filters import check
from local_memora.filters.parse import Node, Operation
from local_memora.verbs import columns
from local_memora.verbs.rerank import Hits, rerank
from local_memora.verbs.service import Service, known_partition, partitions_to_read, writable

GROUPABLE = ("Bool", "Int8", "Int16", "Int32", "Int64", "VarChar")
DEFAULT_NPROBE = 16  # lists of an IVF_FLAT index
DEFAULT_EF = 200  # candidates of an HNSW index: twice the default limit

# rows in, rows out


def insert(service: Service, body: bodies.Store) -> dict[str, Any]:
    keys = _store(service, body, replace=False)
    return {"insertCount": len(keys), "insertIds": keys}


def upsert(service: Service, body: bodies.Store) -> dict[str, Any]:
    keys = _store(service, body, replace=True)
    return {"upsertCount": len(keys), "upsertIds": keys}


def _store(service: Service, body: bodies.Store, *, replace: bool) -> list[Any]:
    schema = service.find(body).schema
    primary = schema.primary.field_name
    if schema.auto_id and replace:
        raise ApiError(400, f"upsert needs keys, and this collection numbers its rows itself ({primary!r}): insert")
    stored = columns.of(schema, body.data)  # before the turn: it takes most of the time
    keys = stored.get(primary, [])
    _refuse_doubled(primary, keys)
    with service.turn(body) as found:
        collection = _unchanged(found, schema)
        partition = known_partition(collection, body.partition_name) if body.partition_name else DEFAULT_PARTITION
        _refuse_zero_vectors(collection, stored)
        if replace:
            service.engine.upsert(collection, stored, partition)
            return keys
        _refuse_known_keys(service, collection, keys)
        return service.engine.insert(collection, stored, partition)


def _unchanged(found: Collection, schema: CollectionSchema) -> Collection:
    """Return the collection that a call changes, or refuse if its schema is no longer the one checked before."""
    if found.schema != schema:
        raise ApiError(409, f"the collection {found.name!r} was replaced meanwhile; try again")
    return writable(found)


def _refuse_doubled(primary: str, keys: list[Any]) -> None:
    for key, times in Counter(keys).most_common(1):
        if times > 1:
            raise ApiError(400, f"the key {primary} = {shown(key)} is in this call more than once")


def _refuse_known_keys(service: Service, collection: Collection, keys: list[Any]) -> None:
    if not keys or not service.engine.may_hold(collection, keys):
        return
    where, primary = check.keys_in(collection.schema, keys), collection.schema.primary.field_name
    # New keys mostly follow the stored ones. To see that none lies between the first and the last is much faster.
    if not service.engine.count(collection, check.keys_between(collection.schema, min(keys), max(keys)), None):
        return
    if known := service.engine.count(collection, where, None):
        examples = ", ".join(shown(row[primary]) for row in service.engine.query(collection, where, [primary], 3, None))
        which = f"{known} of these keys are stored already ({primary}: {examples}...)"
        raise ApiError(409, f"{which}; nothing was inserted")


def _refuse_zero_vectors(collection: Collection, stored: dict[str, Any]) -> None:
    for index in collection.indexes:
        if index.metric_type == "COSINE":
            zero = columns.squared_lengths(stored[index.field_name]) < SHORTEST
            if zero.any():
                row = int(zero.argmax())
                raise ApiError(400, f"row {row}, field {index.field_name!r}: COSINE can't compare a vector of zeros")


def delete(service: Service, body: bodies.Delete) -> str:
    schema = service.find(body).schema
    where = check.read(body.filter, schema)  # before the turn: a long filter takes seconds
    with service.turn(body) as found:
        collection = _unchanged(found, schema)
        asked = [body.partition_name] if body.partition_name else None
        count = service.engine.delete(collection, where, partitions_to_read(collection, asked))
    return f"{count} rows deleted"


def query(service: Service, body: bodies.Query) -> list[dict[str, Any]]:
    return service.read(body, lambda c: _rows(service, c, check.read(body.filter, c.schema), body))


def get(service: Service, body: bodies.Get) -> list[dict[str, Any]]:
    return service.read(body, lambda c: _rows(service, c, check.keys_in(c.schema, body.id), body) if body.id else [])


def _rows(service: Service, collection: Collection, where: Node, body: bodies.Query | bodies.Get) -> list[Any]:
    primary = collection.schema.primary.field_name
    asked = None if body.output_fields is None else [primary, *body.output_fields]
    shape = columns.Shape(collection.schema, asked, ["*"])
    partitions = partitions_to_read(collection, body.partition_names)
    found = service.engine.query(collection, where, shape.fields, bodies.MAX_HITS, partitions)
    if len(found) == bodies.MAX_HITS < service.engine.count(collection, where, partitions):
        raise ApiError(400, f"more than {bodies.MAX_HITS:,} rows pass: ask in parts, such as id > 0 and id < 1000")
    return [shape.pick(row) for row in sorted(found, key=lambda row: row[primary])]


# search


def search(service: Service, body: bodies.Search) -> list[Any]:
    return service.read(body, lambda collection: _search(service, collection, body))


def _search(service: Service, collection: Collection, body: bodies.Search) -> list[Any]:
    shape = columns.Shape(collection.schema, body.output_fields, [])
    params = body.search_params
    request = _request(collection, body, params.metric_type, params.params, body.partition_names, shape)
    answers = [
        _answer(collection, hits[body.offset :], shape)
        for hits in _find(service, collection, request, body.grouping_field)
    ]
    return answers if len(answers) > 1 else answers[0]


def hybrid_search(service: Service, body: bodies.HybridSearch) -> list[dict[str, Any]]:
    return service.read(body, lambda collection: _hybrid_search(service, collection, body))


def _hybrid_search(service: Service, collection: Collection, body: bodies.HybridSearch) -> list[dict[str, Any]]:
    shape = columns.Shape(collection.schema, body.output_fields, [])
    requests = [
        _request(collection, part, part.metric_type, part.params, body.partition_names, shape) for part in body.search
    ]
    found: list[Hits] = []
    for part, request in zip(body.search, requests, strict=True):
        request.ignore_growing = part.ignore_growing
        (hits,) = _find(service, collection, request, part.grouping_field)
        found.append(hits[part.offset :])
    metrics = [request.metric for request in requests]
    merged = rerank(found, metrics, body.rerank, collection.schema.primary.field_name)
    return _answer(collection, merged[: max(part.limit for part in body.search)], shape)


def _answer(collection: Collection, hits: Hits, shape: columns.Shape) -> list[dict[str, Any]]:
    primary = collection.schema.primary.field_name
    return [{"distance": distance, "id": row[primary], **shape.pick(row)} for distance, row in hits]


def _request(
    collection: Collection,
    part: bodies.OneSearch,
    metric: str | None,
    knobs: bodies.SearchKnobs,
    partitions: list[str] | None,
    shape: columns.Shape,
) -> SearchRequest:
    """Check one search against the collection, and return it in the engine's terms."""
    field = collection.schema.vector_field(part.anns_field)
    index = collection.index_on(field.field_name)
    metric = metric or (index.metric_type if index else "HAMMING" if field.data_type == "BinaryVector" else "COSINE")
    if index and metric != index.metric_type:
        raise ApiError(400, f"the index on {field.field_name!r} compares by {index.metric_type}, not by {metric}")
    check_metric(field, metric)
    _check_knobs(knobs, part.wanted, metric, index)
    _check_grouping(collection, part.grouping_field)
    vectors = columns.vectors(part.data, field)
    if metric == "COSINE" and (columns.squared_lengths(vectors) < SHORTEST).any():
        raise ApiError(400, "a query vector of zeros has no direction: COSINE can't compare it")
    return SearchRequest(
        vectors,
        field.field_name,
        metric,
        part.wanted,
        index,
        check.read(part.filter, collection.schema) if part.filter and part.filter.strip() else None,
        partitions_to_read(collection, partitions),
        shape.fields,
        _with_defaults(knobs, index),
        look_further=knobs.nprobe is None,
    )


def _with_defaults(knobs: bodies.SearchKnobs, index: IndexSpec | None) -> bodies.SearchKnobs:
    """Return the knobs that the index has, with defaults. None depends on limit and offset, so that pages agree."""
    kind = index.params.index_type if index else "FLAT"
    lists = (index and index.params.nlist) or DEFAULT_NPROBE
    nprobe = (knobs.nprobe or min(DEFAULT_NPROBE, lists)) if kind == "IVF_FLAT" else None
    ef = (knobs.ef or DEFAULT_EF) if kind == "HNSW" else None
    return knobs.model_copy(update={"nprobe": nprobe, "ef": ef})


def _check_knobs(knobs: bodies.SearchKnobs, wanted: int, metric: str, index: IndexSpec | None) -> None:
    smaller_is_closer = metric in ("L2", "HAMMING")
    low, high = (knobs.range_filter, knobs.radius) if smaller_is_closer else (knobs.radius, knobs.range_filter)
    if low is not None and high is not None and low >= high:
        rule = "range_filter <= distance < radius" if smaller_is_closer else "radius < distance <= range_filter"
        raise ApiError(400, f"no distance is in this range: {metric} keeps {rule}")
    nlist = index.params.nlist if index else None
    if nlist and knobs.nprobe and knobs.nprobe > nlist:
        raise ApiError(400, f"nprobe is {knobs.nprobe}, but the index has only {nlist} lists")
    if index and index.params.index_type == "HNSW" and knobs.ef and knobs.ef < wanted:
        raise ApiError(400, f"ef is {knobs.ef}, less than the {wanted} hits asked for: it must be at least that")


def _check_grouping(collection: Collection, name: str | None) -> None:
    there = [field.field_name for field in collection.schema.fields_ if field.data_type in GROUPABLE]
    if name and name not in there:
        raise ApiError(400, f"hits can't be grouped by {name!r}; by these they can: {', '.join(there)}")


def _find(service: Service, collection: Collection, request: SearchRequest, grouping: str | None) -> list[Hits]:
    """Return each query's hits; with `grouping` only the best for each value of that field."""
    if request.metric == "COSINE":  # no cosine is larger than 1, though an engine's rounding may make one so
        if (request.params.radius or 0) >= 1:
            return [[] for _ in request.vectors]
        if (request.params.range_filter or 0) >= 1:
            request.params = request.params.model_copy(update={"range_filter": None})
    if grouping is None:
        return _nearest(service, collection, request)
    return [_grouped(service, collection, request, vector, grouping) for vector in request.vectors]


def _nearest(service: Service, collection: Collection, request: SearchRequest) -> list[Hits]:
    found = service.engine.search(collection, request)
    if request.metric == "COSINE":  # rounding makes 1.0000001
        return [[(max(-1.0, min(1.0, distance)), row) for distance, row in hits] for hits in found]
    return found


def _grouped(
    service: Service, collection: Collection, request: SearchRequest, vector: np.ndarray, grouping: str
) -> Hits:
    """Ask for more and more hits, until there are enough groups or no more hits."""
    best: dict[Any, tuple[float, dict[str, Any]]] = {}
    limit, where = request.limit, request.where
    while True:
        limit = min(4 * limit, bodies.MAX_HITS)
        wider = replace(
            request,
            vectors=vector[None],
            limit=limit,
            where=where,
            fields=list(dict.fromkeys([*request.fields, grouping])),
        )
        (hits,) = _nearest(service, collection, wider)
        for hit in hits:
            best.setdefault(hit[1][grouping], hit)
        if len(best) >= request.limit or len(hits) < limit:
            return list(best.values())[: request.limit]
        if limit == bodies.MAX_HITS:  # no search returns more: go on outside the groups found so far
            found = check.one_of(collection.schema.by_name[grouping], list(best))
            outside = Operation(1, "not", [found], "bool")
            where = Operation(1, "and", [request.where, outside], "bool") if request.where else outside
