"""Rights that the operator seldom uses: it reads the owner of a name in use, and keeps digests of keys at the gate.

`python -m tests.rights` counts a right as needed if its use was seen: without this module some uses would depend on chance.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from dynamiq_operator.model import kinds, names
from local.clusters import Cluster
from tests.support import gates
from tests.support.admission import made
from tests.support.api import Manifest
from tests.support.cluster import Kubectl
from tests.support.factories import NO_NODE_HAS, public, with_deadline, with_spec
from tests.support.history_stage import APP, HistoryStage
from tests.support.operator import Operator
from tests.support.waiting import eventually

OF_OTHERS: dict[str, Manifest] = {
    "Service": {"selector": {"app": "other"}, "ports": [{"port": 9}]},
    "Ingress": {"defaultBackend": {"service": {"name": "other", "port": {"number": 9}}}},
    "HorizontalPodAutoscaler": {"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "other"}},
    "PodDisruptionBudget": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "other"}}},
    "NetworkPolicy": {"podSelector": {}, "policyTypes": ["Ingress"]},
}
"""Kinds of children that have the App's own name, with the spec of another owner's object."""


def test_objects_of_others_under_an_apps_names_are_looked_at_and_left_alone(stage: HistoryStage, operator: Operator) -> None:
    """Each kind has its own App, so that a missing child blocks none of the others."""
    apps = {kind: f"{APP}-{kind.lower()[:12]}" for kind in OF_OTHERS}
    theirs = {kind: stage.create({**stage.named(kind, app), "spec": OF_OTHERS[kind]})["metadata"]["uid"] for kind, app in apps.items()}
    for app in apps.values():
        stage.app(app, public(), with_spec(hostname=f"{app}.{stage.namespace}.example.test", network={"ingressFrom": []}), workflow=APP)
        stage.deploy(app, "v1", runtime=stage.default_runtime)
    for kind, app in apps.items():
        message = stage.until_condition(app, "ChildrenApplied", "False", reason="NameTaken")["message"]
        assert f"{kind} {app} exists and is not this App's" in message
    found = {kind: stage.get(kind, app) for kind, app in apps.items()}
    assert {kind: each["metadata"]["uid"] for kind, each in found.items()} == theirs
    assert not any(entry["manager"] == names.FIELD_MANAGER for each in found.values() for entry in each["metadata"]["managedFields"])


def test_a_first_deploy_that_fails_takes_away_what_was_made_for_it_and_keeps_the_service(stage: HistoryStage, operator: Operator) -> None:
    stage.app(APP, public(), with_deadline(600), workflow=APP)
    row = stage.deploy(APP, "v1", runtime=stage.default_runtime, config={"resources": NO_NODE_HAS})
    of_row = ("Workload", "HorizontalPodAutoscaler", "PodDisruptionBudget")
    eventually("all is made that the row needs", lambda: all(stage.find(kind, APP) for kind in of_row))
    stage.change(kinds.APP.kind, APP, spec={"rollout": {"progressDeadlineSeconds": 10}})  # not before it was seen there
    stage.until(row, "Failed")
    eventually("it is gone", lambda: not any(stage.find(kind, APP) for kind in of_row))
    assert stage.get("Service", APP)


@pytest.fixture
def at_the_gate(cluster: Cluster, stage: HistoryStage) -> Iterator[None]:
    """Installs a gate as far as the operator sees it: its namespace, the right to it, and a slice with a ready pod."""
    gates.install_rights(cluster)
    right = (gates.MANIFESTS / "operator.yaml").read_text()
    Kubectl(cluster)("apply", "--server-side", "--force-conflicts", "-f", "-", input=right, namespace=names.GATE_NAMESPACE)
    labels = {
        names.SERVICE_OF_SLICE_LABEL: names.GATE_SERVICE,
        names.SLICE_MANAGER_LABEL: "tests",
        names.ENDPOINTS_LABEL: names.WATCHED_ENDPOINTS,
    }
    target = {"kind": "Pod", "namespace": names.GATE_NAMESPACE, "name": "gate-a", "uid": "uid-a"}
    ready: dict[str, Any] = {"addresses": ["10.9.0.9"], "conditions": {"ready": True}, "targetRef": target}
    manifest: Manifest = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "dynamiq-gate-with-keys", "namespace": names.GATE_NAMESPACE, "labels": labels},
        "addressType": "IPv4",
        "ports": [],
        "endpoints": [ready],
    }
    made(stage.api.apply(manifest))
    yield
    made(stage.api.delete(manifest))


def test_digests_of_the_keys_of_a_private_app_that_may_sleep_follow_them_and_go_with_it(
    stage: HistoryStage, at_the_gate: None, operator: Operator
) -> None:
    def digests() -> int:
        """Returns the number of keys that the gate knows; 0 if the App has no Secret there."""
        answer = stage.api.get("Secret", names.gate_keys(stage.namespace, APP), names.GATE_NAMESPACE)
        return len(base64.b64decode(answer.body["data"]["digests"]).split()) if answer.ok else 0

    operator.restart()  # it sees that there is a gate
    stage.app(APP, workflow=APP)
    stage.live(APP, "v1", runtime=stage.default_runtime, config={"type": "serverless"})
    eventually("the gate knows its key", lambda: digests() == 1)
    second = base64.b64encode(b"a second key, of twenty letters and more").decode()
    stage.change("Secret", names.access_keys(APP), data={"second": second})
    eventually("the gate knows the second one, too", lambda: digests() == 2)
    stage.delete(kinds.APP.kind, APP)
    eventually("the App is gone", lambda: stage.find(kinds.APP.kind, APP) is None)
    operator.restart()  # it looks through them at its start, and then once a minute
    eventually("nothing is left of them", lambda: digests() == 0)
