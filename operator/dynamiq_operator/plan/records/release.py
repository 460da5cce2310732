"""Rows that wait: each is released once nothing holds it any more, or ends without ever being rolled out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from dynamiq_operator.desired.workload import environment_digest
from dynamiq_operator.model.completion import base_lost
from dynamiq_operator.model.endings import REJECTED_BY, WITHDRAWN_BY
from dynamiq_operator.model.guards import RowKind, Waits
from dynamiq_operator.model.objects import Approval, Record
from dynamiq_operator.model.record import Pinned, Result
from dynamiq_operator.plan import events
from dynamiq_operator.plan.context import Context, Step
from dynamiq_operator.plan.guards import said
from dynamiq_operator.plan.guards.asked import why_never
from dynamiq_operator.plan.guards.kinds import kind_of
from dynamiq_operator.plan.guards.now import freeze_change
from dynamiq_operator.plan.guards.waiting import standing
from dynamiq_operator.plan.history.lifecycle import brings_once_released, completed
from dynamiq_operator.plan.operations import Operation, ReleaseRecord
from dynamiq_operator.plan.records.outcomes import end_row

DEPLOY_AGAIN = ": deploy again"
"""How the reason ends of a row that waited in vain: its author has to know."""


def release_rows(context: Context) -> Step:
    """Releases the newest row that nothing holds any more, and ends those that never will be; the newest first, since it passes the others.

    While further rows wait for a number nothing is released: which row is the newest is not known yet.
    """
    if context.snapshot.more_rows:
        return Step(context)
    done: list[Operation] = []
    waiting: dict[str, Waits] = {}
    changes: list[datetime] = []
    for row in reversed(context.history.guarded):
        pinned = row.pinned
        if pinned is None or (context.target is not None and row.sequence < context.target.sequence):
            continue  # `end_overtaken` ends it
        kind = kind_of(context, row, pinned)
        if (end := _end(context, row, pinned, kind)) is not None:
            result, reason = end
            ended, operations = end_row(
                context, row, result, reason, is_warning=result is Result.OVERTAKEN and reason.endswith(DEPLOY_AGAIN)
            )
            context, done = context.having(ended), [*done, *operations]
            continue
        stands = standing(context, row, pinned)
        if (waits := stands.waits) is not None:
            waiting[row.name] = waits
            changes += [stands.changes_at] if stands.changes_at is not None else []
            continue
        released = stands.released(pinned, context.now)
        done += [*events.released(context.app, row, released), *events.began(context.app, row, pinned), ReleaseRecord(row, released)]
        context = context.having(completed(row, released=released))
    return Step(replace(context, guarded=waiting, guards_change_at=min(changes, default=None)), tuple(done))


def guard_times(context: Context) -> tuple[float, ...]:
    """Seconds after which time alone may release a row, or change what would hold the next one."""
    changes = (context.guards_change_at, freeze_change(context))
    return tuple((each - context.now).total_seconds() for each in changes if each is not None)


def _end(context: Context, row: Record, pinned: Pinned, kind: RowKind) -> tuple[Result, str] | None:
    """How a row ends that waits, whatever it waits for; None where it waits on, or is released."""
    if (newer := next(_asked_after(context, row, kind), None)) is not None:
        return Result.OVERTAKEN, f"{events.title(newer)} was asked for after it"
    if (word := said.rejected(context, row)) is not None:
        return Result.FAILED, f"{REJECTED_BY}{_words(word)}"
    if (word := said.withdrawn(context, row)) is not None:
        return Result.FAILED, f"{WITHDRAWN_BY}{_words(word)}"
    if why := why_never(context, row, pinned, kind):
        return Result.FAILED, why
    if (lost := _lost_base(context, row, pinned)) is not None:
        return Result.OVERTAKEN, lost
    return None


def _lost_base(context: Context, row: Record, pinned: Pinned) -> str | None:
    """Why a row is never rolled out: it would not run what was agreed to.

    What it left out, it took from a row that is not live by now, nor ever will be again; or its variables are others by now.
    """
    live = context.history.live
    brings = brings_once_released(row, [guard.reason for guard in pinned.guards or ()]) or not row.spec.is_rollback
    if brings and pinned.environment not in (None, environment_digest(context.app)):
        return f"variables, access or what is recorded of the App were changed since it was asked for{DEPLOY_AGAIN}"
    if not base_lost(row, pinned, live):
        return None
    base = f"its base {pinned.base.row} (#{pinned.base.sequence}) is no longer live" if pinned.base else "nothing was live when it was made"
    return f"{base}, {events.title(live) if live is not None else 'nothing'} is, and what it left out would be another now{DEPLOY_AGAIN}"


def _asked_after(context: Context, row: Record, kind: RowKind) -> Iterator[Record]:
    """Of the rows that Git asks for and that wait, one alone does: the newest of them."""
    if kind is RowKind.GIT:
        later = (other for other in context.history.guarded if other.sequence > row.sequence and other.pinned is not None)
        yield from (other for other in later if other.pinned and kind_of(context, other, other.pinned) is RowKind.GIT)


def _words(word: Approval) -> str:
    return f"{word.spec.by}: {word.spec.message}" if word.spec.message else f"{word.spec.by}"
