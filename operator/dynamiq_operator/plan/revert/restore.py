"""The row that takes a bad version back: made once, in the operator's own name, and only while the bad one is the newest row of all."""

from __future__ import annotations

from dynamiq_operator.model import names
from dynamiq_operator.model.last_good import Ran, last_good
from dynamiq_operator.model.objects import App, Record
from dynamiq_operator.plan import events
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.operations import CreateRecord, Operation
from dynamiq_operator.plan.revert.verdict import fault, is_newest
from dynamiq_operator.plan.snapshot import Snapshot


def needs_history(snapshot: Snapshot, app: App) -> bool:
    """Whether a row is to be taken back: which one is to be restored the whole history says, and nothing less."""
    if app.spec.rollout.revert is None or app.status.trial is None:
        return False
    context = Context.of(snapshot, app)
    live = context.history.live
    return live is not None and is_newest(context, live) and bool(fault(context))


def take_back(context: Context) -> tuple[Operation, ...]:
    """The row that restores the last good one in place of the live one, where that is bad; its Events are made before it."""
    live, why = context.history.live, fault(context)
    if live is None or not why or not context.snapshot.account or not is_newest(context, live):
        return ()
    name, good = names.revert_row(context.app.meta.name, live.name), good_row(context)
    if good is None or context.ledger.get(name) is not None:
        return ()
    message = f"{events.title(live)} was taken back: {why}"[:1024]
    made = CreateRecord(context.app, name, {"restores": good.name, "message": message}, context.snapshot.account)
    return (*events.reverted(context.app, live, message, good.name), made)


def good_row(context: Context) -> Ran | None:
    """The row that is to be restored; None where there is none, or the history is not known."""
    if not context.ledger.known:
        return None
    bad = context.snapshot.guards.rejections
    return last_good(context.ledger.ran, {row.name for row in context.ledger.all() if row.flow_hash in bad} if bad else ())


def is_by_operator(context: Context, record: Record) -> bool:
    """Whether a row that is not pinned was made by the operator to take another one back: the API server stamps who creates a row."""
    account = context.snapshot.account
    return bool(account) and record.spec.created_by == account and names.may_revert(context.app.meta.name, record.name)


def takes_back(context: Context, record: Record) -> bool:
    """Whether it takes the live row back, and no row was made between the two."""
    live = context.history.live
    if live is None or not is_by_operator(context, record) or record.name != names.revert_row(context.app.meta.name, live.name):
        return False
    return not any(live.sequence < row.sequence < record.sequence and not row.unreleased for row in context.ledger.all())
