"""Measures what conversations cost calls: a hop beside a direct call, calls at home beside an App without, and a pod's memory. No cluster.

Both sides are pods that run at the same time and are called in turn, so that the machine's other work affects both.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import statistics
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from dynamiq_runtime.conversations import MOST, Conversations
from dynamiq_runtime.journal import Journal
from dynamiq_runtime.metrics import Metrics
from dynamiq_runtime.recorder_client import Recorder
from dynamiq_runtime.settings import from_environment
from tests.support.background import KEY
from tests.support.measured import MEASURED, kept
from tests.support.runtime import ECHO
from tests.support.sessions_journal import SessionsJournal, digest, staged

LOG = MEASURED / "hops.txt"
WARM, PAIRS = 100, int(os.environ.get("BENCH_CALLS", "2000"))
HOP_ADDED, P95_RATIO = 1.0e-3, 1.05
SESSIONS, MEMORY_MOST = 100_000, 20.0
HERE, THERE = "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb"


class Caller:
    """Sends turns of one conversation over one kept connection."""

    def __init__(self, port: int, session: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", "X-Dynamiq-Session-Id": session}

    def __call__(self) -> float:
        """Returns seconds until the last byte of a correct answer."""
        began = time.perf_counter()
        self._connection.request("POST", "/", b'{"input": {"n": 1}}', self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        took = time.perf_counter() - began
        assert (answer.status, json.loads(content)) == (200, {"result": {"n": 1}}), content
        return took


def in_turn(one: Caller, other: Caller) -> tuple[list[float], list[float]]:
    """Returns the seconds of calls of each, in pairs whose order changes."""
    took: tuple[list[float], list[float]] = ([], [])
    for number in range(WARM + PAIRS):
        for side in ((0, 1), (1, 0))[number % 2]:
            seconds = (one, other)[side]()
            if number >= WARM:
                took[side].append(seconds)
    return took


def _folder(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


def p95(seconds: list[float]) -> float:
    return sorted(seconds)[len(seconds) * 95 // 100]


@pytest.mark.timeout(600)
def test_a_hop_adds_little_to_a_direct_call(tmp_path: Path) -> None:
    journal = SessionsJournal()
    journal.whose = {digest("direct"): HERE, digest("hop"): THERE}
    with staged(tmp_path, journal) as stage:
        here, there = stage.pod(HERE, ECHO), stage.pod(THERE, ECHO)
        journal.place(HERE, 1, here.port)
        journal.place(THERE, 2, there.port)
        direct, hop = in_turn(Caller(here.port, "direct"), Caller(here.port, "hop"))
    added = statistics.median(hop) - statistics.median(direct)
    with kept(LOG, beside_older=True) as say:
        say(
            f"{PAIRS} pairs, load {os.getloadavg()[0]:.1f}: a direct call p50 {statistics.median(direct) * 1000:.2f} ms, "
            f"by a hop {statistics.median(hop) * 1000:.2f} ms, added {added * 1000:.2f} ms"
        )
    assert added <= HOP_ADDED


@pytest.mark.timeout(600)
def test_calls_at_home_cost_what_those_of_an_app_without_conversations_do(tmp_path: Path) -> None:
    journal, none = SessionsJournal(), SessionsJournal(sessions=False)
    with staged(_folder(tmp_path, "with"), journal) as ours, staged(_folder(tmp_path, "none"), none) as theirs:
        one, other = ours.pod(HERE, ECHO), theirs.pod(HERE, ECHO)
        journal.place(HERE, 1, one.port)
        with_them, without = in_turn(Caller(one.port, "chat"), Caller(other.port, "chat"))
    assert journal.whose == {digest("chat"): HERE}
    ratio = p95(with_them) / p95(without)
    p50_ratio = statistics.median(with_them) / statistics.median(without)
    with kept(LOG, beside_older=True) as say:
        say(
            f"{PAIRS} pairs, load {os.getloadavg()[0]:.1f}: p95 of calls at home {p95(with_them) * 1000:.2f} ms, "
            f"of an App without conversations {p95(without) * 1000:.2f} ms, ratio {ratio:.3f} (p50: {p50_ratio:.3f})"
        )
    assert ratio <= P95_RATIO


async def test_silent_conversations_cost_a_pod_little_memory() -> None:
    """All that a pod keeps of them, with reports that have not left yet."""
    settings = from_environment({})
    known = Conversations(Journal(Recorder("http://127.0.0.1:9", None, None), "app"), HERE, Metrics(settings, lambda: 0))
    policy: dict[str, Any] = {
        "policy": {"idle": 1800, "warm": 300, "when_unknown": "Live"},
        "live": HERE,
        "closed": [],
        "taken": None,
        "rows": {HERE: 1},
    }
    known._apply({**policy, "epoch": 1, "services": {}, "version": "1"})
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(SESSIONS):
        session = hashlib.sha256(str(number).encode()).digest()[:16]
        data = json.loads(f'{{"pins": "{HERE}", "sequence": 1, "service": null, "began_at": "2026-12-03T00:00:00Z"}}')
        known._learn(session, {"data": data, "epoch": 1})
        with known.turn(session):
            pass
    used = (tracemalloc.get_traced_memory()[0] - before) / (1 << 20)
    tracemalloc.stop()
    with kept(LOG, beside_older=True) as say:
        say(f"{SESSIONS} conversations: {len(known._known)} remembered, {used:.1f} MiB")
    assert len(known._known) <= MOST
    assert used <= MEMORY_MOST
