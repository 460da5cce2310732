"""Finds the row that a rollback restores by default. It follows the rule of every surface, and reads only as many rows as that takes."""

from __future__ import annotations

from collections.abc import Container

from dynamiq_operator.actions.rollback import find_last_good
from dynamiq_operator.kube.resources import ROWS
from dynamiq_operator.model.manifests import Manifest, Phase
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.deployments import rows
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.entries import Entry
from dynamiq_operator.rest.reads.rows import groups_of

AT_ONCE, READ_MOST = 20, 200
"""Rows to read before it decides if more are needed, and rows to read at most."""


def last_good(context: ApiContext, session: CallerSession, app: Entry, rejected: Container[str]) -> tuple[Manifest | None, str]:
    """Returns the last good row of an App, or None and why there is none.

    `rejected`: hashes of flows that nobody may deploy. Raises errors.ApiError; Denied if the caller may not list rows.
    """
    rows.check_listable(context, session, app)
    members = context.index.of(ROWS).members(groups_of(app), newest_first=True)
    pinned = [entry for entry in members if entry.row is not None and entry.row.version and entry.row.phase != Phase.FAILED]
    result, newest = find_last_good((), app.name), list[Manifest]()
    for at in range(0, min(len(pinned), READ_MOST), AT_ONCE):
        batch = pinned[at : at + AT_ONCE]
        read = rows.read(context, session, app, batch)
        newest += [read[entry.uid] for entry in batch if entry.uid in read]
        result = find_last_good(newest, app.name, rejected)
        if result[0] is not None:
            return result
    return result if len(pinned) <= READ_MOST else (None, f"none of the newest {READ_MOST} rows is good")
