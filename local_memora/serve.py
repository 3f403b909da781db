"""Serve the application over HTTP, to this machine unless more is asked for, and lose no answer when stopped.

tornado reads requests and sends answers in one loop, so an idle or slow client costs a connection and no thread. The
application itself runs in threads.
"""

import asyncio
import logging
import os
import re
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http import HTTPStatus
from tempfile import SpooledTemporaryFile, gettempdir
from typing import Any, cast

import orjson
from tornado import httputil
from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters, HTTP1ServerConnection
from tornado.iostream import IOStream, SSLIOStream
from tornado.wsgi import WSGIContainer
from werkzeug import Response
from werkzeug.wsgi import FileWrapper

from local_memora.app import GONE, MAX_BODY, TOO_LARGE
from local_memora.contract.errors import ApiError

HOST = "127.0.0.1"
IDLE_SECONDS = 120  # a client that neither sends nor takes anything for so long loses its connection
STALLED_SECONDS = 10  # the same while the server stops
DRAIN_SECONDS = 30  # a stopped server waits no longer than this for requests in progress
CONNECTIONS = 500  # with more, the connection that has been quiet for longest is closed
FILES = 8192  # open files that we ask of the system; macOS allows 256 otherwise
PAUSE_SECONDS = 0.5  # a 429 is sent so much later: who asks again at once would keep the server busy with refusals
BACKLOG = 128  # connections that the system holds until we take them
MB = 1 << 20
MAX_READ = 1024 * MB  # a body that is too large is read to its end, up to here, before it is refused
log = logging.getLogger(__name__)


class Server(httputil.HTTPServerConnectionDelegate):
    """A WSGI application behind a socket.

    Parameters
    ----------
    application : callable
        The WSGI application; it is called from several threads at once.
    listener : socket.socket
        A bound socket, as `bind` returns it. It listens from now on.
    threads : int
        How many requests may be in the application at the same time.
    knows : callable
        Tells whether an `Api-Key` is valid. The body of a request without one is not kept: it will be refused.
    share : int
        How many connections one key may have; with more, its quietest is closed.
    tls : ssl.SSLContext, optional
        Serves over HTTPS with this certificate.

    Raises
    ------
    ApiError
        503 where another program already listens on this port.
    """

    def __init__(
        self,
        application: Any,
        listener: socket.socket,
        threads: int,
        knows: Callable[[str], bool],
        *,
        share: int = CONNECTIONS,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        with _opening(listener.getsockname()):
            listener.listen(BACKLOG)
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        self.url = f"http{'s' if tls else ''}://{HOST}:{self.port}"
        self.application, self.knows, self._share, self._tls = application, knows, share, tls
        self.threads = ThreadPoolExecutor(threads)
        self.environ = WSGIContainer(application, self.threads).environ
        self.answering: set[_Exchange] = set()  # requests that are here and not fully answered
        self.draining = self.closed = False
        self._connections = most_connections()
        self._listener = listener
        self._open: dict[object, _Exchange] = {}  # each open connection and its latest request
        self._stopping = False
        self._warned = -60.0

    def stop(self) -> None:
        """Make `run` end. A signal handler may call this, as it takes no lock."""
        self._stopping = True

    def run(self) -> int:
        """Answer requests until `stop` is called, then those in progress.

        Returns
        -------
        int
            The number of requests still unanswered after DRAIN_SECONDS. Their threads keep running until os._exit.
        """
        return asyncio.run(self._serve())

    def start_request(self, server_conn: object, request_conn: httputil.HTTPConnection) -> "_Exchange":
        """Prepare for a connection's next request; tornado calls this."""
        before = self._open.get(server_conn)
        self._open[server_conn] = _Exchange(self, cast(HTTP1Connection, request_conn), before.key if before else "")
        return self._open[server_conn]

    def on_close(self, server_conn: object) -> None:
        """Forget a connection; tornado calls this."""
        self._open.pop(server_conn, None)

    def has_room(self, key: str, newest: "_Exchange") -> bool:
        """Make room for one more connection of a key, and return whether there was any."""
        others = [exchange for exchange in self._open.values() if exchange.key == key and exchange is not newest]
        return len(others) < self._share or self._close_quietest(others)

    async def _serve(self) -> int:
        accepting = asyncio.create_task(self._accept())
        while not self._stopping and not accepting.done():
            self._close_quiet(IDLE_SECONDS)
            await asyncio.sleep(0.1)
        for _ in range(BACKLOG + 20):  # each turn of the loop takes a waiting connection and reads from others
            await asyncio.sleep(0)
        accepting.cancel()
        with suppress(asyncio.CancelledError):
            await accepting
        self._listener.close()
        self.draining = True
        deadline = time.monotonic() + DRAIN_SECONDS
        while (busy := len(self._busy())) and time.monotonic() < deadline:
            self._close_quiet(STALLED_SECONDS)
            await asyncio.sleep(0.05)
        self.closed = True
        for exchange in self._open.values():
            exchange.stream.close()
        for _ in range(20):  # tornado needs a few turns to notice
            await asyncio.sleep(0)
        return busy

    async def _accept(self) -> None:
        parameters = HTTP1ConnectionParameters(max_body_size=MAX_READ)
        while True:
            try:
                connection, _ = await asyncio.get_running_loop().sock_accept(self._listener)
            except OSError as error:  # too many open files: without a pause this loop would only spin
                self._warn(error)
                await asyncio.sleep(0.01 if self._close_quietest(self._open.values()) else 0.5)
                continue
            if len(self._open) >= self._connections:
                self._close_quietest(self._open.values())
            try:
                stream = self._stream(connection)
            except OSError:  # the client has left already
                connection.close()
                continue
            HTTP1ServerConnection(stream, parameters, context=stream).start_serving(self)
            await asyncio.sleep(0)  # let others work, however many clients connect

    def _stream(self, connection: socket.socket) -> IOStream:
        if self._tls is None:
            return IOStream(connection)
        return SSLIOStream(self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False))

    def _warn(self, error: OSError) -> None:
        if time.monotonic() - self._warned >= 60:
            self._warned = time.monotonic()
            log.warning("new connections have to wait: %s (logged once a minute)", error)

    def _busy(self) -> set["_Exchange"]:
        return self.answering | {exchange for exchange in self._open.values() if exchange.begun}

    def _close_quiet(self, seconds: float) -> None:
        for exchange in self._open.values():
            if not exchange.working and time.monotonic() - exchange.moved > seconds:
                exchange.stream.close()

    def _close_quietest(self, among: Iterable["_Exchange"]) -> bool:
        quiet = [exchange for exchange in among if not exchange.working]
        if quiet:
            min(quiet, key=lambda exchange: exchange.moved).stream.close()
        return bool(quiet)


class _Exchange(httputil.HTTPMessageDelegate):
    """One request and its answer; tornado calls the public methods."""

    def __init__(self, server: Server, connection: HTTP1Connection, key: str) -> None:
        self.stream = cast(IOStream, connection.context)
        self.moved = time.monotonic()  # when the client last sent or took something
        self.begun = False  # the headers are here
        self.working = False  # the application has it
        self.key = key  # of the connection's latest request, if it is valid
        self._gone = False  # the client has left
        self._server, self._connection = server, connection
        self._length = 0
        self._body = SpooledTemporaryFile(max_size=MB)  # noqa: SIM115 - closed with the answer
        self._no_room: OSError | None = None

    def headers_received(self, start_line: Any, headers: httputil.HTTPHeaders) -> Awaitable[None] | None:
        """Refuse at once what has no valid length, or one beyond MAX_READ."""
        self.begun, self.moved = True, time.monotonic()
        self._request = httputil.HTTPServerRequest(connection=self._connection, start_line=start_line, headers=headers)
        key = headers.get("Api-Key", "")
        self.key = key if self._server.knows(key) else ""
        length = headers.get("Content-Length", "0")
        if not re.fullmatch(r"[0-9]{1,18}", length):
            refusal = _message(HTTPStatus.BAD_REQUEST, "the Content-Length must be the body's number of bytes")
        elif int(length) > MAX_READ:
            refusal = _message(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LARGE)
        elif self.key and not self._server.has_room(self.key, self):
            refusal = _message(HTTPStatus.TOO_MANY_REQUESTS, "this key has too many connections: close some")
            refusal.headers["Retry-After"] = "1"
        else:
            return None
        return self._send(refusal, last=True)

    def data_received(self, chunk: bytes) -> None:
        """Keep this part of the body, or only count its bytes if the request will be refused.

        An answer before the body's end would reach the client as a broken connection. So a body that is too large is
        read to its end, and then the application refuses it by its length.
        """
        self.moved = time.monotonic()
        self._length += len(chunk)
        if self.key and self._length <= MAX_BODY and not self._no_room:
            try:
                self._body.write(chunk)
            except OSError as error:
                self._no_room = error

    def finish(self) -> None:
        """Answer: the request is complete."""
        if not self._server.closed:
            self.working = True
            self._server.answering.add(self)
            self._task = asyncio.create_task(self._answer())

    def on_connection_close(self) -> None:
        """Forget the request: the client left before it was complete."""
        self.begun = False
        self._close_body()

    async def _answer(self) -> None:
        self._connection.set_close_callback(self._left)
        try:
            answer = await asyncio.get_running_loop().run_in_executor(self._server.threads, self._ask)
            if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS and not self._server.draining:
                await asyncio.sleep(PAUSE_SECONDS)
            self.working, self.moved = False, time.monotonic()
            await self._send(answer)
        finally:
            self.begun = self.working = False
            self._server.answering.discard(self)
            self._close_body()

    def _left(self) -> None:
        self._gone = True

    def _close_body(self) -> None:
        with suppress(OSError):  # there was no room to write the last bytes, which nobody needs
            self._body.close()

    def _ask(self) -> Response:
        """Ask the application, in a thread."""
        try:
            self._body.seek(0)
        except OSError as error:
            self._no_room = error
        if self._no_room:
            text = f"no room for the request's body in {gettempdir()} ({self._no_room.strerror}): make room there"
            return _message(HTTPStatus.INSUFFICIENT_STORAGE, text)
        try:
            self._request.host = HOST  # WSGIContainer fails on a header like `Host: a:b`
            self._request.headers.pop("Transfer-Encoding", None)  # the length is known now
            environ = self._server.environ(self._request) | {
                "CONTENT_LENGTH": str(self._length),
                "REMOTE_ADDR": HOST,
                GONE: lambda: self._gone,
                "wsgi.input": self._body,
                "wsgi.file_wrapper": lambda file, _: FileWrapper(file, MB),
            }
            return Response.from_app(self._server.application, environ)
        except Exception:
            log.exception("%s failed", self._request.path)
            return _message(HTTPStatus.INTERNAL_SERVER_ERROR, "the local Memora failed; its log says more")

    async def _send(self, answer: Response, *, last: bool = False) -> None:
        """Send an answer; the last one of a connection tells the client so, and closes it."""
        last = last or self._server.draining
        headers = httputil.HTTPHeaders({"Server": "memora", "Date": httputil.format_timestamp(time.time())})
        for name, value in answer.headers:
            headers.add(name, value)
        if last:
            headers["Connection"] = "close"
        status = HTTPStatus(answer.status_code)
        start = httputil.ResponseStartLine("HTTP/1.1", status, status.phrase)
        parts = (part[begin : begin + MB] for part in answer.iter_encoded() for begin in range(0, len(part), MB))
        try:
            await self._connection.write_headers(start, headers, next(parts, b""))
            for part in parts:
                self.moved = time.monotonic()
                await self._connection.write(part)
            self._connection.finish()
        except OSError:  # the client has left, or a file can't be read to its end
            last = True
        finally:
            answer.close()
        if last:
            self.stream.close()


def _message(status: HTTPStatus, text: str) -> Response:
    return Response(orjson.dumps({"message": text}), status, content_type="application/json")


def run_until_stopped(server: Server, ready: str, *, with_stdin: bool = False) -> None:
    """Print that it is ready, and serve until Ctrl-C or SIGTERM; exit with 1 where requests stay unanswered.

    Parameters
    ----------
    server : Server
        What serves.
    ready : str
        What to print.
    with_stdin : bool
        Whether the end of standard input stops it, too.
    """

    def stop(number: int, frame: Any) -> None:
        # A second Ctrl-C ends it at once. A second SIGTERM does not: make passes on one that its children got too.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        server.stop()

    def stop_with_stdin() -> None:
        with suppress(OSError):  # a closed one has ended
            while os.read(0, MB):  # sys.stdin has a lock, which Python would wait for when it ends
                pass
        server.stop()

    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):  # the last one is Ctrl-Break on Windows, where SIGTERM never comes
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), stop)
    if with_stdin:
        threading.Thread(target=stop_with_stdin, daemon=True).start()
    print(ready, flush=True)  # who reads it may stop us at once
    if left := server.run():
        print(f"Stopped after {DRAIN_SECONDS} s with {left} requests unanswered.", file=sys.stderr, flush=True)
        os._exit(1)  # their threads would keep the process


def bind(port: int, host: str = HOST) -> socket.socket:
    """Return a socket on a port of this machine; it does not listen yet.

    Parameters
    ----------
    port : int
        0 for any free one.
    host : str
        The address that clients reach: this machine's loopback, or `0.0.0.0` for all that it has.

    Raises
    ------
    ApiError
        503 where the port is taken, or this user may not use it.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if os.name != "nt":  # a restart gets the port at once; on Windows this would share the port with other programs
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        with _opening((host, port)):
            listener.bind((host, port))
    except ApiError:
        listener.close()
        raise
    return listener


@contextmanager
def _opening(address: tuple[str, int]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        host, port = address
        why = f"port {port} of {host} can't be opened ({error.strerror or error})"
        raise ApiError(503, f"{why}: choose another with --port, 0 picks a free one") from None


def most_connections() -> int:
    """Raise this process's limit of open files, and return how many connections may be open at once.

    Connections may take half of the files, so that the engine always has the other half.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return CONNECTIONS
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return min(CONNECTIONS, max(soft, wanted) // 2)
