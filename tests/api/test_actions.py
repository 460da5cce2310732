"""Deploy, roll back and release as every surface does them: what the preview says is what the operator then does."""

from __future__ import annotations

import pytest

from dynamiq_operator.actions.deploy import DeployRequest, PreviewedDeploy, perform_deploy, plan_deploy
from dynamiq_operator.actions.draft import perform_draft, plan_draft
from dynamiq_operator.actions.follow import follow
from dynamiq_operator.actions.refusals import Refusal, Unknown
from dynamiq_operator.actions.release import perform_release, plan_release
from dynamiq_operator.actions.rollback import RollbackRequest, plan_rollback, resolve
from dynamiq_operator.actions.suspend import SuspensionPlan, perform_suspension
from dynamiq_operator.model import kinds
from dynamiq_operator.views.history import HistoryRow, history
from tests.support import factories
from tests.support.api import ActionClient, Api
from tests.support.history_stage import APP, HistoryStage
from tests.support.operator import Operator


@pytest.fixture
def acting(api: Api) -> ActionClient:
    return ActionClient(api)


@pytest.fixture
def served(stage: HistoryStage, operator: Operator) -> HistoryStage:
    """An App that ran v1, then v2."""
    stage.app(APP, workflow=APP)
    stage.live(APP, "v1", runtime=stage.default_runtime)
    stage.live(APP, "v2", config={"autoscaling": {"maxReplicas": 4}})
    return stage


def asked(stage: HistoryStage, **fields: object) -> DeployRequest:
    return DeployRequest(stage.namespace, APP, **fields)  # type: ignore[arg-type]


def carried_out(acting: ActionClient, stage: HistoryStage, planned: PreviewedDeploy) -> HistoryRow:
    """Does what was planned, waits for its end, and checks that what it pinned is what the preview said."""
    name = perform_deploy(acting, planned).made["metadata"]["name"]
    *_, last = follow(acting, stage.namespace, name, app=APP)
    assert last.succeeded, last
    row = stage.row(name)
    pinned = row["spec"]["pinned"]
    then = planned.preview.then
    assert (pinned["workflowVersion"], pinned["workflowHash"]) == (then.version, then.flow_hash)
    assert (pinned["runtime"]["version"], pinned["config"]) == (then.runtime, then.config)
    return HistoryRow.of(row)


def template_of(stage: HistoryStage) -> tuple[str, str]:
    return stage.mounted()


def test_a_deploy_is_what_its_preview_said(acting: ActionClient, served: HistoryStage) -> None:
    before = template_of(served)
    planned = plan_deploy(acting, asked(served, version="v3", message="why not"))
    assert planned.preview.now is not None
    assert (planned.preview.now.version, planned.preview.now.sequence, planned.preview.then.version) == ("v2", 2, "v3")
    assert planned.preview.restarts
    assert not planned.preview.no_op
    changed = [line for line in planned.preview.flow_diff if line[0] in "+-" and line[:3] not in ("+++", "---")]
    assert [line[0] for line in changed] == ["-", "+"]
    assert "v2" in changed[0]
    assert "v3" in changed[1]
    row = carried_out(acting, served, planned)
    assert row.message == "why not"
    assert template_of(served) != before


def test_a_change_of_scaling_alone_restarts_nothing(acting: ActionClient, served: HistoryStage) -> None:
    before = template_of(served)
    planned = plan_deploy(acting, asked(served, version="v2", config={"autoscaling": {"minReplicas": 2}}))
    assert (planned.preview.restarts, planned.preview.no_op, planned.preview.flow_diff) == (False, False, ())
    assert planned.preview.then.config["autoscaling"] == {"minReplicas": 2, "maxReplicas": 4, "targetCPUUtilizationPercentage": 80}
    carried_out(acting, served, planned)
    assert template_of(served) == before


def test_what_runs_already_is_a_no_op_and_one_more_row(acting: ActionClient, served: HistoryStage) -> None:
    planned = plan_deploy(acting, asked(served, version="v2"))
    assert (planned.preview.restarts, planned.preview.no_op) == (False, True)
    assert carried_out(acting, served, planned).sequence == 3


def test_a_rollback_goes_to_the_last_good_row_and_keeps_the_scaling(acting: ActionClient, served: HistoryStage) -> None:
    planned = plan_rollback(acting, RollbackRequest(served.namespace, APP))
    assert planned.preview.then.version == "v1"
    assert planned.preview.then.config["autoscaling"]["maxReplicas"] == 4
    row = carried_out(acting, served, planned)
    assert row.provenance == "restores #1"
    with pytest.raises(Refusal, match="has never run anything but v1 before row #1, which it brought back"):
        plan_rollback(acting, RollbackRequest(served.namespace, APP))


def test_a_rollback_brings_the_config_back_where_asked(acting: ActionClient, served: HistoryStage) -> None:
    planned = plan_rollback(acting, RollbackRequest(served.namespace, APP, row=1, with_config=True))
    assert planned.preview.then.config["autoscaling"]["maxReplicas"] == 2
    carried_out(acting, served, planned)


def test_a_rollback_finds_what_a_version_ran_though_the_version_is_gone(acting: ActionClient, served: HistoryStage) -> None:
    served.delete(kinds.WORKFLOW_VERSION.kind, f"{APP}-v1")
    planned = plan_rollback(acting, RollbackRequest(served.namespace, APP, version="v1"))
    assert planned.record["spec"]["restores"] == served.rows(APP)[0]["metadata"]["name"]
    assert planned.preview.flow_diff
    assert carried_out(acting, served, planned).version == "v1"


def test_what_cannot_be_done_is_said_with_the_next_step(acting: ActionClient, served: HistoryStage) -> None:
    where = f"in namespace {served.namespace}"
    refusals: list[tuple[type[Refusal], str, object]] = [
        (Unknown, f"no version v9 of {APP}; released are v1 to v4", lambda: plan_deploy(acting, asked(served, version="v9"))),
        (Unknown, f"no App other {where}; Apps there: {APP}", lambda: plan_deploy(acting, DeployRequest(served.namespace, "other"))),
        (Unknown, f"no row #9 of {APP} {where}; rows are #1 to #2", lambda: resolve(acting, RollbackRequest(served.namespace, APP, row=9))),
        (Unknown, "no Runtime none; there are: ", lambda: plan_deploy(acting, asked(served, runtime="none"))),
        (Refusal, "to scale to zero, use type serverless", lambda: plan_deploy(acting, asked(served, config=_scaled(0)))),
        (Refusal, "minReplicas 5 is above maxReplicas 4", lambda: plan_deploy(acting, asked(served, config=_scaled(5)))),
        (Refusal, "give type serverless with it", lambda: plan_deploy(acting, asked(served, config={"idleSeconds": 9}))),
        (Refusal, "less than or equal to 1000", lambda: plan_deploy(acting, asked(served, config=_scaled(2000)))),
    ]
    for kind, sentence, action in refusals:
        with pytest.raises(kind) as refusal:
            action()  # type: ignore[operator]
        assert sentence in str(refusal.value)
    assert len(served.rows(APP)) == 2


def _scaled(fewest: int) -> dict[str, object]:
    return {"autoscaling": {"minReplicas": fewest}}


def test_a_first_deploy_has_nothing_to_go_back_to(acting: ActionClient, stage: HistoryStage, operator: Operator) -> None:
    stage.app(APP, workflow=APP)
    with pytest.raises(Refusal, match="nothing to go back to"):
        resolve(acting, RollbackRequest(stage.namespace, APP))
    planned = plan_deploy(acting, asked(stage, version="v1", runtime=stage.default_runtime))
    assert planned.preview.now is None
    assert "pods are started" in "\n".join(planned.preview.lines())
    carried_out(acting, stage, planned)
    with pytest.raises(Refusal, match="has never run anything but v1"):
        resolve(acting, RollbackRequest(stage.namespace, APP))


def test_a_failed_deploy_is_followed_to_its_reason(acting: ActionClient, served: HistoryStage) -> None:
    beyond = {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}
    planned = plan_deploy(acting, asked(served, version="v3", config=beyond))
    name = perform_deploy(acting, planned).made["metadata"]["name"]
    *_, last = follow(acting, served.namespace, name, app=APP)
    assert (last.phase, last.succeeded) == ("Failed", False)
    assert last.message
    newest = history(served.rows(APP))[0]
    assert (newest.status, newest.reason) == ("Failed", last.message)
    assert resolve(acting, RollbackRequest(served.namespace, APP)).restores == served.rows(APP)[0]["metadata"]["name"], "v2 is live"


def test_a_draft_is_released_under_the_next_number(acting: ActionClient, stage: HistoryStage) -> None:
    stage.create(factories.workflow_manifest(factories.in_namespace(stage.namespace), name=APP))
    planned = plan_release(acting, stage.namespace, APP)
    assert (planned.before, planned.version, planned.is_no_op) == ("v4", "v5", False)
    other = plan_release(acting, stage.namespace, APP)
    assert perform_release(acting, planned)["metadata"]["name"] == f"{APP}-v5"
    assert perform_release(acting, other)["metadata"]["name"] == f"{APP}-v6"
    again = plan_release(acting, stage.namespace, APP)
    assert again.is_no_op
    assert "nothing changed since v6" in "\n".join(again.lines())
    with pytest.raises(Unknown, match=f"workflows there: {APP}"):
        plan_release(acting, stage.namespace, "none")


def test_what_is_written_to_an_object_never_reaches_another_of_its_name(acting: ActionClient, served: HistoryStage, api: Api) -> None:
    app = api.get("App", APP, served.namespace).body
    workflow = factories.workflow_manifest(factories.in_namespace(served.namespace), factories.with_meta(name="again"))
    assert api.create(workflow).ok
    with pytest.raises(Unknown, match="uid-of-another"):
        perform_draft(acting, plan_draft(served.namespace, "again", "uid-of-another", {"description": "not here"}))
    other = {**app, "metadata": {**app["metadata"], "uid": "uid-of-another"}}
    with pytest.raises(Unknown, match="another one by now"):
        perform_suspension(acting, SuspensionPlan(other, suspend=True))
    assert api.get("Workflow", "again", served.namespace).body["spec"]["description"] != "not here"
    assert "suspend" not in api.get("App", APP, served.namespace).body["spec"]
