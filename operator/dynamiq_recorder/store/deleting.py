"""What is deleted: by people, for good and out of the rollups; by age, in pieces, with the rollups left."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

from dynamiq_operator.model.runs import FAILED_STATUSES
from dynamiq_recorder.model import MICROSECONDS, Filter
from dynamiq_recorder.store import rollups
from dynamiq_recorder.store.columns import BESIDE
from dynamiq_recorder.store.database import MANY, Connection, Database
from dynamiq_recorder.store.filters import conditions
from dynamiq_recorder.store.interface import Retention
from dynamiq_recorder.store.loading import stored
from dynamiq_recorder.store.tally import HOUR, MINUTE, Tally
from dynamiq_recorder.store.writing import forget

_OF_SPANS = ("spans", "contents", "extras", "errors")
THINNED = "thinned_until"
"""The note of the hour, in seconds, before which spans have been thinned out."""


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
    _forget_all(connection, [have.key for have in found])
    rollups.apply(connection, tally)
    return len(found)


def _forget_all(connection: Connection, keys: Sequence[int]) -> int:
    """Lines of the runs in all tables. Returns how many."""
    return sum(forget(connection, table, "run_key", keys) for table in BESIDE) + forget(connection, "runs", "key", keys)


def retain(database: Database, now: int, keep: Retention) -> int:
    """See Store.retain. The cut is at a whole hour, so that an hour's runs are all there, or none."""
    seconds = now // MICROSECONDS

    def before(kept: int) -> int:
        return (seconds - kept) // HOUR * HOUR

    gone = _old_runs(database, before(keep.runs))
    gone += _thin(database, before(keep.spans), before(2 * HOUR), keep)
    gone += database.transact(
        lambda connection: (
            connection.do(f"DELETE FROM rollups WHERE width = {MINUTE} AND at < ?", (before(keep.runs),))  # noqa: S608 - our own names
            + connection.do("DELETE FROM rollups WHERE at < ?", (before(keep.rollups),))
            + connection.do("DELETE FROM node_rollups WHERE at < ?", (before(keep.rollups),))
            + connection.do("DELETE FROM instances WHERE seen_at < ?", (before(keep.rollups) * MICROSECONDS,))
        )
    )
    if gone:
        database.deleted()
    return gone


def _old_runs(database: Database, before: int) -> int:
    with database.reading() as connection:
        apps = [line[0] for line in connection.all("SELECT key FROM apps")]
    gone = 0
    sql = f"SELECT key FROM runs WHERE app_key = ? AND started_at < ? ORDER BY started_at LIMIT {MANY}"  # noqa: S608 - our own names
    for app in apps:

        def work(connection: Connection, app: int = app) -> int:
            keys = [line[0] for line in connection.all(sql, (app, before * MICROSECONDS))]
            return _forget_all(connection, keys) if keys else 0

        while piece := database.transact(work):
            gone += piece
    return gone


def _thin(database: Database, before: int, ripe: int, keep: Retention) -> int:
    """Takes spans and content of runs that neither failed nor are among the slowest of their hour: all from before the time, and of hours that
    are over (`ripe`) so many as the ratio says.
    """
    with database.reading() as connection:
        notes = _notes(connection)
        first = connection.all("SELECT min(at) FROM rollups WHERE width = ?", (HOUR,))[0][0]
    if first is None:
        return 0
    gone = 0
    for note, until, ratio in ((f"{THINNED}", before, 0.0), (f"{THINNED}_by_ratio", ripe, keep.ratio)):
        if ratio >= 1.0:
            continue
        for hour in range(max(first, notes.get(note, 0)), until, HOUR):
            gone += _thin_hour(database, hour, ratio, keep.slowest)
        _note(database, note, until)
    return gone


def _notes(connection: Connection) -> dict[str, int]:
    return {name: value for name, value in connection.all("SELECT name, value FROM notes")}  # noqa: C416 - typed


def _note(database: Database, name: str, value: int) -> None:
    put = "INSERT INTO notes (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    database.transact(lambda connection: connection.do(put, (name, value)))


def _thin_hour(database: Database, hour: int, ratio: float, slowest: float) -> int:
    gone = 0
    with database.reading() as connection:
        bounds = _slow_from(connection, hour, slowest)
    failed = ", ".join(f"'{status.value}'" for status in FAILED_STATUSES)
    sql = (
        "SELECT key, id FROM runs WHERE app_key = ? AND started_at >= ? AND started_at < ? AND key > ? "  # noqa: S608 - our own names
        f"AND duration <= ? AND status NOT IN ({failed}) ORDER BY key LIMIT {MANY}"
    )
    for app, slow in bounds.items():
        last = 0
        while True:
            values = (app, hour * MICROSECONDS, (hour + HOUR) * MICROSECONDS, last, slow)
            with database.reading() as connection:
                lines = connection.all(sql, values)
            keys = [key for key, run_id in lines if _share(database.id_out(run_id)) >= ratio]
            gone += _bare(database, keys)
            if len(lines) < MANY:
                break
            last = lines[-1][0]
    return gone


def _bare(database: Database, keys: Sequence[int]) -> int:
    """Leaves the runs and takes what is beside them. Returns how many lines."""

    def work(connection: Connection) -> int:
        within, values = connection.within("key", keys)
        connection.do(f"UPDATE runs SET content_kept = 0 WHERE {within}", values)  # noqa: S608 - our own names
        return sum(forget(connection, table, "run_key", keys) for table in _OF_SPANS)

    return database.transact(work) if keys else 0


def _slow_from(connection: Connection, hour: int, slowest: float) -> dict[int, int]:
    """By App, the duration above which its runs of the hour are the slowest."""
    found: dict[int, int] = {}
    for (app,) in connection.all("SELECT DISTINCT app_key FROM rollups WHERE width = ? AND at = ?", (HOUR, hour)):
        times = (app, hour * MICROSECONDS, (hour + HOUR) * MICROSECONDS)
        within = "FROM runs WHERE app_key = ? AND started_at >= ? AND started_at < ?"
        count = connection.all(f"SELECT count(*) {within}", times)[0][0]
        next_one = (*times, math.ceil(count * slowest))
        lines = connection.all(f"SELECT duration {within} ORDER BY duration DESC LIMIT 1 OFFSET ?", next_one)
        found[app] = lines[0][0] if lines else -1
    return found


def _share(run_id: str) -> float:
    """From 0 to 1, the same at each look."""
    return zlib.crc32(run_id.encode()) / 2**32


def rebuild(database: Database, connection: Connection) -> None:
    """See Store.rebuild_rollups. Of nodes, the hours whose spans are not all there stay, too."""
    notes = _notes(connection)
    thinned = max((value for name, value in notes.items() if name.startswith(THINNED)), default=0)
    named = connection.all("SELECT DISTINCT namespace, name FROM apps")
    connection.hold_rows(sorted((namespace, name) for namespace, name in named), alone=True)
    for (app,) in connection.all("SELECT key FROM apps ORDER BY key"):
        connection.hold_rollups([app])
        first = connection.all("SELECT min(started_at) FROM runs WHERE app_key = ?", (app,))[0][0]
        if first is not None:
            hour = first // MICROSECONDS // HOUR * HOUR
            connection.do("DELETE FROM rollups WHERE app_key = ? AND at >= ?", (app, hour))
            connection.do("DELETE FROM node_rollups WHERE app_key = ? AND at >= ?", (app, max(hour, thinned)))
            _count_again(database, connection, app, thinned)


def _count_again(database: Database, connection: Connection, app: int, thinned: int) -> None:
    last = 0
    while keys := [
        line[0]
        for line in connection.all(f"SELECT key FROM runs WHERE app_key = ? AND key > ? ORDER BY key LIMIT {MANY}", (app, last))  # noqa: S608
    ]:
        tally = Tally()
        for have in stored(database, connection, keys, content=False):
            tally.add(have.run, have.app, have.row, nodes=have.run.started_at >= thinned * MICROSECONDS)
        rollups.apply(connection, tally)
        last = keys[-1]
