"""Deploys and promotes what a request confirmed, after comparing it with what would be deployed now, in terms of the contract."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dynamiq_operator.actions import confirmed, idempotency
from dynamiq_operator.actions.deploy import DeployRequest, PreviewedDeploy, perform_deploy, plan_again, plan_unseen
from dynamiq_operator.actions.idempotency import KeyClaim, Performed
from dynamiq_operator.actions.promote import PromotionPlan, perform_promotion, spelled_out_promotion
from dynamiq_operator.kube.api import Api
from dynamiq_operator.model.guards import ApprovalWhen
from dynamiq_operator.rest.deployments.requests import Confirmed
from dynamiq_operator.rest.deployments.responses import PreviewSide
from dynamiq_operator.rest.parts.deployment import GuardResponse


def deploy(api: Api, request: DeployRequest, claim: KeyClaim | None, confirmation: Confirmed, elsewhere: Iterable[str]) -> Performed:
    """Deploys what was confirmed. Raises Changed, and as planning and performing do."""
    if claim is not None and (row := idempotency.find_claimed_row(api, [request.namespace, *elsewhere], claim)) is not None:
        return Performed(row, is_replayed=True)
    plan = plan_again(api, plan_unseen(request, claim))
    _check(plan, confirmation)
    return perform_deploy(api, confirmed.spelled_out(api, plan), elsewhere=elsewhere)


def promote(api: Api, plan: PromotionPlan, confirmation: Confirmed) -> Performed:
    """Promotes what was confirmed. Raises Changed, and as performing does."""
    _check(plan.deploy, confirmation)
    return perform_promotion(api, spelled_out_promotion(api, plan))


def _check(plan: PreviewedDeploy, confirmation: Confirmed) -> None:
    expected, then, live = confirmation.sent(), plan.preview.then, plan.preview.now
    # Callers are counted for the preview alone, so guards that depend on them are not compared.
    conditional = [GuardResponse.read(each.as_json()).plain() for each in plan.preview.guards if each.when is ApprovalWhen.BREAKING]
    if expected.get("guards"):
        expected = {**expected, "guards": [each for each in expected["guards"] if each not in conditional]}
    now = {
        **PreviewSide.read(then.as_json()).plain(),
        "from": PreviewSide.read(live.as_json()).plain() if live is not None else None,
        "under_way": plan.preview.under_way,
        "guards": [guard for each in plan.preview.guards if (guard := GuardResponse.read(each.as_json()).plain()) not in conditional],
        "begins_hold": plan.preview.begins_hold,
    }
    # A side has the resources twice: a difference is reported once, and a config without them is compared without.
    inner = (expected.get("config") or {}).get("config") or {}
    # Anything of another shape than a config differs, and is reported unchanged.
    if expected.get("config") and isinstance(inner, dict) and ("resources" in expected or "resources" not in inner):
        expected, now = _without_compute(expected), _without_compute(now)
    confirmed.check(expected, now)


def _without_compute(part: Mapping[str, Any]) -> dict[str, Any]:
    config = part["config"]
    fields = {name: value for name, value in (config.get("config") or {}).items() if name != "resources"}
    return {**part, "config": {**config, "config": fields}}
