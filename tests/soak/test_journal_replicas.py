"""Two replicas of the journal serve one PostgreSQL, and each 5 s one is killed, under claims and saves.

The figures of the full count go to docs/measured/journal-replicas.txt.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from tests.support import postgres
from tests.support.history_stage import in_full
from tests.support.journal_fleet import Fleet
from tests.support.measured import Figures
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(3600)
SECONDS = 600.0 if in_full() else 20.0
KILLED_EACH = 5.0
PODS = 8
PAUSE = 0.05
"""Seconds between two accepted runs."""
SIZE = 1_300
"""Bytes that an accepted run writes."""
FIGURES = Figures("journal-replicas")


def test_nothing_is_lost_while_one_of_two_replicas_is_killed_all_the_time(tmp_path: Path) -> None:
    with postgres.running(settings=()) as server:
        address = server.database()
        fleet = Fleet(tmp_path, address, replicas=2, pods=PODS, lease=None)
        pairs: list[tuple[float, float]] = []
        with fleet.running(), ThreadPoolExecutor(1) as caller:
            until = time.monotonic() + SECONDS
            accepting = caller.submit(_accept, fleet, address, until, pairs)
            while time.monotonic() < until:
                time.sleep(KILLED_EACH)
                fleet.kill(fleet.kills % 2)
            accepting.result()
            eventually("all runs have ended", lambda: fleet.left == 0)
        bare, accept = (_p95([each[place] for each in pairs]) for place in (0, 1))
        FIGURES.note(
            f"PostgreSQL on this machine, two replicas, {PODS} pods, {SECONDS:.0f} s: {fleet.check()}.",
            f"An accept at its caller: p95 {accept * 1e3:.1f} ms; a bare INSERT and COMMIT of as many bytes: {bare * 1e3:.1f} ms,"
            f" by turns, {len(pairs)} pairs without a kill: {accept / bare:.2f} times.",
        )


def _accept(fleet: Fleet, address: str, until: float, pairs: list[tuple[float, float]]) -> None:
    """Accepts a run after each bare commit of as many bytes. `pairs`: gets the seconds of both, but for calls that broke."""
    data = os.urandom(SIZE)
    with psycopg.connect(address, autocommit=True) as raw:
        raw.execute("CREATE TABLE bare (key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, data bytea NOT NULL)")
        while time.monotonic() < until:
            times = [time.monotonic()]
            raw.execute("BEGIN")
            raw.execute("INSERT INTO bare (data) VALUES (%s)", (data,))
            raw.execute("COMMIT")
            times.append(time.monotonic())
            broken = fleet.pods[0].broken
            fleet.accept()
            times.append(time.monotonic())
            if fleet.pods[0].broken == broken:
                pairs.append((times[1] - times[0], times[2] - times[1]))
            time.sleep(PAUSE)


def _p95(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.95)]
