"""Runs that people delete: for good, and out of the rollups."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dynamiq_recorder.model import Filter
from dynamiq_recorder.store import rollups
from dynamiq_recorder.store.database import MANY, Connection, Database, Lines
from dynamiq_recorder.store.filters import app_key, conditions
from dynamiq_recorder.store.forgetting import forget
from dynamiq_recorder.store.loading import stored
from dynamiq_recorder.store.tally import Tally

SMALL = 32 << 20
"""Bytes of a store that is scrubbed while whoever deletes waits."""
_TO_SCRUB = "to_scrub"
"""Note of when people deleted something, until nothing is left of it."""


def delete(database: Database, wanted: Filter, now: int) -> int:
    """See Store.delete. In pieces: what came first is gone even if a later piece fails. `now`: microseconds."""
    gone = 0
    try:
        while piece := database.transact(lambda connection: _delete_some(connection, database, wanted, now)):
            gone += piece.gone
    finally:
        _clean(database)
    return gone


class _Piece(msgspec.Struct, frozen=True):
    gone: int


def _delete_some(connection: Connection, database: Database, wanted: Filter, now: int) -> _Piece | None:
    """None where there is no run of the filter any more. Those that retention deletes at the same time are not counted."""
    _hold(connection, "SELECT namespace, name FROM apps WHERE key = ?", (app_key(connection, wanted.app_uid),))
    where = conditions(connection, wanted)
    if where is None:
        return None
    keys = [line[0] for line in connection.all(f"SELECT r.key FROM runs r WHERE {where.sql} LIMIT {MANY}", where.values)]  # noqa: S608
    return _Piece(_delete_keys(database, connection, keys, now)) if keys else None


def delete_run(database: Database, run_id: str, now: int) -> bool:
    """See Store.delete_run."""
    try:
        identity = database.id_in(run_id)
    except ValueError:
        return False

    def work(connection: Connection) -> int:
        _hold(connection, "SELECT a.namespace, a.name FROM runs r JOIN apps a ON a.key = r.app_key WHERE r.id = ?", (identity,))
        keys = [line[0] for line in connection.all("SELECT key FROM runs WHERE id = ?", (identity,))]
        return _delete_keys(database, connection, keys, now)

    try:
        return database.transact(work) > 0
    finally:
        _clean(database)


def _clean(database: Database) -> None:
    """What is large waits for the next retention."""
    if database.bytes() <= SMALL:
        scrub(database)
    database.deleted()


def scrub(database: Database) -> bool:
    """Takes what is left of text that people deleted, where some did since it was done last. Whether they did."""
    with database.reading() as connection:
        lines = connection.all("SELECT value FROM notes WHERE name = ?", (_TO_SCRUB,))
    if lines:
        database.scrub()
        done = "DELETE FROM notes WHERE name = ? AND value = ?"
        database.transact(lambda connection: connection.do(done, (_TO_SCRUB, lines[0][0])))
    return bool(lines)


def _hold(connection: Connection, named: str, values: Sequence[object]) -> None:
    """Before runs are looked for: those that are found are as they are until the end."""
    connection.hold_rows([(namespace, name) for namespace, name in connection.all(named, values)], alone=True)


def _delete_keys(database: Database, connection: Connection, keys: Sequence[int], now: int) -> int:
    """Runs with all that is beside them, out of the rollups, too; that they were deleted is kept, so that nobody brings them back."""
    tally = Tally()
    found = stored(database, connection, keys, content=False)
    for have in found:
        tally.add(have.run, have.app, have.row, -1)
    forget(connection, [have.key for have in found])
    ids = [(database.id_in(have.run.id), now) for have in found]
    connection.put([(Lines("deleted", ("id", "at"), ids), ("id",))])
    if found:
        note = "INSERT INTO notes (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        connection.do(note, (_TO_SCRUB, now))
    rollups.apply(connection, tally)
    return len(found)
