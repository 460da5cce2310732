"""Counts the inputs of new runs by App, day, row and caller: runs, and of each top-level field how many had which type. It keeps no value.

Runs whose row is not known yet count in row 0 and stay there. Runs that people delete stay counted, since only names are kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import msgspec

from dynamiq_recorder.model import MICROSECONDS, MORE, Run, RunShape
from dynamiq_recorder.store.database import Cell, Connection, Lines, Wanted
from dynamiq_recorder.store.filters import app_key
from dynamiq_recorder.store.results import CallerFields, CountedShapes
from dynamiq_recorder.store.tally import HOUR

TABLE, KEY = "run_shapes", ("app_key", "at", "row_key", "key_name", "trigger_name")
COLUMNS = (*KEY, "runs", "left_out", "field_counts")
DAY = 86_400
NAMES_MOST, SHARE = 1_000, 8
"""Most names that an App has on a day. A caller may add a name while it has less than an eighth of what is left of them."""
OWN_MOST, CELLS_MOST = 256, 20_000
"""Most names of a caller on a day, also names that others send; and most names in all lines of an App's day. All lines are read at once."""
CALLERS_MOST, LINES_MOST = 1_100, 1_100
"""Most callers that an App has on a day, and lines from which on each caller has one line, whatever the rows of its runs."""
OTHERS = (0, MORE, "")
"""The row, key and trigger of runs of all further callers."""
_READ = f"SELECT {', '.join(COLUMNS)} FROM {TABLE}"  # noqa: S608 - our own names
_RECORDED = (
    "SELECT coalesce(sum(runs), 0) FROM rollups WHERE app_key = ? AND width = ? AND at >= ? AND (row_key <> 0 OR workflow_version <> '')"
)
"""Counts runs of pods: runs of other senders have no row and no version."""

Gathered = dict[Cell, Counter[RunShape]]
"""How many new runs have which shape, by the keys of lines."""


class _Line(msgspec.Struct):
    """A line's counts. `left_out`: runs of which not all names are counted. `fields`: by name and type."""

    runs: int = 0
    left_out: int = 0
    fields: dict[str, dict[str, int]] = {}

    def add(self, shape: RunShape, runs: int, takes: Callable[[str], bool]) -> None:
        """Adds runs of one shape. `takes`: decides about a name that is new to this line."""
        is_whole = not shape.has_more
        for name, kind in shape.fields:
            if name in self.fields or takes(name):
                kinds = self.fields.setdefault(name, {})
                kinds[kind] = kinds.get(kind, 0) + runs
            else:
                is_whole = False
        self.runs += runs
        self.left_out += 0 if is_whole else runs

    def merge(self, other: _Line) -> None:
        self.runs, self.left_out = self.runs + other.runs, self.left_out + other.left_out
        for name, counts in other.fields.items():
            kinds = self.fields.setdefault(name, {})
            for kind, count in counts.items():
                kinds[kind] = kinds.get(kind, 0) + count


class _Day:
    """The lines of an App's day, with the names of each caller."""

    def __init__(self, lines: Mapping[Cell, _Line]) -> None:
        self._lines, self._names = len(lines), set[str]()
        self._cells = sum(len(line.fields) for line in lines.values())
        self._places = {key[3:]: key for key in lines}
        self._own: dict[Cell, set[str]] = {caller: set() for caller in self._places}
        for key, line in lines.items():
            self._own[key[3:]].update(line.fields)
            self._names.update(line.fields)

    def place(self, key: Cell) -> Cell:
        """Returns the key under which runs count whose line is new. A deploy must not use up the lines of callers that come later."""
        known = self._places.get(key[3:])
        if known is None and len(self._places) >= CALLERS_MOST:
            return (*key[:2], *OTHERS)
        if known is not None and self._lines >= LINES_MOST:
            return known
        self._lines, self._places[key[3:]] = self._lines + 1, key
        return key

    def takes(self, caller: Cell, name: str) -> bool:
        """Returns True if a caller's name is counted, and notes it then."""
        own = self._own.setdefault(caller, set())
        has_share = name in self._names or SHARE * len(own) < NAMES_MOST - len(self._names)
        if self._cells >= CELLS_MOST or not (name in own or (has_share and len(own) < OWN_MOST)):
            return False
        self._cells += 1
        own.add(name)
        self._names.add(name)
        return True


def gather(into: Gathered, run: Run, app: int, row: int | None) -> None:
    """Adds a new run, if it has a shape."""
    if (shape := run.shape) is not None:
        key = (app, run.started_at // (DAY * MICROSECONDS) * DAY, row or 0, shape.key, shape.trigger)
        into.setdefault(key, Counter())[shape] += 1


def apply(connection: Connection, gathered: Gathered) -> None:
    """Adds new runs to the table. It takes the locks of the rollups, so it comes directly before or after them."""
    if not gathered:
        return
    lines = _lines(connection, list(gathered))
    days: dict[Cell, _Day] = {}
    for key, shapes in gathered.items():
        # All lines of a day are read only if one of them gets a name, or is new.
        if key[:2] not in days and (key not in lines or any(_is_new(shape, lines[key]) for shape in shapes)):
            of_day = _parsed(connection.all(f"{_READ} WHERE app_key = ? AND at = ?", key[:2]))
            lines |= of_day
            days[key[:2]] = _Day(of_day)
    changed: dict[Cell, _Line] = {}
    for key in sorted(gathered):
        place = key if key in lines else days[key[:2]].place(key)
        line = changed[place] = lines.setdefault(place, _Line())
        for shape, runs in gathered[key].items():
            line.add(shape, runs, lambda name, place=place: days[place[:2]].takes(place[3:], name))  # type: ignore[misc] # of a default
    _put(connection, changed)


def rekey(connection: Connection, where: str, values: tuple[object, ...], other: Callable[[Cell], Cell]) -> None:
    """Gives lines other keys. A line whose new key exists already is merged with that line."""
    moved = _parsed(connection.all(f"{_READ} WHERE {where}", values))
    connection.do(f"DELETE FROM {TABLE} WHERE {where}", values)  # noqa: S608 - our own names
    if moved:
        have = _lines(connection, [other(key) for key in moved])
        for key, line in moved.items():
            have.setdefault(other(key), _Line()).merge(line)
        _put(connection, have)


def read(connection: Connection, app_uid: str, since: int, fields: Sequence[str] | None) -> CountedShapes:
    """Implements Store.shapes."""
    app = app_key(connection, app_uid)
    recorded = int(connection.all(_RECORDED, (app, HOUR, since))[0][0])
    callers: dict[Cell, _Line] = {}
    days = connection.all(f"SELECT DISTINCT at FROM {TABLE} WHERE app_key = ? AND at >= ?", (app, since)) if fields is not None else ()  # noqa: S608
    for (day,) in days:  # one at a time: the names of many callers take much memory
        for key, line in _parsed(connection.all(f"{_READ} WHERE app_key = ? AND at = ?", (app, day))).items():
            line.fields = {name: line.fields[name] for name in fields or () if name in line.fields}
            callers.setdefault(key[3:], _Line()).merge(line)
    ordered = sorted(callers.items(), key=lambda each: (-each[1].runs, each[0]))
    return CountedShapes(
        recorded=recorded,
        callers=tuple(
            CallerFields(key=key, trigger=trigger, runs=line.runs, left_out=line.left_out, fields=line.fields)
            for (key, trigger), line in ordered
        ),
    )


def delete(connection: Connection, app: int | None, until: int) -> int:
    """Deletes the lines of an App's days that began before a time, in seconds."""
    return connection.do(f"DELETE FROM {TABLE} WHERE app_key = ? AND at < ?", (app, until))  # noqa: S608 - our own names


def _is_new(shape: RunShape, line: _Line) -> bool:
    return any(name not in line.fields for name, _ in shape.fields)


def _lines(connection: Connection, keys: Sequence[Cell]) -> dict[Cell, _Line]:
    """Returns the lines of these keys. They stay as they are until the end, as the rollups of their Apps do."""
    apps = sorted({key[0] for key in keys})
    return _parsed(connection.rollups(apps, [Wanted(TABLE, KEY, COLUMNS, sorted(set(keys)))])[0])


def _parsed(lines: Sequence[Cell]) -> dict[Cell, _Line]:
    decode = msgspec.json.Decoder(dict[str, dict[str, int]]).decode
    return {(*key,): _Line(runs, left_out, decode(fields)) for *key, runs, left_out, fields in lines}


def _put(connection: Connection, lines: Mapping[Cell, _Line]) -> None:
    made = [(*key, line.runs, line.left_out, msgspec.json.encode(line.fields).decode()) for key, line in lines.items()]
    connection.put([(Lines(TABLE, COLUMNS, made), KEY)])
