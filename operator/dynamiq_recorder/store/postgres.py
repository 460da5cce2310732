"""PostgreSQL, from 15 on, for several recorders at once.

Those that write one App's rollups wait for each other's commit, at the end of a transaction, by advisory locks in one order: so there is no
deadlock. Two that store the same new run at once: one of them begins again, and finds it there.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import psycopg
from psycopg import errors, sql
from psycopg_pool import ConnectionPool

from dynamiq_recorder.store.database import Cell, Connection, T
from dynamiq_recorder.store.interface import Unavailable, WrongStore

Raw = psycopg.Connection[Cell]

OLDEST = 150_000
"""Version of the server."""
READERS, WRITERS = 4, 4
PATIENCE = 5.0
"""Seconds that a call waits for a connection."""
TRIES = 6
LONGEST = 30_000
"""Milliseconds of one statement of a reader."""
_AGAIN = (errors.UniqueViolation, errors.DeadlockDetected, errors.SerializationFailure)
_UUIDS = ("id", "r.id")
_SCHEMA = "dynamiq-recorder/schema"


class PostgresConnection:
    """A transaction on a connection of a pool."""

    def __init__(self, raw: Raw) -> None:
        self.raw = raw

    def all(self, sql: str, parameters: Sequence[object] = ()) -> list[Cell]:
        return self.raw.execute(_written(sql), parameters).fetchall()

    def do(self, sql: str, parameters: Sequence[object] = ()) -> int:
        return self.raw.execute(_written(sql), parameters or None).rowcount

    def many(self, sql: str, lines: Sequence[Cell]) -> None:
        if lines:
            with self.raw.cursor() as cursor:
                cursor.executemany(_written(sql), lines)

    def insert(self, table: str, columns: Sequence[str], lines: Sequence[Cell]) -> None:
        with self.raw.cursor() as cursor, cursor.copy(_copy(table, tuple(columns))) as copy:
            for line in lines:
                copy.write_row(line)

    def put(self, table: str, key: Sequence[str], columns: Sequence[str], lines: Sequence[Cell]) -> None:
        self.many(_put(table, tuple(key), tuple(columns)), lines)

    def matching(self, table: str, key: Sequence[str], columns: Sequence[str], keys: Sequence[Cell]) -> list[Cell]:
        if not keys:
            return []
        kinds = ["text" if isinstance(value, str) else "bigint" for value in keys[0]]
        unnested = ", ".join(f"%s::{kind}[]" for kind in kinds)
        query = f"SELECT {', '.join(columns)} FROM {table} WHERE ({', '.join(key)}) IN (SELECT * FROM unnest({unnested}))"  # noqa: S608
        return self.raw.execute(sql.SQL(query), [list(values) for values in zip(*keys, strict=True)]).fetchall()

    def within(self, column: str, values: Sequence[object]) -> tuple[str, list[object]]:
        return f"{column} = ANY(?{'::uuid[]' if column in _UUIDS else ''})", [list(values)]

    def contains(self, column: str) -> str:
        return f"strpos({column}, ?) > 0"

    def run_keys(self, count: int) -> Sequence[int]:
        return [line[0] for line in self.all("SELECT nextval('run_keys') FROM generate_series(1, ?)", (count,))] if count else ()

    def hold_schema(self) -> None:
        self._lock([_SCHEMA], "pg_advisory_xact_lock")

    def hold_rows(self, apps: Sequence[tuple[str, str]], *, alone: bool) -> None:
        self._lock([f"rows/{namespace}/{name}" for namespace, name in apps], f"pg_advisory_xact_lock{'' if alone else '_shared'}")

    def hold_rollups(self, apps: Sequence[int]) -> None:
        self._lock([f"rollups/{app}" for app in apps], "pg_advisory_xact_lock")

    def _lock(self, names: Sequence[str], function: str) -> None:
        if names:
            numbers = sorted(_number(name) for name in names)
            self.all(f"SELECT {function}(number) FROM unnest(?::bigint[]) number", (numbers,))  # noqa: S608 - our own names


class PostgresDatabase:
    """Connections to a database. Raises WrongStore where the server is too old, Unavailable where it is away or lets nobody in."""

    locking = " FOR UPDATE"

    def __init__(self, address: str, *, readers: int = READERS, writers: int = WRITERS) -> None:
        _try(address)
        self._address = address
        self._writers = _pool(address, writers, _as_writer)
        self._readers = _pool(address, readers, _as_reader)

    @contextlib.contextmanager
    def reading(self) -> Iterator[PostgresConnection]:
        with _named(), self._readers.connection() as raw:
            yield PostgresConnection(raw)

    def transact(self, work: Callable[[Connection], T]) -> T:
        for again in range(TRIES):
            try:
                with _named(), self._writers.connection() as raw:
                    return work(PostgresConnection(raw))
            except _AGAIN:
                if again == TRIES - 1:
                    raise
        raise AssertionError("unreachable")

    def id_in(self, run_id: str) -> str:
        return str(uuid.UUID(run_id))

    def id_out(self, value: Any) -> str:
        return str(value)

    def deleted(self) -> None:
        """The server's autovacuum gives the space to new rows."""

    @contextlib.contextmanager
    def loading(self) -> Iterator[None]:
        """The indexes of runs are made at the end."""
        with _named(), psycopg.connect(self._address, autocommit=True) as raw:
            made = raw.execute(
                "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() AND tablename = 'runs' "
                "AND indexname NOT IN ('runs_id', 'runs_pkey')"
            ).fetchall()
            for name, _ in made:
                raw.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
            try:
                yield
            finally:
                raw.execute("SET maintenance_work_mem = '512MB'")
                for _, definition in made:
                    raw.execute(definition)
                raw.execute("VACUUM ANALYZE")

    def bytes(self) -> int:
        with self.reading() as connection:
            return int(connection.all("SELECT pg_database_size(current_database())")[0][0])

    def fullness(self) -> float | None:
        return None

    def check(self) -> None:
        note = "INSERT INTO notes (name, value) VALUES ('checked_at', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        self.transact(lambda connection: connection.do(note, (int(time.time()),)))

    def close(self) -> None:
        self._writers.close()
        self._readers.close()


def _try(address: str) -> None:
    try:
        with psycopg.connect(address, connect_timeout=int(PATIENCE)) as raw:
            version = raw.info.server_version
    except psycopg.Error as error:
        raise Unavailable(f"PostgreSQL: {error}") from error
    if version < OLDEST:
        raise WrongStore(f"PostgreSQL has version {version // 10_000}, and the store needs {OLDEST // 10_000} or newer")


def _pool(address: str, size: int, configure: Callable[[Raw], None]) -> ConnectionPool[Raw]:
    return ConnectionPool(
        address,
        min_size=1,
        max_size=size,
        timeout=PATIENCE,
        reconnect_timeout=PATIENCE,
        kwargs={"application_name": "dynamiq-recorder", "connect_timeout": int(PATIENCE)},
        configure=configure,
        check=ConnectionPool.check_connection,
        open=True,
    )


def _as_writer(raw: Raw) -> None:
    raw.adapters.register_loader("uuid", psycopg.types.string.TextLoader)


def _as_reader(raw: Raw) -> None:
    _as_writer(raw)
    raw.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    raw.read_only = True
    raw.execute(f"SET statement_timeout = {LONGEST}")
    raw.commit()


@contextlib.contextmanager
def _named() -> Iterator[None]:
    """What the server could not do, as the store's own error."""
    try:
        yield
    except _AGAIN:
        raise
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise Unavailable(f"PostgreSQL: {error}") from error


def _number(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)


@lru_cache
def _written(text: str) -> sql.SQL:
    return sql.SQL(text.replace("?", "%s"))


@lru_cache
def _copy(table: str, columns: tuple[str, ...]) -> sql.SQL:
    return sql.SQL(f"COPY {table} ({', '.join(columns)}) FROM STDIN")


@lru_cache
def _put(table: str, key: tuple[str, ...], columns: tuple[str, ...]) -> str:
    changed = ", ".join(f"{column} = excluded.{column}" for column in columns[len(key) :])
    places = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places}) ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changed}"  # noqa: S608
