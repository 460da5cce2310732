"""Reads a page of runs, or all runs of a filter.

Each part of a filter has a way to its runs in an index. If one way is short, all its entries are read; page and total are exact. If all are
long, the sparsest way in the page's order is walked until the page is full, or a reader's patience ends. The page's cursor leads to the
rest.
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
from dynamiq_recorder.store.loading import stored
from dynamiq_recorder.store.results import COUNTED, Page, Sort
from dynamiq_recorder.store.ways import COST, DURATION, STARTED, Entry, Way, asked, of_value, ways

PATIENCE = 0.04
"""Seconds in which a page is searched if no way is short, and as many in which its matches are counted."""
WITH_OFFSET = 2.0
"""The same for a page by its number, which has to find the runs before it, too."""
SHORT = 300
"""Entries that are read rather than searching for a shorter way."""
STRIDE = 2_000
"""Entries of a way that are read in one step."""

_Stored = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class Place(msgspec.Struct, frozen=True, array_like=True, order=True):
    """The position of a run in an order. In the order of cost, runs without one are the rest, in order of time."""

    rest: bool
    value: _Stored
    key: _Stored


class _Cursor(msgspec.Struct, frozen=True, array_like=True):
    by: str
    descending: bool
    place: Place


class _Search(msgspec.Struct, frozen=True):
    """A search, in one transaction."""

    connection: Connection
    where: Conditions
    parts: frozenset[str]
    ways: list[Way]
    sort: Sort
    app: int

    def is_all(self, way: Way) -> bool:
        """Returns True if all entries of the way are runs of the filter."""
        return self.parts <= way.covers


def page(
    database: Database,
    connection: Connection,
    selection: Filter,
    sort: Sort,
    *,
    limit: int,
    offset: int,
    cursor: str | None,
    content: bool,
) -> Page:
    """Implements Store.page."""
    if sort.by not in (STARTED, DURATION, COST):
        raise ValueError(f"sort by {STARTED}, {DURATION} or {COST}, got {sort.by}")
    after = _read(cursor, sort) if cursor is not None else None
    search = _new_search(connection, selection, sort)
    if search is None:
        return Page(runs=(), total=0, cursor=None)
    places, total, following = _page_of(search, after, limit, 0 if after is not None else offset)
    runs = _runs(database, connection, [place.key for place in places], content=content)
    return Page(runs=runs, total=total, cursor=_written(following, sort))


def every(database: Database, selection: Filter, *, content: bool) -> Iterator[Run]:
    """Implements Store.every, in pieces of one transaction each: a slow reader holds nothing."""
    sort, after = Sort(STARTED, descending=False), None
    while True:
        with database.reading() as connection:
            search = _new_search(connection, selection, sort)
            places, _, after = _page_of(search, after, COUNTED, 0) if search is not None else ([], 0, None)
        for part in pieces([place.key for place in places], MANY):
            with database.reading() as connection:
                by_key = {each.key: each.run for each in stored(database, connection, part, content=content)}
            yield from (by_key[key] for key in part if key in by_key)
        if after is None:
            return


def _new_search(connection: Connection, selection: Filter, sort: Sort) -> _Search | None:
    where, app = conditions(connection, selection), app_key(connection, selection.app_uid)
    if where is None or app is None:
        return None
    row = row_key(connection, selection.row_uid) if selection.row_uid is not None else None
    return _Search(connection, where, asked(selection), ways(connection, selection, app, row), sort, app)


def _page_of(search: _Search, after: Place | None, limit: int, offset: int) -> tuple[list[Place], int, Place | None]:
    """Returns the places of a page, how many there are in all, and the place after which the next page begins."""
    short: Way | None = None
    entries: list[Entry] = []
    sparsest, oldest = search.ways[-1], -1
    for way in search.ways:
        if short is not None and len(entries) < SHORT:
            break
        most = len(entries) if short is not None else COUNTED + 1
        some = way.entries(search.connection, descending=True, after=None, limit=most)
        if len(some) < most:
            short, entries = way, some
        elif way.by == STARTED and some and (oldest < 0 or some[-1][0] < oldest):
            sparsest, oldest = way, some[-1][0]
    if short is None:
        total = COUNTED if any(search.is_all(way) for way in search.ways) else _counted(search, sparsest)
        return _walked(search, sparsest, after, limit, offset, total)
    if not search.parts:
        return _walked(search, short, after, limit, offset, len(entries))
    places = sorted(_all_on(search, short, entries), key=lambda place: _order(place, search.sort))
    first = offset if after is None else sum(_order(place, search.sort) <= _order(after, search.sort) for place in places)
    chosen = places[first : first + limit]
    return chosen, min(len(places), COUNTED), chosen[-1] if chosen and first + limit < len(places) else None


def _all_on(search: _Search, way: Way, entries: Sequence[Entry]) -> list[Place]:
    if search.is_all(way) and way.by == search.sort.by == STARTED:
        return [Place(rest=False, value=value, key=key) for value, key in entries]
    columns = ("key", STARTED, search.sort.by)
    lines = way.matching(search.connection, search.where, columns, descending=True, after=None, walk=None, limit=COUNTED + 1)
    return [Place(rest=value is None, value=started if value is None else value, key=key) for key, started, value in lines]


def _order(place: Place, sort: Sort) -> tuple[bool, int, int]:
    return (place.rest, -place.value, -place.key) if sort.descending else (place.rest, place.value, place.key)


def _walked(
    search: _Search, sparsest: Way, after: Place | None, limit: int, offset: int, total: int
) -> tuple[list[Place], int, Place | None]:
    """Returns the same by a walk in the page's order: no way is short, or all runs are requested."""
    needed = offset + limit + 1
    matches: list[Place] = []
    until: Place | None = None
    if after is None or not after.rest:
        way = sparsest if search.sort.by == STARTED else of_value(search.connection, search.sort.by, search.app)
        matches, until = _walk(search, way, search.where, after, needed, rest=False, with_offset=offset > 0)
        after = None
    if search.sort.by == COST and len(matches) < needed and until is None:
        unpriced = Conditions()
        unpriced.add(f"{search.where.sql} AND r.cost IS NULL", *search.where.values)
        more, until = _walk(search, sparsest, unpriced, after, needed - len(matches), rest=True, with_offset=offset > 0)
        matches += more
    if len(matches) == needed:
        until = matches[-2]
    return matches[offset : offset + limit], max(total, min(len(matches), COUNTED)), until


def _walk(
    search: _Search, way: Way, where: Conditions, after: Place | None, needed: int, *, rest: bool, with_offset: bool
) -> tuple[list[Place], Place | None]:
    """Returns the places, and where the walk ended; None at the way's end."""
    deadline = time.monotonic() + (WITH_OFFSET if with_offset else PATIENCE)
    at = (after.value, after.key) if after is not None else None
    descending = search.sort.descending
    if search.is_all(way) and not rest:
        entries = way.entries(search.connection, descending=descending, after=at, limit=needed)
        return [Place(rest=rest, value=value, key=key) for value, key in entries], None
    matches: list[Place] = []
    while True:
        lines = way.matching(
            search.connection, where, (way.by, "key"), descending=descending, after=at, walk=STRIDE, limit=needed - len(matches)
        )
        matches += [Place(rest=rest, value=value, key=key) for value, key in lines]
        if len(matches) == needed:
            return matches, None
        last = way.entries(search.connection, descending=descending, after=at, limit=1, offset=STRIDE - 1)
        if not last:
            return matches, None
        at = last[0]
        if time.monotonic() > deadline:
            return matches, Place(rest=rest, value=at[0], key=at[1])


def _counted(search: _Search, way: Way) -> int:
    """Counts matches, as far as time allows; at most COUNTED."""
    deadline = time.monotonic() + PATIENCE
    at: Entry | None = None
    total = 0
    while total < COUNTED and time.monotonic() < deadline:
        total += len(way.matching(search.connection, search.where, ("key",), descending=True, after=at, walk=STRIDE, limit=COUNTED))
        last = way.entries(search.connection, descending=True, after=at, limit=1, offset=STRIDE - 1)
        if not last:
            break
        at = last[0]
    return min(total, COUNTED)


def _runs(database: Database, connection: Connection, keys: Sequence[int], *, content: bool) -> tuple[Run, ...]:
    """Returns runs in the order of `keys`, without spans."""
    by_key: dict[int, Run] = {}
    if content:
        by_key = {each.key: each.run for each in stored(database, connection, keys, content=True, spans=False)}
        return tuple(by_key[key] for key in keys if key in by_key)
    for part in pieces(keys):
        condition, values = connection.within("r.key", part)
        by_key.update((line[0], run_of(database, line)) for line in connection.all(f"SELECT {RUN_READ} WHERE {condition}", values))
    return tuple(by_key[key] for key in keys if key in by_key)


def _written(place: Place | None, sort: Sort) -> str | None:
    if place is None:
        return None
    return base64.urlsafe_b64encode(msgspec.json.encode(_Cursor(sort.by, sort.descending, place))).decode().rstrip("=")


def _read(text: str, sort: Sort) -> Place:
    try:
        cursor = msgspec.json.decode(base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True), type=_Cursor)
    except (binascii.Error, msgspec.MsgspecError, ValueError) as error:
        raise ValueError("use a cursor that a page returned") from error
    if (cursor.by, cursor.descending) != (sort.by, sort.descending):
        raise ValueError("the cursor belongs to a page with another order")
    return cursor.place
