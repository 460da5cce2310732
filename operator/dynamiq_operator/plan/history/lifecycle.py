"""The life cycle of a row, and the history that the rows of an App form. It derives phases and writes none.

- Pending to Progressing: the row is pinned, and no guard blocks it.
- Progressing to Live: every child is as desired. Every pod has the new template and is available, and there is at least one.
- Live to Superseded: a newer row went live.
- Pending to Failed: something is still missing at the deadline, or the row was rejected or withdrawn.
- Progressing to Failed, at once: a bad image name, a missing key, a missing node type, or config that the API refuses.
- Progressing to Failed, after 60 s without progress: pull errors and crash loops. Everything else fails at the progress deadline.
- Pending or Progressing to Superseded: a newer row overtook it (outcome Overtaken).

After a failure the workload returns to the live row's pins. Without a live row it is deleted, and the Service stays.

Phases follow from the rows' specs alone: a restore that loses every status ends with the same phases.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from dynamiq_operator.model.base import Part
from dynamiq_operator.model.guards import GuardReason, Released, Verified
from dynamiq_operator.model.names import natural
from dynamiq_operator.model.objects import Row, parse_time
from dynamiq_operator.model.row import Outcome, Phase, Pinned, Result
from dynamiq_operator.model.trial import Trial


def arrival(row: Row) -> tuple[datetime, tuple[tuple[int, int, str], ...]]:
    """Returns the sort key of rows without a sequence: by creation, and within one second by natural order of name."""
    return row.meta.created, natural(row.name)


@dataclass(frozen=True)
class RowHistory:
    """The rows of an App, oldest first: by sequence, then those without one in order of arrival."""

    rows: tuple[Row, ...]

    @classmethod
    def of(cls, rows: Iterable[Row]) -> RowHistory:
        return cls(tuple(sorted(rows, key=lambda row: (row.sequence or float("inf"), *arrival(row)))))

    @cached_property
    def live(self) -> Row | None:
        """The newest row that succeeded, which the App serves; None if there is none."""
        return next((row for row in reversed(self.rows) if row.outcome and row.outcome.result is Result.SUCCEEDED), None)

    @cached_property
    def candidate(self) -> Row | None:
        """The row that is being rolled out: the newest open pinned row, if it is newer than the live one and no guard blocks it."""
        after = self.live.sequence if self.live else 0
        opened = (row for row in reversed(self.rows) if row.pinned and not row.outcome and row.sequence > after)
        return next((row for row in opened if not waits(row)), None)

    @cached_property
    def guarded(self) -> tuple[Row, ...]:
        """The pinned rows that wait for a person or for a time."""
        return tuple(row for row in self.rows if waits(row))

    @cached_property
    def reached(self) -> int:
        """The highest sequence of a live or open pinned row; 0 if there is none. No row below it is pinned any more."""
        opened = (row.sequence for row in self.rows if row.pinned and not row.outcome)
        return max((*opened, self.live.sequence if self.live is not None else 0))

    @cached_property
    def unnumbered(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.spec.sequence is None and row.outcome is None)

    @cached_property
    def waiting(self) -> tuple[Row, ...]:
        """The numbered rows that are neither pinned nor ended."""
        return tuple(row for row in self.rows if row.spec.sequence is not None and not row.pinned and not row.outcome)

    @cached_property
    def overtaken(self) -> tuple[Row, ...]:
        """The open rows that will never be rolled out: a newer row is rolled out or live, or, for unpinned rows, already pinned."""
        newer = self.target.sequence if self.target is not None else 0
        opened = (row for row in self.rows if not row.outcome and row.spec.sequence)
        return tuple(row for row in opened if row.sequence < (newer if row.pinned else self.reached))

    @property
    def target(self) -> Row | None:
        """The row whose pins the workload has to run."""
        return self.candidate or self.live

    def phase(self, row: Row) -> Phase:
        """Returns the phase of a row of this history."""
        if row.outcome is None:
            return Phase.PROGRESSING if row.pinned and not waits(row) else Phase.PENDING
        if row.outcome.result is Result.FAILED:
            return Phase.FAILED
        return Phase.LIVE if row is self.live else Phase.SUPERSEDED

    def having(self, *changed: Row) -> RowHistory:
        """Returns this history with each of `changed` in place of the row of its name. It sorts again only if a sequence changed."""
        by_name = {row.name: row for row in changed}
        rows = tuple(by_name.get(row.name, row) for row in self.rows)
        moved = any(row.sequence != before.sequence for row, before in zip(rows, self.rows, strict=True))
        return RowHistory.of(rows) if moved else RowHistory(rows)


def waits(row: Row) -> bool:
    """Returns True if a row was pinned with guards and is not admitted yet: it is no candidate, and nothing is made for it."""
    return row.outcome is None and row.pinned is not None and bool(row.pinned.guards) and row.spec.released is None


def is_watched(trial: Trial | None, live: Row | None, now: datetime) -> bool:
    """Returns True if the live row is watched now: after its deploy, it may be reverted."""
    return trial is not None and live is not None and trial.row == live.name and now < parse_time(trial.until)


def applies_environment(row: Row) -> bool:
    """Returns True if changed variables take effect with a row: it was approved, waited for a freeze, or is a bypass.

    For a rollback only an approval or a bypass counts: rollbacks may be exempt from freezes, and would bring unapproved variables. A
    suspension and unknown guards never count.
    """
    return applies_once_admitted(row, row.spec.released.guards if row.spec.released is not None else ())


def applies_once_admitted(row: Row, waited_for: Collection[GuardReason]) -> bool:
    """Returns True if changed variables take effect with a row once it is admitted after waiting for these guards."""
    sufficient = {GuardReason.AWAITING_APPROVAL} if row.spec.is_rollback else {GuardReason.AWAITING_APPROVAL, GuardReason.FROZEN}
    return row.spec.bypass is not None or not sufficient.isdisjoint(waited_for)


def approved_environment(row: Row | None) -> str | None:
    """Returns the digest of the environment approved with a row; None if the row brings none, or was pinned before such notes."""
    return row.pinned.environment if row is not None and row.pinned is not None and applies_environment(row) else None


def noted_environment(row: Row | None) -> str | None:
    """Returns the digest of the environment approved with a row, or, if it brings none, in force when it was pinned.

    None if neither was noted.
    """
    if row is None or row.pinned is None:
        return None
    # For a rollback that waited, an older operator noted the App's own environment: that proves nothing.
    return row.pinned.environment if applies_environment(row) or not row.pinned.guards else None


def completed(
    row: Row,
    *,
    sequence: int | None = None,
    pinned: Pinned | None = None,
    released: Released | None = None,
    verified: Verified | None = None,
    outcome: Outcome | None = None,
) -> Row:
    """Returns the row after these writes: each write of a spec is one more generation."""
    typed = {"sequence": sequence, "pinned": pinned, "released": released, "verified": verified, "outcome": outcome}
    added = {name: value.as_json() if isinstance(value, Part) else value for name, value in typed.items()}
    return replace(
        row,
        meta=replace(row.meta, generation=row.meta.generation + 1),
        spec=row.spec.model_copy(update={name: value for name, value in typed.items() if value is not None}),
        raw_spec={**row.raw_spec, **{name: value for name, value in added.items() if value is not None}},
    )
