"""The operator's requests, counted by the API server's audit log. Events and the Lease are counted apart."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dynamiq_operator.kube.resources import GUARDS
from local.clusters import Cluster
from tests.support import factories as given
from tests.support.api import Api, Manifest
from tests.support.faults import audit, deploys, operators
from tests.support.faults.audit import Audit, Request
from tests.support.history_stage import in_full
from tests.support.operator import install_rights
from tests.support.waiting import eventually

WRITES_MOST = {"first deploy": 10, "new flow": 8, "known flow": 7}
"""The most writes of each deploy, without Events."""
APPS, LOOKS = (50, 20) if in_full() else (8, 4)
RESYNC_EVERY = 3.0
"""Seconds between two Apps whose Access Keys the operator checks by itself, as docs/apps-details.md says."""


@pytest.fixture(scope="module", autouse=True)
def rights(cluster: Cluster) -> None:
    install_rights(cluster)


@pytest.fixture
def an_operator(cluster: Cluster, api: Api, namespace: str, tmp_path: Path) -> Iterator[None]:
    """Runs an operator for this test's namespace."""
    operators.allow_leases(api, namespace)
    with operators.proxied(cluster, api) as proxy, operators.running(proxy.url, namespace, tmp_path):
        yield


def test_a_first_deploy_a_new_flow_and_a_known_flow(cluster: Cluster, api: Api, namespace: str, an_operator: None) -> None:
    deploys.prepare(api, namespace)
    eventually("the operator has seen the App", lambda: _is_seen(api.get("App", given.NAME, namespace).body))
    deploys.until_calm(Audit(cluster, namespace).count_writes, audit.CALM)
    for what, row in (("first deploy", "a"), ("new flow", "b"), ("known flow", "c")):
        requests = audit.counted(cluster, namespace, lambda row=row: _deploy(api, namespace, row))  # type: ignore[misc]
        print(audit.table(what, requests))
        assert 0 < sum(request.is_write for request in requests) <= WRITES_MOST[what]
        assert what != "known flow" or not [request for request in requests if request.verb == "list"]
        assert not _about_guards(requests), "no policy, no verify: nothing is asked that was not asked before there were any"


@pytest.mark.full_count
def test_apps_at_rest_are_not_written_and_looked_at_one_after_the_other(
    cluster: Cluster, api: Api, namespace: str, an_operator: None
) -> None:
    names = [f"{given.NAME}-{number}" for number in range(APPS)]
    deploys.prepare(api, namespace, name=names[0], versions=("v1",))
    for name in names:
        deploys.create_app(api, namespace, name)
        deploys.create_row(api, namespace, f"{name}-a", app=name, workflowVersion="v1")

    def all_are_ready() -> bool:
        apps = api.get("App", "", namespace).body["items"]
        return sum(_is_ready(app) for app in apps) == APPS

    eventually("all Apps are Ready", all_are_ready, every=1)
    deploys.until_calm(Audit(cluster, namespace).count_writes, audit.CALM)
    at_rest, began = Audit(cluster, namespace), time.monotonic()
    eventually("the operator has looked at some", lambda: sum(request.resource == "secrets" for request in at_rest.requests()) >= LOOKS)
    requests, took = at_rest.requests(), time.monotonic() - began
    print(audit.table(f"{APPS} Apps at rest for {took:.0f} s", requests))
    assert [request for request in requests if request.is_write or request.is_event] == []
    sent = [request.what for request in requests if not request.is_lease and request.verb != "watch"]
    # The first one may have been requested earlier and answered late.
    assert len(sent) <= took / RESYNC_EVERY + 2, sent


def _deploy(api: Api, namespace: str, row: str) -> None:
    """Deploys a row, and waits until every status and Event of it is written."""
    # An operator that writes nothing for some seconds may still have work.
    deploys.deploy(api, namespace, row)
    names = list(deploys.ROWS)
    phases = {name: "Live" if name == row else "Superseded" for name in names[: names.index(row) + 1]}
    eventually("all is told", lambda: deploys.is_settled(api, namespace, phases))


def _about_guards(requests: list[Request]) -> list[Request]:
    """Returns the requests about guards, without watches, which start and end at any time."""
    plurals = {resource.plural for resource in GUARDS}
    return [request for request in requests if request.resource in plurals and request.verb != "watch"]


def _is_seen(app: Manifest) -> bool:
    return bool(app.get("status", {}).get("observedGeneration") == app["metadata"]["generation"])


def _is_ready(app: Manifest) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in app["status"].get("conditions", ()))
