"""The kit on a JupyterHub: three users, each with a Memora of their own. A real hub, its proxy and real kernels."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from helpers.settings import ROOT

USERS = ("ada", "grace", "linus")
TOKEN = uuid.uuid4().hex
AUTH = {"Authorization": f"token {TOKEN}"}
PATIENCE = 600  # seconds; a busy machine takes its time
MORE = """
import os
c.JupyterHub.bind_url = "http://127.0.0.1:{public}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub}"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy}"
c.ConfigurableHTTPProxy.command = [{command!r}]
c.JupyterHub.db_url = "sqlite://"
c.JupyterHub.services = [{{"name": "tester", "api_token": "{token}"}}]
scopes = ["admin:users", "admin:servers", "access:servers"]
c.JupyterHub.load_roles = [{{"name": "tester", "services": ["tester"], "scopes": scopes}}]
c.Spawner.args += ["--allow-root"]
c.Spawner.start_timeout = c.Spawner.http_timeout = {patience}
c.Spawner.notebook_dir = {folder!r}
"""
# What a student runs: a collection in the Memora that connect() finds.
CODE = """
from helpers.connect import connect, memora_home
from helpers.memora.models import Collection, ElementTypeParams, Field, Index, IndexConfig, Schema
client = connect()
two = ElementTypeParams(dim=2)
fields = [Field("id", "Int64", is_primary=True), Field("v", "FloatVector", element_type_params=two)]
index = Index("COSINE", "v", "by_v", IndexConfig("FLAT"))
client.collections.create(collection=Collection("of_NAME", schema=Schema(fields), indexes=[index]))
client.vectors.insert(collection_name="of_NAME", data=[{"id": 1, "v": [1.0, 0.0]}])
found = client.vectors.search(collection_name="of_NAME", data=[1.0, 0.0], anns_field="v", limit=1)["data"]
print("HOME", memora_home().name, client.collections.list()["data"], found[0]["id"])
"""


def command(folder: Path) -> tuple[str, str]:
    """Return the commands of the hub and of its proxy, from an environment of their own."""
    hub, proxy = os.environ.get("JUPYTERHUB"), os.environ.get("CONFIGURABLE_HTTP_PROXY")
    if hub and proxy:
        return hub, proxy
    if not shutil.which("npm"):
        pytest.skip("the hub's proxy needs npm, which is not installed")
    python = folder / "environment" / "bin" / "python"
    for words in (
        [sys.executable, "-m", "venv", folder / "environment"],
        [python, "-m", "pip", "install", "--quiet", "jupyterhub", "jupyterlab"],
        ["npm", "install", "--silent", "--prefix", folder, "configurable-http-proxy"],
    ):
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"JupyterHub can't be installed here: {done.stderr.strip()[-200:]}")
    return str(python.parent / "jupyterhub"), str(folder / "node_modules" / ".bin" / "configurable-http-proxy")


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, Path]]:
    """Return a client of a running hub, with the kit's own settings for hubs, and the folder of the students' data."""
    folder = tmp_path_factory.mktemp("hub")
    program, proxy = command(folder)
    kernels = folder / "kit" / ".venv" / "share" / "jupyter" / "kernels" / "python3"  # as `make setup` makes it
    kernels.mkdir(parents=True)
    launch = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": launch, "display_name": "Python 3 (ipykernel)", "language": "python"}
    (kernels / "kernel.json").write_text(json.dumps(spec | {"env": {"PYTHONPATH": str(ROOT)}}))
    public, inner, api = free_ports(3)
    ports = {"public": public, "hub": inner, "proxy": api}
    more = MORE.format(**ports, command=proxy, token=TOKEN, folder=str(folder), patience=PATIENCE)
    config = (ROOT / "docs" / "teaching" / "jupyterhub_config.py").read_text("utf-8")
    (folder / "config.py").write_text(config + more)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MEMORA_", "JUPYTER"))}
    paths = {"MEMORA_KIT": str(folder / "kit"), "MEMORA_DATA": str(folder / "data"), "MEMORA_HUB_PASSWORD": TOKEN}
    path = {"PATH": os.pathsep.join([str(Path(program).parent), os.environ["PATH"]])}
    with (folder / "log").open("w") as log:
        words = [program, "-f", str(folder / "config.py")]
        process = subprocess.Popen(words, cwd=folder, env=kept | paths | path, stdout=log, stderr=log)
    with httpx.Client(base_url=f"http://127.0.0.1:{public}", headers=AUTH, timeout=PATIENCE) as client:
        try:
            wait_for(lambda: answers(client), folder, process)
            yield client, folder
        finally:
            process.terminate()
            process.wait(PATIENCE)


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/hub/api/users").status_code == 200
    except httpx.TransportError:
        return False


def wait_for(ready, folder: Path, process: subprocess.Popen) -> None:
    end = time.monotonic() + PATIENCE
    while not ready():
        assert process.poll() is None and time.monotonic() < end, (folder / "log").read_text()[-3000:]
        time.sleep(0.5)


async def run_code(client: httpx.Client, user: str, code: str) -> str:
    """Run code in a new kernel of a user's server and return what it printed."""
    kernel = client.post(f"/user/{user}/api/kernels", json={"name": "python3"}).raise_for_status().json()["id"]
    url = f"{client.base_url}/user/{user}/api/kernels/{kernel}/channels".replace("http://", "ws://").replace(
        "//user", "/user"
    )
    channel = await websocket_connect(HTTPRequest(url, headers=AUTH))
    content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False, "stop_on_error": True}
    header = {
        "msg_id": uuid.uuid4().hex,
        "msg_type": "execute_request",
        "username": user,
        "session": "s",
        "version": "5.3",
    }
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    await channel.write_message(json.dumps(message))
    said = ""
    while True:
        got = json.loads(await asyncio.wait_for(channel.read_message(), PATIENCE))
        if got["parent_header"].get("msg_id") != header["msg_id"]:
            continue
        if got["msg_type"] == "stream":
            said += got["content"]["text"]
        if got["msg_type"] == "error":
            said += "\n".join(got["content"]["traceback"])
        if got["msg_type"] == "execute_reply":
            break
    channel.close()
    client.delete(f"/user/{user}/api/kernels/{kernel}")
    return said


def test_three_users_of_a_hub_each_have_a_memora_of_their_own(hub: tuple[httpx.Client, Path]) -> None:
    """In one environment, at the same time: each sees its own collection only."""
    client, folder = hub
    for user in USERS:
        client.post(f"/hub/api/users/{user}").raise_for_status()
        client.post(f"/hub/api/users/{user}/server").raise_for_status()
    end = time.monotonic() + PATIENCE
    while not all(client.get(f"/hub/api/users/{user}").json()["servers"].get("", {}).get("ready") for user in USERS):
        assert time.monotonic() < end, (folder / "log").read_text()[-3000:]
        time.sleep(0.5)

    async def together() -> list[str]:
        return await asyncio.gather(*(run_code(client, user, CODE.replace("NAME", user)) for user in USERS))

    for user, said in zip(USERS, asyncio.run(together()), strict=True):
        assert f"HOME {user} ['of_{user}'] 1" in said, said
    assert sorted(path.name for path in (folder / "data").iterdir()) == sorted(USERS)


def test_nobody_comes_in_without_the_password(hub: tuple[httpx.Client, Path]) -> None:
    client, _ = hub
    with httpx.Client(base_url=client.base_url, timeout=PATIENCE) as stranger:
        page = stranger.get("/hub/login")
        secret = {"username": "ada", "password": "wrong", "_xsrf": stranger.cookies.get("_xsrf", path="/hub/") or ""}
        assert stranger.post("/hub/login", data=secret).status_code in (401, 403)
        assert page.status_code == 200
        assert stranger.get("/user/ada/api/kernels").status_code in (302, 403)
