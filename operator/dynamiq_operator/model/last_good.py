"""The last good row: what a rollback that names nothing brings back, whoever asks, and what the operator restores in place of a bad version."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from dynamiq_operator.model.record import Result


@dataclass(frozen=True)
class Ran:
    """A pinned row. `pair`: its flow and its runtime, to be compared. `restored`: the sequence of the row that it brought back."""

    name: str
    sequence: int
    pair: Any
    restored: int | None = None
    result: str | None = None


def current(rows: Iterable[Ran]) -> Ran | None:
    """What is live, or being rolled out now. `rows`: newest first."""
    return next((row for row in rows if row.result in (None, Result.SUCCEEDED)), None)


def last_good(rows: Sequence[Ran], bad: Collection[str] = ()) -> Ran | None:
    """The newest row that went Live with another pair than the current one; None where there is none. `rows`: newest first.

    `bad`: names of rows whose version is known to be bad: none of them is brought back.

    Where the current one brought an older row back, only what is older still counts: a second rollback goes further back, and never
    forth again.
    """
    now = current(rows)
    if now is None:
        return None
    before = origin(now, rows)
    return next(
        (row for row in rows if row.result == Result.SUCCEEDED and row.sequence < before and row.pair != now.pair and row.name not in bad),
        None,
    )


def origin(row: Ran, rows: Iterable[Ran]) -> int:
    """The sequence of the row that a row brought back, or, where that one brought one back as well, of that one, and so on; else its own."""
    by_sequence = {each.sequence: each for each in rows}
    sequence = row.sequence
    found: Ran | None = row
    while found is not None and found.restored is not None and found.restored < sequence:
        sequence = found.restored
        found = by_sequence.get(sequence)
    return sequence
