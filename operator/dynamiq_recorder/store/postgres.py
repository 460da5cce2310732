"""Implements a database on PostgreSQL, from 15 on, for several recorders at once.

Transactions that write one App's rollups wait for each other's commit at their end, by advisory locks in one order: none deadlocks. If two
store the same new run at once, one of them begins again, alone, and finds it stored.
"""

from __future__ import annotations

import contextlib
import hashlib
import uuid
import weakref
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import psycopg
from psycopg import errors, sql
from psycopg.pq import Escaping

from dynamiq_recorder.store.arrays import kinds, literals
from dynamiq_recorder.store.database import Cell, Connection, Lines, Question, T, Wanted
from dynamiq_recorder.store.pools import AGAIN, PATIENCE, SCHEMA, Raw, lock_number, prepare, readers, store_errors, writers

READERS, WRITERS = 8, 4
"""Most connections. Readers: four at a time, one for exports, two for senders, and one more."""
FEW = 400
"""Most lines that go in one message; for more, a COPY for each table is faster."""
OFTEN = 3
"""The use of a statement at which it is prepared."""
TRIES = 6
_UUIDS = ("id", "r.id")
_ALONE, _SHARED = "pg_advisory_xact_lock", "pg_advisory_xact_lock_shared"


class Plans:
    """Prepared statements of one connection, for those that are often used: planning takes longer than execution."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def name(self, cursor: psycopg.Cursor[Cell], text: str) -> bytes | None:
        """Returns the name of the prepared statement; None if it is not prepared.

        A statement without parameters is not prepared, since it is a command about the transaction.
        """
        seen = self._seen[text] = self._seen.get(text, 0) + 1
        if seen < OFTEN or "?" not in text:
            return None
        name = f"p{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"
        if seen == OFTEN:
            first, *parts = text.split("?")
            numbered = first + "".join(f"${number}{part}" for number, part in enumerate(parts, 1))
            cursor.execute(sql.SQL(f"PREPARE {name} AS {numbered}"))
        return name.encode()


class PostgresConnection:
    """A transaction on a connection of a pool.

    Statements whose answers nothing waits for go in one message, by the protocol for simple queries. On the way to a database, waits take
    most of the time.
    """

    looked_up = "JOIN LATERAL (SELECT * FROM runs WHERE runs.key = i.key OFFSET 0) r ON true"
    locking = " FOR UPDATE"
    skipping = " FOR UPDATE SKIP LOCKED"
    fence = " OFFSET 0"
    weighed = False

    def __init__(self, raw: Raw, plans: Plans | None = None, *, again: bool = False) -> None:
        self.again = again
        self._cursor, self._plans = raw.cursor(), plans
        self._escaping = Escaping(raw.pgconn)
        self._pending: list[bytes] = []

    def ask(self, questions: Sequence[Question]) -> list[list[Cell]]:
        before = len(self._pending)
        for text, parameters in questions:
            self._add(text, parameters)
        self.finish()
        for _ in range(before):
            self._cursor.nextset()
        results = []
        for _ in questions:
            results.append(self._cursor.fetchall())
            self._cursor.nextset()
        return results

    def _add(self, text: str, parameters: Sequence[object]) -> None:
        name = self._plans.name(self._cursor, text) if self._plans is not None else None
        values = [self._literal(value) for value in parameters]
        if name is not None:
            self._pending.append(b"EXECUTE " + name + b"(" + b",".join(values) + b")")
        else:
            first, *parts = text.encode().split(b"?")
            self._pending.append(first + b"".join(value + part for value, part in zip(values, parts, strict=True)))

    def _literal(self, value: object) -> bytes:
        if value is None:
            return b"NULL"
        if isinstance(value, str):
            if "\0" in value:
                raise ValueError("no text of PostgreSQL has a NUL in it")
            return self._escaping.escape_literal(value.encode())
        if isinstance(value, (int, float)):
            return repr(value).encode()
        if isinstance(value, bytes):
            return b"'\\x" + value.hex().encode() + b"'::bytea"
        raise TypeError(f"{type(value).__name__} is nothing to tell a database")

    def finish(self) -> None:
        """Sends the pending statements."""
        if self._pending:
            message = b";".join(self._pending)
            self._pending = []
            self._cursor.execute(message)

    def all(self, sql: str, parameters: Sequence[object] = ()) -> list[Cell]:
        return self.ask([(sql, parameters)])[0]

    def do(self, sql: str, parameters: Sequence[object] = ()) -> int:
        self.finish()
        self._add(sql, parameters)
        self.finish()
        return self._cursor.rowcount

    def tell(self, sql: str, lines: Sequence[Sequence[object]]) -> None:
        for line in lines:
            self._add(sql, line)

    def insert(self, parts: Sequence[Lines]) -> None:
        if sum(len(part.lines) for part in parts) <= FEW:
            for part in parts:
                self._add(_insert(part.table, part.columns), literals(kinds(part.table, part.columns), part.lines))
            return
        self.finish()
        for part in parts:
            with self._cursor.copy(_copy(part.table, part.columns)) as copy:
                for line in part.lines:
                    copy.write_row(line)

    def take(self, table: str, key: tuple[str, ...], keys: Sequence[Cell]) -> None:
        if keys:
            types = kinds(table, key)
            unnested = ", ".join(f"?::{kind}[]" for kind in types)
            self._add(f"DELETE FROM {table} WHERE ({', '.join(key)}) IN (SELECT * FROM unnest({unnested}))", literals(types, keys))  # noqa: S608

    def put(self, parts: Sequence[tuple[Lines, tuple[str, ...]]]) -> None:
        for part, key in parts:
            if part.lines:
                self._add(_put(part.table, key, part.columns), literals(kinds(part.table, part.columns), part.lines))

    def rollups(self, apps: Sequence[int], selections: Sequence[Wanted]) -> list[list[Cell]]:
        selected = [each for each in selections if each.keys]
        lines = iter(self.ask([*self._locks([f"rollups/{app}" for app in apps], _ALONE), *map(_matching, selected)])[1:])
        return [next(lines) if each.keys else [] for each in selections]

    def within(self, column: str, values: Sequence[object]) -> tuple[str, list[object]]:
        kind = "uuid" if column in _UUIDS else "text" if values and isinstance(values[0], str) else "bigint"
        return f"{column} = ANY(?::{kind}[])", [*literals([kind], [(value,) for value in values])]

    def contains(self, column: str) -> str:
        return f"strpos({column}, ?) > 0"

    def by(self, index: str) -> str:  # noqa: ARG002 - it has statistics
        return ""

    def new_keys(self, count: int) -> Question:
        return "SELECT nextval('run_keys') FROM generate_series(1, ?)", (count,)

    def keys_of(self, lines: Sequence[Cell], count: int) -> Sequence[int]:  # noqa: ARG002 - there are so many
        return [line[0] for line in lines]

    def holds(self, name: str) -> bool:
        return bool(self.all("SELECT pg_try_advisory_xact_lock(?)", (lock_number(name),))[0][0])

    def hold_schema(self) -> None:
        self.ask(self._locks([SCHEMA], _ALONE))

    def rows_held(self, apps: Sequence[tuple[str, str]], *, alone: bool) -> list[Question]:
        return self._locks([f"rows/{namespace}/{name}" for namespace, name in apps], _ALONE if alone else _SHARED)

    def hold_rows(self, apps: Sequence[tuple[str, str]], *, alone: bool) -> None:
        self.ask(self.rows_held(apps, alone=alone))

    def hold_rollups(self, apps: Sequence[int]) -> None:
        self.ask(self._locks([f"rollups/{app}" for app in apps], _ALONE))

    def _locks(self, names: Sequence[str], function: str) -> list[Question]:
        """Returns questions that take locks, in one order for all, so that no two transactions wait for each other."""
        numbers = sorted(lock_number(name) for name in names)
        question = f"SELECT count({function}(number)) FROM unnest(?::bigint[]) number"  # noqa: S608 - our own names
        return [(question, literals(["bigint"], [(number,) for number in numbers]))]


class PostgresDatabase:
    """Connections to a database. It raises WrongStore for a server that is too old, Unavailable for one that is unreachable or refuses the
    login. `schema`: of the tables, which is made if it is missing; None for the user's own.
    """

    def __init__(self, address: str, *, schema: str | None = None, reading: int = READERS, writing: int = WRITERS) -> None:
        prepare(address, schema)
        self._address, self._schema = address, schema
        self._plans: weakref.WeakKeyDictionary[Raw, Plans] = weakref.WeakKeyDictionary()
        self._writers = writers(address, writing, schema)
        self._readers = readers(address, reading, schema)

    @contextlib.contextmanager
    def reading(self) -> Iterator[PostgresConnection]:
        with store_errors(), self._readers.connection() as raw:
            yield PostgresConnection(raw)

    def transact(self, work: Callable[[Connection], T]) -> T:
        for again in range(TRIES):
            try:
                with store_errors(), self._writers.connection() as raw:
                    return self._transact(raw, work, again=again > 0)
            except AGAIN:
                if again == TRIES - 1:
                    raise
        raise AssertionError("unreachable")

    def _transact(self, raw: Raw, work: Callable[[Connection], T], *, again: bool) -> T:
        connection = PostgresConnection(raw, self._plans.setdefault(raw, Plans()), again=again)
        try:
            connection.tell("BEGIN", [()])
            done = work(connection)
            connection.tell("COMMIT", [()])
            connection.finish()
        except errors.InvalidSqlStatementName:  # a pooler between us has dropped the prepared statement
            raw.close()
            raise
        return done

    def id_in(self, run_id: str) -> str:
        return str(uuid.UUID(run_id))

    def id_out(self, value: Any) -> str:
        return str(value)

    def deleted(self) -> None:
        """Does nothing: the server's autovacuum gives the space to new lines."""

    def scrub(self) -> None:
        """Removes dead lines. The server has to overwrite their copies in free space of pages, in the log and in its archive."""
        with store_errors(), psycopg.connect(self._address, autocommit=True, connect_timeout=int(PATIENCE)) as raw:
            raw.execute("VACUUM (ANALYZE) runs, labels, errors, spans, contents, extras, scores, rollups, node_rollups, run_shapes")

    def sorting(self) -> contextlib.AbstractContextManager[None]:
        """Does nothing: the server sorts in files of its own."""
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def loading(self) -> Iterator[None]:
        """Drops the indexes of runs, and creates them again at the end."""
        with store_errors(), psycopg.connect(self._address, autocommit=True) as raw:
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
        size = "pg_database_size(current_database())"
        if self._schema is not None:
            size = "coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'"
        with self.reading() as connection:
            return int(connection.all(f"SELECT {size}")[0][0])

    def fullness(self) -> float | None:
        return None

    def close(self) -> None:
        self._writers.close()
        self._readers.close()


def _matching(selection: Wanted) -> Question:
    types = ["text" if isinstance(value, str) else "bigint" for value in selection.keys[0]]
    unnested = ", ".join(f"?::{kind}[]" for kind in types)
    query = f"SELECT {', '.join(selection.columns)} FROM {selection.table} WHERE ({', '.join(selection.key)}) IN (SELECT * FROM unnest({unnested}))"  # noqa: S608
    return query, literals(types, selection.keys)


@lru_cache
def _copy(table: str, columns: tuple[str, ...]) -> sql.SQL:
    return sql.SQL(f"COPY {table} ({', '.join(columns)}) FROM STDIN")


@lru_cache
def _insert(table: str, columns: tuple[str, ...]) -> str:
    arrays = ", ".join(f"?::{kind}[]" for kind in kinds(table, columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) SELECT * FROM unnest({arrays})"  # noqa: S608 - our own names


@lru_cache
def _put(table: str, key: tuple[str, ...], columns: tuple[str, ...]) -> str:
    changed = ", ".join(f"{column} = excluded.{column}" for column in columns[len(key) :])
    return f"{_insert(table, columns)} ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changed}"
