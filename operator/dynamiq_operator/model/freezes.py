"""Freezes as times: whether one is on, until when, and when that changes next.

A freeze by cron begins when the clock of its zone shows the time, and lasts for real time: a change of the clocks makes none longer or
shorter. A start that the clocks jump over comes at the jump; one in an hour that comes twice comes once, at its first. One that follows the
one before, or another of the same policy, without a gap by the clock follows it so when the clock is set back (`recurrences`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo

from dynamiq_operator.model import cron
from dynamiq_operator.model.manifests import parse_time
from dynamiq_operator.model.policy import Freeze
from dynamiq_operator.model.recurrences import Covered, Recurrence, followed

AHEAD = timedelta(days=366)
"""How far ahead the end of a freeze is looked for: what is on for ever has none."""
SPANS = 512
"""Answers that are kept of a policy."""
LOOKED_AT = 256
"""Changes that are followed from a moment on: of so many freezes that a row has waited through the first ones decide."""
KEPT = 256
"""Policies of which it is kept until when nothing changes."""
_DURATION = re.compile("(?:([0-9]{1,5})h)?(?:([0-9]{1,5})m)?")


@dataclass(frozen=True)
class Frozen:
    """A freeze that is on. `until`: the end of it, or of the last of those that follow it without a gap; at least `AHEAD` where none ends."""

    name: str
    until: datetime


def check(freezes: Iterable[Freeze]) -> None:
    """Raises ValueError, in a sentence, where a cron expression, a time zone, a duration or a time is none."""
    for freeze in freezes:
        try:
            _times(freeze)
        except ValueError as error:
            raise ValueError(f"freeze {freeze.name}: {error}") from error


def frozen(freezes: Iterable[Freeze], now: datetime) -> Frozen | None:
    """The freeze that is on at `now`; None where none is. It begins in its first minute and is over in the minute of its end."""
    return _calendar(tuple(freezes)).at(now).frozen


def next_change(freezes: Iterable[Freeze], now: datetime) -> datetime | None:
    """The first moment after `now` at which a freeze begins or ends; None where none ever does again."""
    return _calendar(tuple(freezes)).at(now).until


def last_end(freezes: Sequence[Freeze], since: datetime, now: datetime) -> Frozen | None:
    """Of the freezes that were on at `since`, or have begun after it, the one that ended last, at `now` or before; None where none has."""
    if not freezes:
        return None
    calendar, moment = _calendar(tuple(freezes)), since
    found: Frozen | None = None
    for _ in range(LOOKED_AT):
        on = calendar.frozen(moment)
        ahead = on.until if on is not None else calendar.next_start(moment)
        if ahead is None or ahead > now:
            break
        found, moment = on or found, ahead
    return found


class _Times(Protocol):
    """When a freeze is on."""

    def reaches(self, moment: datetime) -> datetime | None:
        """Returns when what has begun by a moment ends; None where nothing has."""

    def next_start(self, after: datetime) -> datetime | None:
        """Returns when it begins next; None where it never does again."""

    def covered(self, day: date, /) -> Covered:
        """Returns what is covered, as far as it begins on a day of UTC and lasts whole minutes: `reaches` knows of all."""


@dataclass(frozen=True)
class _Once:
    begin: datetime
    end: datetime

    def reaches(self, moment: datetime) -> datetime | None:
        return self.end if self.begin <= moment else None

    def next_start(self, after: datetime) -> datetime | None:
        return self.begin if self.begin > after else None

    def covered(self, _day: date, /) -> Covered:
        return Covered(0, 0)


@dataclass(frozen=True)
class _Span:
    """What is so from `since` on, and before `until`, where that ever ends."""

    since: datetime
    until: datetime | None
    frozen: Frozen | None

    def has(self, moment: datetime) -> bool:
        return self.since <= moment and (self.until is None or moment < self.until)


class _Calendar:
    """The freezes of a policy. What was found last is kept for as long as it is so: every App of the policy asks for it."""

    def __init__(self, freezes: tuple[Freeze, ...]) -> None:
        every = {freeze.name: _times(freeze) for freeze in freezes}
        recurrences = tuple(times for times in every.values() if isinstance(times, Recurrence))
        self._times = {
            name: replace(times, beside=recurrences) if isinstance(times, Recurrence) else times for name, times in every.items()
        }
        self._last: _Span | None = None
        # Rows that wait look at the same freezes, one after the other, from the first end on.
        self.frozen, self.next_start = lru_cache(SPANS)(self._frozen), lru_cache(SPANS)(self._next_start)

    def at(self, moment: datetime) -> _Span:
        span = self._last
        if span is None or not span.has(moment):
            span = self._last = self.found(moment)
        return span

    def found(self, moment: datetime) -> _Span:
        changes = [_end(moment, times) if _is_on(times, moment) else times.next_start(moment) for times in self._times.values()]
        until = min((change for change in changes if change is not None), default=None)
        return _Span(moment, until, self.frozen(moment))

    def _frozen(self, moment: datetime) -> Frozen | None:
        name = next((name for name, times in self._times.items() if _is_on(times, moment)), None)
        return Frozen(name, _end(moment, *self._times.values())) if name is not None else None

    def _next_start(self, after: datetime) -> datetime | None:
        starts = (times.next_start(after) for times in self._times.values())
        return min((start for start in starts if start is not None), default=None)


_calendar = lru_cache(maxsize=KEPT)(_Calendar)


def _is_on(times: _Times, moment: datetime) -> bool:
    end = times.reaches(moment)
    return end is not None and end > moment


def _end(moment: datetime, *every: _Times) -> datetime:
    """When all of them are over that are on, or begin before that."""
    until = moment
    while until - moment < AHEAD:
        further = max((end for times in every if (end := times.reaches(until)) is not None), default=until)
        if further <= until:
            break
        until, goes_on = further, True
        while goes_on and until - moment < AHEAD:
            until, goes_on = followed(until, [times.covered(until.date()) for times in every])
    return until


def _times(freeze: Freeze) -> _Once | Recurrence:
    """Raises ValueError."""
    if freeze.from_ is not None and freeze.to is not None:
        return _Once(parse_time(freeze.from_), parse_time(freeze.to))
    if freeze.cron is None or freeze.duration is None:
        raise ValueError("it has either from and to, or cron and duration")
    return Recurrence(cron.parse(" ".join(freeze.cron.split())), _zone(freeze.time_zone or "UTC"), _duration(freeze.duration))


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # OSError: of a name such as Europe, which is a folder of zones
        raise ValueError(f"{name} is no time zone: use a name such as Europe/Berlin") from error


def _duration(text: str) -> timedelta:
    found = _DURATION.fullmatch(text)
    hours, minutes = (int(part or 0) for part in found.groups()) if found else (0, 0)
    if not hours and not minutes:
        raise ValueError(f"duration {text} is none: use hours and minutes, such as 62h, 90m or 1h30m")
    return timedelta(hours=hours, minutes=minutes)
