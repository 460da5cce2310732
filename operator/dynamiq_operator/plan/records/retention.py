"""What is deleted once a history is longer than `App.spec.history.limit`: the oldest rows, and flows that no kept row names.

The chain of digests stays whole: where an old row has to stay, newer rows above the limit stay with it. Of an App with an archive a row goes
only once the archive has acknowledged it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile

from dynamiq_operator.desired.base import CONFIG_MAP, is_owned
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App
from dynamiq_operator.model.record import Result
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.history.ledger import LedgerRow
from dynamiq_operator.plan.operations import DeleteChild, DeleteRecord, Operation
from dynamiq_operator.plan.snapshot import Snapshot

ONCE_LIVE_KEPT = 5
NEWEST_KEPT = 5
"""Kept however they ended: the caller who made one comes to see why it failed."""
DELETED_PER_RECONCILE = 50
"""Rows deleted in one reconcile, so that a limit that was lowered a lot does not hold up a deploy."""


def delete_expired(context: Context) -> tuple[Operation, ...]:
    """Deletes what is above the limit; nothing where there is none, or where the whole history is not known."""
    app = context.app
    limit = app.spec.history.limit if app.spec.history else None
    if limit is None or not context.ledger.known:
        return ()
    # Rows first: a flow goes only when no row that could bring it back is left.
    if gone := expired(context, limit):
        return tuple(DeleteRecord(app, row.name, row.uid) for row in _archived(context, gone))
    return tuple(_unneeded_flows(context)) if context.history.candidate is None else ()


def to_archive(snapshot: Snapshot, app: App) -> tuple[LedgerRow, ...]:
    """The rows, oldest first, that retention would delete and that have to be in the archive before. None without an archive."""
    history = app.spec.history
    if history is None or not history.archive or history.limit is None or not snapshot.ledger.known:
        return ()
    return expired(Context.of(snapshot, app), history.limit)


def _archived(context: Context, gone: Sequence[LedgerRow]) -> Iterator[LedgerRow]:
    """Of an App with an archive, the oldest up to the first that is not known to be there: what is not known is kept."""
    history = context.app.spec.history
    if history is None or not history.archive:
        return iter(gone)
    return takewhile(lambda row: row.uid in context.snapshot.archive.acknowledged, gone)


def _unneeded_flows(context: Context) -> Iterator[DeleteChild]:
    app, ledger = context.app.meta.name, context.ledger
    kept = {names.flow(app, flow_hash) for flow_hash in context.snapshot.flows if ledger.names_flow(flow_hash)} | _mounted(context)
    left = [
        found
        for (kind, name), found in context.snapshot.children.items()
        if kind == CONFIG_MAP.kind and name not in kept and is_owned(found, context.app) and names.is_flow(app, name)
    ]
    # One whose content is not what its name says goes by its name: that needs every flow of the history.
    named = {names.flow(app, row.flow_hash) for row in ledger.all() if row.flow_hash} if left else set()
    yield from (DeleteChild(found) for found in left if found["metadata"]["name"] not in named)


def _mounted(context: Context) -> set[str]:
    """Of the workloads that there are: one that is kept warm may be of a row that is gone."""
    volumes = [each for raw in context.workloads.by_label.values() for each in raw["spec"]["template"]["spec"].get("volumes") or ()]
    return {str(each["configMap"].get("name")) for each in volumes if "configMap" in each}


def expired(context: Context, limit: int) -> tuple[LedgerRow, ...]:
    """The oldest rows above the limit that may go.

    Kept whatever the limit: the live row, the 5 newest that were once live, every one in flight, the newest that was made of
    `App.spec.deploy` with those that its name is derived from, what a row in flight restores, and the 5 newest of all. Each pinned
    row that is newer than one of these is kept, too: what is left is one chain, which verifies from its oldest row on. A row that
    was never pinned is in no chain.
    """
    ledger, history = context.ledger, context.history
    if ledger.count <= limit:
        return ()
    rows = ledger.in_order
    once_live = [row for row in rows if row.result is Result.SUCCEEDED][-ONCE_LIVE_KEPT:]
    of_deploy_spec = {row.name for row in _rows_that_identify_the_last(context.deploy_rows)}
    named = {row.restores for row in ledger.all() if row.result is None and row.restores}
    protected = {row.name for row in (*once_live, *rows[-NEWEST_KEPT:])} | named | of_deploy_spec
    if history.live is not None:
        protected.add(history.live.name)
    chain = min((row.sequence for row in rows if row.digest and (row.result is None or row.name in protected)), default=0)
    candidates = [
        row for row in rows if row.result is not None and row.name not in protected and (row.digest is None or row.sequence < chain)
    ]
    return tuple(candidates[: min(max(len(rows) - limit, 0), DELETED_PER_RECONCILE)])


def _rows_that_identify_the_last(rows: Sequence[LedgerRow]) -> Sequence[LedgerRow]:
    """The rows without which it could not be told which row was made last of `App.spec.deploy`; `rows`: all of those, oldest first.

    A pinned row says itself what it was made of. One that never was is known by its name alone, which holds the sequence of the row
    before it. So these are the last row and, where it is not pinned, the rows before it, back to the newest that is.
    """
    pinned = next((place for place in range(len(rows) - 1, -1, -1) if rows[place].from_app), 0)
    return rows[pinned:]
