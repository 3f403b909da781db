"""Catalogue and tables agree, or say what is wrong: calls broken off half-way, lost and damaged files."""

import errno
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import httpx
import lancedb
import numpy as np
import pytest

from helpers.connect import local_client
from helpers.memora import AlreadyExistsError, InvalidRequestError, Memora, NotFoundError, UnavailableError
from helpers.memora.models import Collection, ElementTypeParams, Field, Index, IndexConfig, Schema
from local_memora import __main__ as command
from local_memora import create_app
from local_memora.engines.lance import beside, upkeep
from local_memora.engines.lance.repair import repair
from tests.local_memora.contract import KEY
from tests.local_memora.workers import Workers, everything

LISTS = IndexConfig("IVF_FLAT", nlist=4)
FILES = ("data", "_versions", "_indices")


def fill(client: Memora, name: str, count: int = 40, **more: object) -> None:
    client.collections.create(collection=Collection(name, 4, metric_type="L2", **more))
    rows = np.random.default_rng(0).normal(size=(count, 4))
    client.vectors.insert(collection_name=name, data=[{"id": n, "vector": row} for n, row in enumerate(rows)])


def index(name: str, config: IndexConfig = LISTS) -> Index:
    return Index("L2", "vector", name, config)


def ids(client: Memora, name: str) -> list[int]:
    rows = client.vectors.query(collection_name=name, filter="true", output_fields=["id"])["data"]
    return [row["id"] for row in rows]


def search(client: Memora, name: str, query: object, knobs: dict[str, int] | None = None, **more: int) -> list[dict]:
    params = {"metric_type": "L2", "params": knobs or {}}
    return client.vectors.search(collection_name=name, data=query, anns_field="vector", search_params=params, **more)[
        "data"
    ]


def health(home: Path) -> httpx.Response:
    transport = httpx.WSGITransport(app=create_app(home, KEY))
    with httpx.Client(transport=transport, base_url="http://memora.invalid", headers={"Api-Key": KEY}) as http:
        return http.get("/health")


def table_of(home: Path, client: Memora, name: str) -> Path:
    number = client.collections.describe(collection_name=name)["data"]["collectionID"]
    return beside.table(home / "lance", number)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Memora]:
    """Return a client of a store with `other`, `c` and its index `old`; each has 40 rows."""
    with local_client(tmp_path) as client:
        fill(client, "other")
        fill(client, "c", indexes=[index("old")])
        client.partitions.create(collection_name="c", partition_name="p")
        client.collections.load(collection_name="c")
        yield client


# Calls that are broken off -------------------------------------------------------------------------------------

CATALOGUE, TABLE = "local_memora.engines.lance.catalogue.Catalogue", "lancedb.table.LanceTable"
CREATE = "client.collections.create(collection=Collection('new', 4, metric_type='L2'))"
DROP = "client.collections.drop(collection_name='c')"
RENAME = "client.collections.rename(collection_name='c', new_collection_name='d')"
CREATE_INDEX = "client.indexes.create(collection_name='bare', index_params=[Index('L2', 'vector', 'i', LISTS)])"
DROP_INDEX = "client.indexes.drop(collection_name='c', index_name='old')"
CREATE_PARTITION = "client.partitions.create(collection_name='other', partition_name='p')"
DROP_PARTITION = "client.partitions.drop(collection_name='c', partition_name='p')"
LOAD = "client.collections.load(collection_name='c')"
STEPS = {  # the call, and before what it is broken off
    "create: no table yet": (CREATE, "lancedb.db.LanceDBConnection.create_table"),
    "create: not described yet": (CREATE, f"{CATALOGUE}.describe"),
    "drop: not begun": (DROP, f"{CATALOGUE}._change"),
    "drop: table not removed": (DROP, f"{CATALOGUE}.sweep"),
    "rename: not described yet": (RENAME, f"{CATALOGUE}.describe"),
    "index: defined, not built": (CREATE_INDEX, f"{TABLE}.create_index"),
    "index: not described": (CREATE_INDEX, f"{CATALOGUE}.describe"),
    "index: taken back, not dropped": (DROP_INDEX, f"{TABLE}.drop_index"),
    "partition: column, no entry": (CREATE_PARTITION, f"{CATALOGUE}.set_partitions"),
    "partition: emptied, not dropped": (DROP_PARTITION, f"{CATALOGUE}.set_partitions"),
    "load: index dropped, files not merged": (LOAD, f"{TABLE}.optimize"),
}


def again(client: Memora, call: str) -> None:
    """Make a call that was broken off once more; that it was done already is fine."""
    with suppress(NotFoundError, AlreadyExistsError):
        eval(call, globals() | {"client": client})


@pytest.mark.parametrize("how", ["killed", "failed"])
@pytest.mark.parametrize("step", STEPS)
def test_catalogue_and_tables_agree_after_a_call_broken_off(tmp_path, store, workers: Workers, monkeypatch, step, how):
    """Whatever the call had done by then: it can be made again, nothing else has changed, and nothing is left over."""
    call, before = STEPS[step]
    fill(store, "bare")
    store.indexes.drop(collection_name="bare", index_name="vector")
    store.vectors.upsert(collection_name="c", data=[{"id": 1, "vector": [1, 2, 3, 4]}])  # a second file
    if how == "killed":
        patch = f"import pytest; pytest.MonkeyPatch().setattr({before!r}, lambda *_, **__: os._exit(9))\n"
        (worker,) = workers.start((tmp_path, f"{patch}LISTS = IndexConfig('IVF_FLAT', nlist=4)\n{call}"))
        worker.tell()
        assert worker.process.wait() == 9
    else:

        def fails(*_: object, **__: object) -> None:
            raise RuntimeError("broken off")

        with monkeypatch.context() as patched, pytest.raises(UnavailableError):
            patched.setattr(before, fails)
            eval(call, globals() | {"client": store})
    with local_client(tmp_path) as client:
        assert health(tmp_path).status_code == 200
        again(client, call)
        names = client.collections.list()["data"]
        expected = {CREATE: ["bare", "c", "new", "other"], DROP: ["bare", "other"], RENAME: ["bare", "d", "other"]}
        assert names == expected.get(call, ["bare", "c", "other"])
        for name in names:
            assert ids(client, name) == ([] if name == "new" else list(range(40)))
            client.vectors.upsert(collection_name=name, data={"id": 0, "vector": [9, 9, 9, 9]})
            client.collections.load(collection_name=name)
            assert search(client, name, [9, 9, 9, 9], limit=1) == [{"distance": 0.0, "id": 0}]
            defined = set(client.indexes.list(collection_name=name)["data"])
            table = table_of(tmp_path, client, name)
            built = {each.name for each in lancedb.connect(table.parent).open_table(table.stem).list_indices()}
            assert built <= defined
            said = beside.read(table)
            assert (said["name"], {each["indexName"] for each in said["indexes"]}) == (name, defined)
        fill(client, "last")
        client.collections.drop(collection_name="last")
        used = {table_of(tmp_path, client, name).name for name in names}
        rest = {table.name for table in beside.tables_in(tmp_path / "lance").values()} - used
        assert not any(beside.holds_rows(tmp_path / "lance" / name) for name in rest)
    repair(tmp_path)
    assert {table.name for table in beside.tables_in(tmp_path / "lance").values()} == used


@pytest.mark.parametrize("name", ["old", "new"])
@pytest.mark.parametrize("config", [IndexConfig("IVF_FLAT", nlist=4), IndexConfig("HNSW", m=16, ef_construction=100)])
def test_an_index_that_a_killed_drop_has_left_is_never_searched(tmp_path, workers, rng, config, name):
    vectors = rng.normal(size=(3_000, 8)).astype(np.float32)
    with local_client(tmp_path) as client:
        many = index("old", IndexConfig("IVF_FLAT", nlist=300))
        client.collections.create(collection=Collection("c", 8, metric_type="L2", indexes=[many]))
        client.vectors.insert(collection_name="c", data=[{"id": n, "vector": v} for n, v in enumerate(vectors)])
        client.collections.load(collection_name="c")
        patch = f"import pytest; pytest.MonkeyPatch().setattr('{TABLE}.drop_index', lambda *_, **__: os._exit(9))\n"
        (worker,) = workers.start((tmp_path, patch + DROP_INDEX))
        worker.tell()
        assert worker.process.wait() == 9
        knobs = {"nprobe": 4} if config.index_type == "IVF_FLAT" else {"ef": 1_000}
        for made in (False, True):
            if made:
                client.indexes.create(collection_name="c", index_params=[index(name, config)])
            for query in rng.normal(size=(5, 8)).astype(np.float32):
                hits = search(client, "c", query, knobs if made else {}, limit=10)
                nearest = np.argsort(((vectors - query) ** 2).sum(axis=1))[:10]
                assert [hit["id"] for hit in hits] == nearest.tolist()


def test_what_a_killed_creation_has_left_is_never_used(tmp_path, store, workers):
    """A table with other columns lies under the next id: it stays as it is, and the next collection gets another id."""
    left = beside.table(tmp_path / "lance", 3)
    patch = f"import pytest; pytest.MonkeyPatch().setattr('{CATALOGUE}.describe', lambda *_, **__: None)\n"
    patch += "engine = local_memora.engines.lance.engine.LanceEngine\nmake = engine._make_table\n"
    patch += "engine._make_table = lambda *a: (make(*a), os._exit(9))\n"
    (worker,) = workers.start((tmp_path, patch + CREATE))
    worker.tell()
    assert worker.process.wait() == 9
    assert left.is_dir()
    files = sorted(left.rglob("*"))
    store.collections.create(collection=Collection("wide", 64))
    assert table_of(tmp_path, store, "wide").name == "c4.lance"
    assert sorted(left.rglob("*")) == files
    assert repair(tmp_path) == ["c3.lance: what a broken-off drop or creation had left; removed."]
    assert not left.exists()


# A catalogue that is lost, old, or another ---------------------------------------------------------------------


def lose(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def forget(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM collections")


def garble(path: Path) -> None:
    path.write_bytes(b"this is no database at all, nor was it ever one" * 100)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:4_097])


def replace_by_another_programs(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE songs (title TEXT)")


def age(path: Path) -> None:
    """Make it what an earlier version of the kit had."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DROP TABLE store")
        db.execute("ALTER TABLE collections DROP COLUMN revision")
        db.execute("ALTER TABLE collections DROP COLUMN failures")


LOST: dict[Callable[[Path], None], str] = {
    lose: "is missing or empty, but there are tables of 'precious'",
    empty: "is missing or empty, but there are tables of 'precious'",
    forget: "has no entries, but there are tables of 'precious'",
    garble: "can't be read",
    cut: "can't be read",
    replace_by_another_programs: "is a database of another program",
    age: "was made by an older version of the kit",
}


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """Return a store of one collection: partitions, an index, automatic ids of which the last is gone already."""
    home = tmp_path / "home"
    with local_client(home) as client:
        vector = Field("v", "FloatVector", element_type_params=ElementTypeParams(dim=2))
        schema = Schema([Field("id", "Int64", is_primary=True), vector, Field("n", "Int8")], auto_id=True)
        indexes = [Index("L2", "v", "by_v", IndexConfig("IVF_FLAT", nlist=2))]
        client.collections.create(collection=Collection("draft", schema=schema, indexes=indexes))
        client.partitions.create(collection_name="draft", partition_name="p")
        client.collections.rename(collection_name="draft", new_collection_name="precious")
        for partition in ("_default", "p"):
            data = [{"v": [1, n], "n": n} for n in range(50)]
            client.vectors.insert(collection_name="precious", data=data, partition_name=partition)
        client.vectors.delete(collection_name="precious", filter="id > 90")
    return home


def content(home: Path) -> dict[str, bytes]:
    return {f"{path.relative_to(home)}": path.read_bytes() for path in home.rglob("*") if path.is_file()}


@pytest.mark.parametrize("how", LOST, ids=lambda how: how.__name__)
def test_a_lost_catalogue_is_named_and_rebuilt_from_the_tables(precious, how):
    how(precious / "catalogue.sqlite")
    before = content(precious)
    for _ in range(2):
        with pytest.raises(InvalidRequestError, match=LOST[how]) as caught:
            local_client(precious)
        assert "python -m local_memora repair" in str(caught.value)
    assert content(precious) == before
    said = repair(precious)
    assert said[0] == "The catalogue was built anew, with 1 collections."
    assert len([line for line in said if "catalogue-1.sqlite" in line]) == (0 if how is lose else 1)
    with local_client(precious) as client:
        assert client.collections.list()["data"] == ["precious"]
        assert client.partitions.list(collection_name="precious")["data"] == ["_default", "p"]
        assert client.indexes.list(collection_name="precious")["data"] == ["by_v"]
        assert ids(client, "precious") == list(range(1, 91))
        new = client.vectors.insert(collection_name="precious", data={"v": [1, 0], "n": 1})["data"]["insertIds"]
        assert new == [101]  # those that were handed out and deleted are not handed out again
        assert client.collections.create(collection=Collection("other", 2))["message"] == "collection created"
        assert len(ids(client, "precious")) == 91
    assert repair(precious) == ["Catalogue and tables agree: nothing was changed."]
    assert health(precious).status_code == 200


def test_an_older_catalogue_refuses_what_it_does_not_know(tmp_path, precious):
    """It was put back from a copy: the rest goes on, /health says it, and repair takes what the tables know."""
    path = precious / "catalogue.sqlite"
    with local_client(precious) as client:
        fill(client, "quiet")
        fill(client, "gone")
        shutil.copy(path, tmp_path / "copy")
        client.vectors.insert(collection_name="precious", data={"v": [1, 0], "n": 1})
        client.collections.drop(collection_name="gone")
        fill(client, "late")
    shutil.copy(tmp_path / "copy", path)
    with local_client(precious) as client:
        assert ids(client, "quiet") == list(range(40))
        client.vectors.delete(collection_name="quiet", filter="id > 1")
        for name, why in (
            ("precious", "is newer than the catalogue"),
            ("late", "is not in the catalogue, but its table"),
        ):
            calls = [
                lambda name=name: ids(client, name),
                lambda name=name: client.vectors.insert(collection_name=name, data={"v": [1, 0], "n": 1}),
                lambda name=name: client.collections.create(collection=Collection(name, 2)),
                lambda name=name: client.collections.drop(collection_name=name),
            ]
            for call in calls:
                with pytest.raises(InvalidRequestError, match=f"the collection {name!r} {why}.* local_memora repair"):
                    call()
        with pytest.raises(InvalidRequestError, match="rows of the collection 'gone' are missing"):
            ids(client, "gone")
    assert {name for name in ("precious", "late", "gone", "quiet") if repr(name) in health(precious).text} == {
        "precious",
        "late",
        "gone",
    }
    said = repair(precious)
    assert "rows of the collection 'gone' are missing" in said[-1]
    with local_client(precious) as client:
        client.collections.drop(collection_name="gone")
        assert client.collections.list()["data"] == ["late", "precious", "quiet"]
        assert (len(ids(client, "precious")), len(ids(client, "late")), ids(client, "quiet")) == (91, 40, [0, 1])
        assert client.vectors.insert(collection_name="precious", data={"v": [1, 0], "n": 1})["data"]["insertIds"] == [
            102
        ]
    assert health(precious).status_code == 200


def test_an_older_catalogue_put_back_under_an_open_store_is_seen_by_writes(tmp_path, precious):
    path = precious / "catalogue.sqlite"
    shutil.copy(path, tmp_path / "copy")
    with local_client(precious) as client:
        row = {"v": [1, 0], "n": 1}
        assert client.vectors.insert(collection_name="precious", data=row)["data"]["insertIds"] == [101]
        shutil.copy(tmp_path / "copy", path)
        with pytest.raises(InvalidRequestError, match="'precious' is newer than the catalogue"):
            client.vectors.insert(collection_name="precious", data=row)
        assert len(ids(client, "precious")) == 91


def test_a_catalogue_of_another_folder_is_recognised(tmp_path, precious):
    with local_client(tmp_path / "elsewhere") as client:
        fill(client, "cats")
    shutil.copy(tmp_path / "elsewhere" / "catalogue.sqlite", precious)
    with local_client(precious) as client, pytest.raises(InvalidRequestError, match="'cats' is newer than the cat"):
        client.vectors.delete(collection_name="cats", filter="true")
    repair(precious)
    with local_client(precious) as client:
        assert client.collections.list()["data"] == ["precious"]
        assert len(ids(client, "precious")) == 90


def test_tables_of_an_earlier_version_are_taken_over(precious):
    """They have no description beside them."""
    table = beside.table(precious / "lance", 1)
    (table / beside.FILE).unlink()
    age(precious / "catalogue.sqlite")
    copy = shutil.copytree(precious, precious.with_name("copy"))
    assert repair(precious)[0] == "The catalogue was built anew, with 1 collections."
    with local_client(precious) as client:
        assert len(ids(client, "precious")) == 90
    lose(copy / "catalogue.sqlite")
    with pytest.raises(InvalidRequestError, match="there are tables of 'c1'"):
        local_client(copy)
    assert "c1.lance has rows, but nothing says of which collection: it is lost-c1.lance now" in repair(copy)[-1]
    assert lancedb.connect(copy / "lance").open_table("lost-c1").count_rows() == 90
    with local_client(copy) as client:
        fill(client, "new")
        assert table_of(copy, client, "new").name == "c2.lance"


def test_repair_is_a_command(precious, capsys):
    lose(precious / "catalogue.sqlite")
    assert command.main(["repair", "--engine", str(precious)]) == 0
    assert "'precious' (project 'local'): taken from beside its table." in capsys.readouterr().out
    assert command.main(["repair", "--engine", str(precious)]) == 0
    assert capsys.readouterr().out == "Catalogue and tables agree: nothing was changed.\n"
    assert command.main(["repair", "--engine", str(precious / "absent")]) == 1
    assert "there is no data of the local Memora in" in capsys.readouterr().err
    assert command.main(["repair", "--engine", "http://localhost:19530"]) == 2
    assert "a Milvus server keeps its own catalogue" in capsys.readouterr().err


def test_two_collections_of_one_name_are_both_kept_by_repair(precious):
    """Such as a table's folder that was put back from a copy."""
    with local_client(precious) as client:
        saved = shutil.copytree(beside.table(precious / "lance", 1), precious / "saved")
        client.collections.drop(collection_name="precious")
        fill(client, "precious")
        shutil.move(saved, beside.table(precious / "lance", 1))
    assert "the older is 'precious_c1' now" in " ".join(repair(precious))
    with local_client(precious) as client:
        assert (len(ids(client, "precious")), len(ids(client, "precious_c1"))) == (40, 90)


def test_an_entry_that_can_not_be_read_takes_no_other_collection_down(tmp_path, store):
    with closing(sqlite3.connect(tmp_path / "catalogue.sqlite")) as db, db:
        db.execute("UPDATE collections SET schema = substr(schema, 1, 40) WHERE name = 'c'")
    assert store.collections.list()["data"] == ["c", "other"]
    assert ids(store, "other") == list(range(40))
    with pytest.raises(
        InvalidRequestError, match=r"the catalogue's entry of 'c' can't be read: .* local_memora repair"
    ):
        ids(store, "c")
    assert "entry of 'c' can't be read" in health(tmp_path).json()["message"]
    repair(tmp_path)
    assert ids(store, "c") == list(range(40))


# Files that are damaged or gone --------------------------------------------------------------------------------


def files(table: Path, kind: str) -> list[Path]:
    return [path for path in (table / kind).rglob("*") if path.is_file()]


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "table gone": (shutil.rmtree, "rows of the collection 'c' are missing"),
    "versions gone": (lambda table: shutil.rmtree(table / "_versions"), "rows of the collection 'c' are missing"),
    "rows gone": (lambda table: [p.unlink() for p in files(table, "data")], "rows of the collection 'c' are damaged"),
    "rows cut": (lambda table: [os.truncate(p, 99) for p in files(table, "data")], "'c' are damaged"),
    "all garbage": (
        lambda table: [p.write_bytes(b"damaged") for kind in FILES for p in files(table, kind)],
        "rows of the collection 'c' are damaged",
    ),
    "index gone": (lambda table: shutil.rmtree(table / "_indices"), "index 'old' of the collection 'c' is damaged"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_table_is_named_with_what_to_do_and_others_go_on(tmp_path, store, case):
    break_it, message = DAMAGES[case]
    table = table_of(tmp_path, store, "c")
    saved = shutil.copytree(table, tmp_path / "saved")
    break_it(table)
    with local_client(tmp_path) as client:
        with pytest.raises(InvalidRequestError, match=message):
            search(client, "c", [1, 0, 0, 0], {"nprobe": 4})
        fill(client, "new")
        assert ids(client, "new") == ids(client, "other") == list(range(40))
        answer = client._http._client.get("/health")
        assert answer.status_code == 503
        assert "the collection 'c'" in answer.json()["message"]
        assert "'other'" not in answer.text
        if case == "index gone":
            client.indexes.drop(collection_name="c", index_name="old")
            client.indexes.create(collection_name="c", index_params=[index("old")])
        else:
            shutil.rmtree(table, ignore_errors=True)
            shutil.copytree(saved, table)
        assert len(search(client, "c", [1, 0, 0, 0], {"nprobe": 4})) == 40
        assert client._http._client.get("/health").status_code == 200
        break_it(table)
        client.collections.drop(collection_name="c")
        fill(client, "c")
        assert ids(client, "c") == list(range(40))
        assert client._http._client.get("/health").status_code == 200


def test_without_the_folder_of_tables_each_collection_is_named(tmp_path, store):
    shutil.rmtree(tmp_path / "lance")
    for client in (store, local_client(tmp_path)):
        for name in ("c", "other"):
            with pytest.raises(InvalidRequestError, match=f"the rows of the collection '{name}' are missing"):
                ids(client, name)
        assert "'c'" in health(tmp_path).text
        assert "'other'" in health(tmp_path).text
    store.collections.drop(collection_name="c")
    fill(store, "c")
    assert ids(store, "c") == list(range(40))


def test_a_catalogue_that_breaks_while_it_is_open_is_told(tmp_path, store):
    garble(tmp_path / "catalogue.sqlite")
    with pytest.raises(InvalidRequestError, match=r"the catalogue of this data can't be read .* local_memora repair"):
        ids(store, "c")
    answer = store._http._client.get("/health")
    assert (answer.status_code, "can't be read" in answer.text) == (410, True)


def test_too_many_open_files_are_not_taken_for_damage(store, monkeypatch):
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("lance error: LanceError(IO): Too many open files (os error 24)")

    with monkeypatch.context() as patched:
        patched.setattr(f"{TABLE}.search", fails)
        with pytest.raises(UnavailableError) as caught:
            ids(store, "c")
    assert caught.value.status == 503
    assert store._http._client.get("/health").status_code == 200


# File systems --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS], ids=errno.errorcode.get)
def test_a_file_system_without_hard_links_is_refused_at_first(tmp_path, monkeypatch, store, number):
    """Such as that of a USB stick or of a network share. LanceDB itself would speak of rights, or of nothing at all."""

    def link(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", link)
    with local_client(tmp_path / "new") as client:
        with pytest.raises(UnavailableError, match=r"has no hard links \(.*set MEMORA_HOME") as caught:
            fill(client, "c")
        assert caught.value.status == 507
        assert client.collections.list()["data"] == []
        assert beside.tables_in(tmp_path / "new" / "lance") == {}
    with local_client(tmp_path) as client:  # a store that was copied there is read
        assert ids(client, "c") == list(range(40))
        with pytest.raises(UnavailableError, match="has no hard links"):
            client.vectors.delete(collection_name="c", filter="true")
        assert ids(client, "c") == list(range(40))


# What piles up -------------------------------------------------------------------------------------------------


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("config", [IndexConfig("FLAT"), LISTS], ids=["FLAT", "IVF_FLAT"])
def test_old_versions_take_no_more_room_than_the_rows_and_a_little(tmp_path, monkeypatch, rng, config):
    """By the tenth write after five seconds, and by each load, though it would merge nothing."""
    with local_client(tmp_path) as client:
        client.collections.create(collection=Collection("c", 1_000, indexes=[index("i", config)], metric_type="L2"))

        def write(times: int) -> None:
            for _ in range(times):
                rows = [{"id": n, "vector": vector} for n, vector in enumerate(rng.normal(size=(500, 1_000)))]
                client.vectors.upsert(collection_name="c", data=rows)  # 2 MB

        write(16)
        client.collections.load(collection_name="c")
        assert size(tmp_path) < 10e6  # of the 32 MB that were written
        monkeypatch.setattr(upkeep, "KEEP_OLD", upkeep.KEEP_NONE)
        write(25)
        assert size(tmp_path) < 30e6
        assert ids(client, "c") == list(range(500))
        assert len(search(client, "c", [1] * 1_000, limit=500)) == 500


def test_a_reader_whose_version_is_removed_reads_the_next(tmp_path, store, workers):
    """Another process upserts, and tidies at each tenth call: the reader sees all rows, and no failure."""
    (writer,) = workers.start(
        (
            tmp_path,
            """
for turn in range(80):
    client.vectors.upsert(collection_name="c", data=rows(range(40), turn, dim=4))
    if turn % 10 == 5:
        client.collections.load(collection_name="c")
say("done")
""",
        )
    )
    done = threading.Event()
    threading.Thread(target=lambda: (writer.hear(), done.set()), daemon=True).start()
    writer.tell()
    seen = 0
    while not done.is_set():
        assert ids(store, "c") == list(range(40))
        assert sorted(hit["id"] for hit in search(store, "c", [1, 0, 0, 0])) == list(range(40))
        seen += 1
    writer.finish()
    assert seen > 10
    assert everything(store, "other").keys() == set(range(40))


def test_lock_files_are_as_many_as_collections(tmp_path, store):
    for n in range(30):
        for call in (
            lambda n=n: store.vectors.upsert(collection_name=f"absent_{n}", data={"id": 1, "vector": [1, 2, 3, 4]}),
            lambda n=n: store.collections.drop(collection_name=f"absent_{n}"),
            lambda n=n: store.indexes.drop(collection_name=f"absent_{n}", index_name="i"),
        ):
            with pytest.raises(NotFoundError):
                call()
    for n in range(5):
        fill(store, f"short_{n}")
        store.collections.rename(collection_name=f"short_{n}", new_collection_name=f"renamed_{n}")
        store.collections.drop(collection_name=f"renamed_{n}")
    assert len(list((tmp_path / "locks").iterdir())) <= 3  # two collections, and that of names
