"""What was acknowledged stays, once, whoever is killed or writes at the same moment: with real processes."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import helpers.memora.http
from helpers.connect import ROOT, local_client
from helpers.memora import Memora, NotFoundError
from helpers.memora.models import Collection, Index, IndexConfig

BATCH = 20
START = """
import json, sys
from pathlib import Path
from helpers.connect import local_client
from helpers.memora import AlreadyExistsError, NotFoundError
from helpers.memora.models import Collection

client = local_client(Path(sys.argv[1]))
number = int(sys.argv[2])

def say(what):
    print(json.dumps(what), flush=True)

def rows(ids, value):
    return [{"id": n, "vector": [1, value]} for n in ids]

say("ready")
sys.stdin.readline()
"""


class Worker:
    """Another Python process with a client of the same store; it starts its work when told to go."""

    def __init__(self, home: Path, work: str, number: int = 0) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", START + work, str(home), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )

    def wait_until_ready(self) -> None:
        assert self.hear() == "ready"

    def tell(self, line: str = "go") -> None:
        assert self.process.stdin
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self) -> Any:
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, "the process ended too early"
        return json.loads(line)

    def kill(self) -> list[Any]:
        """Kill it as the system would, and return what it had said by then."""
        assert self.process.stdout
        os.kill(self.process.pid, signal.SIGKILL)
        rest = self.process.stdout.read()
        assert self.process.wait() == -signal.SIGKILL
        return [json.loads(line) for line in rest.splitlines(keepends=True) if line.endswith("\n")]

    def finish(self) -> list[Any]:
        said, _ = self.process.communicate(timeout=60)
        assert self.process.returncode == 0
        return [json.loads(line) for line in said.splitlines()]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., list[Worker]]]:
    """Return what starts processes and returns them when all are ready; none outlives the test."""
    workers: list[Worker] = []

    def begin(*works: str) -> list[Worker]:
        new = [Worker(tmp_path, work, number) for number, work in enumerate(works)]
        workers.extend(new)
        for worker in new:
            worker.wait_until_ready()
        return new

    yield begin
    for worker in workers:
        if worker.process.poll() is None:
            worker.process.kill()
        worker.process.communicate()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Memora]:
    with local_client(tmp_path) as client:
        yield client


def everything(client: Memora, name: str = "c") -> dict[int, float]:
    """Return id -> value, after checking that no row is there twice and that the count is true."""
    rows = client.vectors.query(collection_name=name, filter="true", output_fields=["vector"])["data"]
    values = {row["id"]: row["vector"][1] for row in rows}
    assert len(values) == len(rows)
    assert client.collections.get_stats(collection_name=name)["data"]["rowCount"] == len(rows)
    return values


# Killed --------------------------------------------------------------------------------------------------------

ENDLESS = {
    "insert": f"""
while True:
    ids = list(range(number, number + {BATCH}))
    say(client.vectors.insert(collection_name="c", data=rows(ids, 1))["data"]["insertIds"])
    number += {BATCH}
""",
    "insert with automatic ids": f"""
while True:
    data = [{{"vector": [1, 1]}}] * {BATCH}
    say(client.vectors.insert(collection_name="c", data=data)["data"]["insertIds"])
""",
    "upsert": f"""
while True:  # replaces the second half of the batch before
    ids = list(range(number, number + {BATCH}))
    say(client.vectors.upsert(collection_name="c", data=rows(ids, 1))["data"]["upsertIds"])
    number += {BATCH // 2}
""",
}


@pytest.mark.parametrize("work", ENDLESS)
def test_rows_acknowledged_before_a_kill_are_all_there_and_none_is_doubled(tmp_path, store, rng, work):
    store.collections.create(collection=Collection("c", 2, auto_id="automatic" in work))
    acknowledged: set[int] = set()
    for _ in range(2):  # killed, started again on what is left, killed again
        before = everything(store)
        worker = Worker(tmp_path, ENDLESS[work], number=max(before, default=0) + 1)
        worker.wait_until_ready()
        worker.tell()
        batches = [worker.hear() for _ in range(rng.integers(8, 30))]
        batches += worker.kill()
        told = [n for batch in batches for n in batch]
        if work != "upsert":
            assert len(set(told)) == len(told)
            assert not set(told) & before.keys()
        acknowledged |= set(told)
        after = everything(store)
        assert acknowledged <= after.keys()
        # one call more may have been stored and not yet acknowledged, but then all of it
        extra = len(after.keys() - before.keys() - set(told))
        assert extra in {0, BATCH // 2 if work == "upsert" else BATCH}
        began = time.monotonic()
        new = {"vector": [1, 5]} if "automatic" in work else {"id": max(after) + 1, "vector": [1, 5]}
        (key,) = store.vectors.insert(collection_name="c", data=new)["data"]["insertIds"]
        assert time.monotonic() - began < 5  # the dead hold no lock
        assert everything(store) == {**after, key: 5.0}
        acknowledged.add(key)
    assert len(acknowledged) > 200 if work != "upsert" else len(acknowledged) > 100


def test_a_kill_while_collections_come_and_go_leaves_none_that_can_not_be_used(tmp_path, store, rng):
    for _ in range(2):
        worker = Worker(
            tmp_path,
            """
while True:
    name = f"c{number % 7}"
    number += 1
    try:
        client.collections.drop(collection_name=name)
    except NotFoundError:
        pass
    client.collections.create(collection=Collection(name, 2))
    client.vectors.insert(collection_name=name, data=rows([1, 2], 3))
    say(name)
""",
        )
        worker.wait_until_ready()
        worker.tell()
        for _ in range(rng.integers(10, 25)):
            worker.hear()
        worker.kill()
        names = store.collections.list()["data"]
        assert len(names) >= 6  # of seven, one may be between drop and create
        for name in names:
            assert everything(store, name) in ({1: 3.0, 2: 3.0}, {})  # {}: created, not yet filled
            store.vectors.upsert(collection_name=name, data={"id": 1, "vector": [1, 3]})
            assert store.vectors.search(collection_name=name, data=[1, 3], anns_field="vector", limit=1)["data"]
    for name in (f"c{n}" for n in range(7)):
        if name in names:
            store.collections.drop(collection_name=name)
        store.collections.create(collection=Collection(name, 3))
        assert everything(store, name) == {}


# Two at once ---------------------------------------------------------------------------------------------------


def test_two_processes_that_write_at_once_lose_no_row_and_count_true(store, start):
    store.collections.create(collection=Collection("c", 2))
    work = """
for turn in range(24):
    first = (2 * turn + number) * 10
    client.vectors.insert(collection_name="c", data=rows(range(first, first + 10), number))
    if turn % 3 == 2:
        client.vectors.upsert(collection_name="c", data=rows(range(first, first + 10), number + 10))
        client.vectors.delete(collection_name="c", filter=f"id == {first}")
"""
    workers = start(work, work)
    for worker in workers:
        worker.tell()
    for worker in workers:
        worker.finish()
    expected = {}
    for turn in range(24):
        for number in (0, 1):
            first = (2 * turn + number) * 10
            for n in range(first, first + 10):
                expected[n] = number + 10 * (turn % 3 == 2)
            if turn % 3 == 2:
                del expected[first]
    assert everything(store) == expected


def test_two_processes_that_upsert_the_same_keys_at_once_leave_one_row_a_key(store, start):
    """Two merges at the same time would leave two rows a key: the engine's known fault, hence the turns."""
    store.collections.create(collection=Collection("c", 2))
    work = """
for turn in range(30):
    client.vectors.upsert(collection_name="c", data=rows(range(25), 100 * number + turn))
"""
    workers = start(work, work)
    for worker in workers:
        worker.tell()
    for worker in workers:
        worker.finish()
    stored = everything(store)
    assert stored.keys() == set(range(25))
    assert set(stored.values()) in ({29.0}, {129.0})  # the last call of one of them, whole


def test_two_processes_that_insert_the_same_keys_at_once_store_each_call_once(store, start):
    store.collections.create(collection=Collection("c", 2))
    work = """
for turn in range(25):
    try:
        client.vectors.insert(collection_name="c", data=rows(range(turn * 5, turn * 5 + 5), number))
        say(turn)
    except AlreadyExistsError:
        pass
"""
    workers = start(work, work)
    for worker in workers:
        worker.tell()
    won = [set(worker.finish()) for worker in workers]
    assert won[0] | won[1] == set(range(25))
    assert not won[0] & won[1]
    assert everything(store) == {n: float(n // 5 in won[1]) for n in range(125)}


def test_automatic_ids_of_two_processes_never_meet(store, start):
    store.collections.create(collection=Collection("c", 2, auto_id=True))
    work = """
for turn in range(25):
    data = [{"vector": [1, number]}] * (turn + 1)
    say(client.vectors.insert(collection_name="c", data=data)["data"]["insertIds"])
"""
    workers = start(work, work)
    for worker in workers:
        worker.tell()
    told = [[n for batch in worker.finish() for n in batch] for worker in workers]
    assert everything(store) == {n: float(number) for number in (0, 1) for n in told[number]}
    assert len(told[0]) == len(told[1]) == 325


def test_two_processes_that_create_the_same_collection_have_one_winner(store, start):
    work = """
for turn in range(20):
    try:
        client.collections.create(collection=Collection(f"c{turn}", 2 + number))
        say(turn)
    except AlreadyExistsError as error:
        assert error.status == 409
"""
    workers = start(work, work)
    for worker in workers:
        worker.tell()
    won = [set(worker.finish()) for worker in workers]
    assert won[0] | won[1] == set(range(20))
    assert not won[0] & won[1]
    for turn in range(20):  # what is there is the winner's
        row = {"id": 1, "vector": [1] * (2 if turn in won[0] else 3)}
        assert store.vectors.insert(collection_name=f"c{turn}", data=row)["data"]["insertCount"] == 1


def test_a_reader_in_another_process_sees_every_change_at_once(store, start):
    store.collections.create(collection=Collection("c", 2, metric_type="L2"))
    (reader,) = start("""
for line in sys.stdin:
    best = client.vectors.search(collection_name="c", data=[1, 7], anns_field="vector", limit=1)["data"]
    rows = client.vectors.query(collection_name="c", filter="true", output_fields=["id"])["data"]
    say([client.collections.get_stats(collection_name="c")["data"]["rowCount"], [row["id"] for row in rows], best])
""")
    reader.tell()

    def seen() -> list:
        reader.tell("look")
        return reader.hear()

    assert seen() == [0, [], []]
    for n in range(1, 11):
        store.vectors.insert(collection_name="c", data={"id": n, "vector": [1, 100]})
        assert seen()[:2] == [n, list(range(1, n + 1))]
    store.vectors.upsert(collection_name="c", data={"id": 5, "vector": [1, 7]})
    assert seen()[2] == [{"distance": 0.0, "id": 5}]
    store.vectors.delete(collection_name="c", filter="id > 2")
    assert seen()[:2] == [2, [1, 2]]
    store.collections.drop(collection_name="c")
    store.collections.create(collection=Collection("c", 2, metric_type="L2"))
    assert seen() == [0, [], []]
    store.vectors.insert(collection_name="c", data={"id": 9, "vector": [1, 8]})
    assert seen() == [1, [9], [{"distance": 1.0, "id": 9}]]


def test_searching_goes_on_while_another_process_fills_indexes_and_tidies(store, start, rng):
    index = Index("L2", "vector", "vector", IndexConfig("IVF_FLAT", nlist=4))
    store.collections.create(collection=Collection("c", 2, metric_type="L2", indexes=[index]))
    store.vectors.insert(collection_name="c", data={"id": 0, "vector": [0, 0]})
    (writer,) = start("""
for n in range(1, 105):  # single rows make many versions: they are merged twice on the way
    client.vectors.upsert(collection_name="c", data=rows([n], n))
for n in (1000, 2000):
    client.vectors.insert(collection_name="c", data=rows(range(n, 2 * n), n))
    client.collections.load(collection_name="c")
say("done")
""")
    done = threading.Event()
    threading.Thread(target=lambda: (writer.hear(), done.set()), daemon=True).start()
    writer.tell()
    counts, searches = [1], 0
    while not done.is_set():
        hits = store.vectors.search(collection_name="c", data=[0, 0], anns_field="vector", limit=1)["data"]
        assert hits == [{"distance": 0.0, "id": 0}]
        counts.append(store.collections.get_stats(collection_name="c")["data"]["rowCount"])
        searches += 1
    writer.finish()
    assert searches > 20
    assert counts == sorted(counts)
    (about,) = store.indexes.describe(collection_name="c", index_name="vector")["data"]
    assert (about["indexedRows"], about["pendingRows"], about["totalRows"]) == (3105, 0, 3105)


def test_readers_of_a_collection_that_another_process_makes_anew_get_answers_or_are_told_it_is_gone(
    store, start, monkeypatch
):
    monkeypatch.setattr(helpers.memora.http, "ATTEMPTS", 1)  # a second attempt would hide a fault
    store.collections.create(collection=Collection("c", 2))
    (other,) = start("""
for turn in range(30):
    client.collections.drop(collection_name="c")
    client.collections.create(collection=Collection("c", 2))
    client.vectors.insert(collection_name="c", data=rows([1, 2], turn))
say("done")
""")
    done = threading.Event()
    threading.Thread(target=lambda: (other.hear(), done.set()), daemon=True).start()
    other.tell()
    reads = [
        lambda: store.collections.get_stats(collection_name="c")["data"]["rowCount"],
        lambda: len(store.vectors.query(collection_name="c", filter="true")["data"]),
        lambda: len(store.vectors.search(collection_name="c", data=[1, 0], anns_field="vector")["data"]),
        lambda: 2 * len(store.vectors.get(collection_name="c", id=2)["data"]),
    ]
    answered = 0
    while not done.is_set():
        for read in reads:
            with contextlib.suppress(NotFoundError):  # an UnavailableError would be a fault of ours
                assert read() in (0, 2)
                answered += 1
    other.finish()
    assert answered > 20


def test_threads_that_share_a_client_lose_no_row(store):
    store.collections.create(collection=Collection("c", 2))
    faults: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(15):
                ids = range(number * 1000 + turn * 5, number * 1000 + turn * 5 + 5)
                data = [{"id": n, "vector": np.array([1, number])} for n in ids]
                store.vectors.insert(collection_name="c", data=data)
                store.vectors.search(collection_name="c", data=[1, number], anns_field="vector", limit=3)
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert everything(store) == {number * 1000 + n: float(number) for number in range(6) for n in range(75)}
