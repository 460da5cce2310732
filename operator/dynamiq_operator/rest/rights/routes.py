"""Serves the rights of the caller: one review of the API server for each right, so that a page offers only what will be accepted."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from dynamiq_operator.kube.api import METADATA_ONE
from dynamiq_operator.kube.resources import APPS, NAMESPACES
from dynamiq_operator.model import names
from dynamiq_operator.rest.context import ContextOf, SessionOf
from dynamiq_operator.rest.http.documented import documented
from dynamiq_operator.rest.http.errors import unknown_id
from dynamiq_operator.rest.http.models import Id, One
from dynamiq_operator.rest.http.routes import StrictRoute
from dynamiq_operator.rest.kube.visibility import may_read
from dynamiq_operator.rest.rights import responses
from dynamiq_operator.rest.shared import rights
from dynamiq_operator.rest.shared.environments import other_environments
from dynamiq_operator.rest.shared.requests import AppId
from dynamiq_operator.rest.shared.rights import Asked
from dynamiq_operator.serving.encoding import Json

router = APIRouter(prefix="/v1", tags=["rights"], route_class=StrictRoute)
ANOTHER = "another environment of the project"


@router.get("/apps/{app_id}/rights", responses=documented(One[responses.AppRights], 404, 422))
def app_rights(context: ContextOf, session: SessionOf, app_id: AppId) -> Json:
    """Returns what the caller may do with the App. An action that is not allowed names the missing right, and a role that has it."""
    entry = context.find(APPS, app_id)
    context.read(session, APPS, entry, METADATA_ONE)
    namespace, app = entry.namespace, entry.name
    keys = names.access_keys(app)
    deploy = (Asked(rights.CREATE_ROW, namespace), Asked(rights.DEPLOY, namespace))
    required: dict[str, tuple[Asked, ...]] = {
        "deploy": deploy,
        "roll_back": deploy[:1],
        "approve": (Asked(rights.CREATE_APPROVAL, namespace), Asked(rights.APPROVE, namespace)),
        "resume": (Asked(rights.RESUME, namespace), Asked(rights.DEPLOY, namespace)),
        "withdraw": (Asked(rights.RESUME, namespace),),
        "reject_versions": (Asked(rights.REJECT, namespace), Asked(rights.APPROVE, namespace)),
        "bypass": (Asked(rights.BYPASS, namespace),),
        "suspend": (Asked(rights.CHANGE_APP, namespace, app), Asked(rights.DEPLOY, namespace)),
        "configure": (Asked(rights.CHANGE_APP, namespace, app),),
        "delete": (Asked(rights.DELETE_APP, namespace, app),),
        "keys_read": (Asked(rights.READ_KEYS, namespace, keys),),
        "keys_write": (Asked(rights.WRITE_KEYS, namespace, keys),),
        "triggers": (Asked(rights.CHANGE_APP, namespace, app),),
        "pods": (Asked(rights.LIST_PODS, namespace),),
        "logs": (Asked(rights.READ_LOGS, namespace),),
        "runs_read": (Asked(rights.LIST_RUNS, namespace, app),),
        "run_contents": (Asked(rights.READ_CONTENTS, namespace, app),),
        "runs_score": (Asked(rights.SCORE_RUNS, namespace, app),),
        "runs_delete": (Asked(rights.DELETE_RUNS, namespace, app),),
    }
    targets = [_promotion(target.name) for target in other_environments(context, namespace)]
    allowed = rights.ask(context, session, (right for each in (*required.values(), *targets) for right in each))
    answer = {name: rights.answer_all(each, allowed) for name, each in required.items()}
    # The namespace is not named: callers who may not create rows in it may not be allowed to see it.
    may_promote = any(all(allowed[right] for right in each) for each in targets)
    answer["promote"] = rights.answer(may_promote, Asked(rights.PROMOTE, "", where=ANOTHER).needs)
    return Json({"data": {name: answer[name] for name in responses.AppRights.model_fields}})


def _promotion(target: str) -> tuple[Asked, ...]:
    return Asked(rights.PROMOTE, target), Asked(rights.PROMOTE_ROW, target)


@router.get("/projects/{project_id}/rights", responses=documented(One[responses.ProjectRights], 404, 422))
def project_rights(context: ContextOf, session: SessionOf, project_id: Annotated[Id, Path()]) -> Json:
    """Returns what the caller may do in the project."""
    entry = context.find(NAMESPACES, project_id)
    if not may_read(session.api, entry.name):
        raise unknown_id("project", project_id)
    create = tuple(Asked(right, entry.name) for right in (rights.CREATE_APP, rights.CREATE_ROW, rights.DEPLOY))
    release = (Asked(rights.RELEASE, entry.name),)
    allowed = rights.ask(context, session, (*create, *release))
    return Json({"data": {"create_app": rights.answer_all(create, allowed), "release": rights.answer_all(release, allowed)}})
