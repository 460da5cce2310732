"""Rebuilds rollups from the stored runs. It changes no run."""

from __future__ import annotations

from dynamiq_recorder.model import MICROSECONDS
from dynamiq_recorder.store import rollups
from dynamiq_recorder.store.database import MANY, Connection, Database
from dynamiq_recorder.store.loading import stored
from dynamiq_recorder.store.retention import thinned
from dynamiq_recorder.store.tally import HOUR, Tally


def rebuild(database: Database, connection: Connection) -> None:
    """Implements Store.rebuild_rollups. Rollups of nodes stay, too, for hours whose spans are not all stored."""
    whole_from = thinned(connection).until
    named = connection.all("SELECT DISTINCT namespace, name FROM apps")
    connection.hold_rows(sorted((namespace, name) for namespace, name in named), alone=True)
    for (app,) in connection.all("SELECT key FROM apps ORDER BY key"):
        connection.hold_rollups([app])
        first = connection.all("SELECT min(started_at) FROM runs WHERE app_key = ?", (app,))[0][0]
        if first is not None:
            hour = first // MICROSECONDS // HOUR * HOUR
            for table, since in (("rollups", hour), ("node_rollups", max(hour, whole_from))):
                connection.do(f"DELETE FROM {table} WHERE app_key = ? AND at >= ?", (app, since))  # noqa: S608 - our own names
                connection.do("DELETE FROM notes WHERE name LIKE ? AND value >= ?", (rollups.FULL_OF.format(table=table, app=app), since))
            _count_again(database, connection, app, whole_from)


def _count_again(database: Database, connection: Connection, app: int, whole_from: int) -> None:
    last = 0
    while keys := [
        line[0]
        for line in connection.all(f"SELECT key FROM runs WHERE app_key = ? AND key > ? ORDER BY key LIMIT {MANY}", (app, last))  # noqa: S608
    ]:
        tally = Tally()
        for have in stored(database, connection, keys, content=False):
            tally.add(have.run, have.app, have.row, nodes=have.run.started_at >= whole_from * MICROSECONDS)
        rollups.apply(connection, tally)
        last = keys[-1]
