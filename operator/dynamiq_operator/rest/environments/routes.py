"""Lists the environments that an App can be promoted to: the namespaces of its project that the caller may read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import METADATA_ONE
from dynamiq_operator.kube.resources import APPS, NAMESPACES, VERSIONS
from dynamiq_operator.model.names import ENVIRONMENT_LABEL, workflow_version
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.context import ApiContext, ContextOf, SessionOf
from dynamiq_operator.rest.environments import responses
from dynamiq_operator.rest.http.documented import documented
from dynamiq_operator.rest.http.models import All
from dynamiq_operator.rest.http.routes import StrictRoute
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.entries import Entry
from dynamiq_operator.rest.kube.visibility import may_read, or_none
from dynamiq_operator.rest.parts.address import answered_at
from dynamiq_operator.rest.parts.requests import AppId
from dynamiq_operator.rest.reads import rights
from dynamiq_operator.rest.reads.environments import other_environments
from dynamiq_operator.rest.reads.rights import RequiredRight
from dynamiq_operator.serving.encoding import Json

router = APIRouter(prefix="/v1/apps/{app_id}/environments", tags=["environments"], route_class=StrictRoute)
OWN = "choose another environment than the App's own"


@dataclass(frozen=True)
class _Place:
    """A namespace of the project.

    `app`: the App of the same name there; None if there is none. `is_hidden`: the caller may not read that App. `has_version`: the caller
    can read that a version with the promoted version's name exists there.
    """

    namespace: Entry
    app: Manifest | None
    is_hidden: bool = False
    has_version: bool = False

    @property
    def environment(self) -> str | None:
        return self.namespace.labels.get(ENVIRONMENT_LABEL)


@router.get("", responses=documented(All[responses.Environment], 404, 422))
def environments(context: ContextOf, session: SessionOf, app_id: AppId) -> Json:
    """Returns the environments of the App's project that the caller may read, its own first, then production.

    Each shows if the caller may promote to it.
    """
    entry, source = context.open(session, APPS, app_id)
    own, others = context.index.of(NAMESPACES).named("", entry.namespace), other_environments(context, entry.namespace)
    readable = context.map_parallel(lambda other: may_read(session.api, other.name), others)
    visible = [other for other, is_readable in zip(others, readable, strict=True) if is_readable]
    places = context.map_parallel(lambda other: _place(session, other, source), visible)
    required = {place.namespace.uid: list(_required_rights(source, place)) for place in places}
    allowed = rights.evaluate(context, session, (each for some in required.values() for each in some))
    serialized = [_response(context, source, place, _lacking(required[place.namespace.uid], allowed)) for place in places]
    if own is not None:
        serialized.insert(0, _response(context, source, _Place(own, source), OWN, is_own=True))
    return Json({"data": serialized})


def _place(session: CallerSession, namespace: Entry, source: Manifest) -> _Place:
    app, is_hidden = None, False
    try:
        app = session.api.request("GET", APPS.path(namespace.name, source["metadata"]["name"]))
    except errors.NotFound:
        pass
    except errors.Forbidden:
        is_hidden = True
    return _Place(namespace, app, is_hidden, _has_version(session, namespace.name, source))


def _has_version(session: CallerSession, namespace: str, source: Manifest) -> bool:
    """Returns True if the caller can read that a version of this name exists. It does not read its flow: a preview compares that."""
    if (version := _live(source).get("workflowVersion")) is None:
        return False
    path = VERSIONS.path(namespace, workflow_version(source["spec"]["workflow"], version))
    try:
        return or_none(lambda: session.api.request("GET", path, accept=METADATA_ONE)) is not None
    except errors.NotFound:
        return False


def _required_rights(source: Manifest, place: _Place) -> Iterator[RequiredRight]:
    """Yields the rights that a promotion to a place takes.

    An App that the caller may not read counts as existing, a version that they may not read as missing.
    """
    namespace = place.namespace.name
    yield RequiredRight(rights.PROMOTE, namespace)
    yield RequiredRight(rights.PROMOTE_ROW, namespace)
    if place.app is None and not place.is_hidden:
        yield RequiredRight(rights.PROMOTE_APP, namespace)
    if _live(source) and not place.has_version:
        yield RequiredRight(rights.PROMOTE_VERSION, namespace)


def _lacking(required: list[RequiredRight], allowed: Mapping[RequiredRight, bool]) -> str | None:
    return next((right.needs for right in required if not allowed[right]), None)


def _live(app: Manifest | None) -> Mapping[str, Any]:
    live: Mapping[str, Any] | None = ((app or {}).get("status") or {}).get("live")
    return live or {}


def _response(context: ApiContext, source: Manifest, place: _Place, needs: str | None, *, is_own: bool = False) -> responses.Environment:
    app = place.app
    return responses.Environment(
        environment=place.environment,
        project_id=place.namespace.uid,
        project_name=place.namespace.name,
        is_own=is_own,
        app_id=app["metadata"]["uid"] if app is not None else None,
        live_version=_live(app).get("workflowVersion"),
        hostname=answered_at(app, context.settings) if app is not None else None,
        needs_hostname=app is None and not place.is_hidden and source["spec"].get("hostname") is not None,
        promote=rights.answer(needs is None, needs or ""),
    )
