"""Callers never notice a rollout: new versions and rollbacks in alternation, under load through the gateway by hostname."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import components, gateway
from local.clusters import Cluster
from local.gateway import Gateway
from tests.support.cluster import REPOSITORY
from tests.support.flows import sleeping
from tests.support.gateway import until_answer
from tests.support.history_stage import counted
from tests.support.rollouts import Heard, Timeline, called, roll
from tests.support.stage import Stage, operator, stage

DOMAIN = "apps.example.test"
ROLLOUTS = int(os.environ.get("ROLLOUTS") or 100)
ROLLOUTS_OF_THE_CONTROL = 4
RATE_OF_THE_CONTROL, RUNS_OF_THE_CONTROL = 50, 0.1
"""Calls a second, and seconds of a run: so that some run for certain on each pod that ends, and few enough for a busy machine."""
IN_FULL = bool(os.environ.get("SOAK"))
RATE = int(os.environ.get("RATE") or (200 if IN_FULL else 50))
"""Calls a second of each of the two callers: what two idle cores carry, and what they carry beside other work."""
QUIET = 60 if IN_FULL else 15
"""Seconds of the same load before the first rollout and after the last one."""
VERSIONS = ("v1", "v2", "v3", "v4")
PODS = {"autoscaling": {"minReplicas": 2, "maxReplicas": 2}}
LOG = REPOSITORY / "docs" / "measured" / "rollouts.txt"

WITHOUT_PRE_STOP = """
import sys
from dynamiq_operator import __main__
from dynamiq_operator.desired import pod_template
pod_template.PRE_STOP_SECONDS = 0
sys.exit(__main__.main())
"""


@pytest.fixture(scope="module")
def options() -> list[str]:
    return [f"--domain={DOMAIN}", f"--ingress-class={gateway.INGRESS_CLASS}"]


@pytest.fixture(scope="module")
def on(cluster: Cluster, at: Gateway, options: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(cluster, "rollouts") as made, operator(made, folder=tmp_path_factory.mktemp("rollouts"), options=options):
        made.release(*VERSIONS)
        made.runtime("fast", by_default=True, drainSeconds=5)
        yield made


def rolled(on: Stage, app: str, at: Gateway, rollouts: int, rate: int = RATE) -> tuple[dict[str, Heard], Timeline]:
    """Deploys of the next version and rollbacks to the first row in alternation, under the load of both callers."""
    on.app(app)
    first = on.live(app, VERSIONS[0], config=PODS)
    until_answer(on.get("App", app)["status"]["hostname"], at, VERSIONS[0], on.key(app))
    timeline = Timeline.of(VERSIONS[0])
    with called(on, app, at, rate) as heard:
        time.sleep(QUIET)  # nothing is waited for: this is the load without a rollout
        for number, version in zip(range(rollouts), itertools.cycle(VERSIONS[1:]), strict=False):
            if number % 2:
                roll(on, app, timeline, VERSIONS[0], restores=first)
            else:
                roll(on, app, timeline, version)
        time.sleep(QUIET)
    return heard, timeline


def told(title: str, heard: dict[str, Heard], timeline: Timeline, rate: int = RATE) -> str:
    lines = [
        f"{title}: {(len(timeline.states) - 1) // 2} rollouts in {timeline.ended - timeline.began:.0f} s, {rate}/s from each of two callers"
    ]
    lines += [f"  {name:16s} {each.report(timeline)}" for name, each in heard.items()]
    print("\n" + "\n".join(lines), flush=True)
    return "\n".join(lines)


@pytest.mark.full_count
@pytest.mark.timeout(5400)
def test_no_call_fails_and_none_is_answered_by_another_version(on: Stage, at: Gateway) -> None:
    heard, timeline = rolled(on, "shop", at, counted(ROLLOUTS))
    text = told("deploys and rollbacks in alternation", heard, timeline)
    if IN_FULL:
        machine = f"{os.cpu_count()} cores, load average {os.getloadavg()[1]:.1f} over the last 5 minutes"
        command = f"ROLLOUTS={ROLLOUTS} RATE={RATE} SOAK=1 python -m pytest tests/node/test_rollouts.py --capture=no"
        LOG.write_text(
            f"{command}\nKubernetes {components.KUBERNETES.version}, Contour {components.CONTOUR.version}, {machine}.\n\n{text}\n"
        )
    for name, each in heard.items():
        assert not each.failed, (name, len(each.failed), each.failed[:5])
        assert not each.wrong(timeline), (name, each.wrong(timeline)[:5])
        assert len(each.calls) > RATE * QUIET, name


@pytest.mark.full_count
@pytest.mark.timeout(1800)
def test_without_pre_stop_and_drain_calls_do_fail(cluster: Cluster, at: Gateway, options: list[str], tmp_path: Path) -> None:
    """The control: the same, by an operator that writes a preStop sleep of 0 s, on a Runtime with a drain of 0 s."""
    program = tmp_path / "without.py"
    program.write_text(WITHOUT_PRE_STOP)
    with stage(cluster, "control") as on, operator(on, folder=tmp_path, options=options, program=[str(program)]):
        for version in VERSIONS:
            on.release(version, text=sleeping(version, RUNS_OF_THE_CONTROL))
        on.runtime("hasty", by_default=True, drainSeconds=0)
        heard, timeline = rolled(on, "hasty", at, ROLLOUTS_OF_THE_CONTROL, RATE_OF_THE_CONTROL)
        container = on.workload("hasty")["spec"]["template"]["spec"]["containers"][0]
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] == 0
    text = told(f"the same without preStop and drain, runs of {RUNS_OF_THE_CONTROL} s", heard, timeline, RATE_OF_THE_CONTROL)
    if IN_FULL:
        with LOG.open("a") as log:
            log.write(f"{text}\n")
    assert sum(len(each.failed) for each in heard.values()) > 0
