"""Promoting from staging to production: the version travels, the target keeps its own, and what is lacking is said first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dynamiq_operator.actions.follow import follow
from dynamiq_operator.actions.promote import PromotionPlan, PromotionRequest, perform_promotion, plan_promotion
from dynamiq_operator.actions.refusals import NotAllowed, Refusal, Taken, Unknown
from dynamiq_operator.kube import errors
from dynamiq_operator.model import kinds, names
from dynamiq_operator.views.history import HistoryRow
from tests.support import factories, rest
from tests.support.api import ActionClient, Api, Manifest, fresh_namespace
from tests.support.history_stage import APP, HistoryStage
from tests.support.operator import Operator


@pytest.fixture
def acting(api: Api) -> ActionClient:
    return ActionClient(api)


@pytest.fixture
def production(stage: HistoryStage, api: Api, account: Path, tmp_path: Path) -> Iterator[HistoryStage]:
    """A namespace of environment production in the project of `stage`, which is staging, and the operator for both."""
    project = stage.namespace
    label(stage, project, "staging")
    with fresh_namespace(api, "production") as namespace:
        made = replace(stage, namespace=namespace)
        label(made, project, "production")
        with Operator(account, tmp_path, [stage.namespace, namespace]):
            yield made


def label(stage: HistoryStage, project: str, environment: str) -> None:
    labels = {names.PROJECT_LABEL: project, names.ENVIRONMENT_LABEL: environment}
    named = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": stage.namespace}}
    assert stage.api.merge(named, {"metadata": {"labels": labels}}).ok


def staged(stage: HistoryStage, *modifiers: factories.Modifier, version: str = "v1") -> str:
    """An App that serves a version in staging."""
    stage.app(APP, *modifiers, workflow=APP)
    return stage.live(APP, version, runtime=stage.default_runtime, config={"autoscaling": {"maxReplicas": 3}})


def planned_for(acting: ActionClient, stage: HistoryStage, **options: Any) -> PromotionPlan:
    return plan_promotion(acting, PromotionRequest(stage.namespace, APP, **options))


def promoted(acting: ActionClient, stage: HistoryStage, production: HistoryStage, **options: str) -> HistoryRow:
    """Promotes as planned; returns the row once it is Live."""
    planned = planned_for(acting, stage, **options)
    name = perform_promotion(acting, planned).made["metadata"]["name"]
    *_, last = follow(acting, production.namespace, name, app=APP)
    assert last.succeeded, last
    return HistoryRow.of(production.row(name))


def test_a_first_promotion_makes_the_app_as_it_is_scaled_here(acting: ActionClient, stage: HistoryStage, production: HistoryStage) -> None:
    source = staged(stage)
    planned = planned_for(acting, stage)
    assert planned.target_namespace == production.namespace
    assert f"App {APP} is made in {production.namespace}" in "\n".join(planned.lines())
    row = promoted(acting, stage, production, message="out")
    assert (row.version, row.message) == ("v1", "out")
    assert row.provenance == f"promoted from {stage.namespace}/{APP} #1"
    assert row.config is not None
    assert row.config["autoscaling"]["maxReplicas"] == 3
    assert production.row(row.name)["spec"]["promotedFrom"]["row"] == source
    assert production.row(row.name)["spec"]["pinned"]["promotedFrom"] == {"verified": True, "sequence": 1}


class WithoutRows(ActionClient):
    """The API server refuses rows that are not only tried, at this moment."""

    def request(self, method: str, path: str, **options: Any) -> Manifest:
        if method == "POST" and path.endswith("/deployments") and "dryRun" not in (options.get("query") or {}):
            raise errors.Unavailable("not now", 503)
        return super().request(method, path, **options)


def test_a_first_promotion_whose_row_was_not_made_is_still_the_first(
    acting: ActionClient, stage: HistoryStage, production: HistoryStage
) -> None:
    staged(stage)
    with pytest.raises(errors.Unavailable):
        perform_promotion(without := WithoutRows(acting.api), planned_for(without, stage))
    assert production.find(kinds.APP.kind, APP) is not None
    assert production.rows(APP) == []
    row = promoted(acting, stage, production)
    assert row.config is not None
    assert row.config["autoscaling"]["maxReplicas"] == 3
    assert production.row(row.name)["spec"]["runtime"] == stage.default_runtime


def test_a_later_promotion_keeps_what_is_the_targets_own(acting: ActionClient, stage: HistoryStage, production: HistoryStage) -> None:
    staged(stage)
    promoted(acting, stage, production)
    production.live(APP, "v1", config={"autoscaling": {"minReplicas": 2, "maxReplicas": 9}})
    stage.live(APP, "v2")
    planned = planned_for(acting, stage)
    assert (planned.new_app, planned.preview.then.version) == (None, "v2")
    row = promoted(acting, stage, production)
    assert row.config is not None
    assert row.config["autoscaling"] == {"minReplicas": 2, "maxReplicas": 9, "targetCPUUtilizationPercentage": 80}
    again = planned_for(acting, stage)
    assert (again.version, again.preview.no_op) == (None, True)


def test_a_version_whose_name_is_taken_gets_the_next_free_one_and_keeps_its_origin(
    acting: ActionClient, stage: HistoryStage, production: HistoryStage
) -> None:
    staged(stage)
    production.release("v1", workflow=APP, text=factories.flow("another"))
    row = promoted(acting, stage, production)
    assert row.version == "v2"
    copy = production.get(kinds.WORKFLOW_VERSION.kind, f"{APP}-v2")
    assert copy["metadata"]["annotations"][names.ORIGIN_ANNOTATION] == f"{stage.namespace}/{APP} v1"
    assert planned_for(acting, stage).version is None, "it is found again by its flow"


def test_what_the_target_lacks_is_said_and_nothing_is_made(acting: ActionClient, stage: HistoryStage, production: HistoryStage) -> None:
    secret = {"name": "TOKEN", "secret": {"name": "vault", "key": "token"}}
    stage.create({**stage.named("Secret", "vault"), "stringData": {"token": "x"}})
    staged(stage, factories.with_variables(secret), factories.with_hostname("chat.staging.example"))
    with pytest.raises(Refusal, match="variable TOKEN needs Secret vault with a key token"):
        planned_for(acting, stage)
    vault = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "vault", "namespace": production.namespace}}
    production.create(vault)
    with pytest.raises(Refusal, match="variable TOKEN needs key token of Secret vault"):
        planned_for(acting, stage, hostname="chat.example")
    assert production.find(kinds.APP.kind, APP) is None
    assert production.find(kinds.WORKFLOW_VERSION.kind, f"{APP}-v1") is None
    assert production.api.merge(vault, {"stringData": {"token": "x"}}).ok
    with pytest.raises(Refusal, match="needs a hostname of its own there"):
        planned_for(acting, stage)
    promoted(acting, stage, production, hostname="chat.example")
    assert production.get(kinds.APP.kind, APP)["spec"]["hostname"] == "chat.example"


def test_where_it_cannot_go_is_said(acting: ActionClient, stage: HistoryStage, production: HistoryStage) -> None:
    stage.app(APP, workflow=APP)
    with pytest.raises(Refusal, match="serves nothing"):
        planned_for(acting, stage)
    stage.live(APP, "v1", runtime=stage.default_runtime)
    with pytest.raises(Unknown, match="no environment qa; there are: production, staging"):
        planned_for(acting, stage, environment="qa")
    with pytest.raises(Refusal, match="is staging itself"):
        planned_for(acting, stage, environment="staging")
    production.app(APP, workflow="other")
    with pytest.raises(Taken, match="runs workflow other"):
        planned_for(acting, stage)


def test_who_may_not_is_told_which_right_is_missing(acting: ActionClient, api: Api, stage: HistoryStage, production: HistoryStage) -> None:
    staged(stage)
    rest.bind_user(api, "alice", stage.namespace, "view")
    alice = ActionClient(api.acting_as("alice"))
    with pytest.raises(NotAllowed, match="name the target's"):
        planned_for(alice, stage)
    rest.bind_user(api, "alice", production.namespace, "view")
    planned = planned_for(alice, stage, target_namespace=production.namespace)
    assert any("create deployments.dynamiq.getdynamiq.ai" in warning for warning in planned.preview.warnings), planned.preview.warnings
    with pytest.raises(NotAllowed, match=r"create deployments.dynamiq.getdynamiq.ai .*create apps.dynamiq.getdynamiq.ai"):
        perform_promotion(alice, planned)
    assert production.find(kinds.APP.kind, APP) is None


def test_a_claim_that_does_not_hold_is_marked(stage: HistoryStage, production: HistoryStage) -> None:
    source = staged(stage)
    production.release("v1", workflow=APP, text=factories.flow("another"))
    production.app(APP, workflow=APP)
    told = stage.row(source)["spec"]["pinned"]["workflowHash"]
    claim = {"namespace": stage.namespace, "app": APP, "row": source, "hash": told}
    row = production.row(production.live(APP, "v1", runtime=stage.default_runtime, promotedFrom=claim))
    assert row["spec"]["pinned"]["promotedFrom"] == {"verified": False}
    assert HistoryRow.of(row).provenance == f"promoted from {stage.namespace}/{APP} {source} (unverified)"
