"""The REST contract as one WSGI application: key, project, JSON, statuses, and a message for every failure."""

import hmac
import logging
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

import orjson
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from local_memora import openapi
from local_memora.contract import bodies, schema
from local_memora.contract.errors import ApiError, unwritable, without_password
from local_memora.contract.packed import PACKED, TAKES, unpack
from local_memora.engines import Engine
from local_memora.verbs import rows_and_search, structure
from local_memora.verbs.service import Service

MAX_BODY = 64 * 1024 * 1024  # bytes: about 8,000 rows of 384 numbers
GONE = "memora.gone"  # in a request's WSGI environment: a function that says whether the client has left
TOO_LARGE = f"the request is larger than {MAX_BODY >> 20} MB: send fewer rows at a time"
log = logging.getLogger(__name__)

# path -> (body, function that answers it, status of success)
VERBS: dict[str, tuple[type[bodies.Body], Callable[[Service, Any], Any], int]] = {
    "collections/create": (bodies.Create, structure.create_collection, 201),
    "collections/list": (bodies.Body, structure.list_collections, 200),
    "collections/has": (bodies.OnCollection, structure.has_collection, 200),
    "collections/describe": (bodies.OnCollection, structure.describe_collection, 200),
    "collections/drop": (bodies.OnCollection, structure.drop_collection, 200),
    "collections/rename": (bodies.Rename, structure.rename_collection, 200),
    "collections/load": (bodies.OnCollection, structure.load_collection, 200),
    "collections/release": (bodies.OnCollection, structure.release_collection, 200),
    "collections/get_load_state": (bodies.OnCollection, structure.load_state, 200),
    "collections/get_stats": (bodies.OnCollection, structure.collection_stats, 200),
    "partitions/create": (bodies.OnPartition, structure.create_partition, 200),
    "partitions/drop": (bodies.OnPartition, structure.drop_partition, 200),
    "partitions/has": (bodies.OnPartition, structure.has_partition, 200),
    "partitions/list": (bodies.OnCollection, structure.list_partitions, 200),
    "partitions/load": (bodies.OnPartitions, structure.load_partitions, 200),
    "partitions/release": (bodies.OnPartitions, structure.release_partitions, 200),
    "partitions/get_stats": (bodies.OnPartition, structure.partition_stats, 200),
    "indexes/create": (bodies.CreateIndexes, structure.create_indexes, 201),
    "indexes/list": (bodies.OnCollection, structure.list_indexes, 200),
    "indexes/describe": (bodies.OnIndex, structure.describe_index, 200),
    "indexes/drop": (bodies.OnIndex, structure.drop_index, 200),
    "vectors/insert": (bodies.Store, rows_and_search.insert, 200),
    "vectors/upsert": (bodies.Store, rows_and_search.upsert, 200),
    "vectors/search": (bodies.Search, rows_and_search.search, 200),
    "vectors/hybrid_search": (bodies.HybridSearch, rows_and_search.hybrid_search, 200),
    "vectors/query": (bodies.Query, rows_and_search.query, 200),
    "vectors/get": (bodies.Get, rows_and_search.get, 200),
    "vectors/delete": (bodies.Delete, rows_and_search.delete, 200),
}

Admit = Callable[[bodies.Body, int], None]


class Gate(Protocol):
    """Who may come in, and what for.

    Attributes
    ----------
    open : collection of str
        Paths that need no key.
    """

    open: Collection[str]

    def knows(self, key: str) -> bool:
        """Return whether a key opens anything."""

    def trusts(self, key: str) -> bool:
        """Return whether the holder of a key may read what is wrong with anybody's collections."""

    def call(self, key: str, path: str) -> AbstractContextManager[Admit]:
        """Surround one call; the function given refuses what the key may not do, by the body and its bytes."""


class OneKey:
    """The gate with one key, which opens the same projects to all who have it."""

    open: Collection[str] = ("/health",)

    def __init__(self, key: str, projects: Collection[str] | None) -> None:
        self._key, self._projects = key.encode(), projects

    def knows(self, key: str) -> bool:
        """Return whether this is the key, in a time that shows nothing of it."""
        return hmac.compare_digest(key.encode(), self._key)

    trusts = knows

    @contextmanager
    def call(self, key: str, path: str) -> Iterator[Admit]:
        """Give what refuses other projects with 403."""
        yield self._admit

    def _admit(self, body: bodies.Body, size: int) -> None:
        if self._projects is not None and body.project_id not in self._projects:
            raise ApiError(403, f"this key does not open the project {body.project_id!r}")


def create_app(
    engine: str | Path,
    api_key: str,
    projects: Collection[str] | None = None,
    *,
    token: str | None = None,
    home: Path | None = None,
    at_once: int = 8,
) -> Flask:
    """Build the application.

    Parameters
    ----------
    engine : str or Path
        A folder for the embedded engine, created if missing; or a Milvus server's URL, such as `http://host:19530`.
    api_key : str
        The key that a request must carry in its `Api-Key` header.
    projects : collection of str, optional
        The projects that the key opens; all by default. Projects never see each other's collections.
    token : str, optional
        For a Milvus server that asks for one: `user:password`, or an API key.
    home : Path, optional
        The folder of the locks that make writers take turns; the engine's folder by default. With a URL it is needed.
    at_once : int
        How many requests are worked on at the same time, without those that wait for their turn to write.

    Returns
    -------
    flask.Flask
        A WSGI application, for httpx.WSGITransport or any WSGI server.

    Raises
    ------
    ApiError
        503 if the Milvus server does not answer; 501 if the package `pymilvus` is missing.
    """
    return application(Service(home or Path(engine), open_engine(engine, token), at_once), OneKey(api_key, projects))


def application(service: Service, gate: Gate) -> Flask:
    """Build the application on a service, behind a gate."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False  # else Flask answers OPTIONS, and a doubled slash, in HTML
    app.url_map.merge_slashes = False

    def key() -> str:
        return request.headers.get("Api-Key", "")

    @app.before_request
    def only_with_a_key() -> None:
        if request.path not in gate.open and not gate.knows(key()):
            raise ApiError(401, "the Api-Key header is missing or holds another key")

    @app.post("/<resource>/<verb>")
    def call(resource: str, verb: str) -> Response:
        path = f"{resource}/{verb}"
        with gate.call(key(), path) as admit:
            if path not in VERBS:
                raise ApiError(404, f"there is no call {path}")
            model, answer, status = VERBS[path]
            with service.places:
                if request.environ.get(GONE, lambda: False)():
                    raise ApiError(503, "the client left before its call was begun")
                body = schema.parse(model, json_object())
                admit(body, request.content_length or 0)
                answered = answer(service, body)
        return _json({"message": answered} if isinstance(answered, str) else {"data": answered}, status)

    @app.get("/health")
    def health() -> Response:
        try:
            service.engine.check()
        except ApiError as error:
            if gate.trusts(key()):
                raise
            raise ApiError(error.status, "the engine can't work now; with the key this says why") from None
        return _json({"data": {"status": "ok"}}, 200)

    @app.get("/openapi.json")
    def description() -> Response:
        with gate.call(key(), "openapi.json"):
            return _json(openapi.describe({path: (model, status) for path, (model, _, status) in VERBS.items()}), 200)

    @app.errorhandler(ApiError)
    def refused(error: ApiError) -> Response:
        response = _json({"message": error.message}, error.status)
        if error.retry_after:
            response.headers["Retry-After"] = str(error.retry_after)
        return response

    @app.errorhandler(HTTPException)
    def not_understood(error: HTTPException) -> Response:
        takes = "GET" if request.path in ("/health", "/openapi.json") else "POST"
        messages = {
            404: f"there is no call {request.path}",
            405: f"{request.path} takes {takes}, not {request.method}",
            413: TOO_LARGE,
        }
        return _json({"message": messages.get(error.code or 0, error.description)}, error.code or 500, error)

    @app.errorhandler(Exception)
    def failed(error: Exception) -> Response:
        if told := unwritable(error):
            log.warning("%s: %s", request.path, error)
            return refused(told)
        log.exception("%s failed", request.path)  # the trace goes to the log, never to the client
        return _json({"message": f"the local Memora failed ({type(error).__name__}); its log says more"}, 500)

    return app


def is_url(engine: str | Path) -> bool:
    """Return whether an engine is the URL of a Milvus server; otherwise it is a folder.

    Raises
    ------
    ApiError
        400 if it is neither: a URL of something else, or a server's address without `http://`.
    """
    name = str(engine)
    if re.match(r"(https?|tcp)://", name):
        return True
    if re.match(r"\w+://|[\w.-]{2,}:\d+$", name):
        shown = without_password(name)
        rule = "which starts with http://, https:// or tcp://"
        raise ApiError(400, f"{shown!r} is not the URL of a Milvus server, {rule}")
    return False


def open_engine(engine: str | Path, token: str | None = None) -> Engine:
    """Return the engine on a folder, or on a Milvus server's URL; see `create_app`."""
    if is_url(engine):
        try:
            from local_memora.engines.milvus.engine import MilvusEngine  # an optional extra
        except ImportError as error:
            raise ApiError(501, f"a Milvus server needs the package pymilvus ({error}): pip install pymilvus") from None
        return MilvusEngine(str(engine), token)
    from local_memora.engines.lance.engine import LanceEngine  # LanceDB takes a second to import

    return LanceEngine(Path(engine))


def json_object() -> dict[str, Any]:
    """Return the body of the request, or refuse it with 400."""
    content = request.get_data(cache=False)
    try:
        body = unpack(content) if request.content_type == PACKED else orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise ApiError(400, f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise ApiError(400, "the body must be a JSON object: {...}")
    return body


def _json(answer: dict[str, Any], status: int, error: HTTPException | None = None) -> Response:
    content = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    response = Response(content, status, content_type="application/json")
    response.headers[TAKES] = PACKED
    if isinstance(error, MethodNotAllowed):
        response.headers["Allow"] = ", ".join(error.valid_methods or [])
    return response
