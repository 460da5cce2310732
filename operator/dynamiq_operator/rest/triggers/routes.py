"""Serves the triggers of an App. They are a part of its spec, so Git and this API have the same ones."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.responses import Response

from dynamiq_operator.actions import triggers as actions
from dynamiq_operator.actions.triggers import Trigger, TriggersPlan
from dynamiq_operator.kube.resources import APPS
from dynamiq_operator.model import triggers
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.context import ApiContext, ContextOf, SessionOf
from dynamiq_operator.rest.http.documented import OF_A_WRITE, documented
from dynamiq_operator.rest.http.errors import unknown_id
from dynamiq_operator.rest.http.idempotency_key import REPLAYED, KeyOf
from dynamiq_operator.rest.http.models import Id, Many, One
from dynamiq_operator.rest.http.pagination import PagingOf, newest
from dynamiq_operator.rest.http.routes import StrictRoute
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.parts.requests import AppId
from dynamiq_operator.rest.triggers import responses
from dynamiq_operator.rest.triggers.reading import jobs_of, run_ids
from dynamiq_operator.rest.triggers.requests import NewTrigger, TriggerChange
from dynamiq_operator.serving.encoding import Json

router = APIRouter(prefix="/v1/apps/{app_id}/triggers", tags=["triggers"], route_class=StrictRoute)
TriggerId = Annotated[Id, Path(description="The trigger's id.")]
ONE = One[responses.TriggerResponse]


@router.get("", responses=documented(Many[responses.TriggerResponse], 404, 422))
def every_trigger(context: ContextOf, session: SessionOf, paging: PagingOf, app_id: AppId) -> Json:
    """Returns the App's triggers, the last one added first."""
    app = _app(context, session, app_id)
    now = _now()
    return paging.of(actions.of_app(app)[::-1], lambda raw: responses.TriggerResponse.of(app["metadata"]["uid"], raw, now))


@router.post("", status_code=201, responses=documented(ONE, *OF_A_WRITE, status=201, says="The trigger, a draft."))
def create_trigger(context: ContextOf, session: SessionOf, app_id: AppId, body: NewTrigger) -> Json:
    """Adds a trigger, which is a draft: it does not run until it is activated. An App has at most 32."""
    app = _app(context, session, app_id)
    plan = actions.plan_addition(app, body.name, body.config.times(), _transformer(body), _now(), str(uuid.uuid4()))
    return _perform(session, plan, 201)


@router.get("/{trigger_id}", responses=documented(ONE, 404, 422))
def trigger(context: ContextOf, session: SessionOf, app_id: AppId, trigger_id: TriggerId) -> Json:
    """Returns one trigger."""
    app = _app(context, session, app_id)
    return _response(app["metadata"]["uid"], actions.find(app, trigger_id))


@router.put("/{trigger_id}", responses=documented(ONE, *OF_A_WRITE))
def change_trigger(context: ContextOf, session: SessionOf, app_id: AppId, trigger_id: TriggerId, body: TriggerChange) -> Json:
    """Changes a trigger. It stays active or inactive, and keeps its id, whatever its name is."""
    plan = actions.plan_change(
        _app(context, session, app_id),
        trigger_id,
        _now(),
        shown=body.name,
        times=body.config.times() if body.config is not None else None,
        transformer=_transformer(body) if "input_transformer" in body.model_fields_set else actions.KEEP,
    )
    return _perform(session, plan)


@router.delete("/{trigger_id}", status_code=204, responses=documented(None, *OF_A_WRITE, status=204))
def delete_trigger(context: ContextOf, session: SessionOf, app_id: AppId, trigger_id: TriggerId) -> Response:
    """Deletes a trigger."""
    actions.perform_triggers(session.api, actions.plan_removal(_app(context, session, app_id), trigger_id))
    return Response(status_code=204)


@router.post("/{trigger_id}/activate", responses=documented(ONE, *OF_A_WRITE))
def activate(context: ContextOf, session: SessionOf, app_id: AppId, trigger_id: TriggerId) -> Json:
    """Makes a trigger active. One that has expired is refused with 409."""
    return _perform(session, actions.plan_activation(_app(context, session, app_id), trigger_id, _now()))


@router.post("/{trigger_id}/deactivate", responses=documented(ONE, *OF_A_WRITE))
def deactivate(context: ContextOf, session: SessionOf, app_id: AppId, trigger_id: TriggerId) -> Json:
    """Makes an active trigger inactive. A draft stays a draft."""
    return _perform(session, actions.plan_deactivation(_app(context, session, app_id), trigger_id))


@router.post(
    "/{trigger_id}/run",
    status_code=202,
    responses=documented(One[responses.TriggerEvent], *OF_A_WRITE, status=202, says="The run, which has begun."),
)
def run(context: ContextOf, session: SessionOf, app_id: AppId, trigger_id: TriggerId, key: KeyOf = None) -> Json:
    """Runs an active trigger now: creates a Job, for which the caller needs the right. Its end is among the events."""
    app = _app(context, session, app_id)
    job, is_replayed = actions.perform_run(session.api, actions.plan_run(session.api, app, trigger_id, context.settings, _now(), key))
    return Json({"data": responses.TriggerEvent.of(trigger_id.lower(), job)}, 202, REPLAYED if is_replayed else None)


@router.get("/{trigger_id}/events", responses=documented(Many[responses.TriggerEvent], 404, 422))
def events(context: ContextOf, session: SessionOf, paging: PagingOf, app_id: AppId, trigger_id: TriggerId) -> Json:
    """Returns the runs of the trigger, newest first: its Jobs, with how they ended."""
    jobs, shown = _events(context, session, app_id, trigger_id)
    return paging.of(newest(jobs), shown)


@router.get("/{trigger_id}/events/{event_id}", responses=documented(One[responses.TriggerEvent], 404, 422))
def event(
    context: ContextOf,
    session: SessionOf,
    app_id: AppId,
    trigger_id: TriggerId,
    event_id: Annotated[Id, Path(description="The event's id: its Job's metadata.uid.")],
) -> Json:
    """Returns one run of the trigger."""
    jobs, shown = _events(context, session, app_id, trigger_id)
    for job in jobs:
        if job["metadata"]["uid"] == event_id.lower():
            return Json({"data": shown(job)})
    raise unknown_id("event", event_id)


def _events(
    context: ApiContext, session: CallerSession, app_id: str, trigger_id: str
) -> tuple[list[Manifest], Callable[[Manifest], responses.TriggerEvent]]:
    """Returns the trigger's Jobs, and the function that makes an event of each."""
    app = _app(context, session, app_id)
    entry, meta = actions.find(app, trigger_id), app["metadata"]
    of_trigger = (session, meta["namespace"], meta["name"], entry["name"])
    jobs = jobs_of(*of_trigger)
    runs = run_ids(*of_trigger) if jobs else {}
    uid = triggers.id_of(meta["uid"], entry)
    messages = {each["job"]: each.get("message") for each in (app.get("status") or {}).get("triggers", ())}

    def shown(job: Manifest) -> responses.TriggerEvent:
        return responses.TriggerEvent.of(uid, job, messages.get(job["metadata"]["name"]), runs.get(job["metadata"]["uid"]))

    return jobs, shown


def _transformer(body: NewTrigger | TriggerChange) -> dict[str, Any] | None:
    return body.input_transformer.model_dump(exclude_none=True) if body.input_transformer is not None else None


def _app(context: ApiContext, session: CallerSession, app_id: str) -> Manifest:
    return context.open(session, APPS, app_id)[1]


def _perform(session: CallerSession, plan: TriggersPlan, status: int = 200) -> Json:
    return _response(plan.app["metadata"]["uid"], actions.perform_triggers(session.api, plan), status)


def _response(app_uid: str, raw: Trigger, status: int = 200) -> Json:
    return Json({"data": responses.TriggerResponse.of(app_uid, raw, _now())}, status)


def _now() -> datetime:
    return datetime.now(UTC)
