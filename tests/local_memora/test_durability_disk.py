"""A full disk, and a folder that we may not write in: a sentence, nothing half stored, the rest readable."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from helpers.connect import local_client
from helpers.memora import InvalidRequestError, Memora, UnavailableError
from helpers.memora.models import Collection
from tests.local_memora.served import served, started
from tests.local_memora.workers import OBEDIENT, Worker, Workers, everything

resource = pytest.importorskip("resource", reason="needs POSIX: file sizes are limited, and users changed")

DIM = 64
NO_ROOM = "there is no room left to write: make room on the disk that holds the data, then try again (HTTP 507)"
NO_RIGHT = (
    "the local Memora lacks the right to write or read in its folder: change the folder's permissions, or use another "
    "folder (MEMORA_HOME, or --engine) (HTTP 507)"
)
READS = {
    "client.collections.list()['data']": ["c"],
    "client.collections.get_stats(collection_name='c')['data']": {"rowCount": 500},
    "client.vectors.query(collection_name='c', filter='id < 3', output_fields=['id'])['data']": [
        {"id": 0},
        {"id": 1},
        {"id": 2},
    ],
    "client.vectors.search(collection_name='c', data=[1, 5] + [7] * 62, anns_field='vector', limit=1)['data']": [
        {"distance": 0.0, "id": 7}
    ],
}
INSERT_ONE = "client.vectors.insert(collection_name='c', data=rows([9000], 5, 64))['data']['insertCount']"
CREATE = "client.collections.create(collection=Collection('new', 2))['message']"
RENAME = "client.collections.rename(collection_name='c', new_collection_name='d')['message']"
DELETE = "client.vectors.delete(collection_name='c', filter='id < 20')['message']"
DROP = "client.collections.drop(collection_name='c')['message']"
WRITES = [
    INSERT_ONE,
    CREATE,
    RENAME,
    DELETE,
    DROP,
    "client.vectors.upsert(collection_name='c', data=rows([1], 9, 64))",
    "client.partitions.create(collection_name='c', partition_name='p')",
    "client.indexes.create(collection_name='c', index_params=[Index('L2', 'other', 'i', IndexConfig('FLAT'))])",
    "client.collections.load(collection_name='c')",
]


def fill(client: Memora) -> None:
    client.collections.create(collection=Collection("c", DIM, metric_type="L2"))
    data = [{"id": n, "vector": [1, 5] + [n] * (DIM - 2)} for n in range(500)]
    client.vectors.insert(collection_name="c", data=data)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Memora]:
    """Return a client of a store of 500 rows in this process, which has all rights and room."""
    with local_client(tmp_path) as client:
        fill(client)
        yield client


# A full disk ---------------------------------------------------------------------------------------------------


@pytest.fixture(params=["embedded", "served"])
def limited(
    request: pytest.FixtureRequest, tmp_path: Path, workers: Workers
) -> Iterator[tuple[Worker, Callable[[int], None]]]:
    """Return a process with a client, and what limits the size of each file that its Memora writes."""
    if not hasattr(resource, "prlimit"):
        pytest.skip("only Linux can limit another process")
    with ExitStack() as stack:
        home = stack.enter_context(served(tmp_path)) if request.param == "served" else tmp_path
        (worker,) = workers.start((home, OBEDIENT))
        worker.tell()
        writer = worker.process.pid if isinstance(home, Path) else home.process.pid
        unlimited = resource.prlimit(writer, resource.RLIMIT_FSIZE)

        def limit(size: int) -> None:
            resource.prlimit(writer, resource.RLIMIT_FSIZE, (size, unlimited[1]) if size else unlimited)

        yield worker, limit
        limit(0)
        worker.tell("")
        worker.finish()


def test_a_full_disk_stores_nothing_by_half_and_room_is_all_it_takes(store, limited):
    worker, limit = limited
    before = everything(store)

    def refused(*calls: str) -> None:
        for call in calls:
            asked = worker.ask("len(sent)")
            assert worker.ask(call) == ["UnavailableError", 507, NO_ROOM]
            assert worker.ask("len(sent)") == asked + 1  # not asked again: a full disk does not pass in a moment
        for read, expected in READS.items():
            assert worker.ask(read) == expected
        assert everything(store) == before

    limit(100_000)  # the rows of a large call are more
    refused(
        "client.vectors.insert(collection_name='c', data=rows(range(1000, 1600), 6, 64))",
        "client.vectors.upsert(collection_name='c', data=rows(range(200, 800), 6, 64))",
    )
    limit(8192)  # less than the catalogue has, and than any call with rows needs
    refused(CREATE, RENAME, DROP, "client.partitions.create(collection_name='c', partition_name='p')")
    limit(16)
    refused(INSERT_ONE, DELETE)
    limit(0)
    worker.ask("client.vectors.upsert(collection_name='c', data=rows(range(200, 800), 6, 64))")
    assert everything(store) == before | dict.fromkeys(range(200, 800), 6.0)
    assert worker.ask(DELETE) == "20 rows deleted"
    assert worker.ask(CREATE) == "collection created"
    assert worker.ask(RENAME) == "collection renamed"
    assert store.collections.list()["data"] == ["d", "new"]
    assert everything(store, "d").keys() == set(range(20, 800))


def test_rows_for_whose_index_there_is_no_room_are_stored_and_acknowledged(store, limited):
    worker, limit = limited
    create = (
        "client.indexes.create(collection_name='c', "
        "index_params=[Index('L2', 'vector', 'i', IndexConfig('IVF_FLAT', nlist=4))])['message']"
    )
    about = "client.indexes.describe(collection_name='c', index_name='i')['data'][0]['indexedRows']"
    worker.ask("client.indexes.drop(collection_name='c', index_name='vector')")
    limit(100_000)
    assert worker.ask(create) == ["UnavailableError", 507, NO_ROOM]
    assert store.indexes.list(collection_name="c")["data"] == []
    limit(0)
    store.vectors.delete(collection_name="c", filter="true")
    assert worker.ask(create) == "index created"
    limit(100_000)
    for first in range(0, 1400, 200):  # from 1000 rows on it would be built
        call = f"client.vectors.insert(collection_name='c', data=rows(range({first}, {first + 200}), 5, 64))['data']"
        assert worker.ask(call)["insertCount"] == 200
    assert everything(store) == dict.fromkeys(range(1400), 5.0)
    assert worker.ask(about) == 0
    assert worker.ask("client.collections.load(collection_name='c')") == ["UnavailableError", 507, NO_ROOM]
    limit(0)
    assert worker.ask("client.collections.load(collection_name='c')['message']") == "collection loaded"
    assert worker.ask(about) == 1400


# A folder of somebody else -------------------------------------------------------------------------------------

# What runs before a process becomes nobody: Python and its packages may lie where only root can read them.
WARM_UP = """
client.collections.create(collection=Collection("c", 2, indexes=[Index("L2", "vector", "i", IndexConfig("FLAT"))]))
client.vectors.upsert(collection_name="c", data=rows([1, 2], 3))
client.vectors.insert(collection_name="c", data=rows([3], 3))
client.vectors.search(collection_name="c", data=[1, 3], anns_field="vector", filter="id > 1")
client.vectors.delete(collection_name="c", filter="id == 1")
client.partitions.create(collection_name="c", partition_name="p")
client.collections.load(collection_name="c")
client.collections.drop(collection_name="c")
"""
BECOME_NOBODY = """
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
"""
SERVE_AS_NOBODY = """
import os, sys
from pathlib import Path
from helpers.connect import local_client
from local_memora import __main__ as command
from helpers.memora.models import Collection, Index, IndexConfig

def rows(ids, value):
    return [{"id": n, "vector": [1, value]} for n in ids]

with local_client(Path(sys.argv[1])) as client:
    WARM_UP
BECOME_NOBODY
try:
    command.main(["--port", "0", "--engine", sys.argv[2] + "/not/there"])
except SystemExit as end:
    assert end.code == 1
sys.exit(command.main(["--port", "0", "--engine", sys.argv[2]]))
"""


@pytest.fixture
def theirs() -> Iterator[Path]:
    """Return a folder with a store that another user may read, and nobody may change."""
    folder = Path(tempfile.mkdtemp(prefix="memora-read-only-"))  # pytest's own lie where no other user gets in
    if os.getuid() == 0 and not all(parent.stat().st_mode & 0o001 for parent in folder.parents):
        folder.rmdir()
        pytest.skip(f"no other user gets into {folder.parent}")
    with local_client(folder) as client:
        fill(client)
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    shutil.rmtree(folder)


def nobody(workers: Workers, scratch: Path, work: str, home: Path) -> Worker:
    """Return a process that has become an unprivileged user and does some work."""
    (worker,) = workers.start((scratch, WARM_UP + BECOME_NOBODY))
    worker.tell()
    worker.finish()
    worker.begin(home, work)
    return worker


@pytest.mark.parametrize("has_locks", [True, False])
def test_a_read_only_store_is_read_and_every_write_is_told_why_not(tmp_path, workers, theirs, has_locks):
    if not has_locks:  # a store that was copied there
        theirs.chmod(0o755)
        shutil.rmtree(theirs / "locks")
        theirs.chmod(0o555)
    files = sorted(theirs.rglob("*"))
    worker = nobody(workers, tmp_path, OBEDIENT, theirs)
    worker.wait_until_ready()
    worker.tell()
    for _ in range(2):
        for call, expected in READS.items():
            assert worker.ask(call) == expected
        for call in WRITES:
            assert worker.ask(call) == ["UnavailableError", 507, NO_RIGHT]
    assert sorted(theirs.rglob("*")) == files


def test_a_folder_that_can_not_be_made_or_opened_is_told_by_connect(tmp_path, workers, theirs):
    work = """
import contextlib
for below in ("/not/there", "/lance"):
    os.environ["MEMORA_HOME"] = folder + below
    try:
        with contextlib.redirect_stdout(None):
            connect()
    except MemoraError as error:
        say([type(error).__name__, str(error)])
"""
    worker = nobody(workers, tmp_path, f"folder = {str(theirs)!r}" + work, theirs)
    worker.wait_until_ready()
    worker.tell()
    said = [worker.hear(), worker.hear()]
    folders = [theirs / "not" / "there", theirs / "lance"]
    reasons = ["Permission denied", "unable to open database file"]
    assert said == [
        [
            "InvalidRequestError",
            f"The local Memora's folder {folder} can't be opened ({why}): set MEMORA_HOME to another.",
        ]
        for folder, why in zip(folders, reasons, strict=True)
    ]


def test_a_read_only_folder_is_served_for_reading(tmp_path, theirs):
    """One that can't be made is reported."""
    code = SERVE_AS_NOBODY.replace("WARM_UP", WARM_UP.replace("\n", "\n    ")).replace("BECOME_NOBODY", BECOME_NOBODY)
    with started([sys.executable, "-c", code, str(tmp_path), str(theirs)]) as process, process.client() as client:
        assert client.vectors.query(collection_name="c", filter="id == 7", output_fields=["id"])["data"] == [{"id": 7}]
        with pytest.raises(UnavailableError, match="lacks the right to write") as caught:
            client.vectors.upsert(collection_name="c", data={"id": 1, "vector": [1] * DIM})
        assert caught.value.status == 507
        assert process.log().count("/vectors/upsert: ") == 1  # it was not asked again
        first = process.log().splitlines()[0]
        assert f"{theirs}/not/there can't be opened (Permission denied): name another --engine" in first
        assert "Traceback" not in process.log()


def test_data_removed_under_a_notebook_does_not_come_back_empty(tmp_path):
    with local_client(tmp_path / "home") as client:
        fill(client)
        shutil.rmtree(tmp_path / "home")
        for call in (
            lambda: client.collections.list(),
            lambda: client.vectors.delete(collection_name="c", filter="true"),
            lambda: fill(client),
        ):
            with pytest.raises(InvalidRequestError, match="was removed while it was open: restart the kernel"):
                call()
    assert not (tmp_path / "home").exists()
