"""Counts the operator's requests for a deploy, for a redeploy and at rest, and times a redeploy, by the API server's audit log."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from dynamiq_operator.model.base import GROUP
from local.clusters import Cluster
from tests.support import factories as given
from tests.support.api import Api
from tests.support.faults import audit, deploys, operators
from tests.support.faults.audit import Audit, Request
from tests.support.operator import install_rights
from tests.support.waiting import eventually

APPS = 20
AT_REST = 30.0  # seconds
TIMED = 30
COLUMNS: dict[str, Callable[[Request], bool]] = {
    "writes": lambda request: request.is_write,
    "Events": lambda request: request.is_event,
    "GETs": lambda request: request.verb == "get" and not request.is_lease,
    "LISTs": lambda request: request.verb == "list",
}


@pytest.mark.timeout(600)
def test_requests_by_kind(cluster: Cluster, api: Api, namespace: str, tmp_path: Path) -> None:
    install_rights(cluster)
    operators.allow_leases(api, namespace)
    deploys.prepare(api, namespace)
    measured: dict[str, list[Request]] = {}
    with operators.proxied(cluster, api) as proxy, operators.running(proxy.url, namespace, tmp_path):
        deploys.until_calm(Audit(cluster, namespace).count_writes, audit.CALM)

        def measure(title: str, name: str, **fields: Any) -> None:
            measured[title] = audit.counted(cluster, namespace, lambda: _deploy(api, namespace, name, **fields))

        measure("first deploy", "a", workflowVersion="v1")
        measure("redeploy, a new flow", "b", workflowVersion="v2")
        measure("redeploy, a known flow", "c", workflowVersion="v1")
        measure("rollback by restores", "d", restores="b")
        measure("only the scaling", "e", workflowVersion="v2", config={"autoscaling": {"maxReplicas": 5}})
        seconds = [_seconds_to_live(cluster, api, namespace, f"timed-{number}", f"v{number % 2 + 1}") for number in range(TIMED)]
        at_rest = _at_rest(cluster, api, namespace)
    for title, requests in measured.items():
        print(audit.table(title, requests))
    print(f"\n{'requests, the Lease apart':40s}" + "".join(f"{column:>10s}" for column in COLUMNS))
    for title, requests in measured.items():
        print(f"{title:40s}" + "".join(f"{sum(map(is_it, requests)):10d}" for is_it in COLUMNS.values()))
    print(
        f"{TIMED} redeploys, first byte until it is written that they succeeded: p50 {median(seconds):.2f} s, at most {max(seconds):.2f} s"
    )
    per = 60 / AT_REST / APPS
    print(f"{'at rest, for each App a minute':40s}" + "".join(f"{sum(map(is_it, at_rest)) * per:10.1f}" for is_it in COLUMNS.values()))
    lease = Counter(request.verb for request in at_rest if request.is_lease)
    print("the Lease, a minute: " + ", ".join(f"{count * 60 / AT_REST:.0f} {verb}" for verb, count in sorted(lease.items())))
    assert not any(request.is_write for request in at_rest)


def _deploy(api: Api, namespace: str, name: str, **fields: Any) -> None:
    deploys.create_row(api, namespace, name, **fields)
    eventually(f"row {name} is Live", lambda: deploys.phase(api, namespace, name) == "Live", deploys.END_WITHIN)


def _seconds_to_live(cluster: Cluster, api: Api, namespace: str, name: str, version: str) -> float:
    audited = Audit(cluster, namespace)
    _deploy(api, namespace, name, workflowVersion=version)
    writes = audited.writes("deployments", name, group=GROUP)
    (received,) = [each.received for each in writes if each.verb == "create"]
    ended = max(each.answered for each in writes if each.verb == "patch")  # its outcome is its last write
    return ended - received


def _at_rest(cluster: Cluster, api: Api, namespace: str) -> list[Request]:
    for number in range(1, APPS):
        name = f"{given.NAME}-{number}"
        deploys.create_app(api, namespace, name)
        _deploy_app(api, namespace, name)
    eventually("all are Live", lambda: _live(api, namespace) == APPS, deploys.END_WITHIN, 0.5)
    deploys.until_calm(Audit(cluster, namespace).count_writes, audit.CALM)
    audited = Audit(cluster, namespace)
    time.sleep(AT_REST)  # the requests in this time are the figure
    return audited.requests()


def _deploy_app(api: Api, namespace: str, app: str) -> None:
    deploys.create_row(api, namespace, f"{app}-a", app=app, workflowVersion="v1")


def _live(api: Api, namespace: str) -> int:
    return len(api.get("Deployment", "", namespace, fieldSelector="status.phase=Live").body["items"])
