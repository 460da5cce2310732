"""Measures a journal with many silent conversations beside one with none: memory, and the time of a question whose one is. No cluster.

The journals are processes with interpreters of their own. It measures a report of many turns, and a move of all conversations, too.
"""

from __future__ import annotations

import http.client
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

import pytest

from dynamiq_recorder.journal import sessions
from dynamiq_recorder.journal.model import MICROSECONDS
from dynamiq_recorder.journal.placement import hash_of
from dynamiq_recorder.journal.store import opened
from dynamiq_recorder.journal.tables import Work
from tests.bench.journal_calls import mebibytes
from tests.support.journal import APP
from tests.support.journal_program import POD, Process
from tests.support.recorder_stage import ADMIN, APP_UID, HOST, RecorderStage

SESSIONS, CALLS = int(os.environ.get("BENCH_SESSIONS", "100000")), int(os.environ.get("BENCH_CALLS", "2000"))
MEMORY_MOST = 50.0
"""MiB more than an empty journal."""
IDLE = 604_800
LATER = IDLE // 2 * MICROSECONDS
"""Microseconds since the last turn from which on a question is a commit, too."""
REPORT = 5_000
OTHERS = "9999999999999999"
SETTLES = 6
"""Seconds after which each journal has counted its conversations."""


def fill(store: Path, count: int, silent: int = 0) -> None:
    """Adds conversations of APP. `silent`: microseconds since the last turn of the last CALLS ones."""

    def begin(work: Work) -> None:
        for number in range(count):
            sessions.whose(work, APP, hash_of(f"s-{number}"))

    filled = opened(f"sqlite://{store}")
    filled.commit(begin)
    ids = [(bytes.fromhex(hash_of(f"s-{number}")),) for number in range(count - CALLS, count)]
    filled.commit(lambda work: work.connection.tell(f"UPDATE session SET last_seen = last_seen - {silent} WHERE id = ?", ids))  # noqa: S608
    filled.close()


class Pod:
    """A pod with a kept connection to a journal."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=120)

    def call(self, method: str, path: str, body: Any = None, token: str = POD) -> tuple[float, Any]:
        """Returns the seconds of a call, and its answer."""
        text = json.dumps(body) if body is not None else None
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        began = time.perf_counter()
        self._connection.request(method, f"/v1/apps/{APP_UID}/{path}", text, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        took = time.perf_counter() - began
        assert answer.status == 200, content
        return took, json.loads(content)

    def ask(self, session: str, *, is_new: bool) -> float:
        took, answer = self.call("PUT", f"sessions/{hash_of(session)}", {"instance": "i"})
        assert answer["data"]["is_new"] is is_new
        return took


def shown(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    return f"p50 {statistics.median(ordered) * 1000:.2f} ms, p95 {ordered[len(ordered) * 95 // 100] * 1000:.2f} ms"


@pytest.mark.timeout(1800)
def test_many_silent_conversations_cost_the_journal_nearly_nothing(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("full", "empty")]
    for folder in folders:
        folder.mkdir()
    with RecorderStage(tmp_path) as stage:
        stage.rights = lambda _: True
        stage.apps[0]["spec"]["sessions"] = {"idleSeconds": IDLE}
        full, empty = (Process(stage, folder, anew=True) for folder in folders)
        fill(full.store, SESSIONS, LATER)
        with full.running(), empty.running():
            ours, theirs = Pod(full.port), Pod(empty.port)
            time.sleep(SETTLES)
            rest = [mebibytes(each.pid) for each in (full, empty)]
            known = [ours.ask(f"s-{number}", is_new=False) for number in range(CALLS)]
            silent = [ours.ask(f"s-{number}", is_new=False) for number in range(SESSIONS - CALLS, SESSIONS)]
            new = [ours.ask(f"new-{number}", is_new=True) for number in range(CALLS)]
            in_empty = [theirs.ask(f"new-{number}", is_new=True) for number in range(CALLS)]
            turns = {hash_of(f"s-{number}"): number % 15_000 for number in range(REPORT)}
            report, _ = ours.call("POST", "sessions/seen", {"instance": "i", "sessions": turns})
            used = [mebibytes(each.pid) for each in (full, empty)]
            _, listed = ours.call("GET", "sessions", token=ADMIN)
            body = {"live": OTHERS, "rows": {OTHERS: {"sequence": 2}}, "closed": [APP.pins], "taken": None}
            move, moved = ours.call("PUT", "sessions-placement", body, ADMIN)
            after = mebibytes(full.pid)
    print(
        f"\n{SESSIONS} conversations, load {os.getloadavg()[0]:.1f}: memory at rest {rest[0]:.0f} MiB, with none {rest[1]:.0f} MiB; "
        f"after use {used[0]:.0f} and {used[1]:.0f} MiB; after all have moved {after:.0f} MiB"
        f"\nwhose: a known one {shown(known)}; a known one that was silent {shown(silent)}; a new one {shown(new)}, "
        f"in a journal with none {shown(in_empty)}"
        f"\na report of {REPORT} turns {report * 1000:.0f} ms; all moved in {move:.1f} s"
    )
    assert sum(each["sessions"] for each in listed["data"]) == sum(moved["moved"].values()) == SESSIONS + CALLS
    assert max(rest[0] - rest[1], used[0] - used[1]) <= MEMORY_MOST
