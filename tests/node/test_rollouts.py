"""Alternates new versions and rollbacks under load through the gateway by hostname: callers never notice a rollout."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import components
from local.clusters import Cluster
from local.gateway import Gateway
from tests.support.cluster import REPOSITORY
from tests.support.flows import sleeping
from tests.support.gateway import until_answer
from tests.support.history_stage import counted
from tests.support.load.callers import Heard, Timeline, calling
from tests.support.load.operated import OPTIONS
from tests.support.load.sleepers import host_of
from tests.support.load.switches import until_alone
from tests.support.stage import Stage, operator, stage

pytestmark = [
    pytest.mark.long("ten rollouts one after another, and the control; one rollout and one rollback: tests/node/test_no_call_fails.py"),
    pytest.mark.full_count,
]
ROLLOUTS = int(os.environ.get("ROLLOUTS") or 100)
ROLLOUTS_OF_THE_CONTROL = 4
RATE_OF_THE_CONTROL, RUNS_OF_THE_CONTROL = 50, 0.1
"""Calls a second, and seconds of a run: each ending pod surely has a run, and a busy machine can serve them."""
IN_FULL = bool(os.environ.get("SOAK"))
RATE = int(os.environ.get("RATE") or (200 if IN_FULL else 50))
"""Calls a second on new connections, and as many on kept ones: the capacity of two idle cores, and that of busy ones."""
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
def on(cluster: Cluster, at: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(cluster, "rollouts") as staged, operator(staged, folder=tmp_path_factory.mktemp("rollouts"), options=OPTIONS):
        staged.release(*VERSIONS)
        staged.runtime("fast", by_default=True, drainSeconds=5)
        yield staged


def rolled(on: Stage, app: str, at: Gateway, rollouts: int, rate: int = RATE) -> tuple[Heard, Timeline]:
    """Alternates deploys of the next version and rollbacks to the first row, under the load of both kinds of callers."""
    on.app(app)
    first = on.live(app, VERSIONS[0], config=PODS)
    until_answer(host_of(on, app), at, VERSIONS[0], on.key(app))
    timeline = Timeline.of(VERSIONS[0])
    with calling(on.cluster, host_of(on, app), on.key(app), new=rate, kept=rate) as answers:
        time.sleep(QUIET)  # no condition is awaited: this is the load without a rollout
        for number, version in zip(range(rollouts), itertools.cycle(VERSIONS[1:]), strict=False):
            target = VERSIONS[0] if number % 2 else version
            timeline.begin(target)
            if number % 2:
                on.live(app, restores=first)
            else:
                on.live(app, target)
            until_alone(on, app)
            timeline.end(target)
        time.sleep(QUIET)
    return answers, timeline


def told(title: str, answers: Heard, timeline: Timeline, rate: int = RATE) -> str:
    """Returns the figures without a rollout and during rollouts."""
    began, ended = timeline.states[1][0], timeline.states[-1][0]
    quiet = Heard([call for call in answers.calls if call.answered < began or call.sent > ended])
    rolling = Heard([call for call in answers.calls if began <= call.sent <= ended])
    lines = [
        f"{title}: {(len(timeline.states) - 1) // 2} rollouts in {ended - began:.0f} s, {rate}/s on new connections and on kept ones",
        f"  {len(answers.calls)} calls, {len(answers.failed)} failed, {len(timeline.wrong(answers))} of a wrong version, {answers.left_out} left out",
        f"  without a rollout: {quiet}",
        f"  during rollouts: {rolling}",
    ]
    print("\n" + "\n".join(lines), flush=True)
    return "\n".join(lines)


@pytest.mark.timeout(5400)
def test_no_call_fails_and_none_is_answered_by_another_version(on: Stage, at: Gateway) -> None:
    answers, timeline = rolled(on, "shop", at, counted(ROLLOUTS))
    text = told("deploys and rollbacks in alternation", answers, timeline)
    if IN_FULL:
        machine = f"{os.cpu_count()} cores, load average {os.getloadavg()[1]:.1f} over the last 5 minutes"
        command = f"ROLLOUTS={ROLLOUTS} RATE={RATE} SOAK=1 python -m pytest tests/node/test_rollouts.py --capture=no"
        LOG.write_text(
            f"{command}\nKubernetes {components.KUBERNETES.version}, Contour {components.CONTOUR.version}, {machine}.\n\n{text}\n"
        )
    assert not answers.failed, answers.why()
    assert not timeline.wrong(answers), timeline.wrong(answers)[:5]
    assert len(answers.calls) > 2 * RATE * QUIET


@pytest.mark.timeout(1800)
def test_without_pre_stop_and_drain_calls_do_fail(cluster: Cluster, at: Gateway, tmp_path: Path) -> None:
    """The control: the same with an operator that writes a preStop sleep of 0 s, and a Runtime with a drain of 0 s."""
    program = tmp_path / "without.py"
    program.write_text(WITHOUT_PRE_STOP)
    with stage(cluster, "control") as on, operator(on, folder=tmp_path, options=OPTIONS, program=[str(program)]):
        for version in VERSIONS:
            on.release(version, text=sleeping(version, RUNS_OF_THE_CONTROL))
        on.runtime("hasty", by_default=True, drainSeconds=0)
        answers, timeline = rolled(on, "hasty", at, ROLLOUTS_OF_THE_CONTROL, RATE_OF_THE_CONTROL)
        container = on.workload("hasty")["spec"]["template"]["spec"]["containers"][0]
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] == 0
    text = told(f"the same without preStop and drain, runs of {RUNS_OF_THE_CONTROL} s", answers, timeline, RATE_OF_THE_CONTROL)
    if IN_FULL:
        with LOG.open("a") as log:
            log.write(f"{text}\n")
    assert answers.failed
