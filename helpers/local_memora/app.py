"""The REST contract as one WSGI application: key, project, JSON, statuses, and a message for every failure."""

import hmac
import logging
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import orjson
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from helpers.local_memora import schema
from helpers.local_memora.errors import ApiError
from helpers.local_memora.service import CATALOGUE, Service

MAX_BODY = 64 * 1024 * 1024  # bytes: about 8,000 rows of 384 numbers
log = logging.getLogger(__name__)

# path -> (body, method of Service, status)
VERBS: dict[str, tuple[type[schema.Body], Callable[[Service, Any], Any], int]] = {
    "collections/create": (schema.Create, Service.create_collection, 201),
    "collections/list": (schema.Body, Service.list_collections, 200),
    "collections/has": (schema.OnCollection, Service.has_collection, 200),
    "collections/describe": (schema.OnCollection, Service.describe_collection, 200),
    "collections/drop": (schema.OnCollection, Service.drop_collection, 200),
    "collections/load": (schema.OnCollection, Service.load_collection, 200),
    "collections/get_stats": (schema.OnCollection, Service.stats, 200),
    "indexes/create": (schema.CreateIndexes, Service.create_indexes, 201),
    "indexes/list": (schema.OnCollection, Service.list_indexes, 200),
    "indexes/describe": (schema.OnIndex, Service.describe_index, 200),
    "indexes/drop": (schema.OnIndex, Service.drop_index, 200),
    "vectors/insert": (schema.Store, Service.insert, 200),
    "vectors/upsert": (schema.Store, Service.upsert, 200),
    "vectors/search": (schema.Search, Service.search, 200),
    "vectors/query": (schema.Query, Service.query, 200),
    "vectors/get": (schema.Get, Service.get, 200),
    "vectors/delete": (schema.Delete, Service.delete, 200),
}
NOT_YET = {
    "collections": ("rename", "release", "get_load_state"),
    "partitions": ("create", "drop", "has", "list", "load", "release", "get_stats"),
    "vectors": ("hybrid_search",),
}


def create_app(home: Path, api_key: str, projects: Collection[str] | None = None) -> Flask:
    """Build the application on a folder.

    Parameters
    ----------
    home : Path
        Where everything is stored; made where it is missing.
    api_key : str
        The key a request must carry in its `Api-Key` header.
    projects : collection of str, optional
        The projects this key opens; any by default. Projects never see each other's collections.

    Returns
    -------
    flask.Flask
        A WSGI application, for httpx.WSGITransport or any WSGI server.
    """
    from helpers.local_memora.engines.lance import LanceEngine  # LanceDB takes a second to import

    home.mkdir(parents=True, exist_ok=True)
    service = Service(home, LanceEngine(home / "lance"))
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False  # Flask would answer OPTIONS, and a doubled slash, in HTML
    app.url_map.merge_slashes = False

    @app.post("/<resource>/<verb>")
    def call(resource: str, verb: str) -> Response:
        given = request.headers.get("Api-Key", "")
        if not hmac.compare_digest(given.encode(), api_key.encode()):
            raise ApiError(401, "the Api-Key header is missing or holds another key")
        if not (home / CATALOGUE).is_file():
            raise ApiError(410, "the local Memora's data was removed while it was open: restart the kernel")
        if verb in NOT_YET.get(resource, ()):
            raise ApiError(501, f"the local Memora does not do {resource}/{verb} yet")
        if f"{resource}/{verb}" not in VERBS:
            raise ApiError(404, f"there is no call {resource}/{verb}")
        model, method, status = VERBS[f"{resource}/{verb}"]
        body = schema.parse(model, _json_object())
        if projects is not None and body.project_id not in projects:
            raise ApiError(403, f"this key does not open the project {body.project_id!r}")
        answer = method(service, body)
        return _json({"message": answer} if isinstance(answer, str) else {"data": answer}, status)

    @app.errorhandler(ApiError)
    def refused(error: ApiError) -> Response:
        return _json({"message": error.message}, error.status)

    @app.errorhandler(HTTPException)
    def not_understood(error: HTTPException) -> Response:
        messages = {
            404: f"there is no call {request.path}",
            405: f"{request.path} takes POST, not {request.method}",
            413: f"the request is larger than {MAX_BODY >> 20} MB: send fewer rows at a time",
        }
        return _json({"message": messages.get(error.code or 0, error.description)}, error.code or 500)

    @app.errorhandler(Exception)
    def failed(error: Exception) -> Response:
        log.exception("%s failed", request.path)  # the trace is for the log, never for the client
        return _json({"message": f"the local Memora failed ({type(error).__name__}); its log says more"}, 500)

    return app


def _json_object() -> dict[str, Any]:
    try:
        body = orjson.loads(request.get_data(cache=False))
    except orjson.JSONDecodeError as error:
        raise ApiError(400, f"the body is no JSON: {error}") from None
    if not isinstance(body, dict):
        raise ApiError(400, "the body must be a JSON object: {...}")
    return body


def _json(answer: dict[str, Any], status: int) -> Response:
    content = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(content, status, content_type="application/json")
