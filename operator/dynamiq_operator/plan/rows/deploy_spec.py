"""Creates rows for Git: one row for each change of `App.spec.deploy`. It knows the last deployed content from the rows alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Row
from dynamiq_operator.model.row import Result, Source
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.guards.kinds import is_automation
from dynamiq_operator.plan.history.ledger import DEPLOY_FIELDS, LedgerRow
from dynamiq_operator.plan.operations import CreateRow
from dynamiq_operator.plan.revert.revert_row import reverts_live


def create_deploy_row(context: Context) -> tuple[CreateRow, ...]:
    """Returns the row for `deploy`; none if the last row made from it has the same content."""
    # The name is a hash of the App, the content and that last row's sequence: created twice it is one row, and from A to B and back to A
    # makes three.
    declared = _declared(context)
    if declared is None or context.ledger.get(declared[0]) is not None or context.app.spec.deploy is None:
        return ()
    return (CreateRow(context.app, *declared, context.app.spec.deploy.changed_by),)


def name_taken(context: Context) -> str | None:
    """Returns the name of the row for `deploy` if another row has this name; else None."""
    declared = _declared(context)
    row = context.ledger.get(declared[0]) if declared else None
    return row.name if row is not None and declared is not None and row.content != declared[1] else None


def override(context: Context) -> tuple[LedgerRow, Row] | None:
    """Returns the last row made from `deploy`, and the newer manual row that runs instead; None if none does."""
    last = _last(context.deploy_rows) if context.app.spec.deploy is not None and context.ledger.known else None
    waits = last is not None and last.unreleased and last.result is None
    if last is None or context.history.target is None or (context.history.target.sequence <= last.sequence and not waits):
        return None
    return last, context.history.target


def source_of(context: Context, record: Row) -> Source:
    """Returns the source of a numbered row that is about to be pinned."""
    if reverts_live(context, record):
        return Source.REVERT
    row = LedgerRow.of(record)
    before = next((each for each in reversed(context.deploy_rows) if each.sequence < row.sequence), None)
    name_of_spec = names.declared_row(context.app.meta.name, row.content, before.sequence if before else 0)
    return Source.APP if record.name == name_of_spec else Source.RECORD


def is_of_former_spec(context: Context, record: Row) -> bool:
    """Returns True if a row was made from an earlier `deploy`: it arrived after the row of the change.

    Its name contains the sequence of the row that it was to follow.
    """
    if not names.may_be_declared(context.app.meta.name, record.name):
        return False
    row = LedgerRow.of(record)
    before = (0, *(each.sequence for each in context.deploy_rows if each.sequence < row.sequence))
    return any(names.declared_row(context.app.meta.name, row.content, sequence) == row.name for sequence in before[:-1])


def _declared(context: Context) -> tuple[str, dict[str, Any]] | None:
    """Returns name and content of the row for `deploy`; None if the last row made from it has the same content."""
    if context.app.spec.deploy is None or not context.ledger.known:
        return None
    deploy = context.app.spec.deploy.as_json()
    content = {name: deploy[name] for name in DEPLOY_FIELDS if name in deploy}  # without its author
    last = _last(context.deploy_rows)
    if last is not None and last.content == content and not _is_due_again(context, last):
        return None
    return names.declared_row(context.app.meta.name, content, last.sequence if last else 0), content


def _is_due_again(context: Context, last: LedgerRow) -> bool:
    """Returns True if the last row from Git was overtaken without a rollout and without a decision against it: it is made again.

    Its base was lost, or only rejected waiting rows, rollbacks and rows that continue a hold came after it.
    """
    if last.result is not Result.OVERTAKEN or (last.digest and not last.unreleased):
        return False
    after = [row for row in context.ledger.in_order if row.sequence > last.sequence and row.digest]
    policies = context.snapshot.guards.policies
    if any(row.unreleased and is_automation(policies, row.author or "") for row in after):
        return False  # automation has deployed something else since
    overtook = next((row for row in after if not row.unreleased and row.result is not Result.OVERTAKEN), None)
    return overtook is None or overtook.holds


def _last(rows: Sequence[LedgerRow]) -> LedgerRow | None:
    return rows[-1] if rows else None
