"""Deploying an App, rolling it back, and promoting what it serves: each makes one row, and each has a preview."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Body

from dynamiq_operator.actions import deploy as deploying
from dynamiq_operator.actions import promote as promoting
from dynamiq_operator.actions.refusals import Taken
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS, NAMESPACES, RECORDS, RUNTIMES
from dynamiq_operator.model.names import PROJECT_LABEL
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.apps.routes import AppId
from dynamiq_operator.rest.context import IN_MEMORY, ApiContext, ContextOf, SessionOf
from dynamiq_operator.rest.http import idempotency
from dynamiq_operator.rest.http.documented import documented
from dynamiq_operator.rest.http.errors import Json, unknown_id
from dynamiq_operator.rest.http.idempotency import KeyOf, Once
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube import visibility
from dynamiq_operator.rest.kube.id_index import Entry
from dynamiq_operator.rest.shared import parse, responses, serialize
from dynamiq_operator.rest.shared.requests import NewDeployment, Promotion

router = APIRouter(prefix="/v1/apps/{app_id}", tags=["deployments"])
ERRORS = (404, 409, 413, 415, 422)
TRIES = 8
Pins = Mapping[str, Any]


@router.post(
    "/deploy", status_code=201, responses=documented(responses.One[responses.Deployment], *ERRORS, status=201, says="The new row.")
)
def deploy(context: ContextOf, session: SessionOf, app_id: AppId, body: NewDeployment, key: KeyOf = None) -> Json:
    """Deploys a version: by default the newest. An older version, or `restores`, is a rollback: one more row."""
    entry = context.find(APPS, app_id)
    app = context.known(session, APPS, entry)
    asked = parse.deploy(context, session, app, body)
    once = Once.of(session, key, "deploy", entry.uid, body, entry.name)
    if once is not None:
        idempotency.made(session, _places(context, once, entry.namespace) - {entry.namespace}, once)
    kept = _kept(context, session, app, asked.runtime)
    if body.deployment_config is not None:
        parse.check_config(session, body.deployment_config, (kept or {}).get("config"))
    row, is_replayed = idempotency.create(session, deploying.record_of(asked), once)
    context.index.of(RECORDS).put(row)
    shaped = serialize.deployment(row, entry.uid, context, app["spec"]["workflow"], kept)
    return Json({"data": shaped}, 201, idempotency.REPLAYED if is_replayed else None)


@router.post("/deploy/preview", responses=documented(responses.One[responses.PreviewShape], *ERRORS))
def preview_deploy(context: ContextOf, session: SessionOf, app_id: AppId, body: NewDeployment) -> Json:
    """What the deploy would do: from what to what, the diff of the flow, whether pods restart. Nothing is made."""
    app = context.read(session, APPS, context.find(APPS, app_id))
    asked = parse.deploy(context, session, app, body)
    if body.deployment_config is not None:
        kept = _kept(context, session, app, None)
        parse.check_config(session, body.deployment_config, (kept or {}).get("config"))
    return Json({"data": serialize.preview(deploying.preview(session.api, asked, context.settings).as_json())})


@router.post(
    "/promote", status_code=201, responses=documented(responses.One[responses.Deployment], *ERRORS, status=201, says="The new row.")
)
def promote(
    context: ContextOf, session: SessionOf, app_id: AppId, body: Annotated[Promotion | None, Body()] = None, key: KeyOf = None
) -> Json:
    """Deploys what the App serves to the App of this name in another environment of the project, which is made where it is not there."""
    asked = body or Promotion()
    entry = context.find(APPS, app_id)
    context.read(session, APPS, entry)
    row, is_replayed = _promoted(context, session, entry, asked, Once.of(session, key, "promote", entry.uid, asked, entry.name))
    context.index.of(RECORDS).put(row)
    target = row["metadata"]["namespace"]
    app = session.api.request("GET", APPS.path(target, entry.name))
    context.index.of(APPS).put(app)
    shaped = serialize.deployment(row, app["metadata"]["uid"], context, app["spec"]["workflow"], _kept(context, session, app, None))
    return Json({"data": shaped}, 201, idempotency.REPLAYED if is_replayed else None)


@router.post("/promote/preview", responses=documented(responses.One[responses.PromotionPreview], *ERRORS))
def preview_promotion(context: ContextOf, session: SessionOf, app_id: AppId, body: Annotated[Promotion | None, Body()] = None) -> Json:
    """What the promotion would do, and what the target lacks. Nothing is made."""
    entry = context.find(APPS, app_id)
    context.read(session, APPS, entry)
    asked = body or Promotion()
    planned = _planned(session, entry, asked, _target(context, session, entry, asked))
    shaped = {
        **serialize.preview(planned.preview.as_json()),
        "project_id": context.id_of(NAMESPACES, "", planned.target_namespace),
        "environment": planned.environment,
        "new_app": planned.new_app is not None,
        "new_version": planned.version["spec"]["version"] if planned.version else None,
    }
    return Json({"data": shaped})


def _target(context: ApiContext, session: CallerSession, app: Entry, body: Promotion) -> str:
    """The namespace to promote to: by id, else by the labels that the index knows, since few may list namespaces. Raises Refusal, HttpProblem.

    Of a project's namespaces, those that the caller may not read are none.
    """
    if body.project_id is not None:
        target = context.find(NAMESPACES, body.project_id, "project_id")
        if not visibility.may_read(session, target.name):
            raise unknown_id("project", body.project_id, "project_id")
        return target.name
    every = {each.name: each.labels for each in context.index.of(NAMESPACES).all()}
    own = every.get(app.namespace, {})
    project = own.get(PROJECT_LABEL)
    found = {
        name: labels
        for name, labels in every.items()
        if project and labels.get(PROJECT_LABEL) == project and (name == app.namespace or visibility.may_read(session, name))
    }
    return promoting.target_among(found, app.namespace, own, body.environment)


def _promoted(context: ApiContext, session: CallerSession, app: Entry, asked: Promotion, once: Once | None) -> tuple[Manifest, bool]:
    """The row of the promotion, and whether it was made before under the same key. Raises HttpProblem, Refusal and errors.ApiError."""
    if once is None:
        return promoting.promote(session.api, _planned(session, app, asked, _target(context, session, app, asked))), False
    left = TRIES
    while True:
        # What it would be now, after the first, is not what it was: the row that is there is asked for before.
        if (found := idempotency.made(session, _places(context, once, app.namespace), once)) is not None:
            return found, True
        target = _target(context, session, app, asked)
        if (found := idempotency.made(session, [target], once)) is not None:
            return found, True
        planned = _planned(session, app, asked, target)
        planned = replace(planned, preview=replace(planned.preview, record=once.marked(planned.preview.record)))
        try:
            return promoting.promote(session.api, planned), False
        except (errors.AlreadyExists, Taken):
            # The same request is carried out by another thread or replica at this moment.
            left -= 1
            if not left:
                raise


def _places(context: ApiContext, once: Once, namespace: str) -> set[str]:
    """Where a row of the key may be: where the index has one, and in the App's project, since another replica may have made it just now."""
    every = context.index.of(NAMESPACES).all()
    project = next((each.labels.get(PROJECT_LABEL) for each in every if each.name == namespace), None)
    known = {each.name for each in every if context.id_of(RECORDS, each.name, once.row) is not None}
    return known | {each.name for each in every if project and each.labels.get(PROJECT_LABEL) == project}


def _planned(session: CallerSession, app: Entry, body: Promotion, target: str) -> promoting.Promotion:
    return promoting.plan_promotion(
        session.api,
        app.namespace,
        app.name,
        environment=body.environment,
        target_namespace=target,
        hostname=body.hostname,
        message=body.message,
    )


def _kept(context: ApiContext, session: CallerSession, app: Manifest, runtime: str | None) -> Pins | None:
    """The pins of the row that the App serves; with a runtime that is asked for in place of its own."""
    live = (app.get("status") or {}).get("live")
    pins = _pins(context, session, app["metadata"]["namespace"], live["row"]) if live else None
    if runtime is None or (pins is not None and pins["runtime"]["name"] == runtime):
        return pins
    try:
        spec = session.api.request("GET", RUNTIMES.path("", runtime))["spec"]
    except (errors.NotFound, errors.Denied):
        return pins
    return {**(pins or {}), "runtime": {"name": runtime, **spec}}


def _pins(context: ApiContext, session: CallerSession, namespace: str, name: str) -> Pins | None:
    """What a row pins, which never changes: the row may be one from the API server's memory, once it has pins there."""
    uid = context.id_of(RECORDS, namespace, name)
    if uid is not None and (known := context.pins.get(session, uid)) is not None:
        return known
    for query in (IN_MEMORY, None):
        with contextlib.suppress(errors.NotFound, errors.Denied):
            row = session.api.request("GET", RECORDS.path(namespace, name), query=query)
            if pins := row["spec"].get("pinned"):
                context.pins.put(session, row["metadata"]["uid"], pins)
                return dict(pins)
    return None
