"""Deploying an App, rolling it back, and promoting what it serves: each makes one row, and each has a preview."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Body

from dynamiq_operator.actions import deploy as deploying
from dynamiq_operator.actions import promote as promoting
from dynamiq_operator.cluster import errors
from dynamiq_operator.cluster.resources import APPS, NAMESPACES, RECORDS, RUNTIMES
from dynamiq_operator.model.names import PROJECT_LABEL
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest import answers, asking, idempotency, problems, projects, shapes
from dynamiq_operator.rest.bodies import NewDeployment, Promotion
from dynamiq_operator.rest.documented import answers as documented
from dynamiq_operator.rest.idempotency import KeyOf
from dynamiq_operator.rest.identity import Session
from dynamiq_operator.rest.index import Entry
from dynamiq_operator.rest.problems import Json
from dynamiq_operator.rest.routes.apps import AppId
from dynamiq_operator.rest.service import IN_MEMORY, Service, ServiceOf, SessionOf

router = APIRouter(prefix="/v1/apps/{app_id}", tags=["deployments"])
ERRORS = (404, 409, 413, 415, 422)
Pins = Mapping[str, Any]


@router.post("/deploy", status_code=201, responses=documented(answers.One[answers.Deployment], *ERRORS, status=201, says="The new row."))
def deploy(service: ServiceOf, session: SessionOf, app_id: AppId, body: NewDeployment, key: KeyOf = None) -> Json:
    """Deploys a version: by default the newest. An older version, or `restores`, is a rollback: one more row."""
    entry = service.find(APPS, app_id)
    app = service.known(session, APPS, entry)
    asked = asking.deploy(service, session, app, body)
    record = deploying.record_of(asked, idempotency.row_name(session, entry.name, entry.uid, key))
    kept = _kept(service, session, app, asked.runtime)
    if body.deployment_config is not None:
        asking.check_config(session, body.deployment_config, (kept or {}).get("config"))
    row, is_replayed = idempotency.create(session, record)
    service.index.of(RECORDS).put(row)
    shaped = shapes.deployment(row, entry.uid, service, app["spec"]["workflow"], kept)
    return Json({"data": shaped}, 201, idempotency.REPLAYED if is_replayed else None)


@router.post("/deploy/preview", responses=documented(answers.One[answers.PreviewShape], *ERRORS))
def preview_deploy(service: ServiceOf, session: SessionOf, app_id: AppId, body: NewDeployment) -> Json:
    """What the deploy would do: from what to what, the diff of the flow, whether pods restart. Nothing is made."""
    app = service.read(session, APPS, service.find(APPS, app_id))
    asked = asking.deploy(service, session, app, body)
    if body.deployment_config is not None:
        kept = _kept(service, session, app, None)
        asking.check_config(session, body.deployment_config, (kept or {}).get("config"))
    return Json({"data": shapes.preview(deploying.preview(session.api, asked, service.settings).as_json())})


@router.post("/promote", status_code=201, responses=documented(answers.One[answers.Deployment], *ERRORS, status=201, says="The new row."))
def promote(
    service: ServiceOf, session: SessionOf, app_id: AppId, body: Annotated[Promotion | None, Body()] = None, key: KeyOf = None
) -> Json:
    """Deploys what the App serves to the App of this name in another environment of the project, which is made where it is not there."""
    asked = body or Promotion()
    entry = service.find(APPS, app_id)
    service.read(session, APPS, entry)
    target = _target(service, session, entry, asked)
    name = idempotency.row_name(session, entry.name, f"{entry.uid} to {target}", key)
    # What it would be now, after the first, is not what it was: the row that is there is asked for before.
    row = idempotency.made(session, target, name, asked.message) if name else None
    is_replayed = row is not None
    if row is None:
        planned = _planned(session, entry, asked, target)
        if name is not None:
            planned.preview.record["metadata"] = {"namespace": target, "name": name}
        row = promoting.promote(session.api, planned)
    service.index.of(RECORDS).put(row)
    app = session.api.request("GET", APPS.path(target, entry.name))
    service.index.of(APPS).put(app)
    shaped = shapes.deployment(row, app["metadata"]["uid"], service, app["spec"]["workflow"], _kept(service, session, app, None))
    return Json({"data": shaped}, 201, idempotency.REPLAYED if is_replayed else None)


@router.post("/promote/preview", responses=documented(answers.One[answers.PromotionPreview], *ERRORS))
def preview_promotion(service: ServiceOf, session: SessionOf, app_id: AppId, body: Annotated[Promotion | None, Body()] = None) -> Json:
    """What the promotion would do, and what the target lacks. Nothing is made."""
    entry = service.find(APPS, app_id)
    service.read(session, APPS, entry)
    asked = body or Promotion()
    planned = _planned(session, entry, asked, _target(service, session, entry, asked))
    shaped = {
        **shapes.preview(planned.preview.as_json()),
        "project_id": service.id_of(NAMESPACES, "", planned.target_namespace),
        "environment": planned.environment,
        "new_app": planned.new_app is not None,
        "new_version": planned.version["spec"]["version"] if planned.version else None,
    }
    return Json({"data": shaped})


def _target(service: Service, session: Session, app: Entry, body: Promotion) -> str:
    """The namespace to promote to: by id, else by the labels that the index knows, since few may list namespaces. Raises Refusal, Problem.

    Of a project's namespaces, those that the caller may not read are none.
    """
    if body.project_id is not None:
        target = service.find(NAMESPACES, body.project_id, "project_id")
        if not projects.may_read(session, target.name):
            raise problems.unknown("project", body.project_id, "project_id")
        return target.name
    every = {each.name: each.labels for each in service.index.of(NAMESPACES).all()}
    own = every.get(app.namespace, {})
    project = own.get(PROJECT_LABEL)
    found = {
        name: labels
        for name, labels in every.items()
        if project and labels.get(PROJECT_LABEL) == project and (name == app.namespace or projects.may_read(session, name))
    }
    return promoting.target_among(found, app.namespace, own, body.environment)


def _planned(session: Session, app: Entry, body: Promotion, target: str) -> promoting.Promotion:
    return promoting.plan_promotion(
        session.api,
        app.namespace,
        app.name,
        environment=body.environment,
        target_namespace=target,
        hostname=body.hostname,
        message=body.message,
    )


def _kept(service: Service, session: Session, app: Manifest, runtime: str | None) -> Pins | None:
    """The pins of the row that the App serves; with a runtime that is asked for in place of its own."""
    live = (app.get("status") or {}).get("live")
    pins = _pins(service, session, app["metadata"]["namespace"], live["row"]) if live else None
    if runtime is None or (pins is not None and pins["runtime"]["name"] == runtime):
        return pins
    try:
        spec = session.api.request("GET", RUNTIMES.path("", runtime))["spec"]
    except (errors.NotFound, errors.Denied):
        return pins
    return {**(pins or {}), "runtime": {"name": runtime, **spec}}


def _pins(service: Service, session: Session, namespace: str, name: str) -> Pins | None:
    """What a row pins, which never changes: the row may be one from the API server's memory, once it has pins there."""
    uid = service.id_of(RECORDS, namespace, name)
    if uid is not None and (known := service.pins.get(session, uid)) is not None:
        return known
    for query in (IN_MEMORY, None):
        with contextlib.suppress(errors.NotFound, errors.Denied):
            row = session.api.request("GET", RECORDS.path(namespace, name), query=query)
            if pins := row["spec"].get("pinned"):
                service.pins.put(session, row["metadata"]["uid"], pins)
                return dict(pins)
    return None
