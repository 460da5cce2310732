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
    total = _count(connection, where.by_label or where)
    where = _best(where, sort, few=total < COUNTED)
    lines = _lines(connection, where, sort, after, limit + 1, 0 if after is not None else offset)
    more = len(lines) > limit
    lines = lines[:limit]
    following = _Cursor(sort.by, sort.descending, lines[-1][_PLACE[sort.by]], lines[-1][0]) if more and lines else None
    return Page(runs=tuple(run_of(database, line) for line in lines), total=total, cursor=_written(following))


def _best(where: Conditions, sort: Sort, *, few: bool) -> Conditions:
    """The same runs, found as is quickest. An index that has them in order is gone through until a page is full, which is long where they are few:
    those are found by what makes them few, and sorted.
    """
    if where.by_label is not None and (few or sort.by == "started_at"):
        return where.by_label
    if few and where.ranged:
        where.at = f"+{where.at}"  # so that no index of time is used for the order
    return where


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
            counted = f"SELECT count(*) FROM {where.source} WHERE {where.sql} AND {priced}"  # noqa: S608 - our own names
            have = connection.all(counted, where.values)[0][0]
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
    """The keys of a page first, by an index alone where there is one, and then the page."""
    column, way, beyond = f"r.{_BY[sort.by]}", "DESC" if sort.descending else "ASC", "<" if sort.descending else ">"
    by = where.at if sort.by == "started_at" else column
    order, place = f"{by} {way}, {where.key} {way}", f"({by.removeprefix('+')}, {where.key})"
    sql, values = f"{where.sql} AND {more}", list(where.values)
    if after is not None and after.value is None:
        sql += f" AND {place} {beyond} (SELECT {_BY[sort.by]}, key FROM runs WHERE key = ?)"  # noqa: S608 - our own names
        values.append(after.key)
    elif after is not None:
        sql += f" AND {place} {beyond} (?, ?)"
        values += [after.value, after.key]
    keys = f"SELECT r.key FROM {where.source} WHERE {sql} ORDER BY {order} LIMIT ? OFFSET ?"  # noqa: S608 - our own names
    return connection.all(f"SELECT {RUN_READ} WHERE r.key IN ({keys}) ORDER BY {column} {way}, r.key {way}", [*values, limit, offset])


def _count(connection: Connection, where: Conditions) -> int:
    counted = f"SELECT count(*) FROM (SELECT 1 FROM {where.source} WHERE {where.sql} LIMIT {COUNTED}) counted"  # noqa: S608 - our own names
    return int(connection.all(counted, where.values)[0][0])


def every(database: Database, wanted: Filter, *, content: bool) -> Iterator[Run]:
    """See Store.every. In pieces of one transaction each: a slow reader holds nothing."""
    order = Sort("started_at", descending=False)
    after: _Cursor | None = None
    while True:
        with database.reading() as connection:
            where = conditions(connection, wanted)
            lines = _ordered(connection, where.by_label or where, order, after, MANY, 0) if where is not None else []
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
