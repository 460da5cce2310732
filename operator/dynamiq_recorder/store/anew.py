"""Rewrites whole tables of SQLite, piece by piece, while others write to them.

A second table copies the first and, by triggers, its changes meanwhile. Then it takes the first one's name, and the first is deleted in
pieces. The next rewrite removes what an interrupted one left.
"""

from __future__ import annotations

import time

from dynamiq_recorder.store.database import Cell, Connection, Database

TABLES = {
    "labels": ("app_key", "kind", "value", "started_at", "run_key"),
    "errors": ("app_key", "started_at", "run_key"),
}
"""The tables that are ordered by their text or have it beside their key, with that key. None has another index."""
PIECE = 5_000
"""Most lines of one transaction."""
REST = 0.005
"""Seconds between two pieces, in which waiting writers get their turn."""


def clear(database: Database) -> None:
    """Removes what an interrupted rewrite left."""
    for table in TABLES:
        database.transact(lambda connection, table=table: _drop_triggers(connection, table))  # type: ignore[misc] # of a default
        for other in (f"{table}_anew", f"{table}_old"):
            _drop(database, other, TABLES[table])


def write_anew(database: Database, table: str) -> None:
    """Rewrites a table. `clear` must have run before."""
    key = TABLES[table]
    database.transact(lambda connection: _begin(connection, table, key))
    last: Cell | None = ()
    while last is not None:
        last = database.transact(lambda connection, last=last: _copy(connection, table, key, last))  # type: ignore[misc] # of a default
        time.sleep(REST)
    database.transact(lambda connection: _swap(connection, table))
    _drop(database, f"{table}_old", key)


def _begin(connection: Connection, table: str, key: tuple[str, ...]) -> None:
    definition = connection.all("SELECT sql FROM sqlite_master WHERE name = ?", (table,))[0][0]
    connection.do(f"CREATE TABLE {table}_anew {definition[definition.index('(') :]}")
    columns = [line[1] for line in connection.all(f"PRAGMA table_info({table})")]
    put = f"INSERT OR REPLACE INTO {table}_anew VALUES ({', '.join(f'new.{name}' for name in columns)})"  # noqa: S608 - our own names
    take = f"DELETE FROM {table}_anew WHERE {' AND '.join(f'{name} = old.{name}' for name in key)}"  # noqa: S608 - our own names
    for event, does in (("INSERT", (put,)), ("DELETE", (take,)), ("UPDATE", (take, put))):
        connection.do(f"CREATE TRIGGER {table}_{event} AFTER {event} ON {table} BEGIN {'; '.join(does)}; END")


def _copy(connection: Connection, table: str, key: tuple[str, ...], last: Cell) -> Cell | None:
    """Copies the lines after `last`. Returns the last line of the piece; None if no more follow."""
    columns = ", ".join(key)
    after = f" WHERE ({columns}) > ({', '.join('?' * len(key))})" if last else ""
    lines = connection.all(f"SELECT {columns} FROM {table}{after} ORDER BY {columns} LIMIT 1 OFFSET {PIECE - 1}", last)  # noqa: S608
    connection.do(f"INSERT OR IGNORE INTO {table}_anew SELECT * FROM {table}{after} ORDER BY {columns} LIMIT {PIECE}", last)  # noqa: S608
    return lines[0] if lines else None


def _swap(connection: Connection, table: str) -> None:
    _drop_triggers(connection, table)
    connection.do(f"ALTER TABLE {table} RENAME TO {table}_old")
    connection.do(f"ALTER TABLE {table}_anew RENAME TO {table}")


def _drop_triggers(connection: Connection, table: str) -> None:
    for event in ("INSERT", "DELETE", "UPDATE"):
        connection.do(f"DROP TRIGGER IF EXISTS {table}_{event}")


def _drop(database: Database, table: str, key: tuple[str, ...]) -> None:
    """Drops a table, if it exists, after emptying it in pieces."""
    with database.reading() as connection:
        exists = bool(connection.all("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)))
    # In pieces, since a drop would overwrite all its pages in one transaction.
    while exists and database.transact(lambda connection: _delete_piece(connection, table, key)):
        time.sleep(REST)
    database.transact(lambda connection: connection.do(f"DROP TABLE IF EXISTS {table}"))


def _delete_piece(connection: Connection, table: str, key: tuple[str, ...]) -> bool:
    """Deletes the first piece. Returns True if it was a whole one."""
    columns = ", ".join(key)
    lines = connection.all(f"SELECT {columns} FROM {table} ORDER BY {columns} LIMIT 1 OFFSET {PIECE - 1}")  # noqa: S608 - our own names
    if lines:  # by values: with a subquery SQLite would read every line
        connection.do(f"DELETE FROM {table} WHERE ({columns}) <= ({', '.join('?' * len(key))})", lines[0])  # noqa: S608 - our own names
    return bool(lines)
