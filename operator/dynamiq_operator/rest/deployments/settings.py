"""Reads the changes of an App's settings, with the caller's token."""

from __future__ import annotations

from collections.abc import Iterator

from dynamiq_operator.kube.resources import APP_CHANGES
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.ownership import may_be_of
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.entries import Entry
from dynamiq_operator.rest.reads.row_pages import rows
from dynamiq_operator.views.app_changes import ChangeRow, newest_first


def records(session: CallerSession, app: Entry) -> Iterator[Manifest]:
    """Returns the records of the App's settings, unordered, without those of a deleted App of this name. Raises errors.ApiError."""
    manifests = rows(session, app.namespace, f"spec.app={app.name}", APP_CHANGES)
    return (raw for raw in manifests if may_be_of(app.uid, raw))


def changes(session: CallerSession, app: Entry) -> list[ChangeRow]:
    """Returns the changes, newest first. Raises errors.ApiError."""
    return newest_first(records(session, app))
