"""A real Milvus server for the tests: Milvus standalone 2.3.5, whose binary the package `milvus` carries."""

import os
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from unittest.mock import patch

STARTS = 3  # Milvus 2.3.5 crashes now and then while it reads its settings
START_SECONDS = 600  # some 8 on an idle machine; nothing waits for this when all is well
# Strongly consistent reads wait for the next clock tick (200 ms by default), loads for coordinators' rounds (1 s).
FASTER = {
    "proxy.timeTickInterval": 20,
    "queryCoord.checkInterval": 50,
    "queryCoord.checkChannelInterval": 50,
    "queryCoord.checkSegmentInterval": 50,
    "queryCoord.distPullInterval": 50,
    "indexCoord.scheduler.interval": 50,
    "common.session.ttl": 600,  # a server that gets no processor for so many seconds (60 by default) gives up and ends
}
# The package has no setting for etcd's two ports, and without this a second server on the machine dies of them.
ETCD = """
listen-client-urls: http://127.0.0.1:{client}
advertise-client-urls: http://127.0.0.1:{client}
listen-peer-urls: http://127.0.0.1:{peer}
initial-advertise-peer-urls: http://127.0.0.1:{peer}
initial-cluster: default=http://127.0.0.1:{peer}
"""


def why_not() -> str:
    """Say why no Milvus server can be started here; an empty text means that it can."""
    try:
        import milvus  # noqa: F401
        import pymilvus  # noqa: F401
    except ImportError as error:
        return f"{error}: the package milvus has wheels for Linux on x86-64 only"
    return ""


@contextmanager
def milvus_server(folder: Path, *, guarded: bool = False) -> Iterator[str]:
    """Start a server whose data lies in `folder`, yield its URL, and stop it.

    A guarded one wants a token, `root:Milvus`; the other takes any, and none.

    It takes some 8 seconds to start, 250 MB of memory and 450 MB on disk. It listens on every interface of the
    machine, whatever its settings say.
    """
    for attempt in range(STARTS):
        server = _begin(folder / f"start {attempt}", guarded)
        try:
            _wait(server, folder / f"start {attempt}" / "logs")
            break
        except RuntimeError:
            _end(server)
            if attempt == STARTS - 1:
                raise
    try:
        yield f"http://{server.server_address}:{server.listen_port}"
    finally:
        _end(server)


def _begin(folder: Path, guarded: bool) -> Any:
    from milvus import MilvusServer, MilvusServerConfig

    ports = _free_ports(3)
    folder.mkdir(parents=True)
    etcd = folder / "etcd.yaml"
    etcd.write_text(ETCD.format(client=ports[0], peer=ports[1]))
    config = MilvusServerConfig(data_dir=str(folder), proxy_port=ports[2])
    server = MilvusServer(config, wait_for_started=False)  # it would wait minutes for one that is dead
    settings = {**FASTER, "common.security.authorizationEnabled": guarded}
    ours = {name.upper().replace(".", "_"): str(value).lower() for name, value in settings.items()}
    ours["ETCD_CONFIG_PATH"] = str(etcd)
    # The server's environment is ours. Ours stays as it is: to add to it while an engine's threads read it may crash.
    with patch.object(os, "environ", {**os.environ, **ours}):
        server.start()
    return server


def _end(server: Any) -> None:
    """Kill a server, whose data nobody needs; the package alone would wait four seconds, too few on a busy machine."""
    server.server_proc.kill()
    server.server_proc.wait()
    server.stop()


def _wait(server: Any, logs: Path) -> None:
    until = monotonic() + START_SECONDS
    while monotonic() < until and server.server_proc.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{server.webservice_port}/healthz", timeout=5) as answer:
                if b"OK" in answer.read():
                    return
        except (urllib.error.URLError, ConnectionError):
            pass
        sleep(0.1)
    said = "".join(path.read_text(errors="replace")[-2000:] for path in sorted(logs.glob("milvus-std*.log")))
    raise RuntimeError(f"the Milvus server does not start (exit status {server.server_proc.poll()}): {said}")


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports
