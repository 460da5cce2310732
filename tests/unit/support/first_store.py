"""Reads a store of the first version of its tables: every row of every table, and the store's answers at that time.

first_store.json was written with the tables at version 1. Every later version has to read it: it is never written again.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from dynamiq_recorder.model import Filter, Run, Score
from dynamiq_recorder.store.database import Connection, Database
from dynamiq_recorder.store.postgres import PostgresDatabase
from dynamiq_recorder.store.sql_store import Store
from tests.support.stored_runs import APP, OTHER, answers

FILE = Path(__file__).parent / "first_store.json"
ROWS = ("row-1", "row-2", "row-3")


class Table(msgspec.Struct):
    name: str
    columns: list[str]
    lines: list[list[Any]]


class Held(msgspec.Struct):
    """A stored state. `said`: all answers of the store about runs in total, by App. Bytes are in base64."""

    tables: list[Table]
    runs: list[Run]
    scores: list[Score]
    said: dict[str, Any]


_NOT_OF_BOTH = ("tokens_squared", "priced_cost_squared", "token_sketch", "cost_sketch", "pair")
"""Fields of the store's answers that only the first version or only later ones have."""


def held() -> Held:
    found = msgspec.json.decode(FILE.read_bytes(), type=Held)
    return msgspec.structs.replace(found, said=_of_both(found.said))


def said(store: Store) -> dict[str, Any]:
    """Returns the store's answers as JSON values."""
    made = {app: dict(answers(store, app, ROWS)) for app in (APP, OTHER)}
    found: dict[str, Any] = _of_both(msgspec.json.decode(msgspec.json.encode(made)))
    return found


def _of_both(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _of_both(each) for name, each in value.items() if name not in _NOT_OF_BOTH}
    return [_of_both(each) for each in value] if isinstance(value, list) else value


def runs(store: Store) -> list[Run]:
    found = [run for app in (APP, OTHER) for run in store.every(Filter(app_uid=app), content=True)]
    return sorted(found, key=lambda run: run.id)


def put_into(database: Database, tables: Sequence[Table]) -> None:
    """Inserts the rows into tables of the first version, in either database."""
    is_postgres = isinstance(database, PostgresDatabase)

    def value(table: str, column: str, given: Any) -> Any:
        if table == "runs" and column == "id":
            data = base64.b64decode(given)
            return str(uuid.UUID(bytes=data)) if is_postgres else data
        if column == "sketch":
            data = base64.b64decode(given)
            return f"\\x{data.hex()}" if is_postgres else data
        return given

    def work(connection: Connection) -> None:
        for table in tables:
            places = ", ".join("?" * len(table.columns))
            lines = [[value(table.name, *each) for each in zip(table.columns, line, strict=True)] for line in table.lines]
            connection.tell(f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES ({places})", lines)  # noqa: S608
        if is_postgres:
            connection.all("SELECT setval('run_keys', max(key)) FROM runs")
            for name in ("apps", "app_rows", "instances"):
                connection.all(f"SELECT setval(pg_get_serial_sequence('{name}', 'key'), max(key)) FROM {name}")  # noqa: S608

    database.transact(work)
