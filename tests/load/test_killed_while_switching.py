"""Kills the operator before and after each of its writes of a rollback to a standby, under load: it always recovers, and no call fails."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dynamiq_operator.model import names
from local.clusters import Cluster
from local.gateway import Gateway
from tests.support.faults import deploys, operators
from tests.support.faults.faults import KillAtWrite
from tests.support.faults.operators import OperatorProcess
from tests.support.faults.proxy import Proxy
from tests.support.history_stage import SHARE
from tests.support.load.operated import OPTIONS
from tests.support.load.switches import SHARE_OF_CPU, Load, deploy_again, roll_back, serving, switching, under_load, until_serving
from tests.support.measured import Figures
from tests.support.stage import Stage, stage
from tests.support.waiting import eventually

pytestmark = pytest.mark.long("a kill at each write of a warm rollback; an operator that is killed once: tests/node/test_no_call_fails.py")

APP = "shop"
IN_FULL = bool(os.environ.get("SOAK"))
RATE = 50
TIMES = 3 if IN_FULL else 1
EVERY = 1 if IN_FULL else SHARE - 1
"""The distance of points in `make test`, which has each once and not three times."""
CALM = 2.0  # seconds without a write
FIGURES = Figures("switch-crashes")


@dataclass
class Killed:
    """The operators of a test, one after another, each on its own lease: the previous one was killed and did not release its lease."""

    on: Stage
    proxy: Proxy
    folder: Path
    started: list[OperatorProcess] = field(default_factory=list)

    def start(self) -> None:
        lease = f"lease-{len(self.started)}"
        self.started.append(operators.start(self.proxy.url, self.on.namespace, self.folder, *OPTIONS, lease=lease))

    def start_anew(self) -> None:
        """Restarts it if it was killed."""
        if not self.started[-1].alive:
            assert self.started[-1].process.wait() == -signal.SIGKILL, self.started[-1].log.read_text()[-4000:]
            self.start()

    def until_live(self, row: str) -> None:
        def live() -> bool:
            self.start_anew()
            return bool(self.on.row(row).get("status", {}).get("phase") == "Live")

        eventually(f"row {row} is Live", live)


@pytest.fixture
def killed(cluster: Cluster, at: Gateway, tmp_path: Path) -> Iterator[Killed]:
    with stage(cluster, "killed") as on, operators.proxied(cluster, on.api) as proxy:
        operators.allow_leases(on.api, on.namespace)
        on.release("v1", "v2")
        on.runtime("fast", by_default=True, drainSeconds=5, resources=SHARE_OF_CPU)
        operators_of_test = Killed(on, proxy, tmp_path)
        operators_of_test.start()
        try:
            yield operators_of_test
        finally:
            for each in operators_of_test.started:
                each.stop(signal.SIGKILL)


def rolled_back(killed: Killed, load: Load, rows: dict[str, str], nth: int, after_it: bool) -> KillAtWrite:
    """Rolls back once to a standby, with a kill at that write; 0 is never."""
    kill = KillAtWrite(nth, after_it, lambda: killed.started[-1].pid)
    if load.rollbacks:
        deploy_again(load, "v2")  # a rollback leaves no pod of it
    killed.proxy.faults.append(kill)
    try:
        row = roll_back(load, rows["v1"], "v2", "v1", until=killed.until_live).row
        rows["v1"] = row
        until_serving(load.on, APP, row, meanwhile=killed.start_anew)
        deploys.until_calm(lambda: len(kill.seen), CALM)  # the cleanup of old pods is last
        killed.start_anew()
    finally:
        killed.proxy.faults.remove(kill)
    return kill


@pytest.mark.full_count
@pytest.mark.timeout(3600)
def test_killed_at_each_write_of_a_switch_it_ends_well_and_no_call_fails(killed: Killed) -> None:
    on = killed.on
    on.app(APP, switching())
    rows = {version: on.live(APP, version) for version in ("v1", "v2")}
    until_serving(on, APP, rows["v2"])
    lines = []
    with under_load(on, APP, RATE) as load:
        writes = max((rolled_back(killed, load, rows, 0, False).seen for _ in range(2)), key=len)
        steps = [*itertools.product(range(1, len(writes) + 1), (False, True))][::EVERY]
        for nth, after_it in steps * TIMES:
            kill = rolled_back(killed, load, rows, nth, after_it)
            lines.append(f"  {'after' if after_it else 'before'} {nth:2d}  {kill.name or 'not made: it had ended before'}")
    title = [f"{len(steps) * TIMES} warm rollbacks, the operator killed at each of {len(writes)} writes; {load.heard}"]
    FIGURES.note(*title, *lines)
    assert not load.heard.failed, load.heard.why()
    assert load.watched.without_ready(names.service(APP)) == []
    assert load.pods_created() == []
    assert names.PINS_LABEL in serving(on, APP)
