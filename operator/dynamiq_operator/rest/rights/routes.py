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
from dynamiq_operator.rest.parts.requests import AppId
from dynamiq_operator.rest.reads import rights
from dynamiq_operator.rest.reads.environments import other_environments
from dynamiq_operator.rest.reads.rights import RequiredRight
from dynamiq_operator.rest.rights import responses
from dynamiq_operator.serving.encoding import Json

router = APIRouter(prefix="/v1", tags=["rights"], route_class=StrictRoute)
ANOTHER = "another environment of the project"


@router.get("/apps/{app_id}/rights", responses=documented(One[responses.AppRights], 404, 422))
def app_rights(context: ContextOf, session: SessionOf, app_id: AppId) -> Json:
    """Returns what the caller may do with the App. An action that is not allowed names the missing right, and a role that has it."""
    entry, _ = context.open(session, APPS, app_id, METADATA_ONE)
    namespace, app = entry.namespace, entry.name
    keys = names.access_keys(app)
    deploy = (RequiredRight(rights.CREATE_ROW, namespace), RequiredRight(rights.DEPLOY, namespace))
    required: dict[str, tuple[RequiredRight, ...]] = {
        "deploy": deploy,
        "roll_back": deploy[:1],
        "approve": (RequiredRight(rights.CREATE_APPROVAL, namespace), RequiredRight(rights.APPROVE, namespace)),
        "resume": (RequiredRight(rights.RESUME, namespace), RequiredRight(rights.DEPLOY, namespace)),
        "withdraw": (RequiredRight(rights.RESUME, namespace),),
        "reject_versions": (RequiredRight(rights.REJECT, namespace), RequiredRight(rights.APPROVE, namespace)),
        "bypass": (RequiredRight(rights.BYPASS, namespace),),
        "suspend": (RequiredRight(rights.CHANGE_APP, namespace, app), RequiredRight(rights.DEPLOY, namespace)),
        "configure": (RequiredRight(rights.CHANGE_APP, namespace, app),),
        "delete": (RequiredRight(rights.DELETE_APP, namespace, app),),
        "keys_read": (RequiredRight(rights.READ_KEYS, namespace, keys),),
        "keys_write": (RequiredRight(rights.WRITE_KEYS, namespace, keys),),
        "triggers": (RequiredRight(rights.CHANGE_APP, namespace, app),),
        "pods": (RequiredRight(rights.LIST_PODS, namespace),),
        "logs": (RequiredRight(rights.READ_LOGS, namespace),),
        "runs_read": (RequiredRight(rights.LIST_RUNS, namespace, app),),
        "run_contents": (RequiredRight(rights.READ_CONTENTS, namespace, app),),
        "runs_score": (RequiredRight(rights.SCORE_RUNS, namespace, app),),
        "runs_answer": (RequiredRight(rights.ANSWER_RUNS, namespace, app),),
        "runs_delete": (RequiredRight(rights.DELETE_RUNS, namespace, app),),
    }
    targets = [_promotion(target.name) for target in other_environments(context, namespace)]
    allowed = rights.evaluate(context, session, (right for each in (*required.values(), *targets) for right in each))
    answer = {name: rights.answer_all(each, allowed) for name, each in required.items()}
    # The namespace is not named: callers who may not create rows in it may not be allowed to see it.
    may_promote = any(all(allowed[right] for right in each) for each in targets)
    answer["promote"] = rights.answer(may_promote, RequiredRight(rights.PROMOTE, "", where=ANOTHER).needs)
    return Json({"data": responses.AppRights(**{name: answer[name] for name in responses.AppRights.model_fields})})


def _promotion(target: str) -> tuple[RequiredRight, ...]:
    return RequiredRight(rights.PROMOTE, target), RequiredRight(rights.PROMOTE_ROW, target)


@router.get("/projects/{project_id}/rights", responses=documented(One[responses.ProjectRights], 404, 422))
def project_rights(context: ContextOf, session: SessionOf, project_id: Annotated[Id, Path()]) -> Json:
    """Returns what the caller may do in the project."""
    entry = context.find(NAMESPACES, project_id)
    if not may_read(session.api, entry.name):
        raise unknown_id("project", project_id)
    create = tuple(RequiredRight(right, entry.name) for right in (rights.CREATE_APP, rights.CREATE_ROW, rights.DEPLOY))
    release = (RequiredRight(rights.RELEASE, entry.name),)
    allowed = rights.evaluate(context, session, (*create, *release))
    own = responses.ProjectRights(create_app=rights.answer_all(create, allowed), release=rights.answer_all(release, allowed))
    return Json({"data": own})
