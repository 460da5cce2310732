"""Finds the hold after a rollback: changes from Git wait while the rolled-back row is live, until a person resumes them.

The hold is stored in the pins of the rollback. Later manual rows with the same flow and runtime, such as one that scales, copy it. The
running row alone is therefore enough to find it. A row with other pins ends the hold, and so does a Resume of the running row.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dynamiq_operator.model.guards import RowKind, RowOf
from dynamiq_operator.model.objects import App, Row
from dynamiq_operator.model.row import Pinned, Result, Source
from dynamiq_operator.plan.guards.approvals import find_resumption
from dynamiq_operator.plan.guards.kinds import is_automation
from dynamiq_operator.plan.history.lifecycle import waits

if TYPE_CHECKING:
    from dynamiq_operator.plan.context import Context


def hold(context: Context) -> RowOf | None:
    """Returns the rollback whose hold is in force now; a rollback that is itself waiting counts, too. None if there is none."""
    for row in reversed(context.history.rows):
        if row is context.history.target:
            return _of_row(context, row)
        if waits(row) and (held_by := holds(context, row)) is not None and held_by.row == row.name:
            return held_by
    return None


def shown_hold(context: Context) -> RowOf | None:
    """Returns the hold that statuses, messages and notifications show; None if there is none.

    It is shown for the live row of an App that deploys from Git. A rollback that was overtaken never went live: the row that copied its
    hold is named instead.
    """
    live = context.history.live
    held_by = _of_row(context, live) if live is not None and hold(context) is not None and deploys_from_git(context) else None
    if held_by is None or live is None:
        return None
    named = context.ledger.get(held_by.row)
    return held_by if named is None or named.result is Result.SUCCEEDED else RowOf(row=live.name, sequence=live.sequence)


def deploys_from_git(context: Context) -> bool:
    """Returns True if the App has `spec.deploy`, or a row made by automation; True also while its history is unknown."""
    ledger, policies = context.ledger, context.snapshot.guards.policies
    if context.app.spec.deploy is not None or not ledger.known:
        return True
    return bool(context.deploy_rows) or any(is_automation(policies, author) for author in ledger.authors)


def needs_history(app: App, records: Iterable[Row]) -> bool:
    """Returns True if a hold may exist and only the whole history shows whether the App deploys from Git."""
    held = (row for row in records if row.outcome is not None and row.pinned is not None)
    return app.spec.deploy is None and any(row.pinned.holds is not None or row.pinned.source is Source.REVERT for row in held if row.pinned)


def _of_row(context: Context, row: Row) -> RowOf | None:
    return holds(context, row) if find_resumption(context.snapshot.guards, row) is None else None


def holds(context: Context, row: Row) -> RowOf | None:
    """Returns the rollback whose hold a pinned row carries; None if it carries none."""
    pinned = row.pinned
    if pinned is None:
        return None
    # Older operators noted no hold on a row that reverted another one.
    if pinned.holds is None and pinned.source is Source.REVERT and _is_on(context.app, row):
        return RowOf(row=row.name, sequence=row.sequence)
    return pinned.holds


def holds_of_new(context: Context, row: Row, pinned: Pinned, kind: RowKind) -> RowOf | None:
    """Returns the hold to note in the pins of a new row: a rollback notes itself, other manual rows the hold that they continue."""
    if kind is RowKind.GIT:
        return None
    if kind is RowKind.ROLLBACK:
        return RowOf(row=row.name, sequence=row.sequence) if _is_on(context.app, row) else None
    target = context.history.target
    return _of_row(context, target) if target is not None and target.pinned is not None and runs_alike(target.pinned, pinned) else None


def runs_alike(row: Pinned, other: Pinned) -> bool:
    """Returns True if two rows run the same flow on the same runtime: they differ in scaling only."""
    return (row.workflow_hash, row.runtime) == (other.workflow_hash, other.runtime)


def _is_on(app: App, row: Row) -> bool:
    """Returns the row's own setting of holds, else the App's. The default is True."""
    return (app.spec.rollout.hold_after_rollback if row.spec.hold is None else row.spec.hold) is not False
