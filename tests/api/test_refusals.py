"""A cluster policy refuses writes for a while: the App shows the policy's message, and the operator retries until they are allowed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from dynamiq_operator.model import kinds
from dynamiq_operator.model.base import GROUP
from tests.support.api import Manifest
from tests.support.history_stage import APP, HistoryStage
from tests.support.operator import Operator
from tests.support.waiting import eventually

WORDS = "not on a Friday"
POLICY = "admissionregistration.k8s.io/v1"


@contextlib.contextmanager
def refused(stage: HistoryStage, group: str, resource: str, operation: str, expression: str = "false") -> Iterator[None]:
    """Installs a policy that refuses an operation on a resource of the stage's namespace until the block ends."""
    name = f"{stage.namespace}-{resource}"
    rule = {"apiGroups": [group], "apiVersions": ["*"], "operations": [operation], "resources": [resource]}
    policy: Manifest = {
        "apiVersion": POLICY,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": expression, "message": WORDS}],
        },
    }
    selector = {"matchLabels": {"kubernetes.io/metadata.name": stage.namespace}}
    binding: Manifest = {
        "apiVersion": POLICY,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": selector}},
    }
    stage.kubectl("apply", "-f", "-", input=[policy, binding])
    try:
        yield
    finally:
        stage.kubectl("delete", "validatingadmissionpolicybinding", name)
        stage.kubectl("delete", "validatingadmissionpolicy", name)


SERVICE: Manifest = {"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 80}]}}
WORKLOAD: Manifest = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "spec": {
        "selector": {"matchLabels": {"probe": "yes"}},
        "template": {"metadata": {"labels": {"probe": "yes"}}, "spec": {"containers": [{"name": "probe", "image": "registry.test/probe"}]}},
    },
}


def until_refused(stage: HistoryStage, kind: Manifest) -> None:
    """Waits until a policy works, a moment after its creation."""
    probe = {**kind, "metadata": {"name": "probe", "namespace": stage.namespace}}
    eventually("the policy refuses", lambda: WORDS in stage.api.create(probe, dry_run=True).message)


def message(stage: HistoryStage, type_: str, app: str = APP) -> str:
    found = stage.get(kinds.APP.kind, app).get("status", {}).get("conditions", ())
    return next((str(each["message"]) for each in found if each["type"] == type_), "")


@pytest.mark.timeout(900)
def test_a_temporary_refusal_blocks_nothing_else_and_is_made_up_for(stage: HistoryStage, operator: Operator) -> None:
    """A policy may allow later what it refuses now. A refusal by the API server's own validation would end the row at once."""
    with refused(stage, "", "services", "CREATE"):
        until_refused(stage, SERVICE)
        stage.create(stage.manifest())
        row = stage.deploy(APP, "v1", runtime=stage.default_runtime)
        eventually("the App says it with the policy's words", lambda: WORDS in message(stage, "ChildrenApplied"))
        eventually("the workload is there all the same", lambda: stage.find("Workload", APP))
        stage.until(row, "Live")
        assert stage.find("Service", APP) is None
    eventually("the Service is made by itself", lambda: stage.find("Service", APP))
    eventually("the App is Ready", lambda: stage.condition(APP, "Ready")["status"] == "True")
    with refused(stage, "apps", "deployments", "CREATE"):
        until_refused(stage, WORKLOAD)
        stage.app("other", workflow=APP)
        row = stage.deploy("other", "v1", runtime=stage.default_runtime)
        eventually("the App says it with the policy's words", lambda: WORDS in message(stage, "ChildrenApplied", "other"))
        assert stage.row(row)["status"]["phase"] == "Progressing"
    stage.until(row, "Live")


@pytest.mark.timeout(900)
def test_a_row_that_may_not_be_written_holds_up_no_row_after_it(stage: HistoryStage, operator: Operator) -> None:
    stage.create(stage.manifest())
    stage.live(APP, "v1", runtime=stage.default_runtime, row="first")
    stage.deploy("no-such-app", "v1", row="odd-probe")
    with refused(stage, GROUP, "deployments", "UPDATE", "!object.metadata.name.startsWith('odd')"):
        probed = stage.named(kinds.ROW.kind, "odd-probe")
        labels = ({"metadata": {"labels": {"probe": str(number)}}} for number in range(1000))
        eventually("the policy refuses", lambda: WORDS in stage.api.merge(probed, next(labels)).message)
        stage.deploy(APP, "v2", row="odd")
        eventually("the App says it with the policy's words", lambda: WORDS in message(stage, "ReconcileFailed"))
        stage.live(APP, "v3", row="past")
        assert "sequence" not in stage.row("odd")["spec"]
        eventually("the App says so", lambda: stage.served()["row"] == "past")
    stage.until("odd", "Failed")
    assert stage.served()["row"] == "past", "a row is not deployed over one that came after it"
    eventually("nothing is said of it any more", lambda: not message(stage, "ReconcileFailed"))
