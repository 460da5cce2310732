"""Measures how long one tenant waits for its deploys while another tenant has very many waiting rows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dynamiq_operator.kube.resources import ROWS
from dynamiq_operator.model import kinds
from local.clusters import Cluster
from tests.support import factories as given
from tests.support import history_stage
from tests.support.history_stage import APP, HistoryStage
from tests.support.operator import Operator, install_account
from tests.support.swarm import Request, shared, swarm
from tests.support.waiting import eventually

APPS = 4
"""Apps of the busy tenant, which share its rows."""
POLL = 0.02


@dataclass(frozen=True)
class Waits:
    """Seconds of each deploy of the quiet tenant, in order. `left`: open rows of the busy tenant at the last one."""

    beside_none: list[float]
    beside_many: list[float]
    left: int
    renewed: bool

    @property
    def ratio(self) -> float:
        return p95(self.beside_many) / p95(self.beside_none)

    def said(self) -> str:
        return (
            f"request to Live beside none: p50 {p50(self.beside_none):.2f} s, p95 {p95(self.beside_none):.2f} s; beside the busy tenant: "
            f"p50 {p50(self.beside_many):.2f} s, p95 {p95(self.beside_many):.2f} s; ratio of p95 {self.ratio:.2f}; "
            f"{self.left} rows of the busy one are left"
        )


def measure(cluster: Cluster, folder: Path, rows: int, samples: int, say: Callable[[str], None]) -> Waits:
    """Measures the quiet tenant's waits. All rows exist before the operator starts: the API server's speed is not measured."""
    account = install_account(cluster, folder)
    with history_stage.stage(cluster, "busy") as busy, history_stage.stage(cluster, "quiet") as quiet:
        operator = Operator(account, folder, [busy.namespace, quiet.namespace])
        quiet.create(quiet.manifest(given.public()))
        for number in range(APPS):
            busy.app(f"busy-{number}", given.public(), workflow=APP)
        with operator:
            quiet.live(APP, "v1", runtime=quiet.default_runtime)
            before = [_deploy(quiet, number) for number in range(samples)]
        began = time.monotonic()
        asyncio.run(_fill(cluster, busy, rows))
        say(f"{rows} rows of {APPS} Apps made in {time.monotonic() - began:.0f} s, while no operator runs")
        with operator:
            eventually("the operator is at them", lambda: _ended(busy) > 0)
            beside = [_deploy(quiet, number) for number in range(samples)]
            remaining = rows - _ended(busy)
            log = operator.log.read_text()
            renewed = "could not be renewed for" not in log and "the lease is held by" not in log
    waits = Waits(before, beside, remaining, renewed)
    say(waits.said())
    return waits


def p50(seconds: list[float]) -> float:
    return sorted(seconds)[len(seconds) // 2]


def p95(seconds: list[float]) -> float:
    return sorted(seconds)[min(int(len(seconds) * 0.95), len(seconds) - 1)]


def _deploy(stage: HistoryStage, number: int) -> float:
    """Deploys another version than before, so pods are replaced; returns the seconds."""
    began = time.monotonic()
    row = stage.deploy(APP, f"v{number % 3 + 2}")
    while stage.row(row).get("status", {}).get("phase") != "Live":
        assert time.monotonic() - began < history_stage.SETTLED_WITHIN, f"row {row} is not live"
        time.sleep(POLL)
    return time.monotonic() - began


def _ended(stage: HistoryStage) -> int:
    """Rows of the namespace that are closed, by a list of metadata alone."""
    closed = stage.api.get(kinds.ROW.kind, "", stage.namespace, fieldSelector="status.phase=Superseded")
    return len(closed.body["items"])


async def _fill(cluster: Cluster, stage: HistoryStage, rows: int) -> None:
    async with swarm(cluster) as sending:

        async def one(_: int, number: int) -> None:
            app = f"busy-{number % APPS}"
            spec = given.asking(workflowVersion=f"v{number % 4 + 1}", runtime=stage.default_runtime)
            row = given.row_manifest(f"{app}-{number}", given.in_namespace(stage.namespace), given.of_app(app), spec)
            answer = await sending.send(Request("POST", ROWS.path(stage.namespace), row))
            assert answer.ok, answer.message

        await shared(range(rows), one)
