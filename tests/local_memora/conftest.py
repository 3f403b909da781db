"""What the contract suite shares: a Memora, whatever runs it, and other processes that use the same store."""

from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from local_memora import create_app
from tests.local_memora.contract import KEY, ODD, Api, Make, P, Q
from tests.local_memora.served import served
from tests.local_memora.workers import Workers

SERVED = "test_contract"  # each verb and each refusal over HTTP too; what a filter or a search means can't differ there


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Ask each engine the same questions."""
    if "api" in metafunc.fixturenames:
        served = ["served"] if metafunc.module.__name__.endswith(SERVED) else []
        runs = ["embedded", *served, pytest.param("milvus", marks=pytest.mark.thorough)]
        metafunc.parametrize("api", runs, indirect=True, scope="session")


@pytest.fixture(scope="session")
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Return a Memora: in this process, served by another over HTTP, in this process on a Milvus server."""
    home = tmp_path_factory.mktemp(request.param)
    with ExitStack() as stack:
        if request.param == "served":
            api = Api("served", stack.enter_context(served(home, key=KEY, project=[P, Q, ODD])).url, None)
        else:
            engine = request.getfixturevalue("milvus_url") if request.param == "milvus" else home
            app = create_app(engine, KEY, (P, Q, ODD), home=home)
            api = Api(request.param, "http://memora.invalid", httpx.WSGITransport(app=app))
        yield api
        left = {project: api.ok("collections/list", project) for project in (P, Q)}
        assert left == {P: [], Q: []}, "a test left its collections behind"


@pytest.fixture
def make(api: Api) -> Iterator[Make]:
    """Return what makes a collection under a new name; it is gone after the test."""
    with ExitStack() as stack:
        yield lambda project_id=P, **body: stack.enter_context(api.table(project_id, **body))


@pytest.fixture(scope="module")
def all_workers() -> Iterator[Workers]:
    workers = Workers()
    yield workers
    workers.end()


@pytest.fixture
def workers(all_workers: Workers) -> Iterator[Workers]:
    """Return other processes that can be given something to do with a store."""
    yield all_workers
    all_workers.end_the_busy()
