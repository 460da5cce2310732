"""Waiting rows: what they wait for, until when, and how they end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from dynamiq_operator.model import chain
from dynamiq_operator.model.objects import format_time
from dynamiq_operator.plan.guards.now import standing_guards
from tests.support import factories as given
from tests.unit.support.guarded_rows import ANNA, BERT, CARA, FLUX, GuardedRows
from tests.unit.support.rules import AWAITS

PRODUCTION = {"approvals": {"count": 1}}


def rows_with(*versions: str, **policy: Any) -> GuardedRows:
    """Returns rows that went live one after the other, and then the policy `production`."""
    rows = GuardedRows()
    for version in versions:
        rows.ask(workflowVersion=version)
        rows.settle()
        rows.later()
    if policy:
        rows.set_policy("production", **policy)
    return rows


def version_of(rows: GuardedRows, name: str | None) -> str | None:
    pinned = rows.record(name).pinned if name is not None else None
    return pinned.workflow_version if pinned is not None else None


def freeze(rows: GuardedRows, seconds: float = 600) -> dict[str, str]:
    return {"name": "friday", "from": format_time(rows.now), "to": format_time(rows.now + timedelta(seconds=seconds))}


# Approvals.


def test_row_that_needs_an_approval_is_deployed_once_somebody_else_agrees() -> None:
    rows = rows_with("v1", **PRODUCTION)
    row = rows.ask(workflowVersion="v2")
    rows.settle()
    assert (version_of(rows, rows.live), rows.waiting) == ("v1", [row])
    assert rows.why(row).startswith(f"AwaitingApproval: {AWAITS}")
    rows.say(row, "Approve", ANNA)
    rows.settle()
    assert rows.waiting == [row], "the author's own does not count"
    assert rows.why(row) == f"AwaitingApproval: {AWAITS}. The approval by {ANNA} does not count: {ANNA} is the author"
    rows.say(row, "Approve", BERT)
    rows.settle()
    assert (rows.live, rows.waiting) == (row, [])
    released = rows.record(row).spec.released
    assert released is not None
    assert (released.by, released.approvals, [each.value for each in released.guards]) == ((BERT,), ("word-1",), ["AwaitingApproval"])


def test_two_approvals_are_of_two_people() -> None:
    rows = rows_with("v1", approvals={"count": 2})
    row = rows.ask(workflowVersion="v2")
    rows.settle()
    rows.say(row, "Approve", BERT)
    rows.say(row, "Approve", BERT)
    rows.settle()
    assert "Needs 2 approvals (policy production), has 1: someone" in rows.why(row)
    rows.say(row, "Approve", CARA)
    rows.settle()
    assert rows.live == row


def test_an_approval_without_effect_is_shown_beside_those_that_count() -> None:
    rows = rows_with("v1", approvals={"count": 3})
    row = rows.ask(workflowVersion="v2", by=CARA)
    rows.settle()
    for by in (ANNA, BERT, CARA):
        rows.say(row, "Approve", by)
    rows.settle()
    assert "has 2: someone" in rows.why(row)
    assert rows.why(row).endswith(f"The approval by {CARA} does not count: {CARA} is the author")


@pytest.mark.parametrize(
    "word",
    [
        {"digest": "sha256:" + "1" * 64},
        {"restored": True},
        {"by": FLUX},
        {"by": "system:serviceaccount:dynamiq-system:dynamiq-operator"},
        {"purpose": "Resume"},
        {"purpose": "Withdraw"},
        {"by": None},
    ],
    ids=["another digest", "of a backup", "of Flux", "of the operator", "to resume", "to withdraw what is not one's own", "unstamped"],
)
def test_an_approval_without_effect_admits_no_row(word: dict[str, Any]) -> None:
    rows = rows_with("v1", **PRODUCTION)
    row = rows.ask(workflowVersion="v2")
    rows.settle()
    rows.say(row, **{"purpose": "Approve", **word})
    rows.settle()
    assert rows.waiting == [row]


def test_service_account_that_the_policy_names_counts() -> None:
    bot = "system:serviceaccount:ci:checker"
    rows = rows_with("v1", approvals={"count": 1, "serviceAccounts": [bot]})
    row = rows.ask(workflowVersion="v2")
    rows.settle()
    rows.say(row, "Approve", bot)
    rows.settle()
    assert rows.live == row


def test_an_approval_of_one_row_does_not_count_for_the_next() -> None:
    rows = rows_with("v1", **PRODUCTION)
    first = rows.ask(workflowVersion="v2")
    rows.settle()
    rows.later()
    second = rows.ask(workflowVersion="v2")
    rows.settle()
    rows.say(first, "Approve")
    rows.settle()
    assert (rows.live, rows.waiting) == (first, [second])


def test_approval_is_too_old_after_a_while() -> None:
    rows = rows_with("v1", approvals={"count": 2, "expiresSeconds": 60})
    row = rows.ask(workflowVersion="v2")
    rows.settle()
    rows.say(row, "Approve", BERT)
    rows.later(61)
    rows.say(row, "Approve", CARA)
    rows.settle()
    assert rows.waiting == [row]


@pytest.mark.parametrize("later", [None, {"count": 1}], ids=["deleted", "weaker"])
def test_policy_that_is_weaker_by_now_is_taken_as_it_was(later: dict[str, int] | None) -> None:
    rows = rows_with("v1", approvals={"count": 2})
    row = rows.ask(workflowVersion="v2")
    rows.settle()
    rows.policies.clear()
    if later is not None:
        rows.set_policy("production", approvals=later)
    rows.say(row, "Approve", BERT)
    rows.settle()
    assert rows.waiting == [row]


def test_policy_that_is_stronger_by_now_counts() -> None:
    rows = rows_with("v1", **PRODUCTION)
    row = rows.ask(workflowVersion="v2")
    rows.settle()
    rows.set_policy("production", approvals={"count": 2})
    rows.say(row, "Approve", BERT)
    rows.settle()
    assert rows.waiting == [row]


@pytest.mark.parametrize(
    ("purpose", "by", "end"), [("Reject", BERT, "Failed: rejected by bert: no"), ("Withdraw", ANNA, "Failed: withdrawn by anna: no")]
)
def test_a_rejected_or_withdrawn_row_ends(purpose: str, by: str, end: str) -> None:
    rows = rows_with("v1", **PRODUCTION)
    row = rows.ask(workflowVersion="v2")
    rows.settle()
    rows.say(row, purpose, by, message="no")
    rows.say(row, "Approve")
    rows.settle()
    assert (rows.ended(row), version_of(rows, rows.live)) == (end, "v1")


def test_a_row_is_overtaken_if_its_environment_changes_after_the_request() -> None:
    rows = rows_with("v1", approvals={"count": 2})
    rows.app["variables"] = [{"name": "TONE", "value": "kind"}]
    row = rows.ask(workflowVersion="v2")
    rows.settle()
    rows.say(row, "Approve", BERT)
    rows.app["variables"] = [{"name": "TONE", "value": "rude"}]
    rows.say(row, "Approve", CARA)
    rows.settle()
    ended = "Overtaken: variables, access or recording of the App were changed after it was requested: deploy again"
    assert (rows.ended(row), version_of(rows, rows.live)) == (ended, "v1")


# Order.


def test_emergency_rollback_passes_what_waits() -> None:
    rows = rows_with("v1", "v2", approvals={"count": 1})
    rows.set_policy("weekend", freezes=[freeze(rows)])
    rows.unknown = "DeployPolicies cannot be listed"
    waits = rows.ask(workflowVersion="v3")
    rows.settle()
    assert rows.waiting == [waits]
    back = rows.ask(restores="row-0001")
    rows.settle()
    assert (rows.live, rows.ended(waits)) == (back, f"Overtaken: v1 (#4, {back}) was deployed after it")
    assert rows.record(back).pinned.guards is None  # type: ignore[union-attr]


def test_a_rollback_waits_if_the_policy_requires_it() -> None:
    rows = rows_with("v1", "v2", approvals={"count": 1}, exempt=[])
    back = rows.ask(restores="row-0001")
    rows.settle()
    assert rows.waiting == [back]


def test_row_without_guards_is_as_it_was_before_there_were_any() -> None:
    rows = rows_with("v1", "v2")
    assert {"guards", "base", "holds", "verify"}.isdisjoint(rows.rows["row-0002"]["spec"]["pinned"])
    assert {"released", "verified"}.isdisjoint(rows.rows["row-0002"]["spec"])


@pytest.mark.parametrize("first_is_released", [True, False])
def test_two_rows_that_wait_lose_nothing_in_either_order(first_is_released: bool) -> None:
    rows = rows_with("v1", **PRODUCTION)
    scaled = rows.ask(workflowVersion="v2", config={"autoscaling": {"maxReplicas": 9}})
    rows.settle()
    rows.later()
    plain = rows.ask(workflowVersion="v3")
    rows.settle()
    if first_is_released:
        rows.say(scaled, "Approve")
        rows.settle()
        assert rows.live == scaled
        rows.say(plain, "Approve")
        rows.settle()
        assert rows.live == scaled
        assert (
            rows.ended(plain)
            == "Overtaken: its base row-0001 (#1) is no longer live, v2 (#2, row-0002) is, and the fields that it leaves out would have other values now: deploy again"
        )
    else:
        rows.say(plain, "Approve")
        rows.settle()
        assert (rows.live, rows.ended(scaled)) == (plain, "Overtaken: v3 (#3, row-0003) was deployed after it")


def test_a_changed_base_blocks_no_row_that_takes_nothing_from_the_change() -> None:
    rows = rows_with("v1", **PRODUCTION)
    first = rows.ask(workflowVersion="v2")
    rows.settle()
    rows.later()
    second = rows.ask(workflowVersion="v3")
    rows.settle()
    for row in (first, second):
        rows.say(row, "Approve")
        rows.settle()
        assert rows.live == row


def test_history_with_waiting_rows_verifies() -> None:
    rows = rows_with("v1", "v2", **PRODUCTION)
    waits = rows.ask(workflowVersion="v3")
    rows.settle()
    assert rows.waiting == [waits]
    assert chain.verify(rows.rows.values()).misfits == ()
    back = rows.ask(restores="row-0001")
    rows.settle()
    assert rows.live == back
    assert chain.verify(rows.rows.values()).misfits == ()
    del rows.rows[waits]["spec"]["outcome"]
    assert chain.verify(rows.rows.values()).misfits == (), "killed between the two, it has not ended yet, and was never released"
    last = rows.ask(workflowVersion="v5", bypass={"reason": "night"})
    rows.settle()
    assert rows.live == last
    del rows.rows[back]["spec"]["outcome"]
    rows.rows["row-0001"]["spec"].pop("outcome")
    assert {each.row for each in chain.verify(rows.rows.values()).misfits} == {"row-0001", back}


def test_end_of_a_row_that_was_released_is_missed_where_a_later_one_relies_on_it() -> None:
    rows = rows_with("v1", **PRODUCTION)
    for version in ("v2", "v3"):
        row = rows.ask(workflowVersion=version)
        rows.settle()
        rows.say(row, "Approve")
        rows.settle()
        rows.later()
    for part in ("released", "outcome"):
        del rows.rows["row-0002"]["spec"][part]
    assert [each.row for each in chain.verify(rows.rows.values()).misfits] == ["row-0002"]


def test_release_that_was_forged_does_not_verify() -> None:
    rows = rows_with("v1", **PRODUCTION)
    row = rows.ask(workflowVersion="v2")
    rows.settle()
    rows.say(row, "Approve")
    rows.settle()
    rows.rows[row]["spec"]["released"]["by"] = ["nobody"]
    assert [each.row for each in chain.verify(rows.rows.values()).misfits] == [row]


# Hold after a rollback.


def of_git(rows: GuardedRows, version: str, **more: Any) -> None:
    rows.app["deploy"] = {"workflowVersion": version, "changedBy": FLUX, **more}
    rows.settle()
    rows.later()


def test_git_waits_after_a_rollback_until_somebody_resumes_it() -> None:
    rows = GuardedRows()
    of_git(rows, "v1")
    of_git(rows, "v2")
    assert version_of(rows, rows.live) == "v2"
    rows.ask(restores=rows.history.rows[0].name)
    rows.settle()
    for number in range(3, 6):
        rows.later()
        of_git(rows, f"v{number}")
    assert version_of(rows, rows.live) == "v1"
    assert [version_of(rows, row) for row in rows.waiting] == ["v5"], "one waits, not three"
    scaled = rows.ask(config={"autoscaling": {"maxReplicas": 7}}, workflowVersion="v1")
    rows.settle()
    rows.later()
    assert rows.live == scaled
    assert [version_of(rows, row) for row in rows.waiting] == ["v5"], "scaling what was brought back lets nothing go on"
    (waits,) = rows.waiting
    assert "To apply this one, someone who may deploy runs `kubectl dynamiq resume chat -n demo`" in rows.why(waits)
    rows.say(waits, "Resume", FLUX)
    rows.settle()
    assert rows.waiting == [waits], "Flux does not resume itself"
    rows.say(waits, "Resume")
    rows.settle()
    assert (rows.live, rows.waiting) == (waits, [])
    of_git(rows, "v3")
    assert version_of(rows, rows.live) == "v3", "the hold is over"


def test_a_resumption_of_the_live_row_ends_the_hold() -> None:
    rows = GuardedRows()
    of_git(rows, "v1")
    of_git(rows, "v2")
    back = rows.ask(restores=rows.history.rows[0].name)
    rows.settle()
    rows.say(back, "Resume")
    rows.settle()
    assert version_of(rows, rows.live) == "v1"
    of_git(rows, "v3")
    assert version_of(rows, rows.live) == "v3"


def test_another_version_by_hand_takes_the_place_of_what_was_held() -> None:
    rows = GuardedRows()
    of_git(rows, "v1")
    of_git(rows, "v2")
    rows.ask(restores=rows.history.rows[0].name)
    rows.settle()
    of_git(rows, "v3")
    rows.ask(workflowVersion="v4")
    rows.settle()
    assert (version_of(rows, rows.live), rows.waiting) == ("v4", [])
    of_git(rows, "v5")
    assert version_of(rows, rows.live) == "v5"


@pytest.mark.parametrize("off", ["app", "row"])
def test_hold_can_be_turned_off(off: str) -> None:
    rows = GuardedRows()
    of_git(rows, "v1")
    of_git(rows, "v2")
    if off == "app":
        rows.app["rollout"] = {"holdAfterRollback": False}
    more: dict[str, Any] = {"hold": False} if off == "row" else {}
    rows.ask(restores=rows.history.rows[0].name, **more)
    rows.settle()
    of_git(rows, "v3")
    assert version_of(rows, rows.live) == "v3"


def test_a_rollback_that_asks_for_a_hold_has_one_where_its_app_turned_it_off() -> None:
    rows = GuardedRows()
    of_git(rows, "v1")
    of_git(rows, "v2")
    rows.app["rollout"] = {"holdAfterRollback": False}
    back = rows.ask(restores=rows.history.rows[0].name, hold=True)
    rows.settle()
    of_git(rows, "v3")
    assert rows.live == back


def test_rows_that_automation_makes_are_held_as_those_of_git() -> None:
    rows = rows_with("v1", "v2")
    rows.ask(restores="row-0001")
    rows.settle()
    held = rows.ask(FLUX, workflowVersion="v3")
    rows.settle()
    assert rows.waiting == [held]
    rows.set_policy("own", automation={"users": [ANNA]})
    rows.settle()
    rows.later()
    by_anna = rows.ask(ANNA, workflowVersion="v4")
    rows.settle()
    assert by_anna in rows.waiting, "as the policy says"


def test_a_change_of_git_is_never_lost_to_a_row_that_was_never_rolled_out() -> None:
    rows = GuardedRows()
    of_git(rows, "v1")
    of_git(rows, "v9")
    rows.set_policy("production", **PRODUCTION)
    waits = rows.ask(workflowVersion="v2")
    rows.settle()
    rows.say(waits, "Reject")
    rows.settle()
    newest = rows.history.rows[-1]
    assert (newest.spec.workflow_version, newest.outcome, newest.pinned) == ("v9", None, None), "it waits for its release, as it did"


def test_a_change_of_git_waits_after_a_rollback_that_overtook_it() -> None:
    rows = GuardedRows()
    of_git(rows, "v1")
    of_git(rows, "v2")
    rows.set_policy("production", **PRODUCTION)
    of_git(rows, "v3")
    rows.ask(restores=rows.history.rows[0].name)
    rows.settle()
    rows.later()
    rows.settle()
    assert (version_of(rows, rows.live), [version_of(rows, row) for row in rows.waiting]) == ("v1", ["v3"])
    assert rows.why(rows.waiting[0]).startswith("AwaitingApproval")


def test_version_by_hand_that_ends_a_hold_at_once_with_a_scaling_row_stays() -> None:
    rows = GuardedRows()
    of_git(rows, "v1")
    of_git(rows, "v2")
    rows.ask(restores=rows.history.rows[0].name)
    rows.settle()
    rows.later()
    of_git(rows, "v3")
    rows.ask(workflowVersion="v1", config={"autoscaling": {"maxReplicas": 9}})
    rows.ask(workflowVersion="v4")
    rows.settle()
    assert (version_of(rows, rows.live), rows.waiting) == ("v4", [])


def test_older_ask_of_git_does_not_come_back_over_a_newer_one_of_automation() -> None:
    rows = GuardedRows()
    of_git(rows, "v1")
    of_git(rows, "v2")
    rows.ask(restores=rows.history.rows[0].name)
    rows.settle()
    rows.later()
    of_git(rows, "v3")
    rows.ask(FLUX, workflowVersion="v4")
    rows.settle()
    assert [version_of(rows, row) for row in rows.waiting] == ["v4"]


# Freezes, suspension, unknown guards, bypass.


def test_frozen_row_waits_for_the_end_and_then_for_somebody() -> None:
    rows = rows_with("v1", freezes=[])
    rows.set_policy("production", freezes=[freeze(rows)])
    row = rows.ask(workflowVersion="v2")
    rows.settle()
    assert rows.why(row).startswith("Frozen: Frozen until 2026-11-24T12:10:01Z (freeze friday of policy production), then someone who may")
    rows.say(row, "Resume")
    rows.settle()
    assert rows.waiting == [row]
    rows.later(601)
    rows.settle()
    assert rows.why(row).startswith("Held: Freeze friday of policy production ended at"), "a word from before its end is none"
    rows.say(row, "Resume")
    rows.settle()
    assert rows.live == row


def test_a_frozen_row_is_deployed_within_a_minute_of_the_freeze_if_the_policy_allows() -> None:
    rows = rows_with("v1", freezes=[])
    rows.set_policy("production", freezes=[freeze(rows)], afterFreeze="Deploy")
    row = rows.ask(workflowVersion="v2")
    rows.settle()
    rows.later(599)
    rows.settle()
    assert rows.waiting == [row]
    rows.later(61)
    rows.settle()
    assert rows.live == row


def test_freeze_that_begins_while_a_row_waits_holds_it() -> None:
    rows = rows_with("v1", **PRODUCTION)
    row = rows.ask(workflowVersion="v2")
    rows.settle()
    rows.set_policy("weekend", freezes=[freeze(rows)])
    rows.say(row, "Approve")
    rows.settle()
    assert rows.why(row).startswith("Frozen")


def test_a_row_that_waits_through_a_freeze_needs_a_resumption_as_one_requested_in_it() -> None:
    rows = rows_with("v1", **PRODUCTION)
    row = rows.ask(workflowVersion="v2")
    rows.settle()
    rows.later()
    rows.set_policy("weekend", freezes=[freeze(rows)])
    rows.say(row, "Approve")
    rows.later(700)
    rows.settle()
    assert rows.why(row).startswith("Held: Freeze friday of policy weekend ended")
    rows.say(row, "Resume")
    rows.settle()
    assert rows.live == row


def test_suspended_app_deploys_nothing_a_bypass_included() -> None:
    rows = rows_with("v1", "v2")
    rows.app["suspend"] = True
    row = rows.ask(workflowVersion="v3", bypass={"reason": "night"})
    rows.settle()
    assert rows.why(row).startswith("Suspended: App chat is suspended")
    rows.app["suspend"] = False
    rows.settle()
    assert rows.live == row


def test_a_bypass_passes_all_guards_and_is_reported() -> None:
    rows = rows_with("v1", "v2", **PRODUCTION)
    rows.set_policy("weekend", freezes=[freeze(rows)])
    rows.unknown = "Approvals cannot be listed"
    rows.reject_version("v1")
    row = rows.ask(workflowVersion="v1", bypass={"reason": "night"})
    rows.settle()
    assert rows.live == row
    assert rows.rows[row]["spec"]["bypass"] == {"reason": "night"}


def test_unreadable_policies_block_a_deploy_until_they_can_be_read() -> None:
    rows = rows_with("v1", "v2")
    rows.unknown = "DeployPolicies cannot be listed"
    row = rows.ask(workflowVersion="v3")
    rows.settle()
    assert (
        rows.why(row) == "GuardsUnknown: DeployPolicies cannot be listed: until that can be read, only rollbacks and bypasses are deployed"
    )
    rows.unknown = ""
    rows.settle()
    assert rows.live == row


# Rejected versions.


def test_a_rejected_version_cannot_be_deployed_under_any_name() -> None:
    rows = rows_with("v1", "v2", "v3")
    rows.reject_version("v2")
    asked, back = rows.ask(workflowVersion="v2"), rows.ask(restores="row-0002")
    rows.settle()
    for row in (asked, back):
        assert rows.ended(row) == f"Failed: v2 was rejected by {BERT}: loses invoices"


def test_version_that_is_rejected_while_its_row_waits_is_not_deployed() -> None:
    rows = rows_with("v1", **PRODUCTION)
    row = rows.ask(workflowVersion="v2")
    rows.settle()
    rows.reject_version("v2")
    rows.say(row, "Approve")
    rows.settle()
    assert rows.ended(row) == f"Failed: v2 was rejected by {BERT}: loses invoices"


def test_rejected_version_that_runs_is_scaled() -> None:
    rows = rows_with("v1")
    rows.reject_version("v1")
    row = rows.ask(workflowVersion="v1", config={"autoscaling": {"maxReplicas": 5}})
    rows.settle()
    assert rows.live == row
    assert given.flow_hash("v1") in rows.rejections


# Rows from another cluster.


def promoted_from(cluster: str | None, namespace: str = "staging") -> dict[str, Any]:
    claimed = {"namespace": namespace, "app": given.NAME, "row": "chat-1", "hash": given.flow_hash("v2")}
    return {"workflowVersion": "v2", "promotedFrom": {**claimed, **({"cluster": cluster} if cluster else {})}}


def test_row_from_another_cluster_is_deployed_where_no_policy_asks_for_a_soak_time() -> None:
    rows = rows_with("v1", afterFreeze="Deploy")
    row = rows.ask(**promoted_from("eu"))
    rows.settle()
    assert rows.live == row


def test_row_from_another_cluster_is_deployed_where_every_policy_names_that() -> None:
    rows = rows_with("v1", promotion={"minLiveSeconds": 86400, "clusters": ["eu", "us"]})
    row = rows.ask(**promoted_from("eu"))
    rows.settle()
    assert rows.live == row, "nobody here can know for how long it was live there"


@pytest.mark.parametrize(
    ("promotion", "says"),
    [
        ({}, "it comes from App chat in staging of cluster eu, but policy production accepts versions of other clusters from none"),
        ({"clusters": ["us", "ap"]}, "policy production accepts versions of other clusters only from us, ap (promotion.clusters)"),
        (
            {"clusters": ["eu"], "namespaces": ["qa"]},
            "it was promoted from App chat in staging of cluster eu, but a policy accepts versions only from qa",
        ),
    ],
)
def test_row_from_a_cluster_that_a_policy_does_not_name_fails_at_once_and_a_bypass_passes(promotion: dict[str, Any], says: str) -> None:
    rows = rows_with("v1", promotion={"minLiveSeconds": 60, **promotion})
    refused = rows.ask(**promoted_from("eu"))
    rows.settle()
    assert (rows.ended(refused) or "").startswith("Failed: ")
    assert says in (rows.ended(refused) or "")
    bypassed = rows.ask(**promoted_from("eu"), bypass={"reason": "prod is down"})
    rows.settle()
    assert rows.live == bypassed


def test_one_policy_of_several_that_does_not_name_the_cluster_is_enough() -> None:
    rows = rows_with("v1", promotion={"minLiveSeconds": 60, "clusters": ["eu"]})
    rows.set_policy("stricter", promotion={"minLiveSeconds": 60})
    refused = rows.ask(**promoted_from("eu"))
    rows.settle()
    assert "policy stricter accepts versions of other clusters from none" in (rows.ended(refused) or "")


def test_an_app_names_the_clusters_that_versions_may_come_from() -> None:
    rows = rows_with("v1", promotion={"minLiveSeconds": 60, "clusters": ["eu"], "namespaces": ["staging"]})
    (found,) = standing_guards(rows.context())
    assert (found.clusters, found.namespaces, found.seconds) == (("eu",), ("staging",), 60)
    rows.set_policy("production", promotion={"minLiveSeconds": 60, "namespaces": [f"{number:063}" for number in range(32)]})
    (found,) = standing_guards(rows.context())
    assert ("clusters" in found.as_json(), len(found.message)) == (False, 1024)
