"""Copies a journal's store into an empty one, of the same kind or the other. No journal may serve either."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from dynamiq_recorder.journal.operations import REPLICAS, SILENT
from dynamiq_recorder.journal.store import JournalStore
from dynamiq_recorder.journal.tables import ASKED, CHANGING, FIXED
from dynamiq_recorder.store.database import Cell, Connection, Lines
from dynamiq_recorder.store.results import WrongStore

LINES, BYTES = 400, 8 * 1024 * 1024
"""Most lines of one piece, and bytes from which on it has no further ones."""
Progress = Callable[[str, int], None]


class _Table(msgspec.Struct, frozen=True):
    """A table. `columns`: first the `keys` ones of its key. `large`: the column whose bytes are counted. `identity`: the one with a UUID."""

    name: str
    columns: tuple[str, ...]
    keys: int = 1
    large: str | None = None
    identity: str | None = None

    @property
    def key(self) -> str:
        return ", ".join(self.columns[: self.keys])


_TABLES = (
    _Table("app", ("uid", "namespace", "name", "missing_since")),
    _Table("run", ("key", *FIXED, *CHANGING), identity="id"),
    _Table("content", ("run", "name", "data"), 2, "data"),
    _Table("part", ("run", "node", "size", "state"), 2, "state"),
    _Table("event", ("run", "sequence", "at", "type", "data"), 2, "data"),
    _Table("question", ("run", *ASKED, "app_uid", "content", "answer"), 2, "content"),
    _Table("tally", ("app_uid", "pins", "state", "runs"), 3),
    _Table("key_tally", ("app_uid", "key_name", "runs"), 2),
    _Table("space", ("namespace", "size")),
    _Table("session", ("app_uid", "id", "pins", "sequence", "began_at", "last_seen"), 2, identity="id"),
    _Table("session_tally", ("app_uid", "pins", "sessions", "moved"), 2),
    _Table("placement", ("app_uid", "epoch", "digest", "content"), large="content"),
    _Table("turn", ("app_uid", "pins", "waits_until"), 2),
    _Table(
        "callback",
        (
            "run",
            "n",
            "app_uid",
            "url",
            "token",
            "metadata",
            "state",
            "due",
            "gives_up_at",
            "lease_until",
            "tries",
            "status",
            "error",
            "last_at",
        ),
        2,
    ),
)


def copy(source: JournalStore, target: JournalStore, progress: Progress) -> dict[str, int]:
    """Copies all of a store, or nothing. Returns the lines of each table. `progress`: called with a table and its lines so far.

    Raises WrongStore and Unavailable.
    """

    def work(to: Connection) -> dict[str, int]:
        _check_empty(to)
        copied: dict[str, int] = {}
        with source.database.reading() as of:
            for table in _TABLES:
                copied[table.name] = 0
                for lines in _pieces(of, table):
                    to.insert([Lines(table.name, table.columns, [_converted(source, target, table, line) for line in lines])])
                    to.all("SELECT 1")  # sent by now, so that no more of it is in memory
                    copied[table.name] += len(lines)
                    progress(table.name, copied[table.name])
            ((epoch,),) = of.all("SELECT value FROM meta WHERE name = 'epoch'")
        to.do("UPDATE meta SET value = ? WHERE name = 'epoch'", (epoch,))
        if target.replica is not None and copied["run"]:
            to.all("SELECT setval(pg_get_serial_sequence('run', 'key'), (SELECT max(key) FROM run))")
        return copied

    for store in (source, target):
        _check_unserved(store)
    return target.database.transact(work)


def _check_unserved(store: JournalStore) -> None:
    with store.database.reading() as connection:
        ((seen,),) = connection.all(f"SELECT max(value) FROM meta WHERE {REPLICAS}")  # noqa: S608 - our own names
    if seen is not None and seen > store.clock() - SILENT:
        raise WrongStore("a journal serves the database: stop all of its replicas first")


def _check_empty(to: Connection) -> None:
    for table in _TABLES:
        if to.all(f"SELECT 1 FROM {table.name} LIMIT 1"):  # noqa: S608 - our own names
            raise WrongStore("the store to copy into is not empty: take a new one")


def _pieces(of: Connection, table: _Table) -> Iterator[list[Cell]]:
    """Yields the lines of a table in order of its key, in pieces of bounded size."""
    size = f"coalesce(length({table.large}), 0)" if table.large is not None else "0"
    places = f"({', '.join('?' * table.keys)})"
    after: Cell = ()
    while True:
        begins = f"WHERE ({table.key}) > {places}" if after else ""
        ends = f"SELECT {table.key}, {size} FROM {table.name} {begins} ORDER BY {table.key} LIMIT ?"  # noqa: S608 - our own names
        last, taken = after, 0
        for *key, length in of.all(ends, (*after, LINES)):
            taken += int(length)
            if taken > BYTES and last != after:
                break
            last = tuple(key)
        if last == after:
            return
        within = f"{begins} {'AND' if after else 'WHERE'} ({table.key}) <= {places} ORDER BY {table.key}"
        yield of.all(f"SELECT {', '.join(table.columns)} FROM {table.name} {within}", (*after, *last))  # noqa: S608 - our own names
        after = last


def _converted(source: JournalStore, target: JournalStore, table: _Table, line: Cell) -> Cell:
    if table.identity is None:
        return line
    place = table.columns.index(table.identity)
    return (*line[:place], target.database.id_in(source.database.id_out(line[place])), *line[place + 1 :])
