"""Serves one run, its deletion, and its scores."""

from __future__ import annotations

import time
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response

from dynamiq_operator.serving.encoding import Json
from dynamiq_operator.serving.problems import HttpProblem, invalid_fields, unavailable
from dynamiq_recorder.http import body
from dynamiq_recorder.http.context import Context, ContextOf, lane_of
from dynamiq_recorder.http.errors import FULL_FOR, unknown
from dynamiq_recorder.http.queries import OneRunQuery, RunQuery
from dynamiq_recorder.http.readers import ReaderOf
from dynamiq_recorder.identity.apps import KnownApp
from dynamiq_recorder.identity.tokens import User
from dynamiq_recorder.ingest import clean
from dynamiq_recorder.ingest.shares import Source
from dynamiq_recorder.model import Run, Score
from dynamiq_recorder.reads import runs
from dynamiq_recorder.reads.runs import Content
from dynamiq_recorder.reads.trace import trace

SCORE_MAX, SCORES = 16 * 1024, 16
"""Most bytes of a body, and bodies of one user at a time."""
router = APIRouter(prefix="/v1/runs/{run_id}")


class ScoreBody(BaseModel):
    """A user's score of a run."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(min_length=1, max_length=64)]
    value: Annotated[float, Field(ge=-1e12, le=1e12, allow_inf_nan=False)]
    comment: Annotated[str | None, Field(max_length=1024)] = None


async def _visible_run(context: Context, user: User, run_id: str, verb: str, app_id: str | None = None) -> tuple[Run, KnownApp]:
    """Returns a run without its content, and its App.

    Several Apps may have a run of one id. Without `app_id`, the first stored run that the user may see is returned. A deletion needs
    `app_id` then.

    Raises HttpProblem 404, the same for a missing run and for one that the user may not see; 409 for an ambiguous deletion.
    """
    matches: list[tuple[Run, KnownApp]] = []
    uid = clean.run_id(run_id)
    if uid is None:
        raise unknown("run", run_id)
    for app_uid in await context.run_for_reader(context.store.apps_with, uid):
        if app_id not in (None, app_uid):
            continue
        try:
            app = await context.app(user, app_uid, verb)
        except HttpProblem as problem:
            if problem.status == 404:
                continue
            if matches:
                raise _several(run_id) from None
            raise
        run = await context.run_for_reader(partial(context.store.run, app_uid, uid, content=False))
        if run is not None and matches:
            raise _several(run_id)
        if run is not None:
            matches.append((run, app))
            if verb != "delete":
                break
    if not matches:
        raise unknown("run", run_id)
    return matches[0]


def _several(run_id: str) -> HttpProblem:
    return HttpProblem(409, f"several Apps have a run {run_id}: say by app_id whose is meant")


async def _with_content(context: Context, user: User, run_id: str, query: RunQuery) -> tuple[Run, Content]:
    """Returns the run as its reader may have it, and the state of its content. Raises as `_visible_run` does."""
    run, app = await _visible_run(context, user, run_id, "get", query.app_id)
    asked = query.include is not None
    allowed = asked and await context.shows_content(user, app)
    content = runs.content_of(run, asked=asked, allowed=allowed)
    if content is Content.INCLUDED or (allowed and content is Content.NOT_RECORDED):
        whole = await context.run_for_reader(lambda: context.store.run(run.app_uid, run.id, content=True))
        if whole is None:
            raise unknown("run", run.id)
        run, content = whole, runs.content_of(whole, asked=asked, allowed=allowed)
    return run, content


@router.get("")
async def get_run(context: ContextOf, user: ReaderOf, run_id: str, query: Annotated[RunQuery, Query()]) -> Response:
    run, content = await _with_content(context, user, run_id, query)
    return await context.answer(lambda: runs.detail(run, context.store.scores(run.app_uid, run.id), content))


@router.get("/trace")
async def get_trace(context: ContextOf, user: ReaderOf, run_id: str, query: Annotated[RunQuery, Query()]) -> Response:
    run, content = await _with_content(context, user, run_id, query)
    return await context.answer(lambda: trace(run, shows=content is Content.INCLUDED))


@router.delete("")
async def delete_run(context: ContextOf, user: ReaderOf, run_id: str, query: Annotated[OneRunQuery, Query()]) -> Response:
    run, _ = await _visible_run(context, user, run_id, "delete", query.app_id)
    if not await context.run_for_reader(context.store.delete_run, run.app_uid, run.id):
        raise unknown("run", run_id)
    return Response(status_code=204)


@router.post("/scores")
async def add_score(request: Request, context: ContextOf, run_id: str, query: Annotated[OneRunQuery, Query()]) -> Response:
    user = await context.user(request)
    source = Source(lane_of(user), user.username, is_pod=False)
    with context.arriving.coming(("scores", user.username), SCORES), context.arriving.room(source) as came:
        # Before the slot is taken: anyone with a token may send, and slowly.
        raw = await body.read(request.headers, request.receive, SCORE_MAX, came)
    async with context.reads.slot(lane_of(user)):
        return await _scored(context, user, run_id, raw, query.app_id)


async def _scored(context: Context, user: User, run_id: str, raw: bytes, app_id: str | None) -> Response:
    run, _ = await _visible_run(context, user, run_id, "update", app_id)
    if context.is_full(run.app_uid):
        raise unavailable("the disk of the store is full: scores are taken again once there is room", FULL_FOR)
    try:
        score_body = ScoreBody.model_validate_json(raw)
    except ValidationError as error:
        wrong = {".".join(map(str, each["loc"])) or "body": each["msg"] for each in error.errors(include_url=False)[:20]}
        raise invalid_fields(wrong) from None
    by = clean.text(user.username) or "-"
    score = Score(
        name=clean.cleaned(score_body.name),
        value=score_body.value,
        comment=clean.text(score_body.comment, 1024),
        by=by,
        at=time.time_ns() // 1000,
    )
    if not await context.run_for_reader(context.store.add_score, run.app_uid, run.id, score):
        raise unknown("run", run_id)
    return Json({"data": runs.score_of(score).model_dump(mode="json")}, 201)
