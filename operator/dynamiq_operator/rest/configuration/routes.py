"""Reads the configuration of an App with its version, and changes it over that version alone."""

from __future__ import annotations

from fastapi import APIRouter

from dynamiq_operator.actions.configuration import Outdated, perform_change
from dynamiq_operator.kube.resources import APPS
from dynamiq_operator.rest.configuration import responses
from dynamiq_operator.rest.configuration.requests import ConfigurationChange
from dynamiq_operator.rest.context import ContextOf, SessionOf
from dynamiq_operator.rest.http.documented import OF_A_WRITE, documented
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
    return Json({"data": responses.Configuration.of(context.open(session, APPS, app_id)[1])})


@router.patch("", responses=documented(ONE, *OF_A_WRITE))
def change_configuration(context: ContextOf, session: SessionOf, app_id: AppId, body: ConfigurationChange) -> Json:
    """Changes the given fields, and leaves the rest.

    If somebody changed the configuration since it was read, nothing is written: 409. `details` then has the current value `now` of each
    such field, and the new `object_version`. A hostname that another App has is accepted: the App lists it in its `problems`, and gets none
    of that hostname's callers.
    """
    _, app = context.open(session, APPS, app_id)
    try:
        changed = perform_change(session.api, app, body.object_version, body.as_spec(app["spec"].get("access") or {}))
    except Outdated as error:
        raise _outdated(error) from None
    context.index.of(APPS).put(changed)
    return Json({"data": responses.Configuration.of(changed)})


def _outdated(error: Outdated) -> HttpProblem:
    now = responses.Configuration.of(error.app).members()
    fields = [name for field in error.fields for name in responses.NAMES.get(field, (field,))]
    details = {**{field: {"now": now[field]} for field in fields}, "object_version": now["object_version"]}
    return HttpProblem(409, f"{error}: {', '.join(fields)}; nothing was written. Read it again, and change that", details)
