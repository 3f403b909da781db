"""The class server, over real HTTP: nobody sees another's data, nobody slows the class, nothing is lost."""

import html
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest

import helpers.connect
from helpers.check import answers
from helpers.connect import connect, local_client
from helpers.memora import InvalidRequestError, Memora, MemoraError, UnavailableError
from helpers.memora.models import Collection
from helpers.settings import HOSTED, ROOT
from local_memora.__main__ import main
from local_memora.app import VERBS, open_engine
from local_memora.classroom.gate import LOADS, Holdings
from local_memora.classroom.limits import READS, Limits
from teaching.stick import write_manifest
from tests.local_memora.contract import index
from tests.local_memora.served import surroundings
from tests.teaching.test_pack import make_wheel

START_SECONDS = 600
PATIENCE = 600
ROWS = [{"id": n, "vector": [1.0, n]} for n in range(5)]
# A body that each verb takes, so that only the project can be wrong.
BODIES: dict[str, dict[str, Any]] = {
    "collections/create": {"dimension": 2},
    "collections/rename": {"newCollectionName": "other"},
    "partitions/create": {"partitionName": "p"},
    "partitions/drop": {"partitionName": "p"},
    "partitions/has": {"partitionName": "p"},
    "partitions/load": {"partitionNames": ["p"]},
    "partitions/release": {"partitionNames": ["p"]},
    "partitions/get_stats": {"partitionName": "p"},
    "indexes/create": {"indexParams": [index(on="vector")]},
    "indexes/describe": {"indexName": "vector"},
    "indexes/drop": {"indexName": "vector"},
    "vectors/insert": {"data": {"id": 9, "vector": [1, 0]}},
    "vectors/upsert": {"data": {"id": 9, "vector": [1, 0]}},
    "vectors/search": {"data": [1, 0], "annsField": "vector"},
    "vectors/hybrid_search": {"search": [{"data": [1, 0], "annsField": "vector"}], "rerank": {"strategy": "rrf"}},
    "vectors/query": {"filter": "id > 0"},
    "vectors/get": {"id": [1]},
    "vectors/delete": {"filter": "id > 0"},
}


class Class:
    """A class in a folder: its hand-out, and the process that serves it."""

    def __init__(self, home: Path, *options: str, students: int = 3) -> None:
        self.home, self.options = home, options
        self.folder, self.handout = home / "class", home / "handout.html"
        said = self.run("new", "Evening <class>", "--students", str(students), "--handout", str(self.handout))
        self.teacher = said.split()[-1]
        self.slips = [
            dict(line.split("=", 1) for line in html.unescape(slip).splitlines())
            for slip in re.findall(r"<pre>(.*?)</pre>", self.handout.read_text(), flags=re.DOTALL)
        ]
        self.keys = {slip["MEMORA_PROJECT_ID"]: slip["MEMORA_API_KEY"] for slip in self.slips}
        self.names = list(self.keys)
        self.url, self.scheme = "", "http"

    def run(self, *words: str, status: int = 0) -> str:
        """Run a command of the class, and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "local_memora", "class", *words, "--folder", str(self.folder)],
            cwd=ROOT, env=surroundings(self.home), capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        return done.stdout if status == 0 else done.stderr

    @contextmanager
    def served(self, port: int = 0) -> Iterator[subprocess.Popen]:
        """Serve until the block ends; the log is in `home`."""
        words = ["serve", "--folder", str(self.folder), "--port", str(port), *self.options]
        self.log = self.home / "log"
        with self.log.open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "local_memora", "class", *words],
                cwd=ROOT, env=surroundings(self.home), stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        watch = threading.Timer(START_SECONDS, process.kill)
        watch.start()
        try:
            assert process.stdout
            line = process.stdout.readline()
            watch.cancel()
            assert line.startswith("MEMORA_URL="), self.log.read_text()
            self.url = line.strip().removeprefix("MEMORA_URL=")
            self.port = int(self.url.rsplit(":", 1)[1])
            yield process
        finally:
            watch.cancel()
            process.kill()
            process.wait()
            process.stdout.close()

    def client(self, name: str, project: str | None = None) -> Memora:
        return Memora(self.keys[name], project or name, self.url)

    def post(self, key: str, path: str, project: str, **body: Any) -> httpx.Response:
        body = {"project_id": project, "collectionName": "c", **BODIES.get(path, {}), **body}
        if path == "collections/list":
            del body["collectionName"]
        return httpx.post(f"{self.url}/{path}", json=body, headers={"Api-Key": key}, timeout=PATIENCE)

    def report(self, name: str, exercise: Any, right: Any = True, project: str = "") -> httpx.Response:
        body = {"project_id": project or name, "exercise": exercise, "right": right}
        headers = {"Api-Key": self.keys.get(name, self.teacher)}
        return httpx.post(f"{self.url}/class/exercise", json=body, headers=headers, timeout=PATIENCE)

    def state(self) -> dict[str, Any]:
        answer = httpx.get(f"{self.url}/class/state", headers={"Api-Key": self.teacher}, timeout=PATIENCE)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def fill_shared(self) -> None:
        """Put a collection into the shared project, as teaching.shared does: beside the server."""
        with helpers.connect.local_client(self.folder, project="shared") as shared:
            shared.collections.create(collection=Collection("c", 2))
            shared.vectors.insert(collection_name="c", data=ROWS)


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Class]:
    """Return a class for all tests that neither stop it nor pass its limits; the first student has a collection."""
    one = Class(tmp_path_factory.mktemp("clàss room"), "--requests", "1000", students=8)
    one.fill_shared()
    with one.served() as process:
        with one.client(one.names[0]) as client:
            client.collections.create(collection=Collection("c", 2))
            client.vectors.insert(collection_name="c", data=ROWS)
        yield one
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        said = one.log.read_text()
        assert "Traceback" not in said
        assert not [key for key in [one.teacher, *one.keys.values()] if key in said]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Class]:
    """Return a class with narrow limits."""
    options = ("--collections", "2", "--rows", "20", "--megabytes", "1", "--requests", "5")
    one = Class(tmp_path, *options)
    with one.served():
        yield one


# Who may do what -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", VERBS)
def test_no_call_reaches_another_students_project(lesson, path):
    """Whether the other project, or a collection in it, exists must not show either."""
    first, second = lesson.names[:2]
    answers = [lesson.post(lesson.keys[second], path, project) for project in (first, "student-99", "no-such")]
    assert [answer.status_code for answer in answers] == [403] * 3
    said = {re.sub("'[^']*'", "", answer.json()["message"], count=1) for answer in answers}
    assert len(said) == 1
    with lesson.client(first) as client:
        assert client.collections.list() == {"data": ["c"]}
        assert client.collections.get_stats(collection_name="c") == {"data": {"rowCount": 5}}


def test_the_same_name_is_another_collection_for_each_student(lesson):
    with lesson.client(lesson.names[2]) as client:
        assert client.collections.list() == {"data": []}
        client.collections.create(collection=Collection("c", 3))
        client.vectors.insert(collection_name="c", data=[{"id": 1, "vector": [1, 2, 3]}])
        client.collections.drop(collection_name="c")
    with lesson.client(lesson.names[0]) as client:
        assert client.collections.get_stats(collection_name="c") == {"data": {"rowCount": 5}}


@pytest.mark.parametrize("path", sorted(VERBS.keys() - READS - LOADS))
def test_the_shared_project_refuses_every_write_with_a_sentence(lesson, path):
    for key, use in ((lesson.keys[lesson.names[1]], "; use your own, 'student-02'"), (lesson.teacher, "")):
        answer = lesson.post(key, path, "shared")
        assert answer.status_code == 403
        expected = f"the project 'shared' is for reading, and {path} would change it{use}"
        assert answer.json() == {"message": expected}
    with lesson.client(lesson.names[1], "shared") as client:
        assert client.collections.list() == {"data": ["c"]}
        assert client.collections.get_stats(collection_name="c") == {"data": {"rowCount": 5}}


def test_every_student_reads_the_shared_project(lesson):
    for name in lesson.names:
        with lesson.client(name, "shared") as client:
            hits = client.vectors.search(collection_name="c", data=[1.0, 0.0], anns_field="vector", limit=2)["data"]
            assert [hit["id"] for hit in hits] == [0, 1]
            client.collections.load(collection_name="c")  # what lessons that only search call


@pytest.mark.parametrize("path", VERBS)
def test_the_teachers_key_opens_no_students_project(lesson, path):
    assert lesson.post(lesson.teacher, path, lesson.names[0]).status_code == 403


@pytest.mark.parametrize("key", ["", "0" * 32, "student-01", "clé".encode().decode("latin-1")])
def test_another_key_opens_nothing(lesson, key):
    for path in ("collections/list", "vectors/search"):
        headers = {"Api-Key": key.encode("latin-1")}
        answer = httpx.post(f"{lesson.url}/{path}", json={"project_id": "shared"}, headers=headers)
        assert answer.status_code == 401
    assert httpx.get(f"{lesson.url}/class/state", headers={"Api-Key": key.encode("latin-1")}).status_code == 401


def test_keys_are_kept_nowhere_but_on_the_slips(lesson):
    keys = [lesson.teacher, *lesson.keys.values()]
    assert len(set(keys)) == 9
    assert all(re.fullmatch("[0-9a-f]{32}", key) for key in keys)
    for path in (path for path in lesson.folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        assert not [key for key in keys if key.encode() in content], path
    assert lesson.teacher not in lesson.handout.read_text()
    if os.name != "nt":
        for path in (lesson.handout, lesson.folder / "class.json"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_fault_elsewhere_is_told_to_the_teacher_only(tmp_path):
    """`/health` names damaged collections: of all students."""
    one = Class(tmp_path)
    with one.served():
        with one.client(one.names[0]) as client:
            client.collections.create(collection=Collection("private_plans", 2))
        shutil.rmtree(next((one.folder / "lance").glob("c*.lance")) / "_versions")
        for key, shows in ((one.teacher, True), (one.keys[one.names[0]], False), (one.keys[one.names[1]], False)):
            answer = httpx.get(f"{one.url}/health", headers={"Api-Key": key}, timeout=PATIENCE)
            assert answer.status_code == 503
            assert ("private_plans" in answer.text) is shows
        assert {each["collections"] for each in one.state()["students"]} == {0, 1}  # the page still comes


def test_revoke_and_reset_count_at_once(lesson):
    name = lesson.names[3]
    with lesson.client(name) as client:
        client.collections.create(collection=Collection("mine", 2))
    lesson.run("revoke", name)
    assert lesson.post(lesson.keys[name], "collections/list", name).status_code == 401
    assert "revoked" in next(line for line in lesson.run("list").splitlines() if line.startswith(name))
    lines = dict(line.split("=", 1) for line in lesson.run("reset", name).splitlines())
    assert lines.keys() == set(HOSTED)
    assert lines["MEMORA_API_KEY"] != lesson.keys[name]
    assert lesson.post(lesson.keys[name], "collections/list", name).status_code == 401
    answer = lesson.post(lines["MEMORA_API_KEY"], "collections/list", name)
    assert answer.json() == {"data": ["mine"]}
    again = dict(line.split("=", 1) for line in lesson.run("reset", name, "--empty").splitlines())
    lesson.keys[name] = again["MEMORA_API_KEY"]
    assert lesson.post(lesson.keys[name], "collections/list", name).json() == {"data": []}


def test_the_list_and_its_export_say_who_has_what(lesson, tmp_path):
    assert re.search(r"student-01 +key valid +1 collections +5 rows", lesson.run("list"))
    lesson.run("export", str(tmp_path / "class.csv"))
    lines = (tmp_path / "class.csv").read_text().splitlines()
    assert lines[:2] == ["student,key,collections,rows", "student-01,valid,1,5"]
    assert lines[-1] == "shared,none,1,5"


# Limits --------------------------------------------------------------------------------------------------------


def test_more_collections_than_allowed_are_refused(small):
    with small.client(small.names[0]) as client:
        for name in "ab":
            client.collections.create(collection=Collection(name, 2))
        with pytest.raises(
            InvalidRequestError, match="may have 2 collections, and has them: drop one first"
        ) as refused:
            client.collections.create(collection=Collection("c", 2))
        assert refused.value.status == 413
        client.collections.drop(collection_name="a")
        client.collections.create(collection=Collection("c", 2))
    with small.client(small.names[1]) as other:
        other.collections.create(collection=Collection("a", 2))


def test_more_rows_than_allowed_are_refused_also_after_a_restart(small):
    rows = [{"id": n, "vector": [1.0, n]} for n in range(30)]
    with small.client(small.names[0]) as client:
        client.collections.create(collection=Collection("c", 2))
        with pytest.raises(InvalidRequestError, match="30 more would pass its limit of 20") as refused:
            client.vectors.insert(collection_name="c", data=rows)
        assert refused.value.status == 413
        client.vectors.insert(collection_name="c", data=rows[:18])
    with small.served(), small.client(small.names[0]) as client:
        for write in (client.vectors.insert, client.vectors.upsert):
            with pytest.raises(InvalidRequestError, match="18 rows are stored with this key, and 3 more"):
                write(collection_name="c", data=rows[18:21])
        client.vectors.delete(collection_name="c", filter="id < 10")
        client.vectors.insert(collection_name="c", data=rows[18:21])
        assert client.collections.get_stats(collection_name="c") == {"data": {"rowCount": 11}}


def test_more_bytes_than_allowed_are_refused(small):
    rng = np.random.default_rng(0)
    with small.client(small.names[0]) as client:
        client.collections.create(collection=Collection("c", 20_000))
        rows = [{"id": n, "vector": rng.normal(size=20_000)} for n in range(14)]
        with pytest.raises(InvalidRequestError, match="would pass its limit of 1 MB: drop a collection") as refused:
            for row in rows:  # 80 KB each
                client.vectors.insert(collection_name="c", data=[row])
        assert refused.value.status == 413
        client.collections.drop(collection_name="c")
        client.collections.create(collection=Collection("c", 2))
        client.vectors.insert(collection_name="c", data=ROWS)


def test_calls_that_come_too_often_get_a_429_that_says_when_to_come_back(small):
    name = small.names[0]
    answers: list[httpx.Response] = []

    def call_until_refused() -> None:
        with httpx.Client(timeout=PATIENCE, headers={"Api-Key": small.keys[name]}) as line:
            while not any(answer.status_code == 429 for answer in answers):
                answers.append(line.post(f"{small.url}/collections/list", json={"project_id": name}))

    with ThreadPoolExecutor(4) as pool:
        for each in [pool.submit(call_until_refused) for _ in range(4)]:
            each.result()
    refused = [answer for answer in answers if answer.status_code == 429]
    assert {answer.status_code for answer in answers} == {200, 429}
    assert {answer.headers["Retry-After"] for answer in refused} == {"1"}
    assert {answer.json()["message"].partition(":")[0] for answer in refused} == {
        "more than 5 calls a second come from this key"
    }
    with small.client(name) as client:  # which waits as long as it is asked to
        assert client.collections.list() == {"data": []}


def test_one_flood_leaves_the_others_alone(lesson):
    """All of one student's calls at once; every other student is answered, and only the flood is refused."""
    flood, others = lesson.names[4], lesson.names[5:]
    stop = threading.Event()
    statuses: list[int] = []

    def call_and_call() -> None:
        with httpx.Client(timeout=PATIENCE, headers={"Api-Key": lesson.keys[flood]}) as line:
            while not stop.is_set():
                try:
                    answer = line.post(f"{lesson.url}/collections/list", json={"project_id": flood})
                    statuses.append(answer.status_code)
                except httpx.TransportError:  # its share of connections is full
                    statuses.append(0)

    threads = [threading.Thread(target=call_and_call) for _ in range(30)]
    for thread in threads:
        thread.start()
    try:
        for name in others:
            with lesson.client(name) as client:
                client.collections.create(collection=Collection("c", 2))
                client.vectors.insert(collection_name="c", data=ROWS)
                for n in range(6):
                    found = client.vectors.search(collection_name="c", data=[1.0, n], anns_field="vector", limit=1)
                    assert found["data"][0]["id"] == min(n, 4)
                client.collections.drop(collection_name="c")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert 429 in statuses
    assert set(statuses) <= {0, 200, 429}
    assert lesson.state()["load"]["too_many"] > 0


def test_a_key_has_few_heavy_calls_at_once(lesson):
    name = lesson.names[0]
    many = {"data": [[1, n] for n in range(3_000)], "limit": 5}
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(lesson.post, lesson.keys[name], "vectors/search", name, **many) for _ in range(4)]
        answers = [each.result() for each in asked]
    assert {answer.status_code for answer in answers} == {200, 429}
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert "1 large call is being answered" in refused.json()["message"]
    assert refused.headers["Retry-After"] == "1"


def test_a_key_holds_no_more_connections_than_its_share(lesson):
    """A kernel that leaves connections open loses its oldest ones; another key is not touched."""

    def line(name: str) -> http.client.HTTPConnection:
        one = http.client.HTTPConnection("127.0.0.1", lesson.port, timeout=PATIENCE)
        content = json.dumps({"project_id": name})
        one.request("POST", "/collections/list", content, {"Api-Key": lesson.keys[name]})
        assert one.getresponse().read()
        return one

    other = line(lesson.names[6])
    lines = [line(lesson.names[7]) for _ in range(30)]

    def is_open(one: http.client.HTTPConnection) -> bool:
        assert one.sock
        one.sock.settimeout(1)
        try:
            return one.sock.recv(1) != b""
        except TimeoutError:
            return True

    assert [is_open(one) for one in lines] == [False] * 14 + [True] * 16
    assert is_open(other)
    for one in (other, *lines):
        one.close()


# The network ---------------------------------------------------------------------------------------------------


def ask(one: Class, path: str = "/health", **headers: str) -> http.client.HTTPResponse:
    line = http.client.HTTPConnection("127.0.0.1", one.port, timeout=PATIENCE)
    line.putrequest("GET", path, skip_host=True)
    for name, value in headers.items():
        line.putheader(name, value)
    line.endheaders()
    return line.getresponse()


@pytest.mark.parametrize(
    "host", ["127.0.0.1:1", "localhost", "LOCALHOST:9", "[::1]:80", "192.0.2.7", socket.gethostname()]
)
def test_addresses_and_this_machines_names_are_served(lesson, host):
    assert ask(lesson, Host=host).status == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8530", "localhost.evil.example", "a:b", ""])
def test_a_page_elsewhere_whose_name_leads_here_is_refused(lesson, host):
    for path in ("/health", "/class", "/class/page.js"):
        answer = ask(lesson, path, Host=host)
        assert answer.status == 421
        assert b"--name NAME" in answer.read()


def test_a_proxys_name_is_served_where_it_is_given(tmp_path):
    one = Class(tmp_path, "--name", "memora.school.example")
    with one.served():
        assert ask(one, Host="memora.school.example").status == 200
        assert ask(one, Host="other.school.example").status == 421


@pytest.mark.parametrize("path", ["/class", "/class/page.js", "/class/page.css", "/class/state", "/health", "/nowhere"])
def test_every_answer_has_the_security_headers(lesson, path):
    answer = ask(lesson, path, Host="localhost")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"


def test_it_listens_beyond_this_machine_only_when_asked_and_says_what_that_means(tmp_path):
    one = Class(tmp_path)
    with one.served():
        assert "Only this machine reaches it" in one.log.read_text()
        assert one.url.startswith("http://127.0.0.1:")
        addresses = Path("/proc/net/tcp").read_text() if Path("/proc/net/tcp").exists() else f"0100007F:{one.port:04X}"
        assert f"0100007F:{one.port:04X}" in addresses
        assert f"00000000:{one.port:04X}" not in addresses
    one.options = ("--on-network",)
    with one.served():
        assert "Every device on this network can reach" in one.log.read_text()
        assert "--certificate" in one.log.read_text()
        assert httpx.get(f"{one.url}/health").status_code == 200


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate of this test")
def test_with_a_certificate_keys_travel_encrypted(tmp_path):
    certificate, private = tmp_path / "cert.pem", tmp_path / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*make, "-keyout", private, "-out", certificate], check=True, capture_output=True)
    one = Class(tmp_path, "--certificate", str(certificate), "--certificate-key", str(private))
    with one.served():
        assert one.url.startswith("https://127.0.0.1:")
        trusted = ssl.create_default_context(cafile=str(certificate))
        content = {"project_id": one.names[0]}
        with httpx.Client(verify=trusted, headers={"Api-Key": one.keys[one.names[0]]}) as client:
            for _ in range(3):
                assert client.post(f"{one.url}/collections/list", json=content).json() == {"data": []}
        for verify in (True, False):  # a client that does not know it; one that speaks no TLS
            url = one.url if verify else one.url.replace("https", "http")
            with pytest.raises(httpx.TransportError):
                httpx.post(f"{url}/collections/list", json=content)
        with httpx.Client(verify=trusted) as client:
            assert client.get(f"{one.url}/health").status_code == 200


# Stopped, killed, put back -------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_every_acknowledged_write_is_there_after_a_restart(tmp_path, how):
    """Three students insert while the server ends; then the same keys find each row whose insert was answered."""
    one = Class(tmp_path, "--requests", "1000")
    stored: dict[str, list[int]] = {name: [] for name in one.names}
    lost: list[str] = []

    def insert_and_insert(name: str) -> None:
        with one.client(name) as client:
            try:
                for n in range(100_000):
                    client.vectors.insert(collection_name="c", data=[{"id": n, "vector": [1.0, n]}])
                    stored[name].append(n)
            except UnavailableError as error:
                lost.append(str(error))

    with one.served() as process:
        for name in one.names:
            with one.client(name) as client:
                client.collections.create(collection=Collection("c", 2))
        threads = [threading.Thread(target=insert_and_insert, args=[name]) for name in one.names]
        for thread in threads:
            thread.start()
        while min(map(len, stored.values())) < 5:
            threading.Event().wait(0.05)
        process.send_signal(getattr(signal, how))
        process.wait(PATIENCE)
        for thread in threads:
            thread.join()
        port = one.port
    assert len(lost) == 3
    assert all("Check that Memora is running" in said or "It is not known whether" in said for said in lost)
    with one.served(port):
        for name in one.names:
            with one.client(name) as client:
                found = client.vectors.query(collection_name="c", filter="id >= 0", output_fields=["id"])["data"]
                assert {row["id"] for row in found} >= set(stored[name])
                assert len(found) <= len(stored[name]) + 1  # one may have been stored, and its answer lost


def test_a_back_up_made_while_the_class_writes_is_whole(tmp_path):
    one, other = Class(tmp_path, "--requests", "1000"), tmp_path / "restored"
    name, stop, stored = one.names[0], threading.Event(), []
    one.fill_shared()
    with one.served(), one.client(name) as client:
        client.collections.create(collection=Collection("c", 2))

        def insert_and_insert() -> None:
            for n in range(100_000):
                if stop.is_set():
                    return
                client.vectors.insert(collection_name="c", data=[{"id": n, "vector": [1.0, n]}])
                stored.append(n)

        thread = threading.Thread(target=insert_and_insert)
        thread.start()
        try:
            while len(stored) < 5:
                threading.Event().wait(0.05)
            before = list(stored)
            assert one.report(name, "precision").status_code == 200
            one.run("backup", str(tmp_path / "class.zip"))
        finally:
            stop.set()
            thread.join()
    assert "is there already" in one.run("backup", str(tmp_path / "class.zip"), status=2)
    one.folder = other
    one.run("restore", str(tmp_path / "class.zip"))
    with one.served():
        with one.client(name) as client:
            rows = client.vectors.query(collection_name="c", filter="id >= 0", output_fields=["id"])["data"]
            assert set(before) <= {row["id"] for row in rows} <= set(stored)
            client.vectors.insert(collection_name="c", data=[{"id": -1, "vector": [1.0, 0.0]}])
        with one.client(name, "shared") as client:
            assert client.collections.get_stats(collection_name="c") == {"data": {"rowCount": 5}}
        assert one.state()["students"][0]["exercises"] == {"precision": True}
        assert httpx.get(f"{one.url}/health").status_code == 200


def test_a_restore_overwrites_nothing_and_takes_only_a_back_up(tmp_path):
    one = Class(tmp_path)
    one.run("backup", str(tmp_path / "class.zip"))
    assert "is not empty" in one.run("restore", str(tmp_path / "class.zip"), status=1)
    one.folder = tmp_path / "new"
    (tmp_path / "text").write_text("no zip")
    assert "is not a back-up of a class" in one.run("restore", str(tmp_path / "text"), status=1)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a", "b")
    assert "it has no class.json" in one.run("restore", str(tmp_path / "other.zip"), status=1)
    assert not one.folder.exists()


# What the command says -----------------------------------------------------------------------------------------


def test_connect_uses_the_class_where_a_slips_lines_are_in_env(lesson, monkeypatch, capsys, tmp_path):
    for room in (helpers.settings, helpers.connect):
        monkeypatch.setattr(room, "ROOT", tmp_path)
    for name in HOSTED:
        monkeypatch.delenv(name)
    slip = lesson.slips[0] | {"MEMORA_URL": lesson.url}
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in slip.items()))
    with connect() as client:
        assert client.collections.list() == {"data": ["c"]}
    assert capsys.readouterr().out == f"Memora: project 'student-01' at {lesson.url}\n"


def test_the_hand_out_needs_nothing_from_elsewhere_and_shows_any_name(lesson):
    text = lesson.handout.read_text()
    assert "Evening &lt;class&gt;" in text
    assert "<class>" not in text
    assert not re.search(r"<(script|link|img|iframe)|@import|url\(", text)
    assert [set(slip) for slip in lesson.slips] == [set(HOSTED)] * 8


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["serve"], 1, "there is no class in"),
        (["list"], 1, "there is no class in"),
        (["new", "x", "--students", "0"], 2, "0 is not in the range"),
        (["new", "x", "--url", "school.example"], 2, "must start with http:// or https://"),
        (["new", "x", "--handout", "/nonexistent/file"], 1, "No such file or directory: '/nonexistent/file'"),
        (["backup", "/nonexistent/file"], 1, "there is no class in"),
        (["restore", "/nonexistent/file"], 2, "does not exist"),
        (["sing"], 2, "No such command 'sing'"),
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_command_is_told_in_one_line(words, status, message, tmp_path, capsys):
    options = [] if words == ["sing"] else ["--folder", str(tmp_path / "none")]
    assert main(["class", *words, *options]) == status
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert line.startswith("python -m local_memora: ")
    assert message in line
    assert not (tmp_path / "none").exists()


def test_a_second_class_in_a_folder_changes_nothing(tmp_path, capsys):
    one = Class(tmp_path)
    before = (one.folder / "class.json").read_bytes()
    words = ["class", "new", "again", "--folder", str(one.folder), "--handout", str(tmp_path / "second.html")]
    assert main(words) == 1
    assert "there is a class in" in capsys.readouterr().err
    assert main([*words[:-1], str(one.handout)]) == 2
    assert (one.folder / "class.json").read_bytes() == before
    assert not (tmp_path / "second.html").exists()


def test_a_collection_that_is_refused_hides_no_page_and_stops_no_insert(tmp_path):
    with local_client(tmp_path) as client:
        for name in ("good", "bad"):
            client.collections.create(collection=Collection(name, 2))
            client.vectors.insert(collection_name=name, data=ROWS)
    for description in tmp_path.glob("lance/*/memora.json"):
        if (said := json.loads(description.read_bytes()))["name"] == "bad":
            newer = said | {"revision": said["revision"] + 1}  # as where an older catalogue was put back
            description.write_text(json.dumps(newer))
    held = Holdings(open_engine(tmp_path), "local", Limits())
    assert (held.collections(), held.rows()) == (2, 5)
    held.refuse_beyond(rows=1, size=100)


def test_a_seat_that_is_not_there_is_named(lesson):
    assert "there is no 'student-99' in the class" in lesson.run("revoke", "student-99", status=1)


# What the teacher sees -----------------------------------------------------------------------------------------


def test_the_teacher_sees_how_far_each_is_and_which_mistakes_are_made(lesson):
    name = lesson.names[0]
    before = next(each for each in lesson.state()["students"] if each["name"] == name)
    with lesson.client(name) as client:
        for n in range(3):
            client.vectors.search(collection_name="c", data=[1.0, n], anns_field="vector", limit=1)
        for collection in 10 * ("misspelt", "mistyped"):  # more often than what other tests do wrong
            with pytest.raises(MemoraError):
                client.collections.describe(collection_name=collection)
    state = lesson.state()
    now = next(each for each in state["students"] if each["name"] == name)
    assert now["searches"] == before["searches"] + 3
    assert now["mistakes"] == before["mistakes"] + 20
    assert (now["here"], now["collections"], now["rows"]) == (True, 1, 5)
    assert state["class"] == "Evening <class>"
    assert state["shared"] == {"collections": 1, "rows": 5}
    assert state["load"]["search_p95_ms"] > 0
    texts = [each["mistake"] for each in state["mistakes"]]
    assert any(text.startswith("collections/describe: there is no collection ... in project ...") for text in texts)
    assert not [text for text in texts if "misspelt" in text or "student-0" in text]


def test_the_teacher_sees_exercises_only_of_who_lets_it_and_no_answer(lesson, monkeypatch, capsys):
    """Sent by the checks themselves; what was right once stays so, also when the class is read anew."""
    name = lesson.names[4]

    def exercises() -> dict[str, bool]:
        return next(each["exercises"] for each in lesson.state()["students"] if each["name"] == name)

    for setting, value in (lesson.slips[4] | {"MEMORA_URL": lesson.url, "MEMORA_API_KEY": lesson.keys[name]}).items():
        monkeypatch.setenv(setting, value)
    answers.exercise(tried)("a secret answer")
    assert exercises() == {}
    monkeypatch.setenv("MEMORA_REPORT", "1")
    answers.exercise(tried)(...)
    assert exercises() == {"tried": False}
    answers.exercise(tried)("a secret answer")
    answers.exercise(tried)(...)
    assert exercises() == {"tried": True}
    kept = (lesson.folder / "exercises.json").read_text()
    assert json.loads(kept)[name] == {"tried": True}
    assert "secret" not in kept + lesson.log.read_text()
    assert "does not see" not in capsys.readouterr().out
    monkeypatch.setenv("MEMORA_API_KEY", "0" * 32)
    answers.exercise(tried)("a secret answer")
    assert "Your teacher does not see this yet: the Api-Key header" in capsys.readouterr().out


def tried(answer: object) -> str:
    """Check an answer as an exercise does."""
    if answer is ...:
        raise answers.NotYet("write something")
    return "so it is."


def test_nobody_reports_for_another_or_fills_the_teachers_disk(lesson):
    one, other = lesson.names[5:7]
    assert lesson.report(one, "a", project=other).status_code == 403
    assert lesson.report("teacher", "a", project=one).status_code == 403
    for exercise in ("", "a b", "<b>", 5, "x" * 300):
        assert lesson.report(one, exercise).status_code == 400
    assert [lesson.report(one, f"exercise_{n}").status_code for n in range(201)] == [200] * 200 + [413]
    assert lesson.report(one, "a", right="yes").status_code == 400


def test_only_the_teachers_key_shows_the_class(lesson):
    assert ask(lesson, "/class/state", Host="localhost").status == 401
    answer = ask(lesson, "/class/state", Host="localhost", **{"Api-Key": lesson.keys[lesson.names[0]]})
    assert answer.status == 403
    assert b"it needs the teacher's key" in answer.read()


# The pack for who has nothing installed --------------------------------------------------------------------------


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """Return a pack of two small packages, one of which needs the other, and of a large file as the edition."""
    wheels = tmp_path / "a päck" / "wheels"
    wheels.mkdir(parents=True)
    make_wheel(wheels, "memora_first", "py3-none-any", "memora-second")
    make_wheel(wheels, "memora_second", "py3-none-any")
    (wheels.parent / "student.zip").write_bytes(os.urandom(30_000_001))
    write_manifest(wheels.parent)
    return wheels.parent


def test_pip_takes_packages_and_a_browser_the_edition_from_the_class_server(tmp_path, pack):
    """Both as an index and as a page of links, with no other index to ask."""
    one = Class(tmp_path, "--pack", str(pack))
    with one.served():
        assert f"{one.url}/pack" in one.log.read_text()
        page = httpx.get(f"{one.url}/pack")
        assert f"make demo PACK={one.url}/pack" in page.text
        for link in re.findall('href="([^"]+)"', page.text):
            assert httpx.get(f"{one.url}{link}").content == (pack / "student.zip").read_bytes()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
        pip = [sys.executable, "-m", "pip", "install", "--target"]
        ways = (["--index-url", f"{one.url}/pack/simple/"], ["--no-index", "--find-links", f"{one.url}/pack/wheels"])
        for way in ways:
            done = subprocess.run(
                [*pip, str(tmp_path / way[0]), *way, "memora-first"],
                env=kept | {"PIP_CONFIG_FILE": os.devnull}, capture_output=True, text=True, timeout=PATIENCE,
            )  # fmt: skip
            assert "Successfully installed memora-first-1.0 memora-second-1.0" in done.stdout, done.stdout + done.stderr


def test_without_a_key_nothing_but_the_packs_files_is_given(tmp_path, pack):
    (pack / "secret").write_text("not of the pack")
    one = Class(tmp_path, "--pack", str(pack))
    with one.served():
        for path in ("secret", "../class/class.json", "%2e%2e/class/class.json", "wheels/../secret", "manifest.csv"):
            assert ask(one, f"/pack/{path}", Host="localhost").status in (401, 404)
        assert httpx.get(f"{one.url}/class/state").status_code == 401


def test_thirty_downloads_at_once_take_no_memory_each(tmp_path, pack):
    one = Class(tmp_path, "--pack", str(pack))
    with one.served() as process, ThreadPoolExecutor(30) as pool:
        before = psutil.Process(process.pid).memory_info().rss
        found = list(
            pool.map(lambda _: len(httpx.get(f"{one.url}/pack/student.zip", timeout=PATIENCE).content), range(30))
        )
        assert found == [30_000_001] * 30
        assert psutil.Process(process.pid).memory_info().rss - before < 300e6  # 30 copies of the file are 900 MB


def test_a_folder_that_is_no_whole_pack_is_refused_before_it_is_served(tmp_path, pack):
    (pack / "wheels" / "memora_second-1.0-py3-none-any.whl").unlink()
    one = Class(tmp_path)
    for folder, missing in ((pack, "wheels/memora_second"), (tmp_path, "student.zip")):
        assert f"not a whole one: {missing}" in one.run("serve", "--port", "0", "--pack", str(folder), status=1)
