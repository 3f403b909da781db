"""Memora's verbs on what there is: collections, their partitions, their indexes."""

from typing import Any

from local_memora.contract import bodies
from local_memora.contract.errors import ApiError
from local_memora.contract.schema import (
    DEFAULT_PARTITION,
    MAX_PARTITIONS,
    CollectionSchema,
    FieldSchema,
    IndexSpec,
    check_metric,
)
from local_memora.engines import Collection
from local_memora.filters import check
from local_memora.verbs.service import Service, known_partition, narrowed, without_partition_key

# collections


def create_collection(service: Service, body: bodies.Create) -> str:
    schema, indexes = body.resolved()
    if body.params.partitions_num is not None and schema.partition_key is None:
        raise ApiError(400, "partitionsNum is for collections with a partition key; others: partitions/create")
    _check_indexes(schema, indexes, ())
    check.refuse_reserved(schema)
    with service.naming(body.project_id, body.collection_name):
        service.engine.create(body.project_id, body.collection_name, schema, indexes, body.params)
    return "collection created"


def list_collections(service: Service, body: bodies.Body) -> list[str]:
    return sorted(service.engine.names(body.project_id))


def has_collection(service: Service, body: bodies.OnCollection) -> dict[str, bool]:
    return {"has": service.engine.find(body.project_id, body.collection_name) is not None}


def describe_collection(service: Service, body: bodies.OnCollection) -> dict[str, Any]:
    collection = service.find(body)
    return {
        "autoID": collection.schema.auto_id,
        "collectionID": collection.id,
        "collectionName": collection.name,
        "description": "",
        "enableDynamicField": collection.schema.enable_dynamic_field,
        "fields": [_describe_field(n, f, collection) for n, f in enumerate(collection.schema.fields_, start=100)],
        "indexes": [index.model_dump(by_alias=True, exclude={"params"}) for index in collection.indexes],
        "load": "LoadStateLoaded" if collection.loaded else "LoadStateNotLoad",
        "partitionNum": len(collection.partitions),
        "properties": [{"key": key, "value": value} for key, value in collection.properties.items()],
    }


def _describe_field(number: int, field: FieldSchema, collection: Collection) -> dict[str, Any]:
    params = field.element_type_params.model_dump(exclude_none=True)
    element = {"elementDataType": field.element_data_type} if field.element_data_type else {}
    return {
        "autoId": field.is_primary and collection.schema.auto_id,
        "description": "",
        "id": number,
        "name": field.field_name,
        "params": [{"key": key, "value": str(value)} for key, value in params.items()],
        "partitionKey": field.is_partition_key,
        "primaryKey": field.is_primary,
        "type": field.data_type,
        **element,
    }


def drop_collection(service: Service, body: bodies.OnCollection) -> str:
    with service.turn(body) as collection:
        service.engine.drop(collection)
    service.forget(collection)
    return "collection dropped"


def rename_collection(service: Service, body: bodies.Rename) -> str:
    if body.new_collection_name == body.collection_name:
        raise ApiError(400, f"the new name is the old one: {body.collection_name!r}")
    with service.turn(body) as collection, service.naming(body.project_id, body.new_collection_name):
        service.engine.rename(collection, body.new_collection_name)
    return "collection renamed"


def load_collection(service: Service, body: bodies.OnCollection) -> str:
    with service.turn(body) as collection:
        service.engine.load(collection, list(collection.partitions))
    return "collection loaded"


def release_collection(service: Service, body: bodies.OnCollection) -> str:
    with service.turn(body) as collection:
        service.engine.release(collection, list(collection.partitions))
    return "collection released"


def load_state(service: Service, body: bodies.OnCollection) -> dict[str, Any]:
    collection = service.find(body)
    percent = round(100 * (1 - len(collection.released) / len(collection.partitions)))
    state = "LoadStateLoaded" if collection.loaded else "LoadStateNotLoad"
    return {"loadState": state, "loadProgress": percent}


def collection_stats(service: Service, body: bodies.OnCollection) -> dict[str, int]:
    return service.read(body, lambda c: {"rowCount": service.engine.count(c, None, None)}, released=True)


# partitions


def create_partition(service: Service, body: bodies.OnPartition) -> str:
    with service.turn(body) as collection:
        without_partition_key(collection)
        if body.partition_name in collection.partitions:
            raise ApiError(409, f"the partition {body.partition_name!r} exists already in {collection.name!r}")
        if len(collection.partitions) >= MAX_PARTITIONS:
            raise ApiError(400, f"{collection.name!r} has {MAX_PARTITIONS:,} partitions: there can't be more")
        service.engine.create_partition(collection, body.partition_name)
    return "partition created"


def drop_partition(service: Service, body: bodies.OnPartition) -> str:
    with service.turn(body) as collection:
        if body.partition_name == DEFAULT_PARTITION:
            raise ApiError(400, f"the partition {DEFAULT_PARTITION!r} can't be dropped; delete its rows instead")
        service.engine.drop_partition(collection, known_partition(collection, body.partition_name))
    return "partition dropped"


def has_partition(service: Service, body: bodies.OnPartition) -> dict[str, bool]:
    return {"has": body.partition_name in service.find(body).partitions}


def list_partitions(service: Service, body: bodies.OnCollection) -> list[str]:
    return list(service.find(body).partitions)


def load_partitions(service: Service, body: bodies.OnPartitions) -> str:
    with service.turn(body) as collection:
        service.engine.load(collection, [known_partition(collection, name) for name in body.partition_names])
    return "partitions loaded"


def release_partitions(service: Service, body: bodies.OnPartitions) -> str:
    with service.turn(body) as collection:
        service.engine.release(collection, [known_partition(collection, name) for name in body.partition_names])
    return "partitions released"


def partition_stats(service: Service, body: bodies.OnPartition) -> dict[str, int]:
    def stats(collection: Collection) -> dict[str, int]:
        where = narrowed(collection, [known_partition(collection, body.partition_name)])
        return {"rowCount": service.engine.count(collection, None, where)}

    return service.read(body, stats, released=True)


# indexes


def create_indexes(service: Service, body: bodies.CreateIndexes) -> str:
    with service.turn(body) as collection:
        _check_indexes(collection.schema, body.index_params, collection.indexes)
        for index in body.index_params:
            service.engine.create_index(service.find(body), index)
    return "index created"


def list_indexes(service: Service, body: bodies.OnCollection) -> list[str]:
    return [index.index_name for index in service.find(body).indexes]


def describe_index(service: Service, body: bodies.OnIndex) -> list[dict[str, Any]]:
    def describe(collection: Collection) -> list[dict[str, Any]]:
        index = _index(collection, body.index_name)
        indexed = service.engine.indexed_rows(collection, index)
        total = max(indexed, service.engine.count(collection, None, None))
        return [
            {
                "fieldName": index.field_name,
                "indexName": index.index_name,
                "indexState": "Finished" if indexed or index.params.index_type == "FLAT" else "Unissued",
                "indexType": index.params.index_type,
                "indexedRows": indexed,
                "metricType": index.metric_type,
                "pendingRows": total - indexed,
                "totalRows": total,
                "failReason": service.engine.fail_reason(collection, index),
            }
        ]

    return service.read(body, describe, released=True)


def drop_index(service: Service, body: bodies.OnIndex) -> str:
    with service.turn(body) as collection:
        service.engine.drop_index(collection, _index(collection, body.index_name))
    return "index dropped"


def _check_indexes(schema: CollectionSchema, new: list[IndexSpec], present: tuple[IndexSpec, ...]) -> None:
    for number, index in enumerate(new):
        check_metric(schema.vector_field(index.field_name), index.metric_type, index.params.index_type)
        for other in [*present, *new[:number]]:
            if other.field_name == index.field_name:
                raise ApiError(409, f"field {index.field_name!r} has the index {other.index_name!r}: drop it first")
            if other.index_name == index.index_name:
                raise ApiError(409, f"there is an index {index.index_name!r} already")


def _index(collection: Collection, name: str) -> IndexSpec:
    for index in collection.indexes:
        if index.index_name == name:
            return index
    there = ", ".join(index.index_name for index in collection.indexes) or "none"
    raise ApiError(404, f"no index {name!r} on {collection.name!r}; there is: {there}")
