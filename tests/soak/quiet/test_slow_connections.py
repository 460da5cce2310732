"""Opens 500 connections that are as slow as allowed, and measures the p95 of another caller; the log goes to docs/measured/rest-slow.txt."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.clusters import Cluster
from tests.soak.support import slow_connections as slow
from tests.support.measured import MEASURED, kept

LOG = MEASURED / "rest-slow.txt"
MANY, MOST = 500, 1.2


@pytest.mark.timeout(900)
def test_slow_connections_cost_no_other_caller_time(cluster: Cluster, tmp_path: Path) -> None:
    cost = slow.measure(cluster, tmp_path, MANY, 5 * slow.TAKES)
    with kept(LOG, beside_older=True) as say:
        for line in cost.lines(MANY, MOST):
            say(line)
    assert cost.ratio <= MOST
