"""Rollups in their tables: what a tally adds to them, and lines that get other keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from dynamiq_recorder import sketch
from dynamiq_recorder.store.database import Cell, Connection, Lines, Wanted
from dynamiq_recorder.store.tally import KEY, MEASURES, NODE_KEY, NODE_MEASURES, Entry, Tally, merge


class Table(msgspec.Struct, frozen=True):
    """One of the two tables: its key, what a line has by name alone, and its measures; a sketch ends it."""

    name: str
    key: tuple[str, ...]
    beside: tuple[str, ...]
    measures: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.key, *self.beside, *self.measures, "sketch")


RUNS = Table("rollups", KEY, (), MEASURES)
NODES = Table("node_rollups", NODE_KEY, ("name",), NODE_MEASURES)


def apply(connection: Connection, tally: Tally) -> None:
    """Brings the tables to what they are with the tally. The last of a transaction: others wait for the rollups of these Apps."""
    if apps := tally.apps():
        _bring(connection, apps, {RUNS: dict(tally.runs()), NODES: tally.nodes}, tally.names)


def rekey(connection: Connection, table: Table, where: str, values: tuple[object, ...], other: Callable[[Cell], Cell]) -> None:
    """Gives lines other keys; where a line has that key already they are one."""
    lines = connection.all(f"SELECT {', '.join(table.columns)} FROM {table.name} WHERE {where}", values)  # noqa: S608 - our own names
    connection.do(f"DELETE FROM {table.name} WHERE {where}", values)  # noqa: S608 - our own names
    width = len(table.key)
    added: dict[Cell, Entry] = {}
    names: dict[Cell, str] = {}
    for line in lines:
        key = other(line[:width])
        *measures, data = line[width + len(table.beside) :]
        merge(added.setdefault(key, ([0] * len(measures), {})), measures, sketch.unpacked(data))
        if table.beside:
            names[key] = line[width]
    _bring(connection, sorted({key[0] for key in added}), {table: added}, names)


def _bring(connection: Connection, apps: Sequence[int], added: Mapping[Table, Mapping[Cell, Entry]], names: Mapping[Cell, str]) -> None:
    wanted = [Wanted(table.name, table.key, table.columns, sorted(entries)) for table, entries in added.items()]
    put = []
    for (table, entries), each, lines in zip(added.items(), wanted, connection.rollups(apps, wanted), strict=True):
        width, before = len(table.key), len(table.key) + len(table.beside)
        have = {line[:width]: line[before:] for line in lines}
        made, gone = [], []
        for key in each.keys:
            entry = entries[key]
            if (old := have.get(key)) is not None:
                merge(entry, list(old[:-1]), sketch.unpacked(old[-1]))
            if entry[0][0] > 0:
                made.append((*key, *((names[key],) if table.beside else ()), *entry[0], sketch.packed(entry[1])))
            elif old is not None:
                gone.append(key)
        put.append((Lines(table.name, table.columns, made), table.key))
        connection.take(table.name, table.key, gone)
    connection.put(put)
