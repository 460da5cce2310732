"""Starts the operator again at hundreds of Apps whose runs wait on an earlier version: it starts no pod, and writes nothing.

Pods are simulated, and a scripted journal says which runs are open. The result goes to docs/measured/waiting-apps.txt.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dynamiq_operator.desired.pin_labels import stored_digest
from local.clusters import Cluster
from tests.soak.support.at_once import CONNECTIONS
from tests.support import factories as given
from tests.support.api import Api, fresh_namespace
from tests.support.faults import deploys, operators
from tests.support.faults.audit import Audit, table
from tests.support.history_stage import counted
from tests.support.measured import Figures
from tests.support.operator import install_rights
from tests.support.scripted import HttpServer, Reply, Sent
from tests.support.stage import condition
from tests.support.waiting import eventually

APPS = int(os.environ.get("WAITING_APPS") or counted(500))
WITHIN = 1800.0
CALM = 30.0
"""Seconds without a write until an operator counts as idle that has just read hundreds of Apps."""
FIGURES = Figures("waiting-apps")
POLLS = 20.0  # seconds


class Journal:
    """The counts of open runs. Each change of `data` has another version."""

    def __init__(self) -> None:
        self._data: list[dict[str, Any]] = []
        self._version, self._changed, self.asked = 0, threading.Condition(), 0

    def say(self, data: list[dict[str, Any]]) -> None:
        with self._changed:
            self._data, self._version = data, self._version + 1
            self._changed.notify_all()

    def answer(self, sent: Sent) -> Reply:
        if sent.path != "/v1/open":
            return Reply(404)
        with self._changed:
            self._changed.wait_for(lambda: sent.query.get("after") != str(self._version), POLLS)
            self.asked += 1
            return Reply(body={"version": str(self._version), "data": self._data})


@pytest.mark.timeout(5400)
def test_an_operator_that_starts_again_leaves_waiting_runs_alone(cluster: Cluster, tmp_path: Path) -> None:
    api, journal = Api.of(cluster), Journal()
    install_rights(cluster)
    token = tmp_path / "token"
    token.write_text("of-the-operator")
    with fresh_namespace(api, "waiting") as namespace, HttpServer(journal.answer) as server:
        operators.allow_leases(api, namespace)
        login, flags = operators.Login.of(cluster, api), (f"--journal={server.url}", f"--journal-token-file={token}")
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
    since = "2026-11-24T12:00:00.000000Z"
    return [
        {
            "namespace": namespace,
            "app": row["spec"]["app"],
            "app_uid": uids[row["spec"]["app"]],
            "pins": stored_digest(row["spec"]["pinned"]),
            "waiting": 1,
            "questions": 1,
            "oldest": since,
            "waiting_since": since,
        }
        for row in firsts
    ]


def _finishing(api: Api, namespace: str) -> int:
    return sum(condition(app, "Finishing").get("status") == "True" for app in api.get("App", "", namespace).body["items"])


def _pods(api: Api, namespace: str) -> set[str]:
    return {pod["metadata"]["uid"] for pod in api.get("Pod", "", namespace).body["items"]}
