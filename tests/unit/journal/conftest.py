"""Fixtures of this folder. Each test of `kept` runs on every store: another database is another line of STORES."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dynamiq_recorder.journal.store import JournalStore, opened
from tests.support.journal import JournalStage
from tests.support.journal_store import Clock, Kept

STORES: dict[str, Callable[[Path, Clock], JournalStore]] = {
    "sqlite": lambda folder, clock: opened(f"sqlite://{folder}/journal.db", clock, clock),
}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=STORES)
def kept(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Kept]:
    """Yields a store. At the end its counts must be right."""
    store = STORES[request.param](tmp_path, clock)
    made = Kept(store, clock)
    yield made
    made.check()
    store.close()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[JournalStage]:
    """Yields a journal that serves."""
    with JournalStage(tmp_path) as stage:
        yield stage
