"""Opens pools of connections to PostgreSQL, and converts the server's errors. It reads and writes no line."""

from __future__ import annotations

import contextlib
import hashlib
import select
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
from psycopg import errors, sql
from psycopg_pool import ConnectionPool

from dynamiq_recorder.store.results import Unavailable, WrongStore

Raw = psycopg.Connection[tuple[Any, ...]]

OLDEST = 150_000
"""The oldest version of the server."""
PATIENCE = 5.0
"""Most seconds that a call waits for a connection."""
LONGEST = 30_000
"""Most milliseconds of one statement of a reader."""
AGAIN = (errors.UniqueViolation, errors.DeadlockDetected, errors.SerializationFailure, errors.InvalidSqlStatementName)
SCHEMA = "dynamiq-recorder/schema"
SILENT = """SET idle_in_transaction_session_timeout = '15s';
SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 2"""
"""A client that is gone, or does not go on, holds no lock for long."""
LOST = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 2, "tcp_user_timeout": 15_000}
"""A server that is gone is known as soon."""


def lock_number(name: str) -> int:
    """Returns the number of an advisory lock."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)


def prepare(address: str, schema: str | None) -> None:
    """Checks the server, and makes the schema if it is missing. Raises WrongStore and Unavailable."""
    try:
        with psycopg.connect(address, connect_timeout=int(PATIENCE)) as raw:
            version = raw.info.server_version
            if version >= OLDEST and schema is not None:
                _make(raw, schema)
    except errors.InsufficientPrivilege as error:
        raise WrongStore(f"PostgreSQL: {error}; create the schema {schema} for this user") from error
    except psycopg.Error as error:
        raise Unavailable(f"PostgreSQL: {error}") from error
    if version < OLDEST:
        raise WrongStore(f"PostgreSQL has version {version // 10_000}, and the store needs {OLDEST // 10_000} or newer")


def _make(raw: Raw, schema: str) -> None:
    raw.execute("SELECT pg_advisory_xact_lock(%s)", (lock_number(SCHEMA),))
    if raw.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone() is None:  # who may not create one may use it
        raw.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))


def writers(address: str, size: int, schema: str | None) -> ConnectionPool[Raw]:
    return _pool(address, size, schema, _as_writer)


def readers(address: str, size: int, schema: str | None) -> ConnectionPool[Raw]:
    return _pool(address, size, schema, _as_reader)


def _pool(address: str, size: int, schema: str | None, configure: Callable[[Raw], None]) -> ConnectionPool[Raw]:
    """Returns a pool. `schema`: of the tables; None for the user's own."""

    def configured(raw: Raw) -> None:
        if schema is not None:
            raw.execute(sql.SQL("SET search_path = {}").format(sql.Identifier(schema)))
            raw.execute(SILENT)
            raw.commit()
        configure(raw)

    name = "dynamiq-recorder" if schema is None else f"dynamiq-{schema}"
    return ConnectionPool(
        address,
        min_size=1,
        max_size=size,
        timeout=PATIENCE,
        reconnect_timeout=PATIENCE,
        kwargs={"application_name": name, "connect_timeout": int(PATIENCE), "client_encoding": "utf8", **(LOST if schema else {})},
        configure=configured,
        check=_check,
        open=True,
    )


def _check(raw: Raw) -> None:
    """Checks a connection if there is something to read: a server that stops sends a message, and it sends none otherwise.

    A query for each use would take more time than it is worth.
    """
    waiting = select.poll()  # not select(): that knows descriptors below 1024 alone, and senders have as many
    waiting.register(raw.fileno(), select.POLLIN)
    if waiting.poll(0):
        ConnectionPool.check_connection(raw)


def _as_writer(raw: Raw) -> None:
    raw.adapters.register_loader("uuid", psycopg.types.string.TextLoader)
    raw.autocommit = True  # BEGIN and COMMIT go with other statements
    # A plan made while a table was empty is kept: it must use an index, which is right for larger tables, too.
    raw.execute("SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off")
    raw.prepare_threshold = None  # else the driver drops all prepared statements after an error, those of Plans, too


def _as_reader(raw: Raw) -> None:
    raw.adapters.register_loader("uuid", psycopg.types.string.TextLoader)
    raw.prepare_threshold = None
    raw.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    raw.read_only = True
    raw.execute(f"SET statement_timeout = {LONGEST}")
    raw.execute("SET enable_hashjoin = off; SET enable_mergejoin = off")  # few lines of a page are looked up in large tables
    raw.commit()


@contextlib.contextmanager
def store_errors() -> Iterator[None]:
    """Converts the server's errors to the store's own."""
    try:
        yield
    except AGAIN:
        raise
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise Unavailable(f"PostgreSQL: {error}") from error
