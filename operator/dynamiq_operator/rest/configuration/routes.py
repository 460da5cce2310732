"""Reads the configuration of an App with its version, and changes it over that version alone."""

from __future__ import annotations

from fastapi import APIRouter

from dynamiq_operator.actions.configuration import Outdated, perform_change
from dynamiq_operator.kube.resources import APPS
from dynamiq_operator.rest.configuration import responses
from dynamiq_operator.rest.configuration.requests import ConfigurationChange
from dynamiq_operator.rest.context import ContextOf, SessionOf
from dynamiq_operator.rest.http.documented import documented
from dynamiq_operator.rest.http.errors import HttpProblem
from dynamiq_operator.rest.http.models import One
from dynamiq_operator.rest.http.routes import StrictRoute
from dynamiq_operator.rest.parts.requests import AppId
from dynamiq_operator.serving.encoding import Json

router = APIRouter(prefix="/v1/apps/{app_id}/configuration", tags=["configuration"], route_class=StrictRoute)
ONE = One[responses.Configuration]


@router.get("", responses=documented(ONE, 404, 422))
def configuration(context: ContextOf, session: SessionOf, app_id: AppId) -> Json:
    """Returns the settings of the App that outlive its deployments, and the version that a change of them names."""
    return Json({"data": responses.Configuration.of(context.read(session, APPS, context.find(APPS, app_id)))})


@router.patch("", responses=documented(ONE, 404, 409, 413, 415, 422))
def change_configuration(context: ContextOf, session: SessionOf, app_id: AppId, body: ConfigurationChange) -> Json:
    """Changes the given fields, and leaves the rest.

    If somebody changed the configuration since it was read, nothing is written: 409. `details` then has the current value `now` of each
    such field, and the new `object_version`. A hostname that another App has is accepted: the App lists it in its `problems`, and gets none
    of that hostname's callers.
    """
    app = context.read(session, APPS, context.find(APPS, app_id))
    try:
        changed = perform_change(session.api, app, body.object_version, body.as_spec())
    except Outdated as error:
        raise _outdated(error) from None
    context.index.of(APPS).put(changed)
    return Json({"data": responses.Configuration.of(changed)})


def _outdated(error: Outdated) -> HttpProblem:
    now = responses.Configuration.of(error.app).members()
    fields = [responses.NAMES.get(field, field) for field in error.fields]
    details = {**{field: {"now": now[field]} for field in fields}, "object_version": now["object_version"]}
    return HttpProblem(409, f"{error}: {', '.join(fields)}; nothing was written. Read it again, and change that", details)
