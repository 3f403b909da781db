"""The application under tornado, for this machine only, with a shutdown that loses no answer.

tornado reads requests and sends answers in one loop, so an idle or slow client costs a connection and no thread. The
application runs in threads.
"""

import asyncio
import hmac
import logging
import os
import re
import socket
import time
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http import HTTPStatus
from tempfile import SpooledTemporaryFile, gettempdir
from typing import Any, cast

import orjson
from tornado import httputil
from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters, HTTP1ServerConnection
from tornado.iostream import IOStream, StreamClosedError
from tornado.wsgi import WSGIContainer
from werkzeug import Response

from local_memora.app import GONE, MAX_BODY, TOO_LARGE

HOST = "127.0.0.1"
DRAIN_SECONDS = 30  # the longest that requests in progress keep a stopped server
STALLED_SECONDS = 10  # a client that neither sends nor takes anything for so long keeps it no longer
IDLE_SECONDS = 120  # a client that does neither for so long loses its connection while the server runs
CONNECTIONS = 500  # with more, the one that has been quiet for longest is closed
BACKLOG = 128  # connections that the system holds until we take them
MB = 1 << 20
MAX_READ = 1024 * MB  # up to here a body that is too large is read to its end before it is refused
log = logging.getLogger(__name__)


class Server(httputil.HTTPServerConnectionDelegate):
    """A WSGI application behind a socket.

    Parameters
    ----------
    application : callable
        What answers, called from several threads at once.
    listener : socket.socket
        A bound socket, as `bind` returns it; from here on connections are taken.
    threads : int
        How many requests may be in the application at the same time.
    key : str
        The body of a request without this `Api-Key` is not kept: the application refuses it.

    Raises
    ------
    OSError
        Another program was faster and listens on this port.
    """

    def __init__(self, application: Any, listener: socket.socket, threads: int, key: str) -> None:
        listener.listen(BACKLOG)
        listener.setblocking(False)
        self.url = f"http://{HOST}:{listener.getsockname()[1]}"
        self.application, self.key = application, key
        self.threads = ThreadPoolExecutor(threads)
        self.environ = WSGIContainer(application, self.threads).environ
        self.answering: set[_Exchange] = set()  # read to their ends, and not answered to their ends
        self.draining = self.closed = False
        self._listener = listener
        self._open: dict[object, _Exchange] = {}  # each connection's latest
        self._stopping = False
        self._told = -60.0

    def stop(self) -> None:
        """Let `run` come to its end. A signal handler may call this: it takes no lock."""
        self._stopping = True

    def run(self) -> int:
        """Answer requests until `stop` is called, then those in progress.

        Returns
        -------
        int
            How many requests were unanswered when DRAIN_SECONDS were over. Their threads go on: os._exit ends them.
        """
        return asyncio.run(self._serve())

    def start_request(self, server_conn: object, request_conn: httputil.HTTPConnection) -> "_Exchange":
        """Return who takes a connection's next request; tornado calls this."""
        self._open[server_conn] = _Exchange(self, cast(HTTP1Connection, request_conn))
        return self._open[server_conn]

    def on_close(self, server_conn: object) -> None:
        """Forget a connection; tornado calls this."""
        self._open.pop(server_conn, None)

    async def _serve(self) -> int:
        accepting = asyncio.create_task(self._accept())
        while not self._stopping and not accepting.done():
            self._close_quiet(IDLE_SECONDS)
            await asyncio.sleep(0.1)
        for _ in range(BACKLOG + 20):  # turns of the loop: one takes a connection that was on its way, a few read it
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
        for _ in range(20):  # turns in which tornado sees it
            await asyncio.sleep(0)
        return busy

    async def _accept(self) -> None:
        parameters = HTTP1ConnectionParameters(max_body_size=MAX_READ)
        while True:
            try:
                connection, _ = await asyncio.get_running_loop().sock_accept(self._listener)
            except OSError as error:  # too many files are open: a client that waits is taken when another has left
                self._warn(error)
                await asyncio.sleep(0.01 if self._close_quietest() else 0.5)
                continue
            if len(self._open) >= CONNECTIONS:
                self._close_quietest()
            stream = IOStream(connection)
            HTTP1ServerConnection(stream, parameters, context=stream).start_serving(self)
            await asyncio.sleep(0)  # however many come, requests are answered in between

    def _warn(self, error: OSError) -> None:
        if time.monotonic() - self._told >= 60:
            self._told = time.monotonic()
            log.warning("a connection has to wait: %s (said once a minute)", error)

    def _busy(self) -> set["_Exchange"]:
        return self.answering | {exchange for exchange in self._open.values() if exchange.begun}

    def _close_quiet(self, seconds: float) -> None:
        for exchange in self._open.values():
            if not exchange.working and time.monotonic() - exchange.moved > seconds:
                exchange.stream.close()

    def _close_quietest(self) -> bool:
        quiet = [exchange for exchange in self._open.values() if not exchange.working]
        if quiet:
            min(quiet, key=lambda exchange: exchange.moved).stream.close()
        return bool(quiet)


class _Exchange(httputil.HTTPMessageDelegate):
    """A request and its answer; tornado calls the public methods."""

    def __init__(self, server: Server, connection: HTTP1Connection) -> None:
        self.stream = cast(IOStream, connection.context)
        self.moved = time.monotonic()  # when the client last sent or took something
        self.begun = False  # the headers are here
        self.working = False  # the application has it
        self._gone = False  # the client has left
        self._server, self._connection = server, connection
        self._length = 0
        self._body = SpooledTemporaryFile(max_size=MB)  # noqa: SIM115 - closed with the answer
        self._no_room: OSError | None = None

    def headers_received(self, start_line: Any, headers: httputil.HTTPHeaders) -> Awaitable[None] | None:
        """Look at the headers: a length that is wrong, or beyond MAX_READ, is refused at once."""
        self.begun, self.moved = True, time.monotonic()
        self._request = httputil.HTTPServerRequest(connection=self._connection, start_line=start_line, headers=headers)
        self._keep = hmac.compare_digest(headers.get("Api-Key", "").encode(), self._server.key.encode())
        length = headers.get("Content-Length", "0")
        if not re.fullmatch(r"[0-9]{1,18}", length):
            return self._refuse(HTTPStatus.BAD_REQUEST, "the Content-Length must be the number of the body's bytes")
        return self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LARGE) if int(length) > MAX_READ else None

    def data_received(self, chunk: bytes) -> None:
        """Keep a part of the body; of one that will be refused only the length.

        A client that is still sending would see a broken connection instead of an answer. So a body that is too large
        is read, but not kept, and the application refuses it by its length, in its own words.
        """
        self.moved = time.monotonic()
        self._length += len(chunk)
        if self._keep and self._length <= MAX_BODY and not self._no_room:
            try:
                self._body.write(chunk)
            except OSError as error:
                self._no_room = error

    def finish(self) -> None:
        """Answer: the request is here to its end."""
        if not self._server.closed:
            self.working = True
            self._server.answering.add(self)
            self._task = asyncio.create_task(self._answer())

    def on_connection_close(self) -> None:
        """Forget the request: the client left before its end."""
        self.begun = False
        self._close_body()

    async def _answer(self) -> None:
        self._connection.set_close_callback(self._left)
        try:
            answer = await asyncio.get_running_loop().run_in_executor(self._server.threads, self._ask)
            self.working, self.moved = False, time.monotonic()
            await self._send(answer)
        except StreamClosedError:
            pass  # its client has left
        finally:
            self.begun = self.working = False
            self._server.answering.discard(self)
            self._close_body()

    def _left(self) -> None:
        self._gone = True

    def _close_body(self) -> None:
        with suppress(OSError):  # no room, again
            self._body.close()

    def _ask(self) -> Response:
        """Let the application answer, in a thread."""
        try:
            self._body.seek(0)
        except OSError as error:
            self._no_room = error
        if self._no_room:
            message = f"no room for the request's body in {gettempdir()} ({self._no_room.strerror}): make room there"
            return _told(HTTPStatus.INSUFFICIENT_STORAGE, message)
        try:
            self._request.headers.pop("Transfer-Encoding", None)  # the body is here, and so is its length
            environ = self._server.environ(self._request) | {
                "CONTENT_LENGTH": str(self._length),
                "REMOTE_ADDR": HOST,
                GONE: lambda: self._gone,
                "wsgi.input": self._body,
            }
            return Response.from_app(self._server.application, environ, buffered=True)
        except Exception:
            log.exception("%s failed", self._request.path)
            return _told(HTTPStatus.INTERNAL_SERVER_ERROR, "the local Memora failed; its log says more")

    async def _send(self, answer: Response) -> None:
        headers = httputil.HTTPHeaders({"Server": "memora", "Date": httputil.format_timestamp(time.time())})
        for name, value in answer.headers:
            headers.add(name, value)
        if self._server.draining:
            headers["Connection"] = "close"  # tells the client not to send its next request here
        status = HTTPStatus(answer.status_code)
        start = httputil.ResponseStartLine("HTTP/1.1", status, status.phrase)
        content = answer.get_data()
        await self._connection.write_headers(start, headers, content[:MB])
        for begin in range(MB, len(content), MB):
            self.moved = time.monotonic()
            await self._connection.write(content[begin : begin + MB])
        self._connection.finish()
        if self._server.draining:
            self.stream.close()

    async def _refuse(self, status: HTTPStatus, message: str) -> None:
        """Answer without reading on."""
        stream = self._connection.detach()
        answer = _told(status, message)
        answer.headers.update({"Server": "memora", "Connection": "close"})
        with suppress(StreamClosedError):
            head = f"HTTP/1.1 {status.value} {status.phrase}\r\n{answer.headers}"
            await stream.write(head.encode() + answer.get_data())
        stream.close()


def _told(status: HTTPStatus, message: str) -> Response:
    return Response(orjson.dumps({"message": message}), status, content_type="application/json")


def bind(port: int) -> socket.socket:
    """Return a socket that holds a port of this machine's loopback address and does not listen yet.

    Parameters
    ----------
    port : int
        0 for any free one.

    Raises
    ------
    OSError
        The port is taken, or not for us.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if os.name != "nt":  # after a restart the port is ours again at once; on Windows this would share it with others
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError:
        listener.close()
        raise
    return listener
