"""Freezes over clock changes, minute by minute, compared with a reference that walks through every minute and has no notion of days."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from dynamiq_operator.model import freezes
from dynamiq_operator.model.policy import Freeze
from tests.support.history_stage import in_full

MINUTE, DAYS = timedelta(minutes=1), timedelta(days=8)
CHANGES = {
    "Europe/Berlin": ("2027-03-28T01:00", "2027-10-31T01:00"),
    "America/New_York": ("2027-03-14T07:00", "2027-11-07T06:00"),
    "Australia/Lord_Howe": ("2027-10-02T15:30", "2027-04-03T15:00"),  # by half an hour
    "America/Santiago": ("2027-09-05T04:00", "2027-04-04T03:00"),  # at midnight
    "Asia/Kolkata": ("2027-03-28T18:30", "2027-10-31T18:30"),  # none
}
"""Moments in UTC at which the clocks of a zone go forward, and back."""
BEFORE, AFTER = timedelta(hours=26), timedelta(hours=30)
JUMPS = 100 if in_full() else 10
"""Minutes that are evaluated out of order too. If the freeze never ends, each takes as long as a thousand in order."""
CRONS = (
    ("30 2 * * *", "45m"),
    ("30 1 * * 0", "3h"),
    ("0,15,30,45 0-3 * * *", "10m"),
    ("*/10 * * * *", "9m"),
    ("*/10 * * * *", "10m"),
    ("5 0 * * *", "1h"),
    ("45 23 * * 6", "4h30m"),
    ("0 17 * * 5", "62h"),
    ("* * * * *", "1m"),
    ("0 * * * *", "1h"),
    ("15 */6 * * *", "6h"),
    ("0 12 * * *", "24h"),
    ("30 4 * * 2", "168h"),
    ("59 23 1-7 * 0", "2m"),
)
SHARE = 10
"""`make test` runs each tenth schedule of a clock change, from another start for each change."""
SEED = 20270328


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def named(text: str, least: int, most: int) -> set[int]:
    """Returns the values of a cron field."""
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        begin, _, end = span.partition("-")
        first, last = (least, most) if begin == "*" else (int(begin), int(end or (most if step else begin)))
        found |= set(range(first, last + 1, int(step or 1)))
    return found


class Reference:
    """A freeze by cron, minute by minute in UTC over a time range, by local wall-clock time."""

    def __init__(self, cron: str, duration: str, zone: str, first: datetime, last: datetime) -> None:
        minute, hour, day, month, weekday = cron.split(" ")
        self._minutes, self._hours, self._months = named(minute, 0, 59), named(hour, 0, 23), named(month, 1, 12)
        self._days, self._weekdays, self._either = named(day, 1, 31), named(weekday, 0, 6), "*" not in (day, weekday)
        hours, _, minutes = duration.rpartition("h")
        self._lasts = timedelta(hours=int(hours or 0), minutes=int(minutes.removesuffix("m") or 0))
        self._filled: set[datetime] = set()
        self.on = {moment: on or moment in self._filled for moment, on in [*self._walk(ZoneInfo(zone), first, last)]}

    def _walk(self, zone: ZoneInfo, first: datetime, last: datetime) -> Iterator[tuple[datetime, bool]]:
        until = moment = first - self._lasts - timedelta(days=1)
        shown = moment.astimezone(zone).replace(tzinfo=None) - MINUTE
        started = shown - DAYS
        while moment < last + DAYS:
            local = moment.astimezone(zone)
            wall = local.replace(tzinfo=None, fold=0)
            minutes = [wall] if not local.fold else []
            while (shown := shown + MINUTE) < wall:
                minutes.append(shown)  # the clock never showed it
            shown = wall
            if any(self._starts(each) for each in minutes):
                if wall - started <= self._lasts:  # by the clock it was never over
                    self._filled |= {until + n * MINUTE for n in range((moment - until) // MINUTE)}
                until, started = moment + self._lasts, wall
            if first <= moment < last:
                yield moment, moment < until
            moment += MINUTE

    def _starts(self, wall: datetime) -> bool:
        is_day, is_weekday = wall.day in self._days, wall.isoweekday() % 7 in self._weekdays
        fits = (is_day or is_weekday) if self._either else (is_day and is_weekday)
        return fits and wall.minute in self._minutes and wall.hour in self._hours and wall.month in self._months


def differences(every: list[Freeze], on: dict[datetime, bool]) -> list[str]:
    """Returns the minutes for which the freezes differ from the expectation: in force or not, its end, or its next change."""
    found, changes, change = [], dict[datetime, datetime | None](), None
    last = next(reversed(on))
    for after, moment in itertools.pairwise([last, *reversed(on)]):
        change = after if on[after] is not on[moment] else change
        changes[moment] = change
    jumps = random.Random(SEED).sample(list(on), JUMPS)  # noqa: S311
    for moment in (*on, *jumps):
        says, change = freezes.frozen(every, moment), changes[moment]
        if (says is not None) is not on[moment]:
            found.append(f"{moment}: {says}")
        elif change is not None and says is not None and says.until != change:
            found.append(f"{moment}: until {says.until} and not {change}")
        elif change is not None and len(every) == 1 and freezes.next_change(every, moment) != change:
            found.append(f"{moment}: next {freezes.next_change(every, moment)} and not {change}")
    return found


def drawn(draw: random.Random) -> tuple[str, str]:
    minute = draw.choice(["0", "30", "7", "*", "*/20", "15,45", "50-59", "10/25"])
    hour = draw.choice(["0", "1", "2", "3", "23", "*", "*/2", "1-3", "0,2", "22-23"])
    day, weekday = draw.choice([("*", "*"), ("*", "*"), ("*", "0"), ("*", "5-6"), ("1-7", "*"), ("28", "1"), ("*/2", "0"), ("1/3", "*/2")])
    return f"{minute} {hour} {day} {draw.choice(['*', '*', '3-11'])} {weekday}", draw.choice(["1m", "20m", "60m", "1h30m", "13h", "25h"])


@pytest.mark.full_count
@pytest.mark.parametrize("zone", CHANGES)
@pytest.mark.parametrize("change", [0, 1], ids=["forward", "back"])
def test_a_freeze_by_cron_is_in_force_at_the_minutes_of_the_reference(zone: str, change: int) -> None:
    """Each schedule is tested at one of the ten clock changes; with SOAK=1 at all of them."""
    first, last = at(CHANGES[zone][change]) - BEFORE, at(CHANGES[zone][change]) + AFTER
    offsets = {moment.astimezone(ZoneInfo(zone)).utcoffset() for moment in (first, last)}
    assert len(offsets) == (1 if zone == "Asia/Kolkata" else 2), "the clocks change at another time"
    draw = random.Random(f"{SEED} {zone} {change}")  # noqa: S311
    every = (*CRONS, *(drawn(draw) for _ in CRONS))
    turn = list(CHANGES).index(zone) + len(CHANGES) * change
    for cron, duration in every if in_full() else every[turn % SHARE :: SHARE]:
        reference = Reference(cron, duration, zone, first, last)
        freeze = Freeze(name="f", cron=cron, duration=duration, time_zone=zone)
        assert differences([freeze], reference.on)[:3] == [], f"{cron} for {duration} in {zone}, seed {SEED}"


@pytest.mark.parametrize("zone", CHANGES)
@pytest.mark.parametrize("change", [0, 1], ids=["forward", "back"])
def test_freezes_that_overlap_or_follow_each_other_end_with_the_last(zone: str, change: int) -> None:
    """One freeze has two fixed times, in the zone's own offsets, across the change; two others are by cron."""
    moment, local = at(CHANGES[zone][change]), ZoneInfo(zone)
    first, last = moment - BEFORE, moment + AFTER
    begin, end = ((moment + timedelta(minutes=minutes)).astimezone(local) for minutes in (-95, 40))
    crons = (("*/30 1 * * *", "20m"), ("20 2 * * *", "4h"))
    references = [Reference(cron, duration, zone, first, last) for cron, duration in crons]
    on = {each: begin <= each < end or any(reference.on[each] for reference in references) for each in references[0].on}
    every = [Freeze(name="once", from_=begin.isoformat(), to=end.isoformat())]
    every += [Freeze(name=f"f{number}", cron=cron, duration=duration, time_zone=zone) for number, (cron, duration) in enumerate(crons)]
    assert differences(every, on)[:3] == []


@pytest.mark.parametrize("zone", CHANGES)
@pytest.mark.parametrize("change", [0, 1], ids=["forward", "back"])
@pytest.mark.parametrize(
    ("crons", "is_gapless"),
    [
        ((("0 0-2 * * *", "1h"), ("0 3-23 * * *", "1h")), True),
        ((("0 0 * * *", "2h"), ("0 2 * * *", "22h")), True),
        ((("0 1 * * *", "2h"), ("0 3 * * *", "20h"), ("0 23 * * *", "2h")), True),
        ((("0 1 * * *", "1h"), ("0 4 * * *", "19h")), False),
    ],
    ids=["hours", "two windows", "three windows", "with a hole"],
)
def test_freezes_that_are_gapless_together_are_so_over_a_change(
    zone: str, change: int, crons: tuple[tuple[str, str], ...], is_gapless: bool
) -> None:
    first, last = at(CHANGES[zone][change]) - BEFORE, at(CHANGES[zone][change]) + AFTER
    references = [Reference(cron, duration, zone, first, last) for cron, duration in crons]
    on = {each: is_gapless or any(reference.on[each] for reference in references) for each in references[0].on}
    every = [Freeze(name=f"f{number}", cron=cron, duration=duration, time_zone=zone) for number, (cron, duration) in enumerate(crons)]
    assert differences(every, on)[:3] == []
