"""Serves streams of server-sent events about an App and its rows, the Apps of a project, and those of all projects."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path

from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube.resources import APPS, NAMESPACES
from dynamiq_operator.rest.context import ApiContext, ContextOf, SessionOf
from dynamiq_operator.rest.http.documented import documented_as
from dynamiq_operator.rest.http.errors import hidden_as_unknown
from dynamiq_operator.rest.http.models import Id
from dynamiq_operator.rest.http.routes import StrictRoute
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.http.streams import EventStream
from dynamiq_operator.rest.parts.requests import AppId
from dynamiq_operator.rest.watch.feed import EventFeed
from dynamiq_operator.rest.watch.reads import require_list
from dynamiq_operator.rest.watch.subjects import AppSubject, EveryProjectSubject, ProjectSubject

router = APIRouter(prefix="/v1", tags=["apps"], route_class=StrictRoute, default_response_class=EventStream)
_EXAMPLE = 'event: ready\ndata: {}\n\nevent: removed\ndata: {"id":"fd5c5c25-d384-4a9c-ae9d-901eedb2c7be"}\n\n: ping\n\n'
_documented = partial(documented_as, "text/event-stream", _EXAMPLE, 404, 422)


@router.get(
    "/apps/{app_id}/watch",
    status_code=200,
    responses=_documented(
        says="Events: ready (read now what you show), app, deployment, removed; deleted, expired or ending before it ends."
    ),
)
async def watch_app(context: ContextOf, session: SessionOf, app_id: AppId) -> EventStream:
    """Streams the changes of the App and its deployments as server-sent events.

    `app` has the App as `GET /v1/apps/{app_id}` returns it. `deployment` has a deployment as the list does, and `ready`: how many of its
    pods are. `removed` has the id of a deployment. The stream ends after `deleted` (the App), `expired` (the token), and `ending` (this
    replica stops): connect again at once.
    """
    app, _ = await context.streams.read(session.user.id, partial(context.open, session, APPS, app_id, kube_api.METADATA_ONE))
    return EventStream(EventFeed(context.streams, session, AppSubject(context, session, app)).events())


@router.get(
    "/apps/watch",
    status_code=200,
    responses=_documented(says="Events: ready (read now what you show), app, removed; expired or ending before it ends."),
)
async def watch_apps(context: ContextOf, session: SessionOf) -> EventStream:
    """Streams the changes of the Apps of every project in which the caller may list them: `app` and `removed` events, as for an App."""
    return EventStream(EventFeed(context.streams, session, EveryProjectSubject(context, session)).events())


@router.get(
    "/projects/{project_id}/watch",
    status_code=200,
    responses=_documented(says="Events: ready (read now what you show), app, removed; expired or ending before it ends."),
)
async def watch_project(context: ContextOf, session: SessionOf, project_id: Annotated[Id, Path()]) -> EventStream:
    """Streams the changes of the Apps of a project that the caller may read: `app` and `removed` events, as for an App."""
    namespace = await context.streams.read(session.user.id, partial(_listable, context, session, project_id))
    return EventStream(EventFeed(context.streams, session, ProjectSubject(context, session, namespace)).events())


def _listable(context: ApiContext, session: CallerSession, project_id: str) -> str:
    """Returns the namespace of a project whose Apps the caller may list. Raises HttpProblem 404."""
    namespace = context.find(NAMESPACES, project_id).name
    with hidden_as_unknown("project", project_id):
        require_list(session, namespace)
    return namespace
