"""Selects the open rows of an App that one reconcile reads, so that a pass ends soon however many there are. It parses none.

Among rows that wait for a number, the oldest are selected. At each later stage, the oldest and the newest are: the turn or deadline of the
oldest is next, and the newest decide what runs.
"""

from __future__ import annotations

import heapq
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass

from dynamiq_operator.model import ownership
from dynamiq_operator.model.names import natural
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.row import Result

ROWS_MOST = 20
"""Rows of one stage that a pass reads, from each end."""


@dataclass(frozen=True)
class RowWindow:
    """The rows of one pass. `more`: whether further rows wait for a number."""

    rows: tuple[Manifest, ...]
    more: bool = False


def of_app(rows: Iterable[Manifest], held: Container[str] = frozenset()) -> RowWindow:
    """Returns the rows of an App that exists. `held`: names of rows whose write was refused lately, which delay no others."""
    new: list[Manifest] = []
    refused: list[Manifest] = []
    stages: tuple[list[Manifest], ...] = ([], [], [])
    for row in rows:
        spec = row["spec"]
        if "outcome" in spec:
            stages[0].append(row)
        elif "pinned" in spec:
            stages[1].append(row)
        elif "sequence" in spec:
            stages[2].append(row)
        else:
            (refused if row["metadata"]["name"] in held else new).append(row)
    chosen = [row for stage in stages for row in _ends(stage)]
    waiting = (*_oldest(new, ROWS_MOST), *_oldest(refused, ROWS_MOST))
    return RowWindow((*chosen, *_live(stages[0], chosen), *waiting), more=len(new) > ROWS_MOST)


def without_app(rows: Iterable[Manifest]) -> RowWindow:
    """Returns the rows of a missing App: first those whose status does not report that they wait, then those that wait longest."""
    silent: list[Manifest] = []
    waiting: list[Manifest] = []
    for row in rows:
        condition = next(iter((row.get("status") or {}).get("conditions") or ()), None)
        if condition is None:
            silent.append(row)
        elif condition.get("status") == "Unknown":
            waiting.append(row)
    return RowWindow((*_oldest(silent, ROWS_MOST), *_oldest(waiting, ROWS_MOST)), more=len(silent) > ROWS_MOST)


def is_new(row: Manifest) -> bool:
    """Returns True if no operator has taken the row yet: it has neither a number nor an owner."""
    return "sequence" not in row["spec"] and ownership.is_nobodys(row)


def _ends(rows: Sequence[Manifest]) -> Sequence[Manifest]:
    if len(rows) <= 2 * ROWS_MOST:
        return rows
    return [*heapq.nsmallest(ROWS_MOST, rows, _sequence), *heapq.nlargest(ROWS_MOST, rows, _sequence)]


def _live(ended: Sequence[Manifest], chosen: Sequence[Manifest]) -> Iterator[Manifest]:
    """Yields the newest row that succeeded, unless it was chosen already."""
    succeeded = [row for row in ended if (row["spec"]["outcome"] or {}).get("result") == Result.SUCCEEDED]
    if succeeded and not any(max(succeeded, key=_sequence) is row for row in chosen):
        yield max(succeeded, key=_sequence)


def _oldest(rows: Sequence[Manifest], most: int) -> Sequence[Manifest]:
    if len(rows) <= most:
        return rows
    # Natural order costs much, so only rows that may be among them are sorted by name.
    last = heapq.nsmallest(most, map(_created, rows))[-1]
    early = [row for row in rows if _created(row) <= last]
    return heapq.nsmallest(most, early, lambda row: (_created(row), natural(row["metadata"]["name"])))


def _created(row: Manifest) -> str:
    return row["metadata"].get("creationTimestamp") or ""


def _sequence(row: Manifest) -> int:
    return row["spec"].get("sequence") or 0
