"""Deploys and promotes what a body says was confirmed: in the words of the contract, compared with what would be deployed now."""

from __future__ import annotations

from collections.abc import Iterable

from dynamiq_operator.actions import confirmed, idempotency
from dynamiq_operator.actions.deploy import DeployRequest, PreviewedDeploy, perform_deploy, plan_again, plan_unseen
from dynamiq_operator.actions.idempotency import KeyClaim, Performed
from dynamiq_operator.actions.promote import PromotionPlan, perform_promotion, spelled_out_promotion
from dynamiq_operator.kube.api import Api
from dynamiq_operator.rest.deployments.requests import Confirmed
from dynamiq_operator.rest.deployments.serialize import side


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
    confirmed.check(given.given(), side(plan.preview.then.as_json()))
