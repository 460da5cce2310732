"""Access Keys: who may call an App. They are in a Secret, which is read and written with the caller's own rights."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Path
from starlette.responses import Response

from dynamiq_operator.actions import access_keys as actions
from dynamiq_operator.actions.refusals import NotNow
from dynamiq_operator.kube.api import METADATA_ONE
from dynamiq_operator.kube.resources import APPS
from dynamiq_operator.rest.access_keys import responses
from dynamiq_operator.rest.access_keys.requests import NewAccessKey
from dynamiq_operator.rest.context import ContextOf, SessionOf
from dynamiq_operator.rest.http.documented import OF_A_WRITE, documented
from dynamiq_operator.rest.http.models import All, One
from dynamiq_operator.rest.http.routes import StrictRoute
from dynamiq_operator.rest.parts.requests import AppId
from dynamiq_operator.serving.encoding import Json

router = APIRouter(prefix="/v1/apps/{app_id}/access-keys", tags=["access keys"], route_class=StrictRoute)


@router.get("", responses=documented(All[responses.AccessKey], 404, 422))
def every_key(context: ContextOf, session: SessionOf, app_id: AppId) -> Json:
    """Returns the App's keys by name, without their values. There is none before its first deployment, which creates one."""
    app, _ = context.open(session, APPS, app_id, METADATA_ONE)
    try:
        keys = actions.known_keys(session.api, app.namespace, app.name, app.uid)
    except NotNow:
        keys = []
    return Json({"data": [responses.AccessKey.read(vars(key)) for key in keys]})


@router.post("", status_code=201, responses=documented(One[responses.MadeAccessKey], *OF_A_WRITE, status=201, says="The key, once."))
def create_key(context: ContextOf, session: SessionOf, app_id: AppId, body: Annotated[NewAccessKey | None, Body()] = None) -> Json:
    """Creates a random key and returns its value: this once, and never again."""
    app, _ = context.open(session, APPS, app_id, METADATA_ONE)
    plan = actions.plan_key(session.api, app.namespace, app.name, body.name if body is not None else None, app.uid)
    performed = actions.perform_key(session.api, plan)
    value = plan.value or ""
    made = responses.MadeAccessKey(name=plan.name, begins=value[: actions.SHOWN], value=value, is_announced=performed.is_announced)
    return Json({"data": made}, 201)


@router.delete("/{name}", status_code=204, responses=documented(None, *OF_A_WRITE, status=204))
def revoke_key(
    context: ContextOf,
    session: SessionOf,
    app_id: AppId,
    name: Annotated[str, Path(min_length=1, max_length=253, description="The key's name.")],
) -> Response:
    """Revokes a key.

    Callers with it are refused in a few seconds, a minute at most. If the caller may not change the App, that takes 60 to 90 s.
    """
    app, _ = context.open(session, APPS, app_id, METADATA_ONE)
    actions.perform_key(session.api, actions.plan_revocation(session.api, app.namespace, app.name, name, app.uid))
    return Response(status_code=204)
