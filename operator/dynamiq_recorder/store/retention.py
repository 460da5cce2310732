"""Deletes old data in pieces, so that other writes wait briefly. Rollups keep the sums of deleted runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from dynamiq_operator.model.runs import FAILED_STATUSES
from dynamiq_recorder.model import MICROSECONDS
from dynamiq_recorder.store import shapes, shares
from dynamiq_recorder.store.database import MANY, NOTE, Connection, Database
from dynamiq_recorder.store.deleting import tidy
from dynamiq_recorder.store.filters import app_key
from dynamiq_recorder.store.forgetting import forget
from dynamiq_recorder.store.results import Retention
from dynamiq_recorder.store.rollups import FULL_OF
from dynamiq_recorder.store.tally import HOUR, MINUTE
from dynamiq_recorder.store.thinning import BY_RATIO, NOTES, OLD, RATIO, SLOWEST, WHOLE, Thinned, of_hour, share, slow_from

FEW, TRIMMED, HOURS = 50, 20, 200
"""While the disk is nearly full: runs of one transaction, transactions until its fullness is checked again, and hours of figures."""
_TRIMMED_UNTIL = ("trimmed/{app}", "trimmed/{app}/key")
"""Notes of the time and the key of the last run that lost spans and content for its App's share."""
_OF_SPANS = ("spans", "contents", "extras", "errors")
_WHOLE_INSTANCES = (
    "DELETE FROM instances WHERE app_key = ? AND seen_at < ? AND ended <> 0 AND dropped = 0 AND stored >= last_seq AND stored >= highest"
)
"""Deletes processes of which nothing is missing, and whose runs are deleted."""


class _Cut(msgspec.Struct, frozen=True):
    """Seconds since 1970, whole hours, before which data is deleted. All runs of an hour are stored, or none, therefore."""

    runs: int
    spans: int
    rollups: int
    ripe: int
    """Hours before it are over, and their runs have arrived."""


def retain(database: Database, now: int, keep: Retention) -> int:
    """Implements Store.retain."""
    seconds = now // MICROSECONDS

    def before(kept: int) -> int:
        return (seconds - kept) // HOUR * HOUR

    cut = _Cut(keep.runs_from(now) // MICROSECONDS, before(keep.spans), before(keep.rollups), before(2 * HOUR))
    with database.reading() as connection:
        apps = [line[0] for line in connection.all("SELECT key FROM apps ORDER BY key")]
    gone = sum(_old_runs(database, app, cut) + _old_rollups(database, app, cut) for app in apps)
    gone += _old_ids(database, cut)
    gone += _thin(database, apps, OLD, cut.spans, cut, 0.0, keep.slowest)
    if keep.ratio < 1.0:
        gone += _thin(database, apps, BY_RATIO, cut.ripe, cut, keep.ratio, keep.slowest)
    if gone:
        database.deleted()
    tidy(database, now)
    shares.count_older(database)
    shares.count_beside(database)
    return gone


def trim(database: Database, app_uid: str) -> int:
    """Implements Store.trim."""
    gone = _repeated(database, TRIMMED, partial(_trim_some, app_uid=app_uid)) or _trim_figures(database, app_uid)
    if gone:
        database.deleted()
    return gone


def _trim_figures(database: Database, app_uid: str) -> int:
    """Deletes the oldest hours of figures of an App without runs, each by itself, and the processes that were seen first."""
    gone = _repeated(database, HOURS, partial(_trim_hour, app_uid=app_uid))
    if gone:
        shares.count_beside(database)
    return gone


def _repeated(database: Database, times: int, work: Callable[[Connection], int]) -> int:
    """Executes `work` in at most `times` transactions, or until nothing is left. Returns what it did in all."""
    done = 0
    for _ in range(times):
        some = database.transact(work)
        done += some
        if not some:
            break
    return done


def _trim_hour(connection: Connection, app_uid: str) -> int:
    """Deletes an App's oldest hour of figures, if it is known to have data beside its runs. Returns how many lines."""
    app = app_key(connection, app_uid)
    if not connection.all("SELECT 1 FROM notes WHERE name = ?", (shares.BESIDE.format(app=app),)):
        return 0
    oldest = "SELECT min(at) FROM rollups WHERE app_key = ? AND width = ?"
    gone = connection.do(
        "DELETE FROM node_rollups WHERE app_key = ? AND at = (SELECT min(at) FROM node_rollups WHERE app_key = ?)", (app, app)
    )
    gone += connection.do(f"DELETE FROM rollups WHERE app_key = ? AND width = ? AND at < ({oldest}) + ?", (app, MINUTE, app, HOUR, HOUR))  # noqa: S608
    gone += connection.do(f"DELETE FROM rollups WHERE app_key = ? AND width = ? AND at = ({oldest})", (app, HOUR, app, HOUR))  # noqa: S608
    # A day of shapes goes with its last hour.
    gone += connection.do(f"DELETE FROM run_shapes WHERE app_key = ? AND at <= coalesce(({oldest}) - ?, at)", (app, app, HOUR, shapes.DAY))  # noqa: S608
    first = f"SELECT key FROM instances WHERE app_key = ? ORDER BY seen_at LIMIT {MANY}"  # noqa: S608 - our own names
    return gone + connection.do(f"DELETE FROM instances WHERE key IN ({first})", (app,))  # noqa: S608 - our own names


def _trim_some(connection: Connection, app_uid: str) -> int:
    """Deletes details of a few of an App's oldest runs that have any, else the oldest runs. Returns how many runs."""
    app = app_key(connection, app_uid)
    notes = [name.format(app=app) for name in _TRIMMED_UNTIL]
    known: dict[str, int] = dict(connection.all("SELECT name, value FROM notes WHERE name IN (?, ?)", notes))
    # Few at a time: the log has all that is deleted until it is in the file, and the disk has little room.
    oldest = f"ORDER BY started_at, key LIMIT {FEW}"
    further = connection.all(
        f"SELECT started_at, key FROM runs WHERE app_key = ? AND (started_at, key) > (?, ?) {oldest}",  # noqa: S608 - our own names
        (app, *(known.get(note, 0) for note in notes)),
    )
    if not further:
        keys = [key for (key,) in connection.all(f"SELECT key FROM runs WHERE app_key = ? {oldest}", (app,))]  # noqa: S608 - our own names
        forget(connection, keys)
        return len(keys)
    _delete_details(connection, [key for _, key in further])
    connection.tell(NOTE, list(zip(notes, further[-1], strict=True)))
    return len(further)


def _old_runs(database: Database, app: int, cut: _Cut) -> int:
    sql = f"SELECT key FROM runs WHERE app_key = ? AND started_at < ? ORDER BY started_at LIMIT {MANY}"  # noqa: S608 - our own names

    def work(connection: Connection) -> int:
        keys = [line[0] for line in connection.all(sql, (app, cut.runs * MICROSECONDS))]
        return forget(connection, keys)

    gone = 0
    while piece := database.transact(work):
        gone += piece
    return gone


def _old_ids(database: Database, cut: _Cut) -> int:
    """Deletes ids of runs that people deleted before the time from which on runs are accepted: their runs are refused by age."""
    until = (cut.runs - HOUR) * MICROSECONDS  # a sender's clock may be ahead
    return database.transact(lambda connection: connection.do("DELETE FROM deleted WHERE at < ?", (until,)))


def _old_rollups(database: Database, app: int, cut: _Cut) -> int:
    """Deletes old rollups and processes of an App. Rollups of minutes go with the runs."""

    def work(connection: Connection) -> int:
        by_width = "DELETE FROM rollups WHERE app_key = ? AND width = ? AND at < ?"
        return (
            connection.do(by_width, (app, MINUTE, cut.runs))
            + connection.do(by_width, (app, HOUR, cut.rollups))
            + connection.do("DELETE FROM node_rollups WHERE app_key = ? AND at < ?", (app, cut.rollups))
            + shapes.delete(connection, app, cut.rollups - shapes.DAY + 1)
            + connection.do("DELETE FROM notes WHERE name LIKE ? AND value < ?", (FULL_OF.format(table="%", app=app), cut.rollups))
            + connection.do("DELETE FROM instances WHERE app_key = ? AND seen_at < ?", (app, cut.rollups * MICROSECONDS))
            + connection.do(_WHOLE_INSTANCES, (app, cut.runs * MICROSECONDS))
        )

    return database.transact(work)


def thinned(connection: Connection) -> Thinned:
    return Thinned.of(dict(connection.all(*NOTES)))


def _thin(database: Database, apps: Sequence[int], note: str, until: int, cut: _Cut, ratio: float, slowest: float) -> int:
    """Deletes spans and content of ordinary runs, keeping the part `ratio` of them; hour by hour, from where the last call ended.

    Runs that failed, and the slowest of their App's hour, keep theirs.
    """
    with database.reading() as connection:
        before = thinned(connection)
    begun = max(cut.runs, before.old if note == OLD else before.by_ratio)
    gone = 0
    for app in apps:
        with database.reading() as connection:
            hours = connection.all(
                "SELECT DISTINCT at FROM rollups WHERE app_key = ? AND width = ? AND at >= ? AND at < ? ORDER BY at",
                (app, HOUR, begun, until),
            )
        gone += sum(_thin_hour(database, app, hour, ratio, slowest) for (hour,) in hours)
    kept = [(note, max(begun, until)), (SLOWEST, round(slowest * WHOLE)), *([(RATIO, round(ratio * WHOLE))] if note == BY_RATIO else [])]
    database.transact(lambda connection: connection.tell(NOTE, kept))
    return gone


def _thin_hour(database: Database, app: int, hour: int, ratio: float, slowest: float) -> int:
    failed = ", ".join(f"'{status.value}'" for status in FAILED_STATUSES)
    gone = last = 0
    while True:
        with database.reading() as connection:
            source, times = of_hour(connection, app, hour)
            slow = slow_from(connection, source, times, slowest)
            lines = connection.all(
                f"SELECT key, id {source} AND key > ? AND duration <= ? AND status NOT IN ({failed}) ORDER BY key LIMIT {MANY}",
                (*times, last, slow),
            )
        gone += _bare(database, [key for key, run_id in lines if share(database.id_out(run_id)) >= ratio])
        if len(lines) < MANY:
            return gone
        last = lines[-1][0]


def _bare(database: Database, keys: Sequence[int]) -> int:
    return database.transact(lambda connection: _delete_details(connection, keys)) if keys else 0


def _delete_details(connection: Connection, keys: Sequence[int]) -> int:
    """Keeps the runs, and deletes what is beside them. Returns how many lines."""
    within, values = connection.within("key", keys)
    connection.do(f"UPDATE runs SET content_kept = 0 WHERE {within}", values)  # noqa: S608 - our own names
    return forget(connection, keys, _OF_SPANS)
