"""Each test of a store runs on both: SQLite in a file, and a real PostgreSQL. A recorder by itself has SQLite."""

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


@pytest.fixture(params=["sqlite", "postgres"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a new and empty store."""
    if request.param == "sqlite":
        return f"sqlite://{tmp_path}/runs.db"
    running: postgres.Server = request.getfixturevalue("server")
    return running.database()


@pytest.fixture
def store(address: str) -> Iterator[Store]:
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
