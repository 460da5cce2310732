"""Serves readers of runs, which are pods of the App and users with the right, and the counts of open runs."""

from __future__ import annotations

import uuid
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from dynamiq_operator.serving.encoding import Json
from dynamiq_operator.serving.problems import HttpProblem, unavailable
from dynamiq_recorder.http.errors import unknown
from dynamiq_recorder.identity.rights import RUNS
from dynamiq_recorder.journal import operations
from dynamiq_recorder.journal.http import answers, bodies
from dynamiq_recorder.journal.http.context import Caller, Context, ContextOf
from dynamiq_recorder.journal.model import STATUSES, Selection, State
from dynamiq_recorder.journal.reading import Events
from dynamiq_recorder.journal.run import OPEN
from dynamiq_recorder.journal.tables import run_key

WAIT_MOST = 30.0
"""Most seconds of a long poll."""
Word = Annotated[str, Field(min_length=1, max_length=256)]
Wait = Annotated[float, Query(ge=0, le=WAIT_MOST)]

router = APIRouter(prefix="/v1/apps/{uid}/runs")
counts = APIRouter()


class RunsQuery(BaseModel):
    """Parameters of a page of runs. `status`: in the product's words."""

    model_config = ConfigDict(extra="forbid")

    status: Annotated[list[Literal["created", "started", "paused", "completed", "failed", "canceled"]], Field(max_length=6)] = []
    user_id: Word | None = None
    session_id: Word | None = None
    open: bool | None = None
    page: Annotated[int, Field(ge=1, le=10_000)] = 1
    page_size: Annotated[int, Field(ge=1, le=100)] = 20
    sort: Literal["accepted_at", "-accepted_at"] = "-accepted_at"

    def selection(self, app_uid: str) -> Selection | None:
        """Returns the selection; None if no run can match."""
        chosen = [each for each in State if not self.status or STATUSES[each] in self.status]
        chosen = [each for each in chosen if self.open is None or (each in OPEN) == self.open]
        if not chosen:
            return None
        return Selection(
            app_uid=app_uid,
            states=tuple(chosen) if len(chosen) < len(State) else (),
            user_id=self.user_id,
            session_id=self.session_id,
            descending=self.sort.startswith("-"),
            limit=self.page_size,
            offset=(self.page - 1) * self.page_size,
        )


async def caller_of(
    context: Context, request: Request, uid: str, run_id: str, verb: str, *, of: str = RUNS, only_users: bool = False
) -> tuple[Caller, str, HttpProblem]:
    """Returns the caller, the id as it is stored, and the 404 of a missing run.

    A caller who may not see the App gets the same 404. One who may only see it gets 403, but for a missing run the 404, too.
    """
    missing = unknown("run", run_id)
    try:
        identity = str(uuid.UUID(run_id))
    except ValueError:
        identity = ""
    try:
        caller = await context.caller(request, uid, verb, missing, of=of, only_users=only_users)
    except HttpProblem as problem:
        if problem.status != 403:
            raise
        reader = await context.caller(request, uid, "list", missing)
        if not identity or await context.read(reader, partial(context.store.run, content=False), uid, identity) is None:
            raise missing from None
        raise
    if not identity:
        raise missing
    return caller, identity, missing


@router.get("")
async def list_runs(request: Request, context: ContextOf, uid: str, query: Annotated[RunsQuery, Query()]) -> Response:
    caller = await context.caller(request, uid, "list")
    selection = query.selection(uid)
    runs, total = await context.read(caller, partial(context.store.page, content=caller.content), selection) if selection else ([], 0)
    return Json(answers.page(runs, caller.app.durable.wait, query.page, query.page_size, total, content=caller.content))


@router.get("/{run_id}")
async def get_run(request: Request, context: ContextOf, uid: str, run_id: str) -> Response:
    caller, identity, missing = await caller_of(context, request, uid, run_id, "get")
    return await one(context, caller, uid, identity, missing)


async def one(context: Context, caller: Caller, uid: str, identity: str, missing: HttpProblem) -> Response:
    """Returns a run as its caller may see it."""
    run = await context.read(caller, partial(context.store.run, content=caller.content), uid, identity)
    if run is None:
        raise missing
    return Json({"data": answers.run(run, caller.app.durable.wait, content=caller.content)})


@router.post("/{run_id}/cancel")
async def cancel_run(request: Request, context: ContextOf, uid: str, run_id: str) -> Response:
    caller, identity, missing = await caller_of(context, request, uid, run_id, "update")
    async with bodies.read(context, request, caller, bodies.CancelBody, bodies.SMALL_MAX) as body:
        pass
    # A pod names the Access Key of its caller; users are known by their token.
    by = body.by if caller.place is not None else caller.user.username
    canceled = await context.committer.put(caller.app.namespace, partial(operations.cancel, app_uid=uid, run_id=identity, by=by))
    if canceled is None:
        raise missing
    return await one(context, caller, uid, identity, missing)


@router.get("/{run_id}/events")
async def list_events(
    request: Request,
    context: ContextOf,
    uid: str,
    run_id: str,
    after: Annotated[int, Query(ge=0, le=2**53)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 500,
    wait: Wait = 0,
) -> Response:
    caller, identity, missing = await caller_of(context, request, uid, run_id, "get")

    async def read() -> Events | None:
        return await context.read(caller, context.store.events, uid, identity, after, limit)

    def is_enough(found: Events | None) -> bool:
        return found is None or bool(found.events) or not found.run.is_open

    events = await context.poll(request, caller, context.notices.poll(run_key(uid, identity), wait, read, is_enough))
    if events is None:
        raise missing
    return Json(answers.events(events, after, content=caller.content))


@counts.get("/v1/open")
async def list_open(request: Request, context: ContextOf, after: str = "", wait: Wait = 0) -> Response:
    caller = await context.require_all_namespaces(request)
    snapshot = await context.poll(request, caller, context.feed.after(after, wait))
    if snapshot is None:
        raise unavailable("the open runs are not read yet: try again")
    return Json(answers.open_runs(snapshot))
