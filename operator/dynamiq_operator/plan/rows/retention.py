"""Plans what to delete once a history exceeds `App.spec.history.limit`: the oldest rows, and flows that no remaining row names.

The chain of digests stays whole: if an old row has to stay, newer rows above the limit stay with it. While nobody knows which rows have open
background runs, nothing is deleted.

With an archive, an archived row first rests in the cluster. It is deleted once the archive acknowledges it again: a database that fails
over may lose what it stored last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile

from dynamiq_operator.desired.base import CONFIG_MAP, WORKLOAD, ChildKey, is_owned
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest
from dynamiq_operator.model.row import Result
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.history.ledger import LedgerRow
from dynamiq_operator.plan.observed.archive import ArchiveAnswers
from dynamiq_operator.plan.operations import DeleteChild, DeleteRow, Operation
from dynamiq_operator.plan.snapshot import Snapshot
from dynamiq_operator.plan.workloads.finishing import awaits_counts, rows_with_runs

ONCE_LIVE_KEPT = 5
NEWEST_KEPT = 5
"""Rows that stay however they ended: their callers come to see why they failed."""
DELETED_PER_RECONCILE = 50
"""Rows deleted in one reconcile, so that a much lower limit does not delay a deploy."""
RESTS, RESTS_LEAST = timedelta(days=1), timedelta(minutes=10)
"""How long an archived row stays in the cluster, by the archive's clock; the least is for rows beyond RESTING_MOST."""
RESTING_MOST = 200
"""The number of archived rows of an App that stay in the cluster."""
AGAIN = 60.0
"""Seconds until the next look while the open background runs are unknown: the journal's return requeues only Apps with counts."""


def delete_expired(context: Context) -> tuple[Operation, ...]:
    """Returns the deletions of what exceeds the limit; none without a limit, or while the whole history or its open runs are unknown."""
    app = context.app
    limit = app.spec.history.limit if app.spec.history else None
    if limit is None or not context.ledger.known or awaits_counts(context):
        return ()
    # Rows first: a flow is deleted only when no remaining row names it, so that no rollback can need it.
    if leaving := _leaving(context, limit):
        return tuple(DeleteRow(app, row.name, row.uid) for row in leaving)
    return tuple(_unneeded_flows(context)) if context.history.candidate is None else ()


@dataclass(frozen=True)
class Handover:
    """The rows that retention moves from the cluster to the archive, oldest first.

    `rows`: all of them. `to_acknowledge`: those that the archive has to acknowledge, because it is not known to have them, or because they have
    rested.
    """

    rows: tuple[LedgerRow, ...] = ()
    to_acknowledge: tuple[LedgerRow, ...] = ()


def hand_over(snapshot: Snapshot, app: App) -> Handover:
    """Returns the rows for the archive; none for an App without one."""
    history = app.spec.history
    if history is None or not history.archive or history.limit is None or not snapshot.ledger.known:
        return Handover()
    rows = _resting(Context.of(snapshot, app), history.limit)
    rested = {row.uid for row in _rested(snapshot.archive, rows, snapshot.now)}
    return Handover(rows, tuple(row for row in rows if row.uid not in snapshot.archive.stored or row.uid in rested))


def rest_times(context: Context) -> Iterator[float]:
    """Yields the seconds until the oldest resting row may be deleted, or any row whose runs are unknown."""
    history, archive = context.app.spec.history, context.snapshot.archive
    if history is None or history.limit is None or not context.ledger.known:
        return
    if awaits_counts(context):
        yield from (AGAIN,) if expired(context, history.limit, 1) else ()
        return
    if not archive.stored:
        return
    rows = _resting(context, history.limit)
    rested = len(_rested(archive, rows, context.snapshot.now))
    if rested < len(rows) and (since := archive.stored.get(rows[rested].uid)) is not None:
        rest = RESTS_LEAST if rested < _surplus(archive, rows) else RESTS
        yield (since + rest - context.snapshot.now).total_seconds()


def _leaving(context: Context, limit: int) -> tuple[LedgerRow, ...]:
    """Returns the oldest rows that may be deleted now, up to the first that has to stay. Rows not known to be archived stay."""
    history, snapshot = context.app.spec.history, context.snapshot
    if history is None or not history.archive:
        return expired(context, limit, DELETED_PER_RECONCILE)
    rested = _rested(snapshot.archive, _resting(context, limit), snapshot.now)
    return tuple(takewhile(lambda row: row.uid in snapshot.archive.acknowledged, rested[:DELETED_PER_RECONCILE]))


def _resting(context: Context, limit: int) -> tuple[LedgerRow, ...]:
    return expired(context, limit, RESTING_MOST + DELETED_PER_RECONCILE)


def _rested(archive: ArchiveAnswers, rows: Sequence[LedgerRow], now: datetime) -> tuple[LedgerRow, ...]:
    """Returns the oldest archived rows that have rested for long enough, up to the first that has not."""
    surplus = _surplus(archive, rows)

    def has_rested(place: int, row: LedgerRow) -> bool:
        if row.uid not in archive.stored:
            return False
        since = archive.stored[row.uid]
        if place < surplus and (since is None or now - since >= RESTS_LEAST):
            return True
        return since is not None and now - since >= RESTS

    return tuple(row for _, row in takewhile(lambda each: has_rested(*each), enumerate(rows)))


def _surplus(archive: ArchiveAnswers, rows: Sequence[LedgerRow]) -> int:
    """Returns the number of archived rows beyond those that may rest; negative if there are fewer."""
    return sum(row.uid in archive.stored for row in rows) - RESTING_MOST


def _unneeded_flows(context: Context) -> Iterator[DeleteChild]:
    app, ledger = context.app.meta.name, context.ledger
    children = context.snapshot.children
    kept = {names.flow(app, flow_hash) for flow_hash in children.flows if ledger.names_flow(flow_hash)} | _mounted(children.observed)
    unneeded = [
        raw
        for (kind, name), raw in children.observed.items()
        if kind == CONFIG_MAP.kind and name not in kept and is_owned(raw, context.app) and names.is_flow(app, name)
    ]
    # A flow whose content does not match its name is judged by its name: that needs every flow of the history.
    named = {names.flow(app, row.flow_hash) for row in ledger.all() if row.flow_hash} if unneeded else set()
    yield from (DeleteChild(raw) for raw in unneeded if raw["metadata"]["name"] not in named)


def _mounted(children: Mapping[ChildKey, Manifest]) -> set[str]:
    """Returns the names of flows that the App's workloads mount: the row of a standby may be deleted already."""
    templates = [raw["spec"]["template"] for (kind, _), raw in children.items() if kind == WORKLOAD.kind]
    volumes = [each for template in templates for each in template["spec"].get("volumes") or ()]
    return {str(each["configMap"].get("name")) for each in volumes if "configMap" in each}


def expired(context: Context, limit: int, most: int) -> tuple[LedgerRow, ...]:
    """Returns the oldest rows above the limit that may be deleted, at most `most`.

    These stay whatever the limit:

    - the live row, the 5 newest that were once live, and every row in flight
    - the newest row made from `App.spec.deploy`, and the rows from which its name is derived
    - the row to which a row in flight rolls back, and the 5 newest rows of all
    - the newest row of all pins with open background runs
    - each pinned row that is newer than one of these: the rest is one chain, which verifies from its oldest row

    A row that was never pinned is in no chain.
    """
    ledger, history = context.ledger, context.history
    if ledger.count <= limit:
        return ()
    rows = ledger.in_order
    once_live = [row for row in rows if row.result is Result.SUCCEEDED][-ONCE_LIVE_KEPT:]
    of_deploy_spec = {row.name for row in _rows_that_identify_the_last(context.deploy_rows)}
    named = {row.restores for row in ledger.all() if row.result is None and row.restores}
    protected = {row.name for row in (*once_live, *rows[-NEWEST_KEPT:])} | named | of_deploy_spec
    protected |= rows_with_runs(context)
    if history.live is not None:
        protected.add(history.live.name)
    chain = min((row.sequence for row in rows if row.digest and (row.result is None or row.name in protected)), default=0)
    candidates = [
        row for row in rows if row.result is not None and row.name not in protected and (row.digest is None or row.sequence < chain)
    ]
    return tuple(candidates[: min(max(len(rows) - limit, 0), most)])


def _rows_that_identify_the_last(rows: Sequence[LedgerRow]) -> Sequence[LedgerRow]:
    """Returns the rows that identify the last row made from `App.spec.deploy`. `rows`: all rows made from it, oldest first.

    A pinned row contains its source. An unpinned one is known only by its name, which contains the sequence of the row before it. The
    result is therefore the last row, and if that is not pinned, the rows before it, back to the newest pinned one.
    """
    pinned = next((place for place in range(len(rows) - 1, -1, -1) if rows[place].from_app), 0)
    return rows[pinned:]
