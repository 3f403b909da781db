"""What tests share: a fresh local Memora, the contract on each engine, the real extractor, and the kit's collection."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import numpy as np
import pytest

from helpers.connect import local_client
from helpers.features.extractors import EfficientNetExtractor
from helpers.images import DATA, load_folder
from helpers.ingest import ingest
from helpers.memora import Memora
from local_memora import create_app
from tests.local_memora.contract import KEY, ODD, Api, Make, P, Q
from tests.local_memora.milvus_server import milvus_server, why_not
from tests.local_memora.served import served
from tests.local_memora.workers import Workers


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Memora]:
    """Return a client of a new, empty local Memora; its folder has a space and a non-ASCII letter in its path."""
    with local_client(tmp_path / "mémora home") as client:
        yield client


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


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


@pytest.fixture(scope="session")
def milvus_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of a real Milvus server, started for the first test that asks."""
    if reason := why_not():
        pytest.skip(reason)
    with milvus_server(tmp_path_factory.mktemp("milvus")) as url:
        yield url


@pytest.fixture(scope="session", params=["embedded", "served", "milvus"])
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


@pytest.fixture(scope="session")
def extractor() -> EfficientNetExtractor:
    return EfficientNetExtractor()


@pytest.fixture(scope="session")
def kit(tmp_path_factory: pytest.TempPathFactory, extractor: EfficientNetExtractor) -> Iterator[Memora]:
    """Return a client of a local Memora that holds the kit's collection. Tests must not change it."""
    with local_client(tmp_path_factory.mktemp("kit")) as client:
        report = ingest(client, load_folder(DATA), extractor=extractor)
        assert report.added == 392
        yield client
