"""Apps: list, create, read, delete."""

from __future__ import annotations

import logging
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from dynamiq_operator.actions.create_app import perform_app, plan_app
from dynamiq_operator.actions.delete_app import perform_deletion, plan_deletion
from dynamiq_operator.actions.refusals import LeftBehind
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS, NAMESPACES, ROWS, WORKFLOWS
from dynamiq_operator.rest.apps import listing, responses
from dynamiq_operator.rest.apps.details import read_details
from dynamiq_operator.rest.apps.parse import app_request
from dynamiq_operator.rest.apps.requests import NewApp
from dynamiq_operator.rest.context import ContextOf, SessionOf
from dynamiq_operator.rest.http.documented import OF_A_WRITE, documented
from dynamiq_operator.rest.http.errors import HttpProblem, invalid_field, unknown_id
from dynamiq_operator.rest.http.idempotency_key import REPLAYED, KeyOf
from dynamiq_operator.rest.http.models import Id, Many, One
from dynamiq_operator.rest.http.pagination import PagingOf
from dynamiq_operator.rest.http.routes import StrictRoute
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.visibility import may_read
from dynamiq_operator.rest.parts.config_fields import FIRST_CONFIG
from dynamiq_operator.rest.parts.requests import AppId
from dynamiq_operator.serving.encoding import Json

LOG = logging.getLogger(__name__)
router = APIRouter(prefix="/v1/apps", tags=["apps"], route_class=StrictRoute)


@router.get("", responses=documented(Many[responses.AppResponse], 404, 422))
def every_app(
    context: ContextOf,
    session: SessionOf,
    paging: PagingOf,
    project_id: Annotated[Id | None, Query(description="Only Apps of this project.")] = None,
    workflow_id: Annotated[Id | None, Query(description="Only Apps of this workflow.")] = None,
    include_archived: Annotated[bool, Query(description="Has no effect: no App is archived.")] = False,  # noqa: ARG001 - clients send it
) -> Json:
    """Returns the Apps that the caller may list."""
    namespace, workflow = "", None
    if project_id is not None:
        namespace = context.find(NAMESPACES, project_id, "project_id").name
    if workflow_id is not None:
        if project_id is not None:
            _check_readable(session, namespace, "project", project_id)
        workflow = context.find(WORKFLOWS, workflow_id, "workflow_id")
        if namespace not in ("", workflow.namespace):
            _check_readable(session, workflow.namespace, "workflow", workflow_id)
            raise invalid_field("workflow_id", "this workflow belongs to another project than project_id")
    try:
        if workflow is not None:
            page = listing.page_of_workflow(session, workflow, paging)
        else:
            page = listing.page(context, session, namespace, paging)
    except errors.Forbidden:
        if workflow_id is not None:
            raise unknown_id("workflow", workflow_id, "workflow_id") from None
        if project_id is not None:
            raise unknown_id("project", project_id, "project_id") from None
        page = listing.page_of_listable(context, session, paging)
    return paging.answer(page.apps, page.total, listing.read_context(context, session, page).response)


@router.post("", status_code=201, responses=documented(One[responses.AppResponse], *OF_A_WRITE, status=201, says="The App."))
def create_app(context: ContextOf, session: SessionOf, body: NewApp, key: KeyOf = None) -> Json:
    """Creates the App and its first deployment. If that is refused, nothing is left of the App."""
    project = context.find(NAMESPACES, body.project_id, "project_id")
    try:
        request = app_request(context, session, project, body)
        plan = plan_app(session.api, request, session.user.username, project.uid, key, default_config=FIRST_CONFIG)
        performed = perform_app(session.api, plan)
    except (HttpProblem, errors.Denied) as error:
        # Any other answer would tell a caller who may not see the project that it exists.
        if error.status != 401 and not may_read(session.api, project.name):
            raise unknown_id("project", body.project_id, "project_id") from None
        raise
    except LeftBehind as error:
        LOG.warning("App %s is left without a row in %s: %s", error.uid, project.name, error.__cause__)
        raise
    context.index.of(APPS).put(performed.app)
    context.index.of(ROWS).put(performed.row)
    made = responses.AppResponse.of(context, performed.app, performed.row, [performed.row], None, latest=performed.row)
    return Json({"data": made}, 201, REPLAYED if performed.is_replayed else None)


@router.get("/{app_id}", responses=documented(One[responses.AppDetails], 404, 422))
def app(context: ContextOf, session: SessionOf, app_id: AppId) -> Json:
    """Returns the App, what it serves and what is under way, its conditions, and what Git declares."""
    return Json({"data": read_details(context, session, context.find(APPS, app_id))})


@router.delete("/{app_id}", status_code=204, responses=documented(None, 404, 409, 422, status=204))
def delete_app(context: ContextOf, session: SessionOf, app_id: AppId) -> Response:
    """Deletes the App with its history and triggers. An App whose history is protected stays: 403."""
    entry = context.find(APPS, app_id)
    try:
        perform_deletion(session.api, plan_deletion(entry.namespace, entry.name, entry.uid))
    except errors.Denied:
        context.read(session, APPS, entry)
        raise
    context.index.of(APPS).remove(entry.uid)
    return Response(status_code=204)


def _check_readable(session: CallerSession, namespace: str, what: str, uid: str) -> None:
    """Raises HttpProblem 404 if the caller may not see the namespace: a filter by two ids must not reveal if one of them exists."""
    if not may_read(session.api, namespace):
        raise unknown_id(what, uid, f"{what}_id")
