"""The contract described for machines, from the very models that check the bodies (OpenAPI 3.1)."""

from typing import Any

from pydantic.json_schema import models_json_schema

from helpers.local_memora.bodies import Body

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
}


def describe(calls: dict[str, tuple[type[Body], int]]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 description.

    Parameters
    ----------
    calls : dict
        Path, such as `collections/create`, to the body's model and the status of success.
    """
    models = [(model, "validation") for model in dict.fromkeys(model for model, _ in calls.values())]
    _, definitions = models_json_schema(models, by_alias=True, ref_template="#/components/schemas/{model}")
    message = {"type": "object", "required": ["message"], "properties": {"message": {"type": "string"}}}
    answer = {"type": "object", "anyOf": [{"required": ["data"]}, {"required": ["message"]}]}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Memora, the local one", "version": "1"},
        "security": [{"ApiKey": []}],
        "paths": {f"/{path}": {"post": _operation(path, model, status)} for path, (model, status) in calls.items()}
        | {f"/{path}": {"get": _reading(path)} for path in ("health", "openapi.json")},
        "components": {
            "schemas": {**definitions["$defs"], "Refusal": message, "Answer": answer},
            "securitySchemes": {"ApiKey": {"type": "apiKey", "in": "header", "name": "Api-Key"}},
        },
    }


def _operation(path: str, model: type[Body], status: int) -> dict[str, Any]:
    return {
        "operationId": path.replace("/", "_"),
        "tags": [path.split("/")[0]],
        "summary": (model.__doc__ or path).strip(),
        "requestBody": {"required": True, "content": _json(model.__name__)},
        "responses": {
            str(status): {"description": "done", "content": _json("Answer")},
            **{str(code): {"description": why, "content": _json("Refusal")} for code, why in REFUSALS.items()},
        },
    }


def _reading(path: str) -> dict[str, Any]:
    responses = {"200": {"description": "this application's state, or its description"}}
    if path == "health":
        responses |= {
            code: {"description": REFUSALS[int(code)], "content": _json("Refusal")} for code in ("410", "503")
        }
    return {"operationId": path.split(".")[0], "security": [], "responses": responses}


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
