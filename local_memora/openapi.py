"""The contract described for machines: bodies from the very models that check them, answers from a table here."""

from typing import Any, Literal, NotRequired

from pydantic import ConfigDict, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import TypedDict  # typing's own does for pydantic only from Python 3.12 on

from local_memora.contract.bodies import Body
from local_memora.contract.schema import DataType, Metric

REFUSALS = {
    400: "the request is wrong: the message says what, and where",
    401: "the Api-Key header is missing or holds another key",
    403: "the key does not open this project",
    404: "no such collection, partition or index",
    409: "the name or the key is taken",
    410: "the data was removed while the application ran",
    413: "the body is too large",
    501: "known to Memora, but not to this engine: the message names the one that can",
    503: "the engine is busy or can't be reached",
    507: "nothing can be written: the disk is full, or the folder is read-only",
}


def _answer(name: str, /, *, more: bool = False, **keys: Any) -> Any:
    answer = TypedDict(name, keys)
    answer.__pydantic_config__ = ConfigDict(extra="allow" if more else "forbid")
    return answer


State = Literal["LoadStateLoaded", "LoadStateNotLoad"]
Has, Count, Pair = _answer("Has", has=bool), _answer("Count", rowCount=int), _answer("Pair", key=str, value=str)
Hit = _answer("Hit", more=True, distance=float, id=int | str)  # and the fields asked for
FieldInfo = _answer(
    "FieldInfo", name=str, id=int, type=DataType, elementDataType=NotRequired[DataType], params=list[Pair],
    primaryKey=bool, autoId=bool, partitionKey=bool, description=str,
)  # fmt: skip
IndexInfo = _answer("IndexInfo", fieldName=str, indexName=str, metricType=Metric)
DATA: dict[str, Any] = {  # call -> what `data` is; a call that is not here answers a message
    "collections/list": list[str],
    "collections/has": Has,
    "collections/describe": _answer(
        "CollectionInfo", collectionName=str, collectionID=int, description=str, autoID=bool, enableDynamicField=bool,
        fields=list[FieldInfo], indexes=list[IndexInfo], load=State, partitionNum=int, properties=list[Pair],
    ),
    "collections/get_load_state": _answer("LoadState", loadState=State, loadProgress=int),
    "collections/get_stats": Count,
    "partitions/has": Has,
    "partitions/list": list[str],
    "partitions/get_stats": Count,
    "indexes/list": list[str],
    "indexes/describe": list[_answer(
        "IndexState", fieldName=str, indexName=str, indexState=Literal["Finished", "Unissued"], indexType=str,
        metricType=Metric, indexedRows=int, pendingRows=int, totalRows=int, failReason=str,
    )],
    "vectors/insert": _answer("Inserted", insertCount=int, insertIds=list[int | str]),
    "vectors/upsert": _answer("Upserted", upsertCount=int, upsertIds=list[int | str]),
    "vectors/search": list[Hit] | list[list[Hit]],  # one query, several queries
    "vectors/hybrid_search": list[Hit],
    "vectors/query": list[dict[str, Any]],
    "vectors/get": list[dict[str, Any]],
    "health": _answer("Health", status=Literal["ok"]),
}  # fmt: skip


class _Short(GenerateJsonSchema):
    """Leaves out titles, which only repeat the names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def describe(calls: dict[str, tuple[type[Body], int]]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 description.

    Parameters
    ----------
    calls : dict
        Path, such as `collections/create`, to the body's model and the status of success.
    """
    types = {path: model for path, (model, _) in calls.items()} | {f"{path} data": kind for path, kind in DATA.items()}
    schemas, definitions = TypeAdapter.json_schemas(
        [(name, "validation", TypeAdapter(kind)) for name, kind in types.items()],
        ref_template="#/components/schemas/{model}",
        schema_generator=_Short,
    )
    message = _object(message={"type": "string"})

    def response(path: str, why: str) -> dict[str, Any]:
        data = schemas.get((f"{path} data", "validation"))
        return {"description": why, "content": _json(_object(data=data) if data else message)}

    refusals = {str(status): {"$ref": f"#/components/responses/{status}"} for status in REFUSALS}
    posts = {
        path: {
            "operationId": path.replace("/", "_"),
            "tags": [path.split("/")[0]],
            "requestBody": {"required": True, "content": _json(schemas[path, "validation"])},
            "responses": {str(status): response(path, "done"), **refusals},
        }
        for path, (_, status) in calls.items()
    }
    health = {"200": response("health", "the engine works"), "410": refusals["410"], "503": refusals["503"]}
    this = {"200": {"description": "this description", "content": _json({"type": "object"})}}
    gets = {"health": health, "openapi.json": this}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Memora, the local one",
            "version": "1",
            "description": "Vector search. Whole numbers are written without a point: 2, not 2.0.",
        },
        "security": [{"ApiKey": []}],
        "paths": {f"/{path}": {"post": post} for path, post in posts.items()}
        | {f"/{path}": {"get": {"security": [], "responses": responses}} for path, responses in gets.items()},
        "components": {
            "schemas": definitions["$defs"],
            "responses": {
                str(status): {"description": why, "content": _json(message)} for status, why in REFUSALS.items()
            },
            "securitySchemes": {"ApiKey": {"type": "apiKey", "in": "header", "name": "Api-Key"}},
        },
    }


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
