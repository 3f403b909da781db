"""What was acknowledged stays, once, whoever is killed or writes at the same moment: with real processes."""

import contextlib
import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import helpers.memora.http
from helpers.connect import local_client
from helpers.memora import Memora, NotFoundError, UnavailableError
from helpers.memora.models import Collection, Index, IndexConfig
from tests.local_memora.served import served
from tests.local_memora.workers import everything

BATCH = 20


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Memora]:
    with local_client(tmp_path) as client:
        yield client


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
def test_rows_acknowledged_before_a_kill_are_all_there_and_none_is_doubled(tmp_path, store, workers, rng, work):
    store.collections.create(collection=Collection("c", 2, auto_id="automatic" in work))
    acknowledged: set[int] = set()
    for worker in workers.take(2):  # killed, another on what is left, killed again
        before = everything(store)
        worker.begin(tmp_path, ENDLESS[work], number=max(before, default=0) + 1)
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
        new = {"vector": [1, 5]} if "automatic" in work else {"id": max(after) + 1, "vector": [1, 5]}
        (key,) = store.vectors.insert(collection_name="c", data=new)["data"]["insertIds"]  # the dead hold no lock
        assert everything(store) == {**after, key: 5.0}
        acknowledged.add(key)
    assert len(acknowledged) > 200 if work != "upsert" else len(acknowledged) > 100


def test_a_kill_while_collections_come_and_go_leaves_usable_ones(tmp_path, store, workers, rng):
    for worker in workers.take(2):
        worker.begin(
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


def test_rows_acknowledged_over_http_outlive_a_killed_server(tmp_path, store, rng, monkeypatch):
    monkeypatch.setattr(helpers.memora.http, "ATTEMPTS", 1)
    for name in ("keyed", "numbered"):
        store.collections.create(collection=Collection(name, 2, auto_id=name == "numbered"))
    rows: dict[str, dict[int, float]] = {"keyed": {}, "numbered": {}}  # that must be there, with their call

    def write(client: Memora, number: int) -> tuple[str, int]:
        """Insert, replace half of that, and let number, until the kill; return the call that it broke off."""
        for call in itertools.count(number):
            name = ("keyed", "keyed", "numbered")[call % 3]
            first = (call - call % 3) * BATCH + call % 3 * BATCH // 2
            data = [{"id": first + n, "vector": [1, call]} for n in range(BATCH)]
            try:
                if call % 3 == 0:
                    keys = client.vectors.insert(collection_name=name, data=data)["data"]["insertIds"]
                elif call % 3 == 1:
                    keys = client.vectors.upsert(collection_name=name, data=data)["data"]["upsertIds"]
                else:
                    data = [{"vector": row["vector"]} for row in data]
                    keys = client.vectors.insert(collection_name=name, data=data)["data"]["insertIds"]
            except UnavailableError:
                return name, call
            assert not keys & rows[name].keys() or call % 3 == 1
            rows[name].update(dict.fromkeys(keys, float(call)))
        raise AssertionError

    def check(client: Memora, broken_off: list[tuple[str, int]]) -> None:
        stored = {name: everything(client, name) for name in rows}
        for name, call in broken_off:
            found = {key: value for key, value in stored[name].items() if value == call}
            assert len(found) in (0, BATCH)
            rows[name].update(found)
        assert stored == rows

    broken_off: list[tuple[str, int]] = []
    for turn in range(3):
        with served(tmp_path) as process, process.client() as client, ThreadPoolExecutor() as threads:
            check(client, broken_off)
            enough = sum(map(len, rows.values())) + rng.integers(300, 900)
            writers = [threads.submit(write, client, 90_000 * (2 * turn + n)) for n in (0, 1)]
            while sum(map(len, rows.values())) < enough and not any(writer.done() for writer in writers):
                time.sleep(0.001)
            os.kill(process.process.pid, signal.SIGKILL)
            broken_off = [writer.result() for writer in writers]
    check(store, broken_off)


def test_what_a_killed_drop_has_left_is_gone_with_the_next_drop(tmp_path, store, workers):
    for name in ("c", "other", "third"):
        store.collections.create(collection=Collection(name, 2))
        store.vectors.insert(collection_name=name, data={"id": 1, "vector": [1, 3]})
    (worker,) = workers.start(
        (
            tmp_path,
            "shutil.rmtree = lambda *_, **__: os.kill(os.getpid(), 9); client.collections.drop(collection_name='c')",
        )
    )
    worker.tell()
    assert worker.process.wait() == -signal.SIGKILL
    assert store.collections.list()["data"] == ["other", "third"]
    assert len(list((tmp_path / "lance").iterdir())) == 3
    store.collections.drop(collection_name="third")
    assert len(list((tmp_path / "lance").iterdir())) == 1
    assert everything(store, "other") == {1: 3.0}


# Two at once ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("over_http", [0, 2, 4], ids=["embedded", "embedded and served", "served"])
def test_four_processes_that_write_at_once_leave_one_row_a_key(tmp_path, store, workers, over_http):
    """Two merges at the same time would leave two rows a key: the engine's known fault, hence the turns."""
    store.collections.create(collection=Collection("c", 2))
    work = """
for turn in range(8):
    first = (4 * turn + number) * 10
    client.vectors.insert(collection_name="c", data=rows(range(first, first + 10), number))
    client.vectors.upsert(collection_name="c", data=rows(range(first, first + 5), number + 10))
    client.vectors.delete(collection_name="c", filter=f"id == {first}")
for turn in range(12):  # all the same keys
    client.vectors.upsert(collection_name="c", data=rows(range(-25, 0), 100 * number + turn))
"""
    with contextlib.ExitStack() as stack:
        home = stack.enter_context(served(tmp_path)) if over_http else tmp_path
        four = workers.start(*[(home if number < over_http else tmp_path, work) for number in range(4)])
        for worker in four:
            worker.tell()
        for worker in four:
            worker.finish()
    stored = everything(store)
    shared = [stored.pop(key) for key in range(-25, 0)]
    assert shared in [[100.0 * number + 11] * 25 for number in range(4)]  # the last call of one of them, whole
    firsts = range(0, 320, 10)
    expected = {n: float(first // 10 % 4 + 10 * (n < first + 5)) for first in firsts for n in range(first, first + 10)}
    assert stored == {n: value for n, value in expected.items() if n not in firsts}


def test_two_processes_that_insert_the_same_keys_store_each_call_once(tmp_path, store, workers):
    store.collections.create(collection=Collection("c", 2))
    work = """
for turn in range(25):
    try:
        client.vectors.insert(collection_name="c", data=rows(range(turn * 5, turn * 5 + 5), number))
        say(turn)
    except AlreadyExistsError:
        pass
"""
    two = workers.start((tmp_path, work), (tmp_path, work))
    for worker in two:
        worker.tell()
    won = [set(worker.finish()) for worker in two]
    assert won[0] | won[1] == set(range(25))
    assert not won[0] & won[1]
    assert everything(store) == {n: float(n // 5 in won[1]) for n in range(125)}


def test_automatic_ids_of_two_processes_never_meet(tmp_path, store, workers):
    store.collections.create(collection=Collection("c", 2, auto_id=True))
    work = """
for turn in range(25):
    data = [{"vector": [1, number]}] * (turn + 1)
    say(client.vectors.insert(collection_name="c", data=data)["data"]["insertIds"])
"""
    two = workers.start((tmp_path, work), (tmp_path, work))
    for worker in two:
        worker.tell()
    told = [[n for batch in worker.finish() for n in batch] for worker in two]
    assert everything(store) == {n: float(number) for number in (0, 1) for n in told[number]}
    assert len(told[0]) == len(told[1]) == 325


def test_two_processes_that_create_the_same_collection_have_one_winner(tmp_path, store, workers):
    work = """
for turn in range(20):
    try:
        client.collections.create(collection=Collection(f"c{turn}", 2 + number))
        say(turn)
    except AlreadyExistsError as error:
        assert error.status == 409
"""
    two = workers.start((tmp_path, work), (tmp_path, work))
    for worker in two:
        worker.tell()
    won = [set(worker.finish()) for worker in two]
    assert won[0] | won[1] == set(range(20))
    assert not won[0] & won[1]
    for turn in range(20):  # what is there is the winner's
        row = {"id": 1, "vector": [1] * (2 if turn in won[0] else 3)}
        assert store.vectors.insert(collection_name=f"c{turn}", data=row)["data"]["insertCount"] == 1


def test_a_reader_in_another_process_sees_every_change_at_once(tmp_path, store, workers):
    store.collections.create(collection=Collection("c", 2, metric_type="L2"))
    (reader,) = workers.start(
        (
            tmp_path,
            """
while heard() == "look":
    best = client.vectors.search(collection_name="c", data=[1, 7], anns_field="vector", limit=1)["data"]
    rows = client.vectors.query(collection_name="c", filter="true", output_fields=["id"])["data"]
    say([client.collections.get_stats(collection_name="c")["data"]["rowCount"], [row["id"] for row in rows], best])
""",
        )
    )
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
    reader.tell("enough")
    reader.finish()


def test_searching_goes_on_while_another_process_fills_indexes_and_tidies(tmp_path, store, workers, rng):
    index = Index("L2", "vector", "vector", IndexConfig("IVF_FLAT", nlist=4))
    store.collections.create(collection=Collection("c", 2, metric_type="L2", indexes=[index]))
    store.vectors.insert(collection_name="c", data={"id": 0, "vector": [0, 0]})
    (writer,) = workers.start(
        (
            tmp_path,
            """
for n in range(1, 105):  # single rows make many versions: they are merged twice on the way
    client.vectors.upsert(collection_name="c", data=rows([n], n))
for n in (1000, 2000):
    client.vectors.insert(collection_name="c", data=rows(range(n, 2 * n), n))
    client.collections.load(collection_name="c")
say("done")
""",
        )
    )
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


@pytest.mark.parametrize("config", [IndexConfig("IVF_FLAT", nlist=8), IndexConfig("HNSW", m=16, ef_construction=100)])
def test_rows_that_arrive_during_a_build_are_found_and_pending(tmp_path, store, workers, config):
    index = Index("L2", "vector", "by_vector", config)
    store.collections.create(collection=Collection("c", 8, metric_type="L2", indexes=[index]))
    writer, builder = workers.start(
        (
            tmp_path,
            """
for first in range(0, 4000, 200):
    client.vectors.insert(collection_name="c", data=rows(range(first, first + 200), first % 1000, dim=8))
    say(first + 200)
""",
        ),
        (
            tmp_path,
            """
indexed = [0]
while indexed[-1] < 4000:
    client.collections.load(collection_name="c")
    (about,) = client.indexes.describe(collection_name="c", index_name="by_vector")["data"]
    indexed += [about["indexedRows"]]
say(indexed)
""",
        ),
    )
    builder.tell()
    writer.tell()
    for count in range(200, 4200, 200):
        assert writer.hear() == count
        sought = [1, (count - 200) % 1000] + [count - 1] * 6
        hits = store.vectors.search(collection_name="c", data=sought, anns_field="vector", limit=1)["data"]
        assert hits == [{"distance": 0.0, "id": count - 1}]
        (about,) = store.indexes.describe(collection_name="c", index_name="by_vector")["data"]
        assert about["totalRows"] >= count
        assert about["indexedRows"] + about["pendingRows"] == about["totalRows"]
    writer.finish()
    (indexed,) = builder.finish()
    assert indexed == sorted(indexed)
    assert len(set(indexed)) > 3  # it was built again and again on the way
    (about,) = store.indexes.describe(collection_name="c", index_name="by_vector")["data"]
    assert (about["indexedRows"], about["pendingRows"], about["totalRows"]) == (4000, 0, 4000)
    assert everything(store) == {n: float(n // 200 * 200 % 1000) for n in range(4000)}


def test_readers_of_a_collection_made_anew_get_answers_or_not_found(tmp_path, store, workers, monkeypatch):
    monkeypatch.setattr(helpers.memora.http, "ATTEMPTS", 1)  # a second attempt would hide a fault
    store.collections.create(collection=Collection("c", 2))
    (other,) = workers.start(
        (
            tmp_path,
            """
for turn in range(30):
    client.collections.drop(collection_name="c")
    client.collections.create(collection=Collection("c", 2))
    client.vectors.insert(collection_name="c", data=rows([1, 2], turn))
say("done")
""",
        )
    )
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


def test_threads_that_upsert_the_same_keys_at_once_leave_one_row_a_key(store):
    store.collections.create(collection=Collection("c", 2))

    def work(number: int) -> None:
        for turn in range(10):
            data = [{"id": n, "vector": [1, 100 * number + turn]} for n in range(25)]
            store.vectors.upsert(collection_name="c", data=data)

    with ThreadPoolExecutor() as threads:
        list(threads.map(work, range(6)))
    stored = everything(store)
    assert stored.keys() == set(range(25))
    assert set(stored.values()) in [{100.0 * number + 9} for number in range(6)]
