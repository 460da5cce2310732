"""Opens the journal's store, and offers its reads and its transactions. Reads block, and are safe from several threads."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol, TypeVar

from dynamiq_recorder.journal import callbacks, reading, sessions
from dynamiq_recorder.journal.callback import Callback
from dynamiq_recorder.journal.callbacks import Claimed
from dynamiq_recorder.journal.model import MICROSECONDS, CallbackCounts, Conversations, Open, Selection
from dynamiq_recorder.journal.operations import Turns
from dynamiq_recorder.journal.placement import Placement, Session
from dynamiq_recorder.journal.reading import Asked, Events, KeptSessions, Record, Shown
from dynamiq_recorder.journal.replicas import DatabaseClock, Replica, SharedTurns
from dynamiq_recorder.journal.tables import NOTE, Key, Work
from dynamiq_recorder.store.database import Connection, Database
from dynamiq_recorder.store.postgres import PostgresDatabase
from dynamiq_recorder.store.results import Unavailable, WrongStore
from dynamiq_recorder.store.schema import Migration, migrations
from dynamiq_recorder.store.sqlite import SqliteDatabase

T = TypeVar("T")
SCHEME, SHARED = "sqlite://", ("postgresql", "postgres")
"""The beginning of the address of a file, and the schemes of a database that replicas share."""
SCHEMA, PACKAGE = "journal", "dynamiq_recorder.journal.migrations"
BREAKING = 1
"""The newest of the tables' versions that a journal of an older one cannot use. It ignores what later ones add."""


def _now() -> int:
    return int(time.time() * MICROSECONDS)


def _ticks() -> int:
    return int(time.monotonic() * MICROSECONDS)


class Clock(Protocol):
    """The journal's time in microseconds."""

    def __call__(self) -> int: ...

    def times(self, connection: Connection) -> tuple[int, int]:
        """Returns the time of a transaction, and that of leases."""
        ...


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

    def times(self, connection: Connection) -> tuple[int, int]:  # noqa: ARG002 - it is this process's own
        return self(), self.of_leases()

    def of_leases(self) -> int:
        """Returns the time that leases are measured by. A step of the wall clock ends none."""
        return self._begin + self._ticks()


class JournalStore:
    """The runs of a journal. Every call may raise Unavailable. `replica`: this process on a database that others use, too."""

    def __init__(self, database: Database, known: list[Migration], clock: Clock, replica: Replica | None = None) -> None:
        """Migrates the tables to the newest of `known`. Raises WrongStore if they are newer."""
        self._database, self.clock, self.replica = database, clock, replica
        self.turns = Turns() if replica is None else SharedTurns()
        try:
            database.transact(lambda connection: _upgrade(connection, known))
            self.commit(lambda _: None)  # the clock is set
        except BaseException:
            database.close()
            raise

    @property
    def database(self) -> Database:
        return self._database

    def commit(self, work: Callable[[Work], T]) -> tuple[T, set[Key]]:
        """Executes operations in a transaction, which tells other replicas its news. Returns their result, and who is to be notified."""

        def whole(connection: Connection) -> tuple[T, set[Key]]:
            transaction = Work(self._database, connection, *self.clock.times(connection))
            done = work(transaction)
            transaction.finish()
            if self.replica is not None:
                self.replica.tell(connection, transaction.news)
            return done, transaction.news

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

    def next_callback(self, app_uid: str) -> float | None:
        """Returns the seconds until the next callback of an App is due; None if none waits."""
        with self._reading() as connection:
            return callbacks.next_due(connection, app_uid, self.clock())

    def claimed_callbacks(self, claimed: Sequence[Callback]) -> list[Claimed]:
        """Returns claimed callbacks with their runs."""
        with self._reading() as connection:
            return callbacks.with_runs(self._database, connection, claimed)

    def callback_counts(self) -> CallbackCounts:
        with self._reading() as connection:
            pending = callbacks.pending(connection)
            return CallbackCounts(pending, callbacks.late(connection, self.clock()) if pending else ())

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
        """Checks that the store can be written, and gives a sign of life.

        Raises Unavailable.
        """
        if self.replica is None:
            self._database.transact(lambda connection: connection.do(NOTE, ("checked_at", self.clock())))
        else:
            replica = self.replica
            self.commit(lambda work: replica.live(work.connection, work.now))

    def share_polled(self, own: frozenset[tuple[str, str]]) -> frozenset[tuple[str, str]]:
        """Tells other replicas which Apps' pins are polled here, if that has changed. Returns those that are polled elsewhere."""
        if (replica := self.replica) is None:
            return frozenset()
        with self._reading() as connection:
            told, elsewhere = replica.polled(connection, self.clock())
        if told != own:
            self._database.transact(lambda connection: replica.tell_polled(connection, told, own))
        return elsewhere

    def close(self) -> None:
        if self.replica is not None:
            with suppress(Unavailable):
                self._database.transact(self.replica.end)
        self._database.close()


def opened(address: str, wall: Callable[[], int] | None = None, ticks: Callable[[], int] | None = None) -> JournalStore:
    """Opens sqlite:///var/lib/dynamiq-journal/journal.db, or postgresql://user:password@host/name for several replicas.

    `wall`, `ticks`: as a SteadyClock's; by default a shared database has its own time. Raises WrongStore and Unavailable.
    """
    steady = SteadyClock(wall or _now, ticks or _ticks)
    if not is_shared(address):
        return JournalStore(SqliteDatabase(path_of(address)), migrations("sqlite", PACKAGE), steady)
    database = PostgresDatabase(address, schema=SCHEMA)
    return JournalStore(database, migrations("postgres", PACKAGE), DatabaseClock() if wall is None else steady, Replica(address))


def existing(address: str) -> JournalStore:
    """Opens a store as `opened` does, but for a file that is missing. Raises WrongStore and Unavailable."""
    if not is_shared(address) and not path_of(address).is_file():
        raise WrongStore("there is no such store")
    return opened(address)


def is_shared(address: str) -> bool:
    return address.partition(":")[0] in SHARED


def path_of(address: str) -> Path:
    """Returns the path of a store's file.

    Raises WrongStore if its address names none.
    """
    if not address.startswith(SCHEME):
        raise WrongStore(f"the journal's store must be sqlite:///PATH or postgresql://…, got {address.partition(':')[0] or 'nothing'}")
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
    connection.do("INSERT INTO meta (name, value) VALUES ('epoch', 0) ON CONFLICT (name) DO NOTHING")
    connection.do(NOTE, ("schema", max(needed, BREAKING)))
    connection.do(NOTE, ("schema_additive", max(version, newest)))


def back_up(address: str, to: Path) -> int:
    """Copies a store to a new file, also while a journal serves it. Returns the bytes of the copy.

    Raises WrongStore, OSError and sqlite3.Error.
    """
    if is_shared(address):
        raise WrongStore("journal-backup copies a file: copy a PostgreSQL database with pg_dump --schema=journal")
    path = path_of(address)
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
