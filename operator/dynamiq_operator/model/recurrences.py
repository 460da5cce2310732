"""Computes time windows that start by a cron expression in a time zone and last for real time.

The fields are those of a CronJob (`cron`), which users know from triggers. No library has exactly these, and libraries handle clock changes
in their own ways. Here a start in a skipped hour happens when the clock jumps; in a repeated hour it happens once, the first time. Windows
that adjoin by the clock have no gap when it is set back.

The starts of a day are the bits of an integer, one for each minute: a policy may name every minute of every year.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property, lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from dynamiq_operator.model.cron import Schedule

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
MINUTES = 1440
"""Minutes of a day."""
RARE = timedelta(days=9 * 366)
"""A time within which every cron expression has a start: 29 February returns after eight years at most."""
ALL = (1 << MINUTES) - 1


class Covered(NamedTuple):
    """The time covered by windows that begin on a UTC day.

    `minutes`: bits. `end`: the end of the last window in minutes from midnight; 0 if none begins.
    """

    minutes: int
    end: int


@dataclass(frozen=True)
class Recurrence:
    """Endlessly recurring windows. `beside`: other windows, which may adjoin these by the clock."""

    schedule: Schedule
    zone: ZoneInfo
    duration: timedelta
    beside: tuple[Recurrence, ...] = ()

    def reaches(self, moment: datetime) -> datetime | None:
        """Returns the end of the last window that has begun by `moment`, or a later time; None if that window is over by then."""
        last = self._last_start(moment)
        if last is None:
            return None
        if last + self.duration > moment:
            return last + self.duration
        back = self._offset(last) - self._offset(moment)
        if moment < last + self.duration + back:  # by the clock, which was set back, the window is not over yet
            starts = (each.next_start(moment) for each in (self, *self.beside))
            following = min((start for start in starts if start is not None), default=None)
            if following is not None and following - last - (self._offset(last) - self._offset(following)) <= self.duration:
                return following
        return None

    def next_start(self, after: datetime) -> datetime | None:
        """Returns the first start after a moment; None if there is none."""
        day, minute = _split(after)
        last, bits = day + RARE, self._starts(day) >> (minute + 1) << (minute + 1)
        while not bits and day < last:
            day += DAY
            if (
                day.day > 1 and day.month not in self.schedule.months
            ):  # in some zones the last UTC day of a month is already the first of the next
                day = day.replace(day=calendar.monthrange(day.year, day.month)[1])
            bits = self._starts(day)
        return _at(day, _first_bit(bits)) if bits else None

    def covered(self, day: date, /) -> Covered:
        """Returns the time covered by windows that begin on a UTC day."""
        return _covered(self._starts(day), self.duration // MINUTE)

    def _last_start(self, moment: datetime) -> datetime | None:
        """Returns the last start by `moment`; None if a window from there is over in any case."""
        day, minute = _split(moment)
        first, bits = _split(moment - self.duration)[0] - DAY, self._starts(day) & ((2 << minute) - 1)
        while not bits and day > first:
            day -= DAY
            if day.month not in self.schedule.months and (day + DAY).month == day.month:
                day = day.replace(day=1)
            bits = self._starts(day)
        return _at(day, bits.bit_length() - 1) if bits else None

    def _starts(self, day: date) -> int:
        """Returns the minutes of a UTC day in which a window begins, from the three days of the zone that overlap it."""
        return (self._local(day - DAY) >> 2 * MINUTES | self._local(day) >> MINUTES | self._local(day + DAY)) & ALL

    def _local(self, day: date) -> int:
        """Returns the minutes in which windows of a day of the zone begin, counted from the UTC midnight before that day."""
        if not self.schedule.has(day):
            return 0
        clock = _clock(self.zone, day)
        begin, end = clock.change, max(clock.change, min(clock.change + clock.after - clock.before, MINUTES))
        bits = (self._minutes & ((1 << begin) - 1)) << (MINUTES - clock.before)
        if self._minutes >> begin & ((1 << (end - begin)) - 1):
            bits |= 1 << (MINUTES - clock.before + begin)
        return bits | self._minutes >> end << (end + MINUTES - clock.after)

    @cached_property
    def _minutes(self) -> int:
        """The minutes of a day that the expression names."""
        return sum(1 << (60 * hour + minute) for hour in self.schedule.hours for minute in self.schedule.minutes)

    def _offset(self, moment: datetime) -> timedelta:
        return moment.astimezone(self.zone).utcoffset() or timedelta()


class _Clock(NamedTuple):
    """The clock of a zone on one day: its UTC offsets in minutes, before and after the minute of the day at which it changes."""

    before: int
    after: int
    change: int


@lru_cache(maxsize=4096)
def _clock(zone: ZoneInfo, day: date) -> _Clock:
    midnights = [datetime.combine(each, time(), zone) for each in (day, day + DAY)]
    before, after = ((each.utcoffset() or timedelta()) // MINUTE for each in midnights)
    if before == after:
        return _Clock(before, after, MINUTES)
    begin, end = (each.astimezone(UTC) for each in midnights)
    least, most = 0, (end - begin) // MINUTE
    while least < most:
        middle = (least + most) // 2
        is_before = ((begin + middle * MINUTE).astimezone(zone).utcoffset() or timedelta()) // MINUTE == before
        least, most = (middle + 1, most) if is_before else (least, middle)
    return _Clock(before, after, min(least, MINUTES))


@lru_cache(maxsize=4096)
def _covered(starts: int, length: int) -> Covered:
    minutes, reached = starts, 1
    while reached < min(length, MINUTES):
        step = min(reached, length - reached)
        minutes, reached = (minutes | minutes << step) & ALL, reached + step
    return Covered(minutes, starts.bit_length() - 1 + length if starts else 0)


def followed(moment: datetime, covered: list[Covered]) -> tuple[datetime, bool]:
    """Returns until when windows beginning on the day of `moment` cover it without a gap; and True if the next day may continue it."""
    day, minute = _split(moment)
    every, end = 0, MINUTES
    for each in covered:
        every, end = every | each.minutes, max(end, each.end)
    minute += _first_bit(~(every >> minute))
    return (_at(day, end), end < 2 * MINUTES) if minute == MINUTES else (max(moment, _at(day, minute)), False)


def _first_bit(bits: int) -> int:
    return (bits & -bits).bit_length() - 1


def _split(moment: datetime) -> tuple[date, int]:
    """Returns the UTC day, and the minute in it."""
    utc = moment.astimezone(UTC)
    return utc.date(), 60 * utc.hour + utc.minute


def _at(day: date, minute: int) -> datetime:
    return datetime.combine(day, time(), UTC) + minute * MINUTE
