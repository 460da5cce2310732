"""Runs that people delete: for good, and out of the rollups."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec

from dynamiq_recorder.model import MICROSECONDS, Filter
from dynamiq_recorder.store import rollups
from dynamiq_recorder.store.database import MANY, Connection, Database, Lines, pieces
from dynamiq_recorder.store.filters import app_key, conditions
from dynamiq_recorder.store.forgetting import forget
from dynamiq_recorder.store.interface import Unavailable
from dynamiq_recorder.store.loading import Stored, stored
from dynamiq_recorder.store.tally import Tally

SMALL = 32 << 20
"""Bytes of a store that is scrubbed while whoever deletes waits."""
_TO_SCRUB = "to_scrub"
"""Note of when people deleted something, until nothing is left of it."""
_BEGAN, _TRIES = "scrub_began", "scrub_tries"
"""Notes of when that was tried last, and of how often since it went well: whoever is killed by it cannot say so."""
AGAIN, EVERY = 30 * MICROSECONDS, 22 * 3600 * MICROSECONDS
"""For which a small store is not scrubbed again by deletions, and a large one by nothing: with what it takes, and the wait for retention, it is less than a day."""
TRIES = 3
"""Of a large store, one after the other."""
_PUT = "INSERT INTO notes (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"

log = logging.getLogger(__name__)


def delete(database: Database, wanted: Filter, now: int) -> int:
    """See Store.delete. In pieces: what came first is gone even if a later piece fails. `now`: microseconds."""
    gone = 0
    try:
        while piece := database.transact(lambda connection: _delete_some(connection, database, wanted, now)):
            gone += piece.gone
    finally:
        if gone:
            _clean(database, now)
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


def delete_run(database: Database, app_uid: str, run_id: str, now: int) -> bool:
    """See Store.delete_run."""
    try:
        identity = database.id_in(run_id)
    except ValueError:
        return False

    def work(connection: Connection) -> int:
        app = app_key(connection, app_uid)
        _hold(connection, "SELECT namespace, name FROM apps WHERE key = ?", (app,))
        keys = [line[0] for line in connection.all("SELECT key FROM runs WHERE id = ? AND app_key = ?", (identity, app))]
        return _delete_keys(database, connection, keys, now)

    gone = database.transact(work) > 0
    if gone:
        _clean(database, now)
    return gone


def _clean(database: Database, now: int) -> None:
    """What is large waits for retention, and so does what cannot be done now: the runs are gone all the same."""
    try:
        if database.bytes() <= SMALL and _is_due(database, now):
            scrub(database, now)
        database.deleted()
    except Unavailable as error:
        log.warning("what is left of deleted runs is not overwritten yet: %s", error)


def _is_due(database: Database, now: int) -> bool:
    """Whether a small store is written anew at this deletion: nobody writes meanwhile, so one deletion after the other waits for retention."""
    with database.reading() as connection:
        notes: dict[str, int] = dict(connection.all("SELECT name, value FROM notes WHERE name IN (?, ?)", (_BEGAN, _TRIES)))
    return _TRIES in notes or not 0 <= now - notes.get(_BEGAN, now - AGAIN) < AGAIN


def tidy(database: Database, now: int) -> None:
    """Scrubs the store where it is to be, now. Raises Unavailable for no scrub that failed: it is tried again."""
    scrubbed = True
    try:
        scrubbed = scrub(database, now)
    except Unavailable as error:
        log.warning("copies of deleted text in gaps of pages are not overwritten yet: %s", error)
    finally:
        if scrubbed:
            database.deleted()


def scrub(database: Database, now: int) -> bool:
    """Takes what is left of text that people deleted, where some did since it was done last: of a large store once a day. Whether it did.

    `now`: microseconds.
    """
    with database.reading() as connection:
        notes: dict[str, int] = dict(connection.all("SELECT name, value FROM notes WHERE name IN (?, ?, ?)", (_TO_SCRUB, _BEGAN, _TRIES)))
    if _TO_SCRUB not in notes:
        return False
    tries = notes.get(_TRIES, 0)
    if database.bytes() > SMALL and 0 <= now - notes.get(_BEGAN, now - EVERY) < EVERY:
        if tries >= TRIES:
            log.error("copies of deleted text in gaps of pages stay for a day: to write them anew failed %d times", tries)
        if not 0 < tries < TRIES:
            return False
    begun = [(_BEGAN, now), (_TRIES, tries % TRIES + 1)]
    database.transact(lambda connection: connection.tell(_PUT, begun))
    database.scrub()
    done = "DELETE FROM notes WHERE name = ? AND value = ?"
    database.transact(lambda connection: connection.tell(done, [(_TO_SCRUB, notes[_TO_SCRUB]), begun[1]]))
    return True


def _hold(connection: Connection, named: str, values: Sequence[object]) -> None:
    """Before runs are looked for: those that are found are as they are until the end."""
    connection.hold_rows([(namespace, name) for namespace, name in connection.all(named, values)], alone=True)


def _delete_keys(database: Database, connection: Connection, keys: Sequence[int], now: int) -> int:
    """Runs with all that is beside them, out of the rollups, too; that they were deleted is kept, so that nobody brings them back."""
    found = stored(database, connection, keys, content=False)
    ids = [(database.id_in(have.run.id), have.app, now) for have in found]
    connection.put([(Lines("deleted", ("id", "app_key", "at"), ids), ("id", "app_key"))])
    if found:
        connection.do(_PUT, (_TO_SCRUB, now))
    take_out(connection, found)
    return len(found)


def one_of_each_id(database: Database, connection: Connection) -> int:
    """Deletes all runs of one id but the first that was stored, for tables that have an id once. Returns how many."""
    lines = connection.all(
        "SELECT r.key FROM runs r JOIN (SELECT id, min(key) AS stays FROM runs GROUP BY id HAVING count(*) > 1) twice "
        "ON twice.id = r.id WHERE r.key <> twice.stays ORDER BY r.key"
    )
    for part in pieces([key for (key,) in lines]):
        take_out(connection, stored(database, connection, part, content=False))
    return len(lines)


def take_out(connection: Connection, found: Sequence[Stored]) -> None:
    """Deletes runs with all that is beside them, and takes them out of the rollups. The last of a transaction, as rollups are."""
    tally = Tally()
    for have in found:
        tally.add(have.run, have.app, have.row, -1)
    forget(connection, [have.key for have in found])
    rollups.apply(connection, tally)
