"""Deploys from Git: a change of `App.spec.deploy` is one row, and what was recorded last is read from the rows alone."""

from __future__ import annotations

from typing import Any

from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Record
from dynamiq_operator.model.record import Source
from dynamiq_operator.plan.history.ledger import ASKED_IN_APP, Ledger, Row
from dynamiq_operator.plan.operations import Action, CreateRecord


def declared_rows(app: App, ledger: Ledger) -> tuple[Action, ...]:
    """The row that `deploy` asks for, where it asks for something else than the row it asked for last.

    The row's name is a hash of the App, of what is asked and of that last row's sequence: made twice it is one row, and going
    from A to B and back to A is three.
    """
    wanted = _wanted(app, ledger)
    if wanted is None or wanted[0] in ledger.rows or app.spec.deploy is None:
        return ()
    return (CreateRecord(app, *wanted, app.spec.deploy.changed_by),)


def taken(app: App, ledger: Ledger) -> str | None:
    """The name of the row that `deploy` asks for, where somebody made another row of that name."""
    wanted = _wanted(app, ledger)
    row = ledger.rows.get(wanted[0]) if wanted else None
    return row.name if row is not None and wanted is not None and row.asked != wanted[1] else None


def _wanted(app: App, ledger: Ledger) -> tuple[str, dict[str, Any]] | None:
    """Name and content of the row that `deploy` asks for; None where it asks for what it asked for last."""
    asked = asked_by(app)
    if asked is None or not ledger.known:
        return None
    last = ledger.last_declared(app.meta.name)
    if last is not None and last.asked == asked:
        return None
    return names.declared_row(app.meta.name, asked, last.sequence if last else 0), asked


def source_of(app: App, ledger: Ledger, record: Record, sequence: int) -> Source:
    """Where a row that is about to be pinned came from."""
    row = Row.of(record)
    last = ledger.last_declared(app.meta.name, before=sequence)
    made = names.declared_row(app.meta.name, row.asked, last.sequence if last else 0)
    return Source.APP if record.name == made else Source.RECORD


def override(app: App, ledger: Ledger, target: Record | None) -> tuple[Row, Record] | None:
    """The row that Git asked for last and the newer one, made by hand, that runs in its place."""
    last = ledger.last_declared(app.meta.name) if app.spec.deploy is not None and ledger.known else None
    if last is None or target is None or target.sequence <= last.sequence:
        return None
    return last, target


def asked_by(app: App) -> dict[str, Any] | None:
    """What Git asks, without who changed it."""
    if app.spec.deploy is None:
        return None
    deploy = app.spec.deploy.as_json()
    return {name: deploy[name] for name in ASKED_IN_APP if name in deploy}
