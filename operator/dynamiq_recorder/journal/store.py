"""Opens the journal's store, and offers its reads and its transactions. Reads block, and are safe from several threads."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from dynamiq_recorder.journal import reading, sessions
from dynamiq_recorder.journal.model import MICROSECONDS, Conversations, Open, Selection
from dynamiq_recorder.journal.placement import Placement, Session
from dynamiq_recorder.journal.reading import Asked, Events, KeptSessions, Record, Shown
from dynamiq_recorder.journal.tables import NOTE, Key, Work
from dynamiq_recorder.store.database import Connection, Database
from dynamiq_recorder.store.results import WrongStore
from dynamiq_recorder.store.schema import Migration, migrations
from dynamiq_recorder.store.sqlite import SqliteDatabase

T = TypeVar("T")
SCHEME = "sqlite://"
BREAKING = 1
"""The newest of the tables' versions that a journal of an older one cannot use. It ignores what later ones add."""


def _now() -> int:
    return int(time.time() * MICROSECONDS)


def _ticks() -> int:
    return int(time.monotonic() * MICROSECONDS)


class SteadyClock:
    """The journal's time in microseconds, which never goes back: else queued runs would not be due.

    It follows steps of `wall` forward. After a step back it goes at half the speed until `wall` has caught up. `ticks`: no step changes them.
    """

    def __init__(self, wall: Callable[[], int], ticks: Callable[[], int]) -> None:
        self._wall, self._ticks = wall, ticks
        self._lock = threading.Lock()
        self._last, self._at = wall(), ticks()
        self._begin = self._last - self._at

    def __call__(self) -> int:
        with self._lock:
            at = self._ticks()
            self._last, self._at = max(self._wall(), self._last + (at - self._at) // 2), at
            return self._last

    def of_leases(self) -> int:
        """Returns the time that leases are measured by. A step of the wall clock ends none."""
        return self._begin + self._ticks()


class JournalStore:
    """The runs of a journal. Every call may raise Unavailable."""

    def __init__(self, database: Database, known: list[Migration], clock: SteadyClock) -> None:
        """Migrates the tables to the newest of `known`. Raises WrongStore if they are newer."""
        self._database, self.clock = database, clock
        try:
            database.transact(lambda connection: _upgrade(connection, known))
        except BaseException:
            database.close()
            raise

    def commit(self, work: Callable[[Work], T]) -> tuple[T, set[Key]]:
        """Executes operations in a transaction. Returns their result, and who is to be notified."""

        def whole(connection: Connection) -> tuple[T, set[Key]]:
            transaction = Work(self._database, connection, self.clock(), self.clock.of_leases())
            return work(transaction), transaction.news

        return self._database.transact(whole)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._database.reading() as connection:
            yield connection

    def run(self, app_uid: str, run_id: str, *, content: bool = True) -> Shown | None:
        with self._reading() as connection:
            return reading.run(self._database, connection, app_uid, run_id, content=content)

    def page(self, selection: Selection, *, content: bool = True) -> tuple[list[Shown], int]:
        with self._reading() as connection:
            return reading.page(self._database, connection, selection, content=content)

    def events(self, app_uid: str, run_id: str, after: int = 0, limit: int = 500) -> Events | None:
        with self._reading() as connection:
            return reading.events(self._database, connection, app_uid, run_id, after, limit)

    def questions(self, app_uid: str, limit: int = 20, offset: int = 0) -> tuple[list[Asked], int]:
        with self._reading() as connection:
            return reading.questions(self._database, connection, app_uid, limit, offset)

    def epoch(self) -> int:
        """Returns the epoch of the store, 0 before the first one."""
        with self._reading() as connection:
            return reading.epoch(connection)

    def has_runs(self, app_uid: str) -> bool:
        with self._reading() as connection:
            return reading.has_runs(connection, app_uid)

    def open_runs(self) -> tuple[Open, ...]:
        with self._reading() as connection:
            return reading.open_runs(connection)

    def apps(self) -> tuple[tuple[str, str, str, bool], ...]:
        with self._reading() as connection:
            return reading.apps(connection)

    def unrecorded(self) -> tuple[tuple[str, str, int], ...]:
        with self._reading() as connection:
            return reading.unrecorded(connection)

    def records(self, app_uid: str, pins: str, most: int, size: int) -> list[Record]:
        with self._reading() as connection:
            return reading.records(self._database, connection, app_uid, pins, most, size)

    def session(self, app_uid: str, session: str) -> tuple[Placement, Session | None]:
        """Returns the placement of an App's conversations, and one of these; None if it is missing."""
        with self._reading() as connection:
            return sessions.placement_of(connection, app_uid), sessions.session_of(self._database, connection, app_uid, session)

    def placement(self, app_uid: str) -> Placement:
        with self._reading() as connection:
            return sessions.placement_of(connection, app_uid)

    def conversations(self, warm: Mapping[str, int], app_uid: str | None = None) -> tuple[Conversations, ...]:
        with self._reading() as connection:
            return reading.conversations(connection, warm, self.clock(), app_uid)

    def placements(self) -> dict[str, str]:
        with self._reading() as connection:
            return reading.placements(connection)

    def turn_waits(self, app_uid: str, pins: str, seconds: float) -> bool:
        """Returns True if it is noted that a turn waits for a pod of some pins, for so many seconds more."""
        with self._reading() as connection:
            return reading.turn(connection, app_uid, pins) > self.clock() + seconds * MICROSECONDS

    def kept_sessions(self) -> tuple[KeptSessions, ...]:
        with self._reading() as connection:
            return reading.kept_sessions(connection)

    def has_past_turns(self) -> bool:
        with self._reading() as connection:
            return reading.has_past_turns(connection, self.clock())

    def give_back(self) -> None:
        """Gives the space of what was deleted back to the disk."""
        self._database.deleted()

    def bytes(self) -> int:
        return self._database.bytes()

    def fullness(self) -> float | None:
        """Returns how full its disk is, from 0 to 1; None if unknown."""
        return self._database.fullness()

    def check(self) -> None:
        """Checks that the store can be written.

        Raises Unavailable.
        """
        self._database.transact(lambda connection: connection.do(NOTE, ("checked_at", self.clock())))

    def close(self) -> None:
        self._database.close()


def opened(address: str, wall: Callable[[], int] = _now, ticks: Callable[[], int] = _ticks) -> JournalStore:
    """Opens sqlite:///var/lib/dynamiq-journal/journal.db. `wall`, `ticks`: as a SteadyClock's.

    Raises WrongStore and Unavailable.
    """
    return JournalStore(
        SqliteDatabase(_path(address)), migrations("sqlite", "dynamiq_recorder.journal.migrations"), SteadyClock(wall, ticks)
    )


def _path(address: str) -> Path:
    if not address.startswith(SCHEME):
        raise WrongStore(f"the journal's store must be sqlite:///PATH, got {address.partition(':')[0] or 'nothing'}")
    return Path(address.removeprefix(SCHEME))


def _upgrade(connection: Connection, known: list[Migration]) -> None:
    connection.hold_schema()
    connection.do("CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BIGINT NOT NULL)")
    noted: dict[str, int] = dict(connection.all("SELECT name, value FROM meta WHERE name IN ('schema', 'schema_additive')"))
    needed, newest = noted.get("schema", 0), known[-1].version
    if needed > newest:
        raise WrongStore(
            f"the store has version {needed} of its tables, and this journal knows up to {newest}: run the newer journal again"
        )
    version = max(needed, noted.get("schema_additive", 0))
    for migration in known:
        if migration.version > version:
            for statement in migration.statements:
                connection.do(statement)
    connection.do(NOTE, ("schema", max(needed, BREAKING)))
    connection.do(NOTE, ("schema_additive", max(version, newest)))


def back_up(address: str, to: Path) -> int:
    """Copies a store to a new file, also while a journal serves it. Returns the bytes of the copy.

    Raises WrongStore, OSError and sqlite3.Error.
    """
    path = _path(address)
    if not path.is_file():
        raise WrongStore(f"there is no store {path}")
    if to.exists():
        raise FileExistsError(f"{to} exists: choose another file")
    unfinished = to.with_name(f"{to.name}.part")
    unfinished.unlink(missing_ok=True)
    source, target = sqlite3.connect(path), sqlite3.connect(unfinished)
    try:
        # In one step, from one state of the store: after each commit of the journal, a copy in pieces would begin again.
        source.backup(target)
        # Below the cluster's, also if no journal starts between the copy and its use: so it is known as a copy.
        target.execute("UPDATE meta SET value = value - 1 WHERE name = 'epoch'")
        target.commit()
        target.execute("PRAGMA journal_mode = DELETE")
    finally:
        source.close()
        target.close()
    unfinished.rename(to)
    return to.stat().st_size
