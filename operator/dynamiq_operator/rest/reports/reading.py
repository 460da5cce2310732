"""Reads the rows of a report with the caller's token, up to a limit."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from dynamiq_operator.actions.rights import may
from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS, ROWS
from dynamiq_operator.model.archive import has_archive
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.ownership import may_be_of
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.http.errors import HttpProblem
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.entries import Entry
from dynamiq_operator.rest.reads.archive import InCluster, RecorderArchive
from dynamiq_operator.rest.reads.row_pages import rows
from dynamiq_operator.views.report import ReportBuilder

READ_MOST = 20_000
"""Rows that are read, at most. They are of all times, since a history is verified whole."""
REPORTED_MOST = 5_000
"""Deploys of one report, at most."""
NARROWER = "request one project, or use `kubectl dynamiq report`, which has no such limit"


def read(context: ApiContext, session: CallerSession, project: Entry | None, reading: ReportBuilder) -> None:
    """Adds the rows of a project, or of every project whose rows the caller may list, to a report.

    Raises HttpProblem 422 if there are too many, and errors.ApiError: Denied if the caller may not list those of the project.
    """
    for number, row in enumerate(_rows(context, session, project), 1):
        if number > READ_MOST:
            raise HttpProblem(422, f"there are more than {READ_MOST:,} rows to verify: {NARROWER}")
        reading.add(row)
        if reading.taken > REPORTED_MOST:
            raise HttpProblem(422, f"there are more than {REPORTED_MOST:,} deploys in that time: request a shorter one, {NARROWER}")


def _rows(context: ApiContext, session: CallerSession, project: Entry | None) -> Iterator[Manifest]:
    """Yields the rows in the cluster, then those in archives."""
    in_cluster = InCluster()
    for row in rows(session, project.name) if project is not None else _everywhere(context, session):
        if _is_of_app(context, row):
            in_cluster.add(row)
            yield row
    if context.recorder.is_there:
        for app_uid in _with_archive(context, session, project):
            yield from in_cluster.others(RecorderArchive(context, session, app_uid).walk())


def _with_archive(context: ApiContext, session: CallerSession, project: Entry | None) -> list[str]:
    """Returns the uids of Apps that have an archive, as far as the caller may read Apps and rows."""
    by_namespace: dict[str, list[str]] = {}
    known = [project.name] if project is not None else sorted({entry.namespace for entry in context.index.of(APPS).all()})
    for namespace in known if project is not None or not may(session.api, "list", APPS, "") else [""]:
        try:
            apps = kube_api.items(session.api, APPS, namespace)
        except errors.Forbidden:
            continue
        for app in filter(has_archive, apps):
            by_namespace.setdefault(app["metadata"]["namespace"], []).append(app["metadata"]["uid"])
    # Once for each namespace, and not for each of its Apps.
    return [uid for namespace, uids in by_namespace.items() if may(session.api, "list", ROWS, namespace) for uid in uids]


def _everywhere(context: ApiContext, session: CallerSession) -> Iterator[Manifest]:
    """Yields the rows of all namespaces from one list, or namespace by namespace if the caller may not have that."""
    known = sorted({entry.namespace for entry in context.index.of(ROWS).all()})
    for namespace in [""] if may(session.api, "list", ROWS, "") else known:
        with contextlib.suppress(errors.Forbidden):
            yield from rows(session, namespace)


def _is_of_app(context: ApiContext, row: Manifest) -> bool:
    """Returns False for a row of a deleted App whose name another App has by now. A row without an owner counts as the App's."""
    app = context.index.of(APPS).named(row["metadata"]["namespace"], row["spec"]["app"])
    return may_be_of(app.uid if app is not None else "", row)
