"""What was live at a time: of a history, however long, the rows around that time are read, with the caller's token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from dynamiq_operator.kube.resources import RECORDS
from dynamiq_operator.model.objects import Manifest, parse_time
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.deployments import rows
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.entries import Entry
from dynamiq_operator.rest.shared.archive import archive_of
from dynamiq_operator.rest.shared.rows import groups_of
from dynamiq_operator.views.audited import AuditedRow, WentLive
from dynamiq_operator.views.live_at import LiveAt, Reading

AT_ONCE = 20
"""Rows that are read before it is decided whether more are needed."""


class Found(NamedTuple):
    """What was live, and the rows that were read to tell it, by name."""

    told: LiveAt
    rows: dict[str, Manifest]

    def raw(self, row: AuditedRow | None) -> Manifest | None:
        """One of the rows, as it is stored."""
        return self.rows[row.row.name] if row is not None else None


def live_at(context: ApiContext, session: CallerSession, app: Entry, time: str) -> Found:
    """What was live at a time, RFC 3339. Raises errors.ApiError; Denied where the caller may not list rows of the namespace.

    Back from the time until a row is found that was live by then, and on from it until the one that took its place: all else is no
    part of the answer. Where none is found, everything before was read, which tells whether rows are missing; of an archive those around the time.
    """
    rows.check_listable(context, session, app)
    moment = parse_time(time)
    members = context.index.of(RECORDS).members(groups_of(app), newest_first=True)
    pinned = [entry for entry in members if entry.row is not None and entry.row.version]
    begun = next((at for at, entry in enumerate(pinned) if entry.row is not None and entry.row.began <= moment.timestamp()), len(pinned))
    reading, found = Reading(time), dict[str, Manifest]()

    def read_until(entries: Sequence[Entry], is_enough: Callable[[Manifest], bool]) -> None:
        for at in range(0, len(entries), AT_ONCE):
            some = rows.read(context, session, app, entries[at : at + AT_ONCE])
            for raw in some.values():
                found[raw["metadata"]["name"]] = raw
                reading.add(raw)
            if any(is_enough(raw) for raw in some.values()):
                return

    read_until(pinned[begun:], lambda raw: _went_live(raw, moment, by_then=True))
    if not any(_went_live(raw, moment, by_then=False) for raw in found.values()):
        read_until(pinned[:begun][::-1], lambda raw: _went_live(raw, moment, by_then=False))
    if (
        not any(_went_live(raw, moment, by_then=True) for raw in found.values())
        and (archive := archive_of(context, session, app)) is not None
    ):
        for raw in archive.around(time):
            if raw["metadata"]["name"] not in found:
                found[raw["metadata"]["name"]] = raw
                reading.add(raw)
    return Found(reading.found(), found)


def _went_live(raw: Manifest, moment: datetime, *, by_then: bool) -> bool:
    """Whether the row went live by that moment, or after it."""
    found = WentLive.of(raw)
    return found is not None and (found.moment <= moment) is by_then
