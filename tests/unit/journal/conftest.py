"""Fixtures of this folder. Each test of `kept` runs on SQLite in a file and on a real PostgreSQL.

Making, opening and closing a database of PostgreSQL takes half a second of processor time. Tests of `kept` therefore share one, which is
emptied for each test.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dynamiq_recorder.journal.store import SCHEMA, JournalStore, SteadyClock, opened
from tests.support import postgres
from tests.support.journal import JournalStage
from tests.support.journal_store import Clock, Kept


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def server() -> Iterator[postgres.Server]:
    with postgres.running() as running:
        yield running


@pytest.fixture(scope="session")
def shared(server: postgres.Server) -> Iterator[tuple[str, JournalStore]]:
    """Yields the database of all tests of `kept`: its address, and the store."""
    address = server.database()
    store = opened(address)
    yield address, store
    store.close()


@pytest.fixture(params=["sqlite", "postgres"])
def kept(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Kept]:
    """Yields a store. At the end its counts must be right."""
    if request.param == "sqlite":
        store = opened(f"sqlite://{tmp_path}/journal.db", clock, clock)
    else:
        address, store = request.getfixturevalue("shared")
        postgres.empty(address, SCHEMA)
        store.clock = SteadyClock(clock, clock)
        store.commit(lambda work: work.connection.do("DELETE FROM meta WHERE name NOT IN ('schema', 'schema_additive', 'epoch')"))
    made = Kept(store, clock)
    yield made
    made.check()
    if request.param == "sqlite":
        store.close()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[JournalStage]:
    """Yields a journal that serves."""
    with JournalStage(tmp_path) as stage:
        yield stage
