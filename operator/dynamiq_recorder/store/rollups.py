"""Writes rollups to their tables: what a tally adds to them, and lines that get other keys. It computes no sums of runs."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

import msgspec

from dynamiq_recorder import sketch
from dynamiq_recorder.store.database import Cell, Connection, Lines, Wanted
from dynamiq_recorder.store.tally import HOUR, KEY, MEASURES, NODE_KEY, NODE_MEASURES, SKETCHES, Entry, Tally, merge


class Table(msgspec.Struct, frozen=True):
    """One of the two tables: its key, columns that are names alone, its measures, and its sketches at the end.

    `named`: columns of the key that senders choose. `most`: how many such names of an App's hour have lines; later ones count as OTHER.
    `hours`: SQL that selects lines of hours.
    """

    name: str
    key: tuple[str, ...]
    beside: tuple[str, ...]
    measures: tuple[str, ...]
    sketches: tuple[str, ...]
    named: tuple[str, ...]
    most: int
    hours: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.key, *self.beside, *self.measures, *self.sketches)

    def entry(self, values: Sequence[Any]) -> Entry:
        """Returns the entry of a line's measures and sketches."""
        count = len(self.measures)
        return list(values[:count]), sketch.joined(values[count:])


OTHER = "other"
FULL = "others/{table}/{app}/{hour}"
"""Note of an hour that had no room for more names. Its value is the hour."""
FULL_OF = "others/{table}/{app}/%"
TRIGGERS, NODES_AND_MODELS = 100, 500
RUNS = Table("rollups", KEY, (), MEASURES, SKETCHES, ("trigger_name",), TRIGGERS, f" AND width = {HOUR}")
NODES = Table("node_rollups", NODE_KEY, ("name",), NODE_MEASURES, SKETCHES[:1], ("node_id", "model"), NODES_AND_MODELS, "")


def apply(connection: Connection, tally: Tally) -> None:
    """Adds a tally to the tables. It is the last of a transaction: others wait for the rollups of these Apps."""
    if apps := tally.apps():
        _merge_lines(connection, apps, {RUNS: dict(tally.runs()), NODES: tally.nodes}, tally.names, bounded=True)


def rekey(connection: Connection, table: Table, where: str, values: tuple[object, ...], other: Callable[[Cell], Cell]) -> None:
    """Gives lines other keys. A line whose new key exists already is merged with that line."""
    lines = connection.all(f"SELECT {', '.join(table.columns)} FROM {table.name} WHERE {where}", values)  # noqa: S608 - our own names
    connection.do(f"DELETE FROM {table.name} WHERE {where}", values)  # noqa: S608 - our own names
    width = len(table.key)
    added: dict[Cell, Entry] = {}
    names: dict[Cell, str] = {}
    for line in lines:
        key = other(line[:width])
        merge(added.setdefault(key, ([0] * len(table.measures), {})), *table.entry(line[width + len(table.beside) :]))
        if table.beside:
            names[key] = line[width]
    _merge_lines(connection, sorted({key[0] for key in added}), {table: added}, names)


def _merge_lines(
    connection: Connection,
    apps: Sequence[int],
    added: Mapping[Table, Mapping[Cell, Entry]],
    names: Mapping[Cell, str],
    *,
    bounded: bool = False,
) -> None:
    selections = [Wanted(table.name, table.key, table.columns, sorted(entries)) for table, entries in added.items()]
    existing = [
        {line[: len(table.key)]: line[len(table.key) :] for line in lines}
        for table, lines in zip(added, connection.rollups(apps, selections), strict=True)
    ]
    if bounded and any(others := [_others(connection, table, added[table], have) for table, have in zip(added, existing, strict=True)]):
        folded = {table: _folded(entries, other) for (table, entries), other in zip(added.items(), others, strict=True)}
        _merge_lines(connection, apps, folded, {**names, **{new: OTHER for other in others for new in other.values()}})
        return
    put = []
    for (table, entries), each, have in zip(added.items(), selections, existing, strict=True):
        width, before = len(table.key), len(table.key) + len(table.beside)
        made, gone = [], []
        for key in each.keys:
            entry = entries[key]
            beside: Cell = (names[key],) if table.beside and key in names else ()
            if (old := have.get(key)) is not None:
                merge(entry, *table.entry(old[before - width :]))
                beside = beside or old[: before - width]
            if entry[0][0] > 0:
                made.append((*key, *beside, *entry[0], *sketch.parted(entry[1], len(table.sketches))))
            elif old is not None:
                gone.append(key)
        put.append((Lines(table.name, table.columns, made), table.key))
        connection.take(table.name, table.key, gone)
    connection.put(put)


def _others(connection: Connection, table: Table, entries: Mapping[Cell, Entry], existing: Container[Cell]) -> dict[Cell, Cell]:
    """Returns the keys that replace those with names for which there is no room.

    A name that has a line in the hour keeps it. A name without one, of which something is subtracted, was among the others. Once an hour
    had no room, no name gets a new line there, even if there is room again.
    """
    places = [table.key.index(name) for name in table.named]
    # An hour that had no room stays closed to new names: runs of these may be among the others already.
    at = table.key.index("at")
    by_hour: dict[tuple[int, int], dict[Cell, bool]] = {}
    known: set[tuple[int, int, Cell]] = set()
    for key, (measures, _) in entries.items():
        app, hour, names = key[0], key[at] // HOUR * HOUR, tuple(key[place] for place in places)
        if key in existing:
            known.add((app, hour, names))
        elif names[0]:
            comes = by_hour.setdefault((app, hour), {})
            comes[names] = comes.get(names, True) and measures[0] > 0
    new = {hour: {names: comes for names, comes in each.items() if (*hour, names) not in known} for hour, each in by_hour.items()}
    missing = {hour: each for hour, each in new.items() if each}
    if not missing:
        return {}
    sql = f"SELECT DISTINCT {', '.join(table.named)} FROM {table.name} WHERE app_key = ?{table.hours} AND at = ?"  # noqa: S608
    notes = {hour: FULL.format(table=table.name, app=hour[0], hour=hour[1]) for hour in missing}
    noted = "SELECT 1 FROM notes WHERE name = ?"
    lines = connection.ask([*((sql, hour) for hour in missing), *((noted, (note,)) for note in notes.values())])
    over: set[tuple[int, int, Cell]] = set()
    full: dict[str, int] = {}
    for hour, there_are, is_full in zip(missing, lines, lines[len(missing) :], strict=False):
        have = set(there_are)
        for names, is_added in missing[hour].items():
            if names not in have and is_added and not is_full and len(have) < table.most:
                have.add(names)
            elif names not in have:
                over.add((*hour, names))
                if is_added and not is_full:
                    full[notes[hour]] = hour[1]
    connection.tell("INSERT INTO notes (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING", list(full.items()))
    others: dict[Cell, Cell] = {}
    for key in entries if over else ():
        if (key[0], key[at] // HOUR * HOUR, tuple(key[place] for place in places)) in over:
            others[key] = tuple(OTHER if place in places and value else value for place, value in enumerate(key))
    return others


def _folded(entries: Mapping[Cell, Entry], others: Mapping[Cell, Cell]) -> dict[Cell, Entry]:
    made: dict[Cell, Entry] = {}
    for key, entry in entries.items():
        new = others.get(key, key)
        if new in made:
            merge(made[new], *entry)
        else:
            made[new] = (list(entry[0]), dict(entry[1]))
    return made
