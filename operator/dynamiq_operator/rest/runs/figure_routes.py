"""Serves the figures of an App's runs: metrics, comparisons of rows, sessions, and how complete the runs are."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from dynamiq_operator.model.runs import MetricsGroup, RecorderState, RowVerdict, RunComparison, SessionPage
from dynamiq_operator.model.traces import Metrics
from dynamiq_operator.rest.context import ContextOf, SessionOf
from dynamiq_operator.rest.http.documented import documented
from dynamiq_operator.rest.http.errors import unknown_id
from dynamiq_operator.rest.http.models import ID_PATTERN, All, IdInput, One
from dynamiq_operator.rest.http.routes import StrictRoute
from dynamiq_operator.rest.parts.requests import AppId
from dynamiq_operator.rest.parts.times import TIME
from dynamiq_operator.rest.reads.rows import DeploymentId, is_id
from dynamiq_operator.rest.runs.filters import FromOf, PageOfRuns, Pairs, Text, ToOf, times
from dynamiq_operator.rest.runs.recorder_paths import path_of
from dynamiq_operator.rest.runs.usage import INTERVAL, INTERVAL_MOST, is_product, usage_pairs

router = APIRouter(prefix="/v1/apps/{app_id}", tags=["runs"], route_class=StrictRoute)
VERDICTS_MOST = 100
PREVIOUS = "previous"


@router.get("/metrics", responses=documented(Metrics, 404, 501))
async def metrics(
    context: ContextOf,
    session: SessionOf,
    app_id: AppId,
    begin: FromOf = None,
    end: ToOf = None,
    interval: Annotated[
        str | None,
        Query(
            pattern=INTERVAL,
            max_length=INTERVAL_MOST,
            description="The width of a point: minute, hour or day; left out: one that fits the time. With start_time: a Go duration of "
            "whole minutes, such as 1h or 168h.",
        ),
    ] = None,
    group_by: Annotated[MetricsGroup | None, Query(description="A series for each; left out: one for all runs.")] = None,
    start_time: Annotated[str | None, Query(pattern=TIME, description="The product's name of from: with end_time and interval.")] = None,
    end_time: Annotated[str | None, Query(pattern=TIME, description="The product's name of to.")] = None,
) -> Response:
    """Returns runs, failures, times, tokens and cost over time; of the last 24 hours if no time is given.

    With start_time, end_time and interval, as the product names them, it returns a summary and buckets.
    """
    if is_product(start_time, end_time, interval):
        others = [name for name, value in (("from", begin), ("to", end), ("group_by", group_by)) if value is not None]
        return await _forward(context, session, app_id, "usage", usage_pairs(start_time, end_time, interval, others))
    pairs = [*times(begin, end)]
    pairs += [("interval", interval)] if interval is not None else []
    pairs += [("group_by", group_by.value)] if group_by is not None else []
    return await _forward(context, session, app_id, "metrics", pairs)


@router.get("/deployments/{deployment_id}/comparison", responses=documented(One[RunComparison], 404, 501))
async def comparison(
    context: ContextOf,
    session: SessionOf,
    app_id: AppId,
    deployment_id: DeploymentId,
    baseline: Annotated[
        str,
        Query(
            pattern=f"^{PREVIOUS}$|{ID_PATTERN}",
            description="The deployment to compare with; previous: the newest before it that went live, with those of its flow and runtime before that.",
        ),
    ] = PREVIOUS,
) -> Response:
    """Compares each figure of the deployment's runs with another deployment's, with interval and result: slower, more expensive or less
    reliable.
    """
    if not is_id(deployment_id):
        raise unknown_id("deployment", deployment_id)
    pairs = [("baseline", baseline.lower())]
    return await _forward(context, session, app_id, f"deployments/{deployment_id.lower()}/comparison", pairs)


@router.get("/verdicts", responses=documented(All[RowVerdict], 404, 501))
async def verdicts(
    context: ContextOf,
    session: SessionOf,
    app_id: AppId,
    deployment_id: Annotated[
        list[IdInput], Query(min_length=1, max_length=VERDICTS_MOST, description="Of these deployments: one, or several of them.")
    ],
) -> Response:
    """Returns figures and result of deployments, each compared with what ran before it, as a history shows them."""
    return await _forward(context, session, app_id, "verdicts", [("deployment_id", each.lower()) for each in deployment_id])


@router.get("/sessions", responses=documented(SessionPage, 404, 501))
async def sessions(
    context: ContextOf,
    session: SessionOf,
    app_id: AppId,
    page: PageOfRuns,
    began_from: FromOf = None,
    began_to: ToOf = None,
    user_id: Annotated[Text, Query(description="Of this user.")] = None,
) -> Response:
    """Returns the sessions that callers of the App named, that of the newest run first."""
    pairs = [*times(began_from, began_to), *page, *([("user_id", user_id)] if user_id is not None else [])]
    return await _forward(context, session, app_id, "sessions", pairs)


@router.get("/recorder", responses=documented(One[RecorderState], 404, 501))
async def recorder_state(context: ContextOf, session: SessionOf, app_id: AppId) -> Response:
    """Returns how complete the runs of the App are: what is known to be missing, and what may be."""
    return await _forward(context, session, app_id, "recorder", [])


async def _forward(context: ContextOf, session: SessionOf, app_id: str, what: str, pairs: Pairs) -> Response:
    path = await path_of(context, session, app_id)
    return await context.recorder.forward(session.api.credentials[0], "GET", f"{path}/{what}", pairs)
