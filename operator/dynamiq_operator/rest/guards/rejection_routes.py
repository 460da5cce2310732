"""Lists the rejections in an App's namespace, rejects versions, and withdraws rejections."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from dynamiq_operator.actions import reads
from dynamiq_operator.actions import rejections as actions
from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS, REJECTIONS, VERSIONS
from dynamiq_operator.model.names import workflow_and_version
from dynamiq_operator.rest.context import ApiContext, ContextOf, SessionOf
from dynamiq_operator.rest.guards import responses
from dynamiq_operator.rest.guards.requests import NewRejection, Withdrawal
from dynamiq_operator.rest.http.documented import documented
from dynamiq_operator.rest.http.errors import invalid_field, unknown_id
from dynamiq_operator.rest.http.models import All, Id, One
from dynamiq_operator.rest.http.routes import StrictRoute
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.parts.requests import AppId
from dynamiq_operator.rest.reads.rows import read_row
from dynamiq_operator.serving.encoding import Json

router = APIRouter(prefix="/v1/apps/{app_id}/rejections", tags=["guards"], route_class=StrictRoute)
RejectionId = Annotated[Id, Path(description="The rejection's id: its metadata.uid.")]


@router.get("", responses=documented(All[responses.RejectionResponse], 404, 422))
def every_rejection(context: ContextOf, session: SessionOf, app_id: AppId) -> Json:
    """Returns the rejections in the App's namespace, newest first, including withdrawn ones; none if the caller may not read them.

    A flow is rejected under whatever name: a rejected version of another workflow may have the flow of one of this workflow.
    """
    app, _ = context.open_cached(session, APPS, app_id)
    try:
        manifests = kube_api.items(session.api, REJECTIONS, app.namespace)
    except (errors.NotFound, errors.Forbidden):
        manifests = []
    return Json({"data": [responses.RejectionResponse.of(each) for each in reads.newest_rejections_first(manifests)]})


@router.post(
    "",
    status_code=201,
    responses=documented(
        One[responses.RejectionResponse], 404, 409, 413, 415, 422, status=201, says="The rejection, or an existing one of the same version."
    ),
)
def reject(context: ContextOf, session: SessionOf, app_id: AppId, body: NewRejection) -> Json:
    """Rejects a version: nobody can deploy its flow, under whatever name, here or by a promotion from here, until the rejection is
    withdrawn.
    """
    app, raw = context.open_cached(session, APPS, app_id)
    row, version = None, None
    if body.deployment_id is not None:
        _, row = read_row(context, session, app, body.deployment_id.lower(), "deployment_id")
    if body.workflow_version_id is not None:
        version = _version(context, session, app.namespace, raw["spec"]["workflow"], body.workflow_version_id)
    if (row is None) is (version is None):
        raise invalid_field("workflow_version_id", "give either a version, or in deployment_id a deployment that ran it")
    plan = actions.plan_rejection(session.api, app.namespace, app.name, version, body.reason, row=row)
    return Json({"data": responses.RejectionResponse.of(actions.perform_rejection(session.api, plan))}, 201)


@router.post("/{rejection_id}/withdraw", responses=documented(One[responses.RejectionResponse], 404, 409, 413, 415, 422))
def withdraw(context: ContextOf, session: SessionOf, app_id: AppId, rejection_id: RejectionId, body: Withdrawal) -> Json:
    """Withdraws the valid rejections of a flow, which can be done once: the version may be deployed again."""
    app, _ = context.open_cached(session, APPS, app_id)
    plan = actions.plan_withdrawal(session.api, app.namespace, app.name, None, body.reason, uid=rejection_id.lower())
    withdrawn = actions.perform_withdrawal(session.api, plan)
    # If the given rejection was withdrawn before, and another one of its flow was valid, it is that one.
    chosen = next((each for each in withdrawn if each["metadata"]["uid"] == rejection_id.lower()), withdrawn[0])
    return Json({"data": responses.RejectionResponse.of(chosen)})


def _version(context: ApiContext, session: CallerSession, namespace: str, workflow: str, uid: str) -> str:
    """Returns the version of this id, which must be one of the App's workflow. Raises HttpProblem."""
    entry = context.find_all(session, workflow_version_id=(VERSIONS, uid))["workflow_version_id"]
    if entry.namespace != namespace:
        raise unknown_id("workflow version", uid, "workflow_version_id")
    owner, version = workflow_and_version(entry.name)
    if owner != workflow:
        raise invalid_field("workflow_version_id", f"{entry.name} is a version of workflow {owner}, not of {workflow}")
    return version
