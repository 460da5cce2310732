"""Loads whole runs by their keys: for readers, and for corrections of rollups. It searches for none."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dynamiq_recorder.model import Run
from dynamiq_recorder.store.columns import CONTENT_COLUMNS, EXTRA_COLUMNS, RUN_READ, SPAN_COLUMNS, by_run, run_of, span_of
from dynamiq_recorder.store.database import Cell, Connection, Database, pieces


class Stored(msgspec.Struct, frozen=True):
    """A run with the keys by which it is stored."""

    key: int
    app: int
    row: int | None
    instance: int | None
    run: Run


def stored(database: Database, connection: Connection, keys: Sequence[int], *, content: bool, spans: bool = True) -> list[Stored]:
    """Returns the stored runs of these keys, in the order of their keys. Without `spans`, content is the run's own."""
    runs: list[Stored] = []
    for part in pieces(keys):
        condition, values = connection.within("r.key", part)
        lines = connection.all(f"SELECT {RUN_READ} WHERE {condition} ORDER BY r.key", values)
        runs.extend(_whole(database, connection, lines, content=content, spans=spans))
    return runs


def _whole(database: Database, connection: Connection, lines: Sequence[Cell], *, content: bool, spans: bool) -> list[Stored]:
    """Returns the runs of lines, with their spans. The error's text is content."""
    keys = [line[0] for line in lines]
    inside = by_run(_beside(connection, "spans", SPAN_COLUMNS, keys)) if spans else {}
    extras = by_run(_beside(connection, "extras", EXTRA_COLUMNS, keys)) if spans else {}
    recorded = [line[0] for line in lines if line[29]] if content else []
    contents = by_run(_beside(connection, "contents", CONTENT_COLUMNS, recorded, own="" if spans else " AND n = 0"))
    runs = []
    for line in lines:
        key = line[0]
        parts = {each[0]: each[1:] for each in contents.get(key, ())}
        more: dict[int, str] = {each[0]: each[1] for each in extras.get(key, ())}
        run = run_of(database, line)
        error, input_json, output_json = parts.get(0, (None, None, None))
        run = msgspec.structs.replace(
            run,
            spans=tuple(span_of(each, parts, more) for each in sorted(inside.get(key, ()))),
            error=error,
            input=input_json,
            output=output_json,
            extra=more.get(0),
        )
        runs.append(Stored(key, line[2], line[3], line[4], run))
    return runs


def _beside(connection: Connection, table: str, columns: Sequence[str], keys: Sequence[int], own: str = "") -> list[Cell]:
    if not keys:
        return []
    condition, values = connection.within("run_key", keys)
    return connection.all(f"SELECT {', '.join(columns)} FROM {table} WHERE {condition}{own}", values)  # noqa: S608 - our own names
