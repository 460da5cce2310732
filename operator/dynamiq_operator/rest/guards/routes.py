"""Serves waiting rows and their approvals, the guards that would block a deploy now, suspension, and the policies of the cluster."""

from __future__ import annotations

from fastapi import APIRouter

from dynamiq_operator.actions import approvals as actions
from dynamiq_operator.actions import waiting
from dynamiq_operator.actions.approvals import ApprovalRequest
from dynamiq_operator.actions.suspend import perform_suspension, plan_suspension
from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS, DEPLOY_POLICIES
from dynamiq_operator.model.approval import Purpose
from dynamiq_operator.rest.apps.details import read_details
from dynamiq_operator.rest.apps.responses import AppDetails
from dynamiq_operator.rest.context import ApiContext, ContextOf, SessionOf
from dynamiq_operator.rest.guards import responses
from dynamiq_operator.rest.guards.requests import NewApproval
from dynamiq_operator.rest.http.documented import OF_A_WRITE, documented
from dynamiq_operator.rest.http.errors import HttpProblem
from dynamiq_operator.rest.http.idempotency_key import REPLAYED, KeyOf
from dynamiq_operator.rest.http.models import All, One
from dynamiq_operator.rest.http.routes import StrictRoute
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.parts.deployment import WaitsResponse
from dynamiq_operator.rest.parts.requests import AppId
from dynamiq_operator.rest.parts.responses import author
from dynamiq_operator.rest.reads.rows import DeploymentId, read_row
from dynamiq_operator.serving.encoding import Json
from dynamiq_operator.views.waiting import waits_of

router = APIRouter(prefix="/v1", tags=["guards"], route_class=StrictRoute)


@router.get("/apps/{app_id}/guards", responses=documented(One[responses.StandingResponse], 404, 422))
def standing(context: ContextOf, session: SessionOf, app_id: AppId) -> Json:
    """Returns the guards that would block a new deployment of the App, until when, and the deployments that wait already.

    The sentences are the operator's own: reading them takes only the right to read the App.
    """
    details = read_details(context, session, context.find(APPS, app_id))
    chosen = {name: getattr(details, name) for name in responses.StandingResponse.model_fields}
    return Json({"data": responses.StandingResponse(**chosen)})


@router.post("/apps/{app_id}/suspend", responses=documented(One[AppDetails], *OF_A_WRITE))
def suspend(context: ContextOf, session: SessionOf, app_id: AppId) -> Json:
    """Suspends deploys of the App, bypasses included, until this is taken off. Running pods stay."""
    return _set_suspended(context, session, app_id, suspend=True)


@router.post("/apps/{app_id}/unsuspend", responses=documented(One[AppDetails], *OF_A_WRITE))
def unsuspend(context: ContextOf, session: SessionOf, app_id: AppId) -> Json:
    """Takes the suspension off: rows that waited only for that are deployed."""
    return _set_suspended(context, session, app_id, suspend=False)


@router.get("/apps/{app_id}/deployments/{deployment_id}/preview", responses=documented(One[responses.WaitingPreview], 404, 409, 422))
def preview_waiting(context: ContextOf, session: SessionOf, app_id: AppId, deployment_id: DeploymentId) -> Json:
    """Returns the effects of a waiting deployment, compared with what is live now: what its author saw. 409 if it has ended."""
    app, _ = context.open_cached(session, APPS, app_id)
    _, row = read_row(context, session, app, deployment_id)
    spec, waits = row["spec"], waits_of(row)
    preview = responses.WaitingPreview.read(
        waiting.preview_of(session.api, row).as_json(),
        deployment_id=row["metadata"]["uid"],
        digest=spec["pinned"]["digest"],
        created_by=author(spec.get("createdBy")),
        message=spec.get("message"),
        base=spec["pinned"].get("base"),
        waiting_for=WaitsResponse.read(waits) if waits else None,
    )
    return Json({"data": preview})


@router.get("/apps/{app_id}/deployments/{deployment_id}/approvals", responses=documented(All[responses.ApprovalResponse], 404, 422))
def approvals(context: ContextOf, session: SessionOf, app_id: AppId, deployment_id: DeploymentId) -> Json:
    """Returns the decisions on the deployment, oldest first; none if the caller may not read Approvals."""
    app, _ = context.open_cached(session, APPS, app_id)
    _, row = read_row(context, session, app, deployment_id)
    return Json({"data": [responses.ApprovalResponse.of(each, row) for each in actions.approvals_of(session.api, app.namespace, row)]})


@router.post(
    "/apps/{app_id}/deployments/{deployment_id}/approvals",
    status_code=201,
    responses=documented(One[responses.MadeApproval], *OF_A_WRITE, status=201, says="The Approval, and what is still missing."),
)
def approve(
    context: ContextOf, session: SessionOf, app_id: AppId, deployment_id: DeploymentId, body: NewApproval, key: KeyOf = None
) -> Json:
    """Approves, resumes, rejects or withdraws a waiting deployment. A decision never changes: to revoke an approval, reject.

    409 if the deployment has ended, waits for nothing, or has another `digest`.
    """
    app, _ = context.open_cached(session, APPS, app_id)
    _, row = read_row(context, session, app, deployment_id)
    request = ApprovalRequest(app.namespace, app.name, Purpose(body.purpose), row["metadata"]["name"], body.message, body.digest)
    plan = actions.plan_approval(session.api, request, user=session.user.username, key=key)
    made, is_replayed = (plan.existing, False) if plan.existing is not None else actions.perform_approval(session.api, plan)
    summary = {"says": actions.outcome_lines(plan, made), "is_no_op": plan.existing is not None, "warnings": list(plan.warnings)}
    return Json({"data": responses.MadeApproval.of(made, row, **summary)}, 201, REPLAYED if is_replayed else None)


@router.get("/deploy-policies", responses=documented(All[responses.Policy], 422))
def policies(session: SessionOf) -> Json:
    """Returns the DeployPolicies of the cluster, by name, for callers who may read them. The guards of an App are also in the App."""
    try:
        listed = kube_api.items(session.api, DEPLOY_POLICIES)
    except errors.Forbidden as error:
        raise HttpProblem(403, f"{error}: without this right, an App's guards show what blocks it") from None
    return Json({"data": [responses.Policy.of(each) for each in sorted(listed, key=lambda each: str(each["metadata"]["name"]))]})


def _set_suspended(context: ApiContext, session: CallerSession, app_id: str, *, suspend: bool) -> Json:
    entry, _ = context.open(session, APPS, app_id)
    changed = perform_suspension(session.api, plan_suspension(session.api, entry.namespace, entry.name, suspend=suspend))
    context.index.of(APPS).put(changed)
    return Json({"data": read_details(context, session, entry)})
