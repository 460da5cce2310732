"""The hold after a rollback: while what was brought back is live, what Git asks for waits until somebody resumes it.

The hold stands in the pins: of the rollback itself, and of each row by hand after it with the same flow and runtime, such as one that
scales. So it is known from the row that runs alone. It is over with a row of other pins, and by a Resume of the row that runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dynamiq_operator.model.guards import RowKind, RowOf
from dynamiq_operator.model.objects import App, Record
from dynamiq_operator.model.record import Pinned, Result, Source
from dynamiq_operator.plan.guards.kinds import is_automation
from dynamiq_operator.plan.guards.said import resumed
from dynamiq_operator.plan.history.lifecycle import waits

if TYPE_CHECKING:
    from dynamiq_operator.plan.context import Context


def hold(context: Context) -> RowOf | None:
    """The rollback after which Git waits now; one that waits itself holds, too."""
    for row in reversed(context.history.rows):
        if row is context.target:
            return _of_target(context)
        if waits(row) and (found := holds(context, row)) is not None and found.row == row.name:
            return found
    return None


def shown_hold(context: Context) -> RowOf | None:
    """Returns the hold as statuses, messages and notifications name it: of the live row, and of an App that has rows of Git; else None.

    A rollback that was overtaken never went live: in its place stands the row that carries its hold on.
    """
    live = context.history.live
    found = _of_row(context, live) if live is not None and hold(context) is not None and deploys_from_git(context) else None
    if found is None or live is None:
        return None
    named = context.ledger.get(found.row)
    return found if named is None or named.result is Result.SUCCEEDED else RowOf(row=live.name, sequence=live.sequence)


def deploys_from_git(context: Context) -> bool:
    """Tells whether the App asks for deploys, or has a row that Git or other automation asked for; True while its history is not known."""
    ledger, policies = context.ledger, context.snapshot.guards.policies
    if context.app.spec.deploy is not None or not ledger.known:
        return True
    return bool(context.deploy_rows) or any(is_automation(policies, author) for author in ledger.authors)


def needs_history(app: App, records: Iterable[Record]) -> bool:
    """Tells whether a hold may have begun of which nobody knows whether Git minds it: the whole history has that."""
    held = (row for row in records if row.outcome is not None and row.pinned is not None)
    return app.spec.deploy is None and any(row.pinned.holds is not None or row.pinned.source is Source.REVERT for row in held if row.pinned)


def _of_target(context: Context) -> RowOf | None:
    return _of_row(context, context.target)


def _of_row(context: Context, row: Record | None) -> RowOf | None:
    return holds(context, row) if row is not None and resumed(context, row) is None else None


def holds(context: Context, row: Record) -> RowOf | None:
    """The rollback whose hold a pinned row carries; an operator of before noted none of a row that took a version back."""
    pinned = row.pinned
    if pinned is None:
        return None
    if pinned.holds is None and pinned.source is Source.REVERT and _is_on(context, row):
        return RowOf(row=row.name, sequence=row.sequence)
    return pinned.holds


def holds_of_new(context: Context, row: Record, pinned: Pinned, kind: RowKind) -> RowOf | None:
    """What a row that is being pinned is to note: itself, where it is a rollback, or the hold that it carries on."""
    if kind is RowKind.GIT:
        return None
    if kind is RowKind.ROLLBACK:
        return RowOf(row=row.name, sequence=row.sequence) if _is_on(context, row) else None
    runs = context.target.pinned if context.target is not None else None
    return _of_target(context) if runs is not None and runs_alike(runs, pinned) else None


def runs_alike(one: Pinned, other: Pinned) -> bool:
    """Whether two rows run the same flow on the same runtime: what differs is how they are scaled."""
    return (one.workflow_hash, one.runtime) == (other.workflow_hash, other.runtime)


def _is_on(context: Context, row: Record) -> bool:
    """The row's own word, and where it has none the App's."""
    return (context.app.spec.rollout.hold_after_rollback if row.spec.hold is None else row.spec.hold) is not False
