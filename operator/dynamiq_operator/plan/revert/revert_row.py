"""Creates the row that reverts a bad version: once, in the operator's own name, and only while the bad row is the newest of all."""

from __future__ import annotations

from dynamiq_operator.model import names
from dynamiq_operator.model.last_good import Ran, last_good
from dynamiq_operator.model.objects import App, Row
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.history.ledger import Ledger
from dynamiq_operator.plan.observed.guards import ObservedGuards
from dynamiq_operator.plan.observed.operator import OperatorState
from dynamiq_operator.plan.operations import CreateRow, Operation
from dynamiq_operator.plan.output import events
from dynamiq_operator.plan.revert.fault import fault, is_newest
from dynamiq_operator.plan.snapshot import Snapshot


def needs_history(snapshot: Snapshot, app: App) -> bool:
    """Returns True if the live row is to be reverted: only the whole history shows the last good row."""
    if app.spec.rollout.revert is None or app.status.trial is None:
        return False
    context = Context.of(snapshot, app)
    live = context.history.live
    return live is not None and is_newest(context, live) and bool(fault(context))


def revert(context: Context) -> tuple[Operation, ...]:
    """Returns the operations that deploy the last good row in place of a bad live one; empty if it is not bad."""
    live, why = context.history.live, fault(context)
    if live is None or not why or not context.snapshot.operator.account or not is_newest(context, live):
        return ()
    name, good = names.revert_row(context.app.meta.name, live.name), good_row(context.ledger, context.snapshot.guards)
    if good is None or context.ledger.get(name) is not None:
        return ()
    message = f"{live.title} was reverted: {why}"[:1024]
    create = CreateRow(context.app, name, {"restores": good.name, "message": message}, context.snapshot.operator.account)
    # Events come first: if the operator stops in between, they are sent again, with the same names.
    return (*events.reverted(context.app, live, message, good.name), create)


def good_row(ledger: Ledger, guards: ObservedGuards) -> Ran | None:
    """Returns the last good row, which a revert deploys again; None if there is none or the history is unknown."""
    if not ledger.known:
        return None
    bad = guards.rejections
    return last_good(ledger.ran, {row.name for row in ledger.all() if row.flow_hash in bad} if bad else ())


def is_by_operator(operator: OperatorState, app: App, row: Row) -> bool:
    """Returns True for an unpinned row that the operator made as a revert: the API server stamps who creates a row."""
    account = operator.account
    return bool(account) and row.spec.created_by == account and names.may_revert(app.meta.name, row.name)


def reverts_live(context: Context, record: Row) -> bool:
    """Returns True if this row reverts the live row, and no row was rolled out between the two."""
    live = context.history.live
    if live is None or record.name != names.revert_row(context.app.meta.name, live.name):
        return False
    if not is_by_operator(context.snapshot.operator, context.app, record):
        return False
    return not any(live.sequence < row.sequence < record.sequence and not row.unreleased for row in context.ledger.all())
