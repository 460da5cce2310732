"""Serves questions of runs and answers to them, and what persons and the operator decide about held runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from dynamiq_operator.serving.encoding import Json
from dynamiq_operator.serving.problems import invalid_field
from dynamiq_recorder.identity.rights import CONTENTS
from dynamiq_recorder.journal import waiting
from dynamiq_recorder.journal.http import answers, bodies
from dynamiq_recorder.journal.http.context import Caller, Context, ContextOf
from dynamiq_recorder.journal.http.run_routes import caller_of, one
from dynamiq_recorder.journal.tables import Work
from dynamiq_recorder.store.texts import clean

router = APIRouter(prefix="/v1/apps/{uid}")


@router.get("/questions")
async def list_questions(
    request: Request,
    context: ContextOf,
    uid: str,
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
    page_size: Annotated[int, Query(ge=1, le=100)] = 20,
) -> Response:
    caller = await context.caller(request, uid, "list")
    asked, total = await context.read(caller, context.store.questions, uid, page_size, (page - 1) * page_size)
    return Json(answers.questions(asked, caller.app.durable.wait, page, page_size, total, content=caller.content))


@router.post("/runs/{run_id}/input")
async def answer(request: Request, context: ContextOf, uid: str, run_id: str) -> Response:
    caller, identity, missing = await caller_of(context, request, uid, run_id, "update", of=CONTENTS)
    async with bodies.read(context, request, caller, bodies.InputBody, bodies.SMALL_MAX) as body:
        pass
    # A pod names the Access Key of its caller; users are known by their token.
    by = body.by if caller.place is not None else caller.user.username
    if not by:
        raise invalid_field("by", "must be the name of the caller's Access Key")
    operation = partial(waiting.answer, app_uid=uid, run_id=identity, kind=body.type, given=body.data, by=clean(by))
    answered = await context.committer.put(caller.app.namespace, operation)
    if answered is None:
        raise missing
    if answered[1]:
        context.metrics.answers.inc()
    return await one(context, caller, uid, identity, missing)


@router.post("/runs/{run_id}/restart")
async def restart(request: Request, context: ContextOf, uid: str, run_id: str) -> Response:
    caller, identity, missing = await caller_of(context, request, uid, run_id, "update", only_users=True)
    async with bodies.read(context, request, caller, bodies.RestartBody, bodies.SMALL_MAX) as body:
        pass
    operation = partial(
        waiting.restart,
        app_uid=uid,
        run_id=identity,
        pins=body.pins,
        workflow_hash=clean(body.workflow_hash) if body.workflow_hash is not None else None,
        by=caller.user.username,
    )
    if await context.committer.put(caller.app.namespace, operation) is None:
        raise missing
    return await one(context, caller, uid, identity, missing)


@router.post("/runs/{run_id}/release")
async def release(request: Request, context: ContextOf, uid: str, run_id: str) -> Response:
    caller, identity, missing = await caller_of(context, request, uid, run_id, "update", only_users=True)
    operation = partial(waiting.release, app_uid=uid, run_id=identity, by=caller.user.username)
    if await context.committer.put(caller.app.namespace, operation) is None:
        raise missing
    return await one(context, caller, uid, identity, missing)


@router.post("/hold")
async def hold(request: Request, context: ContextOf, uid: str) -> Response:
    caller, body = await _of_operator(context, request)
    if body.cancel:
        canceled = await _in_pieces(context, partial(waiting.cancel_all, app_uid=uid, pins=body.pins, by=caller.user.username))
        return Json({"held": 0, "canceled": canceled})
    return Json({"held": await _in_pieces(context, partial(waiting.hold, app_uid=uid, pins=body.pins, reason=body.reason))})


@router.post("/unhold")
async def unhold(request: Request, context: ContextOf, uid: str) -> Response:
    _, body = await _of_operator(context, request)
    return Json({"released": await _in_pieces(context, partial(waiting.unhold, app_uid=uid, pins=body.pins, reason=body.reason))})


async def _of_operator(context: Context, request: Request) -> tuple[Caller, bodies.HoldBody]:
    """Returns the operator, which may change the runs of every App, and its body."""
    caller = await context.require_all_namespaces(request, "update")
    async with bodies.read(context, request, caller, bodies.HoldBody, bodies.SMALL_MAX) as body:
        return caller, body


async def _in_pieces(context: Context, change: Callable[[Work], tuple[int, bool]]) -> int:
    """Executes a change of an App's runs in pieces, between which other requests go on. Returns how many runs it changed."""
    total, more = 0, True
    while more:
        count, more = await context.committer.put("", change)
        total += count
    return total
