"""Actions that every surface shares, against a real operator: pins match the preview, and the API server enforces rights and validity.

tests/unit/actions tests what is planned and refused.
"""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.actions.deploy import DeployRequest, PreviewedDeploy, perform_deploy, plan_deploy
from dynamiq_operator.actions.draft import perform_draft, plan_draft
from dynamiq_operator.actions.follow import follow
from dynamiq_operator.actions.promote import PromotionPlan, PromotionRequest, perform_promotion, plan_promotion
from dynamiq_operator.actions.refusals import NotAllowed, Refusal, Taken, Unknown
from dynamiq_operator.actions.release import perform_release, plan_release
from dynamiq_operator.actions.rollback import RollbackRequest, plan_rollback
from dynamiq_operator.actions.suspend import SuspensionPlan, perform_suspension
from dynamiq_operator.kube import errors
from dynamiq_operator.model import kinds, names
from dynamiq_operator.views.history import HistoryRow, history
from tests.support import factories, rest
from tests.support.api import ActionClient, Manifest
from tests.support.history_stage import APP, HistoryStage


@pytest.fixture
def acting(module_stage: HistoryStage) -> ActionClient:
    return ActionClient(module_stage.api)


def done(acting: ActionClient, stage: HistoryStage, planned: PreviewedDeploy) -> HistoryRow:
    """Performs a planned deploy, waits for its end, and checks that the operator pinned what the preview showed."""
    row = followed(acting, perform_deploy(acting, planned).made)
    pinned, then = stage.row(row.name)["spec"]["pinned"], planned.preview.then
    assert (pinned["workflowVersion"], pinned["workflowHash"]) == (then.version, then.flow_hash)
    assert (pinned["runtime"]["version"], pinned["config"]) == (then.runtime, then.config)
    return row


def followed(acting: ActionClient, row: Manifest) -> HistoryRow:
    """Returns a row once it is Live."""
    meta = row["metadata"]
    *_, last = follow(acting, meta["namespace"], meta["name"], app=row["spec"]["app"])
    assert last.succeeded, last
    return HistoryRow.of(acting.api.get(kinds.ROW.kind, meta["name"], meta["namespace"]).body)


def test_what_is_previewed_is_what_the_operator_pins(acting: ActionClient, module_stage: HistoryStage) -> None:
    stage, name = module_stage, "previewed"
    stage.app(name, workflow=APP)
    where = (stage.namespace, name)
    with pytest.raises(Refusal, match="nothing of previewed has gone live yet"):
        plan_rollback(acting, RollbackRequest(*where))
    first = done(acting, stage, plan_deploy(acting, DeployRequest(*where, version="v1", runtime=stage.default_runtime)))
    planned = plan_deploy(acting, DeployRequest(*where, version="v2", message="why not", config={"autoscaling": {"maxReplicas": 4}}))
    assert (planned.preview.restarts, planned.preview.no_op) == (True, False)
    assert done(acting, stage, planned).message == "why not"
    mounted = stage.mounted(name)

    scaling = plan_deploy(acting, DeployRequest(*where, version="v2", config={"autoscaling": {"minReplicas": 2}}))
    assert (scaling.preview.restarts, scaling.preview.no_op, scaling.preview.flow_diff) == (False, False, ())
    scaled = done(acting, stage, scaling).config
    assert scaled is not None
    assert scaled["autoscaling"] == {"minReplicas": 2, "maxReplicas": 4, "targetCPUUtilizationPercentage": 80}
    again = plan_deploy(acting, DeployRequest(*where, version="v2"))
    assert (again.preview.restarts, again.preview.no_op) == (False, True)
    assert done(acting, stage, again).sequence == 4
    assert stage.mounted(name) == mounted

    stage.delete(kinds.WORKFLOW_VERSION.kind, f"{APP}-v1")
    try:
        back = done(acting, stage, plan_rollback(acting, RollbackRequest(*where)))
        assert (back.version, back.provenance, back.config) == ("v1", "restores #1", scaled)
        with_config = plan_rollback(acting, RollbackRequest(*where, row=1, with_config=True))
        assert done(acting, stage, with_config).config == first.config
    finally:
        stage.release("v1", workflow=APP)


def test_a_failed_deploy_is_followed_to_its_reason(acting: ActionClient, module_stage: HistoryStage) -> None:
    name = "failing"
    module_stage.app(name, workflow=APP)
    module_stage.live(name, "v1", runtime=module_stage.default_runtime)
    beyond = {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}
    planned = plan_deploy(acting, DeployRequest(module_stage.namespace, name, version="v3", config=beyond))
    row = perform_deploy(acting, planned).made["metadata"]["name"]
    *_, last = follow(acting, module_stage.namespace, row, app=name)
    assert (last.phase, last.succeeded) == ("Failed", False)
    newest = history(module_stage.rows(name))[0]
    assert (newest.status, newest.reason) == ("Failed", last.message)
    assert last.message


def test_two_releases_of_one_moment_get_two_numbers(acting: ActionClient, module_stage: HistoryStage) -> None:
    name = "drafted"
    module_stage.create(factories.workflow_manifest(factories.in_namespace(module_stage.namespace), name=name))
    planned, other = (plan_release(acting, module_stage.namespace, name) for _ in range(2))
    assert (planned.before, planned.version) == (other.before, other.version) == (None, "v1")
    assert [perform_release(acting, each)["metadata"]["name"] for each in (planned, other)] == [f"{name}-v1", f"{name}-v2"]
    assert plan_release(acting, module_stage.namespace, name).is_no_op


def test_what_is_written_to_an_object_never_reaches_another_of_its_name(acting: ActionClient, module_stage: HistoryStage) -> None:
    api, namespace, name = module_stage.api, module_stage.namespace, "again"
    module_stage.app(name, workflow=APP)
    app = api.get(kinds.APP.kind, name, namespace).body
    module_stage.create(factories.workflow_manifest(factories.in_namespace(namespace), name=name))
    with pytest.raises(Unknown, match="uid-of-another"):
        perform_draft(acting, plan_draft(namespace, name, "uid-of-another", {"description": "not here"}))
    other = {**app, "metadata": {**app["metadata"], "uid": "uid-of-another"}}
    with pytest.raises(Unknown, match="was deleted or replaced"):
        perform_suspension(acting, SuspensionPlan(other, suspend=True))
    assert api.get(kinds.WORKFLOW.kind, name, namespace).body["spec"]["description"] != "not here"
    assert "suspend" not in api.get(kinds.APP.kind, name, namespace).body["spec"]


# Promotions to another environment.


class WithoutRows(ActionClient):
    """A client for which the API server refuses new rows at this moment, except dry runs."""

    def request(self, method: str, path: str, **options: Any) -> Manifest:
        if method == "POST" and path.endswith("/deployments") and "dryRun" not in (options.get("query") or {}):
            raise errors.Unavailable("not now", 503)
        return super().request(method, path, **options)


def planned_for(acting: ActionClient, stage: HistoryStage, app: str, **options: Any) -> PromotionPlan:
    return plan_promotion(acting, PromotionRequest(stage.namespace, app, **options))


def promoted(acting: ActionClient, planned: PromotionPlan) -> HistoryRow:
    return followed(acting, perform_promotion(acting, planned).made)


def test_a_promotion_is_begun_again_where_it_was_left_and_keeps_what_is_the_targets_own(
    acting: ActionClient, module_stage: HistoryStage, production: str
) -> None:
    stage, name = module_stage, "travels"
    there = factories.in_namespace(production)
    stage.release("v1", "v2", workflow=name)
    stage.create(factories.version_manifest("v1", there, factories.with_spec(flow=factories.flow("another")), workflow=name))
    stage.app(name, workflow=name)
    source = stage.live(name, "v1", runtime=stage.default_runtime, config={"autoscaling": {"maxReplicas": 3}})
    with pytest.raises(errors.Unavailable):
        perform_promotion(WithoutRows(acting.api), planned_for(acting, stage, name))
    assert stage.api.get(kinds.APP.kind, name, production).ok
    first = promoted(acting, planned_for(acting, stage, name, message="out"))
    assert (first.version, first.message, first.provenance) == ("v2", "out", f"promoted from {stage.namespace}/{name} #1")
    assert first.config is not None
    assert first.config["autoscaling"]["maxReplicas"] == 3
    row = acting.api.get(kinds.ROW.kind, first.name, production).body["spec"]
    assert (row["promotedFrom"]["row"], row["pinned"]["promotedFrom"]) == (source, {"verified": True, "sequence": 1})
    copy = acting.api.get(kinds.WORKFLOW_VERSION.kind, f"{name}-v2", production).body
    assert copy["metadata"]["annotations"][names.ORIGIN_ANNOTATION] == f"{stage.namespace}/{name} v1", "its name was taken"
    assert planned_for(acting, stage, name).preview.no_op, "it is found again by its flow"

    scaled = followed(
        acting, perform_deploy(acting, plan_deploy(acting, DeployRequest(production, name, version="v2", config=SCALED))).made
    )
    stage.live(name, "v2")
    later = planned_for(acting, stage, name)
    assert (later.new_app, promoted(acting, later).config) == (None, scaled.config)
    claim = {"namespace": stage.namespace, "app": name, "row": source, "hash": stage.row(source)["spec"]["pinned"]["workflowHash"]}
    forged = factories.row_manifest("forged", there, factories.with_spec(app=name, workflowVersion="v1", promotedFrom=claim))
    unverified = followed(acting, stage.create(forged))
    assert unverified.provenance == f"promoted from {stage.namespace}/{name} {source} (unverified)"


SCALED = {"autoscaling": {"minReplicas": 2, "maxReplicas": 9}}


def test_who_may_not_promote_is_told_which_right_is_missing(acting: ActionClient, module_stage: HistoryStage, production: str) -> None:
    stage, name = module_stage, "kept"
    stage.app(name, workflow=APP)
    stage.live(name, "v1", runtime=stage.default_runtime)
    own = stage.api.get(kinds.APP.kind, name, stage.namespace).body["status"]["hostname"]
    with pytest.raises(Taken, match=f"App {stage.namespace}/{name} has hostname {own} already"):
        planned_for(acting, stage, name, hostname=own)
    rest.bind_user(stage.api, "alice", stage.namespace, "view")
    alice = ActionClient(stage.api.acting_as("alice"))
    with pytest.raises(NotAllowed, match="name the target's"):
        planned_for(alice, stage, name)
    rest.bind_user(stage.api, "alice", production, "view")
    planned = planned_for(alice, stage, name, target_namespace=production)
    assert any("create deployments.dynamiq.getdynamiq.ai" in warning for warning in planned.preview.warnings), planned.preview.warnings
    with pytest.raises(NotAllowed, match=r"create deployments.dynamiq.getdynamiq.ai .*create apps.dynamiq.getdynamiq.ai"):
        perform_promotion(alice, planned)
    assert stage.api.get(kinds.APP.kind, name, production).status == 404
