"""Fills the recorder's disk with one App's runs as fast as possible: it accepts all of another App's runs, and archives rows.

It uses a real store on a separate file system, in memory, so the test needs root. Its size is checked as often as a claim of 10 GiB is.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from dynamiq_recorder import upkeep
from dynamiq_recorder.store.opening import opened
from dynamiq_recorder.store.sql_store import Store
from tests.support import stored_runs
from tests.support.archived_rows import flows, history
from tests.support.measured import MEASURED, kept
from tests.support.otlp_runs import a_run, request, run_id_of
from tests.support.recorder_stage import (
    APP_UID,
    OPERATOR,
    OTHER_NAMESPACE,
    OTHER_UID,
    POD_TOKEN,
    RecorderStage,
    pod_of,
    pod_user,
)

SIZE, FILLED, SENT = 2 << 30, 0.8, 0.25
"""Bytes of the disk, and the parts of it that the App has at the start, and then sends: much more than fits."""
CLAIM = 10 << 30
RUNS, WORDS = 20, "x" * 60_000
AT_MOST = 300
"""Seconds."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.fail("a file system can be mounted by root alone: run this as root")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(stage: RecorderStage, until: threading.Event, sent: list[int]) -> None:
    """Sends bodies of one pod, one after the other, whatever the answers' Retry-After."""
    session = requests.Session()
    headers = {"Authorization": f"Bearer {POD_TOKEN}"}
    while not until.is_set():
        runs = [a_run(content=True) for _ in range(RUNS)]
        for run in runs:
            run["spans"][0]["attributes"].append({"key": "dynamiq.input", "value": {"stringValue": f'"{WORDS}"'}})
        answer = session.post(f"{stage.url}/v1/traces", json=request(*runs), headers=headers, timeout=60)
        if answer.status_code == 200:
            sent.append(len(WORDS) * RUNS)
        if sum(sent) > SIZE * SENT:
            until.set()


def filled(store: Store) -> Store:
    """Fills a store with much of the App's half hour."""
    now, number = time.time_ns() // 1000, 0
    while (store.fullness() or 0.0) < FILLED:
        number += 1
        runs = [
            stored_runs.a_run(number * 1000 + each, app_uid=APP_UID, started_at=now - 1_800_000_000 + number, input=f'"{WORDS}"')
            for each in range(200)
        ]
        store.write([stored_runs.batch(*runs)])
    return store


def test_one_app_that_fills_the_disk_costs_no_other_a_run(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOOKS_EVERY", "LOOKS_AGAIN"):
        monkeypatch.setattr(upkeep, name, getattr(upkeep, name) * SIZE / CLAIM)
    with RecorderStage(disk) as stage:
        stage.users["rival"] = pod_user(OTHER_NAMESPACE, "chat-2", "pod-uid-2")
        for raw, path in pod_of(OTHER_NAMESPACE, "chat-2", "pod-uid-2", "chat", OTHER_UID):
            stage.script.on("GET", path, raw)
        stage.start(store=filled(opened(stage.store_url)), retains_every=5)
        stage.rights = lambda _: True
        until, sent, fullest = threading.Event(), list[int](), 0.0
        filler = threading.Thread(target=fill, args=(stage, until, sent))
        filler.start()
        answers, took, began = dict[str, int](), list[float](), time.monotonic()
        while not until.wait(0.05) and time.monotonic() - began < AT_MOST:
            run = a_run()
            at = time.perf_counter()
            answers[run_id_of(run)] = stage.send(request(run, instance="theirs"), "rival").status_code
            took.append(time.perf_counter() - at)
            fullest = max(fullest, stage.metrics().get("dynamiq_recorder_store_fullness", 0.0))
        until.set()
        filler.join()
        rows = history(3, app_uid=APP_UID)
        archived = stage.call("POST", f"/v1/apps/{APP_UID}/archive", OPERATOR, json={"rows": rows, "flows": flows(rows)})
        whole = [len(stage.get(f"/v1/runs/{each}")["nodes"]) for each, status in answers.items() if status == 200]
    with kept(MEASURED / "recorder-disk.txt") as say:
        say(
            f"an App sent {sum(sent) >> 20} MiB to a disk of {SIZE >> 20} MiB that it had filled to {FILLED:.0%}, at most {fullest:.0%} full: of {len(answers)} runs of another "
            f"App {sum(count == 2 for count in whole)} are there with all nodes, {Counter(answers.values())}, p95 {statistics.quantiles(took, n=20)[-1] * 1000:.0f} ms"
        )
    assert set(answers.values()) == {200}
    assert whole == [2] * len(answers)
    assert len(archived.json()["data"]["archived"]) == len(rows)
    assert sum(sent) > SIZE * SENT
