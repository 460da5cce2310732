"""Parses the body of a promotion, finds its target in the index, and calls the action."""

from __future__ import annotations

from dynamiq_operator.actions import promote as promoting
from dynamiq_operator.actions.idempotency import CallerKey, Performed
from dynamiq_operator.kube.resources import NAMESPACES
from dynamiq_operator.model.names import PROJECT_LABEL
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.deployments import confirmations
from dynamiq_operator.rest.deployments.requests import PromotionFields
from dynamiq_operator.rest.http.errors import unknown_id
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.entries import Entry
from dynamiq_operator.rest.kube.visibility import may_read


def target_of(context: ApiContext, session: CallerSession, app: Entry, body: PromotionFields) -> str:
    """Returns the namespace to promote to: by id, else by labels in the index. Raises Refusal and HttpProblem.

    A namespace that the caller may not read is no target.
    """
    if body.project_id is not None:
        target = context.find(NAMESPACES, body.project_id, "project_id")
        if not may_read(session.api, target.name):
            raise unknown_id("project", body.project_id, "project_id")
        return target.name
    # From the index, because few callers may list namespaces.
    labels_by_name = {each.name: each.labels for each in context.index.of(NAMESPACES).all()}
    own = labels_by_name.get(app.namespace, {})
    project = own.get(PROJECT_LABEL)
    candidates = {
        name: labels
        for name, labels in labels_by_name.items()
        if project and labels.get(PROJECT_LABEL) == project and (name == app.namespace or may_read(session.api, name))
    }
    return promoting.target_among(candidates, app.namespace, own, body.environment)


def promote(context: ApiContext, session: CallerSession, app: Entry, body: PromotionFields, key: CallerKey | None) -> Performed:
    """Promotes; returns the row. Raises HttpProblem, Refusal and errors.ApiError."""
    request = request_of(context, app, body)
    confirmation = body.confirmed

    def perform(planned: promoting.PromotionPlan) -> Performed:
        if confirmation is None:
            return promoting.perform_promotion(session.api, planned)
        return confirmations.promote(session.api, planned, confirmation)

    if (claim := promoting.promotion_claim(request, app.uid, key, confirmation.sent() if confirmation is not None else None)) is None:
        return perform(plan(context, session, app, body))
    return promoting.promote_once(
        session.api,
        request,
        claim,
        target_of=lambda: target_of(context, session, app, body),
        places_of=lambda: context.index.places_of(claim.row, app.namespace),
        perform=perform,
    )


def plan(context: ApiContext, session: CallerSession, app: Entry, body: PromotionFields) -> promoting.PromotionPlan:
    """Returns the plan of the promotion, for its preview. Raises HttpProblem, Refusal and errors.ApiError."""
    return promoting.plan_promotion(session.api, request_of(context, app, body), target_of(context, session, app, body))


def request_of(context: ApiContext, app: Entry, body: PromotionFields) -> promoting.PromotionRequest:
    """Returns the promotion that the body describes. Raises HttpProblem."""
    target = context.find(NAMESPACES, body.project_id, "project_id").name if body.project_id is not None else None
    return promoting.PromotionRequest(
        app.namespace,
        app.name,
        environment=body.environment,
        target_namespace=target,
        hostname=body.hostname,
        message=body.message,
        bypass_reason=body.bypass_reason,
    )
