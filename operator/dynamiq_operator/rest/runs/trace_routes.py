"""Serves an App's runs as the product names them: traces, and the messages of a session."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from dynamiq_operator.model.runs import CONTENTS_MOST, PRODUCT_STATUSES, ProductStatus
from dynamiq_operator.model.traces import MessagePage, Trace, TracePage
from dynamiq_operator.rest.context import ContextOf, SessionOf
from dynamiq_operator.rest.http.documented import documented
from dynamiq_operator.rest.http.errors import unknown_id
from dynamiq_operator.rest.http.models import Id, One
from dynamiq_operator.rest.http.pagination import PAGE_SIZE, PageOf
from dynamiq_operator.rest.http.routes import StrictRoute
from dynamiq_operator.rest.parts.any_text import ANY_TEXT
from dynamiq_operator.rest.parts.requests import AppId
from dynamiq_operator.rest.parts.times import TIME, moment
from dynamiq_operator.rest.reads.rows import is_id
from dynamiq_operator.rest.runs.filters import TEXT_MOST, CursorOf, Pairs, written
from dynamiq_operator.rest.runs.recorder_paths import path_of

router = APIRouter(prefix="/v1/apps/{app_id}", tags=["runs"], route_class=StrictRoute)
LAST = datetime.max.replace(tzinfo=UTC) - timedelta(microseconds=1)
TraceId = Annotated[Id, Path(description="The trace's id: the id of its run.")]
SizeOf = Annotated[int, Query(ge=1, le=CONTENTS_MOST, description=f"Items of a page, at most {CONTENTS_MOST}.")]


@router.get("/traces", responses=documented(TracePage, 404, 501))
async def every_trace(
    context: ContextOf,
    session: SessionOf,
    app_id: AppId,
    since: Annotated[
        str | None, Query(alias="started_at:gte", pattern=TIME, description="From this time on, or from this date, UTC.")
    ] = None,
    until: Annotated[
        str | None, Query(alias="started_at:lte", pattern=TIME, description="Up to this time, or to the begin of this date.")
    ] = None,
    status: Annotated[list[ProductStatus], Query(max_length=len(ProductStatus), description="One, or several.")] = [],  # noqa: B006
    page: PageOf = 1,
    page_size: SizeOf = PAGE_SIZE,
    sort: Annotated[Literal["started_at", "-started_at"], Query(description="By default newest first.")] = "-started_at",
    cursor: CursorOf = None,
) -> Response:
    """Returns the App's runs in the product's shape, with inputs and outputs where they were recorded and the caller may read them."""
    pairs: Pairs = [("page", str(page)), ("page_size", str(page_size)), ("sort", sort)]
    if (begin := moment("started_at:gte", since)) is not None:
        pairs.append(("from", written(begin)))
    if (end := moment("started_at:lte", until)) is not None:
        # The recorder's own end is excluded. No run is of the last microsecond of all time.
        pairs.append(("to", written(min(end, LAST) + timedelta(microseconds=1))))
    pairs += [("status", outcome.value) for outcome, word in PRODUCT_STATUSES.items() if word in status]
    return await _forward(context, session, app_id, "traces", pairs, cursor)


@router.get("/traces/{trace_id}", responses=documented(One[Trace], 404, 501))
async def one_trace(context: ContextOf, session: SessionOf, app_id: AppId, trace_id: TraceId) -> Response:
    """Returns one run of the App in the product's shape. Its nodes are at /v1/runs/{run_id}/trace."""
    if not is_id(trace_id):
        raise unknown_id("trace", trace_id)
    return await _forward(context, session, app_id, f"traces/{trace_id.lower()}", [])


@router.get(f"/sessions/{{session_id:{ANY_TEXT}}}/messages", responses=documented(MessagePage, 404, 501))
async def messages(
    context: ContextOf,
    session: SessionOf,
    app_id: AppId,
    session_id: Annotated[str, Path(min_length=1, max_length=TEXT_MOST, description="As the App's caller named it, percent-encoded.")],
    page: PageOf = 1,
    page_size: SizeOf = PAGE_SIZE,
    sort: Annotated[Literal["created_at", "-created_at"], Query(description="By default oldest first.")] = "created_at",
    cursor: CursorOf = None,
) -> Response:
    """Returns what was asked and answered in a session, a message for each run."""
    # Not in the path: a client would shorten a session such as `..`.
    pairs = [("session_id", session_id), ("page", str(page)), ("page_size", str(page_size))]
    return await _forward(context, session, app_id, "messages", [*pairs, ("sort", sort.replace("created_at", "started_at"))], cursor)


async def _forward(context: ContextOf, session: SessionOf, app_id: str, what: str, pairs: Pairs, cursor: str | None = None) -> Response:
    path = await path_of(context, session, app_id)
    pairs = [*pairs, *([("cursor", cursor)] if cursor is not None else [])]
    return await context.recorder.forward(session.api.credentials[0], "GET", f"{path}/{what}", pairs)
