"""Decides which row a run belongs to: by its App, its pins and the time at which it began. It reads no store.

`store.writing` attaches each run by these periods as it arrives; `store.reattribution` moves runs when a row becomes known later.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import msgspec

BEGIN, END = -(1 << 62), 1 << 62
"""Times before and after all others."""


class Times(msgspec.Struct, frozen=True):
    """The times of a row that decide which runs belong to it."""

    key: int
    sequence: int
    began: int
    succeeded: bool | None
    ended: int | None


class Periods:
    """Periods of time, each with the row to which runs belong that started in it.

    A run that started at t belongs to the newest row that succeeded and ended at t or before. Without one, it belongs to the newest that
    was progressing at t: it began before and had not ended. Without that, it belongs to the newest that began before, whose pods are still
    ending. Before all of them it belongs to the first: no pod is older than that row, so the node's clock is behind the API server's.
    """

    def __init__(self, rows: Iterable[Times]) -> None:
        rows = list(rows)
        succeeded = sorted((row.ended, row.sequence, row.key) for row in rows if row.succeeded and row.ended is not None)
        first = succeeded[0][0] if succeeded else END
        self.starts: list[int] = []
        self.keys: list[int | None] = []
        if rows:
            self._begin(BEGIN, min(rows, key=lambda row: (row.began, row.sequence)).key)
        edges = {row.began for row in rows} | {row.ended for row in rows if row.ended is not None}
        for edge in sorted(edge for edge in edges if edge < first):
            self._begin(edge, _before_success(rows, edge, self.keys[-1]))
        newest = (-1, -1)
        for ended, sequence, key in succeeded:
            newest = max(newest, (sequence, key))
            self._begin(ended, newest[1])

    def _begin(self, at: int, key: int | None) -> None:
        if self.starts and self.starts[-1] == at:
            self.keys[-1] = key
        elif (self.keys[-1] if self.keys else None) != key:
            self.starts.append(at)
            self.keys.append(key)

    def at(self, time: int) -> int | None:
        """Returns the key of the row of a run that started then; None without rows."""
        place = bisect_right(self.starts, time)
        return self.keys[place - 1] if place else None

    def all(self) -> Iterator[tuple[int, int, int | None]]:
        """Yields since, until and the row's key; together they cover all times."""
        edges = sorted({BEGIN, *self.starts, END})
        for since, until in pairwise(edges):
            yield since, until, self.at(since)


def _before_success(rows: Sequence[Times], time: int, otherwise: int | None) -> int | None:
    """Returns the key of the row at a time at which none has succeeded."""
    began = [row for row in rows if row.began <= time]
    progressing = [row for row in began if row.ended is None or row.ended > time]
    newest = max(progressing or began, key=lambda row: row.sequence, default=None)
    return newest.key if newest is not None else otherwise


def changed(before: Periods, after: Periods) -> Iterator[tuple[int, int, int | None]]:
    """Yields the periods in which runs belong to another row than before, and that row."""
    edges = sorted({BEGIN, END, *before.starts, *after.starts})
    for since, until in pairwise(edges):
        row = after.at(since)
        if row != before.at(since):
            yield since, until, row
