"""Tests serverless Apps that fall asleep and are woken by their callers, who notice only the time that a pod takes to start."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from local.clusters import Cluster
from local.gateway import Gateway
from tests.support.gateway import ThroughTheGateway, answer, asked
from tests.support.history_stage import counted
from tests.support.kstatus import kstatus
from tests.support.load.operated import Operated, operated
from tests.support.load.sleepers import (
    SHORTEST,
    call_at_once,
    call_one_after_another,
    host_of,
    is_asleep,
    patient,
    sleeping,
    until_asleep,
    wakes,
)
from tests.support.load.watched import watching
from tests.support.measured import Figures
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.long("many Apps and callers; one App that sleeps and wakes: tests/node/test_no_call_fails.py"),
    pytest.mark.timeout(1800),
]
IN_FULL = bool(os.environ.get("SOAK"))
CYCLES = 100
AT_ONCE = 20
ASLEEP = 50
HELD_FOR = 120.0  # seconds
HOLD = 300
"""Seconds that calls are held while many Apps start at once on two cores."""
ROLLED_OUT_IN = 20.0  # seconds over which calls are spread while the gate's pods are replaced
LONGEST_PAUSE = 60.0 if IN_FULL else 12.0
"""Seconds between two calls of a caller, at most; at least 1."""
FIGURES = Figures("sleep")


@pytest.fixture(scope="module")
def sleepers(cluster: Cluster, at: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    with operated(cluster, at, "sleepers", tmp_path_factory.mktemp("sleepers")) as prepared:
        prepared.on.release("v1")
        prepared.on.runtime("fast", by_default=True)
        yield prepared


@dataclass
class Caller:
    """A caller of one App with random pauses, half of them close to the moment at which it falls asleep."""

    host: str
    key: str
    at: Gateway
    pauses: random.Random
    answers: list[tuple[float, float, int, str]] = field(default_factory=list)

    def call_until(self, stop: threading.Event) -> None:
        while not stop.is_set():
            began = time.time()
            status, body = asked(ThroughTheGateway(self.host, self.at, HELD_FOR), self.key)
            self.answers.append((began, time.time() - began, status, body))
            near = self.pauses.uniform(SHORTEST - 1, SHORTEST + 7)
            stop.wait(near if self.pauses.random() < 0.5 else self.pauses.uniform(1, LONGEST_PAUSE))

    @property
    def failed(self) -> list[tuple[float, float, int, str]]:
        return [each for each in self.answers if each[2:] != answer("v1")]


@pytest.mark.full_count
@pytest.mark.timeout(3600)
def test_no_call_fails_over_many_cycles_of_sleep_and_wake(sleepers: Operated) -> None:
    on, cycles = sleepers.on, counted(CYCLES)
    apps = [f"cycle{number}" for number in range(10 if IN_FULL else 5)]
    sleeping(on, sleepers.at, apps, "v1", patient())
    seed = random.randrange(1 << 32)  # noqa: S311
    callers = [Caller(host_of(on, app), on.key(app), sleepers.at, random.Random(f"{seed}{app}")) for app in apps]  # noqa: S311
    stop, since = threading.Event(), time.time()
    with watching(on.api, on.namespace, ("Deployment", "Pod")) as watched, ThreadPoolExecutor(len(apps)) as pool:
        ended = [pool.submit(caller.call_until, stop) for caller in callers]
        try:
            eventually(
                f"{cycles} cycles",
                lambda: sum(wakes(watched, app, since) for app in apps) >= cycles or any(each.failed for each in callers),
                3000,
                0.5,
            )
        finally:
            stop.set()
        for each in ended:
            each.result()
    wake_counts = {app: wakes(watched, app, since) for app in apps}
    calls = [each for caller in callers for each in caller.answers]
    cold = sorted(took for _, took, *_ in calls)[-sum(wake_counts.values()) :]
    FIGURES.note(
        f"{sum(wake_counts.values())} cycles of sleep and wake of {len(apps)} Apps side by side, a call each 1 to {LONGEST_PAUSE:.0f} s, seed {seed}",
        f"  {len(calls)} calls, {sum(len(each.failed) for each in callers)} failed; the slowest took p50 {cold[len(cold) // 2]:.2f} s, most {cold[-1]:.2f} s",
    )
    assert not [each for caller in callers for each in caller.failed], seed
    assert sum(wake_counts.values()) >= cycles


def test_twenty_callers_at_once_wake_a_sleeping_app_once(sleepers: Operated) -> None:
    on = sleepers.on
    sleeping(on, sleepers.at, ["crowd"])
    with watching(on.api, on.namespace, ("Deployment",)) as watched:
        since = time.time()
        answers = call_at_once(sleepers.at, [(host_of(on, "crowd"), on.key("crowd"))] * AT_ONCE, HELD_FOR)
        eventually("the wake is told", lambda: wakes(watched, "crowd", since))
    FIGURES.note(
        f"{AT_ONCE} callers at once at a sleeping App: {answers.count(answer('v1'))} answers, {wakes(watched, 'crowd', since)} wakes"
    )
    assert answers == [answer("v1")] * AT_ONCE
    assert wakes(watched, "crowd", since) == 1


@pytest.mark.full_count
@pytest.mark.timeout(3600)
def test_sleeping_apps_answer_while_the_operator_is_down_and_the_gate_is_rolled_out_anew(sleepers: Operated) -> None:
    on, at, gates = sleepers.on, sleepers.at, sleepers.gates
    apps = [f"asleep{number}" for number in range(counted(ASLEEP))]
    sleeping(on, at, apps, "v1", patient(), hold=HOLD)
    calls = [(host_of(on, app), on.key(app)) for app in apps]
    sleepers.operator.stop()
    try:
        alone = call_at_once(at, calls, HOLD)
    finally:
        sleepers.operator.start()
    until_asleep(on, *apps, seconds=300)
    before = {pod["metadata"]["uid"] for pod in gates.pods()}
    sleepers.operator.stop()
    try:
        gates.roll_out_anew()
        anew = call_one_after_another(at, calls, HOLD, over=ROLLED_OUT_IN)
        gates.until_ready()
    finally:
        sleepers.operator.start()
    FIGURES.note(
        f"operator down, {len(apps)} sleeping Apps called at once: {alone.count(answer('v1'))} answers",
        f"operator down, gate rolled out anew, {len(apps)} sleeping Apps called over {ROLLED_OUT_IN:.0f} s: {anew.count(answer('v1'))} answers",
    )
    assert alone == [answer("v1")] * len(apps)
    assert anew == [answer("v1")] * len(apps)
    assert not before & {pod["metadata"]["uid"] for pod in gates.pods()}, "no gate is of before"


A_DAY_LATER = """
import datetime, sys, time

AHEAD, real, now = 86400, time.time, datetime.datetime

class Later(now):
    @classmethod
    def now(cls, tz=None):
        return now.now(tz) + datetime.timedelta(seconds=AHEAD)

time.time = lambda: real() + AHEAD
from dynamiq_operator import __main__

for name, module in list(sys.modules.items()):  # decoders are made at import, of the real class
    if name.startswith("dynamiq_operator.") and getattr(module, "datetime", None) is now:
        module.datetime = Later
sys.exit(__main__.main())
"""


def test_an_app_that_has_slept_for_a_day_is_ready_and_as_it_was(sleepers: Operated, tmp_path: Path) -> None:
    """The operator's clock has the day: it is another process, which starts a day later."""
    on, program = sleepers.on, tmp_path / "later.py"
    program.write_text(A_DAY_LATER)
    sleeping(on, sleepers.at, ["dormant"])
    before = on.rows("dormant")
    sleepers.operator.stop()
    try:
        sleepers.operator.start([str(program)])
        on.change("App", "dormant", spec={"description": "seen a day later"})
        eventually("it has looked", lambda: kstatus(on.get("App", "dormant")) == "Current")
        on.kubectl("wait", "--for=condition=Ready", "app/dormant", "--timeout=60s", namespace=on.namespace)
        assert is_asleep(on, "dormant")
        assert [row["spec"] for row in on.rows("dormant")] == [row["spec"] for row in before]
        assert [row["status"]["phase"] for row in on.rows("dormant")] == ["Live"]
    finally:
        sleepers.operator.restart()
    assert call_at_once(sleepers.at, [(host_of(on, "dormant"), on.key("dormant"))], HELD_FOR) == [answer("v1")]
