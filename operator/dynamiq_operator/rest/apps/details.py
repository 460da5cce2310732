"""Reads one App whole: what it serves, what is under way, its conditions, and what Git declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from dynamiq_operator.actions.running import workloads_of
from dynamiq_operator.actions.workloads import AppWorkloads, may_serve_otherwise
from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS, ROWS
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.ownership import may_be_of
from dynamiq_operator.model.rollout import Strategy
from dynamiq_operator.rest.apps.responses import AppDetails, details
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.entries import Entry
from dynamiq_operator.rest.kube.visibility import or_none
from dynamiq_operator.rest.kube.workflow_table import read_workflow
from dynamiq_operator.rest.parts.responses import AccessResponse
from dynamiq_operator.views.app_state import rows_under_way


def read_details(context: ApiContext, session: CallerSession, entry: Entry) -> AppDetails:
    """Returns the App with its details, read with the caller's token. Raises HttpProblem 404 and errors.ApiError."""
    raw = context.read(session, APPS, entry)
    latest = context.latest_row(entry.namespace, entry.uid)
    served = ((raw.get("status") or {}).get("live") or {}).get("row") or (latest.name if latest else None)
    calls: list[Callable[[], Any]] = [
        partial(_row, session, entry, served),
        partial(_open_rows, session, entry),
        partial(_described, session, entry.namespace, raw["spec"]["workflow"]),
        partial(_workloads, session, raw),
    ]
    row, listed, described, workloads = context.in_parallel(*calls)
    rows = listed if listed is not None or row is None else [row]
    warm = [each for each in workloads.beside(rows_under_way(rows or ())) if each.is_warm] if workloads is not None else []
    return AppDetails.of(context, raw, row, rows, described, **details(raw, row, warm), **_access(raw, workloads))


def _row(session: CallerSession, app: Entry, name: str | None) -> Manifest | None:
    if name is None:
        return None
    try:
        return session.api.request("GET", ROWS.path(app.namespace, name))
    except (errors.NotFound, errors.Denied):
        return None


def _open_rows(session: CallerSession, app: Entry) -> list[Manifest] | None:
    selector = f"spec.app={app.name},{ROWS.field_selector}"
    rows = or_none(lambda: kube_api.items(session.api, ROWS, app.namespace, field=selector))
    return [row for row in rows if may_be_of(app.uid, row)] if rows is not None else None


def _described(session: CallerSession, namespace: str, workflow: str) -> str | None:
    try:
        description: str | None = read_workflow(session.api, namespace, workflow)["description"]
    except (errors.NotFound, errors.Denied):
        return None
    return description


def _access(raw: Manifest, workloads: AppWorkloads | None) -> Mapping[str, Any]:
    """Returns the access that pods enforce while a change of it waits for a row; else empty."""
    if workloads is None or (access := workloads.access) is None or not may_serve_otherwise(raw.get("status") or {}):
        return {}
    return {"access_control": AccessResponse.of(access.as_json())}


def _workloads(session: CallerSession, raw: Manifest) -> AppWorkloads | None:
    """Returns the workloads of an App with strategy Switch, or whose pods may enforce another access than its spec has; else None."""
    # Without strategy Switch an App has one workload, and nothing beside it to show.
    if (raw["spec"].get("rollout") or {}).get("strategy") != Strategy.SWITCH and not may_serve_otherwise(raw.get("status") or {}):
        return None
    meta = raw["metadata"]
    return workloads_of(session.api, meta["namespace"], meta["name"], meta["uid"])
