"""What tests of extractors share: networks that cost nothing, a hub of our own, and no way to any other."""

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants

from helpers.features import extractors
from helpers.features.weights import HUB, save_untrained_dinov2
from tests.features.models import COMMIT, SMALL, save_untrained_clip


@pytest.fixture(scope="package")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a DINOv2 of 32 numbers, untrained."""
    folder = tmp_path_factory.mktemp("models") / "tiny-dinov2"
    save_untrained_dinov2(folder, hidden_size=32, num_attention_heads=2, num_hidden_layers=2)
    return folder


@pytest.fixture(scope="package")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a CLIP of 16 numbers, untrained."""
    folder = tmp_path_factory.mktemp("models") / "tiny-clip"
    save_untrained_clip(folder, SMALL, dim=16)
    return folder


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return an empty folder that is the hub's cache meanwhile; nothing loaded before is remembered."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("MEMORA_EXTRACTOR", "")
    extractors._load.cache_clear()
    yield tmp_path / "hub"
    extractors._load.cache_clear()


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Refuse every connection and every look-up of a host, and remember that it was tried."""
    tried: list[str] = []

    def refuse(*arguments: object, **_: object) -> None:
        tried.append(repr(arguments[-1]))
        raise OSError("no network in this test")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    yield tried
    time.sleep(0.2)  # for what a library may do in a thread of its own
    assert tried == []


class Hub(BaseHTTPRequestHandler):
    """A model hub that serves one folder as one of the models in HUB."""

    def do_HEAD(self):
        self.send_file(with_body=False)

    def do_GET(self):
        self.send_file(with_body=True)

    def send_file(self, with_body: bool) -> None:
        name = self.path.removeprefix(f"/{self.server.model.repository}/resolve/main/")
        if name not in self.server.model.files or (with_body and name == self.server.broken):
            self.send_error(404)
        else:
            content = (self.server.folder / name).read_bytes()
            self.send_response(200)
            self.send_header("ETag", f'"{name}-{len(content)}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if with_body:
                self.server.fetched.append(name)
                self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(tiny: Path, hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.model, server.folder, server.broken, server.fetched = HUB["dinov2-small"], tiny, "", []
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE  # made from ENDPOINT when the hub's client is imported
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + template[template.index("/{repo_id}") :])
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
