"""Serves background runs of an App, which the journal keeps: one run, its events, and what a person does with it but answer."""

from __future__ import annotations

from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Query
from starlette.responses import Response

from dynamiq_operator.actions.running import live_pins
from dynamiq_operator.kube.resources import APPS
from dynamiq_operator.model.background_runs import EVENTS_MOST, WAIT_MOST, BackgroundEvents, BackgroundRun
from dynamiq_operator.rest.context import ApiContext, ContextOf, SessionOf
from dynamiq_operator.rest.http.documented import documented
from dynamiq_operator.rest.http.models import One
from dynamiq_operator.rest.http.routes import StrictRoute
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.parts.requests import AppId
from dynamiq_operator.rest.runs.filters import RunId
from dynamiq_operator.rest.runs.recorder_paths import path_of_run
from dynamiq_operator.rest.runs.requests import CallbacksAgain

router = APIRouter(prefix="/v1/apps/{app_id}/runs/{run_id}", tags=["runs"], route_class=StrictRoute)
SEQUENCE_MOST = 2**53


@router.get("", responses=documented(One[BackgroundRun], 404, 501))
async def background_run(context: ContextOf, session: SessionOf, app_id: AppId, run_id: RunId) -> Response:
    """Returns one background run, until a while after its end. Its nodes, tokens and cost are then at /v1/runs/{run_id}."""
    path = await path_of_run(context, session, app_id, run_id)
    return await context.journal.forward(session.api.credentials[0], "GET", path)


@router.post("/cancel", responses=documented(One[BackgroundRun], 404, 501, says="The run. One that had ended is unchanged."))
async def cancel_run(context: ContextOf, session: SessionOf, app_id: AppId, run_id: RunId) -> Response:
    """Cancels a background run: at once if no pod has it, else at its next node. Needs update apps/runs."""
    path = await path_of_run(context, session, app_id, run_id)
    return await context.journal.forward(session.api.credentials[0], "POST", f"{path}/cancel", body={})


@router.post("/restart", responses=documented(One[BackgroundRun], 404, 409, 501, says="The run, which is queued."))
async def restart_run(context: ContextOf, session: SessionOf, app_id: AppId, run_id: RunId) -> Response:
    """Begins a held run again, with its input, on what is live now. Needs update apps/runs.

    Nodes that ended run again, and answers are dropped. A queued run may begin again, too. Any other one answers 409 with the code not_held.
    """
    path = await path_of_run(context, session, app_id, run_id)
    known = await context.journal.forward(session.api.credentials[0], "GET", path)
    if known.status_code != 200:  # before what is live: an unknown run has the same answer in every App
        return known
    pins = await anyio.to_thread.run_sync(_live_pins, context, session, app_id, limiter=context.journal.threads)
    return await context.journal.forward(session.api.credentials[0], "POST", f"{path}/restart", body=pins)


@router.post("/release", responses=documented(One[BackgroundRun], 404, 409, 501, says="The run, queued or waiting."))
async def release_run(context: ContextOf, session: SessionOf, app_id: AppId, run_id: RunId) -> Response:
    """Lets a held run go on where it was, on its own version, unless that is rejected. Needs update apps/runs."""
    path = await path_of_run(context, session, app_id, run_id)
    return await context.journal.forward(session.api.credentials[0], "POST", f"{path}/release", body={})


@router.post("/callbacks", responses=documented(One[BackgroundRun], 404, 409, 413, 415, 501, says="The run, with its callbacks."))
async def send_callbacks(context: ContextOf, session: SessionOf, app_id: AppId, run_id: RunId, body: CallbacksAgain) -> Response:
    """Sends the callbacks of a run that has ended again, at once: all, or one. Needs update apps/runs.

    Also those that were delivered, or that failed. A receiver can tell each by its webhook-id, which stays the same. A run that has not ended
    answers 409 with the code not_ended.
    """
    path = await path_of_run(context, session, app_id, run_id)
    return await context.journal.forward(session.api.credentials[0], "POST", f"{path}/callbacks", body=body.model_dump())


@router.get("/events", responses=documented(BackgroundEvents, 404, 501))
async def events(
    context: ContextOf,
    session: SessionOf,
    app_id: AppId,
    run_id: RunId,
    after: Annotated[int, Query(ge=0, le=SEQUENCE_MOST, description="Events after the one of this `sequence`.")] = 0,
    limit: Annotated[int, Query(ge=1, le=EVENTS_MOST, description=f"Most events, at most {EVENTS_MOST}.")] = EVENTS_MOST,
    wait: Annotated[
        int, Query(ge=0, le=WAIT_MOST, description=f"Seconds to wait for an event if there is none yet, at most {WAIT_MOST}.")
    ] = 0,
) -> Response:
    """Returns events of a background run in order, without gaps. It answers as soon as there is one, or the run has ended."""
    path = await path_of_run(context, session, app_id, run_id)
    query = [("after", str(after)), ("limit", str(limit)), ("wait", str(wait))]
    return await context.journal.forward(session.api.credentials[0], "GET", f"{path}/events", query, wait=wait)


def _live_pins(context: ApiContext, session: CallerSession, app_id: str) -> dict[str, str]:
    _, app = context.open(session, APPS, app_id)
    return live_pins(session.api, app)
