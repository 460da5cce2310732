"""Deletes runs for people: for good, and out of the rollups. It deletes nothing by age."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from dynamiq_recorder.model import MICROSECONDS, Filter
from dynamiq_recorder.store import rollups, shapes
from dynamiq_recorder.store.database import MANY, NOTE, Connection, Database, Lines, pieces
from dynamiq_recorder.store.filters import app_key, conditions
from dynamiq_recorder.store.forgetting import forget
from dynamiq_recorder.store.loading import Stored, stored
from dynamiq_recorder.store.results import Unavailable
from dynamiq_recorder.store.tally import Tally

SMALL = 32 << 20
"""Most bytes of a store that is scrubbed while the person who deletes waits."""
_TO_SCRUB = "to_scrub"
"""Note of when people deleted something; it stays until nothing is left of that."""
_BEGAN, _TRIES = "scrub_began", "scrub_tries"
"""Notes of when a scrub began last, and of the attempts since one succeeded: a process that it kills cannot note its failure."""
AGAIN, EVERY = 30 * MICROSECONDS, 22 * 3600 * MICROSECONDS
"""Microseconds in which deletions do not scrub a small store again, and nothing scrubs a large one again. With its duration, and the wait
for retention, the second is less than a day.
"""
EVER = 1 << 62
"""Seconds: later than any run."""
TRIES = 3
"""Attempts for a large store, one after the other."""

log = logging.getLogger(__name__)


def delete(database: Database, selection: Filter, now: int) -> int:
    """Implements Store.delete, in pieces: earlier pieces stay deleted even if a later one fails. `now`: microseconds."""
    gone = 0
    try:
        while (piece := database.transact(lambda connection: _delete_some(connection, database, selection, now))) is not None:
            gone += piece
        if selection == Filter(app_uid=selection.app_uid, until=selection.until):  # no people's runs, but what the App has
            database.transact(partial(_delete_shapes, selection=selection))
    finally:
        if gone:
            _clean(database, now)
    return gone


def _delete_shapes(connection: Connection, selection: Filter) -> None:
    """Deletes the shapes of each day that began before the end of a filter."""
    app = app_key(connection, selection.app_uid)
    connection.hold_rollups([app] if app is not None else [])
    shapes.delete(connection, app, EVER if selection.until is None else -(-selection.until // MICROSECONDS))


def _delete_some(connection: Connection, database: Database, selection: Filter, now: int) -> int | None:
    """Deletes some runs of the filter; returns None if there are none. Runs that retention deletes meanwhile are not counted."""
    _hold(connection, "SELECT namespace, name FROM apps WHERE key = ?", (app_key(connection, selection.app_uid),))
    where = conditions(connection, selection)
    if where is None:
        return None
    keys = [line[0] for line in connection.all(f"SELECT r.key FROM runs r WHERE {where.sql} LIMIT {MANY}", where.values)]  # noqa: S608
    return _delete_keys(database, connection, keys, now) if keys else None


def delete_run(database: Database, app_uid: str, run_id: str, now: int) -> bool:
    """Implements Store.delete_run."""
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
    """Scrubs a small store, and gives space back. A large store waits for retention, and so does a failed scrub: the runs are deleted
    anyway.
    """
    try:
        if database.bytes() <= SMALL and _is_due(database, now):
            scrub(database, now)
        database.deleted()
    except Unavailable as error:
        log.warning("remains of deleted runs are not overwritten yet: %s", error)


def _is_due(database: Database, now: int) -> bool:
    """Returns True if this deletion scrubs a small store.

    Other writes wait for a scrub, so a deletion shortly after another one leaves it to retention.
    """
    with database.reading() as connection:
        notes: dict[str, int] = dict(connection.all("SELECT name, value FROM notes WHERE name IN (?, ?)", (_BEGAN, _TRIES)))
    return _TRIES in notes or not 0 <= now - notes.get(_BEGAN, now - AGAIN) < AGAIN


def tidy(database: Database, now: int) -> None:
    """Scrubs the store if it is due. A failed scrub is logged, and tried again."""
    scrubbed = True
    try:
        scrubbed = scrub(database, now)
    except Unavailable as error:
        log.warning("copies of deleted text in gaps of pages are not overwritten yet: %s", error)
    finally:
        if scrubbed:
            database.deleted()


def scrub(database: Database, now: int) -> bool:
    """Overwrites what is left of deleted text, if people deleted runs since the last time; a large store once a day. Returns True if it
    did.

    `now`: microseconds.
    """
    with database.reading() as connection:
        notes: dict[str, int] = dict(connection.all("SELECT name, value FROM notes WHERE name IN (?, ?, ?)", (_TO_SCRUB, _BEGAN, _TRIES)))
    if _TO_SCRUB not in notes:
        return False
    tries = notes.get(_TRIES, 0)
    if database.bytes() > SMALL and 0 <= now - notes.get(_BEGAN, now - EVERY) < EVERY:
        if tries >= TRIES:
            log.error("copies of deleted text in gaps of pages stay for a day: overwriting them failed %d times", tries)
        if not 0 < tries < TRIES:
            return False
    begun = [(_BEGAN, now), (_TRIES, tries % TRIES + 1)]
    database.transact(lambda connection: connection.tell(NOTE, begun))
    database.scrub()
    done = "DELETE FROM notes WHERE name = ? AND value = ?"
    database.transact(lambda connection: connection.tell(done, [(_TO_SCRUB, notes[_TO_SCRUB]), begun[1]]))
    return True


def _hold(connection: Connection, named: str, values: Sequence[object]) -> None:
    """Locks Apps before their runs are read, so that these stay as they are until the end."""
    connection.hold_rows([(namespace, name) for namespace, name in connection.all(named, values)], alone=True)


def _delete_keys(database: Database, connection: Connection, keys: Sequence[int], now: int) -> int:
    """Deletes runs with all that is beside them, also from the rollups. It notes their ids, so that they are refused if they are sent
    again.
    """
    runs = stored(database, connection, keys, content=False)
    ids = [(database.id_in(have.run.id), have.app, now) for have in runs]
    connection.put([(Lines("deleted", ("id", "app_key", "at"), ids), ("id", "app_key"))])
    if runs:
        connection.do(NOTE, (_TO_SCRUB, now))
    take_out(connection, runs)
    return len(runs)


def one_of_each_id(database: Database, connection: Connection) -> int:
    """Deletes all runs of one id but the first that was stored, for tables in which an id is unique. Returns how many."""
    lines = connection.all(
        "SELECT r.key FROM runs r JOIN (SELECT id, min(key) AS stays FROM runs GROUP BY id HAVING count(*) > 1) twice "
        "ON twice.id = r.id WHERE r.key <> twice.stays ORDER BY r.key"
    )
    for part in pieces([key for (key,) in lines]):
        take_out(connection, stored(database, connection, part, content=False))
    return len(lines)


def take_out(connection: Connection, runs: Sequence[Stored]) -> None:
    """Deletes runs with all that is beside them, and subtracts them from the rollups. It is the last of a transaction, as rollups are."""
    tally = Tally()
    for have in runs:
        tally.add(have.run, have.app, have.row, -1)
    forget(connection, [have.key for have in runs])
    rollups.apply(connection, tally)
