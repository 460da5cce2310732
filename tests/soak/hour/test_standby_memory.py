"""Keeps a version on standby for an hour: measures its memory beside the live one, and checks that later deploys replace it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from dynamiq_operator.model import names
from local.clusters import Cluster
from local.gateway import Gateway
from tests.soak.support.memory import held
from tests.support.api import Manifest
from tests.support.load.callers import calling
from tests.support.load.operated import OPTIONS
from tests.support.load.sleepers import host_of
from tests.support.load.switches import live_on_both, switching, workloads
from tests.support.measured import Figures
from tests.support.stage import Stage, operator, stage
from tests.support.waiting import eventually

APP = "kept"
WARM_FOR = float(os.environ.get("WARM_FOR") or 3600)  # seconds
LOOKS = 6
OTHERS = 5
PODS = {"autoscaling": {"minReplicas": 2, "maxReplicas": 2}}
GONE_WITHIN = 120.0
FIGURES = Figures("kept-warm")


def pods_by_workload(on: Stage) -> dict[str, list[Manifest]]:
    """Returns the pods of each workload, by the pins in the labels of both."""
    pins_by_name = {name: each["spec"]["selector"]["matchLabels"][names.PINS_LABEL] for name, each in workloads(on, APP).items()}
    return {
        name: [pod for pod in on.pods(APP) if pod["metadata"]["labels"].get(names.PINS_LABEL) == pins]
        for name, pins in pins_by_name.items()
    }


def told(on: Stage, minutes: float) -> str:
    serving = on.get("Service", names.service(APP))["spec"]["selector"][names.PINS_LABEL]
    by_role = {"live": 0, "standby": 0}
    for name, pods in pods_by_workload(on).items():
        by_role["live" if name.endswith(serving) else "standby"] += sum(map(held, pods))
    return (
        f"  after {minutes:4.0f} minutes: live {by_role['live'] / 1e6:.1f} MB, standby {by_role['standby'] / 1e6:.1f} MB, of two pods each"
    )


@pytest.mark.timeout(3 * 3600)
def test_a_standby_does_not_grow_and_is_deleted_for_later_ones(cluster: Cluster, at: Gateway, tmp_path: Path) -> None:
    with stage(cluster, "kept") as on, operator(on, folder=tmp_path, options=OPTIONS):
        versions = [f"v{number}" for number in range(1, OTHERS + 3)]
        on.release(*versions)
        on.runtime("fast", by_default=True, drainSeconds=5)
        on.app(APP, switching())
        live_on_both(on, at, APP, (versions[0], versions[1]), config=PODS)
        eventually("both versions have their pods", lambda: [len(pods) for pods in pods_by_workload(on).values()] == [2, 2])
        before = set(workloads(on, APP))
        lines = [told(on, 0)]
        with calling(cluster, host_of(on, APP), on.key(APP), new=5, kept=5) as answers:
            for look in range(1, LOOKS + 1):
                time.sleep(WARM_FOR / LOOKS)  # no condition is awaited: this is the hour
                lines.append(told(on, look * WARM_FOR / LOOKS / 60))
            for version in versions[2:]:
                on.live(APP, version, config=PODS)
        eventually("one is live and one is warm", lambda: len(workloads(on, APP)) == 2, GONE_WITHIN)
        assert not before & set(workloads(on, APP)), "older ones are gone"
        eventually("their pods are gone", lambda: len(on.pods(APP)) == 4, GONE_WITHIN)
        lines.append(f"  then {OTHERS} deploys of other versions: of {OTHERS + 2} workloads the last two are left; {answers}")
    FIGURES.note(f"kept warm for {WARM_FOR:.0f} s", *lines)
    assert not answers.failed, answers.why()
