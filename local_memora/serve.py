"""The application under waitress, for this machine only, with a shutdown that loses no answer.

waitress reads requests and sends answers in one loop and runs the application in threads. Its own shutdown leaves the
loop at once, and with it every answer that is not sent yet; so the loop is turned here.
"""

import logging
import os
import socket
import time
from typing import Any

import orjson
import waitress
from waitress import wasyncore
from waitress.buffers import OverflowableBuffer
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.task import ErrorTask, WSGITask

from local_memora.app import MAX_BODY

HOST = "127.0.0.1"
DRAIN_SECONDS = 30  # the longest that requests in progress keep a stopped server
STALLED_SECONDS = 10  # a client that neither sends nor takes anything for so long keeps it no longer
IDLE_SECONDS = 120  # then a connection without a request is closed
MAX_READ = 1 << 30  # bytes: up to here a body that is too large is read to its end before it is refused


class Server:
    """A WSGI application behind a socket.

    Parameters
    ----------
    application : callable
        What answers, called from several threads at once.
    listener : socket.socket
        A bound socket, as `bind` returns it; from here on connections are taken.
    threads : int
        How many requests are worked on at the same time.

    Raises
    ------
    OSError
        Another program was faster and listens on this port.
    """

    def __init__(self, application: Any, listener: socket.socket, threads: int) -> None:
        # A queue is no fault: a client with more connections than we have threads waits for its turn.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        self._server = waitress.create_server(
            application,
            sockets=[listener],
            threads=threads,
            channel_timeout=IDLE_SECONDS,
            max_request_body_size=MAX_READ,
            recv_bytes=1 << 16,
            ident="memora",
        )
        self._server.channel_class = _Channel
        self._server.draining = False
        self._stopping = False
        self.url = f"http://{HOST}:{listener.getsockname()[1]}"

    def stop(self) -> None:
        """Let `run` come to its end. A signal handler may call this: it takes no lock."""
        self._stopping = True
        self._server.pull_trigger()

    def run(self) -> int:
        """Answer requests until `stop` is called, then those in progress.

        Returns
        -------
        int
            How many connections still waited for an answer when DRAIN_SECONDS were over.
        """
        while not self._stopping:
            self._turn(1.0)
        self._hear_out()
        self._server.draining = True
        wasyncore.dispatcher.close(self._server)  # the listening socket only: the server's own close ends the loop too
        deadline = time.monotonic() + DRAIN_SECONDS
        while (busy := self._close_idle()) and time.monotonic() < deadline:
            self._turn(0.1)
        if not busy:
            self._server.task_dispatcher.shutdown()
        return busy

    def _turn(self, seconds: float) -> None:
        # poll, where there is one: select fails for good once a file descriptor is above 1023
        wasyncore.loop(timeout=seconds, use_poll=True, map=self._server._map, count=1)

    def _hear_out(self) -> None:
        """Take the connections, and read the requests, that were on their way when the signal came."""
        for _ in range(100):  # as many as waitress takes; each turn takes one, and reads from those taken before
            before = len(self._server.active_channels)
            self._turn(0)
            if len(self._server.active_channels) <= before:
                break

    def _close_idle(self) -> int:
        """Close connections on which nothing is to be answered, and return how many are left."""
        busy = 0
        for channel in list(self._server.active_channels.values()):
            if channel.at_work():
                busy += 1
            else:
                channel.handle_close()
        return busy


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


class _Body(OverflowableBuffer):
    """Keeps a body that the application may take; of a larger one only the length.

    A client that is still sending would see a broken connection instead of an answer. So a body that is too large is
    read, but not kept, and the application refuses it by its length, in its own words.
    """

    _dropped = 0

    def __len__(self) -> int:
        return super().__len__() + self._dropped

    def append(self, s: bytes) -> None:
        if len(self) + len(s) > MAX_BODY:
            self._dropped += len(s)
        else:
            super().append(s)


class _Parser(HTTPRequestParser):
    def parse_header(self, header_plus: bytes) -> None:
        super().parse_header(header_plus)
        if self.body_rcv is not None:
            self.body_rcv.buf = _Body(self.adj.inbuf_overflow)


class _Task(WSGITask):
    def build_response_header(self) -> bytes:
        if self.channel.server.draining:
            self.set_close_on_finish()  # tells the client not to send its next request here
        return super().build_response_header()


class _Refusal(ErrorTask):
    """What waitress refuses before the application sees it, in the contract's form."""

    def execute(self) -> None:
        error = self.request.error
        self.status = f"{error.code} {error.reason}"
        message = f"this is no HTTP request that can be answered here: {error.body}"
        if error.code == 413:
            message = f"the request is larger than {MAX_BODY >> 20} MB: send fewer rows at a time"
        body = orjson.dumps({"message": message})
        self.response_headers.append(("Content-Type", "application/json"))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Channel(HTTPChannel):
    """One connection."""

    task_class = _Task
    error_task_class = _Refusal
    parser_class = _Parser

    def at_work(self) -> bool:
        """Return whether a request is half read, worked on, or answered and not sent yet."""
        # A thread puts its answer into the buffer first and takes its request off the list then: asked in this
        # order, one of the two is seen.
        if self.requests:
            return True
        waiting = self.request is not None or self.total_outbufs_len > 0
        return waiting and time.time() - self.last_activity < STALLED_SECONDS
