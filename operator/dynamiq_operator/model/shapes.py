"""The recorder's answer about shapes: which callers sent which fields of their runs' inputs, by number. No value is among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

UNSHAPED_PART = 10
"""One in this many runs may lack a shape before the count is unknown."""


@dataclass(frozen=True)
class CallerShapes:
    """The runs of one caller: those with one Access Key and one trigger. `key`, `trigger`: None if it used none; `…`: callers beyond the limit.

    `others`: runs of which not all names are counted, which may have sent any field. `fields`: by name of a field and JSON type, how many
    runs sent it; of asked fields only.
    """

    key: str | None
    trigger: str | None
    runs: int
    others: int
    fields: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Shapes:
    """The shapes of an App's recent runs. `enabled`: False if the App records none (spec.runs.shapes).

    `days`: in UTC, the last one of which is today. `recorded`: all runs of its pods in these days; `runs`: those with a shape. `callers`: most
    runs first.
    """

    enabled: bool
    days: int
    recorded: int
    runs: int
    callers: tuple[CallerShapes, ...]

    @property
    def unshaped(self) -> int:
        """How many runs lack a shape; 0 if they are few."""
        missing = max(self.recorded - self.runs, 0)
        return missing if missing * UNSHAPED_PART > self.recorded else 0

    @classmethod
    def of(cls, data: Any) -> Shapes:
        """Parses the `data` of the recorder's answer. Raises ValueError for what is none."""
        try:
            callers = tuple(
                CallerShapes(
                    _name(each.get("key")),
                    _name(each.get("trigger")),
                    int(each["runs"]),
                    int(each.get("others", 0)),
                    {str(name): {str(kind): int(runs) for kind, runs in types.items()} for name, types in each.get("fields", {}).items()},
                )
                for each in data["callers"]
            )
            return cls(data["enabled"] is True, int(data["days"]), int(data["recorded"]), int(data["runs"]), callers)
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError("no answer about shapes") from error


def counted_runs(count: int) -> str:
    """Returns a number of runs in words: `1 run`, `1,000 runs`."""
    return f"{count:,} run{'' if count == 1 else 's'}"


def _name(value: Any) -> str | None:
    return str(value)[:256] or None if value is not None else None
