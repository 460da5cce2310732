"""Triggers of an App: a part of its spec, so that Git and this API say the same."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.responses import Response

from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube.resources import APPS, JOBS
from dynamiq_operator.model import names, triggers
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest import answers, app_triggers, idempotency, trigger_answers, trigger_shapes
from dynamiq_operator.rest.app_triggers import Trigger
from dynamiq_operator.rest.context import ApiContext, ContextOf, SessionOf
from dynamiq_operator.rest.documented import documented
from dynamiq_operator.rest.idempotency import KeyOf
from dynamiq_operator.rest.identity import CallerSession
from dynamiq_operator.rest.pages import PagingOf, newest
from dynamiq_operator.rest.problems import HttpProblem, Json
from dynamiq_operator.rest.routes.apps import AppId
from dynamiq_operator.rest.trigger_bodies import NewTrigger, TriggerChange

router = APIRouter(prefix="/v1/apps/{app_id}/triggers", tags=["triggers"])
TriggerId = Annotated[answers.Id, Path(description="The trigger's id.")]
ONE = answers.One[trigger_answers.Trigger]
BODY = (404, 409, 413, 415, 422)


@router.get("", responses=documented(answers.Many[trigger_answers.Trigger], 404, 422))
def every_trigger(context: ContextOf, session: SessionOf, paging: PagingOf, app_id: AppId) -> Json:
    """The App's triggers, the one that was added last first."""
    app = _app(context, session, app_id)
    now = app_triggers.now()
    return paging.of(app_triggers.of_app(app)[::-1], lambda raw: trigger_shapes.trigger(app["metadata"]["uid"], raw, now))


@router.post("", status_code=201, responses=documented(ONE, *BODY, status=201, says="The trigger, a draft."))
def create_trigger(context: ContextOf, session: SessionOf, app_id: AppId, body: NewTrigger) -> Json:
    """Adds a trigger, which is a draft: it does not run until it is activated. An App has at most 32."""
    entry = context.find(APPS, app_id)
    now = app_triggers.now()
    made = app_triggers.change(context, session, entry, lambda app: app_triggers.add(app, body, now))
    return _told(entry.uid, made, 201)


@router.get("/{trigger_id}", responses=documented(ONE, 404, 422))
def trigger(context: ContextOf, session: SessionOf, app_id: AppId, trigger_id: TriggerId) -> Json:
    """One trigger."""
    app = _app(context, session, app_id)
    return _told(app["metadata"]["uid"], app_triggers.find(app, trigger_id))


@router.put("/{trigger_id}", responses=documented(ONE, *BODY))
def change_trigger(context: ContextOf, session: SessionOf, app_id: AppId, trigger_id: TriggerId, body: TriggerChange) -> Json:
    """Changes a trigger, which stays active or not; its id stays, whatever it is called."""
    entry = context.find(APPS, app_id)
    now = app_triggers.now()
    changed = app_triggers.change_one(
        context, session, entry, trigger_id, lambda found, others: app_triggers.alter(found, others, body, now)
    )
    return _told(entry.uid, changed)


@router.delete("/{trigger_id}", status_code=204, responses=documented(None, 404, 409, 413, 415, 422, status=204))
def delete_trigger(context: ContextOf, session: SessionOf, app_id: AppId, trigger_id: TriggerId) -> Response:
    """Deletes a trigger."""

    def edit(app: Manifest) -> None:
        found = app_triggers.find(app, trigger_id)
        app["spec"]["triggers"] = [each for each in app_triggers.of_app(app) if each is not found]

    app_triggers.change(context, session, context.find(APPS, app_id), edit)
    return Response(status_code=204)


@router.post("/{trigger_id}/activate", responses=documented(ONE, *BODY))
def activate(context: ContextOf, session: SessionOf, app_id: AppId, trigger_id: TriggerId) -> Json:
    """Makes a trigger active. One that has expired is refused with 409."""
    entry = context.find(APPS, app_id)
    now = app_triggers.now()
    return _told(
        entry.uid, app_triggers.change_one(context, session, entry, trigger_id, lambda found, _: app_triggers.activate(found, now))
    )


@router.post("/{trigger_id}/deactivate", responses=documented(ONE, *BODY))
def deactivate(context: ContextOf, session: SessionOf, app_id: AppId, trigger_id: TriggerId) -> Json:
    """Makes an active trigger inactive. A draft stays a draft."""
    entry = context.find(APPS, app_id)
    return _told(entry.uid, app_triggers.change_one(context, session, entry, trigger_id, lambda found, _: app_triggers.deactivate(found)))


@router.post(
    "/{trigger_id}/run",
    status_code=202,
    responses=documented(answers.One[trigger_answers.TriggerEvent], *BODY, status=202, says="The run, which has begun."),
)
def run(context: ContextOf, session: SessionOf, app_id: AppId, trigger_id: TriggerId, key: KeyOf = None) -> Json:
    """Runs an active trigger now: makes a Job, for which the caller needs the right. Its end is among the events."""
    app = _app(context, session, app_id)
    found = app_triggers.find(app, trigger_id)
    status = triggers.status(found, app_triggers.now())
    if status is not triggers.Status.ACTIVE:
        raise HttpProblem(409, f"only an active trigger runs, and this one is {status}", {"status": status.value})
    if not (app.get("status") or {}).get("live"):
        raise HttpProblem(409, "nothing of this App is live yet: deploy it first")
    job, is_replayed = app_triggers.run_now(context, session, app, found, key)
    uid = triggers.id_of(app["metadata"]["uid"], found["name"])
    return Json({"data": trigger_shapes.event(uid, job)}, 202, idempotency.REPLAYED if is_replayed else None)


@router.get("/{trigger_id}/events", responses=documented(answers.Many[trigger_answers.TriggerEvent], 404, 422))
def events(context: ContextOf, session: SessionOf, paging: PagingOf, app_id: AppId, trigger_id: TriggerId) -> Json:
    """What the trigger has run, newest first: its Jobs, with how they ended."""
    app = _app(context, session, app_id)
    name = app_triggers.find(app, trigger_id)["name"]
    meta = app["metadata"]
    label = ",".join(f"{key}={value}" for key, value in names.run_selector(meta["name"], name).items())
    jobs = kube_api.items(session.api, JOBS, meta["namespace"], label=label)
    uid = triggers.id_of(meta["uid"], name)
    told = {each["job"]: each.get("message") for each in (app.get("status") or {}).get("triggers", ())}
    return paging.of(newest(jobs), lambda job: trigger_shapes.event(uid, job, told.get(job["metadata"]["name"])))


def _app(context: ApiContext, session: CallerSession, app_id: str) -> Manifest:
    return context.read(session, APPS, context.find(APPS, app_id))


def _told(app_uid: str, raw: Trigger, status: int = 200) -> Json:
    return Json({"data": trigger_shapes.trigger(app_uid, raw, app_triggers.now())}, status)
