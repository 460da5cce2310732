"""Freezes as times: whether one is on, until when, and when that changes next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from dynamiq_operator.model.manifests import parse_time
from dynamiq_operator.model.policy import Freeze


@dataclass(frozen=True)
class Frozen:
    """A freeze that is on. `until`: the end of it, or of the last of those that follow it without a gap."""

    name: str
    until: datetime


def check(freezes: Iterable[Freeze]) -> None:
    """Raises ValueError, in a sentence, where a cron expression or a time zone is none."""


def frozen(freezes: Iterable[Freeze], now: datetime) -> Frozen | None:
    """The freeze that is on at `now`; None where none is. It begins in its first minute and is over in the minute of its end."""
    for freeze in freezes:
        if freeze.from_ is not None and freeze.to is not None and parse_time(freeze.from_) <= now < parse_time(freeze.to):
            return Frozen(freeze.name, parse_time(freeze.to))
    return None


def next_change(freezes: Iterable[Freeze], now: datetime) -> datetime | None:
    """The first moment after `now` at which a freeze begins or ends; None where none ever does again."""
    times = [parse_time(time) for freeze in freezes for time in (freeze.from_, freeze.to) if time is not None]
    return min((time for time in times if time > now), default=None)
