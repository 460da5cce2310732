"""Stores rows, and moves the runs that they decide: to another row, or with a restored App to its new uid. It stores no run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dynamiq_operator.model.runs import RunSource
from dynamiq_recorder.model import Row
from dynamiq_recorder.store import archive, rollups, shapes, shares
from dynamiq_recorder.store.database import MANY, Cell, Connection, Database, pieces
from dynamiq_recorder.store.deleting import take_out
from dynamiq_recorder.store.loading import stored
from dynamiq_recorder.store.row_periods import changed
from dynamiq_recorder.store.tally import Tally
from dynamiq_recorder.store.writing import app_keys, periods

_COLUMNS = ("uid", "app_key", "sequence", "digest", "pins", "workflow_version", "began", "succeeded", "ended", "pair")
_WITH_APP = ("runs", "labels", "errors", "deleted", "instances", "app_rows", "accepted")


def put_rows(database: Database, rows: Sequence[Row]) -> int:
    """Implements Store.put_rows."""
    newest = {row.uid: row for row in rows}
    ordered = [newest[uid] for uid in sorted(newest)]
    return database.transact(lambda connection: _put(database, connection, ordered)) if rows else 0


def _put(database: Database, connection: Connection, rows: Sequence[Row]) -> int:
    connection.hold_rows(sorted({(row.namespace, row.app) for row in rows}), alone=True)
    apps = app_keys(connection, [(row.app_uid, row.namespace, row.app) for row in rows])
    named = sorted({(row.namespace, row.app, apps[row.app_uid]) for row in rows})
    connection.tell("UPDATE apps SET namespace = ?, name = ? WHERE key = ? AND name = ''", named)
    restored: set[int] = set()
    moved = 0
    for old, new in _earlier_apps(connection, rows, apps):
        moved += _become(database, connection, old, new)
        restored.add(new)
    restored |= _renamed_rows(connection, rows, apps)
    affected = {(apps[row.app_uid], row.pins) for row in rows} | _stored_rows(connection, rows, "pins")
    before = periods(connection, affected)
    connection.tell(_PUT_ROW, [_line(row, apps[row.app_uid]) for row in rows])
    for app in restored:
        lines = connection.all("SELECT DISTINCT pins FROM app_rows WHERE app_key = ?", (app,))
        affected |= {(app, pins) for (pins,) in lines}
    after = periods(connection, affected)
    touched = _stored_rows(connection, rows, "key") if restored else set()
    tally = Tally()
    for app, pins in sorted(affected):
        now = after[app, pins]
        if app in restored:  # its runs may be of any row that has these pins, or may have had them
            with_pins = connection.all("SELECT key FROM app_rows WHERE app_key = ? AND pins = ?", (app, pins))
            others = {key for (key,) in with_pins} | {key for of_app, key in touched if of_app == app}
            for since, until, row in now.all():
                moved += _move(database, connection, tally, (app, pins, since, until), row, others)
            continue
        for since, until, row in changed(before[app, pins], now):
            was = before[app, pins].at(since)
            moved += _move(database, connection, tally, (app, pins, since, until), row, () if was is None else (was,))
    rollups.apply(connection, tally)
    return moved


def _line(row: Row, app: int) -> Cell:
    succeeded = None if row.succeeded is None else int(row.succeeded)
    return (row.uid, app, row.sequence, row.digest, row.pins, row.workflow_version, row.began, succeeded, row.ended, row.pair)


_PUT_ROW = (
    f"INSERT INTO app_rows ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) ON CONFLICT (uid) DO UPDATE SET "  # noqa: S608
    + ", ".join(f"{column} = excluded.{column}" for column in _COLUMNS[1:])
)


def _stored_rows(connection: Connection, rows: Sequence[Row], column: str) -> set[tuple[int, Any]]:
    """Returns the App's key and a column of each stored row with one of these uids."""
    lines: set[tuple[int, Any]] = set()
    for part in pieces(rows):
        condition, values = connection.within("uid", [row.uid for row in part])
        lines |= {(app, value) for app, value in connection.all(f"SELECT app_key, {column} FROM app_rows WHERE {condition}", values)}  # noqa: S608
    return lines


def _move(
    database: Database,
    connection: Connection,
    tally: Tally,
    which: tuple[int, str, int, int],
    row: int | None,
    others: Iterable[int],
) -> int:
    """Moves runs that have an App's pins and began in a period to `row`: those of `others`, and those of no row. Returns how many."""
    app, pins, since, until = which
    # Background runs first: those that stay are then all that the other way has to skip.
    accepted = "SELECT run_key AS key FROM accepted WHERE app_key = ? AND pins = ? AND at >= ? AND at < ?"
    background = f"FROM ({accepted}) i {connection.looked_up}"
    ordinary = "NOT EXISTS (SELECT 1 FROM accepted b WHERE b.run_key = r.key) AND r.pins = ? AND r.started_at >= ? AND r.started_at < ?"
    moved = 0
    for other in sorted(set(others) - {row}):
        moved += _move_all(database, connection, tally, f"{background} WHERE r.row_key = ?", (*which, other), row)
        of_other = f"FROM runs r WHERE r.app_key = ? AND r.row_key = ? AND {ordinary}"
        moved += _move_all(database, connection, tally, of_other, (app, other, pins, since, until), row)
    if row is not None:
        of_none = "r.source IN ('runtime', 'otlp') AND r.row_key IS NULL AND r.source <> 'sdk'"
        moved += _move_all(database, connection, tally, f"{background} WHERE {of_none}", which, row)
        moved += _move_all(database, connection, tally, f"FROM runs r WHERE r.app_key = ? AND {of_none} AND {ordinary}", which, row)
    return moved


def _move_all(database: Database, connection: Connection, tally: Tally, source: str, values: Sequence[object], row: int | None) -> int:
    moved = 0
    while keys := [line[0] for line in connection.all(f"SELECT r.key {source} LIMIT {MANY}", values)]:
        for have in stored(database, connection, keys, content=False):
            tally.add(have.run, have.app, have.row, -1)
            tally.add(have.run, have.app, row)
        for table, column in (("runs", "key"), ("scores", "run_key")):
            within, ids = connection.within(column, keys)
            connection.do(f"UPDATE {table} SET row_key = ? WHERE {within}", [row, *ids])  # noqa: S608 - our own names
        moved += len(keys)
    return moved


def _earlier_apps(connection: Connection, rows: Sequence[Row], apps: Mapping[str, int]) -> list[tuple[int, int]]:
    """Finds Apps of the same namespace and name that have a row with the same digest. Returns each with the App that replaces it."""
    pairs: set[tuple[int, int]] = set()
    for namespace, name, key in sorted({(row.namespace, row.app, apps[row.app_uid]) for row in rows}):
        digests = {row.digest for row in rows if apps[row.app_uid] == key}
        same_name = "SELECT key FROM apps WHERE namespace = ? AND name = ? AND key <> ? AND became IS NULL"
        for (old,) in connection.all(same_name, (namespace, name, key)):
            if any(_rows_with(connection, old, "digest", part) for part in pieces(sorted(digests))):
                pairs.add((old, key))
    return sorted(pairs)


def _become(database: Database, connection: Connection, old: int, new: int) -> int:
    """Moves all data of an App to the App that it was restored as. Returns how many runs."""
    connection.hold_rollups(sorted((old, new)))
    for part in pieces(_twins(connection, old, new)):
        take_out(connection, stored(database, connection, part, content=False))
    twice = "DELETE FROM deleted WHERE app_key = ? AND id IN (SELECT id FROM deleted WHERE app_key = ?)"
    connection.do(twice, (old, new))
    count = int(connection.all("SELECT count(*) FROM runs WHERE app_key = ?", (old,))[0][0])
    for name in _WITH_APP:
        connection.do(f"UPDATE {name} SET app_key = ? WHERE app_key = ?", (new, old))  # noqa: S608 - our own names
    archive.become(connection, old, new)
    shares.become(connection, old, new)
    connection.do("UPDATE apps SET became = ? WHERE key = ? OR became = ?", (new, old, old))
    for table in (rollups.RUNS, rollups.NODES):
        rollups.rekey(connection, table, "app_key = ?", (old,), lambda key: (new, *key[1:]))
    shapes.rekey(connection, "app_key = ?", (old,), lambda key: (new, *key[1:]))
    return count


def _twins(connection: Connection, old: int, new: int) -> list[int]:
    """Lists runs that cannot stay once two Apps are one: one of each pair with one id, and those deleted in the other App.

    In such a pair, a pod's run stays.
    """
    both = connection.all(
        "SELECT o.key, o.source, n.key, n.source FROM runs o JOIN runs n ON n.id = o.id AND n.app_key = ? WHERE o.app_key = ?", (new, old)
    )
    runtime = RunSource.RUNTIME.value
    gone = {first if new_source == runtime != old_source else second for first, old_source, second, new_source in both}
    deleted = "SELECT r.key FROM deleted d JOIN runs r ON r.id = d.id AND r.app_key = ? WHERE d.app_key = ?"
    for apps in ((old, new), (new, old)):
        gone |= {key for (key,) in connection.all(deleted, apps)}
    return sorted(gone)


def _renamed_rows(connection: Connection, rows: Sequence[Row], apps: Mapping[str, int]) -> set[int]:
    """Merges rows of an App with the same digest: an object was restored under a new uid. Returns the Apps of such rows."""
    changed_apps: set[int] = set()
    for app in sorted(set(apps.values())):
        uid_of = {row.digest: row.uid for row in rows if apps[row.app_uid] == app}
        lines = [line for part in pieces(sorted(uid_of)) for line in _rows_with(connection, app, "digest", part)]
        uids = sorted(set(uid_of.values()))
        by_uid = {uid: key for part in pieces(uids) for key, uid, _ in _rows_with(connection, app, "uid", part)}
        for key, uid, digest in sorted(lines):
            new = uid_of.get(digest, uid)
            if new == uid:
                continue
            changed_apps.add(app)
            if new in by_uid:
                _merge_rows(connection, app, key, by_uid[new])
            else:
                connection.do("UPDATE app_rows SET uid = ? WHERE key = ?", (new, key))
                by_uid[new] = key
    return changed_apps


def _rows_with(connection: Connection, app: int, column: str, values: Sequence[str]) -> list[Cell]:
    condition, parameters = connection.within(column, values)
    return connection.all(f"SELECT key, uid, digest FROM app_rows WHERE app_key = ? AND {condition}", [app, *parameters])  # noqa: S608


def _merge_rows(connection: Connection, app: int, gone: int, stays: int) -> None:
    connection.hold_rollups([app])
    connection.do("UPDATE runs SET row_key = ? WHERE app_key = ? AND row_key = ?", (stays, app, gone))
    connection.do("UPDATE scores SET row_key = ? WHERE row_key = ?", (stays, gone))
    connection.do("DELETE FROM app_rows WHERE key = ?", (gone,))
    for table in (rollups.RUNS, rollups.NODES):
        place = table.key.index("row_key")

        def other(key: Cell, place: int = place) -> Cell:
            return (*key[:place], stays, *key[place + 1 :])

        rollups.rekey(connection, table, "app_key = ? AND row_key = ?", (app, gone), other)
    shapes.rekey(connection, "app_key = ? AND row_key = ?", (app, gone), lambda key: (*key[:2], stays, *key[3:]))
