"""How long a deploy takes with sinks that are late, fail or never answer, beside one with no sink: nothing of it waits for them."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import pytest

from local.clusters import Cluster
from tests.support import factories as given
from tests.support import history_stage, receivers
from tests.support.operator import install_account
from tests.support.telling import telling
from tests.support.waiting import eventually

DEPLOYS = 60
RATIO_MOST = 1.25
LIVE_WITHIN = 120.0


@pytest.mark.timeout(1800)
def test_a_deploy_waits_for_no_sink(cluster: Cluster, tmp_path: Path) -> None:
    account = install_account(cluster, tmp_path)
    medians = []
    for sinks in ((), receivers.ALL):
        with history_stage.stage(cluster, "told") as stage, telling(stage, account, tmp_path, sinks) as told:
            told.stage.app(given.NAME, given.public(), workflow=given.NAME)
            took = []
            for number in range(DEPLOYS):
                began, row = time.monotonic(), told.stage.deploy(given.NAME, ("v1", "v2")[number % 2], runtime=told.stage.default_runtime)
                eventually(f"{row} is live", lambda row=row: row in told.live(), LIVE_WITHIN, 0.01)  # type: ignore[misc]
                took.append(time.monotonic() - began)
            medians.append(statistics.median(took))
            found = ", ".join(f"p{share} {statistics.quantiles(took, n=100)[share - 1] * 1000:.0f} ms" for share in (50, 95))
            print(f"\n{DEPLOYS} deploys, told: {', '.join(sinks) or 'nobody'}: {found}")
    print(f"ratio of the medians: {medians[1] / medians[0]:.2f}")
    assert medians[1] / medians[0] < RATIO_MOST
