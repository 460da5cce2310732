"""A store as the first version of its tables held it: every line of every table, and what was said of it then.

`python -m tests.support.first_store` wrote first_store.json with the tables at version 1. Whatever comes later has to read it: it is not written
anew.
"""

from __future__ import annotations

import base64
import random
import sqlite3
import sys
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from dynamiq_recorder.model import Filter, Instance, Run, Score
from dynamiq_recorder.store.database import Connection, Database
from dynamiq_recorder.store.interface import Store
from dynamiq_recorder.store.opening import opened
from dynamiq_recorder.store.postgres import PostgresDatabase
from tests.support.stored_runs import APP, NOON, OTHER, a_call, a_row, a_run, answers, batch, drawn

FILE = Path(__file__).parent / "first_store.json"
TABLES = (
    *(
        "apps",
        "app_rows",
        "instances",
        "runs",
        "labels",
        "errors",
        "spans",
        "contents",
        "extras",
        "scores",
        "rollups",
        "node_rollups",
        "notes",
    ),
)
ROWS = ("row-1", "row-2", "row-3")
COUNT = 25


class Table(msgspec.Struct):
    name: str
    columns: list[str]
    lines: list[list[Any]]


class Held(msgspec.Struct):
    """`said`: by App, all that a store answers of its runs together. Bytes are in base64."""

    tables: list[Table]
    runs: list[Run]
    scores: list[Score]
    said: dict[str, Any]


def held() -> Held:
    return msgspec.json.decode(FILE.read_bytes(), type=Held)


def fill(store: Store) -> None:
    """With all that a store can hold."""
    chance = random.Random(20)  # noqa: S311
    store.put_rows([a_row(sequence) for sequence in (1, 2, 3)])
    runs = [drawn(chance, number) for number in range(COUNT)]
    told = a_run(
        900,
        error="KeyError: 'a'",
        input='"?"',
        output="null",
        extra='{"m": 1}',
        instance="i-1",
        seq=3,
        spans=(a_call(1, cost=9, extra="{}"),),
    )
    instance = Instance(id="i-1", app_uid=APP, pod_uid="pod-1", last_seq=4, dropped=1, ended=True, at=NOON)
    store.write([batch(*runs, told, instances=[instance])])
    store.add_score(told.id, Score(name="good", value=0.5, comment="so so", by="ann", at=NOON))
    store.check()


def said(store: Store) -> dict[str, Any]:
    """As JSON has it."""
    made = {app: dict(answers(store, app, ROWS)) for app in (APP, OTHER)}
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(made))
    return found


def runs(store: Store) -> list[Run]:
    found = [run for app in (APP, OTHER) for run in store.every(Filter(app_uid=app), content=True)]
    return sorted(found, key=lambda run: run.id)


def put_into(database: Database, tables: Sequence[Table]) -> None:
    """The lines into tables of the first version, whichever database has them."""
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


def main() -> int:
    if FILE.exists():
        print(f"{FILE} is there, and is what was held then", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs.db"
        store = opened(f"sqlite://{path}")
        fill(store)
        first = store.page(Filter(app_uid=APP, error="KeyError: 'a'")).runs[0].id
        read, scores, answered = runs(store), list(store.scores(first)), said(store)
        store.close()
        raw = sqlite3.connect(path)
        tables = []
        for name in TABLES:
            found = raw.execute(f"SELECT * FROM {name} ORDER BY 1, 2")  # noqa: S608
            tables.append(Table(name, [each[0] for each in found.description], [list(line) for line in found]))
        raw.close()
    FILE.write_bytes(msgspec.json.encode(Held(tables, read, scores, answered)) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
