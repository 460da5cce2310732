"""Serves the runs of an App: lists by filter, one run with its nodes, its trace, its scores, and deletion."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from dynamiq_operator.model.background_runs import BackgroundRunPage
from dynamiq_operator.model.runs import DeletedRuns, RunDetail, RunPage, RunScore, RunSort, RunTrace
from dynamiq_operator.rest.context import ContextOf, SessionOf
from dynamiq_operator.rest.http.documented import documented, documented_as
from dynamiq_operator.rest.http.errors import invalid_request, unknown_id
from dynamiq_operator.rest.http.examples import EXAMPLES
from dynamiq_operator.rest.http.models import One
from dynamiq_operator.rest.http.recorder import JSON_LINES
from dynamiq_operator.rest.http.routes import StrictRoute
from dynamiq_operator.rest.parts.requests import AppId
from dynamiq_operator.rest.parts.times import TIME, moment
from dynamiq_operator.rest.reads.rows import is_id
from dynamiq_operator.rest.runs.filters import (
    ContentOf,
    CursorOf,
    FiltersOf,
    OpenOf,
    PageOfRuns,
    Pairs,
    RunId,
    SortOf,
    Text,
    WhoseOf,
    written,
)
from dynamiq_operator.rest.runs.recorder_paths import filtered, path_of
from dynamiq_operator.rest.runs.requests import NewScore
from dynamiq_operator.serving.encoding import dumps

router = APIRouter(prefix="/v1", tags=["runs"], route_class=StrictRoute)
EXPORTED = documented_as(
    JSON_LINES, f"{dumps(EXAMPLES['RunDetail']).decode()}\n", 404, 501, says="A run a line, each as GET /v1/runs/{run_id} has it."
)


LISTED = documented(RunPage, 404, 501)
LISTED[200]["model"] = RunPage | BackgroundRunPage


@router.get("/apps/{app_id}/runs", responses=LISTED)
async def every_run(
    context: ContextOf,
    session: SessionOf,
    app_id: AppId,
    conditions: FiltersOf,
    page: PageOfRuns,
    sort: SortOf = RunSort.NEWEST,
    cursor: CursorOf = None,
    is_open: OpenOf = None,
) -> Response:
    """Returns the App's runs that match all filters. A list counts up to 10,000 and no further; `next_cursor` continues after any page.

    With `open=true` it returns the background runs that have not ended.
    """
    if is_open is not None:
        path = await path_of(context, session, app_id, context.journal)
        pairs = [*conditions.of_open(sort, cursor), *page]
        return await context.journal.forward(session.api.credentials[0], "GET", f"{path}/runs", pairs)
    path, pairs = await filtered(context, session, app_id, conditions)
    pairs += [*page, ("sort", sort.value), *_optional("cursor", cursor)]
    return await context.recorder.forward(session.api.credentials[0], "GET", f"{path}/runs", pairs)


@router.get("/apps/{app_id}/runs.jsonl", response_class=Response, responses=EXPORTED)
async def export_runs(context: ContextOf, session: SessionOf, app_id: AppId, conditions: FiltersOf, include: ContentOf = None) -> Response:
    """Returns all runs that match the filters, oldest first, each whole and on its own line.

    They are sent while they are read, however many they are.
    """
    path, pairs = await filtered(context, session, app_id, conditions)
    return await context.recorder.export(session.api.credentials[0], f"{path}/runs.jsonl", [*pairs, *_optional("include", include)])


@router.delete("/apps/{app_id}/runs", responses=documented(One[DeletedRuns], 404, 413, 501))
async def delete_runs(
    context: ContextOf,
    session: SessionOf,
    app_id: AppId,
    before: Annotated[str | None, Query(pattern=TIME, description="Runs that began before this time or date.")] = None,
    session_id: Annotated[Text, Query(description="Runs of this session.")] = None,
    user_id: Annotated[Text, Query(description="Runs of this user.")] = None,
) -> Response:
    """Deletes runs of the App for good, with their content and scores.

    Exactly one of the three parameters selects them. Needs delete apps/runs.
    """
    time = moment("before", before)
    chosen = [
        *_optional("before", written(time) if time is not None else None),
        *_optional("session_id", session_id),
        *_optional("user_id", user_id),
    ]
    if len(chosen) != 1:
        raise invalid_request([("before", "give exactly one of before, session_id and user_id")])
    path = await path_of(context, session, app_id)
    return await context.recorder.forward(session.api.credentials[0], "DELETE", f"{path}/runs", chosen)


@router.get("/runs/{run_id}", responses=documented(One[RunDetail], 404, 501))
async def run(context: ContextOf, session: SessionOf, run_id: RunId, include: ContentOf = None, of: WhoseOf = None) -> Response:
    """Returns one run with its nodes, their times, tokens and cost. `content` shows if inputs and outputs are in it, and if not, why."""
    return await context.recorder.forward(session.api.credentials[0], "GET", _path(context, run_id), _which(include, of))


@router.delete("/runs/{run_id}", status_code=204, responses=documented(None, 404, 409, 413, 501, status=204))
async def delete_run(context: ContextOf, session: SessionOf, run_id: RunId, of: WhoseOf = None) -> Response:
    """Deletes a run for good, with its content and scores.

    Needs delete apps/runs. If several Apps have the run, it answers 409 unless the App is named.
    """
    return await context.recorder.forward(session.api.credentials[0], "DELETE", _path(context, run_id), _optional("app_id", of))


@router.get("/runs/{run_id}/trace", responses=documented(One[RunTrace], 404, 501))
async def trace(context: ContextOf, session: SessionOf, run_id: RunId, include: ContentOf = None, of: WhoseOf = None) -> Response:
    """Returns the run as the product's SDK sends it: runs of the workflow, its flow and its nodes."""
    path = f"{_path(context, run_id)}/trace"
    return await context.recorder.forward(session.api.credentials[0], "GET", path, _which(include, of))


@router.post(
    "/runs/{run_id}/scores",
    status_code=201,
    responses=documented(One[RunScore], 404, 413, 415, 501, status=201, says="The score."),
)
async def score(context: ContextOf, session: SessionOf, run_id: RunId, body: NewScore, of: WhoseOf = None) -> Response:
    """Scores the run: the caller's score of this name, set or replaced. Needs update apps/runs."""
    path = f"{_path(context, run_id)}/scores"
    return await context.recorder.forward(
        session.api.credentials[0], "POST", path, _optional("app_id", of), body.model_dump(exclude_none=True)
    )


def _path(context: ContextOf, run_id: str) -> str:
    """Returns the run's path at the recorder, which alone knows its App. Raises HttpProblem 501, and 404 if the id is none."""
    context.recorder.require()
    if not is_id(run_id):
        raise unknown_id("run", run_id)
    return f"/v1/runs/{run_id.lower()}"


def _which(include: str | None, of: str | None) -> Pairs:
    return [*_optional("include", include), *_optional("app_id", of)]


def _optional(name: str, value: str | None) -> Pairs:
    return [(name, value)] if value is not None else []
