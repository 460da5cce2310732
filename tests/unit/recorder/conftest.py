"""Each test of a store runs on both: SQLite in a file, and a real PostgreSQL. A recorder by itself has SQLite.

A database that is made, opened and closed costs PostgreSQL half a second of a processor: tests of `store` share one, which is emptied for each.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dynamiq_recorder.store.interface import Store
from dynamiq_recorder.store.opening import opened
from tests.support import postgres
from tests.support.recorder_stage import RecorderStage


@pytest.fixture(scope="session")
def server() -> Iterator[postgres.Server]:
    with postgres.running() as running:
        yield running


@pytest.fixture(scope="session")
def shared(server: postgres.Server) -> Iterator[tuple[str, Store]]:
    """The database of all tests of `store`: its address, and the store."""
    address = server.database()
    made = opened(address)
    yield address, made
    made.close()


@pytest.fixture(params=["sqlite", "postgres"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty store, a new one where the test does not have it opened as `store`."""
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
    """A recorder that is not started yet."""
    with RecorderStage(tmp_path) as made:
        yield made


@pytest.fixture
def recorder(stage: RecorderStage) -> RecorderStage:
    """One that is ready."""
    stage.start()
    return stage
