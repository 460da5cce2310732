"""Derives the statuses of rows: the phase of each and its condition Succeeded. A status is written only if it changes."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime

from dynamiq_operator.model.endings import ending, is_live_revert
from dynamiq_operator.model.guards import GuardReason, Waits
from dynamiq_operator.model.objects import Row, Unreadable
from dynamiq_operator.model.rollout import Rollout
from dynamiq_operator.model.row import CLOSED, Phase, Result, RowStatus
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.guards.reworded import with_former_message
from dynamiq_operator.plan.history.lifecycle import RowHistory
from dynamiq_operator.plan.operations import Group, LeaveRow, Operation, Plan, SetRowStatus
from dynamiq_operator.plan.output import events
from dynamiq_operator.plan.output.groups import by_object
from dynamiq_operator.plan.rollout.evaluation import RolloutStatus
from dynamiq_operator.plan.rows.numbering import seconds_left, waits_until
from dynamiq_operator.plan.snapshot import Snapshot
from dynamiq_operator.plan.status.conditions import SUCCEEDED, condition, dated


@dataclass(frozen=True)
class RowStatuses:
    """The writes for rows that stay open or go Live, and those for rows that close.

    A new row reads Live before the previous one reads Superseded.
    """

    opening: tuple[Operation, ...]
    closing: tuple[Operation, ...]


def row_statuses(context: Context, rollout: RolloutStatus | None) -> RowStatuses:
    """Returns the writes of each changed row status. `rollout`: the candidate's."""
    app, history = context.app, context.history
    opening: list[Operation] = []
    closing: list[Operation] = []
    live = history.live
    reverts = {live.name} if live is not None and is_live_revert(live.raw_spec) else ()
    for row in reversed(history.rows):
        phase = history.phase(row)
        guard = context.guarded.get(row.name)
        waits = guard.message if guard is not None else context.waits.get(row.name, "")
        under_way = rollout if row is history.candidate else None
        status = row_status(row, phase, context.snapshot.now, waits=waits, guard=guard, rollout=under_way, reverts=reverts)
        status = with_former_message(row.status, status, app.meta.name, app.meta.namespace)
        if is_unchanged(row, status):
            continue
        operations = closing if phase in CLOSED else opening
        if phase is Phase.SUPERSEDED and row.phase is Phase.LIVE and history.live is not None:
            operations += events.superseded(app, row, history.live)
        if waits:
            operations += events.waits(app, row, waits)
        if status.waits is not None and row.status.waits is None and status.waits.reason is GuardReason.VERIFYING:
            operations += events.verifying(app, row)
        operations.append(SetRowStatus(row, status))
    return RowStatuses(tuple(opening), tuple(closing))


def leave_rows(snapshot: Snapshot) -> tuple[Group, ...]:
    """Returns the groups that give rows of an earlier App of this name their owner: they belong to that App, and to no later one."""
    return by_object(LeaveRow(row.meta, snapshot.name, row.app_uid) for row in snapshot.rows.orphaned)


def rows_without_app(snapshot: Snapshot) -> Plan:
    """Returns the plan for rows whose App does not exist: they wait for it, unnumbered, since an App's status keeps the numbers.

    Ended rows that were restored before their App wait, too. A row that has waited too long reads Failed, but gets no outcome: without a
    number it is in no history.
    """
    policy = Rollout()
    operations: list[Operation] = []
    seconds: list[float] = []
    for row in RowHistory.of(snapshot.rows.observed).rows:
        if row.meta.owners:
            continue  # its App was deleted: the garbage collector deletes the row
        message = f"App {row.spec.app} does not exist in namespace {row.meta.namespace}"
        if row.outcome is None and snapshot.now >= waits_until(row, policy):
            message = f"{message}, {policy.progress_deadline_seconds} s after the row was created: the row may be deleted"
            # Without an outcome retention never deletes it, and the policy of rows lets users delete it.
            status = given_up_status(row, snapshot.now, message)
            if row.phase is Phase.PENDING and _is_given_up(row):
                continue  # an older operator left this row open: an upgrade writes no row
        else:
            status = row_status(row, Phase.PENDING, snapshot.now, waits=message)
            seconds += [] if row.outcome else [seconds_left(row, policy, snapshot.now)]
        if not is_unchanged(row, status):
            operations += [*events.waits(None, row, message), SetRowStatus(row, status)]
    groups = (*leave_rows(snapshot), *by_object(operations))
    return Plan(groups, 0.0 if snapshot.rows.more else min(seconds, default=None), snapshot.rows.more)


def rows_of_unreadable_app(snapshot: Snapshot, app: Unreadable) -> tuple[Operation, ...]:
    """Returns the writes for rows that are not being deployed yet: they wait without a deadline. Other rows keep their status."""
    operations: list[Operation] = []
    for row in RowHistory.of(snapshot.rows.observed).rows:
        status = row_status(row, Phase.PENDING, snapshot.now, waits=app.message)
        if row.pinned is None and row.outcome is None and not is_unchanged(row, status):
            operations += [*events.waits(None, row, app.message), SetRowStatus(row, status)]
    return tuple(operations)


def row_status(
    row: Row,
    phase: Phase,
    now: datetime,
    *,
    waits: str = "",
    guard: Waits | None = None,
    rollout: RolloutStatus | None = None,
    reverts: Container[str] = (),
) -> RowStatus:
    """Returns a row's whole status.

    `guard`: what blocks a pinned row. `reverts`: as in `model.endings.ending`.
    """
    ended = row.outcome is not None and phase is not Phase.PENDING
    if row.outcome is not None and ended:
        succeeded = condition(SUCCEEDED, row.outcome.result is Result.SUCCEEDED, row.outcome.result.value, row.outcome.reason)
    elif phase is Phase.PENDING:
        succeeded = condition(SUCCEEDED, None, guard.reason.value if guard is not None else "Waiting", waits)
    elif rollout is not None and rollout.cause is not None:
        succeeded = condition(SUCCEEDED, None, rollout.cause.reason, rollout.cause.message[:1024])
    else:
        succeeded = condition(SUCCEEDED, None, "Progressing", "")
    # There is no condition Ready: a GitOps tool would wait for ever for an old failed row.
    return RowStatus(
        phase=phase,
        # A closed status is never written again: a row that an older operator ended keeps its status.
        ending=row.status.ending if row.phase in CLOSED else ending(row.name, row.raw_spec, reverts) if phase in CLOSED else None,
        waits=guard or (rollout.waits if rollout is not None else None),
        observed_generation=row.meta.generation if ended else 0,
        conditions=dated([succeeded], row.status.conditions, now, None),
    )


def given_up_status(row: Row, now: datetime, message: str) -> RowStatus:
    """Returns the status of a row whose App was not created in time. GitOps tools treat it as done, like every failed row."""
    return RowStatus(
        phase=Phase.FAILED,
        observed_generation=row.meta.generation,
        conditions=dated([condition(SUCCEEDED, False, "AppMissing", message)], row.status.conditions, now, None),
    )


def _is_given_up(row: Row) -> bool:
    return any(each.type == SUCCEEDED and each.reason == "AppMissing" for each in row.status.conditions)


def is_unchanged(row: Row, status: RowStatus) -> bool:
    """Returns True if the row already has this status. The schema's default means that a row is under way, so that is not written."""
    if row.status == status:
        return True
    under_way = status.phase is Phase.PROGRESSING and all(not each.message for each in status.conditions)
    return under_way and row.status.phase is Phase.PROGRESSING and not row.status.conditions
