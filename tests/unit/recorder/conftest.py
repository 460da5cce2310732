"""Fixtures of this folder. Each test of a store runs on SQLite in a file and on a real PostgreSQL; a recorder alone has SQLite.

Making, opening and closing a database of PostgreSQL takes half a second of processor time. Tests of `store` therefore share one, which is
emptied for each test.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dynamiq_recorder.store.opening import opened
from dynamiq_recorder.store.sql_store import Store
from tests.support import postgres
from tests.support.recorder_stage import RecorderStage


@pytest.fixture(scope="session")
def server() -> Iterator[postgres.Server]:
    with postgres.running() as running:
        yield running


@pytest.fixture(scope="session")
def shared(server: postgres.Server) -> Iterator[tuple[str, Store]]:
    """Yields the database of all tests of `store`: its address, and the store."""
    address = server.database()
    made = opened(address)
    yield address, made
    made.close()


@pytest.fixture(params=["sqlite", "postgres"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Returns the address of an empty store: the shared one for tests of `store`, else a new one."""
    if request.param == "sqlite":
        return f"sqlite://{tmp_path}/runs.db"
    if "store" in request.fixturenames:
        shared: tuple[str, Store] = request.getfixturevalue("shared")
        return shared[0]
    running: postgres.Server = request.getfixturevalue("server")
    return running.database()


@pytest.fixture
def store(address: str, request: pytest.FixtureRequest) -> Iterator[Store]:
    if not address.startswith("sqlite") and address == request.getfixturevalue("shared")[0]:
        postgres.empty(address)
        yield request.getfixturevalue("shared")[1]
    else:
        made = opened(address)
        yield made
        made.close()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[RecorderStage]:
    """Yields a recorder that is not started yet."""
    with RecorderStage(tmp_path) as made:
        yield made


@pytest.fixture
def recorder(stage: RecorderStage) -> RecorderStage:
    """Returns a ready recorder."""
    stage.start()
    return stage
