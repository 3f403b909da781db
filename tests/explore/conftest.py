"""What the tests of lesson 5's room share: a session over the kit's collection, new or with a mug asked for."""

import pytest

from helpers.explore import SearchSession
from helpers.images import DATA

QUERY = DATA / "queries" / "mug_1.jpg"


@pytest.fixture
def session(kit, extractor) -> SearchSession:
    return SearchSession(kit, extractor)


@pytest.fixture
def mug(session) -> SearchSession:
    session.ask(QUERY, category="mug")
    return session


def ids(session: SearchSession) -> list[int]:
    return [hit.id for hit in session.hits]
