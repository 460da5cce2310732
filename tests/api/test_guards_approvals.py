"""Attacks on guards that the operator stops: whose approval counts, for which row, and changes meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.objects import format_time
from local.clusters import Cluster
from tests.api.support import guard_attacks
from tests.support import rest
from tests.support.admission import ADMINS, OPERATOR, RESTORERS, made, refused
from tests.support.api import Api, Manifest
from tests.support.factories import approval_manifest, in_namespace, policy_manifest, row_manifest, with_spec
from tests.support.faults import operators
from tests.support.history_stage import APP, HistoryStage
from tests.support.operator import Operator
from tests.support.waiting import eventually

pytestmark = [pytest.mark.usefixtures("guarded"), pytest.mark.timeout(900)]

BOTH, ROBOT = "bea", "robot"
"""A user who deploys and approves, and a service account that approves."""
FIRST = {"reason": "the first one"}


def policy(name: str, namespace: str, **spec: Any) -> Manifest:
    selector = {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": [namespace]}]}
    return policy_manifest(with_spec(**{"namespaceSelector": selector, **spec}), name=f"{namespace}-{name}")


@pytest.fixture(scope="module")
def staged(guarded: None, module_stage: HistoryStage) -> Iterator[HistoryStage]:
    """Yields a stage whose rows need an approval of somebody other than the author."""
    api, namespace = module_stage.api, module_stage.namespace
    guard_attacks.install(api, namespace)
    for role in ("dynamiq-deployer", "dynamiq-approver"):
        rest.bind_user(api, BOTH, namespace, role)
    made(api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ROBOT, "namespace": namespace}}))
    rest.bind(api, namespace, ROBOT, "dynamiq-approver", namespace)
    rules = made(api.create(policy("approvals", namespace, approvals={"count": 1})))
    yield module_stage
    api.delete(rules)


def live(stage: HistoryStage, app: str) -> str:
    """Makes an App that serves v1 by a bypass, and returns the row's name."""
    stage.app(app, workflow=APP)
    return stage.live(app, "v1", runtime=stage.default_runtime, bypass=FIRST)


def workloads(stage: HistoryStage, app: str) -> dict[str, Manifest]:
    """Returns the workloads of an App, by name."""
    found = stage.api.get("Deployment", "", stage.namespace, api_version="apps/v1", labelSelector=f"{names.APP_LABEL}={app}").body["items"]
    return {each["metadata"]["name"]: each for each in found}


def waiting_row(stage: HistoryStage, by: str, app: str, version: str, reason: str = "AwaitingApproval", **more: Any) -> Manifest:
    """Deploys a version as `by`, and returns the row once it waits."""
    sent = row_manifest(f"{app}-{version}-{by}", in_namespace(stage.namespace), with_spec(app=app, workflowVersion=version, **more))
    made(stage.api.acting_as(by).create(sent))
    return eventually(f"{by}'s row waits: {reason}", lambda: _waiting(stage, sent, reason))


def _waiting(stage: HistoryStage, row: Manifest, reason: str) -> Manifest | None:
    found = stage.row(row["metadata"]["name"])
    return found if found["status"].get("waits", {}).get("reason") == reason else None


def create_approval(api: Api, row: Manifest, *, name: str = "", **spec: Any) -> Manifest:
    """Creates an Approval of a row, for its digest unless `spec` has another."""
    meta = row["metadata"]
    fields = {"row": meta["name"], "digest": row["spec"]["pinned"]["digest"], **spec}
    sent = approval_manifest(in_namespace(meta["namespace"]), with_spec(**fields))
    sent["metadata"] = {"generateName": "word-", "namespace": meta["namespace"]}
    return made(api.create(sent))


def ended(stage: HistoryStage, row: Manifest, result: str) -> str:
    """Waits until a row ends with `result`, and returns the reason."""

    def outcome() -> Manifest | None:
        found: Manifest | None = stage.row(row["metadata"]["name"])["spec"].get("outcome")
        return found

    found = eventually(f"row {row['metadata']['name']} has ended", outcome)
    assert found["result"] == result, found
    return str(found["reason"])


def test_only_another_users_approval_of_the_pins_counts(staged: HistoryStage) -> None:
    api, account = staged.api, f"system:serviceaccount:{staged.namespace}:{ROBOT}"
    live(staged, "words")
    live(staged, "others")
    row, other = waiting_row(staged, BOTH, "words", "v2"), waiting_row(staged, "dora", "others", "v2")
    grace = api.acting_as("grace")
    create_approval(api.acting_as(BOTH), row)
    create_approval(api.acting_as(account), row)
    create_approval(api.acting_as(OPERATOR, ADMINS), row)
    create_approval(api.acting_as("somebody", RESTORERS), row, by="grace")
    create_approval(api.acting_as("dora"), row, purpose="Resume")
    create_approval(grace, row, purpose="Withdraw")
    create_approval(grace, row, digest=other["spec"]["pinned"]["digest"])
    create_approval(grace, row, digest="sha256:" + "b" * 64)
    create_approval(grace, other, digest=row["spec"]["pinned"]["digest"])
    own = api.acting_as(OPERATOR).create(approval_manifest(in_namespace(staged.namespace)))
    assert (own.status, 'cannot create resource "approvals"' in own.message) == (403, True)
    for _ in range(2):
        staged.acted_on("words")
    waits = staged.row(row["metadata"]["name"])["status"]["waits"]
    assert (waits["approvals"], waits["approvalsNeeded"]) == (0, 1)
    counted = create_approval(grace, row)
    released = staged.until(row["metadata"]["name"], "Live")["spec"]["released"]
    assert (released["by"], released["approvals"]) == (["grace"], [counted["metadata"]["name"]])
    assert _waiting(staged, other, "AwaitingApproval")


def test_the_user_who_deploys_by_an_app_is_the_author_of_its_row(staged: HistoryStage) -> None:
    live(staged, "declared")
    rest.bind_user(staged.api, BOTH, staged.namespace, "edit")
    patch = {"spec": {"deploy": {"workflowVersion": "v2", "runtime": staged.default_runtime}}}
    eventually("bea asks by the App", lambda: staged.api.acting_as(BOTH).merge(staged.manifest(name="declared"), patch).ok)
    row = eventually("the row waits", lambda: next((row for row in staged.rows("declared") if row["status"].get("waits")), None))
    assert row["spec"]["createdBy"] == BOTH
    create_approval(staged.api.acting_as(BOTH), row)
    staged.acted_on("declared")
    assert _waiting(staged, row, "AwaitingApproval")
    create_approval(staged.api.acting_as("grace"), row)
    assert staged.until(row["metadata"]["name"], "Live")["spec"]["released"]["by"] == ["grace"]


def test_another_strategy_applies_no_unapproved_variables(staged: HistoryStage) -> None:
    """The live row was approved. Later changes of its App's variables wait for a new row."""
    live(staged, "converted")
    create_approval(staged.api.acting_as("grace"), row := waiting_row(staged, "dora", "converted", "v2"))
    staged.until(row["metadata"]["name"], "Live")
    staged.change(kinds.APP.kind, "converted", spec={"variables": [{"name": "MODEL", "value": "other"}], "access": {"type": "public"}})
    eventually("the App says that they wait", lambda: staged.condition("converted", "VariablesHeld").get("status") == "True")
    staged.change(kinds.APP.kind, "converted", spec={"rollout": {"strategy": "Switch"}})
    plain = names.workload("converted")
    eventually("it runs by strategy Switch", lambda: plain not in workloads(staged, "converted"))
    (template,) = (each["spec"]["template"]["spec"] for each in workloads(staged, "converted").values())
    assert "MODEL" not in {each["name"] for each in template["containers"][0]["env"]}
    assert "access-keys" in {each["name"] for each in template["volumes"]}
    assert staged.condition("converted", "VariablesHeld")["reason"] == "AwaitsRow"
    assert len(staged.rows("converted")) == 2


def test_in_a_freeze_nothing_that_runs_changes_but_by_who_may_go_past_the_rules(staged: HistoryStage) -> None:
    now = datetime.now(UTC)
    days = {"from": format_time(now - timedelta(days=1)), "to": format_time(now + timedelta(days=1))}
    live(staged, "frozen")
    runs = staged.until_settled("frozen") and staged.mounted("frozen")
    rules = made(staged.api.create(policy("frozen", staged.namespace, freezes=[{"name": "fair", **days}])))
    try:
        row = waiting_row(staged, "dora", "frozen", "v2", "Frozen")
        staged.change(kinds.APP.kind, "frozen", spec={"variables": [{"name": "MODEL", "value": "other"}]})
        eventually("the App says that they wait", lambda: staged.condition("frozen", "VariablesHeld").get("status") == "True")
        assert staged.mounted("frozen") == runs
        past = with_spec(app="frozen", workflowVersion="v1", bypass={"reason": "I am in a hurry"})
        refused(
            staged.api.acting_as("dora").create(row_manifest("hurry", in_namespace(staged.namespace), past)),
            "dora may not bypass the guards",
        )
        staged.live("frozen", "v1", runtime=staged.default_runtime, bypass={"reason": "prod is down"})
        assert staged.mounted("frozen") != runs
        ended(staged, row, "Overtaken")
    finally:
        staged.api.delete(rules)


def test_on_call_rolls_back_to_rows_that_were_live_only(staged: HistoryStage) -> None:
    first = live(staged, "called")
    staged.live("called", "v2", runtime=staged.default_runtime, bypass={"reason": "prod is down"})
    waiting = waiting_row(staged, "dora", "called", "v3")
    otto = staged.api.acting_as("otto")
    back = row_manifest("to-what-waits", in_namespace(staged.namespace), with_spec(app="called", restores=waiting["metadata"]["name"]))
    assert ended(staged, made(otto.create(back)), "Failed")
    assert staged.row(waiting["metadata"]["name"])["spec"].get("released") is None
    back = row_manifest("back", in_namespace(staged.namespace), with_spec(app="called", restores=first, message="prod is down"))
    made(otto.create(back))
    assert "released" not in staged.until("back", "Live")["spec"]
    ended(staged, waiting, "Overtaken")


def test_unreadable_policies_block_deploys(cluster: Cluster, account: Path, stage: HistoryStage, tmp_path: Path) -> None:
    """Without the right to read policies, the operator assumes there may be some: it deploys only rollbacks and bypasses."""
    name = "dynamiq-operator"
    role = made(stage.api.read({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}}))
    less = [{**rule, "resources": [each for each in rule["resources"] if each != "deploypolicies"]} for rule in role["rules"]]
    made(stage.api.merge(role, {"rules": [rule for rule in less if rule["resources"]]}))
    try:
        eventually("it may read no policy", lambda: not rest.allowed(stage.api, OPERATOR, "", "list", "deploypolicies"))
        operators.allow_leases(stage.api, stage.namespace)  # the module's operator leads at home
        with Operator(account, tmp_path, [stage.namespace], home=stage.namespace):
            first = live(stage, "unread")
            sent = row_manifest("held", in_namespace(stage.namespace), with_spec(app="unread", workflowVersion="v2"))
            made(stage.api.create(sent))
            eventually("the row waits", lambda: _waiting(stage, sent, "GuardsUnknown"))
            stage.live("unread", restores=first)
            ended(stage, sent, "Overtaken")
            made(stage.api.create({**sent, "metadata": {**sent["metadata"], "name": "again"}}))
            again = {**sent, "metadata": {**sent["metadata"], "name": "again"}}
            eventually("another waits", lambda: _waiting(stage, again, "GuardsUnknown"))
            made(stage.api.merge(role, {"rules": role["rules"]}))
            stage.until("again", "Live")
    finally:
        made(stage.api.merge(role, {"rules": role["rules"]}))
