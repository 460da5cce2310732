"""Rolls back to standbys, under load through the gateway by hostname: no call fails, and no pod is created."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.clusters import Cluster
from local.gateway import Gateway
from tests.support.history_stage import SHARE
from tests.support.load import warm
from tests.support.load.operated import OPTIONS
from tests.support.stage import operator, stage

pytestmark = pytest.mark.long("many warm rollbacks; one rollback of each strategy: tests/node/test_no_call_fails.py")

ROLLBACKS = 200 // SHARE
RATE = 50
"""Calls a second of each of the two callers: enough for two busy cores. `tests/soak/quiet` has the full rate."""


@pytest.mark.timeout(900)
def test_a_rollback_to_the_standby_fails_no_call_loses_no_caller_and_creates_no_pod(cluster: Cluster, at: Gateway, tmp_path: Path) -> None:
    with stage(cluster, "warm") as on, operator(on, folder=tmp_path, options=OPTIONS):
        load = warm.roll_back_again_and_again(on, at, ROLLBACKS, RATE)
        print("\n" + "\n".join(warm.report(load, RATE)), flush=True)
        warm.require(load)
