"""Deploys an App, rolls it back, and promotes what it serves. Each makes one row, and each has a preview."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Body

from dynamiq_operator.actions.deploy import deploy_claim, perform_deploy, plan_deploy, plan_unseen
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS, NAMESPACES, ROWS
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.context import ContextOf, SessionOf
from dynamiq_operator.rest.deployments import archived, confirmations, parse, promotions, responses
from dynamiq_operator.rest.deployments.pins import config_to_be, kept_pins
from dynamiq_operator.rest.deployments.requests import NewDeployment, PromotionFields
from dynamiq_operator.rest.http.documented import OF_A_WRITE, documented
from dynamiq_operator.rest.http.idempotency_key import REPLAYED, KeyOf
from dynamiq_operator.rest.http.models import One
from dynamiq_operator.rest.http.routes import StrictRoute
from dynamiq_operator.rest.parts.deployment import Deployment
from dynamiq_operator.rest.parts.requests import AppId
from dynamiq_operator.rest.reads.body_ids import check_config
from dynamiq_operator.rest.reads.callers import with_callers
from dynamiq_operator.rest.reads.open_runs import with_open_runs
from dynamiq_operator.serving.encoding import Json

router = APIRouter(prefix="/v1/apps/{app_id}", tags=["deployments"], route_class=StrictRoute)


@router.post("/deploy", status_code=201, responses=documented(One[Deployment], *OF_A_WRITE, status=201, says="The new row."))
def deploy(context: ContextOf, session: SessionOf, app_id: AppId, body: NewDeployment, key: KeyOf = None) -> Json:
    """Deploys a version: by default the newest. An older version, or `restores`, is a rollback: one more row.

    With `confirmed`, it deploys what was previewed, or answers 409: `details` has, by field, the `confirmed` value and the value `now`.
    With its `from` and `under_way`, a deploy by somebody else in between also leads to 409.
    """
    entry, app = context.open_cached(session, APPS, app_id)
    api, archived_row = archived.api_for(context, session, entry, body.restores) if body.restores is not None else (session.api, None)
    request = parse.deploy_request(context, session, app, body, archived_row)
    claim = deploy_claim(request, entry.uid, key, body.confirmed.sent() if body.confirmed is not None else None)
    elsewhere = context.index.places_of(claim.row, entry.namespace) - {entry.namespace} if claim is not None else ()
    kept = None
    if body.deployment_config is not None:
        kept = kept_pins(context, session, app, request.runtime, request.restores)
        check_config(body.deployment_config, (kept or {}).get("config"))
    elif request.config is None and "live" not in app.get("status", ()):
        request = replace(request, config=config_to_be(session, app))
    if body.confirmed is not None:
        row, is_replayed = confirmations.deploy(api, request, claim, body.confirmed, elsewhere)
    else:
        row, is_replayed = perform_deploy(session.api, plan_unseen(request, claim), elsewhere=elsewhere)
    context.index.of(ROWS).put(row)
    if body.deployment_config is None:
        # The row exists: the deploy has not failed if the API server does not answer this read.
        with contextlib.suppress(errors.ApiError):
            kept = kept_pins(context, session, app, request.runtime, request.restores)
    made = Deployment.of(row, entry.uid, context, app["spec"]["workflow"], kept)
    return Json({"data": made}, 201, REPLAYED if is_replayed else None)


@router.post("/deploy/preview", responses=documented(One[responses.PreviewShape], *OF_A_WRITE))
def preview_deploy(context: ContextOf, session: SessionOf, app_id: AppId, body: NewDeployment) -> Json:
    """Returns what the deploy would do: the changes, the diff of the flow, and whether pods restart. It makes nothing."""
    entry, app = context.open(session, APPS, app_id)
    api, archived_row = archived.api_for(context, session, entry, body.restores) if body.restores is not None else (session.api, None)
    request = parse.deploy_request(context, session, app, body, archived_row)
    if body.deployment_config is not None:
        kept = kept_pins(context, session, app, None)
        check_config(body.deployment_config, (kept or {}).get("config"))
    elif request.config is None and "live" not in app.get("status", ()):
        request = replace(request, config=config_to_be(session, app))
    preview = with_callers(context, session, entry.uid, plan_deploy(api, request).preview)
    preview = with_open_runs(context, session, entry.uid, preview)
    return Json({"data": responses.PreviewShape.read(preview.as_json())})


@router.post("/promote", status_code=201, responses=documented(One[Deployment], *OF_A_WRITE, status=201, says="The new row."))
def promote(
    context: ContextOf, session: SessionOf, app_id: AppId, body: Annotated[PromotionFields | None, Body()] = None, key: KeyOf = None
) -> Json:
    """Deploys what the App serves to the App of this name in another environment of the project. A missing App is created there."""
    entry, _ = context.open(session, APPS, app_id)
    row, is_replayed = promotions.promote(context, session, entry, body or PromotionFields(), key)
    context.index.of(ROWS).put(row)
    return Json({"data": _promoted(context, session, entry.name, row)}, 201, REPLAYED if is_replayed else None)


def _promoted(context: ContextOf, session: SessionOf, name: str, row: Manifest) -> Deployment:
    namespace = row["metadata"]["namespace"]
    known = context.index.of(APPS).named(namespace, name)
    uid, workflow, kept = known.uid if known is not None else "", None, None
    # The row exists: the promotion has not failed if the API server does not answer these reads.
    with contextlib.suppress(errors.ApiError):
        app = session.api.request("GET", APPS.path(namespace, name))
        context.index.of(APPS).put(app)
        uid, workflow = app["metadata"]["uid"], app["spec"]["workflow"]
        kept = kept_pins(context, session, app, None)
    return Deployment.of(row, uid, context, workflow, kept)


@router.post("/promote/preview", responses=documented(One[responses.PromotionPreview], *OF_A_WRITE))
def preview_promotion(
    context: ContextOf, session: SessionOf, app_id: AppId, body: Annotated[PromotionFields | None, Body()] = None
) -> Json:
    """Returns what the promotion would do, and what the target lacks. It makes nothing."""
    entry, _ = context.open(session, APPS, app_id)
    planned = promotions.plan(context, session, entry, body or PromotionFields())
    target = context.id_of(APPS, planned.target_namespace, planned.request.app)
    preview = responses.PromotionPreview.read(
        with_open_runs(context, session, target, with_callers(context, session, target, planned.preview)).as_json(),
        project_id=context.id_of(NAMESPACES, "", planned.target_namespace),
        environment=planned.request.environment,
        new_app=planned.new_app is not None,
        new_version=planned.version["spec"]["version"] if planned.version else None,
    )
    return Json({"data": preview})
