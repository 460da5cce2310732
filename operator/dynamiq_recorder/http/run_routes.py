"""Reads of one run, its deletion, and its scores."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response

from dynamiq_recorder.http import body
from dynamiq_recorder.http.context import Context, context_of
from dynamiq_recorder.http.errors import HttpProblem, Json, unknown
from dynamiq_recorder.http.queries import RunQueryOf
from dynamiq_recorder.identity.apps import KnownApp
from dynamiq_recorder.identity.tokens import User
from dynamiq_recorder.ingest import clean
from dynamiq_recorder.model import Run, Score
from dynamiq_recorder.reads import runs
from dynamiq_recorder.reads.runs import Content
from dynamiq_recorder.reads.trace import trace

SCORE_MAX = 16 * 1024
router = APIRouter(prefix="/v1/runs/{run_id}")


class ScoreBody(BaseModel):
    """What somebody thinks of a run."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(min_length=1, max_length=64)]
    value: Annotated[float, Field(ge=-1e12, le=1e12, allow_inf_nan=False)]
    comment: Annotated[str | None, Field(max_length=1024)] = None


async def _found(context: Context, user: User, run_id: str, verb: str) -> tuple[Run, KnownApp]:
    """A run without its content, and its App. Raises HttpProblem 404, the same where there is none and where it may not be seen."""
    uid = clean.run_id(run_id)
    run = await context.ask(lambda: context.store.run(uid, content=False)) if uid is not None else None
    if run is None:
        raise unknown("run", run_id)
    try:
        return run, await context.app(user, run.app_uid, verb)
    except HttpProblem as problem:
        if problem.status == 404:
            raise unknown("run", run_id) from None
        raise


async def _with_content(context: Context, user: User, run: Run, app: KnownApp, *, asked: bool) -> tuple[Run, Content]:
    """The run as its reader may have it, and what that has of its content."""
    allowed = asked and await context.shows_content(user, app)
    content = runs.content_of(run, asked=asked, allowed=allowed)
    if content is Content.INCLUDED or (allowed and content is Content.NOT_RECORDED):
        whole = await context.ask(lambda: context.store.run(run.id, content=True))
        if whole is None:
            raise unknown("run", run.id)
        run, content = whole, runs.content_of(whole, asked=asked, allowed=allowed)
    return run, content


@router.get("")
async def get_run(request: Request, run_id: str, query: RunQueryOf) -> Response:
    context, user = context_of(request), await context_of(request).user(request)
    run, app = await _found(context, user, run_id, "get")
    run, content = await _with_content(context, user, run, app, asked=query.include is not None)
    scores = await context.ask(context.store.scores, run.id)
    return Json({"data": runs.detail(run, scores, content).model_dump(mode="json")})


@router.get("/trace")
async def get_trace(request: Request, run_id: str, query: RunQueryOf) -> Response:
    context, user = context_of(request), await context_of(request).user(request)
    run, app = await _found(context, user, run_id, "get")
    run, content = await _with_content(context, user, run, app, asked=query.include is not None)
    return Json({"data": trace(run, shows=content is Content.INCLUDED).model_dump(mode="json")})


@router.delete("")
async def delete_run(request: Request, run_id: str) -> Response:
    context, user = context_of(request), await context_of(request).user(request)
    run, _ = await _found(context, user, run_id, "delete")
    if not await context.ask(context.store.delete_run, run.id):
        raise unknown("run", run_id)
    return Response(status_code=204)


@router.post("/scores")
async def add_score(request: Request, run_id: str) -> Response:
    context, user = context_of(request), await context_of(request).user(request)
    run, _ = await _found(context, user, run_id, "update")
    raw = await body.read(request.headers, request.receive, SCORE_MAX)
    try:
        given = ScoreBody.model_validate_json(raw)
    except ValidationError as error:
        wrong = {".".join(map(str, each["loc"])) or "body": each["msg"] for each in error.errors(include_url=False)[:20]}
        raise HttpProblem(422, "; ".join(f"{where}: {says}" for where, says in wrong.items()), wrong) from None
    by = clean.text(user.username) or "-"
    score = Score(
        name=clean.cleaned(given.name), value=given.value, comment=clean.text(given.comment, 1024), by=by, at=time.time_ns() // 1000
    )
    if not await context.ask(context.store.add_score, run.id, score):
        raise unknown("run", run_id)
    return Json({"data": runs.score_of(score).model_dump(mode="json")}, 201)
