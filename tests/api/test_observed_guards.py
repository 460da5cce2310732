"""Policies, Approvals, Rejections and namespace labels are created, changed, deleted or unreadable: the effect on rows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from dynamiq_operator.kube.resources import DEPLOY_POLICIES
from dynamiq_operator.model import kinds
from local.clusters import Cluster
from tests.support import factories as given
from tests.support.admission import OPERATOR, admin, made
from tests.support.api import Manifest
from tests.support.guards import TIER, approval_manifest, policy_manifest, rejection_manifest
from tests.support.history_stage import APP, HistoryStage
from tests.support.operator import RBAC, Operator, install_rights
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("guarded")

ANNA, BO = "anna", "bo"
ONE = {"count": 1}


@pytest.fixture
def rules(stage: HistoryStage) -> Iterator[Rules]:
    with contextlib.closing(Rules(stage)) as those:
        yield those


class Rules:
    """The policies of a test, for this namespace alone. They are deleted after it."""

    def __init__(self, stage: HistoryStage) -> None:
        self._stage, self._made = stage, dict[str, Manifest]()

    def apply(self, name: str = "production", *, by: Manifest | None = None, **asked: Any) -> None:
        selector = {"matchLabels": {**(by or {}), "kubernetes.io/metadata.name": self._stage.namespace}}
        policy = policy_manifest(f"{self._stage.namespace}-{name}", selector=selector, **asked)
        self._made[name] = policy
        self._stage.kubectl("apply", "-f", "-", input=policy)

    def delete(self, name: str = "production") -> None:
        self._stage.kubectl("delete", DEPLOY_POLICIES.plural, self._made.pop(name)["metadata"]["name"])

    def close(self) -> None:
        for name in list(self._made):
            self.delete(name)


def guard_messages(stage: HistoryStage) -> list[str]:
    """Returns the messages of why a new deploy would wait now."""
    return [each["message"] for each in stage.get(kinds.APP.kind, APP).get("status", {}).get("guards", ())]


def ask(stage: HistoryStage, row: str, user: str = ANNA, **asked: Any) -> None:
    """Creates a row as a user with every right: it can only wait for rules."""
    made(admin(stage.api, user).create(given.row_manifest(row, given.in_namespace(stage.namespace), given.asking(**asked))))


def say(stage: HistoryStage, row: str, user: str = BO, purpose: str = "Approve") -> None:
    digest = stage.row(row)["spec"]["pinned"]["digest"]
    word = approval_manifest(f"{row}-{purpose.lower()}", row, given.in_namespace(stage.namespace), purpose=purpose, digest=digest)
    made(admin(stage.api, user).create(word))


def until_waiting(stage: HistoryStage, row: str, reason: str) -> str:
    """Waits until a row waits for this reason, and returns its message."""

    def seen() -> str | None:
        waits = stage.row(row)["status"].get("waits") or {}
        return waits["message"] if waits.get("reason") == reason else None

    return eventually(lambda: f"row {row} waits: {stage.lines()}", seen)


def test_a_row_waits_by_a_policy_and_is_deployed_once_it_is_approved_and_ends_by_a_rejection(
    stage: HistoryStage, operator: Operator, rules: Rules
) -> None:
    stage.app(APP, given.public(), workflow=APP)
    stage.live(APP, "v1", runtime=stage.default_runtime)
    rules.apply(approvals=ONE)
    eventually("the App says it before anybody asks", lambda: any("have to approve it" in message for message in guard_messages(stage)))
    ask(stage, "a", workflowVersion="v2")
    assert "Needs 1 approval" in until_waiting(stage, "a", "AwaitingApproval")
    say(stage, "a")
    stage.until("a", "Live")
    assert stage.row("a")["spec"]["released"]["by"] == [BO]
    ask(stage, "b", workflowVersion="v3")
    until_waiting(stage, "b", "AwaitingApproval")
    flow = stage.row("b")["spec"]["pinned"]["workflowHash"]
    made(admin(stage.api, BO).create(rejection_manifest("bad", "v3", given.in_namespace(stage.namespace), workflowHash=flow)))
    ended = eventually("it has ended", lambda: stage.row("b")["spec"].get("outcome"))
    assert (ended["result"], "loses invoices" in ended["reason"]) == ("Failed", True)


def test_a_policy_that_is_changed_or_deleted_and_a_label_that_changes_are_noticed_by_the_apps_concerned(
    stage: HistoryStage, operator: Operator, rules: Rules
) -> None:
    stage.app(APP, given.public(), workflow=APP)
    stage.live(APP, "v1", runtime=stage.default_runtime)
    rules.apply(by={TIER: "production"}, approvals=ONE)
    stage.quiet()
    assert guard_messages(stage) == [], "it selects another tier"
    namespace = ("label", "--overwrite", "namespace", stage.namespace)
    stage.kubectl(*namespace, f"{TIER}=production")
    eventually("the label counts", lambda: any("someone else would" in message for message in guard_messages(stage)))
    rules.apply(by={TIER: "production"}, approvals={"count": 2})
    eventually("the change counts", lambda: any("2 others would" in message for message in guard_messages(stage)))
    stage.kubectl(*namespace, f"{TIER}=test")
    eventually("the other label counts", lambda: guard_messages(stage) == [])
    rules.apply(approvals={"count": 3})
    eventually("the other selector counts", lambda: any("3 others would" in message for message in guard_messages(stage)))
    rules.delete()
    eventually("it is gone", lambda: guard_messages(stage) == [])
    stage.live(APP, "v2")


def may_list(stage: HistoryStage, plural: str) -> bool:
    """Returns True if the operator may list this resource."""
    command = ("auth", "can-i", "list", f"{plural}.{DEPLOY_POLICIES.group}", "-A", f"--as={OPERATOR}")
    return stage.kubectl(*command, check=False).stdout.strip() == "yes"


@contextlib.contextmanager
def without_right(cluster: Cluster, stage: HistoryStage, plural: str) -> Iterator[None]:
    """Removes the operator's right to list this resource while the block runs."""
    (role,) = (
        each
        for each in yaml.safe_load_all((RBAC / "operator.yaml").read_text())
        if each and (each["kind"], each["metadata"]["name"]) == ("ClusterRole", "dynamiq-operator")
    )
    for rule in role["rules"]:
        rule["resources"] = [each for each in rule["resources"] if each != plural]
    role["rules"] = [rule for rule in role["rules"] if rule["resources"]]
    stage.kubectl("replace", "-f", "-", input=role)
    try:
        eventually("the right is gone", lambda: not may_list(stage, plural))
        yield
    finally:
        install_rights(cluster)


def test_without_the_right_to_see_policies_rollbacks_go_on_and_deploys_wait_with_that_sentence(
    cluster: Cluster, stage: HistoryStage, operator: Operator
) -> None:
    stage.app(APP, given.public(), workflow=APP)
    first = stage.live(APP, "v1", runtime=stage.default_runtime)
    stage.live(APP, "v2")
    operator.stop()
    with without_right(cluster, stage, DEPLOY_POLICIES.plural):
        operator.start()
        ask(stage, "deploy", workflowVersion="v3")
        message = until_waiting(stage, "deploy", "GuardsUnknown")
        assert "DeployPolicies cannot be listed" in message
        assert "only rollbacks and bypasses are deployed" in message
        ask(stage, "back", restores=first)
        stage.until("back", "Live")
        assert stage.row("deploy")["spec"]["outcome"]["result"] == "Overtaken"
        ask(stage, "again", workflowVersion="v3")
        until_waiting(stage, "again", "GuardsUnknown")
    stage.until("again", "Live")
    eventually("the App says nothing of it any more", lambda: guard_messages(stage) == [])
