"""Pictures on the web: what servers answer, and where a learner must not be led."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from helpers.images import ImageError, open_image
from helpers.images import web as fetching
from tests.images.samples import MUG


class Pictures(BaseHTTPRequestHandler):
    """A web server with every kind of answer that a learner meets."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append(self.path)
        self.server.told = self.headers
        {
            "/mug.jpg": lambda: self.answer(200, MUG.read_bytes()),
            "/page": lambda: self.answer(200, b"<!doctype html><p>not found, but politely"),
            "/moved": lambda: self.answer(302, b"", Location="/mug.jpg"),
            "/loop": lambda: self.answer(302, b"", Location="/loop"),
            "/to-file": lambda: self.answer(302, b"", Location=f"file://{MUG}"),
            "/to-ftp": lambda: self.answer(302, b"", Location="ftp://127.0.0.1/mug.jpg"),
            "/to-another": lambda: self.answer(
                302, b"", Location=f"http://127.0.0.2:{self.server.server_port}/mug.jpg"
            ),
            "/to-name": lambda: self.answer(302, b"", Location=f"http://localhost:{self.server.server_port}/mug.jpg"),
            "/forbidden": lambda: self.answer(403, b""),
            "/error": lambda: self.answer(500, b""),
            "/endless": self.endless,
            "/silent": lambda: self.server.stop.wait(60) or self.answer(200, MUG.read_bytes()),
            "/drip": self.drip,
            "/cut": self.cut,
            "/reset": self.reset,
        }.get(self.path, lambda: self.answer(404, b""))()

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def body_in_pieces(self, piece: bytes, seconds: float) -> None:
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        while not self.server.stop.wait(seconds):
            try:
                self.wfile.write(piece)
            except OSError:  # the client has seen enough
                self.server.given_up.set()
                return

    def endless(self) -> None:
        self.body_in_pieces(b"\xff" * 1_000_000, 0)

    def drip(self) -> None:
        self.body_in_pieces(b"\xff", 0.05)

    def cut(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        self.wfile.write(MUG.read_bytes()[:3000])
        self.close_connection = True

    def reset(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.server.seen.wait(60)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        socket.close(self.connection.detach())
        self.close_connection = True
        self.server.gone.set()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    """Return a server on this machine, from which pictures may be fetched."""
    monkeypatch.setenv(fetching.ALLOW_PRIVATE, "1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pictures)
    server.asked, server.stop, server.given_up = [], threading.Event(), threading.Event()
    server.seen, server.gone = threading.Event(), threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.stop.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_picture_on_the_web_is_the_same_as_its_file(web):
    assert np.array_equal(np.asarray(open_image(f"{web.url}/mug.jpg")), np.asarray(open_image(MUG)))
    assert open_image(f"{web.url}/mug.jpg".replace("http:", "HTTP:")).size == (320, 320)


def test_a_site_is_told_who_asks(web):
    """Some sites refuse programs that hide what they are."""
    open_image(f"{web.url}/mug.jpg")
    assert web.told["User-Agent"].startswith("memora-image-search")


def test_blanks_around_a_pasted_address_are_left_out(web):
    assert open_image(f" {web.url}/mug.jpg\n").size == (320, 320)


def test_a_redirect_on_the_web_is_followed(web):
    assert open_image(f"{web.url}/moved").size == (320, 320)
    assert web.asked == ["/moved", "/mug.jpg"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/nothing-here.jpg", "the server answered 404: check the address"),
        ("/error", "the server answered 500: try again later"),
        ("/forbidden", "the server answered 403: save the picture with a browser, and pass the file"),
        ("/page", "a web page: pass the address of the picture itself"),
        ("/loop", "redirect"),
        ("/to-file", "unsupported protocol"),
        ("/to-ftp", "unsupported protocol"),
        ("/cut", "can't be fetched"),
    ],
)
def test_what_a_server_answers_instead_of_a_picture_is_reported(web, path, reason):
    with pytest.raises(ImageError) as caught:
        open_image(web.url + path)
    assert caught.value.name == web.url + path
    assert reason.lower() in caught.value.reason.lower()


def test_a_server_that_hangs_up_while_it_is_checked_is_reported_as_others_are(web, monkeypatch):
    def proxies() -> dict[str, str]:  # asked for when the answer has begun, before the server's own address
        web.seen.set()
        assert web.gone.wait(60)
        return {}

    monkeypatch.setattr(fetching.urllib.request, "getproxies", proxies)
    with pytest.raises(ImageError, match="can't be fetched"):
        open_image(f"{web.url}/reset")


def test_a_picture_without_end_is_given_up_at_the_size_limit(web, monkeypatch):
    monkeypatch.setattr(fetching, "MAX_BYTES", 3 * 1024 * 1024)
    with pytest.raises(ImageError, match="larger than 3 MB"):
        open_image(f"{web.url}/endless")
    assert web.given_up.wait(600), "the rest was still being fetched"


def test_a_server_that_never_answers_is_given_up_at_the_time_limit(web, monkeypatch):
    """It would send a picture in the end."""
    monkeypatch.setattr(fetching, "TIMEOUT", 0.5)
    with pytest.raises(ImageError, match=r"can't be fetched .*are you online\?"):
        open_image(f"{web.url}/silent")


def test_a_server_that_sends_a_byte_now_and_then_is_given_up_too(web, monkeypatch):
    monkeypatch.setattr(fetching, "MAX_SECONDS", 1.0)
    with pytest.raises(ImageError, match="not complete after 1 s"):
        open_image(f"{web.url}/drip")


def test_the_limits_that_guard_a_learner_are_set_at_all():
    assert fetching.TIMEOUT.connect <= 10
    assert fetching.TIMEOUT.read <= 15
    assert fetching.MAX_SECONDS <= 60
    assert fetching.MAX_BYTES <= 50 * 1024 * 1024


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9/mug.jpg", "http://no-such-host.invalid/a.jpg", "http://[::1", "http://a..b/", "https://a\nb/"],
)
def test_an_address_where_nobody_answers_is_told(url, monkeypatch):
    monkeypatch.setenv(fetching.ALLOW_PRIVATE, "1")
    with pytest.raises(ImageError) as caught:
        open_image(url)
    assert caught.value.name == url
    assert "can't be fetched" in caught.value.reason


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/mug.jpg", f"file://{MUG}", f"FILE://{MUG}", "s3://b/a.jpg"])
def test_only_web_addresses_are_fetched_never_files_by_url(url):
    with pytest.raises(ImageError, match="only http:// and https://"):
        open_image(url)


# This machine and private networks


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]",
        "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "[fe80::1]", "[fd00::1]", "224.0.0.1",
    ],
)  # fmt: skip
def test_an_address_of_this_machine_or_a_private_network_is_refused(host, monkeypatch):
    """Who uses a page that is served from here must not read what only this machine can reach."""
    monkeypatch.delenv(fetching.ALLOW_PRIVATE, raising=False)
    with pytest.raises(ImageError, match=f"private network.*{fetching.ALLOW_PRIVATE}=1"):
        open_image(f"http://{host}:9/a.jpg")


@pytest.mark.parametrize("path", ["/to-another", "/to-name"])
def test_a_redirect_into_a_private_network_is_refused_at_once(web, path, monkeypatch):
    """127.0.0.1 stands for a site on the web here."""
    real = fetching._check
    monkeypatch.delenv(fetching.ALLOW_PRIVATE)
    monkeypatch.setattr(fetching, "_check", lambda address: address == "127.0.0.1" or real(address))
    monkeypatch.setattr(socket, "getaddrinfo", named({"localhost": "127.0.0.3"}))
    with pytest.raises(ImageError, match="private network"):
        open_image(web.url + path)
    assert web.asked == [path]


def test_a_name_that_comes_to_mean_this_machine_is_refused_too(web, monkeypatch):
    monkeypatch.delenv(fetching.ALLOW_PRIVATE)
    monkeypatch.setattr(fetching.urllib.request, "getproxies", dict)
    monkeypatch.setattr(socket, "getaddrinfo", named({"site.invalid": "93.184.216.34"}, {"site.invalid": "127.0.0.1"}))
    with pytest.raises(ImageError, match="private network"):
        open_image(web.url.replace("127.0.0.1", "site.invalid") + "/mug.jpg")
    assert web.asked == ["/mug.jpg"]


def named(checked: dict[str, str], fetched: dict[str, str] | None = None) -> Callable:
    """Return a name service; one that says something else when a connection is made, where `fetched` is given."""
    real = socket.getaddrinfo

    def look_up(host: object, port: object, *rest: object, **options: object) -> list:
        name = host.decode() if isinstance(host, bytes) else str(host)
        return real((checked if port is None else fetched or checked).get(name, name), port, *rest, **options)

    return look_up
