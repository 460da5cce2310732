"""Serves the user of a token, the cluster as one organisation, and as projects the namespaces that the caller may read."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from dynamiq_operator.kube.resources import NAMESPACES
from dynamiq_operator.rest.context import ContextOf, SessionOf
from dynamiq_operator.rest.http.documented import documented
from dynamiq_operator.rest.http.errors import HttpProblem, unavailable, unknown_id
from dynamiq_operator.rest.http.models import Id, Many, One
from dynamiq_operator.rest.http.pagination import PagingOf
from dynamiq_operator.rest.http.routes import StrictRoute
from dynamiq_operator.rest.identity import responses
from dynamiq_operator.rest.identity.projects import readable_projects
from dynamiq_operator.rest.kube.visibility import may_read
from dynamiq_operator.rest.parts.responses import Author
from dynamiq_operator.serving.encoding import Json

router = APIRouter(prefix="/v1", route_class=StrictRoute)
CLUSTER = "kube-system"
"""The namespace whose uid is used as the cluster's."""


@router.get("/me", tags=["identity"], responses=documented(One[responses.Me]))
def me(session: SessionOf) -> Json:
    """Returns the user of the token. 403 for a service account, which is not a user; its token is valid all the same."""
    user = session.user
    if user.is_service_account:
        raise HttpProblem(403, f"{user.username} is a service account, not a user; its token is valid")
    first, last = user.names
    return Json({"data": responses.Me(**Author.read(user.username).members(), first_name=first, last_name=last)})


@router.get("/orgs", tags=["identity"], responses=documented(Many[responses.Organisation], 422))
def organisations(context: ContextOf, paging: PagingOf) -> Json:
    """Returns the cluster, as the only organisation."""
    return paging.of([_organisation(context)], lambda item: item)


@router.get("/orgs/{org_id}", tags=["identity"], responses=documented(One[responses.Organisation], 404, 422))
def organisation(context: ContextOf, org_id: Annotated[Id, Path()]) -> Json:
    """Returns the cluster."""
    cluster = _organisation(context)
    if cluster.id != org_id.lower():
        raise unknown_id("organisation", org_id)
    return Json({"data": cluster})


@router.get("/projects", tags=["identity"], responses=documented(Many[responses.Project], 404, 422))
def every_project(
    context: ContextOf, session: SessionOf, paging: PagingOf, org_id: Annotated[Id | None, Query(description="The cluster's id.")] = None
) -> Json:
    """Returns the namespaces that the caller may read, or list Apps in."""
    organisation = _organisation(context).id
    if org_id is not None and org_id.lower() != organisation:
        raise unknown_id("organisation", org_id, "org_id")
    entries = sorted(readable_projects(context, session), key=lambda entry: (entry.created, entry.name), reverse=True)
    return paging.of(entries, lambda entry: responses.Project.of(entry.uid, entry.name, entry.labels, organisation))


@router.get("/projects/{project_id}", tags=["identity"], responses=documented(One[responses.Project], 404, 422))
def project(context: ContextOf, session: SessionOf, project_id: Annotated[Id, Path()]) -> Json:
    """Returns a namespace."""
    entry = context.find(NAMESPACES, project_id)
    if not may_read(session.api, entry.name):
        raise unknown_id("project", project_id)
    return Json({"data": responses.Project.of(entry.uid, entry.name, entry.labels, _organisation(context).id)})


def _organisation(context: ContextOf) -> responses.Organisation:
    entry = context.index.of(NAMESPACES).named("", CLUSTER)
    if entry is None:
        raise unavailable("the cluster's id is unknown yet")
    return responses.Organisation(id=entry.uid, name="kubernetes")
