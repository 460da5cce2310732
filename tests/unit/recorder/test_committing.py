"""A request is acknowledged only after the commit of its runs. Requests beyond the capacity are refused."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from dynamiq_recorder.ingest.queue import Closed, Limits, Queue
from dynamiq_recorder.ingest.shares import Full, Source
from dynamiq_recorder.model import Batch
from dynamiq_recorder.store.opening import opened
from dynamiq_recorder.store.results import Unavailable, Written
from dynamiq_recorder.store.sql_store import Store
from tests.support.cluster import REPOSITORY
from tests.support.otlp_runs import a_run, request, run_id_of
from tests.support.recorder_stage import APP_UID, RecorderStage
from tests.support.waiting import IN_TIME, eventually

PATIENCE = IN_TIME
CHAT, MAIL, RIVAL = Source("team", "chat"), Source("team", "mail"), Source("rivals", "chat")


class Held(Store):
    """A real store whose commits wait until the test releases them, or fail with the given error."""

    def __init__(self, store: Store) -> None:
        vars(self).update(vars(store))
        self.go = threading.Event()
        self.begun = threading.Event()
        self.wrong: Exception | None = None
        self.commits: list[int] = []

    def write(self, batches: Sequence[Batch]) -> Written:
        self.begun.set()
        assert self.go.wait(PATIENCE)
        self.commits.append(len(batches))
        if self.wrong is not None:
            raise self.wrong
        return super().write(batches)

    def check(self) -> None:
        if self.wrong is not None:
            raise self.wrong
        super().check()


@pytest.fixture
def held(stage: RecorderStage) -> Held:
    made = Held(opened(stage.store_url))
    stage.start(store=made, limits=Limits(runs=40))
    return made


def in_background(stage: RecorderStage, body: Any, into: list[Any]) -> threading.Thread:
    def send() -> None:
        import requests

        headers = {"Authorization": "Bearer pod-token"}
        try:
            into.append(requests.post(f"{stage.url}/v1/traces", json=body, headers=headers, timeout=PATIENCE))
        except requests.RequestException as error:
            into.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def test_the_answer_comes_after_the_commit(stage: RecorderStage, held: Held) -> None:
    answers: list[Any] = []
    run = a_run()
    thread = in_background(stage, request(run), answers)
    assert held.begun.wait(PATIENCE)
    assert stage.call("GET", f"/v1/runs/{run_id_of(run)}").status_code == 404
    assert answers == []
    held.go.set()
    thread.join(PATIENCE)
    assert answers[0].status_code == 200
    assert stage.get(f"/v1/runs/{run_id_of(run)}")["id"] == run_id_of(run)


def test_waiting_batches_are_committed_together_and_those_beyond_the_limit_refused(stage: RecorderStage, held: Held) -> None:
    answers: list[Any] = []
    first = in_background(stage, request(a_run(seq=1)), answers)
    assert held.begun.wait(PATIENCE)
    more = [in_background(stage, request(a_run(seq=number)), answers) for number in range(2, 8)]
    eventually("they wait", lambda: stage.metrics()["dynamiq_recorder_queue_depth"] == 7)
    refused = stage.send(request(*(a_run(seq=number) for number in range(10, 20))))
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    assert refused.json()["error"]["code"] == "rate_limited"
    held.go.set()
    for thread in (first, *more):
        thread.join(PATIENCE)
    assert {answer.status_code for answer in answers} == {200}
    assert held.commits == [1, 6]


def test_a_store_that_is_away_has_senders_try_again_and_takes_readiness_away(stage: RecorderStage, held: Held) -> None:
    held.go.set()
    held.wrong = Unavailable("the disk is gone")
    answer = stage.send(request(a_run()))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert "disk" not in answer.text, "what the store says is for the log"
    assert stage.session.get(f"{stage.url}/readyz", timeout=PATIENCE).status_code == 503
    held.wrong = None  # no run comes, since nobody sends to what is not ready
    eventually("it is ready again", lambda: stage.session.get(f"{stage.url}/readyz", timeout=PATIENCE).status_code == 200)


async def test_one_batch_that_the_store_does_not_take_takes_no_other_with_it(tmp_path: Path) -> None:
    store = Held(opened(f"sqlite://{tmp_path}/runs.db"))
    queue = Queue(store, Limits(), lambda *_: None)
    first = asyncio.create_task(queue.put(Batch(runs=()), 1, CHAT))
    await asyncio.to_thread(store.begun.wait, PATIENCE)
    bad = asyncio.create_task(queue.put(Batch(runs=("no run",)), 1, CHAT))  # type: ignore[arg-type]
    good = asyncio.create_task(queue.put(Batch(runs=()), 1, CHAT))
    await asyncio.sleep(0)
    store.go.set()
    await first
    await good
    with pytest.raises(AttributeError):
        await bad
    await asyncio.to_thread(queue.close)
    with pytest.raises(Closed):
        await queue.put(Batch(runs=()), 1, CHAT)
    store.close()


async def test_bytes_are_bounded_as_runs_are(tmp_path: Path) -> None:
    store = Held(opened(f"sqlite://{tmp_path}/runs.db"))
    queue = Queue(store, Limits(runs=1000, bytes=100), lambda *_: None)
    first = asyncio.create_task(queue.put(Batch(runs=()), 1, CHAT))
    await asyncio.to_thread(store.begun.wait, PATIENCE)
    second = asyncio.create_task(queue.put(Batch(runs=()), 90, CHAT))
    await asyncio.sleep(0)
    with pytest.raises(Full):
        await queue.put(Batch(runs=()), 90, CHAT)
    store.go.set()
    await asyncio.gather(first, second)
    await asyncio.to_thread(queue.close)
    store.close()


async def test_namespaces_take_turns(tmp_path: Path) -> None:
    store = Held(opened(f"sqlite://{tmp_path}/runs.db"))
    queue = Queue(store, Limits(), lambda *_: None)
    first = asyncio.create_task(queue.put(Batch(runs=()), 1, CHAT))
    await asyncio.to_thread(store.begun.wait, PATIENCE)
    large: Any = ("run",) * 300
    waiting = [asyncio.create_task(queue.put(Batch(runs=large), 1, CHAT)) for _ in range(3)]
    await asyncio.sleep(0)
    rival = asyncio.create_task(queue.put(Batch(runs=()), 1, RIVAL))
    await asyncio.sleep(0)
    store.wrong = Unavailable("nothing of this is to be stored")
    store.go.set()
    await asyncio.gather(first, *waiting, rival, return_exceptions=True)
    assert store.commits == [1, 2, 1, 1], "the rival's goes with the first of the large ones"
    await asyncio.to_thread(queue.close)
    store.close()


def test_sigterm_commits_and_acknowledges_what_is_under_way(stage: RecorderStage, held: Held) -> None:
    answers: list[Any] = []
    run = a_run()
    thread = in_background(stage, request(run), answers)
    assert held.begun.wait(PATIENCE)
    stage.begin_stop()
    held.go.set()
    stage.stop()
    thread.join(PATIENCE)
    assert answers[0].status_code == 200
    with sqlite3.connect(stage.folder / "runs.db") as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (1,)


KILLED = """
import sys, threading
from pathlib import Path
from tests.support.recorder_stage import RecorderStage
from tests.support.otlp_runs import a_run, request
from tests.unit.recorder.test_committing import Held
from dynamiq_recorder.store.opening import opened

with RecorderStage(Path(sys.argv[1])) as stage:
    held = Held(opened(stage.store_url))
    held.go.set()
    stage.start(store=held)
    stage.record(a_run(sys.argv[2]))
    held.go.clear()
    held.begun.clear()
    threading.Thread(target=lambda: print(stage.send(request(a_run(sys.argv[3]))).status_code, flush=True)).start()
    held.begun.wait()
    print("ready", flush=True)
    threading.Event().wait()
"""


def test_a_crash_loses_nothing_that_was_acknowledged_and_acknowledges_nothing_that_is_lost(tmp_path: Path) -> None:
    acknowledged, not_yet = "11111111-0000-4000-8000-000000000001", "22222222-0000-4000-8000-000000000002"
    environment = os.environ | {"PYTHONPATH": f"{REPOSITORY / 'operator'}:{REPOSITORY}"}
    command = [sys.executable, "-c", KILLED, str(tmp_path), acknowledged, not_yet]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGKILL)
        assert process.stdout.read() == "", "the second run was not acknowledged"
    store = opened(f"sqlite://{tmp_path}/runs.db")
    assert store.run(APP_UID, acknowledged, content=False) is not None
    assert store.run(APP_UID, not_yet, content=False) is None
    store.close()


def test_a_run_that_is_sent_again_counts_once(stage: RecorderStage) -> None:
    stage.start()
    run = a_run()
    stage.record(run)
    stage.record(run)
    assert stage.get(f"/v1/apps/{APP_UID}/metrics")["series"][0]["total"]["runs"] == 1
    found = stage.metrics()
    assert (found["dynamiq_recorder_runs_stored_total"], found["dynamiq_recorder_runs_repeated_total"]) == (1, 1)
