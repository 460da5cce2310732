"""Serves the history of an App: pages and filters, whole rows, comparisons, what was live at a time, changes of settings, verification."""

from __future__ import annotations

import contextlib
from collections.abc import Container, Sequence
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool

from dynamiq_operator.actions import rejections
from dynamiq_operator.actions.comparison import compare
from dynamiq_operator.actions.deployable import deployables
from dynamiq_operator.actions.reads import flow_of, rejections_in_force
from dynamiq_operator.kube.resources import APPS
from dynamiq_operator.model.objects import Manifest, Row, Unreadable, read
from dynamiq_operator.rest.context import ContextOf, SessionOf
from dynamiq_operator.rest.deployments import archived, filters, live, responses, rows, settings, verification
from dynamiq_operator.rest.deployments.filters import FiltersOf
from dynamiq_operator.rest.deployments.last_good import last_good
from dynamiq_operator.rest.deployments.pins import Pins, kept_pins
from dynamiq_operator.rest.http.documented import documented
from dynamiq_operator.rest.http.errors import HttpProblem, hidden_as_unknown, invalid_request
from dynamiq_operator.rest.http.models import Id, Many, One
from dynamiq_operator.rest.http.pagination import PagingOf
from dynamiq_operator.rest.http.routes import StrictRoute
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.entries import Entry
from dynamiq_operator.rest.parts.deployment import DeployableShape, Deployment
from dynamiq_operator.rest.parts.requests import AppId
from dynamiq_operator.rest.parts.times import TIME, moment
from dynamiq_operator.rest.reads.readiness import read_ready
from dynamiq_operator.rest.reads.rows import DeploymentId
from dynamiq_operator.serving.encoding import Json
from dynamiq_operator.views.deployable import IN_ARCHIVE

router = APIRouter(prefix="/v1/apps/{app_id}", tags=["apps"], route_class=StrictRoute)
DIGEST = "^sha256:[0-9a-f]{64}$"
DeployableFlag = Annotated[
    bool, Query(description="Adds `deployable` to each: whether it can be rolled back to now. It takes some more reads.")
]


@router.get("/deployments", responses=documented(responses.HistoryResponse, 404, 422))
def deployments(
    context: ContextOf, session: SessionOf, paging: PagingOf, filter_: FiltersOf, app_id: AppId, deployable: DeployableFlag = False
) -> Json:
    """Returns every deployment of the App, newest first: its history, or the rows that match all filters.

    Filters use what this replica knows of a row, a moment behind the cluster; pagination counts the matches. A row that is not pinned yet
    has no version, description or runtime to match.
    """
    app = context.find(APPS, app_id)
    with hidden_as_unknown("App", app_id):
        page = archived.page(context, session, app, paging, filter_.accepts)
        kept = _kept(context, session, app, page.rows)
        evaluations = _evaluate(session, app, page.rows, page.names) if deployable else {}
        reverts = rows.reverts(context, session, app, page.rows)
    workflow = kept["workflow"] if kept else None
    more = {"archive": page.archive} if page.archive is not None else {}
    return paging.answer(
        page.rows,
        page.total,
        lambda row: Deployment.of(row, app.uid, context, workflow, kept, reverts, **evaluations.get(row["metadata"]["name"], {})),
        **more,
    )


@router.get("/deployments/filters", responses=documented(One[responses.HistoryFilters], 404, 422))
def deployment_filters(context: ContextOf, session: SessionOf, app_id: AppId) -> Json:
    """Returns the values by which the App's deployments can be filtered, with the number of rows for each."""
    app = context.find(APPS, app_id)
    with hidden_as_unknown("App", app_id):
        entries = rows.listed(context, session, app)
    return Json({"data": filters.choices(entries)})


@router.get("/deployments/last-good", responses=documented(One[responses.LastGoodResponse], 404, 422))
def last_good_deployment(context: ContextOf, session: SessionOf, app_id: AppId) -> Json:
    """Returns the deployment that a rollback restores by default, or why there is none."""
    app = context.find(APPS, app_id)
    with hidden_as_unknown("App", app_id):
        rejected = rejections_in_force(session.api, app.namespace)
        row, why_none = last_good(context, session, app, {each["spec"]["workflowHash"] for each in rejected or ()})
    good = Deployment.of(row, app.uid, context) if row is not None else None
    warnings = (
        [rejections.unread(app.namespace, good.workflow_version.version)] if good and good.workflow_version and rejected is None else []
    )
    return Json({"data": responses.LastGoodResponse(deployment=good, reason=why_none or None, warnings=warnings)})


@router.get("/deployments/{deployment_id}", responses=documented(One[responses.DeploymentDetail], 404, 422))
def deployment(
    context: ContextOf, session: SessionOf, app_id: AppId, deployment_id: DeploymentId, deployable: DeployableFlag = False
) -> Json:
    """Returns one deployment whole: the request, the pins, the result, and its flow."""
    app, seen = context.open_cached(session, APPS, app_id)
    row = archived.row(context, session, app, deployment_id)
    record, ready, flow = read(Row, row), None, None
    if not isinstance(record, Unreadable):
        ready = read_ready(session.api, row, seen)
        if record.pinned is not None:
            flow = flow_of(session.api, app.namespace, app.name, record.pinned)
            flow = flow if flow is not None else archived.flow(context, session, app, record.pinned.workflow_hash)
    kept = kept_pins(context, session, seen, None) if "pinned" not in row["spec"] else None
    reverts, name = rows.reverts(context, session, app, [row]), row["metadata"]["name"]
    more = _evaluate(session, app, [row], () if archived.is_archived(row) else (name,))[name] if deployable else {}
    listed = Deployment.of(row, app.uid, context, seen["spec"]["workflow"], kept, reverts, **more)
    return Json({"data": responses.DeploymentDetail.of_whole(row, listed, ready, flow)})


@router.get("/deployments/{deployment_id}/diff", responses=documented(One[responses.ComparisonShape], 404, 409, 422))
def difference(
    context: ContextOf,
    session: SessionOf,
    app_id: AppId,
    deployment_id: DeploymentId,
    other: Annotated[Id | None, Query(alias="with", description="The deployment to compare from. Left out: the one before.")] = None,
) -> Json:
    """Returns what changed from one deployment of the App to another, with the diff of their flows.

    422 for one that was never rolled out. 409 for one that a newer version of the operator wrote and this one cannot read.
    """
    # Before any row: if the caller may not see the App, nothing reveals if a row exists.
    app, _ = context.open_cached(session, APPS, app_id)
    after = archived.row(context, session, app, deployment_id)
    before = archived.row(context, session, app, other, "with") if other is not None else archived.before(context, session, app, after)
    api = archived.api_of(context, session, app, before, after)
    return Json({"data": responses.ComparisonShape.of(compare(api, before, after), before, after)})


@router.get("/at", responses=documented(One[responses.LiveAtShape], 404, 422))
def live_at(
    context: ContextOf,
    session: SessionOf,
    app_id: AppId,
    time: Annotated[str | None, Query(pattern=TIME, description="The time, or the begin of a date, UTC. Left out: now.")] = None,
) -> Json:
    """Returns what the App served at a time, from its rows, and what was being rolled out then."""
    app, now = context.find(APPS, app_id), datetime.now(UTC)
    when = moment("time", time) or now
    if when > now:
        raise invalid_request([("time", "this time is in the future")])
    with hidden_as_unknown("App", app_id):
        answer = live.live_at(context, session, app, when.isoformat().replace("+00:00", "Z"))
        reverts = rows.reverts(context, session, app, answer.rows.values())
    live_row, rolling_out = (
        Deployment.of(raw, app.uid, context, reverts=reverts) if (raw := answer.raw(row)) is not None else None
        for row in (answer.result.row, answer.result.rolling_out)
    )
    return Json({"data": responses.LiveAtShape.of(answer.result, live_row, rolling_out)})


@router.get("/changes", responses=documented(Many[responses.AppChangeShape], 404, 422))
def changes(context: ContextOf, session: SessionOf, paging: PagingOf, app_id: AppId) -> Json:
    """Returns what changed of the App besides its deployments, newest first: variables, access, hostname, triggers and all else, by name.

    Each change comes after a row, given by its sequence. It has values only for what callers see anyway: hostname, access, display name,
    workflow and suspension.
    """
    app = context.find(APPS, app_id)
    with hidden_as_unknown("App", app_id):
        listed = settings.changes(session, app)
    return paging.of(listed, responses.AppChangeShape.of)


@router.get("/verify", responses=documented(One[responses.VerificationResponse], 404, 422))
async def verify(
    context: ContextOf,
    session: SessionOf,
    app_id: AppId,
    expect: Annotated[
        str | None, Query(pattern=DIGEST, description="A digest from an earlier verification, which some row or record must have.")
    ] = None,
) -> Json:
    """Verifies that nobody changed or removed a row of the App's history or a record of its settings. Every digest is computed anew."""
    # Thousands of rows take seconds of a processor: few requests at once, and one for each caller.
    async with context.verifications.slot(session.user.id):
        return await run_in_threadpool(_verified, context, session, app_id, expect)


def _verified(context: ContextOf, session: SessionOf, app_id: str, expect: str | None) -> Json:
    app = context.find(APPS, app_id)
    with hidden_as_unknown("App", app_id):
        result = verification.verify(context, session, app, expect)
    return Json({"data": result})


def _evaluate(
    session: CallerSession, app: Entry, manifests: Sequence[Manifest], in_cluster: Container[str]
) -> dict[str, dict[str, DeployableShape]]:
    """Evaluates for each row, by name, if it can be rolled back to now.

    `in_cluster`: names of the rows that are not only in the archive.
    """
    present = [row for row in manifests if row["metadata"]["name"] in in_cluster]
    evaluations = deployables(session.api, app.namespace, app.name, present)
    evaluations |= {row["metadata"]["name"]: IN_ARCHIVE for row in manifests if row["metadata"]["name"] not in in_cluster}
    return {name: {"deployable": DeployableShape.read(each.as_json())} for name, each in evaluations.items()}


def _kept(context: ContextOf, session: SessionOf, app: Entry, manifests: Sequence[Manifest]) -> Pins | None:
    """Returns the pins of the live row if a row of the page has none of its own yet; else None."""
    if all("pinned" in row["spec"] for row in manifests):
        return None
    with contextlib.suppress(HttpProblem):
        return kept_pins(context, session, context.read(session, APPS, app), None)
    return None
