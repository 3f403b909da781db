"""The served Memora: what it prints is enough, what it refuses it explains, and stopping it loses no answer."""

import concurrent.futures
import contextlib
import errno
import http.client
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import helpers.connect
import helpers.settings
from helpers.connect import connect, local_client
from helpers.memora import AuthenticationError, InvalidRequestError, MemoraError, NotFoundError, UnavailableError
from helpers.memora.models import Collection
from helpers.settings import ROOT
from local_memora import create_app
from local_memora.__main__ import main
from local_memora.app import GONE
from local_memora.contract.bodies import OnCollection
from local_memora.contract.errors import unwritable
from local_memora.contract.schema import parse
from local_memora.engines.lance.engine import LanceEngine
from local_memora.verbs import service
from tests.local_memora.served import Served, command, served, started, surroundings

MB = 1 << 20
KEY = {"Api-Key": "of-the-other"}
PATIENCE = 600  # seconds; a busy machine takes its time; nothing waits for this when all is well
FOR_EVER = "serve.STALLED_SECONDS = serve.DRAIN_SECONDS = 3600"  # what keeps the server fails the test
# The same command with another application, so that a test decides how long an answer takes.
OTHER = """
import sys, time
from pathlib import Path
from local_memora import __main__ as command, serve

home = Path(sys.argv[1])

def wait(environ, start_response):
    name = environ["PATH_INFO"][1:]
    body = environ["wsgi.input"].read()
    (home / f"{name}.begun").touch()
    if name == "fault":
        raise RuntimeError("a fault of the application")
    while not (home / "go").exists() or (name == "left" and not environ["memora.gone"]()):
        time.sleep(0.01)
    answer = b"." * int(environ.get("HTTP_SIZE", 1)) + b"|" + body
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]

command.build = lambda *_: wait
CHANGES
sys.exit(command.main(["--port", "0", *sys.argv[2:]]))
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Return a served Memora for all tests that do not stop it; each works in a collection of its own."""
    with served(tmp_path_factory.mktemp("sérved home"), project=["one", "two"]) as process:
        yield process
        assert process.key not in process.log()
        assert process.stop() == 0
        assert "Traceback" not in process.log()


@contextlib.contextmanager
def waiting(home: Path, changes: str = "", *options: str) -> Iterator[Served]:
    words = [sys.executable, "-c", OTHER.replace("CHANGES", changes), str(home), *options]
    with started(words, {"MEMORA_API_KEY": KEY["Api-Key"]}) as process:
        yield process


def until(what: Callable[[], Any], seconds: float = PATIENCE) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


@contextlib.contextmanager
def another_writer(home: Path, project: str, name: str) -> Iterator[None]:
    """Have the turn to write to a collection, as another program would."""
    body = parse(OnCollection, {"project_id": project, "collectionName": name})
    with service.Service(home, LanceEngine(home), 1).turn(body):
        yield


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def connection(process: Served) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", process.port, timeout=PATIENCE)


def call(process: Served, path: str, **fields: Any) -> tuple[dict[str, str], bytes]:
    """Return headers and body of a call, for those who send bytes themselves."""
    body = json.dumps({"project_id": process.project, **fields}).encode()
    return {"Api-Key": process.key, "Content-Length": str(len(body))}, body


def half_sent(process: Served, path: str, headers: dict[str, str], body: bytes) -> http.client.HTTPConnection:
    """Send the first half of a request; the caller sends the rest."""
    line = connection(process)
    line.putrequest("POST", path)
    for name, value in headers.items():
        line.putheader(name, value)
    line.endheaders()
    line.send(body[: len(body) // 2])
    return line


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return what runs the command in this process, and returns the one line that it says."""

    def run(status: int, *words: str) -> str:
        assert main([*words]) == status
        said = capsys.readouterr()
        assert said.out == ""
        (line,) = said.err.splitlines()
        return line

    return run


def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, which is expected to come soon."""
    return subprocess.run(
        [sys.executable, "-m", "local_memora", *words],
        cwd=ROOT,
        env=surroundings(Path("/nonexistent")) | variables,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


# What it prints ------------------------------------------------------------------------------------------------


def test_stdout_has_the_three_lines_and_they_make_a_client(tmp_path):
    with served(tmp_path / "new" / "folder") as process:
        assert process.url.startswith("http://127.0.0.1:")
        assert process.project == "local"
        with process.client() as client:
            client.collections.create(collection=Collection("c", 2))
            client.vectors.insert(collection_name="c", data={"id": 1, "vector": [1, 0]})
            assert client.collections.list() == {"data": ["c"]}
        assert str(tmp_path / "new" / "folder") in process.log()
        assert process.key not in process.log()
        assert process.stop() == 0
        assert process.process.stdout.read() == ""
    assert (tmp_path / "new" / "folder" / "catalogue.sqlite").is_file()


def test_a_key_that_nobody_chose_is_another_each_time(tmp_path):
    with served(tmp_path) as one, served(tmp_path) as other:  # two processes may also share a folder
        assert len(one.key) == len(other.key) == 32
        assert one.key != other.key
        with pytest.raises(AuthenticationError):
            one.client(api_key=other.key).collections.list()


def test_what_is_in_the_environment_counts_and_options_win_over_it(tmp_path):
    variables = {"MEMORA_API_KEY": "from-outside", "MEMORA_PROJECT_ID": "museum"}
    with served(tmp_path, variables=variables) as process:
        assert (process.key, process.project) == ("from-outside", "museum")
        assert process.client().collections.list() == {"data": []}
    with served(tmp_path, variables=variables, key="mine", project="zoo") as process:
        assert (process.key, process.project) == ("mine", "zoo")
        with pytest.raises(AuthenticationError, match="does not open the project 'museum'"):
            process.client(project_id="museum").collections.list()


@pytest.mark.parametrize("name", ["MEMORA_ENGINE", "MEMORA_HOME"])
def test_the_folder_may_come_from_the_environment_too(tmp_path, name):
    other = {"MEMORA_ENGINE": "", "MEMORA_HOME": str(tmp_path / "not this one")}
    words = [sys.executable, "-m", "local_memora", "--port", "0"]
    with started(words, other | {name: str(tmp_path / "data")}) as process:
        assert process.client().collections.list() == {"data": []}
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_key_with_signs_comes_back_from_env_file_and_shell(tmp_path):
    key = 'a#b;c&d"e`f>g|h*i~(j'
    with served(tmp_path, key=key) as process:
        assert process.key == key  # read as .env is
    script = '"$@" > lines & until [ -s lines ]; do sleep 0.05; done; . ./lines; kill $!; printf %s "$MEMORA_API_KEY"'
    said = subprocess.run(
        ["sh", "-c", script, "sh", *command(tmp_path, key=key)],
        cwd=tmp_path,
        env=surroundings(tmp_path) | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert said.stdout == key


def test_connect_uses_it_where_the_three_lines_are_in_env(tmp_path, monkeypatch, capsys):
    for room in (helpers.settings, helpers.connect):
        monkeypatch.setattr(room, "ROOT", tmp_path)
    for name in helpers.connect.HOSTED:
        monkeypatch.delenv(name)
    with served(tmp_path / "data", project="museum") as process:
        lines = "".join(f"{name}={value}\n" for name, value in process.settings.items())
        (tmp_path / ".env").write_text(lines)
        client = connect()
        assert capsys.readouterr().out == f"Memora: project 'museum' at {process.url}\n"
        client.collections.create(collection=Collection("c", 2))
        assert process.client().collections.list() == {"data": ["c"]}
    assert not (tmp_path / "memora").exists()


def test_a_key_in_a_file_serves_and_a_key_among_the_options_warns(tmp_path):
    """Other users of the machine can read a command line."""
    (tmp_path / "key").write_text("from-a-file\n")
    with served(tmp_path / "data", **{"key-file": tmp_path / "key"}) as process:
        assert process.key == "from-a-file"
        assert process.client().collections.list() == {"data": []}
        assert "--key" not in process.log()
    with served(tmp_path / "data", key="mine") as process:
        assert "Other users of this machine can read --key" in process.log()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_new_data_folder_is_for_its_user_alone(tmp_path):
    with local_client(tmp_path / "new" / "home"):
        assert stat.S_IMODE((tmp_path / "new" / "home").stat().st_mode) == 0o700


# What it refuses -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--port", "65536"], "65536 is not in the range"),
        (["--port", "-1"], "-1 is not in the range"),
        (["--port", "http"], "'http' is not a valid integer"),
        (["--threads", "0"], "0 is not in the range"),
        (["--threads", "2.5"], "'2.5' is not a valid integer"),
        (["--project", "a b"], "'a b' is not a valid project name"),
        (["--project", "a", "--project", ""], "'' is not a valid project name"),
        (["--key", ""], "the API key is empty"),
        (["--key", "top secret"], "the API key is empty, or holds a space"),
        (["--key", "sécret"], "letter that no key may have"),
        (["--key", "secret\n"], "line break"),
        (["--key", "it's"], "which a .env file can't hold"),
        (["--key", "secret${HOME}"], "which a .env file can't hold"),
        (["--engine", ""], "--engine is empty"),
        (["--engine", "~nobody-of-this-name/data"], "can't be found"),
        (["--engine", "milvus://user:secret@host:19530"], "'milvus://host:19530' is not the URL of a Milvus server"),
        (["--engine", "localhost:19530"], "'localhost:19530' is not the URL of a Milvus server"),
        (["--colour", "red"], "No such option '--colour'"),
        (["--proj", "a"], "No such option '--proj'"),
        (["sing"], "No such command 'sing'"),
        (["--key", "secret", "--key-file", __file__], "leave one out"),
        (["--key-file", "/nonexistent/key"], "No such file"),
    ],
    ids=str,
)
def test_a_wrong_option_is_told_in_one_line(words, message, refused):
    line = refused(2, *words)
    assert line.startswith("python -m local_memora: ")
    assert message in line
    assert "secret" not in line


def test_a_wrong_name_in_the_environment_is_told_too(monkeypatch, refused):
    monkeypatch.setenv("MEMORA_PROJECT_ID", "a/b")
    assert "'a/b' is not a valid project name" in refused(2)


def test_a_folder_that_can_not_be_made_is_told_in_one_line(tmp_path, refused):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nowhere")):
        line = refused(1, "--port", "0", "--engine", str(folder))
        assert str(folder) in line
        assert "name another --engine" in line


def test_a_data_folder_that_holds_something_else_is_told_in_one_line(tmp_path, refused):
    (tmp_path / "catalogue.sqlite").write_text("this is no database, but long enough to be read as one" * 100)
    assert "not a database" in refused(1, "--port", "0", "--engine", str(tmp_path))


def test_a_missing_milvus_server_is_told_without_its_password(tmp_path):
    with socket.socket() as held:  # bound, and not listening: whoever connects is refused
        held.bind(("127.0.0.1", 0))
        url = f"http://user:secret@127.0.0.1:{held.getsockname()[1]}"
        done = run("--port", "0", "--engine", url, MEMORA_HOME=str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert "http://127.0.0.1:" in line
    assert "secret" not in line


def test_a_port_that_is_taken_is_told_in_one_line_and_no_folder_is_made(tmp_path, running):
    done = run("--port", str(running.port), "--engine", str(tmp_path / "new"))
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert f"port {running.port} of 127.0.0.1 can't be opened (Address already in use)" in line
    assert not (tmp_path / "new").exists()
    assert running.client().collections.has(collection_name="none") == {"data": {"has": False}}


def test_the_port_is_free_again_at_once(tmp_path):
    with served(tmp_path) as first:
        assert first.client().collections.list() == {"data": []}
        assert first.stop() == 0
    with served(tmp_path, port=first.port) as second:
        assert second.url == first.url


def test_it_listens_on_the_loopback_address_only(running):
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.2", running.port), timeout=5)


def test_a_wrong_key_and_a_foreign_project_get_authentication_errors(running):
    with pytest.raises(AuthenticationError, match="Api-Key"):
        running.client(api_key="another").collections.list()
    with pytest.raises(AuthenticationError, match="does not open the project 'three'"):
        running.client(project_id="three").collections.list()
    assert httpx.post(f"{running.url}/collections/list", json={"project_id": "one"}).status_code == 401


def test_without_the_key_only_the_health_check_answers(running):
    for method, path in (("GET", "/openapi.json"), ("GET", "/"), ("DELETE", "/collections/list"), ("POST", "/no/call")):
        assert httpx.request(method, running.url + path).status_code == 401
    assert httpx.get(f"{running.url}/health").json() == {"data": {"status": "ok"}}


def test_the_health_check_gives_reasons_only_with_the_key(tmp_path):
    with httpx.Client(transport=httpx.WSGITransport(create_app(tmp_path / "home", "k")), base_url="http://x") as http:
        shutil.rmtree(tmp_path / "home")
        with_key, without = http.get("/health", headers={"Api-Key": "k"}), http.get("/health")
    assert (with_key.status_code, without.status_code) == (410, 410)
    assert "was removed while it was open" in with_key.json()["message"]
    assert "was removed" not in without.json()["message"]


def test_two_projects_with_the_same_collection_name_do_not_see_each_other(running):
    clients = {name: running.client(project_id=name) for name in ("one", "two")}
    for number, (name, client) in enumerate(clients.items()):
        client.collections.create(collection=Collection("same", 2 + number))
        data = [{"id": n, "vector": [1] * (2 + number)} for n in range(3 + number)]
        client.vectors.insert(collection_name="same", data=data)
        assert client.project_id == name
    rows = {
        name: client.vectors.query(collection_name="same", filter="true", output_fields=["vector"])["data"]
        for name, client in clients.items()
    }
    assert {name: [len(row["vector"]) for row in found] for name, found in rows.items()} == {
        "one": [2] * 3,
        "two": [3] * 4,
    }
    clients["one"].collections.drop(collection_name="same")
    with pytest.raises(NotFoundError):
        clients["one"].collections.describe(collection_name="same")
    assert clients["two"].collections.get_stats(collection_name="same")["data"]["rowCount"] == 4


# Many and large ------------------------------------------------------------------------------------------------


def test_eight_clients_at_once_lose_no_row_and_get_their_own_answers(running):
    running.client().collections.create(collection=Collection("crowd", 2, metric_type="L2"))

    def work(number: int) -> None:
        with running.client() as client:
            for turn in range(6):
                ids = list(range(number * 1000 + turn * 20, number * 1000 + turn * 20 + 20))
                data = [{"id": n, "vector": np.array([number, n], "float32")} for n in ids]
                assert client.vectors.insert(collection_name="crowd", data=data)["data"]["insertIds"] == ids
                (hit,) = client.vectors.search(
                    collection_name="crowd", data=[number, ids[3]], anns_field="vector", limit=1
                )["data"]
                assert (hit["id"], hit["distance"]) == (ids[3], 0.0)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    rows = running.client().vectors.query(collection_name="crowd", filter="true")["data"]
    assert sorted(row["id"] for row in rows) == [number * 1000 + n for number in range(8) for n in range(120)]


@pytest.mark.parametrize(
    "start",
    [b"", b"POST /collections/list HTTP/1.1\r\nHost:", b"POST /a/b HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"],
    ids=["idle", "half a header", "half a body"],
)
def test_idle_and_slow_clients_without_a_key_keep_no_other_out(running, start):
    with contextlib.ExitStack() as lines:
        for _ in range(120):
            lines.enter_context(socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE)).sendall(start)
        assert running.client().collections.has(collection_name="none") == {"data": {"has": False}}


def test_the_quietest_connection_makes_room_for_a_new_one(tmp_path):
    (tmp_path / "go").touch()
    with waiting(tmp_path, "serve.CONNECTIONS = 3") as process, contextlib.ExitStack() as stack:
        lines = []
        for number in range(3):
            line = connection(process)
            line.request("POST", f"/{number}", b"", KEY)  # its answer says that it is known
            assert line.getresponse().read() == b".|"
            lines.append(stack.enter_context(contextlib.closing(line.sock)))
        assert httpx.post(f"{process.url}/new", headers=KEY, timeout=PATIENCE).content == b".|"
        lines[0].settimeout(PATIENCE)
        assert lines[0].recv(1) == b""
        lines[1].sendall(b"POST /again HTTP/1.1\r\nHost: x\r\nApi-Key: of-the-other\r\nContent-Length: 0\r\n\r\n")
        assert lines[1].recv(15) == b"HTTP/1.1 200 OK"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_idle_connections_leave_the_engine_its_files(tmp_path):
    """LanceDB opens each part of a table anew; a file that it can't open would fail the call."""
    limited = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (80, 80))
from local_memora.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
    words = [sys.executable, "-c", limited, *command(tmp_path)[3:]]
    with started(words) as process, process.client() as client, contextlib.ExitStack() as lines:
        client.collections.create(collection=Collection("c", 2))
        for _ in range(120):
            lines.enter_context(socket.create_connection(("127.0.0.1", process.port), timeout=PATIENCE))
        assert client.vectors.insert(collection_name="c", data={"id": 1, "vector": [1, 0]})["data"]["insertCount"] == 1
        assert client.vectors.query(collection_name="c", filter="true", output_fields=["id"])["data"] == [{"id": 1}]
        assert "Traceback" not in process.log()


@pytest.mark.parametrize(
    "error", [OSError(errno.EMFILE, "x"), RuntimeError("LanceError(IO): x (os error 24)")], ids=str
)
def test_too_many_open_files_are_reported_as_such(error):
    told = unwritable(error)
    assert (told.status, told.message.split(":")[0]) == (503, "too many files are open")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_no_file_left_for_a_connection_fills_no_log(tmp_path):
    (tmp_path / "go").touch()
    limit = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)); serve.most_connections = lambda: 500"
    )
    with waiting(tmp_path, limit) as process, contextlib.ExitStack() as lines:
        for _ in range(100):
            lines.enter_context(socket.create_connection(("127.0.0.1", process.port), timeout=PATIENCE))
        assert httpx.post(f"{process.url}/other", headers=KEY, timeout=PATIENCE).content == b".|"
        assert process.log().count("new connections have to wait: ") == 1
        assert "Traceback" not in process.log()
        assert process.stop() == 0


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_no_room_for_a_body_is_told_and_the_next_call_works(tmp_path):
    (tmp_path / "go").touch()
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({3 * MB}, {3 * MB}))"
    with (
        waiting(tmp_path, limit) as process,
        httpx.Client(base_url=process.url, headers=KEY, timeout=PATIENCE) as client,
    ):
        answer = client.post("/large", content=b"x" * (20 * MB))
        assert answer.status_code == 507
        assert "no room for the request's body in" in answer.json()["message"]
        assert client.post("/small", content=b"x" * (2 * MB)).content == b".|" + b"x" * (2 * MB)
        assert not (tmp_path / "large.begun").exists()


def test_the_body_of_a_request_without_the_key_is_not_kept(tmp_path):
    (tmp_path / "go").touch()
    with waiting(tmp_path) as process:
        assert httpx.post(f"{process.url}/it", content=b"x" * 100).content == b".|"
        assert httpx.post(f"{process.url}/it", content=b"x" * 100, headers=KEY).content == b".|" + b"x" * 100


def test_a_call_whose_client_has_left_is_not_begun(tmp_path):
    """It was too slow for its client, so nobody would hear of what it did."""
    (tmp_path / "go").touch()
    with waiting(tmp_path) as process:
        line = connection(process)
        line.request("POST", "/left", b"", KEY)
        until(lambda: "begun" in str([*tmp_path.iterdir()]))
        line.close()
        assert process.stop() == 0  # only when the application saw it
    app = create_app(tmp_path / "home", "k")
    body = {"project_id": "p", "collectionName": "c", "dimension": 2}
    given = {"path": "/collections/create", "json": body, "headers": {"Api-Key": "k"}}
    assert app.test_client().post(**given, environ_overrides={GONE: lambda: True}).status_code == 503
    assert app.test_client().post(**given, environ_overrides={GONE: lambda: False}).status_code == 201


def test_writers_that_wait_keep_no_other_out(running):
    """Twelve of them, more than requests are worked on at once, wait for a lock that somebody else holds."""
    running.client().collections.create(collection=Collection("held", 2))
    running.client().collections.create(collection=Collection("free", 2))
    home = Path(re.search("the data: (.*)", running.log())[1])

    def work(number: int) -> None:
        with running.client() as client:
            client.vectors.insert(collection_name="held", data={"id": number, "vector": [1, 0]})

    with ThreadPoolExecutor(12) as pool:
        with another_writer(home, running.project, "held"):
            writers = [pool.submit(work, number) for number in range(12)]
            time.sleep(1)  # they have sent their rows by now
            assert httpx.get(f"{running.url}/health", timeout=PATIENCE).status_code == 200
            with running.client() as client:
                client.vectors.insert(collection_name="free", data={"id": 1, "vector": [1, 0]})
                assert client.vectors.query(collection_name="held", filter="true")["data"] == []
        for writer in writers:
            writer.result()
    assert running.client().collections.get_stats(collection_name="held")["data"]["rowCount"] == 12


def test_more_writers_than_may_wait_are_asked_to_come_again(tmp_path, monkeypatch):
    monkeypatch.setattr(service, "WAITING", 2)
    with local_client(tmp_path) as client, ThreadPoolExecutor(3) as pool:
        client.collections.create(collection=Collection("c", 2))
        with another_writer(tmp_path, client.project_id, "c"):
            rows = [{"id": number, "vector": [1, 0]} for number in range(3)]
            sent = [pool.submit(client.vectors.insert, collection_name="c", data=row) for row in rows]
            refused, _ = concurrent.futures.wait(sent, return_when="FIRST_COMPLETED")
            with pytest.raises(UnavailableError, match="2 requests already wait to write"):
                refused.pop().result()
        assert sorted(write.exception() is None for write in sent) == [False, True, True]


def test_a_body_over_64_mb_is_refused_and_the_next_call_works(running):
    client = running.client()
    client.collections.create(collection=Collection("large", 2))
    for size in (64, 65, 200):
        row = {"id": 1, "vector": [1, 0], "text": "x" * (size * MB)}
        with pytest.raises(InvalidRequestError, match="larger than 64 MB: send fewer rows") as caught:
            client.vectors.insert(collection_name="large", data=row)
        assert caught.value.status == 413
        assert client.collections.get_stats(collection_name="large")["data"]["rowCount"] == 0
    with pytest.raises(MemoraError) as caught:  # just below: read, and refused for what is in it
        client.vectors.insert(collection_name="large", data=row | {"text": "x" * (64 * MB - 1000)})
    assert caught.value.status == 400


def test_a_large_insert_below_the_limit_is_stored(running, rng):
    client = running.client()
    client.collections.create(collection=Collection("wide", 1536))
    vectors = rng.standard_normal((3000, 1536)).astype("float32")
    data = [{"id": n, "vector": vector} for n, vector in enumerate(vectors)]
    assert client.vectors.insert(collection_name="wide", data=data)["data"]["insertCount"] == 3000  # about 50 MB
    (row,) = client.vectors.get(collection_name="wide", id=[2999], output_fields=["vector"])["data"]
    np.testing.assert_array_equal(np.array(row["vector"], "float32"), vectors[2999])


def test_a_client_that_sends_all_before_it_reads_gets_the_answer(running):
    line = connection(running)
    line.request("POST", "/vectors/insert", b"x" * (100 * MB), {"Api-Key": running.key})  # fails if cut off
    answer = line.getresponse()
    assert answer.status == 413
    assert "larger than 64 MB" in json.loads(answer.read())["message"]


def test_a_body_of_unknown_length_is_limited_as_well(running):
    headers = {"Api-Key": running.key}
    small = [b'{"project_id"', b': "one"}']
    assert httpx.post(f"{running.url}/collections/list", headers=headers, content=iter(small)).status_code == 200
    large = (b"x" * MB for _ in range(80))
    answer = httpx.post(f"{running.url}/collections/list", headers=headers, content=large)
    assert answer.status_code == 413
    assert "larger than 64 MB" in answer.json()["message"]


@pytest.mark.parametrize(
    ("length", "status", "message"),
    [
        ("99999999999", 413, "larger than 64 MB"),
        ("9" * 5000, 400, "Content-Length"),
        ("many", 400, "Content-Length"),
        ("-1", 400, "Content-Length"),
        ("1, 2", 400, "Content-Length"),
    ],
    ids=lambda value: str(value)[:12],
)
def test_a_body_that_is_not_even_read_gets_a_message(running, length, status, message):
    with socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE) as line:
        line.sendall(f"POST /vectors/insert HTTP/1.1\r\nHost: here\r\nContent-Length: {length}\r\n\r\n".encode())
        answer = http.client.HTTPResponse(line)
        answer.begin()
        assert answer.status == status
        assert message in json.loads(answer.read())["message"]
        assert answer.getheader("Server") == "memora"  # and no version
    assert "Traceback" not in running.log()


@pytest.mark.parametrize("host", ["a:b", "a:", "[::1]:80", "x:99999"])
def test_an_odd_host_header_is_no_fault(running, host):
    assert httpx.get(f"{running.url}/health", headers={"Host": host}).json() == {"data": {"status": "ok"}}


def test_what_is_no_http_is_refused_and_others_are_served_on(running):
    for start in (b"hello\r\n\r\n", b"POST / HTTP/1.1\r\nHost: here\r\nApi-Key: " + b"x" * 300_000 + b"\r\n\r\n"):
        line = socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE)
        with line, contextlib.suppress(ConnectionError):  # closed before it has taken all
            line.sendall(start)
            assert line.recv(100) in (b"", b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert httpx.get(f"{running.url}/health").json() == {"data": {"status": "ok"}}
    assert "Traceback" not in running.log()


def test_a_fault_is_logged_with_its_trace_and_the_client_gets_a_message(tmp_path):
    with waiting(tmp_path) as process:
        answer = httpx.post(f"{process.url}/fault", headers=KEY)
        assert answer.status_code == 500
        assert "message" in answer.json()
        assert "a fault of the application" not in answer.text
        assert "RuntimeError: a fault of the application" in process.log()
        assert process.key not in process.log()
        assert httpx.post(f"{process.url}/fault", headers=KEY).status_code == 500  # it lives on


# Stopping ------------------------------------------------------------------------------------------------------


def test_an_insert_half_sent_at_sigterm_is_read_to_its_end_and_stored(tmp_path):
    with served(tmp_path) as process:
        with process.client() as client:
            client.collections.create(collection=Collection("c", 64))
        data = [{"id": n, "vector": [(n + 1) / 7] * 64} for n in range(8000)]
        headers, body = call(process, "vectors/insert", collectionName="c", data=data)
        assert len(body) > 8 * MB
        line = half_sent(process, "/vectors/insert", headers, body)
        process.terminate()
        until(lambda: refuses(process.port))
        line.send(body[len(body) // 2 :])
        answer = line.getresponse()
        assert answer.status == 200
        assert json.loads(answer.read())["data"]["insertCount"] == 8000
        assert answer.getheader("Connection") == "close"
        assert process.process.wait(PATIENCE) == 0
    with served(tmp_path) as again:
        assert again.client().collections.get_stats(collection_name="c")["data"]["rowCount"] == 8000


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.3])
def test_after_sigterm_exactly_the_acknowledged_rows_are_stored(tmp_path, delay):
    told: list[int] = []
    refused = []

    def work(number: int) -> None:
        with process.client() as client:
            for turn in range(10_000):
                ids = [number * 1_000_000 + turn * 50 + n for n in range(50)]
                data = [{"id": n, "vector": [1] * 32} for n in ids]
                try:
                    told.extend(client.vectors.insert(collection_name="c", data=data)["data"]["insertIds"])
                except UnavailableError as error:
                    refused.append(error)
                    return

    with served(tmp_path) as process:
        with process.client() as client:
            client.collections.create(collection=Collection("c", 32))
        with ThreadPoolExecutor(6) as pool:
            work_done = [pool.submit(work, number) for number in range(6)]
            until(lambda: len(told) >= 600)
            time.sleep(delay)
            assert process.stop() == 0
        for done in work_done:
            done.result()
        assert len(refused) == 6
    with served(tmp_path) as again:
        rows = again.client().vectors.query(collection_name="c", filter="true", output_fields=["id"])["data"]
    assert sorted(row["id"] for row in rows) == sorted(told)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_requests_in_progress_are_answered_and_new_ones_refused(tmp_path, number):
    with waiting(tmp_path) as process, ThreadPoolExecutor(4) as pool:
        with_key = httpx.Client(base_url=process.url, headers=KEY, timeout=PATIENCE)
        answers = [pool.submit(with_key.post, f"/{n}", content=b"%d" % n) for n in range(4)]
        until(lambda: len(list(tmp_path.glob("*.begun"))) == 4)
        process.process.send_signal(number)
        until(lambda: refuses(process.port))
        assert process.process.poll() is None
        (tmp_path / "go").touch()
        assert [answer.result().content for answer in answers] == [b".|%d" % n for n in range(4)]
        assert {answer.result().headers["connection"] for answer in answers} == {"close"}
        assert process.process.wait(PATIENCE) == 0


def test_requests_that_were_on_their_way_at_sigterm_are_answered(tmp_path):
    (tmp_path / "go").touch()
    with waiting(tmp_path) as process:
        process.process.send_signal(signal.SIGSTOP)  # what comes now is in the system's queues only
        lines = [connection(process) for _ in range(5)]
        for number, line in enumerate(lines):
            line.request("POST", f"/{number}", b"%d" % number, KEY)
        process.terminate()
        process.process.send_signal(signal.SIGCONT)
        assert [line.getresponse().read() for line in lines] == [b".|%d" % number for number in range(5)]
        assert process.process.wait(PATIENCE) == 0


def test_an_answer_that_its_client_takes_slowly_is_sent_to_its_end(tmp_path):
    size = 40 * MB  # more than fits between two sockets, and than is sent at once
    (tmp_path / "go").touch()
    with waiting(tmp_path) as process:
        line = connection(process)
        line.request("POST", "/slow", b"end", {"Size": str(size), **KEY})
        answer = line.getresponse()
        assert len(answer.read(MB)) == MB
        process.terminate()
        until(lambda: refuses(process.port))
        time.sleep(1)
        assert process.process.poll() is None
        assert answer.read() == b"." * (size - MB) + b"|end"
        assert process.process.wait(PATIENCE) == 0


def test_idle_connections_do_not_keep_it(tmp_path):
    (tmp_path / "go").touch()
    with waiting(tmp_path, FOR_EVER) as process, contextlib.ExitStack() as stack:
        lines = []
        for number in range(10):
            used = connection(process)
            used.request("POST", f"/{number}", b"", KEY)
            assert used.getresponse().read() == b".|"
            silent = socket.create_connection(("127.0.0.1", process.port), timeout=PATIENCE)
            lines += [stack.enter_context(contextlib.closing(line)) for line in (used.sock, silent)]
        assert process.stop() == 0
        assert [line.recv(1) for line in lines] == [b""] * 20  # closed, not reset


def test_a_busy_client_on_one_connection_does_not_keep_it(tmp_path):
    (tmp_path / "go").touch()
    with waiting(tmp_path, FOR_EVER) as process:
        count = 0

        def hammer() -> None:
            nonlocal count
            with httpx.Client() as client, contextlib.suppress(httpx.TransportError):
                while True:
                    assert client.post(f"{process.url}/again", headers=KEY).content == b".|"
                    count += 1

        threads = [threading.Thread(target=hammer) for _ in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: count > 100)
        assert process.stop() == 0
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()


def test_a_client_that_stops_sending_keeps_it_for_a_while_only(tmp_path):
    with waiting(tmp_path, f"{FOR_EVER}; serve.STALLED_SECONDS = 1") as process:
        line = half_sent(process, "/half", {"Content-Length": "100", **KEY}, b"x" * 100)
        assert process.stop() == 0
        line.close()


def test_a_client_that_goes_quiet_loses_its_connection(tmp_path):
    """While it serves too; one that waits for its answer is not quiet."""
    with waiting(tmp_path, "serve.IDLE_SECONDS = 1") as process, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(httpx.post, f"{process.url}/long", headers=KEY, timeout=PATIENCE)
        for start in (b"", b"POST / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"):
            with socket.create_connection(("127.0.0.1", process.port), timeout=PATIENCE) as line:
                line.sendall(start)
                assert line.recv(1) == b""
        (tmp_path / "go").touch()
        assert answer.result().content == b".|"


def test_what_takes_longer_than_it_may_is_left_and_the_exit_status_says_so(tmp_path):
    with waiting(tmp_path, "serve.DRAIN_SECONDS = command.DRAIN_SECONDS = 1") as process:
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(httpx.post, f"{process.url}/long", headers=KEY, timeout=PATIENCE)
            until((tmp_path / "long.begun").exists)
            assert process.stop() == 1
            with pytest.raises(httpx.TransportError):
                answer.result()
        assert "Stopped after 1 s with 1 requests unanswered." in process.log()


def test_a_second_sigterm_changes_nothing_a_second_ctrl_c_ends_it(tmp_path):
    with waiting(tmp_path) as process, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(httpx.post, f"{process.url}/long", headers=KEY, timeout=PATIENCE)
        until((tmp_path / "long.begun").exists)
        process.terminate()
        until(lambda: refuses(process.port))
        process.terminate()
        time.sleep(0.5)
        assert process.process.poll() is None
        process.process.send_signal(signal.SIGINT)
        assert process.process.wait(PATIENCE) == -signal.SIGINT
        with pytest.raises(httpx.TransportError):
            answer.result()
