"""Serves an App's runs in the shapes of the product's calls: traces, messages of a session, and metrics in buckets.

The API has the product's names, times and words. These calls take the parameters of the recorder's others.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from dynamiq_operator.serving.problems import invalid_field
from dynamiq_recorder.http.context import Context, ContextOf, ReaderOf
from dynamiq_recorder.http.errors import unknown
from dynamiq_recorder.http.queries import ContentsQuery, MessagesQuery, NoQuery, TracesQuery, UsageQuery
from dynamiq_recorder.identity.tokens import User
from dynamiq_recorder.ingest import clean
from dynamiq_recorder.model import Run
from dynamiq_recorder.reads import product
from dynamiq_recorder.store.results import Page

router = APIRouter(prefix="/v1/apps/{uid}")


@router.get("/traces")
async def list_traces(context: ContextOf, user: ReaderOf, uid: str, query: Annotated[TracesQuery, Query()]) -> Response:
    return await _answer(context, query, await _page(context, user, uid, query), product.trace)


@router.get("/traces/{trace_id}")
async def get_trace(context: ContextOf, user: ReaderOf, uid: str, trace_id: str, _: Annotated[NoQuery, Query()]) -> Response:
    shows = await context.shows_content(user, await context.app(user, uid, "get"))
    if (run_id := clean.run_id(trace_id)) is None:
        raise unknown("trace", trace_id)
    run = await context.run_for_reader(lambda: context.store.run(uid, run_id, content=shows, spans=False))
    if run is None:
        raise unknown("trace", trace_id)
    return await context.answer(lambda: product.trace(run))


@router.get("/messages")
async def list_messages(context: ContextOf, user: ReaderOf, uid: str, query: Annotated[MessagesQuery, Query()]) -> Response:
    page = await _page(context, user, uid, query)
    if not page.total:
        raise unknown("session", query.session_id)
    return await _answer(context, query, page, product.message)


@router.get("/usage")
async def get_usage(context: ContextOf, user: ReaderOf, uid: str, query: Annotated[UsageQuery, Query()]) -> Response:
    await context.app(user, uid, "get")
    first, until = query.window()
    if not query.is_of_hours and first < context.keep.runs_from(time.time_ns() // 1000):
        # Deleted figures would be zeros.
        raise invalid_field("interval", "choose whole hours: figures of minutes are kept as long as the runs, and these are older")
    points = await context.run_for_reader(context.store.usage, uid, first, until, query.seconds)
    return await context.answer(lambda: product.usage(points, first, until, query.seconds).model_dump(mode="json"))


async def _page(context: Context, user: User, uid: str, query: ContentsQuery) -> Page:
    """Returns the page, with content if the user may read it. Raises HttpProblem 403, 404, 422."""
    shows = await context.shows_content(user, await context.app(user, uid, "list"))
    selection, offset = query.filter(uid), 0 if query.cursor else query.offset
    try:
        return await context.run_for_reader(
            lambda: context.store.page(selection, query.order, limit=query.page_size, offset=offset, cursor=query.cursor, content=shows)
        )
    except ValueError:
        raise invalid_field("cursor", "use a cursor that a page returned") from None


async def _answer(context: Context, query: ContentsQuery, page: Page, shape: Callable[[Run], dict[str, Any]]) -> Response:
    pagination = {**query.pagination(page.total), "next_cursor": page.cursor}
    return await context.answer_each(page.runs, shape, pagination)
