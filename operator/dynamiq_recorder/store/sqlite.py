"""Implements a database on SQLite in one file, for one recorder: one connection writes, and a few read beside it.

Acknowledged data is on the disk: WAL, with a sync at each commit. Deleted text is overwritten, and its space is given back.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import queue
import shutil
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from dynamiq_recorder.store import anew
from dynamiq_recorder.store.database import Cell, Connection, Lines, Question, T, Wanted
from dynamiq_recorder.store.results import Unavailable, WrongStore

READERS = 8
"""Connections for reads: four at a time, one for exports, two for senders, and one more."""
BUSY = 10.0
"""Most seconds that a connection waits for another."""
CACHE = 16 << 20
"""Bytes of pages that the writer caches; each reader caches a quarter."""
LOADING = 1 << 30
"""The same while very much is written at once, with ids in no order."""
CHECKPOINT = 4_000
"""Pages of the log, 16 MiB, from which on a commit moves them to the file."""
SMALL = 32 << 20
"""Most bytes of a store that is rewritten at once."""
GIVEN_BACK = 2_000
"""Pages that are given back in one piece. Other writes wait meanwhile."""


class SqliteConnection:
    """A transaction on one of the connections."""

    again = False
    weighed = True
    looked_up = "CROSS JOIN runs r ON r.key = i.key"
    locking = skipping = fence = ""

    def __init__(self, raw: sqlite3.Connection) -> None:
        self.raw = raw

    def ask(self, questions: Sequence[Question]) -> list[list[Cell]]:
        return [self.raw.execute(sql, parameters).fetchall() for sql, parameters in questions]

    def all(self, sql: str, parameters: Sequence[object] = ()) -> list[Cell]:
        return self.raw.execute(sql, parameters).fetchall()

    def do(self, sql: str, parameters: Sequence[object] = ()) -> int:
        return self.raw.execute(sql, parameters).rowcount

    def tell(self, sql: str, lines: Sequence[Sequence[object]]) -> None:
        self.raw.executemany(sql, lines)

    def insert(self, parts: Sequence[Lines]) -> None:
        for part in parts:
            self.raw.executemany(_insert(part.table, part.columns), part.lines)

    def take(self, table: str, key: tuple[str, ...], keys: Sequence[Cell]) -> None:
        self.raw.executemany(f"DELETE FROM {table} WHERE {' AND '.join(f'{name} = ?' for name in key)}", keys)  # noqa: S608 - our own names

    def put(self, parts: Sequence[tuple[Lines, tuple[str, ...]]]) -> None:
        for part, _ in parts:
            self.raw.executemany(_put(part.table, part.columns), part.lines)

    def rollups(self, apps: Sequence[int], selections: Sequence[Wanted]) -> list[list[Cell]]:  # noqa: ARG002 - nobody else writes at all
        results = []
        for each in selections:
            sql = _matching(each.table, each.key, each.columns)
            results.append([line for key in each.keys for line in self.raw.execute(sql, key)])
        return results

    def within(self, column: str, values: Sequence[object]) -> tuple[str, list[object]]:
        return f"{column} IN ({', '.join('?' * len(values))})", list(values)

    def contains(self, column: str) -> str:
        return f"instr({column}, ?) > 0"

    def by(self, index: str) -> str:
        return f" INDEXED BY {index}"

    def new_keys(self, count: int) -> Question:  # noqa: ARG002 - they follow the last one
        return "SELECT coalesce(max(key), 0) FROM runs", ()

    def keys_of(self, lines: Sequence[Cell], count: int) -> Sequence[int]:
        last = int(lines[0][0])
        return range(last + 1, last + count + 1)

    def holds(self, name: str) -> bool:  # noqa: ARG002 - SQLite has one writer
        return True

    def hold_schema(self) -> None:
        """Does nothing: SQLite has one writer."""

    def rows_held(self, apps: Sequence[tuple[str, str]], *, alone: bool) -> list[Question]:  # noqa: ARG002
        return []

    def hold_rows(self, apps: Sequence[tuple[str, str]], *, alone: bool) -> None:
        """Does nothing: SQLite has one writer."""

    def hold_rollups(self, apps: Sequence[int]) -> None:
        """Does nothing: SQLite has one writer."""


class SqliteDatabase:
    """A file and its connections. It raises WrongStore if another process uses the file, or if it cannot be opened."""

    def __init__(self, path: Path, *, cache: int = CACHE) -> None:
        self._path, self._cache = path, cache
        self._writing = threading.RLock()
        self._lock_file = _locked(path)
        try:
            self._writer = _opened(path, cache)
            self._readers: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
            for _ in range(READERS):
                self._readers.put(_opened(path, cache // 4, reading=True))
        except (sqlite3.Error, OSError) as error:
            self._lock_file.close()
            raise WrongStore(f"{path} cannot be opened as a store: {error}") from error

    @contextlib.contextmanager
    def reading(self) -> Iterator[SqliteConnection]:
        raw = self._readers.get()
        try:
            with _store_errors():
                raw.execute("BEGIN")
                yield SqliteConnection(raw)
        finally:
            if raw.in_transaction:
                raw.rollback()
            self._readers.put(raw)

    def transact(self, work: Callable[[Connection], T]) -> T:
        with self._writing, _store_errors():
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                done = work(SqliteConnection(self._writer))
                self._writer.commit()
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.rollback()
                raise
            return done

    def id_in(self, run_id: str) -> bytes:
        data = bytes.fromhex(run_id.replace("-", ""))
        if len(data) != 16:
            raise ValueError(f"{run_id} is not a UUID")
        return data

    def id_out(self, value: Any) -> str:
        return str(uuid.UUID(bytes=value))

    def deleted(self) -> None:
        """Gives free pages back in pieces, and empties the log, which has the old pages."""
        while self._give_back():
            time.sleep(anew.REST)
        with self._writing, _store_errors():
            deadline = time.monotonic() + BUSY
            while self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] and time.monotonic() < deadline:
                time.sleep(0.05)

    def scrub(self) -> None:
        """Rewrites pages that may have copies of deleted text in their gaps. Moved lines of an index leave them, and a delete does not find
        them.

        A small file is rewritten as a whole. In a large one each index is rebuilt by itself, while other writes wait. Tables that have text
        in their order are rewritten in pieces.
        """
        anew.clear(self)
        if self.bytes() <= SMALL:
            with self._writing, _store_errors():
                self._writer.execute("VACUUM")
            return
        for index in ("runs_user", "runs_session", "runs_trigger"):
            with self.sorting(), _store_errors():
                self._writer.execute(f"REINDEX {index}")
            time.sleep(anew.REST)
        for table in anew.TABLES:
            anew.write_anew(self, table)

    @contextlib.contextmanager
    def sorting(self) -> Iterator[None]:
        """Keeps what is sorted, all keys of an index, in files beside the store instead of memory. Other writes wait meanwhile."""
        folder = str(self._path.parent.absolute()).replace("'", "''")
        with self._writing:
            try:
                self._writer.execute("PRAGMA temp_store = FILE")
                self._writer.execute(f"PRAGMA temp_store_directory = '{folder}'")
                yield
            finally:
                self._writer.execute("PRAGMA temp_store_directory = ''")
                self._writer.execute("PRAGMA temp_store = MEMORY")

    def _give_back(self) -> bool:
        with self._writing, _store_errors():
            before = self._free_pages()
            # A script is stepped to its end; `execute` would stop at the first page, whose line has no columns.
            self._writer.executescript(f"PRAGMA incremental_vacuum({GIVEN_BACK})")
            return 0 < self._free_pages() < before

    def _free_pages(self) -> int:
        return int(self._writer.execute("PRAGMA freelist_count").fetchone()[0])

    @contextlib.contextmanager
    def loading(self) -> Iterator[None]:
        """Drops the indexes of runs, and creates them again at the end. Commits wait for no disk: the store must be reproducible."""
        with self._writing, _store_errors():
            made = self._writer.execute(
                "SELECT name, sql FROM sqlite_master WHERE tbl_name = 'runs' AND type = 'index' AND sql IS NOT NULL"
            )
            indexes = [(name, sql) for name, sql in made.fetchall() if name != "runs_id"]
            self._writer.execute("PRAGMA synchronous = OFF")
            self._writer.execute(f"PRAGMA cache_size = -{LOADING >> 10}")
            self._writer.execute(f"PRAGMA wal_autocheckpoint = {8 * CHECKPOINT}")
            for name, _ in indexes:
                self._writer.execute(f"DROP INDEX {name}")
            try:
                yield
            finally:
                for _, sql in indexes:
                    self._writer.execute(sql)
                self._writer.execute("PRAGMA synchronous = FULL")
                self._writer.execute(f"PRAGMA cache_size = -{self._cache >> 10}")
                self._writer.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT}")
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def bytes(self) -> int:
        beside = (self._path, Path(f"{self._path}-wal"), Path(f"{self._path}-shm"))
        return sum(path.stat().st_size for path in beside if path.exists())

    def fullness(self) -> float | None:
        usage = shutil.disk_usage(self._path.parent)
        writable = usage.used + usage.free  # as df counts: a file system may reserve the rest for others
        return usage.used / writable if writable else None

    def close(self) -> None:
        with self._writing:
            for _ in range(READERS):
                self._readers.get(timeout=BUSY).close()
            self._writer.close()
            self._lock_file.close()


_DISK = (
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR),
    *(sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB),
)
"""Results of a file or a disk that cannot be used now; others are errors of the statement."""


def _locked(path: Path) -> IO[bytes]:
    """Returns a locked file beside the store. One process holds it as long as it lives, even if it is killed."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held = Path(f"{path}.lock").open("ab")  # noqa: SIM115 - held until close
    except OSError as error:
        raise WrongStore(f"{path} cannot be opened as a store: {error}") from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        held.close()
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise WrongStore(f"{path} is used by another recorder: wait for its end, or use PostgreSQL for several") from error
        raise WrongStore(f"{path} cannot be locked: {error}") from error
    return held


def _opened(path: Path, cache: int, *, reading: bool = False) -> sqlite3.Connection:
    raw = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False, cached_statements=512)
    raw.execute("PRAGMA auto_vacuum = INCREMENTAL")
    raw.execute("PRAGMA journal_mode = WAL")
    raw.execute("PRAGMA synchronous = FULL")
    raw.execute("PRAGMA secure_delete = ON")
    raw.execute("PRAGMA temp_store = MEMORY")
    raw.execute(f"PRAGMA cache_size = -{cache >> 10}")
    raw.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT}")
    raw.execute(f"PRAGMA query_only = {int(reading)}")
    return raw


@contextlib.contextmanager
def _store_errors() -> Iterator[None]:
    """Converts errors of the file or its disk to the store's own."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if (error.sqlite_errorcode & 0xFF) not in _DISK:
            raise
        raise Unavailable(f"SQLite: {error}") from error


@lru_cache
def _insert(table: str, columns: tuple[str, ...]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - our own names


@lru_cache
def _put(table: str, columns: tuple[str, ...]) -> str:
    return f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - our own names


@lru_cache
def _matching(table: str, key: tuple[str, ...], columns: tuple[str, ...]) -> str:
    return f"SELECT {', '.join(columns)} FROM {table} WHERE {' AND '.join(f'{name} = ?' for name in key)}"  # noqa: S608 - our own names
