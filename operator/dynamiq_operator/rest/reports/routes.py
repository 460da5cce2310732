"""Serves a report of the deploys of a period: as data, for spreadsheets, or as a document."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import NAMESPACES
from dynamiq_operator.model.manifests import format_time
from dynamiq_operator.rest.context import ApiContext, ContextOf, SessionOf
from dynamiq_operator.rest.http.documented import Responses, documented
from dynamiq_operator.rest.http.errors import invalid_request, unknown_id
from dynamiq_operator.rest.http.models import Id, One
from dynamiq_operator.rest.http.routes import StrictRoute
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.entries import Entry
from dynamiq_operator.rest.parts.times import TIME, moment
from dynamiq_operator.rest.reports import responses
from dynamiq_operator.rest.reports.reading import READ_MOST, REPORTED_MOST, read
from dynamiq_operator.serving.encoding import Json
from dynamiq_operator.views import report as view

router = APIRouter(prefix="/v1/report", tags=["reports"], route_class=StrictRoute)
CSV, MARKDOWN = "text/csv", "text/markdown"
SENTENCE_HEADER = "X-Dynamiq-Report"
"""Header with the report in a sentence: no line of a CSV shows if the histories fit."""
SPAN, SPAN_MOST = timedelta(days=30), timedelta(days=366)
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
"""No deploy is as old as this."""

SAYS = (
    f"Every deploy that began in a period of at most {SPAN_MOST.days} days, of each project whose deployments the caller may list. It shows"
    f" whether their whole histories verify. At most {REPORTED_MOST:,} deploys, of histories with {READ_MOST:,} rows together."
)


class Form(StrEnum):
    """The format of a report."""

    JSON = "json"
    CSV = "csv"
    MARKDOWN = "md"


def _documented() -> Responses:
    described = documented(One[responses.DeployReport], 404, 422)
    says = {"description": "How many deploys there are, and whether the histories fit, in a sentence.", "schema": {"type": "string"}}
    described[200]["headers"] = {**described[200]["headers"], SENTENCE_HEADER: says}
    described[200]["content"][CSV] = {"schema": {"type": "string"}, "example": "namespace,app,sequence,…\r\n"}
    described[200]["content"][MARKDOWN] = {"schema": {"type": "string"}, "example": "# Deploys\n"}
    return described


@router.get("", description=SAYS, responses=_documented())
async def report(
    context: ContextOf,
    session: SessionOf,
    since: Annotated[
        str | None, Query(pattern=TIME, description="Deploys that began at this time or date, or later. Left out: 30 days before the end.")
    ] = None,
    until: Annotated[
        str | None, Query(pattern=TIME, description="Deploys that began before this time or date. Left out: until now.")
    ] = None,
    project_id: Annotated[Id | None, Query(description="Only deploys of this project.")] = None,
    form: Annotated[Form, Query(alias="format", description="json, csv for spreadsheets, or md for people.")] = Form.JSON,
) -> Response:
    """Returns every deploy of a period."""
    begin, end = _span(since, until)
    project = context.find(NAMESPACES, project_id, "project_id") if project_id is not None else None
    # Thousands of rows take seconds of a processor: few requests at once, and one for each caller.
    async with context.verifications.slot(session.user.id):
        made = await run_in_threadpool(_make, context, session, project, view.ReportBuilder(begin, end))
        return await run_in_threadpool(_respond, made, form)


def _span(since: str | None, until: str | None) -> tuple[str, str | None]:
    """Returns the begin and the end as RFC 3339; the end is None for now. Raises HttpProblem 422."""
    begin, end, now = moment("since", since), moment("until", until), datetime.now(UTC)
    last = min(end or now, now)
    if last <= EARLIEST:
        raise invalid_request([("until", "there are no deploys before this time")])
    begin = begin or last - SPAN
    if begin >= (end or now):
        raise invalid_request([("since", "this must be before the end")])
    if last - begin > SPAN_MOST:
        raise invalid_request([("since", f"make several reports: one covers at most {SPAN_MOST.days} days")])
    return _text(begin), _text(end) if end is not None and end <= now else None


def _make(context: ApiContext, session: CallerSession, project: Entry | None, reading: view.ReportBuilder) -> view.Report:
    try:
        read(context, session, project, reading)
    except errors.Forbidden:
        if project is None:
            raise
        raise unknown_id("project", project.uid, "project_id") from None
    return reading.report(format_time(datetime.now(UTC)))


def _respond(made: view.Report, form: Form) -> Response:
    if form is Form.JSON:
        return Json({"data": responses.DeployReport.read(view.as_data(made))}, headers={SENTENCE_HEADER: made.says})
    text, kind = (view.as_csv(made), CSV) if form is Form.CSV else (view.as_markdown(made), MARKDOWN)
    name = f"deploys-{(made.since or '')[:10]}-{(made.until or made.made)[:10]}.{form}"
    headers = {SENTENCE_HEADER: made.says, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text, media_type=f"{kind}; charset=utf-8", headers=headers)


def _text(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")
