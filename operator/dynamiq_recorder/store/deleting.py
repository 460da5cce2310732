"""Runs that people delete: for good, and out of the rollups."""

from __future__ import annotations

from collections.abc import Sequence

from dynamiq_recorder.model import Filter
from dynamiq_recorder.store import rollups
from dynamiq_recorder.store.database import MANY, Connection, Database
from dynamiq_recorder.store.filters import conditions
from dynamiq_recorder.store.forgetting import forget
from dynamiq_recorder.store.loading import stored
from dynamiq_recorder.store.tally import Tally


def delete(database: Database, wanted: Filter) -> int:
    """See Store.delete. In pieces: what came first is gone even if a later piece fails."""
    gone = 0
    while piece := database.transact(lambda connection: _delete_some(database, connection, wanted)):
        gone += piece
    if gone:
        database.deleted()
    return gone


def _delete_some(database: Database, connection: Connection, wanted: Filter) -> int:
    where = conditions(connection, wanted)
    if where is None:
        return 0
    keys = [line[0] for line in connection.all(f"SELECT r.key FROM runs r WHERE {where.sql} LIMIT {MANY}", where.values)]  # noqa: S608
    return delete_keys(database, connection, keys)


def delete_run(database: Database, run_id: str) -> bool:
    """See Store.delete_run."""
    try:
        identity = database.id_in(run_id)
    except ValueError:
        return False

    def work(connection: Connection) -> int:
        keys = [line[0] for line in connection.all("SELECT key FROM runs WHERE id = ?", (identity,))]
        return delete_keys(database, connection, keys)

    gone = database.transact(work)
    if gone:
        database.deleted()
    return gone > 0


def delete_keys(database: Database, connection: Connection, keys: Sequence[int]) -> int:
    """Runs with all that is beside them, out of the rollups, too."""
    if not keys:
        return 0
    within, values = connection.within("r.key", keys)
    named = connection.all(f"SELECT DISTINCT a.namespace, a.name FROM runs r JOIN apps a ON a.key = r.app_key WHERE {within}", values)  # noqa: S608
    connection.hold_rows(sorted((namespace, name) for namespace, name in named), alone=True)
    tally = Tally()
    found = stored(database, connection, keys, content=False)
    for have in found:
        tally.add(have.run, have.app, have.row, -1)
    forget(connection, [have.key for have in found])
    rollups.apply(connection, tally)
    return len(found)
