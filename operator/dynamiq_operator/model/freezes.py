"""Evaluates freezes: whether one is in force at a moment, until when, and when that changes next.

A freeze by cron begins when the clock of its zone shows the time. It lasts for real time: clock changes make it neither longer nor shorter.
A start in a skipped hour happens at the change; in a repeated hour it happens once, the first time. Freezes of a policy that adjoin by the
clock still adjoin when the clock is set back (`recurrences`).
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
"""How far ahead the end of a freeze is searched: an endless one has none."""
SPANS = 512
"""Cached results of a policy."""
LOOKED_AT = 256
"""Changes that are followed from a moment on. If a row waited through more freezes, the first ones decide."""
KEPT = 256
"""Policies whose calendars are cached."""
_DURATION = re.compile("(?:([0-9]{1,5})h)?(?:([0-9]{1,5})m)?")


@dataclass(frozen=True)
class Frozen:
    """A freeze in force. `until`: its end merged with adjacent freezes; at least `AHEAD` later if they do not end."""

    name: str
    until: datetime


def check(freezes: Iterable[Freeze]) -> None:
    """Raises ValueError with a sentence for an invalid cron expression, time zone, duration or time."""
    for freeze in freezes:
        try:
            _times(freeze)
        except ValueError as error:
            raise ValueError(f"freeze {freeze.name}: {error}") from error


def frozen(freezes: Iterable[Freeze], now: datetime) -> Frozen | None:
    """Returns the freeze in force at `now`; None if none is. It begins in its first minute and is over in the minute of its end."""
    return _calendar(tuple(freezes)).at(now).frozen


def next_change(freezes: Iterable[Freeze], now: datetime) -> datetime | None:
    """Returns the first moment after `now` at which a freeze begins or ends; None if none does."""
    return _calendar(tuple(freezes)).at(now).until


def last_end(freezes: Sequence[Freeze], since: datetime, now: datetime) -> Frozen | None:
    """Returns the freeze that ended last, at `now` or before; None if none has.

    Only freezes in force at `since`, or that began later, count.
    """
    if not freezes:
        return None
    calendar, moment = _calendar(tuple(freezes)), since
    last: Frozen | None = None
    for _ in range(LOOKED_AT):
        on = calendar.frozen(moment)
        ahead = on.until if on is not None else calendar.next_start(moment)
        if ahead is None or ahead > now:
            break
        last, moment = on or last, ahead
    return last


class _Times(Protocol):
    """The times at which a freeze is in force."""

    def reaches(self, moment: datetime) -> datetime | None:
        """Returns the end of what has begun by `moment`; None if nothing has."""

    def next_start(self, after: datetime) -> datetime | None:
        """Returns the next start; None if there is none."""

    def covered(self, day: date, /) -> Covered:
        """Returns the spans that begin on a UTC day and last whole minutes. `reaches` covers the others, too."""


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
    """A result that holds from `since` until before `until`; without an end if that is None."""

    since: datetime
    until: datetime | None
    frozen: Frozen | None

    def has(self, moment: datetime) -> bool:
        return self.since <= moment and (self.until is None or moment < self.until)


class _Calendar:
    """The freezes of a policy. The last result is cached while it holds: every App of the policy needs it."""

    def __init__(self, freezes: tuple[Freeze, ...]) -> None:
        every = {freeze.name: _times(freeze) for freeze in freezes}
        recurrences = tuple(times for times in every.values() if isinstance(times, Recurrence))
        self._times = {
            name: replace(times, beside=recurrences) if isinstance(times, Recurrence) else times for name, times in every.items()
        }
        self._last: _Span | None = None
        # Waiting rows evaluate the same freezes one after the other, from the first end on.
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
    """Returns the moment when all freezes are over that are in force, or that begin before that."""
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
    """Parses a freeze. Raises ValueError."""
    if freeze.from_ is not None and freeze.to is not None:
        return _Once(parse_time(freeze.from_), parse_time(freeze.to))
    if freeze.cron is None or freeze.duration is None:
        raise ValueError("it has either from and to, or cron and duration")
    return Recurrence(cron.parse(" ".join(freeze.cron.split())), _zone(freeze.time_zone or "UTC"), _duration(freeze.duration))


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # OSError: a name such as Europe is a folder of zones
        raise ValueError(f"{name} is no time zone: use a name such as Europe/Berlin") from error


def _duration(text: str) -> timedelta:
    match = _DURATION.fullmatch(text)
    hours, minutes = (int(part or 0) for part in match.groups()) if match else (0, 0)
    if not hours and not minutes:
        raise ValueError(f"duration {text} is none: use hours and minutes, such as 62h, 90m or 1h30m")
    return timedelta(hours=hours, minutes=minutes)
