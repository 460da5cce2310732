"""Tests a deployment's pods in the management API, with a kubelet that has logs: what a page shows of a failing rollout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dynamiq_operator.model import kinds
from local.clusters import Cluster
from tests.support import rest
from tests.support.operator import install_rights
from tests.support.rest import Client, problem
from tests.support.stage import ONE_POD, Stage, operator, stage
from tests.support.waiting import eventually

APP = "logged"


@dataclass(frozen=True)
class Place:
    """An App that serves v1 with one pod, and the user who deploys it."""

    on: Stage
    deployer: Client
    app: str

    def rows(self) -> list[Any]:
        rows: list[Any] = self.deployer.get(f"/v1/apps/{self.app}/deployments")
        return rows

    def pods(self, row: str) -> list[Any]:
        pods: list[Any] = self.deployer.get(f"/v1/apps/{self.app}/deployments/{row}/pods")
        return pods

    def logs(self, row: str, pod: str, query: str = "") -> Any:
        return self.deployer.get(f"/v1/apps/{self.app}/deployments/{row}/pods/{pod}/logs{query}")


@pytest.fixture
def place(cluster: Cluster, tmp_path: Path) -> Iterator[Place]:
    install_rights(cluster)
    kubeconfig = rest.install(cluster, tmp_path)
    with stage(cluster, "rest pods") as on:
        on.release("v1", "v2")
        on.app(APP)
        with operator(on, folder=tmp_path), rest.serving(kubeconfig, tmp_path) as url:
            on.live(APP, "v1", runtime=on.runtime("fast"), config=ONE_POD)
            deployer = rest.client(on.api, url, on.namespace, "deployer", "dynamiq-deployer")
            app = rest.uid(on.api, kinds.APP.kind, APP, on.namespace)
            eventually("the deployer's rights apply", lambda: deployer("GET", f"/v1/apps/{app}").status_code == 200)
            yield Place(on, deployer, app)


def test_the_log_of_a_pod_that_serves_and_why_another_does_not(place: Place) -> None:
    (live,) = place.rows()

    def told_of() -> Any:
        """Returns the pod, once the events of the kubelet and of Kubernetes' controllers are complete."""
        (pod_of_row,) = place.pods(live["id"])
        return (
            pod_of_row if pod_of_row["is_serving"] and {"Pulled", "Started"} <= {each["reason"] for each in pod_of_row["events"]} else None
        )

    pod = eventually("all is told of the pod", told_of)
    assert (pod["ready"], pod["phase"]) == (True, "Running")
    serving_log = place.logs(live["id"], pod["name"])
    assert serving_log["lines"]
    assert (
        serving_log["lines"]
        == place.on.kubectl("logs", pod["name"], namespace=place.on.namespace).stdout.splitlines()[-len(serving_log["lines"]) :]
    )
    assert len(place.logs(live["id"], pod["name"], "?lines=1")["lines"]) == 1
    assert "not found" in place.logs(live["id"], pod["name"], "?previous=true")["message"], "it was never started again"

    missing = place.on.runtime("missing", image="127.0.0.1:1/missing:1")
    place.on.deploy(APP, "v2", runtime=missing)
    newest = eventually("the row is there", lambda: next((row for row in place.rows() if row["id"] != live["id"]), None))

    def explained() -> Any:
        """Returns the pod, once its message and the kubelet's events explain why it does not start."""
        for each in place.pods(newest["id"]):
            if "cannot be pulled" in (each["message"] or "") and "Failed" in {event["reason"] for event in each["events"]}:
                return each
        return None

    waiting = eventually("its pod says why it does not start", explained)
    assert (waiting["ready"], waiting["is_serving"]) == (False, False)
    waiting_log = place.logs(newest["id"], waiting["name"])
    assert (waiting_log["lines"], "waiting to start" in waiting_log["message"]) == ([], True)
    assert [each["name"] for each in place.pods(live["id"])] == [pod["name"]], "v1 still serves, by the pod that it had"
    problem(place.deployer("GET", f"/v1/apps/{place.app}/deployments/{newest['id']}/pods/{pod['name']}/logs"), 404, "has no pod")
