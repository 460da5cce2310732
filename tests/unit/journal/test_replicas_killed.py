"""Pods execute runs over two replicas, of which one is killed again and again. `SOAK=1`: 500 runs by 20 pods, else 60 by 6."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support import postgres
from tests.support.journal_fleet import Fleet
from tests.support.waiting import eventually

RUNS, PODS, KILLS = (500, 20, 40) if os.environ.get("SOAK") else (60, 6, 4)


@pytest.mark.full_count
def test_nothing_is_lost_and_nothing_ends_twice_while_a_replica_is_killed(tmp_path: Path, server: postgres.Server) -> None:
    fleet = Fleet(tmp_path, server.database(), replicas=2, pods=PODS, lease=3.0)
    with fleet.running(), ThreadPoolExecutor(1) as caller:
        accepting = caller.submit(fleet.accept, RUNS)
        for _ in range(KILLS):
            fleet.kill(1)
        accepting.result()
        eventually("all runs have ended", lambda: fleet.left == 0)
    print(f"\n{fleet.check()}")
