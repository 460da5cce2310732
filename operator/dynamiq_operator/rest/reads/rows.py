"""Reads one row of an App by its id."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Path

from dynamiq_operator.kube.resources import ROWS
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.ownership import may_be_of
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.http.errors import unknown_id
from dynamiq_operator.rest.http.models import ID_PATTERN, Id
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.entries import Entry, owned_by

DeploymentId = Annotated[Id, Path(description="The deployment's id: its row's metadata.uid.")]
_ID = re.compile(ID_PATTERN)


def is_id(text: str) -> bool:
    """Returns True if a text has the form of an id."""
    return _ID.fullmatch(text) is not None


def read_row(context: ApiContext, session: CallerSession, app: Entry, uid: str, field: str = "") -> tuple[Entry, Manifest]:
    """Reads a row of the App whole. Raises errors.ApiError, and HttpProblem 404, also for another App's row.

    `field`: the query parameter that names it.
    """
    entry = context.find(ROWS, uid, field)
    if entry.group not in groups_of(app):
        raise unknown_id("deployment", uid, field)
    row = context.read(session, ROWS, entry)
    if row["spec"]["app"] != app.name or not may_be_of(app.uid, row):
        raise unknown_id("deployment", uid, field)
    return entry, row


def groups_of(app: Entry) -> tuple[str, str]:
    """Returns the index's groups with the App's rows: those that it owns, and those of its name that have no owner yet."""
    return owned_by(app.namespace, app.uid), f"{app.namespace}/{app.name}"
