"""A real Milvus server for the tests: Milvus standalone 2.3.5, whose binary the package `milvus` carries."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Strongly consistent reads wait for the next clock tick (200 ms by default), loads for coordinators' rounds (1 s).
FASTER = {"proxy.timeTickInterval": 20, "queryCoord.checkInterval": 50, "queryCoord.distPullInterval": 50}


def why_not() -> str:
    """Say why no Milvus server can be started here; an empty text means that it can."""
    try:
        import milvus  # noqa: F401
        import pymilvus  # noqa: F401
    except ImportError as error:
        return f"{error}: the package milvus has wheels for Linux on x86-64 only"
    return ""


@contextmanager
def milvus_server(folder: Path) -> Iterator[str]:
    """Start a server whose data lies in `folder`, yield its URL, and stop it.

    It takes some 10 seconds to start, 250 MB of memory and 450 MB on disk. It listens on every interface of the
    machine, whatever its settings say.
    """
    from milvus import MilvusServer, MilvusServerConfig

    config = MilvusServerConfig(data_dir=str(folder), proxy_port=_free_port())
    for name, milliseconds in FASTER.items():
        config.set(name, milliseconds)
    server = MilvusServer(config)
    try:
        server.start()
        yield f"http://{server.server_address}:{server.listen_port}"
    finally:
        server.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
