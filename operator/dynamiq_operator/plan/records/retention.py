"""What of a history goes once it is longer than `App.spec.history.limit`: the oldest rows, and flows that no kept row names.

It tears no hole into the chain: where an old row has to stay, rows above the limit stay with it.
"""

from __future__ import annotations

from dynamiq_operator.desired.base import CONFIG_MAP, is_owned
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App
from dynamiq_operator.model.record import Result
from dynamiq_operator.plan.history.ledger import Ledger, Row
from dynamiq_operator.plan.history.lifecycle import History
from dynamiq_operator.plan.operations import Action, DeleteChild, DeleteRecord
from dynamiq_operator.plan.snapshot import Snapshot

ONCE_LIVE_KEPT = 5
NEWEST_KEPT = 5
"""However they ended: whoever made one comes to see why it failed."""
AT_ONCE = 50
"""Rows deleted in one pass, so that a limit that was lowered a lot does not hold up a deploy."""


def retention(snapshot: Snapshot, app: App, history: History, ledger: Ledger) -> tuple[Action, ...]:
    """Deletes what is above the limit; nothing where there is none, or where the whole history is not known."""
    limit = app.spec.history.limit if app.spec.history else None
    if limit is None or not ledger.known:
        return ()
    gone = expired(app, history, ledger, limit)
    kept = [row for row in ledger.rows.values() if row not in gone]
    flows = {names.flow(app.meta.name, row.flow_hash) for row in kept if row.flow_hash}
    unneeded = [
        DeleteChild(found)
        for (kind, name), found in snapshot.children.items()
        if kind == CONFIG_MAP.kind and name not in flows and is_owned(found, app) and _is_flow(app, name)
    ]
    # Rows first: a flow goes only when no row that could bring it back is left.
    return (*(DeleteRecord(app, row.name, row.uid) for row in gone), *([] if gone or history.candidate else unneeded))


def expired(app: App, history: History, ledger: Ledger, limit: int) -> tuple[Row, ...]:
    """The oldest rows above the limit that may go.

    Kept whatever the limit: the live row, the 5 newest that were once live, every one in flight, the newest that came from
    `App.spec.deploy` and those by which it is known to, what a row in flight restores, and the 5 newest of all. So is each pinned row that is newer than one of
    these: what is kept is one chain, which verifies from its oldest row on. A row that was never pinned is in no chain.
    """
    rows = ledger.in_order
    once_live = [row for row in rows if row.result is Result.SUCCEEDED][-ONCE_LIVE_KEPT:]
    declared = {row.name for row in ledger.telling_what_was_declared(app.meta.name)}
    named = {row.restores for row in ledger.rows.values() if row.result is None and row.restores}
    protected = {row.name for row in (*once_live, *rows[-NEWEST_KEPT:])} | named | declared
    if history.live is not None:
        protected.add(history.live.name)
    chain = min((row.sequence for row in rows if row.digest and (row.result is None or row.name in protected)), default=0)
    candidates = [
        row for row in rows if row.result is not None and row.name not in protected and (row.digest is None or row.sequence < chain)
    ]
    return tuple(candidates[: min(max(len(rows) - limit, 0), AT_ONCE)])


def _is_flow(app: App, name: str) -> bool:
    return name.startswith(f"{app.meta.name}-flow-")
