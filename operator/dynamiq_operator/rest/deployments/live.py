"""Finds what was live at a time. However long a history is, it reads only the rows around that time, with the caller's token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from dynamiq_operator.kube.resources import ROWS
from dynamiq_operator.model.objects import Manifest, parse_time
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.deployments import rows
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.entries import Entry
from dynamiq_operator.rest.reads.archive import archive_of
from dynamiq_operator.rest.reads.rows import groups_of
from dynamiq_operator.views.audited import AuditedRow, WentLive
from dynamiq_operator.views.live_at import LiveAt, LiveAtSearch

AT_ONCE = 20
"""Rows to read before it decides if more are needed."""


class LiveAtRows(NamedTuple):
    """The answer, and the rows that were read for it, by name."""

    result: LiveAt
    rows: dict[str, Manifest]

    def raw(self, row: AuditedRow | None) -> Manifest | None:
        """Returns one of the rows as stored; None for None."""
        return self.rows[row.row.name] if row is not None else None


def live_at(context: ApiContext, session: CallerSession, app: Entry, time: str) -> LiveAtRows:
    """Returns what was live at a time, RFC 3339. Raises errors.ApiError; Denied if the caller may not list rows of the namespace.

    It reads back from that time until a row that was live by then, and forward until the next that went live. If there is none, it has read
    all earlier rows, so that missing ones show; of an archive it reads those around the time.
    """
    rows.check_listable(context, session, app)
    moment = parse_time(time)
    members = context.index.of(ROWS).members(groups_of(app), newest_first=True)
    pinned = [entry for entry in members if entry.row is not None and entry.row.version]
    begun = next((at for at, entry in enumerate(pinned) if entry.row is not None and entry.row.began <= moment.timestamp()), len(pinned))
    reading, by_name = LiveAtSearch(time), dict[str, Manifest]()

    def read_until(entries: Sequence[Entry], is_enough: Callable[[Manifest], bool]) -> None:
        for at in range(0, len(entries), AT_ONCE):
            batch = rows.read(context, session, app, entries[at : at + AT_ONCE])
            for raw in batch.values():
                by_name[raw["metadata"]["name"]] = raw
                reading.add(raw)
            if any(is_enough(raw) for raw in batch.values()):
                return

    read_until(pinned[begun:], lambda raw: _went_live(raw, moment, by_then=True))
    if not any(_went_live(raw, moment, by_then=False) for raw in by_name.values()):
        read_until(pinned[:begun][::-1], lambda raw: _went_live(raw, moment, by_then=False))
    if (
        not any(_went_live(raw, moment, by_then=True) for raw in by_name.values())
        and (archive := archive_of(context, session, app)) is not None
    ):
        for raw in archive.around(time):
            if raw["metadata"]["name"] not in by_name:
                by_name[raw["metadata"]["name"]] = raw
                reading.add(raw)
    return LiveAtRows(reading.found(), by_name)


def _went_live(raw: Manifest, moment: datetime, *, by_then: bool) -> bool:
    """Returns True if the row went live by that moment; with `by_then` False, if it did after it."""
    event = WentLive.of(raw)
    return event is not None and (event.moment <= moment) is by_then
