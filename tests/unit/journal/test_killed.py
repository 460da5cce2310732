"""Nothing that was acknowledged is lost when the journal is killed, and nothing is there by half.

`SOAK=1`: 200 kills, else 20.
"""

from __future__ import annotations

import os
import random
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from dynamiq_recorder.journal.model import State
from dynamiq_recorder.journal.store import opened
from tests.support.journal_store import Clock, Kept
from tests.support.journal_writer import EVENTS, SAVES, forked
from tests.support.waiting import eventually

KILLS = 200 if os.environ.get("SOAK") else 20


@pytest.mark.full_count
def test_what_is_acknowledged_survives_kills_at_any_moment(tmp_path: Path) -> None:
    chance, address = random.Random(34), f"sqlite://{tmp_path}/journal.db"  # noqa: S311
    kept: dict[str, tuple[str, int]] = {}
    for number in range(KILLS):
        log = tmp_path / f"{number}.log"
        process, most = forked(address, log), chance.randint(1, 400)

        def is_due(process: BaseProcess = process, log: Path = log, most: int = most) -> bool:
            assert process.is_alive(), log.read_text()
            return log.read_text().count("\n") >= most

        eventually(f"{most} operations are acknowledged", is_due, every=0.002)
        process.kill()
        process.join()
        for line in log.read_text().splitlines():
            kind, run_id, count = line.split()
            kept[run_id] = (kind, int(count))
        assert "Traceback" not in log.read_text()
        log.unlink()
        _check(address, kept)
        kept.clear()
    assert not kept


def _check(address: str, acknowledged: dict[str, tuple[str, int]]) -> None:
    """Checks that each run is as far as it was acknowledged to be, or at most one operation further."""
    clock = Clock()
    store = Kept(opened(address, clock, clock), clock)
    assert acknowledged
    for run_id, (kind, number) in acknowledged.items():
        run = store.run(run_id)
        assert number <= run.number <= number + 1, (kind, number, run)
        is_ended = run.number == SAVES + 1
        assert run.state is (State.COMPLETED if is_ended else State.RUNNING)
        assert len(store.kinds(run_id)) == 2 + min(run.number, SAVES) * EVENTS + is_ended
    store.check()
    store.store.close()
