"""The history of an App: its rows by page and filter, one row whole, what changed between two, and whether all of them are as they were."""

from __future__ import annotations

import contextlib
from collections.abc import Container, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool

from dynamiq_operator.actions import rejections
from dynamiq_operator.actions.comparison import compare
from dynamiq_operator.actions.deployable import deployables
from dynamiq_operator.actions.history import flow_of
from dynamiq_operator.kube.resources import APPS
from dynamiq_operator.model.objects import Manifest, Record, Unreadable, read
from dynamiq_operator.rest.context import ContextOf, SessionOf
from dynamiq_operator.rest.deployments import archived, filters, live, responses, rows, serialize, settings, verification
from dynamiq_operator.rest.deployments.filters import FiltersOf
from dynamiq_operator.rest.deployments.last_good import last_good
from dynamiq_operator.rest.deployments.pins import Pins, kept_pins
from dynamiq_operator.rest.http.documented import documented
from dynamiq_operator.rest.http.encoding import Json
from dynamiq_operator.rest.http.errors import HttpProblem, hidden_as_unknown, invalid_request
from dynamiq_operator.rest.http.models import Id, Many, One
from dynamiq_operator.rest.http.pagination import PagingOf
from dynamiq_operator.rest.http.routes import StrictRoute
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.entries import Entry
from dynamiq_operator.rest.shared.readiness import read_ready
from dynamiq_operator.rest.shared.requests import AppId
from dynamiq_operator.rest.shared.rows import DeploymentId
from dynamiq_operator.rest.shared.serialize import serialize_deployment
from dynamiq_operator.rest.shared.times import TIME, moment
from dynamiq_operator.views.deployable import IN_ARCHIVE

router = APIRouter(prefix="/v1/apps/{app_id}", tags=["apps"], route_class=StrictRoute)
DIGEST = "^sha256:[0-9a-f]{64}$"
Asked = Annotated[
    bool, Query(description="Say of each, in `deployable`, whether it could be brought back now, which takes some reads more.")
]


@router.get("/deployments", responses=documented(responses.History, 404, 422))
def deployments(
    context: ContextOf, session: SessionOf, paging: PagingOf, asked: FiltersOf, app_id: AppId, deployable: Asked = False
) -> Json:
    """Every deployment of the App, newest first: its history, or those rows of it that all of the filters take.

    A filter is decided by what this replica has heard of a row, a moment behind the cluster; pagination counts what it takes. A row that is
    not pinned yet has no version, no description and no runtime to be found by.
    """
    app = context.find(APPS, app_id)
    with hidden_as_unknown("App", app_id):
        page = archived.page(context, session, app, paging, asked.accepts)
        kept = _kept(context, session, app, page.rows)
        told = _told(session, app, page.rows, page.names) if deployable else {}
        reverts = rows.reverts(context, session, app, page.rows)
    workflow = kept["workflow"] if kept else None
    more = {"archive": page.archive} if page.archive is not None else {}
    return paging.answer(
        page.rows,
        page.total,
        lambda row: {**serialize_deployment(row, app.uid, context, workflow, kept, reverts), **told.get(row["metadata"]["name"], {})},
        **more,
    )


@router.get("/deployments/filters", responses=documented(One[responses.HistoryFilters], 404, 422))
def deployment_filters(context: ContextOf, session: SessionOf, app_id: AppId) -> Json:
    """What the App's deployments can be filtered by, with how many there are of each."""
    app = context.find(APPS, app_id)
    with hidden_as_unknown("App", app_id):
        found = rows.listed(context, session, app)
    return Json({"data": filters.choices(found)})


@router.get("/deployments/last-good", responses=documented(One[responses.LastGood], 404, 422))
def last_good_deployment(context: ContextOf, session: SessionOf, app_id: AppId) -> Json:
    """The deployment that a rollback restores where nobody names one, or why there is none."""
    app = context.find(APPS, app_id)
    with hidden_as_unknown("App", app_id):
        rejected = rejections.read_standing(session.api, app.namespace)
        row, why_none = last_good(context, session, app, {each["spec"]["workflowHash"] for each in rejected or ()})
    found = serialize_deployment(row, app.uid, context) if row is not None else None
    warnings = [rejections.unread(app.namespace, found["workflow_version"]["version"])] if found is not None and rejected is None else []
    return Json({"data": {"deployment": found, "reason": why_none or None, "warnings": warnings}})


@router.get("/deployments/{deployment_id}", responses=documented(One[responses.DeploymentDetail], 404, 422))
def deployment(context: ContextOf, session: SessionOf, app_id: AppId, deployment_id: DeploymentId, deployable: Asked = False) -> Json:
    """One deployment, whole: what was asked, what was pinned, how it went, and its flow."""
    app, seen = context.open_cached(session, APPS, app_id)
    row = archived.row(context, session, app, deployment_id)
    record, ready, flow = read(Record, row), None, None
    if not isinstance(record, Unreadable):
        ready = read_ready(session.api, row, seen)
        if record.pinned is not None:
            flow = flow_of(session.api, app.namespace, app.name, record.pinned)
            flow = flow if flow is not None else archived.flow(context, session, app, record.pinned.workflow_hash)
    kept = kept_pins(context, session, seen, None) if "pinned" not in row["spec"] else None
    serialized = serialize_deployment(row, app.uid, context, seen["spec"]["workflow"], kept, rows.reverts(context, session, app, [row]))
    if deployable:
        name = row["metadata"]["name"]
        serialized |= _told(session, app, [row], () if archived.is_archived(row) else (name,))[name]
    return Json({"data": serialize.details(row, serialized, ready, flow)})


@router.get("/deployments/{deployment_id}/diff", responses=documented(One[responses.ComparisonShape], 404, 409, 422))
def difference(
    context: ContextOf,
    session: SessionOf,
    app_id: AppId,
    deployment_id: DeploymentId,
    other: Annotated[
        Id | None, Query(alias="with", description="The deployment to compare from. Left out: the one that was rolled out before.")
    ] = None,
) -> Json:
    """What changed from one deployment of the App to another, with the diff of their flows.

    One that was never rolled out answers 422, one that a newer version of the operator wrote and this one cannot read 409.
    """
    # Of an App that the caller may not see, no row is told to be there or not.
    app, _ = context.open_cached(session, APPS, app_id)
    after = archived.row(context, session, app, deployment_id)
    before = archived.row(context, session, app, other, "with") if other is not None else archived.before(context, session, app, after)
    api = archived.api_of(context, session, app, before, after)
    return Json({"data": serialize.comparison(compare(api, before, after), before, after)})


@router.get("/at", responses=documented(One[responses.LiveAtShape], 404, 422))
def live_at(
    context: ContextOf,
    session: SessionOf,
    app_id: AppId,
    time: Annotated[str | None, Query(pattern=TIME, description="The time, or the begin of a date, UTC. Left out: now.")] = None,
) -> Json:
    """What the App served at a time, as its rows say, and what was being rolled out then."""
    app, now = context.find(APPS, app_id), datetime.now(UTC)
    asked = moment("time", time) or now
    if asked > now:
        raise invalid_request([("time", "this time is still to come")])
    with hidden_as_unknown("App", app_id):
        found = live.live_at(context, session, app, asked.isoformat().replace("+00:00", "Z"))
        reverts = rows.reverts(context, session, app, found.rows.values())
    live_row, rolling_out = (
        serialize_deployment(raw, app.uid, context, reverts=reverts) if (raw := found.raw(row)) is not None else None
        for row in (found.told.row, found.told.rolling_out)
    )
    return Json({"data": serialize.live_at(found.told, live_row, rolling_out)})


@router.get("/changes", responses=documented(Many[responses.AppChangeShape], 404, 422))
def changes(context: ContextOf, session: SessionOf, paging: PagingOf, app_id: AppId) -> Json:
    """What changed of the App beside its deployments: variables, access, hostname, triggers and all else, by name and without values, newest first.

    Each stands after a row, by its sequence. Values are told of what callers see anyway: hostname, access, display name, workflow and suspension.
    """
    app = context.find(APPS, app_id)
    with hidden_as_unknown("App", app_id):
        found = settings.changes(session, app)
    return paging.of(found, settings.change)


@router.get("/verify", responses=documented(One[responses.Verification], 404, 422))
async def verify(
    context: ContextOf,
    session: SessionOf,
    app_id: AppId,
    expect: Annotated[
        str | None, Query(pattern=DIGEST, description="A digest that some row or record must have, as it was told earlier.")
    ] = None,
) -> Json:
    """Whether anybody changed or removed a row of the App's history, or a record of what changed of it: every digest is computed anew."""
    # Seconds of a processor for thousands of rows: few at once, and of one caller one.
    async with context.verifications.slot(session.user.id):
        return await run_in_threadpool(_verified, context, session, app_id, expect)


def _verified(context: ContextOf, session: SessionOf, app_id: str, expect: str | None) -> Json:
    app = context.find(APPS, app_id)
    with hidden_as_unknown("App", app_id):
        found = verification.verify(context, session, app, expect)
    return Json({"data": found})


def _told(session: CallerSession, app: Entry, found: Sequence[Manifest], in_cluster: Container[str]) -> dict[str, dict[str, Any]]:
    """By the names of rows, whether each could be brought back now. `in_cluster`: names of those that are not in the archive alone."""
    there = [row for row in found if row["metadata"]["name"] in in_cluster]
    told = deployables(session.api, app.namespace, app.name, there)
    told |= {row["metadata"]["name"]: IN_ARCHIVE for row in found if row["metadata"]["name"] not in in_cluster}
    return {name: {"deployable": each.as_json()} for name, each in told.items()}


def _kept(context: ContextOf, session: SessionOf, app: Entry, found: Sequence[Manifest]) -> Pins | None:
    """The pins of the live row, where a row of a page has none of its own yet."""
    if all("pinned" in row["spec"] for row in found):
        return None
    with contextlib.suppress(HttpProblem):
        return kept_pins(context, session, context.read(session, APPS, app), None)
    return None
