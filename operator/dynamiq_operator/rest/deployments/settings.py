"""What changed of an App's settings, with the caller's token."""

from __future__ import annotations

from collections.abc import Iterator

from dynamiq_operator.kube.resources import APP_CHANGES
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.ownership import may_be_of
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.entries import Entry
from dynamiq_operator.rest.shared.row_pages import rows
from dynamiq_operator.rest.shared.serialize import Data, author
from dynamiq_operator.views.app_changes import ChangeRow, newest_first


def records(session: CallerSession, app: Entry) -> Iterator[Manifest]:
    """The records of the App's settings, in no order, without those of a deleted App of the name. Raises errors.ApiError."""
    found = rows(session, app.namespace, f"spec.app={app.name}", APP_CHANGES)
    return (raw for raw in found if may_be_of(app.uid, raw))


def changes(session: CallerSession, app: Entry) -> list[ChangeRow]:
    """What changed, newest first. Raises errors.ApiError."""
    return newest_first(records(session, app))


def change(found: ChangeRow) -> Data:
    """A change as JSON."""
    return {
        "id": found.uid,
        "name": found.name,
        "sequence": found.sequence,
        "reason": found.reason,
        "created_at": found.date,
        "after": found.after,
        "by": author(found.by),
        "by_verified": found.by_verified,
        "changes": [{key: each.get(key) for key in ("field", "name", "change", "from", "to")} for each in found.changes],
        "says": found.summary,
        "digest": found.digest,
    }
