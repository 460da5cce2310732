"""Notifications of rows: each event once, after it has been written, with an id that a repeat has as well."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from dynamiq_operator.model.guard_objects import Approval, DeployPolicy
from dynamiq_operator.plan import operations
from dynamiq_operator.plan.background.notifications import Notification, notifications_of, notifications_since
from dynamiq_operator.plan.observed.guards import ObservedGuards
from dynamiq_operator.plan.planner import make_plan
from tests.support import factories as given
from tests.support.world import World, stamped

POLICY = {"apiVersion": "v1", "kind": "DeployPolicy", "metadata": {"name": "production"}, "spec": {"namespaceSelector": {}}}

STAMPED = given.NOW - timedelta(days=1)
"""Since when the API server has stamped the authors of rows and Approvals."""


@pytest.fixture
def world() -> World:
    return World(given.app_manifest(), given.runtime_manifest(), *(given.version_manifest(f"v{number}") for number in (1, 2, 3)))


def run(world: World) -> list[Notification]:
    """Returns all notifications until nothing is left to do, while pods become Ready."""
    notifications: list[Notification] = []
    for _ in range(30):
        snapshot = stamped(world.snapshot(), STAMPED)
        plan = make_plan(snapshot)
        world.perform(plan.operations)
        notifications += [each for group in plan.groups for each in notifications_of(snapshot, group.operations)]
        world.roll()
        if not plan.operations:
            return notifications
    raise AssertionError("no rest")


def deploy(world: World, name: str, **asked: object) -> list[Notification]:
    world.later(5)
    world.add(given.row_manifest(name, given.asking(**{"createdBy": "anna", **asked})))
    return run(world)


def asked_for_approval(count: int = 1) -> DeployPolicy:
    return DeployPolicy.of({**POLICY, "spec": {**POLICY["spec"], "approvals": {"count": count}}})  # type: ignore[dict-item]


def approval(world: World, row: str, by: str, purpose: str = "Approve", seconds: float = 10, **spec: str) -> Approval:
    pinned = world.rows[row].pinned
    assert pinned is not None
    fields = {"row": row, "digest": pinned.digest, "purpose": purpose, "by": by, **spec}
    made = given.created((world.now - given.NOW).total_seconds() + seconds)
    raw = {"metadata": {"name": f"{row}-{by}", "namespace": given.NAMESPACE, "uid": f"uid-{row}-{by}"}, "spec": fields}
    made(raw)
    return Approval.of(raw)


def reasons(told: list[Notification]) -> list[str]:
    return [f"{each.row} {each.reason}" for each in told]


def test_a_deploy_notifies_of_its_begin_of_live_and_of_the_superseded_row(world: World) -> None:
    assert reasons(deploy(world, "a", workflowVersion="v1")) == ["a Progressing", "a Live"]
    notifications = deploy(world, "b", workflowVersion="v2")
    assert reasons(notifications) == ["b Progressing", "b Live", "a Superseded"]
    live = notifications[1]
    assert live.type == "ai.dynamiq.deployment.live"
    assert live.source == "/apis/dynamiq.getdynamiq.ai/v1alpha1/namespaces/demo/apps/chat"
    assert live.data == {
        "namespace": "demo",
        "app": "chat",
        "row": "b",
        "sequence": 2,
        "version": "v2",
        "runtime": "1.0.0",
        "phase": "Live",
        "reason": "Live",
        "message": "v2 (#2, b) is live",
        "warning": False,
        "author": "anna",
    }


def test_a_repeated_notification_keeps_its_id_and_ids_are_unique(world: World) -> None:
    notifications = [*deploy(world, "a", workflowVersion="v1"), *deploy(world, "b", workflowVersion="v2", bypass={"reason": "night"})]
    notifications += deploy(world, "c", workflowVersion="v9")
    assert "Bypassed" in {each.reason for each in notifications}
    assert len({each.id for each in notifications}) == len(notifications)
    again = notifications_since(world.app, world.rows.values(), given.NOW)
    assert {each.id: (each.type, each.at) for each in again} == {
        each.id: (each.type, each.at) for each in notifications if each.reason not in ("Waiting",)
    }, "what rows say themselves is found again after a restart, as it was told"


def test_only_what_came_after_a_moment_is_found_again(world: World) -> None:
    deploy(world, "a", workflowVersion="v1")
    since = world.now + timedelta(seconds=1)
    deploy(world, "b", workflowVersion="v2")
    assert reasons(list(notifications_since(world.app, world.rows.values(), since))) == ["b Progressing", "b Live", "a Superseded"]


def test_nothing_is_notified_before_it_is_written(world: World) -> None:
    world.add(given.row_manifest("a", given.asking(workflowVersion="v1")))
    snapshot = world.snapshot()
    (group,) = (group for group in world.plan().groups if any(isinstance(each, operations.CompleteRow) for each in group.operations))
    whole = [type(each).__name__ for each in group.operations]
    assert whole.index("Emit") < whole.index("CompleteRow"), "an Event is made before what it tells of"
    before = group.operations[: whole.index("CompleteRow")]
    assert not notifications_of(snapshot, before)
    assert reasons(list(notifications_of(snapshot, group.operations))) == ["a Progressing"]


def test_a_failed_row_is_notified_with_its_reason(world: World) -> None:
    notifications = deploy(world, "a", workflowVersion="v1", runtime="none-such")
    world.later(3600)
    notifications += run(world)
    failed = notifications[-1]
    assert (failed.reason, failed.phase, failed.warning, failed.version) == ("Failed", "Failed", True, "v1")
    assert "none-such" in failed.message
    assert failed.runtime is None


def test_a_waiting_row_notifies_of_each_approval_that_counts_and_of_its_admission(world: World) -> None:
    deploy(world, "a", workflowVersion="v1")
    policy = asked_for_approval(2)
    world.guards = ObservedGuards(policies=(policy,), stamped_since=STAMPED)
    world.later(5)
    world.add(given.row_manifest("b", given.asking(workflowVersion="v2", createdBy="anna")))
    notifications = run(world)
    assert reasons(notifications)[-1:] == ["b Waiting"]
    waits = notifications[-1]
    assert (waits.phase, waits.waits["reason"], waits.waits["approvalsNeeded"]) == ("Pending", "AwaitingApproval", 2)
    words = (approval(world, "b", "anna"), approval(world, "b", "bert", message="looks good"))
    world.guards = replace(world.guards, approvals=words)
    world.later(20)
    notifications = run(world)
    assert reasons(notifications)[:1] == ["b Approved"], "its author's own word counts for nothing, and is not told"
    assert (notifications[0].by, notifications[0].message) == (("bert",), "v2 (#2, b) was approved by bert: looks good")
    world.guards = replace(world.guards, approvals=(*words, approval(world, "b", "carl", seconds=15)))
    world.later(20)
    notifications = run(world)
    assert reasons(notifications) == ["b Approved", "b Released", "b Progressing", "b Live", "a Superseded"]
    assert (notifications[0].by, notifications[1].by) == (("carl",), ("bert", "carl"))


def test_a_version_that_is_made_again_with_another_flow_is_not_what_was_approved(world: World) -> None:
    deploy(world, "a", workflowVersion="v1")
    world.guards = ObservedGuards(policies=(asked_for_approval(),), stamped_since=STAMPED)
    deploy(world, "b", workflowVersion="v2")
    world.add(given.version_manifest("v2", given.with_spec(flow=given.flow("another"))))
    world.guards = replace(world.guards, approvals=(approval(world, "b", "bert"),))
    world.later(20)
    run(world)
    assert world.serving == "v1"
    world.later(3600)
    failed = run(world)[-1]
    assert (failed.reason, world.serving) == ("Failed", "v1")
    assert "its flow is in no ConfigMap and no WorkflowVersion" in failed.message


def test_a_rejection_is_notified_with_its_author(world: World) -> None:
    world.guards = ObservedGuards(policies=(asked_for_approval(),), stamped_since=STAMPED)
    deploy(world, "a", workflowVersion="v1")
    world.guards = replace(world.guards, approvals=(approval(world, "a", "bert", "Reject", message="not today"),))
    world.later(20)
    notifications = run(world)
    assert reasons(notifications) == ["a Rejected", "a Failed"]
    assert notifications[0].by == ("bert",)


def test_a_hold_is_notified_at_its_begin_and_its_end(world: World) -> None:
    deploy(world, "a", workflowVersion="v1", createdBy="system:serviceaccount:flux-system:flux")
    deploy(world, "b", workflowVersion="v2")
    notifications = deploy(world, "back", restores="a")
    assert [(each.row, each.sequence) for each in notifications if each.reason == "HoldBegun"] == [("back", 3)]
    notifications = deploy(world, "c", workflowVersion="v3")
    assert [(each.row, each.sequence) for each in notifications if each.reason == "HoldEnded"] == [("back", 3)]
