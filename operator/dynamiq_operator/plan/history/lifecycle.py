"""A record's life, and the history that the records of an App make.

            pinned            every child as desired; every pod of the new template and available, and at least one
 Pending ───────────▶ Progressing ───────────▶ Live ───────────▶ Superseded   (a newer record went Live)
    │ pinned and guarded: Pending until it is released, rejected or withdrawn
    │ still missing          │ at once: bad image name, missing key, node type that the runtime lacks, config the API refuses
    │ at the deadline        │ after 60 s without progress: pull errors, crash loops; else the progress deadline
    └───────▶ Failed ◀──────┘ and the workload returns to the live row's pins (none: it is deleted, the Service stays)
 Pending/Progressing overtaken by a newer record ─▶ Superseded (outcome Overtaken)

The phase follows from the rows' specs alone, so a restore that loses every status ends on the same phases.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from dynamiq_operator.model.base import Part
from dynamiq_operator.model.guards import GuardReason, Released, Verified
from dynamiq_operator.model.names import natural
from dynamiq_operator.model.objects import Record
from dynamiq_operator.model.record import Outcome, Phase, Pinned, Result


def arrival(row: Record) -> tuple[datetime, tuple[tuple[int, int, str], ...]]:
    """The order in which rows without a sequence are taken: by creation, and within a second by natural order of name."""
    return row.meta.created, natural(row.name)


@dataclass(frozen=True)
class History:
    """The rows of an App, oldest first: by sequence, and those without one, by creation and natural order of name, last."""

    rows: tuple[Record, ...]

    @classmethod
    def of(cls, rows: Iterable[Record]) -> History:
        return cls(tuple(sorted(rows, key=lambda row: (row.sequence or float("inf"), *arrival(row)))))

    @cached_property
    def live(self) -> Record | None:
        """The newest row that succeeded: what the App serves."""
        return next((row for row in reversed(self.rows) if row.outcome and row.outcome.result is Result.SUCCEEDED), None)

    @cached_property
    def candidate(self) -> Record | None:
        """The newest pinned row that has not ended, is newer than the live one and waits for nobody: what is being rolled out."""
        after = self.live.sequence if self.live else 0
        opened = (row for row in reversed(self.rows) if row.pinned and not row.outcome and row.sequence > after)
        return next((row for row in opened if not waits(row)), None)

    @cached_property
    def guarded(self) -> tuple[Record, ...]:
        """Rows that are pinned and wait for somebody, or for a time."""
        return tuple(row for row in self.rows if waits(row))

    @cached_property
    def reached(self) -> int:
        """The highest sequence of a row that is pinned and has not ended, or is live; 0 where there is none. Below it nothing is pinned any more."""
        opened = (row.sequence for row in self.rows if row.pinned and not row.outcome)
        return max((*opened, self.live.sequence if self.live is not None else 0))

    @cached_property
    def unnumbered(self) -> tuple[Record, ...]:
        return tuple(row for row in self.rows if row.spec.sequence is None and row.outcome is None)

    @cached_property
    def waiting(self) -> tuple[Record, ...]:
        """Numbered rows that are neither pinned nor ended."""
        return tuple(row for row in self.rows if row.spec.sequence is not None and not row.pinned and not row.outcome)

    @cached_property
    def overtaken(self) -> tuple[Record, ...]:
        """Rows that have not ended while a newer one is rolled out or live, or, where they are not pinned, pinned: they will never be rolled out."""
        newer = self.target.sequence if self.target is not None else 0
        opened = (row for row in self.rows if not row.outcome and row.spec.sequence)
        return tuple(row for row in opened if row.sequence < (newer if row.pinned else self.reached))

    @property
    def target(self) -> Record | None:
        """The row whose pins the workload is to run."""
        return self.candidate or self.live

    def phase(self, row: Record) -> Phase:
        """Where a row of this history is in its life."""
        if row.outcome is None:
            return Phase.PROGRESSING if row.pinned and not waits(row) else Phase.PENDING
        if row.outcome.result is Result.FAILED:
            return Phase.FAILED
        return Phase.LIVE if row is self.live else Phase.SUPERSEDED

    def having(self, *changed: Record) -> History:
        """This history with each of `changed` in place of the row of its name; sorted again only where one got its sequence."""
        by_name = {row.name: row for row in changed}
        rows = tuple(by_name.get(row.name, row) for row in self.rows)
        moved = any(row.sequence != before.sequence for row, before in zip(rows, self.rows, strict=True))
        return History.of(rows) if moved else History(rows)


def waits(row: Record) -> bool:
    """Whether a row is pinned and something holds it that was noted then: it is no candidate, and nothing of it is made."""
    return row.outcome is None and row.pinned is not None and bool(row.pinned.guards) and row.spec.released is None


def brings_environment(row: Record) -> bool:
    """Whether changed variables take effect with a row: it was approved, or waited for a freeze, or is a bypass.

    One that was only suspended, or unknown, has met no rule: a rollback, which is exempt, would bring them past all. So would one that
    waited for a freeze alone.
    """
    return brings_once_released(row, row.spec.released.guards if row.spec.released is not None else ())


def brings_once_released(row: Record, waited_for: Collection[GuardReason]) -> bool:
    """Whether changed variables take effect with a row that is let go on after it has waited for these."""
    asked = {GuardReason.AWAITING_APPROVAL} if row.spec.is_rollback else {GuardReason.AWAITING_APPROVAL, GuardReason.FROZEN}
    return row.spec.bypass is not None or not asked.isdisjoint(waited_for)


def approved_environment(row: Record | None) -> str | None:
    """Returns the digest of the environment that was approved with a row; None where it brings none, or was pinned before that was noted."""
    return row.pinned.environment if row is not None and row.pinned is not None and brings_environment(row) else None


def noted_environment(row: Record | None) -> str | None:
    """Returns the digest of the environment that was approved with a row, or, of one that brings none, was in force when it was pinned.

    None where neither was noted. Of a rollback that waited, an operator of before noted what the App asked for: that tells nothing.
    """
    if row is None or row.pinned is None:
        return None
    return row.pinned.environment if brings_environment(row) or not row.pinned.guards else None


def completed(
    row: Record,
    *,
    sequence: int | None = None,
    pinned: Pinned | None = None,
    released: Released | None = None,
    verified: Verified | None = None,
    outcome: Outcome | None = None,
) -> Record:
    """The row as it is once these have been written: each write of a spec is one more generation."""
    typed = {"sequence": sequence, "pinned": pinned, "released": released, "verified": verified, "outcome": outcome}
    added = {name: value.as_json() if isinstance(value, Part) else value for name, value in typed.items()}
    return replace(
        row,
        meta=replace(row.meta, generation=row.meta.generation + 1),
        spec=row.spec.model_copy(update={name: value for name, value in typed.items() if value is not None}),
        raw_spec={**row.raw_spec, **{name: value for name, value in added.items() if value is not None}},
    )
