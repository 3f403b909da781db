"""Describe the contract as OpenAPI: bodies from the models that check them, answers from the table here."""

from typing import Any, get_args

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from local_memora.contract.bodies import Body
from local_memora.contract.schema import DataType, Metric

REFUSALS = {
    400: "the request is wrong: the message says what, and where",
    401: "the Api-Key header is missing or holds another key",
    403: "the key does not open this project",
    404: "no such collection, partition or index",
    409: "the name or the key is taken",
    410: "stored data is gone, damaged, or not in the catalogue: the message says what helps",
    413: "the body is too large, or more than the key may store",
    429: "the key asks for too much at once; Retry-After says after how many seconds to send it again",
    501: "known to Memora, but not to this engine: the message names the one that can",
    503: "the engine is busy or can't be reached",
    507: "nothing can be written: the disk is full, or the folder is read-only",
}


Schema = dict[str, Any]


def _object(*, more: bool = False, optional: tuple[str, ...] = (), **properties: Schema) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": more}


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


TEXT, WHOLE, YES_OR_NO, NUMBER = ({"type": name} for name in ("string", "integer", "boolean", "number"))
KEY: Schema = {"type": ["integer", "string"]}
TYPE, METRIC = {"enum": [*get_args(DataType)]}, {"enum": [*get_args(Metric)]}
STATE = {"enum": ["LoadStateLoaded", "LoadStateNotLoad"]}
PAIRS = _list(_object(key=TEXT, value=TEXT))
FIELD = _object(
    name=TEXT, id=WHOLE, type=TYPE, elementDataType=TYPE, params=PAIRS, primaryKey=YES_OR_NO, autoId=YES_OR_NO,
    partitionKey=YES_OR_NO, description=TEXT, optional=("elementDataType",),
)  # fmt: skip
HITS = _list(_object(more=True, distance=NUMBER, id=KEY))  # and the fields asked for
ROWS = _list({"type": "object"})
DATA: dict[str, Schema] = {  # call -> what `data` is; a call that is not here answers a message
    "collections/list": _list(TEXT),
    "collections/has": _object(has=YES_OR_NO),
    "collections/describe": _object(
        collectionName=TEXT, collectionID=WHOLE, description=TEXT, autoID=YES_OR_NO, enableDynamicField=YES_OR_NO,
        fields=_list(FIELD), indexes=_list(_object(fieldName=TEXT, indexName=TEXT, metricType=METRIC)), load=STATE,
        partitionNum=WHOLE, properties=PAIRS,
    ),
    "collections/get_load_state": _object(loadState=STATE, loadProgress=WHOLE),
    "collections/get_stats": _object(rowCount=WHOLE),
    "partitions/has": _object(has=YES_OR_NO),
    "partitions/list": _list(TEXT),
    "partitions/get_stats": _object(rowCount=WHOLE),
    "indexes/list": _list(TEXT),
    "indexes/describe": _list(_object(
        fieldName=TEXT, indexName=TEXT, indexState={"enum": ["Finished", "Unissued"]}, indexType=TEXT,
        metricType=METRIC, indexedRows=WHOLE, pendingRows=WHOLE, totalRows=WHOLE, failReason=TEXT,
    )),
    "vectors/insert": _object(insertCount=WHOLE, insertIds=_list(KEY)),
    "vectors/upsert": _object(upsertCount=WHOLE, upsertIds=_list(KEY)),
    "vectors/search": {"anyOf": [HITS, _list(HITS)]},  # one query, several queries
    "vectors/hybrid_search": HITS,
    "vectors/query": ROWS,
    "vectors/get": ROWS,
    "health": _object(status={"const": "ok"}),
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
    schemas, definitions = TypeAdapter.json_schemas(
        [(path, "validation", TypeAdapter(model)) for path, (model, _) in calls.items()],
        ref_template="#/components/schemas/{model}",
        schema_generator=_Short,
    )
    message = _object(message=TEXT)

    def response(path: str, why: str) -> dict[str, Any]:
        return {"description": why, "content": _json(_object(data=DATA[path]) if path in DATA else message)}

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
    this = {"200": {"description": "this description", "content": _json({"type": "object"})}, "401": refusals["401"]}
    gets = {"/health": {"security": [], "responses": health}, "/openapi.json": {"responses": this}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Memora, the local one",
            "version": "1",
            "description": "Vector search. Whole numbers are written without a point: 2, not 2.0.",
        },
        "security": [{"ApiKey": []}],
        "paths": {f"/{path}": {"post": post} for path, post in posts.items()}
        | {path: {"get": get} for path, get in gets.items()},
        "components": {
            "schemas": definitions["$defs"],
            "responses": {
                str(status): {"description": why, "content": _json(message)} for status, why in REFUSALS.items()
            },
            "securitySchemes": {"ApiKey": {"type": "apiKey", "in": "header", "name": "Api-Key"}},
        },
    }


def _json(schema: Schema) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
