"""A page of runs, and all runs of a filter."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

import msgspec

from dynamiq_recorder.model import Filter, Run
from dynamiq_recorder.store.columns import RUN_READ, run_of
from dynamiq_recorder.store.database import MANY, Cell, Connection, Database
from dynamiq_recorder.store.filters import Conditions, conditions
from dynamiq_recorder.store.interface import COUNTED, Page, Sort
from dynamiq_recorder.store.loading import stored

_BY = {"started_at": "started_at", "duration": "duration", "cost": "cost"}
_PLACE = {"started_at": 18, "duration": 19, "cost": 25}
"""Where the column is in what RUN_READ selects."""


class _Cursor(msgspec.Struct, frozen=True, array_like=True):
    """The run that a page ended with: what it is sorted by (of a cost: None where there is none), and its key."""

    by: str
    descending: bool
    value: int | None
    key: int


def page(database: Database, connection: Connection, wanted: Filter, sort: Sort, *, limit: int, offset: int, cursor: str | None) -> Page:
    """See Store.page."""
    if sort.by not in _BY:
        raise ValueError(f"{sort.by} is nothing to sort by: {', '.join(_BY)}")
    after = _read(cursor, sort) if cursor is not None else None
    where = conditions(connection, wanted)
    if where is None:
        return Page(runs=(), total=0, cursor=None)
    lines = _lines(connection, where, sort, after, limit + 1, 0 if after is not None else offset)
    total = _count(connection, where)
    more = len(lines) > limit
    lines = lines[:limit]
    following = _Cursor(sort.by, sort.descending, lines[-1][_PLACE[sort.by]], lines[-1][0]) if more and lines else None
    return Page(runs=tuple(run_of(database, line) for line in lines), total=total, cursor=_written(following))


def _lines(connection: Connection, where: Conditions, sort: Sort, after: _Cursor | None, limit: int, offset: int) -> list[Cell]:
    """In order; by cost, those that have one come first."""
    if sort.by != "cost":
        return _ordered(connection, where, sort, after, limit, offset)
    priced = "r.cost IS NOT NULL"
    lines: list[Cell] = []
    if after is None or after.value is not None:
        lines = _ordered(connection, where, sort, after, limit, offset, priced)
        if len(lines) == limit:
            return lines
        if not lines and offset:
            have = connection.all(f"SELECT count(*) FROM runs r WHERE {where.sql} AND {priced}", where.values)[0][0]  # noqa: S608 - our own names
            offset -= min(offset, have)
        else:
            offset = 0
        after = None
    rest = Sort("started_at", sort.descending)
    begun = _Cursor("key", sort.descending, None, after.key) if after is not None else None
    return lines + _ordered(connection, where, rest, begun, limit - len(lines), offset, "r.cost IS NULL")


def _ordered(
    connection: Connection, where: Conditions, sort: Sort, after: _Cursor | None, limit: int, offset: int, more: str = "1 = 1"
) -> list[Cell]:
    column, way, beyond = f"r.{_BY[sort.by]}", "DESC" if sort.descending else "ASC", "<" if sort.descending else ">"
    order = f"{column} {way}, r.key {way}"
    sql, values = f"{where.sql} AND {more}", list(where.values)
    if after is not None and after.value is None:
        sql += f" AND ({column}, r.key) {beyond} (SELECT {_BY[sort.by]}, key FROM runs WHERE key = ?)"  # noqa: S608 - our own names
        values.append(after.key)
    elif after is not None:
        sql += f" AND ({column}, r.key) {beyond} (?, ?)"
        values += [after.value, after.key]
    return connection.all(f"SELECT {RUN_READ} WHERE {sql} ORDER BY {order} LIMIT ? OFFSET ?", [*values, limit, offset])


def _count(connection: Connection, where: Conditions) -> int:
    counted = f"SELECT count(*) FROM (SELECT 1 FROM runs r WHERE {where.sql} LIMIT {COUNTED}) counted"  # noqa: S608 - our own names
    return int(connection.all(counted, where.values)[0][0])


def every(database: Database, wanted: Filter, *, content: bool) -> Iterator[Run]:
    """See Store.every. In pieces of one transaction each: a slow reader holds nothing."""
    order = Sort("started_at", descending=False)
    after: _Cursor | None = None
    while True:
        with database.reading() as connection:
            where = conditions(connection, wanted)
            lines = _ordered(connection, where, order, after, MANY, 0) if where is not None else []
            keys = [line[0] for line in lines]
            found = {each.key: each.run for each in stored(database, connection, keys, content=content)}
        yield from (found[key] for key in keys if key in found)
        if len(lines) < MANY:
            return
        after = _Cursor(order.by, order.descending, lines[-1][_PLACE[order.by]], lines[-1][0])


def _written(cursor: _Cursor | None) -> str | None:
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=") if cursor is not None else None


def _read(text: str, sort: Sort) -> _Cursor:
    try:
        cursor = msgspec.json.decode(base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True), type=_Cursor)
    except (binascii.Error, msgspec.MsgspecError, ValueError) as error:
        raise ValueError("the cursor is none that a page gave") from error
    if (cursor.by, cursor.descending) != (sort.by, sort.descending):
        raise ValueError("the cursor is of a page that was sorted otherwise")
    return cursor
