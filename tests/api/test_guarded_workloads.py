"""Only the operator and restorers may write the notes of what was applied to a workload, under any field manager.

Users may change the rest.
"""

from __future__ import annotations

import pytest

from dynamiq_operator.model import names
from local.clusters import Cluster
from tests.support import velero
from tests.support.admission import SHARED_CONTROLLER, admin, made, operator, refused
from tests.support.api import Answer, Api, Manifest
from tests.support.cluster import Kubectl
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("guarded")

TEMPLATE, ROW = names.APPLIED_TEMPLATE_ANNOTATION, names.TEMPLATE_ROW_ANNOTATION
GENUINE = {TEMPLATE: '{"inputs": "genuine"}', ROW: "1"}
FORGED = {TEMPLATE: '{"inputs": "forged"}', ROW: "2"}
ADDED_BY_CONTROLLERS = "deployment.kubernetes.io/revision"


def workload(namespace: str, *, notes: Manifest | None = None, labels: Manifest | None = None) -> Manifest:
    selector = names.pod_selector("chat")
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "chat",
            "namespace": namespace,
            "labels": names.labels("chat") if labels is None else labels,
            "annotations": notes or {},
        },
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": selector},
            "template": {
                "metadata": {"labels": selector},
                "spec": {"containers": [{"name": "runtime", "image": "registry.test/runtime:1"}]},
            },
        },
    }


def noting(api: Api, found: Manifest, notes: Manifest, subresource: str = "") -> Answer:
    return api.merge(found, {"metadata": {"annotations": notes}}, subresource=subresource)


@pytest.fixture
def applied(api: Api, namespace: str) -> Manifest:
    """Returns a workload as the operator applied it."""
    return made(operator(api).apply(workload(namespace, notes=GENUINE), manager=names.FIELD_MANAGER))


def notes_of(api: Api, found: Manifest) -> Manifest:
    annotations = made(api.read(found))["metadata"].get("annotations") or {}
    return {name: value for name, value in annotations.items() if name in (TEMPLATE, ROW)}


def test_the_operator_notes_what_it_applied(api: Api, namespace: str, applied: Manifest) -> None:
    made(operator(api).apply(workload(namespace, notes=FORGED), manager=names.FIELD_MANAGER))
    assert notes_of(api, applied) == FORGED


@pytest.mark.parametrize("user", ["eve", SHARED_CONTROLLER, "system:serviceaccount:kube-system:deployment-controller"])
@pytest.mark.parametrize("name", [TEMPLATE, ROW])
def test_no_other_user_writes_notes(api: Api, namespace: str, applied: Manifest, name: str, user: str) -> None:
    they, notes = admin(api, user), {**GENUINE, name: FORGED[name]}
    refused(they.apply(workload(namespace, notes=notes), manager=names.FIELD_MANAGER), f"the operator, not {user}, notes on a workload")
    refused(noting(they, applied, {name: FORGED[name]}), "leave the annotations")
    refused(noting(they, applied, {name: FORGED[name]}, subresource="/status"), "leave the annotations")
    refused(they.replace(workload(namespace, notes=notes)), "leave the annotations")
    assert notes_of(api, applied) == GENUINE


@pytest.mark.parametrize("name", [TEMPLATE, ROW])
@pytest.mark.parametrize("labels", [None, {}], ids=["of an App", "without labels, which could come later"])
def test_no_other_user_creates_a_workload_with_a_note(api: Api, namespace: str, name: str, labels: Manifest | None) -> None:
    notes = {name: FORGED[name]}
    refused(admin(api, "eve").create(workload(namespace, notes=notes, labels=labels)), "leave the annotations")
    found = made(admin(api, "eve").create(workload(namespace, labels=labels)))
    refused(noting(admin(api, "eve"), found, notes), "leave the annotations")


def test_a_note_that_was_taken_off_is_not_put_back(api: Api, applied: Manifest) -> None:
    """Without its note the applied state is unknown, as after an edit of the field managers."""
    made(noting(admin(api, "eve"), applied, {TEMPLATE: None, ROW: None}))
    refused(noting(admin(api, "eve"), applied, GENUINE), "leave the annotations")


def test_other_fields_of_a_workload_may_be_changed(api: Api, applied: Manifest) -> None:
    they = admin(api, "eve")
    made(noting(they, applied, {"theirs": "x", names.GIVEN_UP_ANNOTATION: "1", **GENUINE}))
    made(they.merge(applied, {"metadata": {"labels": {names.APP_LABEL: None}}}))
    made(they.merge(applied, {"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}}}))
    made(they.merge(applied, {"spec": {"replicas": 1}}, subresource="/scale", dry_run=True))
    assert notes_of(api, applied) == GENUINE


def wait_for_revision(api: Api, found: Manifest, revision: str) -> None:
    def noted() -> bool:
        now = made(api.read(found))
        is_seen = now["status"].get("observedGeneration") == now["metadata"]["generation"]
        return bool(is_seen and now["metadata"]["annotations"].get(ADDED_BY_CONTROLLERS) == revision)

    eventually(f"the cluster's controllers have noted revision {revision} and the status", noted)


def test_the_clusters_controllers_work_on(api: Api, applied: Manifest) -> None:
    wait_for_revision(api, applied, "1")
    made(api.merge(applied, {"spec": {"template": {"metadata": {"annotations": {"theirs": "x"}}}}}))
    wait_for_revision(api, applied, "2")
    assert notes_of(api, applied) == GENUINE


def test_kubectl_rollout_undo_restores_no_former_note(cluster: Cluster, api: Api, namespace: str, applied: Manifest) -> None:
    """An undo would copy the annotations of an older ReplicaSet, which users may change."""
    wait_for_revision(api, applied, "1")
    newer = workload(namespace, notes={**GENUINE, ROW: "2"})
    newer["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.test/runtime:2"
    made(operator(api).apply(newer, manager=names.FIELD_MANAGER))
    wait_for_revision(api, applied, "2")
    done = Kubectl(cluster)("rollout", "undo", "deployment.apps/chat", namespace=namespace, check=False)
    assert done.returncode != 0
    assert "an older version comes back by kubectl dynamiq rollback" in done.stderr
    assert notes_of(api, applied) == {**GENUINE, ROW: "2"}


def test_restorers_restore_notes(cluster: Cluster, api: Api, namespace: str) -> None:
    victor = admin(api, velero.ACCOUNT)
    with velero.named(cluster, velero.ACCOUNT):
        eventually("this policy knows, too", lambda: victor.create(workload(namespace, notes=FORGED), dry_run=True).ok)
        found = made(victor.create(workload(namespace, notes=FORGED)))
        made(noting(victor, found, GENUINE))
    assert notes_of(api, found) == GENUINE
