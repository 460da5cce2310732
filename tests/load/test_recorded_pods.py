"""Tests runs of real pods with the recorder as it is installed, while pods are rolled and killed, and the recorder with them.

The figures of the full count go to docs/measured/recorded-pods.txt.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from local.clusters import Cluster
from local.gateway import Gateway
from tests.support import factories
from tests.support import stage as stages
from tests.support.gateway import until_answer
from tests.support.history_stage import counted, in_full
from tests.support.load.operated import OPTIONS
from tests.support.load.recording.identities import Reader, account, app_uid
from tests.support.load.recording.installed import Calls, Installed, calling, installed
from tests.support.measured import Figures
from tests.support.stage import Stage
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.long("recorders killed under load by pods; a recorder and a pod: tests/node/test_recorder.py"),
    pytest.mark.full_count,
    pytest.mark.timeout(3600),
]
APP, HOST = "desk", "desk.example.test"
RUNS, RATE = 20_000, 100
ROLLS, KILLS, RECORDERS = 20, 20, 5
UNSENT = 4 * RATE
"""Unsent runs of a killed pod: those of its last second, and of the seconds in which the recorder is away."""
ARRIVE_WITHIN, SILENT = 120.0, 200.0  # seconds, and for which a process may be silent before it counts as cut off
FIGURES = Figures("recorded-pods")


@pytest.fixture(scope="module")
def recorder(cluster: Cluster) -> Iterator[Installed]:
    with installed(cluster) as running:
        yield running


@pytest.fixture(scope="module")
def stage(cluster: Cluster, recorder: Installed, at: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("recorded")
    options = [*OPTIONS, f"--recorder={recorder.inside}"]
    with stages.stage(cluster, "recorded") as staged, stages.operator(staged, folder=folder, options=options):
        staged.runtime("tiny", by_default=True, drainSeconds=5)
        staged.release("v1", "v2")
        staged.app(APP, factories.public(), factories.with_hostname(HOST))
        staged.live(APP, "v1", config={"autoscaling": {"minReplicas": 2, "maxReplicas": 2}})
        until_answer(HOST, at, "v1")
        yield staged


def test_each_call_that_was_answered_is_recorded_or_counted(stage: Stage, recorder: Installed, at: Gateway) -> None:
    runs = counted(RUNS)
    failures = sorted(
        (runs * (number + PHASE[failure]) / counted(times), number, failure)
        for failure, times in FAILURES.items()
        for number in range(counted(times))
    )
    began = datetime.now(UTC).isoformat()
    with calling(at, HOST, RATE) as calls:
        for due, number, failure in failures:
            eventually("calls go on", lambda due=due: calls.number >= due, 600)  # type: ignore[misc]
            _fail(failure, number, stage, recorder)
        eventually("all calls were made", lambda: calls.number >= runs, 600)
    recorder.until_ready()
    _balance(stage, recorder, calls, began)


FAILURES = {"a pod was killed": KILLS, "pods were rolled": ROLLS, "the recorder was killed": RECORDERS}
PHASE = {"a pod was killed": 0.5, "pods were rolled": 0.1, "the recorder was killed": 0.75}
"""The time of each failure within its part of the runs, so that a few failures are at different times."""


def _fail(failure: str, number: int, stage: Stage, recorder: Installed) -> None:
    if failure == "the recorder was killed":
        recorder.kill()
    elif failure == "pods were rolled":
        stage.live(APP, "v2" if not number % 2 else "v1", config={"autoscaling": {"minReplicas": 2, "maxReplicas": 2}})
    else:
        stage.until_settled(APP)
        pod = stage.pods(APP)[0]["metadata"]["name"]
        stage.kubectl("delete", "pod", pod, "--grace-period=0", "--force", "--wait=false", namespace=stage.namespace)


def _balance(stage: Stage, recorder: Installed, calls: Calls, began: str) -> None:
    reader, uid = Reader(recorder.outside, account(stage, "reader", "dynamiq-view")), app_uid(stage, APP)
    stage.delete("Workload", APP)  # its pods send a goodbye; the operator creates others
    acknowledged, stored = set(calls.ids), set[str]()

    def runs() -> list[dict[str, Any]]:
        return list(reader.lines(f"/v1/apps/{uid}/runs.jsonl", **{"from": began}))

    def state() -> dict[str, int]:
        counts: dict[str, int] = reader.get(f"/v1/apps/{uid}/recorder")["data"]
        return counts

    def settled() -> bool:
        known = len(stored)
        stored.update(run["id"] for run in runs())
        return len(stored) == known > 0

    eventually("what was sent has arrived", settled, ARRIVE_WITHIN, 5)
    if in_full():
        eventually("pods that were killed count as cut off", lambda: state()["cut_off"], SILENT, 5)
    every = runs()
    now, lost = state(), acknowledged - stored
    done = ", ".join(f"{failure} {counted(times)} times" for failure, times in FAILURES.items())
    FIGURES.note(
        f"{calls.number} calls of an App with 2 pods at {RATE}/s through the gateway, {len(calls.failed)} without an answer; {done}",
        f"  {len(acknowledged)} runs whose callers have an id = {len(acknowledged & stored)} stored + {len(lost)} missing or in tails;"
        f" {len(stored - acknowledged)} more are stored, whose callers had no answer",
        f"  the recorder says: {now}",
    )
    assert len(every) == len({run["id"] for run in every}), "a run is stored twice"
    assert all(run["deployment_id"] for run in every), "a run is of no row"
    assert len(lost) <= now["missing"] + UNSENT * (counted(KILLS) + counted(ROLLS))
    assert len(stored - acknowledged) <= len(calls.failed)
