"""Times that begin by a cron expression in a time zone, and last for some real time.

The fields are those of a CronJob (`cron`), which users know from triggers; no library has just these, and what a library does about a
change of the clocks is its own. Here a start in an hour that is skipped comes at the moment at which the clock jumps, and one in an hour
that comes twice comes once, at its first. Windows that follow each other without a gap by the clock have none when it is set back, either.

The starts of a day are the bits of an integer, one for each minute: whoever writes a policy may name every minute of every year.
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
"""Of a day."""
RARE = timedelta(days=9 * 366)
"""Within which there is a start of every cron expression: 29 February comes after eight years at most."""
ALL = (1 << MINUTES) - 1


class Covered(NamedTuple):
    """What windows that begin on a day of UTC cover. `minutes`: bits; `end`: of the last window, in minutes from midnight, 0 where none begins."""

    minutes: int
    end: int


@dataclass(frozen=True)
class Recurrence:
    """Windows without an end of their number. `beside`: others, which may follow these without a gap by the clock."""

    schedule: Schedule
    zone: ZoneInfo
    duration: timedelta
    beside: tuple[Recurrence, ...] = ()

    def reaches(self, moment: datetime) -> datetime | None:
        """Returns until when the last window lasts that has begun by a moment, or a later time; None where it is over by then."""
        last = self._last_start(moment)
        if last is None:
            return None
        if last + self.duration > moment:
            return last + self.duration
        back = self._offset(last) - self._offset(moment)
        if moment < last + self.duration + back:  # by the clock, which was set back, it is not over yet
            starts = (each.next_start(moment) for each in (self, *self.beside))
            following = min((start for start in starts if start is not None), default=None)
            if following is not None and following - last - (self._offset(last) - self._offset(following)) <= self.duration:
                return following
        return None

    def next_start(self, after: datetime) -> datetime | None:
        """Returns the first start after a moment."""
        day, minute = _split(after)
        last, bits = day + RARE, self._starts(day) >> (minute + 1) << (minute + 1)
        while not bits and day < last:
            day += DAY
            if day.day > 1 and day.month not in self.schedule.months:  # the last of a month is the first of the next one somewhere
                day = day.replace(day=calendar.monthrange(day.year, day.month)[1])
            bits = self._starts(day)
        return _at(day, _first_bit(bits)) if bits else None

    def covered(self, day: date, /) -> Covered:
        """Returns what the windows cover that begin on a day of UTC."""
        return _covered(self._starts(day), self.duration // MINUTE)

    def _last_start(self, moment: datetime) -> datetime | None:
        """Returns the last start by a moment; None where a window from there is over in any case."""
        day, minute = _split(moment)
        first, bits = _split(moment - self.duration)[0] - DAY, self._starts(day) & ((2 << minute) - 1)
        while not bits and day > first:
            day -= DAY
            if day.month not in self.schedule.months and (day + DAY).month == day.month:
                day = day.replace(day=1)
            bits = self._starts(day)
        return _at(day, bits.bit_length() - 1) if bits else None

    def _starts(self, day: date) -> int:
        """Returns the minutes of a day of UTC in which a window begins: those of three days of the zone may."""
        return (self._local(day - DAY) >> 2 * MINUTES | self._local(day) >> MINUTES | self._local(day + DAY)) & ALL

    def _local(self, day: date) -> int:
        """Returns the minutes in which a window of a day of the zone begins, from the midnight of UTC before that day on."""
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
        """The minutes that the expression names of a day."""
        return sum(1 << (60 * hour + minute) for hour in self.schedule.hours for minute in self.schedule.minutes)

    def _offset(self, moment: datetime) -> timedelta:
        return moment.astimezone(self.zone).utcoffset() or timedelta()


class _Clock(NamedTuple):
    """How a zone's clock goes on a day: its distance from UTC, in minutes, before and after the minute of the day at which it is changed."""

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
    """Returns until when windows that begin on a moment's day cover it without a gap, and whether they go on on the next day."""
    day, minute = _split(moment)
    every, end = 0, MINUTES
    for each in covered:
        every, end = every | each.minutes, max(end, each.end)
    minute += _first_bit(~(every >> minute))
    return (_at(day, end), end < 2 * MINUTES) if minute == MINUTES else (max(moment, _at(day, minute)), False)


def _first_bit(bits: int) -> int:
    return (bits & -bits).bit_length() - 1


def _split(moment: datetime) -> tuple[date, int]:
    """Returns the day of UTC, and the minute in it."""
    utc = moment.astimezone(UTC)
    return utc.date(), 60 * utc.hour + utc.minute


def _at(day: date, minute: int) -> datetime:
    return datetime.combine(day, time(), UTC) + minute * MINUTE
