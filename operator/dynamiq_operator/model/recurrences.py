"""Times that begin by a cron expression in a time zone, and last for some real time.

The fields are those of a CronJob (`cron`), which users know from triggers; no library has just these, and what a library does about a
change of the clocks is its own. Here a start in an hour that is skipped comes at the moment at which the clock jumps, and one in an hour
that comes twice comes once, at its first. Days are looked at, and not minutes: on all but those of a change, starts have the same times.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import TypeVar
from zoneinfo import ZoneInfo

from dynamiq_operator.model.cron import Schedule

DAY = timedelta(days=1)
RARE = timedelta(days=9 * 366)
"""Within which there is a start of every cron expression: 29 February comes after eight years at most."""
Window = tuple[datetime, datetime]
"""From a moment, until another one, both of UTC."""


@dataclass(frozen=True)
class Recurrence:
    """Windows without an end of their number."""

    schedule: Schedule
    zone: ZoneInfo
    duration: timedelta

    def reaches(self, moment: datetime) -> datetime | None:
        """The latest end of the windows that have begun by a moment, and of those that follow without a gap on the same day; None of none.

        Of windows that were over `duration` ago nothing is said.
        """
        last, first = moment.astimezone(self.zone).date(), (moment - self.duration).astimezone(self.zone).date() - DAY
        for day in self._days(last, first, -DAY):
            begun = [end for begin, end in self._windows(day) if begin <= moment]
            if begun:
                return begun[-1]
        return None

    def next_start(self, after: datetime) -> datetime | None:
        """The first start after a moment."""
        first = after.astimezone(self.zone).date()
        for day in self._days(first, first + RARE, DAY):
            starts = [begin for begin, _ in self._windows(day) if begin > after]
            if starts:
                return starts[0]
        return None

    def _days(self, first: date, last: date, step: timedelta) -> Iterator[date]:
        """Days that have starts, one after the other; months without any are passed over."""
        day = first
        while day <= last if step > timedelta() else day >= last:
            if day.month in self.schedule.months:
                if self.schedule.has(day):
                    yield day
                day += step
            elif step > timedelta():
                day = day.replace(day=calendar.monthrange(day.year, day.month)[1]) + DAY
            else:
                day = day.replace(day=1) - DAY

    def _windows(self, day: date) -> tuple[Window, ...]:
        """Those that begin on a day of the zone, in order; what follows without a gap is one."""
        midnight = datetime.combine(day, time(), self.zone)
        if midnight.utcoffset() == datetime.combine(day + DAY, time(), self.zone).utcoffset():
            from_utc = midnight.astimezone(UTC)
            return tuple((from_utc + begin, from_utc + end) for begin, end in self._of_most_days)
        return tuple(_merged((self._moment(datetime.combine(day, at)) for at in self._times), self.duration))

    @cached_property
    def _times(self) -> tuple[time, ...]:
        return tuple(time(hour, minute) for hour in self.schedule.hours for minute in self.schedule.minutes)

    @cached_property
    def _of_most_days(self) -> tuple[tuple[timedelta, timedelta], ...]:
        """The same since midnight, of a day on which the clocks stay as they are."""
        return tuple(_merged((timedelta(hours=at.hour, minutes=at.minute) for at in self._times), self.duration))

    def _moment(self, local: datetime) -> datetime:
        """The first moment at which the zone's clock shows this, or is past it."""
        until, since = (local.replace(tzinfo=self.zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        if until.astimezone(self.zone).replace(tzinfo=None) == local:
            return until
        offset = since.astimezone(self.zone).utcoffset()  # as it is before the jump, which comes after `since`, and by `until`
        while until - since > timedelta(seconds=1):
            middle = since + (until - since) // 2
            since, until = (middle, until) if middle.astimezone(self.zone).utcoffset() == offset else (since, middle)
        return until.replace(microsecond=0)


T = TypeVar("T", datetime, timedelta)


def _merged(starts: Iterable[T], duration: timedelta) -> Iterator[tuple[T, T]]:
    """Windows from starts, which are in order."""
    begin: T | None = None
    end: T | None = None
    for start in starts:
        if begin is not None and end is not None and start > end:
            yield begin, end
            begin = None
        begin, end = begin if begin is not None else start, start + duration
    if begin is not None and end is not None:
        yield begin, end
