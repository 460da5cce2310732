"""Finds what an App served at a time, from its rows alone: when each went live, and when the next one did.

The answer is the same years later, and `verify` shows if the rows are unchanged. Rows that retention deleted, or that were deleted with
their App, are missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dynamiq_operator.model.endings import live_reverts
from dynamiq_operator.model.manifests import Manifest, parse_time
from dynamiq_operator.views import audited
from dynamiq_operator.views.audited import AuditedRow, WentLive, live_until
from dynamiq_operator.views.history import title


@dataclass(frozen=True)
class LiveAt:
    """The answer.

    `row`: what was live; None if nothing was, or if it is unknown: then `unknown` has the reason. `rolling_out`: a row whose pods had
    started and that had not ended; under strategy Rolling it answered calls as well. `first`: when the first row that is kept went live.
    """

    time: str
    row: AuditedRow | None
    rolling_out: AuditedRow | None
    first: str | None = None
    unknown: str | None = None

    @property
    def says(self) -> str:
        """The answer in a sentence."""
        if self.unknown is not None:
            return self.unknown
        if self.row is None:
            later = f", the first row went live at {self.first}" if self.first is not None else ""
            return f"nothing was live{later}"
        until = f"until {self.row.live_until}" if self.row.live_until is not None else "and still is"
        return f"{title(self.row.row)} was live, from {self.row.live_from} {until}"


class LiveAtSearch:
    """A search that takes the rows of an App in any order, and holds few of them."""

    def __init__(self, time: str) -> None:
        self._time, self._moment = time, parse_time(time)
        self._went_live: list[WentLive] = []
        self._live: Manifest | None = None
        self._open: Manifest | None = None
        self._oldest: Manifest | None = None
        self._reverts: set[str] = set()

    def add(self, raw: Manifest) -> None:
        """Adds a stored row. It ignores rows without pins: they never ran."""
        pinned, outcome = raw["spec"].get("pinned"), raw["spec"].get("outcome") or {}
        if not pinned:
            return
        ended = parse_time(outcome["at"]) if outcome else None
        if self._oldest is None or _sequence(raw) < _sequence(self._oldest):
            self._oldest = raw
        if (went_live := WentLive.of(raw)) is not None:
            self._went_live.append(went_live)
            self._reverts |= live_reverts([raw])
            if went_live.moment <= self._moment:
                self._live = _newer(raw, self._live)
        if _began(raw["spec"], self._moment) and (ended is None or ended > self._moment):
            self._open = _newer(raw, self._open)

    def found(self) -> LiveAt:
        """Returns what was live, from the rows that were added."""
        first = min(self._went_live, default=None)
        since = first.at if first is not None else None
        live = AuditedRow.of(self._live).within(live_until(self._went_live), reverts=self._reverts) if self._live is not None else None
        rolling_out = self._open if self._open is not None and _sequence(self._open) > _sequence(self._live) else None
        return LiveAt(
            time=self._time,
            row=live,
            rolling_out=AuditedRow.of(rolling_out) if rolling_out is not None else None,
            first=since,
            unknown=self._unknown(since) if live is None else None,
        )

    def _unknown(self, first: str | None) -> str | None:
        if self._oldest is None or "previousDigest" not in self._oldest["spec"]["pinned"]:
            return None
        until = f"before {first}" if first is not None else "then"
        return f"the live row {until} is unknown: rows before #{_sequence(self._oldest)} are not kept any more"


def live_at(rows: Iterable[Manifest], time: str) -> LiveAt:
    """Returns what was live at a time, RFC 3339, from all rows of an App. Raises ValueError if it is not a time."""
    reading = LiveAtSearch(time)
    for raw in rows:
        reading.add(raw)
    return reading.found()


def as_data(answer: LiveAt) -> dict[str, Any]:
    """Returns the answer as data, with names in camelCase."""
    rows: Mapping[str, AuditedRow | None] = {"row": answer.row, "rollingOut": answer.rolling_out}
    return {
        "time": answer.time,
        "known": answer.unknown is None,
        **{name: audited.as_data(row) if row is not None else None for name, row in rows.items()},
        "says": answer.says,
    }


def _began(spec: Mapping[str, Any], moment: datetime) -> bool:
    """Returns True if the row's pods had started by then. A row that waited starts them once it is admitted."""
    began = (spec.get("released") or {}).get("at") if spec["pinned"].get("guards") else spec["pinned"]["createdAt"]
    return began is not None and parse_time(began) <= moment


def _sequence(raw: Manifest | None) -> int:
    return (raw["spec"].get("sequence") or 0) if raw is not None else 0


def _newer(raw: Manifest, other: Manifest | None) -> Manifest:
    return raw if other is None or _sequence(raw) > _sequence(other) else other
