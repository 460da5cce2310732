"""What is deleted once a history is longer than `App.spec.history.limit`: the oldest rows, and flows that no kept row names.

The chain of digests stays whole: where an old row has to stay, newer rows above the limit stay with it. Of an App with an archive a row rests in
the cluster once the archive has it, and goes when the archive acknowledges it again: a database that fails over may lose what it stored last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import takewhile

from dynamiq_operator.desired.base import CONFIG_MAP, is_owned
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App
from dynamiq_operator.model.record import Result
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.history.ledger import LedgerRow
from dynamiq_operator.plan.observed.archive import Archive
from dynamiq_operator.plan.operations import DeleteChild, DeleteRecord, Operation
from dynamiq_operator.plan.snapshot import Snapshot

ONCE_LIVE_KEPT = 5
NEWEST_KEPT = 5
"""Kept however they ended: the caller who made one comes to see why it failed."""
DELETED_PER_RECONCILE = 50
"""Rows deleted in one reconcile, so that a limit that was lowered a lot does not hold up a deploy."""
RESTS, RESTS_LEAST = timedelta(days=1), timedelta(minutes=10)
"""How long an archived row stays in the cluster, by the archive's time of storing; the least is for those beyond RESTING_MOST."""
RESTING_MOST = 200
"""Archived rows of an App that stay in the cluster."""


def delete_expired(context: Context) -> tuple[Operation, ...]:
    """Deletes what is above the limit; nothing where there is none, or where the whole history is not known."""
    app = context.app
    limit = app.spec.history.limit if app.spec.history else None
    if limit is None or not context.ledger.known:
        return ()
    # Rows first: a flow goes only when no row that could bring it back is left.
    if gone := _leaving(context, limit):
        return tuple(DeleteRecord(app, row.name, row.uid) for row in gone)
    return tuple(_unneeded_flows(context)) if context.history.candidate is None else ()


@dataclass(frozen=True)
class Handover:
    """Rows that retention takes out of the cluster by the archive, oldest first.

    `rows`: all of them. `asked`: those that the archive has to acknowledge: it is not known to have them, or they have rested.
    """

    rows: tuple[LedgerRow, ...] = ()
    asked: tuple[LedgerRow, ...] = ()


def hand_over(snapshot: Snapshot, app: App) -> Handover:
    """Returns what is to be in the archive; nothing of an App without one."""
    history = app.spec.history
    if history is None or not history.archive or history.limit is None or not snapshot.ledger.known:
        return Handover()
    rows = _resting(Context.of(snapshot, app), history.limit)
    rested = {row.uid for row in _rested(snapshot, rows)}
    return Handover(rows, tuple(row for row in rows if row.uid not in snapshot.archive.stored or row.uid in rested))


def seconds_to_rest(context: Context) -> Iterator[float]:
    """Yields the seconds until the oldest row that rests may go."""
    history, archive = context.app.spec.history, context.snapshot.archive
    if history is None or history.limit is None or not archive.stored or not context.ledger.known:
        return
    rows = _resting(context, history.limit)
    rested = len(_rested(context.snapshot, rows))
    if rested < len(rows) and (since := archive.stored.get(rows[rested].uid)) is not None:
        wanted = RESTS_LEAST if rested < _surplus(archive, rows) else RESTS
        yield (since + wanted - context.now).total_seconds()


def _leaving(context: Context, limit: int) -> tuple[LedgerRow, ...]:
    """Returns the oldest rows that may go now, up to the first that has to stay: what is not known to be archived is kept."""
    history, snapshot = context.app.spec.history, context.snapshot
    if history is None or not history.archive:
        return expired(context, limit, DELETED_PER_RECONCILE)
    rested = _rested(snapshot, _resting(context, limit))
    return tuple(takewhile(lambda row: row.uid in snapshot.archive.acknowledged, rested[:DELETED_PER_RECONCILE]))


def _resting(context: Context, limit: int) -> tuple[LedgerRow, ...]:
    return expired(context, limit, RESTING_MOST + DELETED_PER_RECONCILE)


def _rested(snapshot: Snapshot, rows: Sequence[LedgerRow]) -> tuple[LedgerRow, ...]:
    """Returns the oldest of archived rows that have been in the archive for long enough, up to the first that has not."""
    archive, surplus = snapshot.archive, _surplus(snapshot.archive, rows)

    def has_rested(place: int, row: LedgerRow) -> bool:
        if row.uid not in archive.stored:
            return False
        since = archive.stored[row.uid]
        if place < surplus and (since is None or snapshot.now - since >= RESTS_LEAST):
            return True
        return since is not None and snapshot.now - since >= RESTS

    return tuple(row for _, row in takewhile(lambda each: has_rested(*each), enumerate(rows)))


def _surplus(archive: Archive, rows: Sequence[LedgerRow]) -> int:
    """Returns how many archived rows there are beyond those that may rest."""
    return sum(row.uid in archive.stored for row in rows) - RESTING_MOST


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


def expired(context: Context, limit: int, most: int) -> tuple[LedgerRow, ...]:
    """The oldest rows above the limit that may go, at most so many.

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
    return tuple(candidates[: min(max(len(rows) - limit, 0), most)])


def _rows_that_identify_the_last(rows: Sequence[LedgerRow]) -> Sequence[LedgerRow]:
    """The rows without which it could not be told which row was made last of `App.spec.deploy`; `rows`: all of those, oldest first.

    A pinned row says itself what it was made of. One that never was is known by its name alone, which holds the sequence of the row
    before it. So these are the last row and, where it is not pinned, the rows before it, back to the newest that is.
    """
    pinned = next((place for place in range(len(rows) - 1, -1, -1) if rows[place].from_app), 0)
    return rows[pinned:]
