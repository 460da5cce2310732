"""How many requests the operator makes, by the API server's audit log: Events and the Lease are counted apart."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dynamiq_operator.kube.resources import GUARDS
from local.clusters import Cluster
from tests.support import factories as given
from tests.support.api import Api, Manifest
from tests.support.faults import audit, deploys, operators
from tests.support.faults.audit import Audit, Request
from tests.support.operator import install_rights
from tests.support.waiting import eventually

WRITES_MOST = {"first deploy": 10, "new flow": 8, "known flow": 7}
"""Events apart."""
APPS = 50
AT_REST = 60.0 if os.environ.get("SOAK") else 20.0
"""Seconds: each App is reconciled every 3."""


@pytest.fixture(scope="module", autouse=True)
def rights(cluster: Cluster) -> None:
    install_rights(cluster)


@pytest.fixture
def an_operator(cluster: Cluster, api: Api, namespace: str, tmp_path: Path) -> Iterator[None]:
    """An operator for this test's namespace."""
    operators.allow_leases(api, namespace)
    with operators.proxied(cluster, api) as proxy, operators.running(proxy.url, namespace, tmp_path):
        yield


@pytest.mark.parametrize("asked", [{"workflowVersion": "v1"}, {"restores": "a"}], ids=["by version", "by restores"])
def test_a_redeploy_of_a_known_flow(cluster: Cluster, api: Api, namespace: str, an_operator: None, asked: dict[str, Any]) -> None:
    deploys.prepare(api, namespace)
    deploys.deploy(api, namespace, "a", "b")
    deploys.until_calm(Audit(cluster, namespace).count_writes, audit.CALM)

    def redeploy() -> None:
        deploys.create_row(api, namespace, "c", **asked)
        eventually("all is told", lambda: deploys.is_settled(api, namespace), deploys.END_WITHIN)

    requests = audit.counted(cluster, namespace, redeploy)
    print(audit.table(f"a redeploy of a known flow, {asked}", requests))
    assert 0 < sum(request.is_write for request in requests) <= WRITES_MOST["known flow"]
    assert not [request for request in requests if request.verb == "list"]
    assert not _about_guards(requests), "no policy, no verify: nothing is asked that was not asked before there were any"


@pytest.mark.full_count
def test_a_first_deploy_and_a_redeploy_of_a_new_flow(cluster: Cluster, api: Api, namespace: str, an_operator: None) -> None:
    deploys.prepare(api, namespace)
    deploys.until_calm(Audit(cluster, namespace).count_writes, audit.CALM)
    for what, row in (("first deploy", "a"), ("new flow", "b")):
        requests = audit.counted(cluster, namespace, lambda row=row: deploys.deploy(api, namespace, row))  # type: ignore[misc]
        print(audit.table(what, requests))
        assert 0 < sum(request.is_write for request in requests) <= WRITES_MOST[what]
        assert not _about_guards(requests)


def test_apps_at_rest_are_not_written(cluster: Cluster, api: Api, namespace: str, an_operator: None) -> None:
    names = [f"{given.NAME}-{number}" for number in range(APPS)]
    deploys.prepare(api, namespace, name=names[0], versions=("v1",))
    for name in names:
        deploys.create_app(api, namespace, name)
        deploys.create_row(api, namespace, f"{name}-a", app=name, workflowVersion="v1")

    def all_are_ready() -> bool:
        apps = api.get("App", "", namespace).body["items"]
        return sum(_is_ready(app) for app in apps) == APPS

    eventually("all Apps are Ready", all_are_ready, 120, every=1)
    deploys.until_calm(Audit(cluster, namespace).count_writes, audit.CALM)
    at_rest = Audit(cluster, namespace)
    time.sleep(AT_REST)  # nothing is waited for: that nothing happens is the test
    requests = at_rest.requests()
    print(audit.table(f"{APPS} Apps at rest for {AT_REST:.0f} s", requests))
    assert [request for request in requests if request.is_write or request.is_event] == []
    assert [request for request in requests if request.is_lease], "the operator did not live"


def _about_guards(requests: list[Request]) -> list[Request]:
    """But for watches, which are there in any case, and end and begin at their own times; nothing asks whether Approvals are stamped either."""
    plurals = {resource.plural for resource in GUARDS}
    return [request for request in requests if request.resource in plurals and request.verb != "watch"]


def _is_ready(app: Manifest) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in app["status"].get("conditions", ()))
