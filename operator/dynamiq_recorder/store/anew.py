"""Tables of SQLite that are written anew as a whole, piece by piece, while others write to them.

A second table takes what the first has and, by triggers, what becomes of it meanwhile; then it takes its place, and the first one goes in pieces.
What a process that ended in the middle leaves is taken away by the next one that begins.
"""

from __future__ import annotations

import time

from dynamiq_recorder.store.database import Cell, Connection, Database

TABLES = {
    "labels": ("app_key", "kind", "value", "started_at", "run_key"),
    "errors": ("app_key", "started_at", "run_key"),
}
"""Those that are in order of their text or have it beside their key, with that key. None has another index."""
PIECE = 5_000
"""Lines of one transaction."""
REST = 0.005
"""Seconds between two, so that who waits to write comes to it."""


def clear(database: Database) -> None:
    """What was left in the middle."""
    for table in TABLES:
        database.transact(lambda connection, table=table: _forget_triggers(connection, table))  # type: ignore[misc] # of a default
        for other in (f"{table}_anew", f"{table}_old"):
            _emptied(database, other, TABLES[table])


def write_anew(database: Database, table: str) -> None:
    """After `clear`."""
    key = TABLES[table]
    database.transact(lambda connection: _begin(connection, table, key))
    last: Cell | None = ()
    while last is not None:
        last = database.transact(lambda connection, last=last: _copy(connection, table, key, last))  # type: ignore[misc] # of a default
        time.sleep(REST)
    database.transact(lambda connection: _swap(connection, table))
    _emptied(database, f"{table}_old", key)


def _begin(connection: Connection, table: str, key: tuple[str, ...]) -> None:
    made = connection.all("SELECT sql FROM sqlite_master WHERE name = ?", (table,))[0][0]
    connection.do(f"CREATE TABLE {table}_anew {made[made.index('(') :]}")
    columns = [line[1] for line in connection.all(f"PRAGMA table_info({table})")]
    put = f"INSERT OR REPLACE INTO {table}_anew VALUES ({', '.join(f'new.{name}' for name in columns)})"  # noqa: S608 - our own names
    take = f"DELETE FROM {table}_anew WHERE {' AND '.join(f'{name} = old.{name}' for name in key)}"  # noqa: S608 - our own names
    for event, does in (("INSERT", (put,)), ("DELETE", (take,)), ("UPDATE", (take, put))):
        connection.do(f"CREATE TRIGGER {table}_{event} AFTER {event} ON {table} BEGIN {'; '.join(does)}; END")


def _copy(connection: Connection, table: str, key: tuple[str, ...], last: Cell) -> Cell | None:
    """What follows the last one. Returns the last of the piece; None where there is no more."""
    columns = ", ".join(key)
    after = f" WHERE ({columns}) > ({', '.join('?' * len(key))})" if last else ""
    lines = connection.all(f"SELECT {columns} FROM {table}{after} ORDER BY {columns} LIMIT 1 OFFSET {PIECE - 1}", last)  # noqa: S608
    connection.do(f"INSERT OR IGNORE INTO {table}_anew SELECT * FROM {table}{after} ORDER BY {columns} LIMIT {PIECE}", last)  # noqa: S608
    return lines[0] if lines else None


def _swap(connection: Connection, table: str) -> None:
    _forget_triggers(connection, table)
    connection.do(f"ALTER TABLE {table} RENAME TO {table}_old")
    connection.do(f"ALTER TABLE {table}_anew RENAME TO {table}")


def _forget_triggers(connection: Connection, table: str) -> None:
    for event in ("INSERT", "DELETE", "UPDATE"):
        connection.do(f"DROP TRIGGER IF EXISTS {table}_{event}")


def _emptied(database: Database, table: str, key: tuple[str, ...]) -> None:
    """A table goes at last, whether there is one or not: at once, all its pages would be overwritten in one transaction."""
    with database.reading() as connection:
        is_there = bool(connection.all("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)))
    while is_there and database.transact(lambda connection: _take(connection, table, key)):
        time.sleep(REST)
    database.transact(lambda connection: connection.do(f"DROP TABLE IF EXISTS {table}"))


def _take(connection: Connection, table: str, key: tuple[str, ...]) -> bool:
    """The first piece. Whether there was a whole one."""
    columns = ", ".join(key)
    lines = connection.all(f"SELECT {columns} FROM {table} ORDER BY {columns} LIMIT 1 OFFSET {PIECE - 1}")  # noqa: S608 - our own names
    if lines:  # by values: a subquery in their place would have SQLite look at every line
        connection.do(f"DELETE FROM {table} WHERE ({columns}) <= ({', '.join('?' * len(key))})", lines[0])  # noqa: S608 - our own names
    return bool(lines)
