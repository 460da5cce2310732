"""Serves an App's runs: lists, exports, metrics, sessions, completeness, and deletions of several runs. run_routes serves single runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Query
from starlette.responses import Response, StreamingResponse

from dynamiq_operator.model.runs import DeletedRuns, MetricsGroup
from dynamiq_operator.serving.encoding import Json, dumps
from dynamiq_operator.serving.problems import HttpProblem, invalid_field
from dynamiq_recorder.http.context import Context, ContextOf, ExporterOf, ReaderOf
from dynamiq_recorder.http.queries import DeleteQuery, ExportQuery, MetricsQuery, RunFilter, RunsQuery, SessionsQuery
from dynamiq_recorder.identity.tokens import User
from dynamiq_recorder.model import Run
from dynamiq_recorder.reads import figures, runs

TOGETHER, BYTES = 20, 256 * 1024
"""Most runs of an export that are read and sent at once, and the bytes from which on a piece is sent early."""

router = APIRouter(prefix="/v1/apps/{uid}")


async def _shows_content(context: Context, user: User, uid: str, query: RunFilter) -> bool:
    """Returns True if the user may read content of an App whose runs they may list.

    Raises HttpProblem 403 if they may not, and search in it.
    """
    shows = await context.shows_content(user, await context.app(user, uid, "list"))
    if query.error is not None and not shows:
        raise HttpProblem(403, "you need the right to get apps/runcontents: to search in errors is to read them")
    return shows


@router.get("/runs")
async def list_runs(context: ContextOf, user: ReaderOf, uid: str, query: Annotated[RunsQuery, Query()]) -> Response:
    shows = await _shows_content(context, user, uid, query)
    selection, offset = query.filter(uid), 0 if query.cursor else query.offset
    try:
        page = await context.run_for_reader(
            lambda: context.store.page(selection, query.order, limit=query.page_size, offset=offset, cursor=query.cursor)
        )
    except ValueError:
        raise invalid_field("cursor", "use a cursor that a page returned") from None
    return await context.answer(
        lambda: [runs.summary(run, with_error=shows).model_dump(mode="json") for run in page.runs],
        pagination={**query.pagination(page.total), "next_cursor": page.cursor},
    )


@router.get("/runs.jsonl")
async def export_runs(context: ContextOf, user: ExporterOf, uid: str, query: Annotated[ExportQuery, Query()]) -> Response:
    shows = await _shows_content(context, user, uid, query)
    with_content = query.include is not None
    stream = context.store.every(query.filter(uid), content=with_content and shows)
    return StreamingResponse(_lines(context, stream, with_content, shows), media_type="application/jsonl")


async def _lines(context: Context, stream: Iterator[Run], with_content: bool, shows: bool) -> AsyncIterator[bytes]:
    def read_piece() -> bytes:
        lines, size = [], 0
        for run in islice(stream, TOGETHER):
            content = runs.content_of(run, asked=with_content, allowed=shows)
            detail = runs.detail(run, context.store.scores(run.app_uid, run.id), content)
            lines.append(dumps(detail) + b"\n")
            if (size := size + len(lines[-1])) >= BYTES:
                break
        return b"".join(lines)

    try:
        while piece := await anyio.to_thread.run_sync(read_piece, limiter=context.exporting):
            yield piece
    finally:
        if hasattr(stream, "close"):
            stream.close()


@router.delete("/runs")
async def delete_runs(context: ContextOf, user: ReaderOf, uid: str, query: Annotated[DeleteQuery, Query()]) -> Response:
    await context.app(user, uid, "delete")
    deleted = await context.run_for_reader(context.store.delete, query.filter(uid))
    return Json({"data": DeletedRuns(deleted=deleted).model_dump(mode="json")})


@router.get("/metrics")
async def get_metrics(context: ContextOf, user: ReaderOf, uid: str, query: Annotated[MetricsQuery, Query()]) -> Response:
    await context.app(user, uid, "get")
    since, until, interval = query.window()
    points = await context.run_for_reader(context.store.metrics, uid, since, until, interval, query.group_by)
    is_by_row = query.group_by is MetricsGroup.DEPLOYMENT
    rows = {row.uid: row for row in await context.run_for_reader(context.store.rows, uid)} if is_by_row else {}
    return await context.answer(lambda: figures.metrics(points, since, until, interval, query.group_by, rows).model_dump(mode="json"))


@router.get("/sessions")
async def list_sessions(context: ContextOf, user: ReaderOf, uid: str, query: Annotated[SessionsQuery, Query()]) -> Response:
    shows = await context.shows_content(user, await context.app(user, uid, "list"))
    sessions, total = await context.run_for_reader(
        lambda: context.store.sessions(query.filter(uid), limit=query.page_size, offset=query.offset, content=shows)
    )
    return await context.answer_each(
        sessions, lambda each: figures.session(each).model_dump(mode="json"), pagination=query.pagination(total)
    )


@router.get("/recorder")
async def get_state(context: ContextOf, user: ReaderOf, uid: str) -> Response:
    app = await context.app(user, uid, "get")
    alive = await context.writers.pods.alive(app.namespace, app.name) if app.name else ()
    wholeness = await context.run_for_reader(context.store.wholeness, uid, alive)
    return Json({"data": figures.state(wholeness).model_dump(mode="json")})
