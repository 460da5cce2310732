"""Deploys and promotes what a body says was confirmed: in the words of the contract, compared with what would be deployed now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dynamiq_operator.actions import confirmed, idempotency
from dynamiq_operator.actions.deploy import DeployRequest, PreviewedDeploy, perform_deploy, plan_again, plan_unseen
from dynamiq_operator.actions.idempotency import KeyClaim, Performed
from dynamiq_operator.actions.promote import PromotionPlan, perform_promotion, spelled_out_promotion
from dynamiq_operator.kube.api import Api
from dynamiq_operator.rest.deployments.requests import Confirmed
from dynamiq_operator.rest.deployments.serialize import side
from dynamiq_operator.rest.shared.serialize import guard


def deploy(api: Api, request: DeployRequest, claim: KeyClaim | None, given: Confirmed, elsewhere: Iterable[str]) -> Performed:
    """Deploys what was confirmed. Raises Changed, and as planning and performing do."""
    if claim is not None and (found := idempotency.find_claimed_row(api, [request.namespace, *elsewhere], claim)) is not None:
        return Performed(found, is_replayed=True)
    plan = plan_again(api, plan_unseen(request, claim))
    _check(plan, given)
    return perform_deploy(api, confirmed.spelled_out(api, plan), elsewhere=elsewhere)


def promote(api: Api, plan: PromotionPlan, given: Confirmed) -> Performed:
    """Promotes what was confirmed. Raises Changed, and as performing does."""
    _check(plan.deploy, given)
    return perform_promotion(api, spelled_out_promotion(api, plan))


def _check(plan: PreviewedDeploy, given: Confirmed) -> None:
    wanted, then, live = given.given(), plan.preview.then, plan.preview.now
    now = {
        **side(then.as_json()),
        "from": side(live.as_json()) if live is not None else None,
        "under_way": plan.preview.under_way,
        "guards": [guard(each.as_json()) for each in plan.preview.guards],
        "begins_hold": plan.preview.begins_hold,
    }
    # A side tells compute twice: what differs is told once, and a config that says nothing of it is compared without.
    inner = (wanted.get("config") or {}).get("config") or {}
    # What has another shape than a config differs, and is told as it was given.
    if wanted.get("config") and isinstance(inner, dict) and ("resources" in wanted or "resources" not in inner):
        wanted, now = _without_compute(wanted), _without_compute(now)
    confirmed.check(wanted, now)


def _without_compute(of: Mapping[str, Any]) -> dict[str, Any]:
    config = of["config"]
    named = {name: value for name, value in (config.get("config") or {}).items() if name != "resources"}
    return {**of, "config": {**config, "config": named}}
