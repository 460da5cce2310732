"""Deploys from Git: a change of `App.spec.deploy` is one row, and what was asked last is read from the rows alone."""

from __future__ import annotations

from typing import Any

from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Record
from dynamiq_operator.model.record import Result, Source
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.guards.kinds import is_automation
from dynamiq_operator.plan.history.ledger import ASKED_IN_APP, LedgerRow
from dynamiq_operator.plan.operations import CreateRecord
from dynamiq_operator.plan.revert.restore import takes_back


def create_deploy_row(context: Context) -> tuple[CreateRecord, ...]:
    """The row that `deploy` asks for, where it asks for something else than the row that was made of it last.

    The row's name is a hash of the App, of what is asked and of that last row's sequence: made twice it is one row, and going
    from A to B and back to A is three.
    """
    wanted = _wanted(context)
    if wanted is None or context.ledger.get(wanted[0]) is not None or context.app.spec.deploy is None:
        return ()
    return (CreateRecord(context.app, *wanted, context.app.spec.deploy.changed_by),)


def name_taken(context: Context) -> str | None:
    """The name of the row that `deploy` asks for, where another row has it."""
    wanted = _wanted(context)
    row = context.ledger.get(wanted[0]) if wanted else None
    return row.name if row is not None and wanted is not None and row.asked != wanted[1] else None


def override(context: Context) -> tuple[LedgerRow, Record] | None:
    """The row that `deploy` asked for last and the newer one, made by hand, that runs in its place."""
    last = _last(context) if context.app.spec.deploy is not None and context.ledger.known else None
    waits = last is not None and last.unreleased and last.result is None
    if last is None or context.target is None or (context.target.sequence <= last.sequence and not waits):
        return None
    return last, context.target


def source_of(context: Context, record: Record) -> Source:
    """Where a numbered row that is about to be pinned came from."""
    if takes_back(context, record):
        return Source.REVERT
    row = LedgerRow.of(record)
    before = next((each for each in reversed(context.deploy_rows) if each.sequence < row.sequence), None)
    made = names.declared_row(context.app.meta.name, row.asked, before.sequence if before else 0)
    return Source.APP if record.name == made else Source.RECORD


def is_of_former_spec(context: Context, record: Record) -> bool:
    """Whether a row was asked for by a `deploy` that has been changed since: its creation came late, when the row of the change was there.

    Its name says after which row it was to come.
    """
    if not names.may_be_declared(context.app.meta.name, record.name):
        return False
    row = LedgerRow.of(record)
    before = (0, *(each.sequence for each in context.deploy_rows if each.sequence < row.sequence))
    return any(names.declared_row(context.app.meta.name, row.asked, sequence) == row.name for sequence in before[:-1])


def _asked(app: App) -> dict[str, Any] | None:
    """What `deploy` asks, without who changed it."""
    if app.spec.deploy is None:
        return None
    deploy = app.spec.deploy.as_json()
    return {name: deploy[name] for name in ASKED_IN_APP if name in deploy}


def _wanted(context: Context) -> tuple[str, dict[str, Any]] | None:
    """Name and content of the row that `deploy` asks for; None where it asks for what it asked for last."""
    asked = _asked(context.app)
    if asked is None or not context.ledger.known:
        return None
    last = _last(context)
    if last is not None and last.asked == asked and not _is_unheard(context, last):
        return None
    return names.declared_row(context.app.meta.name, asked, last.sequence if last else 0), asked


def _is_unheard(context: Context, last: LedgerRow) -> bool:
    """Whether the row of what Git asked for last ended without being rolled out, and without anybody having decided so: it waits anew.

    What it left out would have been another by then, or a row overtook it that only waited and was rejected, or one that goes back, or
    that carries the hold after that on.
    """
    if last.result is not Result.OVERTAKEN or (last.digest and not last.unreleased):
        return False
    after = [row for row in context.ledger.in_order if row.sequence > last.sequence and row.digest]
    policies = context.snapshot.guards.policies
    if any(row.unreleased and is_automation(policies, row.author or "") for row in after):
        return False  # automation has asked for something else since
    overtook = next((row for row in after if not row.unreleased and row.result is not Result.OVERTAKEN), None)
    return overtook is None or overtook.holds


def _last(context: Context) -> LedgerRow | None:
    return context.deploy_rows[-1] if context.deploy_rows else None
