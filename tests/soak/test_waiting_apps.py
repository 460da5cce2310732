"""Starts the operator again at hundreds of Apps whose runs wait on an earlier version: it starts no pod, and writes nothing.

Pods are simulated, and a scripted journal says which runs are open. The result goes to docs/measured/waiting-apps.txt.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from local.clusters import Cluster
from tests.soak.support.at_once import CONNECTIONS
from tests.support import factories as given
from tests.support.api import Api, fresh_namespace
from tests.support.counting_journal import counting, one_run
from tests.support.faults import deploys, operators
from tests.support.faults.audit import Audit, table
from tests.support.history_stage import counted
from tests.support.measured import Figures
from tests.support.operator import install_rights
from tests.support.stage import condition
from tests.support.waiting import eventually

APPS = int(os.environ.get("WAITING_APPS") or counted(500))
WITHIN = 1800.0
CALM = 30.0
"""Seconds without a write until an operator counts as idle that has just read hundreds of Apps."""
FIGURES = Figures("waiting-apps")


@pytest.mark.timeout(5400)
def test_an_operator_that_starts_again_leaves_waiting_runs_alone(cluster: Cluster, tmp_path: Path) -> None:
    api = Api.of(cluster)
    install_rights(cluster)
    with fresh_namespace(api, "waiting") as namespace, counting(tmp_path) as (journal, flags):
        operators.allow_leases(api, namespace)
        login = operators.Login.of(cluster, api)
        with operators.running(login, namespace, tmp_path, *flags):
            _deploy(api, namespace)
            journal.say(_waiting(api, namespace))
            eventually(lambda: f"each App says so; {_finishing(api, namespace)} do", lambda: _finishing(api, namespace) == APPS, WITHIN, 1)
            deploys.until_calm(Audit(cluster, namespace).count_writes, CALM)
        before, audit, asked = _pods(api, namespace), Audit(cluster, namespace), journal.asked
        with operators.running(login, namespace, tmp_path, *flags):
            eventually("it knows the counts", lambda: journal.asked > asked)
            deploys.until_calm(audit.count_writes, CALM)
            requests, after = audit.requests(), _pods(api, namespace)
    writes = [each for each in requests if each.is_write]
    FIGURES.note(
        f"an operator starts again at {APPS} Apps with waiting runs of an earlier version (simulated pods): {len(writes)} writes, "
        f"{len(after - before)} pods started, {len(before - after)} ended"
    )
    assert not writes, table("the operator starts again", requests)
    assert after == before


def _deploy(api: Api, namespace: str) -> None:
    """Deploys v1 and then v2 of every App."""
    deploys.prepare(api, namespace)
    apps = [f"{given.NAME}-{number}" for number in range(APPS)]
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(lambda name: deploys.create_app(api, namespace, name), apps))
        for number, version in enumerate(("v1", "v2"), 1):
            list(pool.map(lambda name: deploys.create_row(api, namespace, f"{name}-{version}", app=name, workflowVersion=version), apps))  # noqa: B023
            eventually(f"{version} of all is live", lambda: _succeeded(api, namespace) == APPS * number, WITHIN, 1)  # noqa: B023


def _succeeded(api: Api, namespace: str) -> int:
    rows = api.get("Deployment", "", namespace).body["items"]
    return sum(row["spec"].get("outcome", {}).get("result") == "Succeeded" for row in rows)


def _waiting(api: Api, namespace: str) -> list[dict[str, Any]]:
    """Returns counts by which one run of the first version of each App waits for a person."""
    uids = {app["metadata"]["name"]: app["metadata"]["uid"] for app in api.get("App", "", namespace).body["items"]}
    firsts = [row for row in api.get("Deployment", "", namespace).body["items"] if row["spec"]["workflowVersion"] == "v1"]
    return [one_run(row, uids[row["spec"]["app"]], "waiting") for row in firsts]


def _finishing(api: Api, namespace: str) -> int:
    return sum(condition(app, "Finishing").get("status") == "True" for app in api.get("App", "", namespace).body["items"])


def _pods(api: Api, namespace: str) -> set[str]:
    return {pod["metadata"]["uid"] for pod in api.get("Pod", "", namespace).body["items"]}
