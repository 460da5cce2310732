"""Rejecting a version: by its flow, under any name, even without its WorkflowVersion; and the deploys that it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.actions.deploy import DeployRequest, PreviewedDeploy, plan_deploy
from dynamiq_operator.actions.promote import PromotionRequest, plan_promotion
from dynamiq_operator.actions.refusals import NotNow, Refusal, Unknown
from dynamiq_operator.actions.rejections import (
    Rejected,
    perform_rejection,
    perform_withdrawal,
    plan_rejection,
    plan_withdrawal,
)
from dynamiq_operator.actions.rollback import RollbackRequest, plan_rollback
from dynamiq_operator.kube.resources import NAMESPACES, REJECTIONS, ROWS, VERSIONS
from dynamiq_operator.model.objects import Manifest
from tests.support import factories as given
from tests.support.scripted import Reply, Script, ScriptedApi, Sent, listed
from tests.support.scripted_namespace import CONFLICT, FORBIDDEN, NOT_FOUND, created, environment, flow_path, holding, lacking
from tests.unit.support import rules

PATH = REJECTIONS.path(given.NAMESPACE)
ALL_ROWS = [
    given.row_manifest("chat-1", given.superseded(1, "v1")),
    given.row_manifest("chat-2", given.superseded(2, "v2")),
    given.row_manifest("chat-3", given.live(3, "v3")),
]
SAYS = "v2 was rejected by otto: it loses invoices"


def stage(*rejections: Manifest, but: tuple[str, ...] = ()) -> Script:
    """Returns a script of an App that ran v1, v2 and v3. All but `but` are still released."""
    releases = [given.version_manifest(version) for version in ("v1", "v2", "v3") if version not in but]
    script = holding(given.app_manifest(), *ALL_ROWS, *releases)
    script.on("GET", PATH, listed(*rejections)).on("POST", PATH, created)
    lacking(script, *(flow_path(version) for version in ("v1", "v2", "v3")))
    return lacking(script, *(VERSIONS.path(given.NAMESPACE, f"{given.NAME}-{version}") for version in (*but, "v9")))


def plan(script: Script, version: str | None = "v2", reason: str = "it loses invoices") -> Manifest:
    spec: Manifest = plan_rejection(ScriptedApi(script), given.NAMESPACE, given.NAME, version, reason).manifest["spec"]
    return spec


@pytest.mark.parametrize("but", [(), ("v2",)], ids=["there", "deleted"])
def test_a_version_is_rejected_by_its_flow(but: tuple[str, ...]) -> None:
    spec = {"workflowHash": given.flow_hash("v2"), "workflow": given.NAME, "version": "v2", "reason": "it loses invoices"}
    assert plan(stage(but=but)) == spec


def test_what_nobody_released_or_ran_is_unknown() -> None:
    with pytest.raises(Unknown, match="no version v9 of chat; released are v1 to v3"):
        plan(stage(), "v9")


def test_a_reason_is_never_empty() -> None:
    with pytest.raises(Refusal, match="give a reason for the rejection"):
        plan(stage(), reason="  ")


def test_what_is_rejected_already_is_not_rejected_again() -> None:
    script = stage(rules.rejection("v2"))
    planned = plan_rejection(ScriptedApi(script), given.NAMESPACE, given.NAME, "v2", "again")
    assert f"  nothing changes: {SAYS}" in planned.lines()
    assert perform_rejection(ScriptedApi(script), planned)["metadata"]["name"] == "chat-v2-1"
    assert script.bodies("POST", PATH) == []


def test_after_a_withdrawal_it_can_be_rejected_again() -> None:
    script = stage(rules.rejection("v2", withdrawn={"by": "otto", "reason": "it was the mail server"}))
    perform_rejection(ScriptedApi(script), plan_rejection(ScriptedApi(script), given.NAMESPACE, given.NAME, "v2", "again"))
    assert len(script.bodies("POST", PATH)) == 1


def test_a_withdrawal_is_of_every_rejection_of_the_flow() -> None:
    again = rules.rejection("v2", name="other-v7-1", named="v7")
    script = stage(rules.rejection("v2"), again, rules.rejection("v1"))
    sent: list[Sent] = []

    def patched(request: Sent) -> Reply:
        sent.append(request)
        return Reply(body={"metadata": {}, "spec": {}})

    for name in ("chat-v2-1", "other-v7-1"):
        script.on("PATCH", REJECTIONS.path(given.NAMESPACE, name), patched)
    api = ScriptedApi(script)
    perform_withdrawal(api, plan_withdrawal(api, given.NAMESPACE, given.NAME, "v2", "it was the mail server"))
    assert [each.path.rpartition("/")[2] for each in sent] == ["other-v7-1", "chat-v2-1"]
    assert {each.body["spec"]["withdrawn"]["reason"] for each in sent} == {"it was the mail server"}
    assert all(each.body["metadata"].keys() == {"uid", "resourceVersion"} for each in sent), "of what was read, and of nothing newer"


def withdrawn(script: Script, version: str | None = None, **named: Any) -> list[str]:
    """Returns the names of the Rejections that would be withdrawn."""
    found = plan_withdrawal(ScriptedApi(script), given.NAMESPACE, given.NAME, version, "it was the mail server", **named)
    return [each["metadata"]["name"] for each in found.rejections]


def test_a_withdrawal_by_a_row_is_of_what_the_row_ran_alone() -> None:
    """A Rejection may have no version: a row without one must not match it."""
    nameless = rules.rejection("v1")
    del nameless["spec"]["version"]
    script = stage(rules.rejection("v2"), nameless)
    assert withdrawn(script, row=given.stored(ALL_ROWS[1])) == ["chat-v2-1"]
    assert withdrawn(script, row=given.stored(ALL_ROWS[0])) == ["chat-v1-1"]


def test_a_withdrawal_by_one_rejection_is_of_every_one_of_its_flow() -> None:
    again, others = rules.rejection("v2", name="other-v7-1", named="v7"), rules.rejection("v1", name="others-v1-1", workflow="others")
    gone = rules.rejection("v2", name="gone", withdrawn={"by": "otto", "reason": "fine"})
    script = stage(rules.rejection("v2"), again, others, gone)
    assert withdrawn(script, uid=again["metadata"]["uid"]) == ["other-v7-1", "chat-v2-1"]
    assert withdrawn(script, uid=gone["metadata"]["uid"]) == ["other-v7-1", "chat-v2-1"], "one was withdrawn, and then the rest was not"
    assert withdrawn(script, uid=others["metadata"]["uid"]) == ["others-v1-1"], "a flow is rejected under whatever name"
    with pytest.raises(Unknown, match="no rejection has the id"):
        withdrawn(script, uid="none-such")
    with pytest.raises(NotNow, match="v2 of chat is not rejected"):
        withdrawn(stage(gone), uid=gone["metadata"]["uid"])


def test_what_is_not_rejected_cannot_be_withdrawn() -> None:
    with pytest.raises(NotNow, match="v2 of chat is not rejected"):
        plan_withdrawal(ScriptedApi(stage()), given.NAMESPACE, given.NAME, "v2", "why not")


def test_a_withdrawal_that_another_was_faster_with_says_so() -> None:
    script = stage(rules.rejection("v2")).on("PATCH", REJECTIONS.path(given.NAMESPACE, "chat-v2-1"), CONFLICT)
    api = ScriptedApi(script)
    with pytest.raises(NotNow, match="somebody else just withdrew"):
        perform_withdrawal(api, plan_withdrawal(api, given.NAMESPACE, given.NAME, "v2", "it was the mail server"))


# Refused deploys.


def deploying(script: Script, **asked: str) -> PreviewedDeploy:
    return plan_deploy(ScriptedApi(script), DeployRequest(given.NAMESPACE, given.NAME, **asked))  # type: ignore[arg-type]


@pytest.mark.parametrize("asked", [{"version": "v2"}, {"restores": "chat-2"}], ids=["deployed", "brought back"])
def test_a_preview_refuses_a_rejected_version_with_its_sentence(asked: dict[str, str]) -> None:
    with pytest.raises(Rejected, match=SAYS):
        deploying(stage(rules.rejection("v2")), **asked)


def test_the_same_flow_under_another_name_is_refused_too() -> None:
    """The WorkflowVersion was deleted and recreated."""
    with pytest.raises(Rejected, match=SAYS):
        deploying(stage(rules.rejection("v2", named="v7")), version="v2")


@pytest.mark.parametrize(
    "rejection",
    [rules.rejection("v1"), rules.rejection("v2", withdrawn={"by": "otto", "reason": "fine"})],
    ids=["another", "withdrawn"],
)
def test_what_is_not_rejected_is_not_refused(rejection: Manifest) -> None:
    deploying(stage(rejection), version="v2")


def test_what_runs_already_can_be_scaled_and_what_is_bypassed_is_bypassed() -> None:
    deploying(stage(rules.rejection("v3")), version="v3")
    deploying(stage(rules.rejection("v2")), version="v2", bypass_reason="the mail server is mended")


def test_who_may_not_read_rejections_gets_a_preview_all_the_same() -> None:
    """The operator refuses a rejected row, so the preview only warns."""
    unread = deploying(stage().on("GET", PATH, FORBIDDEN), version="v2")
    assert unread.preview.warnings == (f"you may not read Rejections in namespace {given.NAMESPACE}, so it is unknown if v2 is rejected",)
    assert deploying(stage().on("GET", PATH, NOT_FOUND), version="v2").preview.warnings == ()


def test_a_rollback_that_cannot_know_what_is_rejected_says_so() -> None:
    planned = plan_rollback(ScriptedApi(stage().on("GET", PATH, FORBIDDEN)), RollbackRequest(given.NAMESPACE, given.NAME))
    assert (planned.then.workflow_version, len(planned.preview.warnings)) == ("v2", 1)
    assert "it is unknown if v2 is rejected" in planned.preview.warnings[0]


def test_a_rollback_that_names_nothing_passes_over_a_rejected_version() -> None:
    api = ScriptedApi(stage(rules.rejection("v2")))
    assert plan_rollback(api, RollbackRequest(given.NAMESPACE, given.NAME)).request.restores == "chat-1"
    assert plan_rollback(ScriptedApi(stage()), RollbackRequest(given.NAMESPACE, given.NAME)).request.restores == "chat-2"


def test_a_rollback_past_a_row_that_waits_goes_back_from_what_is_live() -> None:
    """The waiting row never ran: a rollback from it would restore the live row."""
    script = stage()
    waits = given.stored(given.row_manifest("chat-4", rules.awaiting(4, "v4")))
    script.on("GET", ROWS.path(given.NAMESPACE), listed(*map(given.stored, ALL_ROWS), waits))
    assert plan_rollback(ScriptedApi(script), RollbackRequest(given.NAMESPACE, given.NAME)).request.restores == "chat-2"


def test_what_is_rejected_at_its_source_is_not_promoted() -> None:
    script = (
        stage(rules.rejection("v3"))
        .on("GET", NAMESPACES.path("", "prod"), environment("prod", "production"))
        .on("GET", NAMESPACES.path("", given.NAMESPACE), environment(given.NAMESPACE, "staging"))
    )
    with pytest.raises(Rejected, match="v3 was rejected by otto"):
        plan_promotion(ScriptedApi(script), PromotionRequest(given.NAMESPACE, given.NAME, target_namespace="prod"))
