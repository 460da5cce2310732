"""The row that a rollback restores where nobody names one: the rule of every surface, read as far back as it takes."""

from __future__ import annotations

from collections.abc import Container

from dynamiq_operator.actions.rollback import find_last_good
from dynamiq_operator.kube.resources import RECORDS
from dynamiq_operator.model.manifests import Manifest, Phase
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.deployments import rows
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.entries import Entry
from dynamiq_operator.rest.shared.rows import groups_of

AT_ONCE, LOOKED_THROUGH = 20, 200
"""Rows that are read before it is decided whether more are needed, and at most."""


def last_good(context: ApiContext, session: CallerSession, app: Entry, rejected: Container[str]) -> tuple[Manifest | None, str]:
    """Returns the last good row of an App, or None and why there is none. Raises errors.ApiError; Denied where the caller may not list rows.

    `rejected`: hashes of flows that nobody is to deploy.
    """
    rows.check_listable(context, session, app)
    members = context.index.of(RECORDS).members(groups_of(app), newest_first=True)
    pinned = [entry for entry in members if entry.row is not None and entry.row.version and entry.row.phase != Phase.FAILED]
    found, newest = find_last_good((), app.name), list[Manifest]()
    for at in range(0, min(len(pinned), LOOKED_THROUGH), AT_ONCE):
        some = pinned[at : at + AT_ONCE]
        read = rows.read(context, session, app, some)
        newest += [read[entry.uid] for entry in some if entry.uid in read]
        found = find_last_good(newest, app.name, rejected)
        if found[0] is not None:
            return found
    return found if len(pinned) <= LOOKED_THROUGH else (None, f"none of the newest {LOOKED_THROUGH} rows is good")
