"""Decides about waiting rows: each is admitted once no guard blocks it, or ends without a rollout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from dynamiq_operator.desired.workload import environment_digest
from dynamiq_operator.model.completion import base_lost
from dynamiq_operator.model.endings import REJECTED_BY, WITHDRAWN_BY
from dynamiq_operator.model.guard_objects import Approval
from dynamiq_operator.model.guards import RowKind, Waits
from dynamiq_operator.model.objects import App, Row
from dynamiq_operator.model.row import Pinned, Result
from dynamiq_operator.plan.context import Context, Step
from dynamiq_operator.plan.guards import approvals
from dynamiq_operator.plan.guards.evaluation import evaluate_guards
from dynamiq_operator.plan.guards.kinds import kind_of
from dynamiq_operator.plan.guards.now import freeze_change
from dynamiq_operator.plan.guards.requirements import why_never
from dynamiq_operator.plan.history.lifecycle import applies_once_admitted, completed
from dynamiq_operator.plan.operations import AdmitRow, Operation
from dynamiq_operator.plan.output import events
from dynamiq_operator.plan.rows.outcomes import end_row

DEPLOY_AGAIN = ": deploy again"
"""The end of the reason of a row that waited in vain: its author has to act."""


def admit_rows(context: Context) -> Step:
    """Admits the newest row that no guard blocks any more, and ends the rows that never can be admitted.

    The newest goes first, since it overtakes the others.
    """
    # While further rows wait for a number, it is unknown which row is the newest.
    if context.snapshot.rows.more:
        return Step(context)
    operations: list[Operation] = []
    waiting: dict[str, Waits] = {}
    changes: list[datetime] = []
    for row in reversed(context.history.guarded):
        pinned = row.pinned
        if pinned is None or (context.history.target is not None and row.sequence < context.history.target.sequence):
            continue  # `end_overtaken` ends it
        kind = kind_of(context.snapshot.guards, row, pinned)
        if (end := _end(context, row, pinned, kind)) is not None:
            result, reason = end
            ended, ending = end_row(context, row, result, reason, is_warning=result is Result.OVERTAKEN and reason.endswith(DEPLOY_AGAIN))
            context, operations = context.having(ended), [*operations, *ending]
            continue
        evaluation = evaluate_guards(context, row, pinned)
        if (waits := evaluation.waits) is not None:
            waiting[row.name] = waits
            changes += [evaluation.changes_at] if evaluation.changes_at is not None else []
            continue
        released = evaluation.admission(pinned, context.snapshot.now)
        operations += [*events.released(context.app, row, released), *events.began(context.app, row, pinned), AdmitRow(row, released)]
        context = context.having(completed(row, released=released))
    return Step(replace(context, guarded=waiting, guards_change_at=min(changes, default=None)), tuple(operations))


def guard_times(context: Context) -> tuple[float, ...]:
    """Returns the seconds until time alone may admit a row, or change the guards of the next one."""
    changes = (context.guards_change_at, freeze_change(context.snapshot.guards, context.snapshot.now))
    return tuple((each - context.snapshot.now).total_seconds() for each in changes if each is not None)


def _end(context: Context, row: Row, pinned: Pinned, kind: RowKind) -> tuple[Result, str] | None:
    """Returns how a waiting row ends, whatever blocks it; None if it keeps waiting or is admitted."""
    if (newer := next(_newer_from_git(context, row, kind), None)) is not None:
        return Result.OVERTAKEN, f"{newer.title} was requested after it"
    if (decision := approvals.find_rejection(context.snapshot.guards, row)) is not None:
        return Result.FAILED, f"{REJECTED_BY}{_author_and_message(decision)}"
    if (decision := approvals.find_withdrawal(context.snapshot.guards, row)) is not None:
        return Result.FAILED, f"{WITHDRAWN_BY}{_author_and_message(decision)}"
    if why := why_never(context, row, pinned, kind):
        return Result.FAILED, why
    if (lost := _lost_base(context.app, context.history.live, row, pinned)) is not None:
        return Result.OVERTAKEN, lost
    return None


def _lost_base(app: App, live: Row | None, row: Row, pinned: Pinned) -> str | None:
    """Returns why a row is never rolled out: it would no longer run what was approved. None if it would.

    The row that filled in its missing fields is not live any more, or the App's environment has changed.
    """
    brings = applies_once_admitted(row, [guard.reason for guard in pinned.guards or ()]) or not row.spec.is_rollback
    if brings and pinned.environment not in (None, environment_digest(app)):
        return f"variables, access or recording of the App were changed after it was requested{DEPLOY_AGAIN}"
    if not base_lost(row, pinned, live):
        return None
    base = f"its base {pinned.base.row} (#{pinned.base.sequence}) is no longer live" if pinned.base else "nothing was live when it was made"
    return f"{base}, {live.title if live is not None else 'nothing'} is, and the fields that it leaves out would have other values now{DEPLOY_AGAIN}"


def _newer_from_git(context: Context, row: Row, kind: RowKind) -> Iterator[Row]:
    """Yields newer waiting rows from Git: of these only the newest waits."""
    if kind is RowKind.GIT:
        later = (other for other in context.history.guarded if other.sequence > row.sequence and other.pinned is not None)
        yield from (other for other in later if other.pinned and kind_of(context.snapshot.guards, other, other.pinned) is RowKind.GIT)


def _author_and_message(decision: Approval) -> str:
    return f"{decision.spec.by}: {decision.spec.message}" if decision.spec.message else f"{decision.spec.by}"
