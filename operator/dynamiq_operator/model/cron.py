"""Parses cron expressions of five fields like a CronJob of Kubernetes (github.com/robfig/cron, ParseStandard)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LENGTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
EVERY = ("*", "?")


class CronError(ValueError):
    """The text is no cron expression; the message names the field and what it allows."""


@dataclass(frozen=True)
class _Field:
    name: str
    least: int
    most: int
    names: dict[str, int] = field(default_factory=dict)

    @property
    def allowed(self) -> str:
        words = [*self.names]
        return f"{self.least} to {self.most}" + (f" or {words[0].upper()} to {words[-1].upper()}" if words else "")

    def values(self, text: str) -> set[int]:
        """Returns the values of a field. Raises CronError."""
        chosen: set[int] = set()
        for part in text.split(","):
            span, has_step, step = part.partition("/")
            every = self._step(part, step) if has_step else 1
            if span in EVERY:
                least, most = self.least, self.most
            else:
                begin, is_range, end = span.partition("-")
                least = self._value(part, begin)
                most = self._value(part, end) if is_range else self.most if has_step else least
            if least > most:
                raise CronError(f"{self.name} {part}: the range ends before it begins")
            chosen.update(range(least, most + 1, every))
        return chosen

    def _step(self, part: str, text: str) -> int:
        if not _is_number(text) or int(text) < 1:
            raise CronError(f"{self.name} {part}: after / stands a number from 1")
        return int(text)

    def _value(self, part: str, text: str) -> int:
        value = int(text) if _is_number(text) else self.names.get(text.lower())
        if value is None or not self.least <= value <= self.most:
            raise CronError(f"{self.name} {part}: use {self.allowed}")
        return value


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    _Field("day of week", 0, 6, {name: number for number, name in enumerate(_DAYS)}),
)


@dataclass(frozen=True)
class Schedule:
    """A parsed cron expression. `by_both`: True if a day must match both `days` and `weekdays`, since one of them is every day."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    by_both: bool

    def has(self, day: date) -> bool:
        """Returns True if there are times on this day."""
        is_day, is_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return day.month in self.months and ((is_day and is_weekday) if self.by_both else (is_day or is_weekday))


def parse(text: str) -> Schedule:
    """Parses a cron expression. Raises CronError for a text that is none, or that names only days that no year has."""
    parts = text.split(" ")
    if len(parts) != len(_FIELDS):
        raise CronError("a schedule has five fields with one space between: minute, hour, day of month, month, day of week")
    minutes, hours, days, months, weekdays = (each.values(part) for each, part in zip(_FIELDS, parts, strict=True))
    if _is_any(parts[4]) and all(min(days) > _LENGTHS[month - 1] for month in months):
        raise CronError(f"day of month {parts[2]}: no month {parts[3]} has such a day")
    by_both = _is_any(parts[2]) or _is_any(parts[4])
    return Schedule(tuple(sorted(minutes)), tuple(sorted(hours)), frozenset(days), frozenset(months), frozenset(weekdays), by_both)


def _is_any(text: str) -> bool:
    """Returns True if a field is open. A step above one closes it, and so does a range of all values."""
    return any(part in EVERY or (part.partition("/")[0] in EVERY and part.partition("/")[2] == "1") for part in text.split(","))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 4
