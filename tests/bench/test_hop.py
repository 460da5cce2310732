"""Measures what conversations cost calls: a hop beside a direct call, calls at home beside an App without, and a pod's memory. No cluster.

Both sides are pods that run at the same time and are called in turn, so that the machine's other work affects both.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import os
import statistics
import time
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from dynamiq_runtime.conversations import Conversations
from dynamiq_runtime.journal import Journal, JournalAwayError
from dynamiq_runtime.metrics import Metrics
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


class AllHere:
    """A journal by which every conversation is on the pod's own pins. It takes no report, so that a pod keeps all of them."""

    def __init__(self) -> None:
        self.hears: list[Callable[[Mapping[str, Any]], None]] = []

    async def sessions_policy(self, after: str | None, _wait: float) -> dict[str, Any]:
        if after is not None:
            await asyncio.Event().wait()
        policy = {"idle": 604_800, "warm": 300, "when_unknown": "Live"}
        placement: dict[str, Any] = {"live": HERE, "closed": [], "taken": None, "rows": {HERE: 1}, "services": {}}
        return {"version": "1", "epoch": 1, "policy": policy, **placement}

    async def session(self, _session: str) -> dict[str, Any]:
        # As parsed from an answer: each with texts of its own.
        data = json.loads(f'{{"pins": "{HERE}", "sequence": 1, "service": null, "began_at": "2026-12-03T00:00:00Z"}}')
        return {"data": data, "epoch": 1}

    async def seen(self, _sessions: Mapping[str, int]) -> dict[str, Any]:
        raise JournalAwayError


@pytest.mark.timeout(600)
def test_silent_conversations_cost_a_pod_little_memory() -> None:
    used = asyncio.run(_used())
    with kept(LOG, beside_older=True) as say:
        say(f"{SESSIONS} conversations of one pod, and the reports of their turns: {used:.1f} MiB")
    assert used <= MEMORY_MOST


async def _used() -> float:
    """Returns the MiB that a pod keeps of so many conversations."""
    conversations = Conversations(cast(Journal, AllHere()), HERE, Metrics(from_environment({"DYNAMIQ_FLOW": "/none"}), lambda: 0))
    conversations.begin()
    assert await conversations.may_be_kept()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(SESSIONS):
        session = hashlib.sha256(str(number).encode()).digest()[:16]
        with conversations.turn(session):
            assert await conversations.place(session) == (HERE, 1)
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    await conversations.close()
    return used / (1 << 20)
