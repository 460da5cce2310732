"""The operator patches pods to announce new Access Keys to their kubelets. The API server refuses every other change to it."""

from __future__ import annotations

import copy

import pytest

from dynamiq_operator.model import names
from tests.support.admission import made, operator, refused
from tests.support.api import Api, Manifest
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("guarded")

NOTHING_ELSE = "only three annotations of a pod"


def a_pod(namespace: str, name: str = "one", **labels: str) -> Manifest:
    """Returns a restricted pod that is never scheduled."""
    container = {
        "name": "runtime",
        "image": "registry.test/runtime:1",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels, "annotations": {"theirs": "x"}},
        "spec": {
            "schedulingGates": [{"name": "example.com/never"}],
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
        },
    }


def create(api: Api, wanted: Manifest) -> Manifest:
    """Creates the pod once its namespace has the account of pods, which a controller makes within a second or two."""
    eventually("the pod is made", lambda: api.create(wanted).status in (201, 409))
    return made(api.read(wanted))


@pytest.fixture
def pod(api: Api, namespace: str) -> Manifest:
    return create(api, a_pod(namespace, **names.labels("chat")))


def test_the_operator_notes_which_keys_there_are(api: Api, pod: Manifest) -> None:
    for version in ("1", "2"):
        noted = made(
            operator(api).merge(pod, {"metadata": {"uid": pod["metadata"]["uid"], "annotations": {names.KEYS_ANNOTATION: version}}})
        )
        assert noted["metadata"]["annotations"] == {"theirs": "x", names.KEYS_ANNOTATION: version}


def test_the_operator_notes_that_a_service_has_left_a_pod_and_that_it_came_back(api: Api, pod: Manifest) -> None:
    for value, left in (("true", {names.STANDBY_ANNOTATION: "true"}), (None, {})):
        noted = made(operator(api).merge(pod, {"metadata": {"annotations": {names.STANDBY_ANNOTATION: value}}}))
        assert noted["metadata"]["annotations"] == {"theirs": "x"} | left


@pytest.mark.parametrize(
    "patch",
    [
        {"metadata": {"annotations": {"theirs": None}}},
        {"metadata": {"annotations": {"theirs": "y"}}},
        {"metadata": {"annotations": {names.KEYS_ANNOTATION: "1", "more": "x"}}},
        {"metadata": {"labels": {names.APP_LABEL: "other"}}},
        {"metadata": {"finalizers": ["example.com/for-ever"]}},
        {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "x"}]}},
    ],
    ids=["annotation removed", "annotation changed", "annotation added", "label", "finalizer", "owner"],
)
def test_it_changes_nothing_else(api: Api, pod: Manifest, patch: Manifest) -> None:
    refused(operator(api).merge(pod, patch), NOTHING_ELSE)
    made(api.merge(pod, patch, dry_run=True))  # whom it is no concern of


def test_it_changes_no_image(api: Api, pod: Manifest) -> None:
    replaced = copy.deepcopy(pod)
    replaced["spec"]["containers"][0]["image"] = "registry.test/other:1"
    refused(operator(api).replace(replaced), NOTHING_ELSE)
    made(api.replace(replaced, dry_run=True))


@pytest.mark.parametrize("labels", [{}, {names.APP_LABEL: "chat"}, {names.MANAGED_BY: names.FIELD_MANAGER}], ids=str)
def test_it_writes_no_pods_of_others(api: Api, namespace: str, labels: dict[str, str]) -> None:
    other = create(api, a_pod(namespace, **labels))
    noted = {"metadata": {"annotations": {names.KEYS_ANNOTATION: "1"}}}
    refused(operator(api).merge(other, noted), "only pods of Apps")
