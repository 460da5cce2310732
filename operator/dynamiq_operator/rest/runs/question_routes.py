"""Serves questions of background runs, which the journal keeps: the open ones of an App, and answers to them."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from dynamiq_operator.model.background_runs import BackgroundRun, QuestionPage
from dynamiq_operator.rest.context import ContextOf, SessionOf
from dynamiq_operator.rest.http.documented import documented
from dynamiq_operator.rest.http.models import One
from dynamiq_operator.rest.http.routes import StrictRoute
from dynamiq_operator.rest.parts.requests import AppId
from dynamiq_operator.rest.runs.filters import PageOfRuns, RunId
from dynamiq_operator.rest.runs.recorder_paths import path_of, path_of_run
from dynamiq_operator.rest.runs.requests import RunInput

router = APIRouter(prefix="/v1/apps/{app_id}", tags=["runs"], route_class=StrictRoute)


@router.get("/questions", responses=documented(QuestionPage, 404, 501))
async def questions(context: ContextOf, session: SessionOf, app_id: AppId, page: PageOfRuns) -> Response:
    """Returns the open questions of the App's background runs, oldest first. Their texts need get apps/runcontents."""
    path = await path_of(context, session, app_id, context.journal)
    return await context.journal.forward(session.api.credentials[0], "GET", f"{path}/questions", page)


@router.post("/runs/{run_id}/input", responses=documented(One[BackgroundRun], 404, 409, 413, 415, 501, says="The run."))
async def answer(context: ContextOf, session: SessionOf, app_id: AppId, run_id: RunId, body: RunInput) -> Response:
    """Answers a question of a background run, which then goes on. Needs update apps/runcontents.

    The same answer again changes nothing. The codes of 409 are already_answered, run_ended and run_held. A question that the run does not have
    is 404 no_such_request.
    """
    path = await path_of_run(context, session, app_id, run_id)
    sent = body.model_dump(exclude_unset=True)
    return await context.journal.forward(session.api.credentials[0], "POST", f"{path}/input", body=sent)
