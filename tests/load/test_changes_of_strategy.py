"""Changes strategy Rolling to Switch and back under load, while an autoscaler holds five pods: no call fails, and it never counts both
workloads.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from dynamiq_operator.model import names
from local import metrics
from local.clusters import Cluster
from local.gateway import Gateway
from tests.support.gateway import until_answer
from tests.support.history_stage import counted
from tests.support.load.caller import NEW
from tests.support.load.operated import OPTIONS
from tests.support.load.switches import SHARE_OF_CPU, Load, serving, under_load, until_one_workload
from tests.support.measured import Figures
from tests.support.stage import Stage, operator, stage
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.long("five pods under load through two changes of strategy; a switch alone: tests/node/test_no_call_fails.py"),
    pytest.mark.metrics,
]
APP = "shop"
CHANGES = 20
HELD = 5
SCALING = {"minReplicas": 1, "maxReplicas": HELD, "targetCPUUtilizationPercentage": 3}
"""The load needs more pods than allowed: a fall below `HELD` is an error of the change of the scaled workload."""
SCALED_WITHIN = 180.0  # seconds
CHANGED_WITHIN = 240.0
IN_FULL = bool(os.environ.get("SOAK"))
RATE = 100 if IN_FULL else 50
RATE_AT_FIRST = 20
"""The rate until the five pods are ready: the first one answers alone while four start."""
FIGURES = Figures("changes-of-strategy")


@pytest.fixture(scope="module")
def on(cluster: Cluster, at: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    metrics.start(cluster)
    with stage(cluster, "strategy") as staged, operator(staged, folder=tmp_path_factory.mktemp("strategy"), options=OPTIONS):
        staged.release("v1")
        staged.runtime("patient", by_default=True, drainSeconds=5, resources=SHARE_OF_CPU)
        yield staged


def change(on: Stage, strategy: str) -> float:
    """Changes the App's strategy, waits until it has only one workload, and returns the seconds that took."""
    began = time.monotonic()
    on.change("App", APP, spec={"rollout": {"strategy": strategy}})
    narrow = strategy == "Switch"
    eventually(f"the Service follows {strategy}", lambda: (names.PINS_LABEL in serving(on, APP)) is narrow, CHANGED_WITHIN)
    until_one_workload(on, APP, CHANGED_WITHIN, pinned=narrow)
    return time.monotonic() - began


def figures(load: Load) -> list[tuple[int, int]]:
    """Returns the autoscaler's current and desired replicas, in order, without repetitions."""
    pairs: list[tuple[int, int]] = []
    for event in load.watched.of("HorizontalPodAutoscaler", APP):
        status = event.object.get("status", {})
        figure = (status.get("currentReplicas", 0), status.get("desiredReplicas", 0))
        if pairs[-1:] != [figure]:
            pairs.append(figure)
    return pairs


@pytest.mark.full_count
@pytest.mark.timeout(5400)
def test_a_change_of_strategy_fails_no_call_and_keeps_the_autoscalers_figure(on: Stage, at: Gateway) -> None:
    on.app(APP)
    on.live(APP, "v1", config={"autoscaling": SCALING})
    until_answer(on.get("App", APP)["status"]["hostname"], at, "v1", on.key(APP))
    with under_load(on, APP, RATE_AT_FIRST) as warming:
        eventually("the autoscaler holds its pods", lambda: on.workload(APP)["status"].get("availableReplicas") == HELD, SCALED_WITHIN, 0.5)
    assert not warming.heard.failed, warming.heard.why()
    with under_load(on, APP, RATE) as load:
        times = [change(on, "Rolling" if number % 2 else "Switch") for number in range(counted(CHANGES))]
    lines = [
        f"{len(times)} changes of strategy, {HELD} pods, {RATE} new connections/s and {RATE}/s on kept ones: most {max(times):.0f} s each",
        f"  gateway: {load.heard}",
        f"  by the Service's address: {load.by_service}",
        f"  the autoscaler's current and desired replicas: {figures(load)}",
        f"  moments at which it counted another workload's pods: {len(load.watched.counted_twice())}",
    ]
    FIGURES.note(*lines)
    assert not load.heard.failed, load.heard.why()
    assert not load.by_service.of(NEW).failed, load.by_service.why()  # a kept connection to an address may end with its pod
    assert load.watched.counted_twice() == []
    assert {desired for _, desired in figures(load)} == {HELD}, figures(load)
    assert max(current for current, _ in figures(load)) <= HELD, "while a workload's pods come, it counts those that are there"
    assert load.watched.without_ready(names.service(APP)) == []
