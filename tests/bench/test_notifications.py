"""Compares deploys with sinks that are late, fail or never answer, to deploys without a sink: they take the same time."""

from __future__ import annotations

import contextlib
import statistics
import time
from pathlib import Path

import pytest

from local.clusters import Cluster
from tests.support import factories as given
from tests.support import history_stage, receivers
from tests.support.faults import operators
from tests.support.operator import install_account
from tests.support.telling import Telling, telling
from tests.support.waiting import eventually

DEPLOYS = 60
RATIO_MOST = 1.25
LIVE_WITHIN = 120.0


@pytest.mark.timeout(1800)
def test_a_deploy_waits_for_no_sink(cluster: Cluster, tmp_path: Path) -> None:
    """Two operators side by side, one with sinks, deploy in turn: other work on the machine affects both."""
    account = install_account(cluster, tmp_path)
    took: dict[tuple[str, ...], list[float]] = {(): [], receivers.ALL: []}
    with contextlib.ExitStack() as stack:
        by_sinks = {sinks: _told(stack, cluster, account, tmp_path, sinks) for sinks in took}
        for number in range(DEPLOYS):
            for sinks, times in took.items():
                times.append(_deploy(by_sinks[sinks], ("v1", "v2")[number % 2]))
    for sinks, times in took.items():
        percentiles = ", ".join(f"p{share} {statistics.quantiles(times, n=100)[share - 1] * 1000:.0f} ms" for share in (50, 95))
        print(f"\n{DEPLOYS} deploys, told: {', '.join(sinks) or 'nobody'}: {percentiles}")
    ratio = statistics.median(took[receivers.ALL]) / statistics.median(took[()])
    print(f"ratio of the medians: {ratio:.2f}")
    assert ratio < RATIO_MOST


def _told(stack: contextlib.ExitStack, cluster: Cluster, account: Path, folder: Path, sinks: tuple[str, ...]) -> Telling:
    stage = stack.enter_context(history_stage.stage(cluster, "told"))
    operators.allow_leases(stage.api, stage.namespace)
    started = stack.enter_context(telling(stage, account, folder, sinks, stage.namespace))
    started.stage.app(given.NAME, given.public(), workflow=given.NAME)
    return started


def _deploy(notifying: Telling, version: str) -> float:
    """Returns the seconds from the row's creation until it is live."""
    began, row = time.monotonic(), notifying.stage.deploy(given.NAME, version, runtime=notifying.stage.default_runtime)
    eventually(f"{row} is live", lambda: notifying.stage.served(given.NAME).get("row") == row, LIVE_WITHIN, 0.01)
    return time.monotonic() - began
