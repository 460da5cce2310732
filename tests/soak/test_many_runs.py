"""Stores a month of millions of runs in each store, and measures lists, figures and comparisons, and the disk.

The figures of the full counts go to docs/measured/runs.txt.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dynamiq_recorder.model import Batch
from dynamiq_recorder.store.opening import opened
from dynamiq_recorder.store.sql_store import Store
from tests.soak.support.many_runs import BATCH, Month
from tests.soak.support.questions import ask
from tests.support import postgres
from tests.support.history_stage import in_full
from tests.support.measured import Figures

pytestmark = pytest.mark.timeout(7200)
RUNS = 10_000_000 if in_full() else 200_000
TIMES = 100 if in_full() else 20
WITHIN = 1200.0  # seconds, of 10 million
DISK = 20e9  # bytes, of 10 million
WRITES = 5  # batches of one transaction
SEED = 13
FIGURES = Figures("runs")


def test_on_sqlite(tmp_path: Path) -> None:
    store = opened(f"sqlite://{tmp_path / 'runs.db'}")
    try:
        _measured("SQLite", store)
    finally:
        store.close()


def test_on_postgresql(tmp_path: Path) -> None:
    with postgres.running(settings=()) as server:
        store = opened(server.database())
        try:
            _measured("PostgreSQL", store)
        finally:
            store.close()


def _pieces(month: Month) -> Iterator[list[Batch]]:
    """Yields the batches that one transaction stores."""
    batches = month.batches()
    while piece := list(itertools.islice(batches, WRITES)):
        yield piece


def _measured(title: str, store: Store) -> None:
    month = Month(RUNS, int(time.time() * 1e6), SEED)
    store.put_rows([row for rows in month.rows.values() for row in rows])
    began = time.monotonic()
    stored = store.load(_pieces(month))
    took = time.monotonic() - began
    times = ask(store, month, TIMES, SEED)
    FIGURES.note(
        f"{title}: {stored:,} runs of 10 Apps and a month, every tenth with 5 nodes, in {took:.0f} s by batches of {WRITES * BATCH:,}:"
        f" {stored / took:,.0f}/s; {store.bytes() / stored * 1e6 / 1e9:.2f} GB for a million",
        *times.report(),
    )
    assert stored == RUNS
    if in_full():
        assert not times.too_slow
        assert took <= WITHIN
        assert store.bytes() <= DISK
