"""Finds the rows that are about to be pinned, the flows whose contracts they need, and the fields to count in recorded runs."""

from __future__ import annotations

from dynamiq_operator.model.breaking import FIELDS_MOST
from dynamiq_operator.model.objects import App, Row
from dynamiq_operator.model.row import Pinned
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.operations import CompleteRow
from dynamiq_operator.plan.rows.contracts import counts_callers, judgement_of
from dynamiq_operator.plan.rows.numbering import complete_rows
from dynamiq_operator.plan.snapshot import Snapshot

ROWS_MOST = 4
"""Rows that are judged at a time, the newest: they overtake the others."""


def rows_to_judge(snapshot: Snapshot, app: App) -> tuple[tuple[Row, Pinned], ...]:
    """Returns the rows that the next plan pins, each with its pins; empty for most snapshots."""
    if all(row.pinned is not None or row.outcome is not None for row in snapshot.rows.observed):
        return ()
    operations = complete_rows(Context.of(snapshot, app)).operations
    pinned = [(each.row, each.pinned) for each in operations if isinstance(each, CompleteRow) and each.pinned is not None]
    return tuple(pinned[-ROWS_MOST:])


def flows_to_read(snapshot: Snapshot, app: App, rows: tuple[tuple[Row, Pinned], ...]) -> tuple[str, ...]:
    """Returns the hashes of the flows whose contracts are needed: those of the rows, and the live one."""
    live = Context.of(snapshot, app).history.live
    every = [pinned for _, pinned in rows] + ([live.pinned] if live is not None and live.pinned is not None else [])
    return tuple(dict.fromkeys(each.workflow_hash for each in every))


def fields_to_count(snapshot: Snapshot, app: App, rows: tuple[tuple[Row, Pinned], ...]) -> tuple[str, ...]:
    """Returns the fields that have to be counted. The snapshot has the contracts of the rows."""
    context = Context.of(snapshot, app)
    live = context.history.live
    if live is None or live.pinned is None:
        return ()
    counted = (judgement_of(context, live.pinned, pinned) for row, pinned in rows if counts_callers(context, row, pinned))
    return tuple(dict.fromkeys(name for each in counted if len(each.fields) <= FIELDS_MOST for name in each.fields))
