"""Stores rows that left the cluster, each once, with the flows that they name. It verifies no digest.

A row is the same by its uid, or, if a restore gave it another uid, by its place, its name and its digests. A row with the uid of another
content is refused. Whoever is told that a row is archived may therefore delete it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import msgspec

from dynamiq_recorder.model import MICROSECONDS, ArchivedRow
from dynamiq_recorder.store.database import MANY, Cell, Connection, Database, Question, pieces
from dynamiq_recorder.store.filters import app_key
from dynamiq_recorder.store.results import Archived, ArchivedKey, ArchivedKeys, ArchivedPage
from dynamiq_recorder.store.writing import app_keys

_COLUMNS = ("app_key", "uid", "name", "sequence", "digest", "outcome_digest", "flow_hash", "ended", "went_live", "archived_at", "content")
_PUT = f"INSERT INTO archived_rows ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608 - our own names
_COUNT = (
    "INSERT INTO archived_apps (app_key, row_count) VALUES (?, ?) "
    "ON CONFLICT (app_key) DO UPDATE SET row_count = archived_apps.row_count + excluded.row_count, gone_at = NULL"
)
BLOCK = 1_000
"""Sequences per block."""
_BLOCK = (
    "INSERT INTO archived_blocks (app_key, block, row_count) VALUES (?, ?, ?) "
    "ON CONFLICT (app_key, block) DO UPDATE SET row_count = archived_blocks.row_count + excluded.row_count"
)
_ROW_COLUMNS = tuple(column for column in _COLUMNS if column not in ("app_key", "archived_at"))
_ROW = ", ".join(_ROW_COLUMNS)
AROUND = 20
"""Most rows that are returned because they may have been rolling out at a time."""
KEYS_MOST = 5_000
DIGITS_MOST = 18
"""Most digits of each part of a cursor: no database takes a larger number."""
_OTHER = -1
ANOTHER = "the archive has a row with this uid and other content, and keeps that"


def put(database: Database, rows: Sequence[ArchivedRow], flows: Mapping[str, str], now: int) -> Archived:
    """Implements Store.archive."""
    return database.transact(lambda connection: _put(connection, rows, flows, now)) if rows else Archived({}, {})


def _put(connection: Connection, rows: Sequence[ArchivedRow], flows: Mapping[str, str], now: int) -> Archived:
    connection.hold_rows(sorted({(row.namespace, row.app) for row in rows}), alone=False)
    apps = app_keys(connection, [(row.app_uid, row.namespace, row.app) for row in rows])
    connection.hold_rollups(sorted(set(apps.values())))  # a second sender of one App's rows finds those of the first
    taken: dict[str, int] = {}
    refused: dict[str, str] = {}
    for row in {row.uid: row for row in rows}.values():
        app = apps[row.app_uid]
        since = _since(connection, app, row)
        if since is None:
            since = now
            values = {"app_key": app, "went_live": row.ended if row.succeeded else None, "archived_at": now}
            connection.do(_PUT, [values[column] if column in values else getattr(row, column) for column in _COLUMNS])
            connection.do(_COUNT, (app, 1))
            connection.do(_BLOCK, (app, row.sequence // BLOCK, 1))
        elif since == _OTHER:
            refused[row.uid] = ANOTHER
            continue
        if row.flow_hash is not None and row.flow_hash in flows:
            text = msgspec.json.encode(flows[row.flow_hash]).decode()  # no database takes every character as it is
            connection.do(
                "INSERT INTO archived_flows (app_key, hash, content) VALUES (?, ?, ?) ON CONFLICT (app_key, hash) DO NOTHING",
                (app, row.flow_hash, text),
            )
        taken[row.uid] = since
    return Archived(taken, refused)


def _since(connection: Connection, app: int, row: ArchivedRow) -> int | None:
    """Returns when this row was stored; None if it is missing, _OTHER if its uid belongs to another row."""
    by_uid = connection.all(
        "SELECT archived_at, app_key, name, sequence, digest, outcome_digest FROM archived_rows WHERE uid = ?", (row.uid,)
    )
    for since, *fields in by_uid:
        return int(since) if fields == [app, row.name, row.sequence, row.digest, row.outcome_digest] else _OTHER
    restored = connection.all(
        "SELECT digest, archived_at FROM archived_rows WHERE app_key = ? AND sequence = ? AND name = ? AND outcome_digest = ?",
        (app, row.sequence, row.name, row.outcome_digest),
    )
    return next((int(since) for digest, since in restored if digest == row.digest), None)


def known_flows(connection: Connection, app_uid: str, hashes: Sequence[str]) -> frozenset[str]:
    """Returns those of the hashes whose flow is archived."""
    app, archived = app_key(connection, app_uid), set[str]()
    for part in pieces(sorted(set(hashes))) if app is not None else ():
        marks = ", ".join("?" * len(part))
        lines = connection.all(f"SELECT hash FROM archived_flows WHERE app_key = ? AND hash IN ({marks})", [app, *part])  # noqa: S608
        archived |= {line[0] for line in lines}
    return frozenset(archived)


def page(
    connection: Connection, app_uid: str, *, limit: int, offset: int = 0, cursor: str | None = None, newest_first: bool = True
) -> ArchivedPage:
    """Implements Store.archived."""
    after = _place(cursor) if cursor is not None else None
    app = app_key(connection, app_uid)
    total = _total(connection, app) if app is not None else 0
    if app is None or not total or (after is None and offset >= total):
        return ArchivedPage((), total, None)
    direction, beyond = ("DESC", "<") if newest_first else ("ASC", ">")
    first: Cell | None = after
    if after is None and offset:
        first, beyond = _at(connection, app, offset, newest_first=newest_first), f"{beyond}="
        if first is None:
            return ArchivedPage((), total, None)
    further = f" AND (sequence, key) {beyond} (?, ?)" if first is not None else ""
    lines = connection.all(
        f"SELECT key, {_ROW} FROM archived_rows WHERE app_key = ?{further} ORDER BY sequence {direction}, key {direction} LIMIT ?",  # noqa: S608
        (app, *(first or ()), limit + 1),
    )
    more = lines[limit - 1] if len(lines) > limit else None
    return ArchivedPage(tuple(_row(app_uid, line[1:]) for line in lines[:limit]), total, f"{more[3]}.{more[0]}" if more else None)


def _at(connection: Connection, app: int, offset: int, *, newest_first: bool) -> Cell | None:
    """Returns the place of the row after `offset` others. It uses the counts of blocks, and the index within one block only."""
    direction = "DESC" if newest_first else "ASC"
    remaining = offset
    for block, count in connection.all(
        f"SELECT block, row_count FROM archived_blocks WHERE app_key = ? ORDER BY block {direction}",  # noqa: S608 - our own names
        (app,),
    ):
        if remaining < count:
            lines = connection.all(
                "SELECT sequence, key FROM archived_rows WHERE app_key = ? AND sequence >= ? AND sequence < ? "  # noqa: S608 - our own names
                f"ORDER BY sequence {direction}, key {direction} LIMIT 1 OFFSET ?",
                (app, block * BLOCK, (block + 1) * BLOCK, remaining),
            )
            return lines[0] if lines else None
        remaining -= count
    return None


def _place(cursor: str) -> Cell:
    sequence, _, key = cursor.partition(".")
    is_number = all(part.isascii() and part.isdecimal() and len(part) <= DIGITS_MOST for part in (sequence, key))
    if not is_number:
        raise ValueError("this is not a cursor of an archive")
    return int(sequence), int(key)


def row(connection: Connection, app_uid: str, uid_or_name: str) -> ArchivedRow | None:
    """Implements Store.archived_row."""
    app = app_key(connection, app_uid)
    if app is None:
        return None
    lines = connection.all(f"SELECT {_ROW} FROM archived_rows WHERE uid = ? AND app_key = ?", (uid_or_name, app))  # noqa: S608 - our own names
    by_name = f"SELECT {_ROW} FROM archived_rows WHERE app_key = ? AND name = ? ORDER BY sequence DESC, key DESC LIMIT 1"  # noqa: S608
    lines = lines or connection.all(by_name, (app, uid_or_name))
    return _row(app_uid, lines[0]) if lines else None


def keys(connection: Connection, app_uid: str, first: int) -> ArchivedKeys:
    """Implements Store.archived_keys."""
    app = app_key(connection, app_uid)
    if app is None:
        return ArchivedKeys((), 0)
    lines = connection.all(
        "SELECT uid, sequence, name, outcome_digest, archived_at FROM archived_rows WHERE app_key = ? AND sequence >= ? ORDER BY sequence DESC, key DESC LIMIT ?",
        (app, first, KEYS_MOST),
    )
    return ArchivedKeys(tuple(ArchivedKey(*line) for line in lines), _total(connection, app))


def around(connection: Connection, app_uid: str, time: int) -> tuple[ArchivedRow, ...]:
    """Implements Store.archived_around."""
    app = app_key(connection, app_uid)
    if app is None:
        return ()
    select = f"SELECT {_ROW} FROM archived_rows WHERE app_key = ?"  # noqa: S608 - our own names
    questions: list[Question] = [
        (f"{select} AND went_live IS NOT NULL AND went_live <= ? ORDER BY went_live DESC LIMIT 1", (app, time)),
        (f"{select} AND went_live IS NOT NULL AND went_live > ? ORDER BY went_live LIMIT 1", (app, time)),
        (f"{select} AND ended > ? ORDER BY ended LIMIT {AROUND}", (app, time)),
        (f"{select} AND went_live IS NOT NULL ORDER BY went_live LIMIT 1", (app,)),
        (f"{select} ORDER BY sequence, key LIMIT 1", (app,)),
    ]
    rows = {line[0]: _row(app_uid, line) for lines in connection.ask(questions) for line in lines}
    return tuple(sorted(rows.values(), key=lambda row: row.sequence))


def flow(connection: Connection, app_uid: str, flow_hash: str) -> str | None:
    """Implements Store.archived_flow."""
    lines = connection.all("SELECT content FROM archived_flows WHERE app_key = ? AND hash = ?", (app_key(connection, app_uid), flow_hash))
    return msgspec.json.decode(lines[0][0], type=str) if lines else None


def become(connection: Connection, old: int, new: int) -> None:
    """Moves all that is archived of an App to another App."""
    counted = connection.all("SELECT row_count FROM archived_apps WHERE app_key = ?", (old,))
    if not counted:
        return
    # A restored row may have been archived before its App was known as restored: both are one row, and the older copy stays.
    both = connection.all(
        "SELECT n.key, n.sequence FROM archived_rows n JOIN archived_rows o "
        "ON o.app_key = ? AND o.sequence = n.sequence AND o.name = n.name AND o.outcome_digest = n.outcome_digest WHERE n.app_key = ?",
        (old, new),
    )
    for part in pieces(both):
        _delete(connection, new, part)
    connection.do("UPDATE archived_rows SET app_key = ? WHERE app_key = ?", (new, old))
    twice = "DELETE FROM archived_flows WHERE app_key = ? AND hash IN (SELECT hash FROM archived_flows WHERE app_key = ?)"
    connection.do(twice, (old, new))
    connection.do("UPDATE archived_flows SET app_key = ? WHERE app_key = ?", (new, old))
    for block, count in connection.all("SELECT block, row_count FROM archived_blocks WHERE app_key = ?", (old,)):
        connection.do(_BLOCK, (new, block, count))
    connection.do("DELETE FROM archived_blocks WHERE app_key = ?", (old,))
    connection.do("DELETE FROM archived_apps WHERE app_key = ?", (old,))
    connection.do(_COUNT, (new, counted[0][0]))


def forget(database: Database, is_there: Callable[[str], bool], now: int, keep: int) -> int:
    """Implements Store.forget_archives, in pieces, so that other writes wait briefly."""
    with database.reading() as connection:
        lines = connection.all(
            "SELECT r.app_key, r.gone_at, a.uid FROM archived_apps r JOIN apps a ON a.key = r.app_key OR a.became = r.app_key"
        )
    missed = {app: gone_at for app, gone_at, _ in lines}
    existing = {app for app, _, uid in lines if is_there(uid)}
    gone = 0
    for app, since in sorted(missed.items()):
        if app in existing:
            if since is not None:
                _note_gone(database, app, None)
        elif since is None:
            _note_gone(database, app, now)
        elif since < now - keep * MICROSECONDS:
            while deleted := database.transact(lambda connection, app=app, since=since: _forget_some(connection, app, since)):  # type: ignore[misc]
                gone += deleted
    if gone:
        database.deleted()
    return gone


def _note_gone(database: Database, app: int, at: int | None) -> None:
    database.transact(lambda connection: connection.do("UPDATE archived_apps SET gone_at = ? WHERE app_key = ?", (at, app)))


def _forget_some(connection: Connection, app: int, since: int) -> int:
    """Deletes some archived rows of a missing App. Returns how many.

    It deletes none if the App is no longer missing since `since`: it reappeared, or its rows moved to another App.
    """
    connection.hold_rollups([app])  # the lock that adding and moving rows take, too
    if connection.all("SELECT gone_at FROM archived_apps WHERE app_key = ?", (app,)) != [(since,)]:
        return 0
    lines = connection.all("SELECT key, sequence FROM archived_rows WHERE app_key = ? ORDER BY sequence, key LIMIT ?", (app, MANY))
    if lines:
        return _delete(connection, app, lines)
    for table in ("archived_flows", "archived_blocks", "archived_apps"):
        connection.do(f"DELETE FROM {table} WHERE app_key = ?", (app,))  # noqa: S608 - our own names
    return 0


def _delete(connection: Connection, app: int, lines: Sequence[Cell]) -> int:
    """Deletes rows, at most MANY. `lines`: key and sequence of each. Returns how many."""
    condition, values = connection.within("key", [key for key, _ in lines])
    connection.do(f"DELETE FROM archived_rows WHERE {condition}", values)  # noqa: S608 - our own names
    connection.do("UPDATE archived_apps SET row_count = row_count - ? WHERE app_key = ?", (len(lines), app))
    for block, count in Counter(sequence // BLOCK for _, sequence in lines).items():
        connection.do("UPDATE archived_blocks SET row_count = row_count - ? WHERE app_key = ? AND block = ?", (count, app, block))
    return len(lines)


def _total(connection: Connection, app: int) -> int:
    lines = connection.all("SELECT row_count FROM archived_apps WHERE app_key = ?", (app,))
    return int(lines[0][0]) if lines else 0


def _row(app_uid: str, line: Cell) -> ArchivedRow:
    fields = dict(zip(_ROW_COLUMNS, line, strict=True))
    return ArchivedRow(app_uid=app_uid, succeeded=fields.pop("went_live") is not None, **fields)
