"""A page of runs, and all runs of a filter.

Each thing that a filter asks has a way to its runs in an index. Where one of them is short, all on it are looked at, and the page and its total
are exact. Where all are long, the sparsest one in the page's order is walked until the page is full: for as long as a reader waits. What that
did not reach is behind the page's cursor.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Iterator, Sequence
from typing import Annotated

import msgspec

from dynamiq_recorder.model import Filter, Run
from dynamiq_recorder.store.columns import RUN_READ, run_of
from dynamiq_recorder.store.database import MANY, Connection, Database, pieces
from dynamiq_recorder.store.filters import Conditions, app_key, conditions, row_key
from dynamiq_recorder.store.interface import COUNTED, Page, Sort
from dynamiq_recorder.store.loading import stored
from dynamiq_recorder.store.ways import COST, DURATION, STARTED, Entry, Way, asked, of_value, ways

PATIENCE = 0.04
"""Seconds that a page is looked for where no way is short, and as many to count it."""
WITH_OFFSET = 2.0
"""The same for a page by its number: what stands before it has to be found, too."""
SHORT = 300
"""Entries that are looked at rather than to look for a way that is shorter."""
STRIDE = 2_000
"""Entries of a way that are looked at in one step."""

_Stored = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class Place(msgspec.Struct, frozen=True, array_like=True, order=True):
    """Where a run stands. By cost those without one are the rest, in order of time."""

    rest: bool
    value: _Stored
    key: _Stored


class _Cursor(msgspec.Struct, frozen=True, array_like=True):
    by: str
    descending: bool
    place: Place


class _Look(msgspec.Struct, frozen=True):
    """What is looked for, in one transaction."""

    connection: Connection
    where: Conditions
    asked: frozenset[str]
    ways: list[Way]
    sort: Sort
    app: int

    def is_all(self, way: Way) -> bool:
        """Whether all on the way are runs of the filter."""
        return self.asked <= way.covers


def page(database: Database, connection: Connection, wanted: Filter, sort: Sort, *, limit: int, offset: int, cursor: str | None) -> Page:
    """See Store.page."""
    if sort.by not in (STARTED, DURATION, COST):
        raise ValueError(f"{sort.by} is nothing to sort by: {STARTED}, {DURATION}, {COST}")
    after = _read(cursor, sort) if cursor is not None else None
    look = _look(connection, wanted, sort)
    if look is None:
        return Page(runs=(), total=0, cursor=None)
    places, total, following = _found(look, after, limit, 0 if after is not None else offset)
    return Page(runs=_runs(database, connection, [place.key for place in places]), total=total, cursor=_written(following, sort))


def every(database: Database, wanted: Filter, *, content: bool) -> Iterator[Run]:
    """See Store.every. In pieces of one transaction each: a slow reader holds nothing."""
    sort, after = Sort(STARTED, descending=False), None
    while True:
        with database.reading() as connection:
            look = _look(connection, wanted, sort)
            places, _, after = _found(look, after, COUNTED, 0) if look is not None else ([], 0, None)
        for part in pieces([place.key for place in places], MANY):
            with database.reading() as connection:
                found = {each.key: each.run for each in stored(database, connection, part, content=content)}
            yield from (found[key] for key in part if key in found)
        if after is None:
            return


def _look(connection: Connection, wanted: Filter, sort: Sort) -> _Look | None:
    where, app = conditions(connection, wanted), app_key(connection, wanted.app_uid)
    if where is None or app is None:
        return None
    row = row_key(connection, wanted.row_uid) if wanted.row_uid is not None else None
    return _Look(connection, where, asked(wanted), ways(connection, wanted, app, row), sort, app)


def _found(look: _Look, after: Place | None, limit: int, offset: int) -> tuple[list[Place], int, Place | None]:
    """Places of a page, how many there are in all, and the place after which it goes on."""
    short: Way | None = None
    entries: list[Entry] = []
    sparsest, oldest = look.ways[-1], -1
    for way in look.ways:
        if short is not None and len(entries) < SHORT:
            break
        most = len(entries) if short is not None else COUNTED + 1
        some = way.entries(look.connection, descending=True, after=None, limit=most)
        if len(some) < most:
            short, entries = way, some
        elif way.by == STARTED and some and (oldest < 0 or some[-1][0] < oldest):
            sparsest, oldest = way, some[-1][0]
    if short is None:
        total = COUNTED if any(look.is_all(way) for way in look.ways) else _counted(look, sparsest)
        return _walked(look, sparsest, after, limit, offset, total)
    if not look.asked:
        return _walked(look, short, after, limit, offset, len(entries))
    places = sorted(_all_on(look, short, entries), key=lambda place: _order(place, look.sort))
    first = offset if after is None else sum(_order(place, look.sort) <= _order(after, look.sort) for place in places)
    found = places[first : first + limit]
    return found, min(len(places), COUNTED), found[-1] if found and first + limit < len(places) else None


def _all_on(look: _Look, way: Way, entries: Sequence[Entry]) -> list[Place]:
    if look.is_all(way) and way.by == look.sort.by == STARTED:
        return [Place(rest=False, value=value, key=key) for value, key in entries]
    columns = ("key", STARTED, look.sort.by)
    lines = way.matching(look.connection, look.where, columns, descending=True, after=None, walk=None, limit=COUNTED + 1)
    return [Place(rest=value is None, value=started if value is None else value, key=key) for key, started, value in lines]


def _order(place: Place, sort: Sort) -> tuple[bool, int, int]:
    return (place.rest, -place.value, -place.key) if sort.descending else (place.rest, place.value, place.key)


def _walked(look: _Look, sparsest: Way, after: Place | None, limit: int, offset: int, total: int) -> tuple[list[Place], int, Place | None]:
    """Where no way is short, or all runs are asked for: along one in the page's order."""
    needed = offset + limit + 1
    found: list[Place] = []
    until: Place | None = None
    if after is None or not after.rest:
        way = sparsest if look.sort.by == STARTED else of_value(look.connection, look.sort.by, look.app)
        found, until = _walk(look, way, look.where, after, needed, rest=False, with_offset=offset > 0)
        after = None
    if look.sort.by == COST and len(found) < needed and until is None:
        unpriced = Conditions()
        unpriced.add(f"{look.where.sql} AND r.cost IS NULL", *look.where.values)
        more, until = _walk(look, sparsest, unpriced, after, needed - len(found), rest=True, with_offset=offset > 0)
        found += more
    if len(found) == needed:
        until = found[-2]
    return found[offset : offset + limit], max(total, min(len(found), COUNTED)), until


def _walk(
    look: _Look, way: Way, where: Conditions, after: Place | None, needed: int, *, rest: bool, with_offset: bool
) -> tuple[list[Place], Place | None]:
    """What is found, and where the walk ended; None at the way's end."""
    deadline = time.monotonic() + (WITH_OFFSET if with_offset else PATIENCE)
    at = (after.value, after.key) if after is not None else None
    descending = look.sort.descending
    if look.is_all(way) and not rest:
        entries = way.entries(look.connection, descending=descending, after=at, limit=needed)
        return [Place(rest=rest, value=value, key=key) for value, key in entries], None
    found: list[Place] = []
    while True:
        lines = way.matching(
            look.connection, where, (way.by, "key"), descending=descending, after=at, walk=STRIDE, limit=needed - len(found)
        )
        found += [Place(rest=rest, value=value, key=key) for value, key in lines]
        if len(found) == needed:
            return found, None
        last = way.entries(look.connection, descending=descending, after=at, limit=1, offset=STRIDE - 1)
        if not last:
            return found, None
        at = last[0]
        if time.monotonic() > deadline:
            return found, Place(rest=rest, value=at[0], key=at[1])


def _counted(look: _Look, way: Way) -> int:
    """How many there are, as far as can be counted in the time; at most COUNTED."""
    deadline = time.monotonic() + PATIENCE
    at: Entry | None = None
    total = 0
    while total < COUNTED and time.monotonic() < deadline:
        total += len(way.matching(look.connection, look.where, ("key",), descending=True, after=at, walk=STRIDE, limit=COUNTED))
        last = way.entries(look.connection, descending=True, after=at, limit=1, offset=STRIDE - 1)
        if not last:
            break
        at = last[0]
    return min(total, COUNTED)


def _runs(database: Database, connection: Connection, keys: Sequence[int]) -> tuple[Run, ...]:
    """In the order of their keys, without spans."""
    found: dict[int, Run] = {}
    for part in pieces(keys):
        condition, values = connection.within("r.key", part)
        found.update((line[0], run_of(database, line)) for line in connection.all(f"SELECT {RUN_READ} WHERE {condition}", values))
    return tuple(found[key] for key in keys if key in found)


def _written(place: Place | None, sort: Sort) -> str | None:
    if place is None:
        return None
    return base64.urlsafe_b64encode(msgspec.json.encode(_Cursor(sort.by, sort.descending, place))).decode().rstrip("=")


def _read(text: str, sort: Sort) -> Place:
    try:
        cursor = msgspec.json.decode(base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True), type=_Cursor)
    except (binascii.Error, msgspec.MsgspecError, ValueError) as error:
        raise ValueError("the cursor is none that a page gave") from error
    if (cursor.by, cursor.descending) != (sort.by, sort.descending):
        raise ValueError("the cursor is of a page that was sorted otherwise")
    return cursor.place
