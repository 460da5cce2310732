"""What the operator costs at rest does not grow with the number of Apps; tests/soak/quiet/test_capacity.py has the figures of a thousand."""

from __future__ import annotations

import time

from local.clusters import Cluster
from tests.support.faults import deploys
from tests.support.faults.audit import CALM, Audit
from tests.support.history_stage import HistoryStage
from tests.support.operator import Operator
from tests.support.waiting import eventually

APPS = 30
WATCHED_FOR = 15.0
RESYNC_EVERY = 3.0
"""Seconds between two Apps of which the operator looks at the Access Keys unasked, as docs/apps.md says."""


def test_many_apps_at_rest_ask_for_no_more_than_a_few(stage: HistoryStage, cluster: Cluster, operator: Operator) -> None:
    names = [f"app-{number}" for number in range(APPS)]
    for name in names:
        stage.app(name)
    eventually("all are seen", lambda: all(stage.seen(name) for name in names), every=1)
    audit = Audit(cluster, stage.namespace)
    deploys.until_calm(audit.count_writes, CALM)
    began, audit = time.monotonic(), Audit(cluster, stage.namespace)
    time.sleep(WATCHED_FOR)  # what is asked in this time is the figure
    asked = [request.what for request in audit.requests() if request.resource not in ("leases",) and request.verb != "watch"]
    assert len(asked) <= (time.monotonic() - began) / RESYNC_EVERY + 1, asked
