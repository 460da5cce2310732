"""Callbacks while their receiver is down for an hour, then refuses each third call, and pods are killed.

Each arrives, and a replay is known by its id. An hour of the journal is half a minute of the test. The figures of the full count go to docs/measured/callbacks.txt.
"""

from __future__ import annotations

import http.server
import random
import threading
import time
from collections import Counter
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from dynamiq_recorder.journal.model import MICROSECONDS
from dynamiq_recorder.journal.store import opened
from tests.support.callback_pod import started
from tests.support.callbacks import Receiver, is_signed, own_address, status
from tests.support.history_stage import in_full
from tests.support.journal import APP, JournalStage
from tests.support.measured import Figures
from tests.support.waiting import eventually
from tests.unit.support.certificates import serving_context

pytestmark = pytest.mark.timeout(3600)
PACE = 120.0
"""Seconds of the journal in one of the test."""
RUNS, DOWN, PODS = (1_000, 3_600.0, 4) if in_full() else (40, 240.0, 2)
"""Runs, each with a callback; seconds of the journal for which the receiver is down; pods."""
KILLED_EACH = 1.0
TAKES = 0.15
"""Most seconds that the receiver takes for an answer."""
WITHIN = 24 * 3600 / PACE
END = {"status": "completed", "reason": "succeeded", "output": {"answer": 42}}
FIGURES = Figures("callbacks")


class Broken:
    """A receiver that is down at first, and then refuses each third call. `took`: what it took, by id. `unsigned`: calls without our signature."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver, self.is_down = receiver, True
        self.took, self.answered, self.dropped, self.unsigned = Counter[str](), 0, 0, 0
        self._lock, self._chance = threading.Lock(), random.Random(36)  # noqa: S311
        receiver.respond = self.respond

    def respond(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        name = handler.headers["webhook-id"]
        call = next(each for each in reversed(self._receiver.calls) if each.headers["webhook-id"] == name)
        with self._lock:
            self.unsigned += not is_signed(call)
            if self.is_down:
                self.dropped += 1
                handler.close_connection = True
                return
            self.answered += 1
            is_refused, takes = self.answered % 3 == 0, self._chance.uniform(0, TAKES)
            if not is_refused:
                self.took[name] += 1
        time.sleep(takes)
        status(500 if is_refused else 204)(handler)


class Pods:
    """Pods, of which one at a time is killed and replaced."""

    def __init__(self, folder: Path, url: str, authority: Path) -> None:
        self._start = partial(started, folder, url, authority, PACE)
        self._pods: list[BaseProcess] = [self._start() for _ in range(PODS)]
        self.kills = 0

    def kill_one(self) -> None:
        self.kills += 1
        pod = self._pods.pop(0)
        pod.kill()
        pod.join()
        self._pods.append(self._start())

    def end(self) -> None:
        for each in self._pods:
            each.kill()
            each.join()


def test_each_callback_arrives_whatever_fails_and_a_replay_is_known_by_its_id(tmp_path: Path) -> None:
    context, authority = serving_context(tmp_path, own_address())
    began = time.time(), time.monotonic()

    def now() -> int:
        return round((began[0] + (time.monotonic() - began[1]) * PACE) * MICROSECONDS)

    store = opened(f"sqlite://{tmp_path}/journal.db", now, now)
    with JournalStage(tmp_path, store=store) as journal, Receiver(context, own_address()) as receiver:
        journal.table.add_app(APP, callback_hosts=(receiver.host,), keep=7 * 86_400)
        broken, pods = Broken(receiver), Pods(tmp_path, journal.url, authority)
        try:
            runs = [_ended(journal, receiver.url, number) for number in range(RUNS)]
            _kill_until(pods, began[1] + DOWN / PACE)
            broken.is_down = False
            deadline = time.monotonic() + WITHIN
            while journal.store is not None and journal.store.next_callback(APP.app_uid) is not None and time.monotonic() < deadline:
                _kill_until(pods, time.monotonic() + KILLED_EACH)
        finally:
            pods.end()
        _check(journal, broken, runs, pods.kills)


def _ended(journal: JournalStage, url: str, number: int) -> str:
    """Accepts and ends a run. Returns its id."""
    run_id = str(journal.accept(claim=True, callbacks=[{"url": url, "metadata": {"n": number}}])["data"]["id"])
    (saved,) = journal.save({"id": run_id, "fence": 1, "number": 1, "end": END})
    assert saved["callbacks"] == 1
    return run_id


def _kill_until(pods: Pods, until: float) -> None:
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, KILLED_EACH))
        pods.kill_one()


def _check(journal: JournalStage, broken: Broken, runs: list[str], kills: int) -> None:
    shown: list[Any] = [journal.get(f"runs/{run_id}")["data"]["callbacks"][0] for run_id in runs]
    assert {each["state"] for each in shown} == {"delivered"}
    assert broken.took.keys() == {f"msg_{run_id}_0" for run_id in runs}
    assert broken.unsigned == 0
    eventually("the journal counts them", lambda: journal.metrics()["dynamiq_journal_callbacks_delivered_total"] == len(runs))
    again = sum(count - 1 for count in broken.took.values())
    refused = broken.answered - broken.took.total()
    FIGURES.note(
        f"{len(runs)} runs with a callback, {kills} kills of a pod, a receiver that was down for {DOWN / 60:.0f} minutes and then refused each"
        f" third call, at {PACE:.0f} times the pace: 0 lost, {broken.dropped} calls while it was down, {refused} refused,"
        f" {again} delivered once more, each with the id of the first time."
    )
