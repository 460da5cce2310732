"""What the caller may do: one review of the API server for each right, so that a page offers what will be taken."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from dynamiq_operator.kube.api import METADATA_ONE
from dynamiq_operator.kube.resources import APPS, NAMESPACES
from dynamiq_operator.model import names
from dynamiq_operator.rest.context import ContextOf, SessionOf
from dynamiq_operator.rest.http.documented import documented
from dynamiq_operator.rest.http.encoding import Json
from dynamiq_operator.rest.http.errors import unknown_id
from dynamiq_operator.rest.http.models import Id, One
from dynamiq_operator.rest.http.routes import StrictRoute
from dynamiq_operator.rest.kube.visibility import may_read
from dynamiq_operator.rest.rights import responses
from dynamiq_operator.rest.shared import rights
from dynamiq_operator.rest.shared.environments import other_environments
from dynamiq_operator.rest.shared.requests import AppId
from dynamiq_operator.rest.shared.rights import Asked

router = APIRouter(prefix="/v1", tags=["rights"], route_class=StrictRoute)
ANOTHER = "another environment of the project"


@router.get("/apps/{app_id}/rights", responses=documented(One[responses.AppRights], 404, 422))
def app_rights(context: ContextOf, session: SessionOf, app_id: AppId) -> Json:
    """What the caller may do with the App. What is not allowed says which right is missing, and which role has it."""
    entry = context.find(APPS, app_id)
    context.read(session, APPS, entry, METADATA_ONE)
    namespace, app = entry.namespace, entry.name
    keys = names.access_keys(app)
    asked = {
        "deploy": Asked(rights.DEPLOY, namespace),
        "roll_back": Asked(rights.DEPLOY, namespace),
        "configure": Asked(rights.CHANGE_APP, namespace, app),
        "delete": Asked(rights.DELETE_APP, namespace, app),
        "keys_read": Asked(rights.READ_KEYS, namespace, keys),
        "keys_write": Asked(rights.WRITE_KEYS, namespace, keys),
        "triggers": Asked(rights.CHANGE_APP, namespace, app),
        "pods": Asked(rights.LIST_PODS, namespace),
        "logs": Asked(rights.READ_LOGS, namespace),
        "runs_read": Asked(rights.LIST_RUNS, namespace, app),
        "run_contents": Asked(rights.READ_CONTENTS, namespace, app),
        "runs_score": Asked(rights.SCORE_RUNS, namespace, app),
        "runs_delete": Asked(rights.DELETE_RUNS, namespace, app),
    }
    targets = [Asked(rights.PROMOTE, target.name) for target in other_environments(context, namespace)]
    found = rights.ask(context, session, [*asked.values(), *targets])
    answer = {name: rights.answer(found[one], one.needs) for name, one in asked.items()}
    # The namespace is not named: one may not create rows in may be one that one may not see.
    answer["promote"] = rights.answer(any(found[one] for one in targets), Asked(rights.PROMOTE, "", where=ANOTHER).needs)
    return Json({"data": {name: answer[name] for name in responses.AppRights.model_fields}})


@router.get("/projects/{project_id}/rights", responses=documented(One[responses.ProjectRights], 404, 422))
def project_rights(context: ContextOf, session: SessionOf, project_id: Annotated[Id, Path()]) -> Json:
    """What the caller may do in the project."""
    entry = context.find(NAMESPACES, project_id)
    if not may_read(session.api, entry.name):
        raise unknown_id("project", project_id)
    app, row, release = (Asked(right, entry.name) for right in (rights.CREATE_APP, rights.DEPLOY, rights.RELEASE))
    found = rights.ask(context, session, (app, row, release))
    create = next((one for one in (app, row) if not found[one]), app)
    return Json(
        {"data": {"create_app": rights.answer(found[create], create.needs), "release": rights.answer(found[release], release.needs)}}
    )
