"""Serves background runs of an App, which the journal keeps: one run, its events, and its cancellation."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from dynamiq_operator.model.background_runs import EVENTS_MOST, WAIT_MOST, BackgroundEvents, BackgroundRun
from dynamiq_operator.rest.context import ContextOf, SessionOf
from dynamiq_operator.rest.http.documented import documented
from dynamiq_operator.rest.http.errors import unknown_id
from dynamiq_operator.rest.http.models import One
from dynamiq_operator.rest.http.routes import StrictRoute
from dynamiq_operator.rest.parts.requests import AppId
from dynamiq_operator.rest.reads.rows import is_id
from dynamiq_operator.rest.runs.filters import RunId
from dynamiq_operator.rest.runs.recorder_paths import path_of

router = APIRouter(prefix="/v1/apps/{app_id}/runs/{run_id}", tags=["runs"], route_class=StrictRoute)
SEQUENCE_MOST = 2**53


@router.get("", responses=documented(One[BackgroundRun], 404, 501))
async def background_run(context: ContextOf, session: SessionOf, app_id: AppId, run_id: RunId) -> Response:
    """Returns one background run, until a while after its end. Its nodes, tokens and cost are then at /v1/runs/{run_id}."""
    path = await _path(context, session, app_id, run_id)
    return await context.journal.forward(session.api.credentials[0], "GET", path)


@router.post("/cancel", responses=documented(One[BackgroundRun], 404, 501, says="The run. One that had ended is unchanged."))
async def cancel_run(context: ContextOf, session: SessionOf, app_id: AppId, run_id: RunId) -> Response:
    """Cancels a background run: at once if no pod has it, else at its next node. Needs update apps/runs."""
    path = await _path(context, session, app_id, run_id)
    return await context.journal.forward(session.api.credentials[0], "POST", f"{path}/cancel", body={})


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
    path = await _path(context, session, app_id, run_id)
    query = [("after", str(after)), ("limit", str(limit)), ("wait", str(wait))]
    return await context.journal.forward(session.api.credentials[0], "GET", f"{path}/events", query, wait=wait)


async def _path(context: ContextOf, session: SessionOf, app_id: str, run_id: str) -> str:
    """Returns the run's path at the journal. Raises HttpProblem: 501 without a journal, and 404."""
    path = await path_of(context, session, app_id, context.journal)
    if not is_id(run_id):
        raise unknown_id("run", run_id)
    return f"{path}/runs/{run_id.lower()}"
