"""Measures emergency rollbacks that bypass all waiting: from the first byte of the request until the template of the workload is changed.

The baseline is rollbacks without any rule. The API server's own audit log has both moments by one clock. Conditions run in turn, in a
random order each time, so that they share the machine's other work. RUNS=40 for each by default.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import pytest

from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.base import GROUP
from dynamiq_operator.model.objects import format_time
from local.clusters import Cluster
from tests.support import factories as given
from tests.support.api import Api, Manifest, fresh_namespace
from tests.support.faults import deploys
from tests.support.faults.audit import Audit
from tests.support.guards import policy_manifest
from tests.support.measured import Figures
from tests.support.operator import Operator, install_account
from tests.support.waiting import eventually

RUNS = int(os.environ.get("RUNS") or 40)
RUNS_OF_A_VERDICT = 40
RATIO_MOST = 1.1
VERSIONS = ("v1", "v2", "v3")
"""A rollback goes to the version after the live one, which has no pods, not even a standby."""
WAITING = "v4"
QUIET = 0.5
"""Seconds without a write in the namespace: an operator finishes its current work first, with rules or without."""
SWITCH = {"strategy": "Switch"}
NOBODY_KNOWS = {"name": "knows", "input": "{}", "repeat": 1000, "expect": {"contains": "what no simulated pod says"}}
VERIFIED = {**SWITCH, "verify": {"cases": [NOBODY_KNOWS], "timeoutSeconds": 3600}}
FIGURES = Figures("emergency-rollbacks")


def a_day_around() -> dict[str, Any]:
    now = datetime.now(UTC)
    return {"name": "today", "from": format_time(now - timedelta(days=1)), "to": format_time(now + timedelta(days=1))}


@dataclass(frozen=True)
class Condition:
    """A condition of rollbacks. `reason`: why another row waits. `rules`: of a policy. `beside`: the baseline without a rule.

    `is_git`: the waiting row is from Git, and the operator creates it again after each rollback.
    """

    name: str
    reason: str = ""
    rules: dict[str, Any] = field(default_factory=dict)
    rollout: dict[str, Any] = field(default_factory=dict)
    beside: str = ""
    is_git: bool = False


ROLLING, SWITCHING = Condition("no rule"), Condition("Switch, no rule", rollout=SWITCH)
CONDITIONS = (
    ROLLING,
    Condition("a row awaits approval", "AwaitingApproval", {"approvals": {"count": 1}}, beside=ROLLING.name),
    Condition("in a freeze", "Frozen", {"freezes": [a_day_around()]}, beside=ROLLING.name),
    Condition(
        "policies unreadable", "GuardsUnknown", {"freezes": [{"name": "odd", "cron": "0 25 * * *", "duration": "1h"}]}, beside=ROLLING.name
    ),
    Condition("Git's row is held", "Held", beside=ROLLING.name, is_git=True),
    SWITCHING,
    Condition("Switch, during verification", "Verifying", rollout=VERIFIED, beside=SWITCHING.name),
)


@dataclass
class Bench:
    """An App under one condition."""

    condition: Condition
    api: Api
    cluster: Cluster
    namespace: str
    rolled: int = 0
    seconds: list[float] = field(default_factory=list)

    def prepare(self) -> None:
        """Makes rows for rollbacks, the last of them live, and then the rules."""
        rollout = {key: value for key, value in self.condition.rollout.items() if key != "verify"}
        modifiers = (given.with_spec(rollout=rollout),) if rollout else ()
        deploys.prepare(self.api, self.namespace, given.public(), *modifiers, versions=(*VERSIONS, WAITING))
        for version in VERSIONS:
            deploys.create_row(self.api, self.namespace, version, workflowVersion=version)
            deploys.until_live(self.api, self.namespace, version)
        if self.condition.rollout != rollout:
            app = given.app_manifest(given.in_namespace(self.namespace))
            answer = self.api.merge(app, {"spec": {"rollout": self.condition.rollout}})
            assert answer.ok, answer.message
        if self.condition.rules:
            selector = {"matchLabels": {"kubernetes.io/metadata.name": self.namespace}}
            answer = self.api.apply(policy_manifest(self.namespace, selector=selector, **self.condition.rules))
            assert answer.ok, answer.message
            eventually("the App says what would hold a row", lambda: self._get(kinds.APP.kind, given.NAME)["status"].get("guards"))

    def end(self) -> None:
        if self.condition.rules:
            self.api.delete(policy_manifest(self.namespace))

    def roll_back(self) -> None:
        """Notes the seconds of one rollback, while another row waits if the condition has one."""
        self.rolled += 1
        target, name = VERSIONS[(self.rolled - 1) % len(VERSIONS)], f"back-{self.rolled}"
        if self.condition.is_git:
            self._ask_by_git()
        elif self.condition.reason:
            deploys.create_row(self.api, self.namespace, f"waits-{self.rolled}", workflowVersion=WAITING)
            eventually(f"it waits: {self.condition.name}", lambda: self._waits_for(f"waits-{self.rolled}") == self.condition.reason)
        before = Audit(self.cluster, self.namespace)
        eventually("the operator is done with what came before", lambda: before.quiet_for() > QUIET)
        audit = Audit(self.cluster, self.namespace)
        deploys.create_row(self.api, self.namespace, name, restores=target)
        deploys.until_live(self.api, self.namespace, name)
        (received,) = [each.received for each in audit.writes("deployments", name, group=GROUP) if each.verb == "create"]
        flow = names.flow(given.NAME, given.flow_hash(target))
        changed = [each.answered for each in audit.writes("deployments", None, group="apps") if flow in json.dumps(each.sent)]
        self.seconds.append(min(changed) - received)

    def _ask_by_git(self) -> None:
        """Changes `spec.deploy`; after the first rollback, which has no waiting row, the change is on hold."""
        if self.rolled > 1:
            answer = self.api.merge(
                given.app_manifest(given.in_namespace(self.namespace)), {"spec": {"deploy": {"workflowVersion": WAITING}}}
            )
            assert answer.ok, answer.message
            eventually("what Git asks for is held", self._is_held)

    def _is_held(self) -> bool:
        rows = self.api.get(kinds.ROW.kind, "", self.namespace).body["items"]
        return any((each.get("status", {}).get("waits") or {}).get("reason") == self.condition.reason for each in rows)

    def _waits_for(self, row: str) -> str | None:
        return (self._get(kinds.ROW.kind, row)["status"].get("waits") or {}).get("reason")

    def _get(self, kind: str, name: str) -> Manifest:
        return self.api.get(kind, name, self.namespace).body


@pytest.mark.timeout(3600)
def test_rollbacks_past_rows_that_wait(cluster: Cluster, api: Api, tmp_path: Path) -> None:
    draw, account = random.Random(RUNS), install_account(cluster, tmp_path)  # noqa: S311
    with contextlib.ExitStack() as until_end:
        benches = [Bench(each, api, cluster, until_end.enter_context(fresh_namespace(api, "rolled"))) for each in CONDITIONS]
        until_end.enter_context(Operator(account, tmp_path, [bench.namespace for bench in benches]))
        for bench in benches:
            until_end.callback(bench.end)
            bench.prepare()
        for bench in [each for _ in range(RUNS) for each in draw.sample(benches, len(benches))]:
            bench.roll_back()
    lines, worst = report(benches)
    FIGURES.note(*lines)
    assert RUNS < RUNS_OF_A_VERDICT or worst <= RATIO_MOST


def report(benches: list[Bench]) -> tuple[list[str], float]:
    """Returns the figures, and the largest ratio of medians."""
    medians = {bench.condition.name: median(bench.seconds) for bench in benches}
    lines, worst = [f"first byte of an emergency rollback until the template is changed, {RUNS} of each, in ms"], 0.0
    lines.append(f"{'':30s}{'p50':>8s}{'p95':>8s}{'most':>8s}{'ratio of p50':>14s}")
    for bench in benches:
        seconds, beside = bench.seconds, bench.condition.beside
        ratio = medians[bench.condition.name] / medians[beside] if beside else 0.0
        worst = max(worst, ratio)
        p95 = quantiles(seconds, n=20, method="inclusive")[-1] if len(seconds) > 1 else seconds[0]
        figures = "".join(f"{each * 1000:8.0f}" for each in (median(seconds), p95, max(seconds)))
        lines.append(f"{bench.condition.name:30s}{figures}" + (f"{ratio:14.2f}" if beside else ""))
    return lines, worst
