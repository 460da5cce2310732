"""Freezes: the allowed ones of a policy, the one in force, its end, and the cost of finding it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import FrameType
from typing import Any

import pytest

from dynamiq_operator.model import cron, freezes
from dynamiq_operator.model.policy import Freeze

FRIDAY_EVENING = Freeze(name="weekend", cron="0 17 * * 5", duration="62h", time_zone="Europe/Berlin")
YEAR_END = Freeze(name="year-end", from_="2026-12-20T00:00:00+01:00", to="2027-01-04T07:00:00+01:00")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def in_force(every: list[Freeze], moment: str) -> tuple[str, str] | None:
    found = freezes.frozen(every, at(moment))
    return (found.name, found.until.strftime("%Y-%m-%dT%H:%M")) if found is not None else None


def test_it_begins_in_its_first_minute_and_is_over_in_the_minute_of_its_end() -> None:
    """17:00 in Berlin is 16:00 UTC in winter; 62 hours later it is Monday, 07:00."""
    assert in_force([FRIDAY_EVENING], "2026-12-04T15:59:59.999999") is None
    assert in_force([FRIDAY_EVENING], "2026-12-04T16:00") == ("weekend", "2026-12-07T06:00")
    assert in_force([FRIDAY_EVENING], "2026-12-07T05:59:59.999999") == ("weekend", "2026-12-07T06:00")
    assert in_force([FRIDAY_EVENING], "2026-12-07T06:00") is None
    assert in_force([YEAR_END], "2026-12-19T22:59") is None
    assert in_force([YEAR_END], "2026-12-19T23:00") == ("year-end", "2027-01-04T06:00")
    assert in_force([YEAR_END], "2027-01-04T06:00") is None


def test_until_is_the_end_of_what_follows_without_a_gap_and_the_first_that_is_on_gives_its_name() -> None:
    """The year-end freeze ends during a weekend freeze that lasts until Monday, when a night freeze follows."""
    night = Freeze(name="night", cron="0 6 4 1 *", duration="2h")
    assert in_force([FRIDAY_EVENING, YEAR_END, night], "2026-12-30T12:00") == ("year-end", "2027-01-04T08:00")
    assert in_force([FRIDAY_EVENING, YEAR_END, night], "2027-01-02T12:00") == ("weekend", "2027-01-04T08:00")


def test_the_next_change_is_the_first_beginning_or_end_of_any_of_them() -> None:
    every = [FRIDAY_EVENING, YEAR_END]
    changes, moment = list[str](), at("2026-12-16T00:00")
    while (change := freezes.next_change(every, moment)) is not None and len(changes) < 7:
        changes.append(change.strftime("%a %d %H"))
        moment = change
    assert changes == ["Fri 18 16", "Sat 19 23", "Mon 21 06", "Fri 25 16", "Mon 28 06", "Fri 01 16", "Mon 04 06"]
    assert freezes.next_change([YEAR_END], at("2027-01-04T06:00")) is None
    assert freezes.next_change([], moment) is None


def test_a_rare_day_is_found_and_an_endless_freeze_is_reported_a_year_ahead() -> None:
    leap = Freeze(name="leap", cron="0 0 29 2 *", duration="24h", time_zone="Asia/Kolkata")
    assert freezes.next_change([leap], at("2096-03-01T00:00")) == at("2104-02-28T18:30")
    always = Freeze(name="always", cron="* * * * *", duration="1m")
    assert freezes.frozen([always], at("2026-12-04T00:00")) == freezes.Frozen("always", at("2027-12-05T00:00"))
    long = Freeze(name="long", cron="0 0 1 1 *", duration="8000h")
    assert in_force([long], "2027-06-01T00:00") == ("long", "2027-11-30T08:00")


@pytest.mark.parametrize(
    ("cron", "duration"),
    [("0 * * * *", "1h"), ("* * * * *", "1m"), ("0 0 * * *", "24h"), ("0 0,12 * * *", "12h"), ("0 9 * * 3", "168h")],
)
def test_a_freeze_without_a_gap_by_the_clock_has_none_when_it_is_set_back(cron: str, duration: str) -> None:
    """In Berlin 2026-10-25 has 25 hours."""
    always = Freeze(name="always", cron=cron, duration=duration, time_zone="Europe/Berlin")
    hours = [at("2026-10-24T00:00") + timedelta(minutes=30 * half) for half in range(48 * 6)]
    assert [each for each in hours if freezes.frozen([always], each) is None] == []
    found = freezes.frozen([always], hours[0])
    assert found is not None
    assert found.until - hours[0] >= freezes.AHEAD
    assert freezes.last_end([always], hours[0], hours[-1]) is None


def test_a_freeze_with_a_gap_by_the_clock_has_a_longer_one_when_it_is_set_back() -> None:
    nights = Freeze(name="nights", cron="0 22 * * *", duration="8h", time_zone="Europe/Berlin")
    assert in_force([nights], "2026-10-24T21:00") == ("nights", "2026-10-25T04:00")
    assert in_force([nights], "2026-10-25T20:59") is None


@pytest.mark.parametrize(
    ("freeze", "says"),
    [
        ({"cron": "0 25 * * *", "duration": "1h"}, "hour 25: use 0 to 23"),
        ({"cron": "0 0 31 2 *", "duration": "1h"}, "no month 2 has such a day"),
        ({"cron": "0 0 * * 7", "duration": "1h"}, "day of week 7: use 0 to 6 or SUN to SAT"),
        ({"cron": "0 0 * * *", "duration": "1h", "time_zone": "Europe/Atlantis"}, "Europe/Atlantis is no time zone"),
        ({"cron": "0 0 * * *", "duration": "1h", "time_zone": "Europe"}, "Europe is no time zone"),
        ({"cron": "0 0 * * *", "duration": "1h", "time_zone": "../../etc/passwd"}, "../../etc/passwd is no time zone"),
        ({"cron": "0 0 * * *", "duration": "1h", "time_zone": "/etc/localtime"}, "/etc/localtime is no time zone"),
        ({"cron": "0 0 * * *", "duration": "0h0m"}, "duration 0h0m is none"),
        ({"cron": "0 0 * * *", "duration": "a day"}, "duration a day is none"),
        ({"cron": "0 0 * * *"}, "it has either from and to, or cron and duration"),
        ({"from_": "soon", "to": "2027-01-01T00:00:00Z"}, "soon"),
    ],
)
def test_an_invalid_freeze_is_refused_with_its_name(freeze: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match="freeze f: ") as refused:
        freezes.check([FRIDAY_EVENING, Freeze(name="f", **freeze)])
    assert says in str(refused.value)


def test_a_valid_freeze_is_accepted() -> None:
    freezes.check([FRIDAY_EVENING, YEAR_END, Freeze(name="f", cron="0  0  *  *  MON-FRI", duration="90m")])


@pytest.mark.parametrize(
    ("text", "day", "has"),
    [
        ("0 0 13 * *", "2026-11-13", True),
        ("0 0 13 * *", "2026-11-14", False),
        ("0 0 13 * 5", "2026-11-20", True),
        ("0 0 13 * 5", "2026-11-13", True),
        ("0 0 13 * 5", "2026-11-12", False),
        ("0 0 */2 * 1", "2026-11-16", True),
        ("0 0 */1 * 1", "2026-11-17", False),
        ("0 0 ? 11 1", "2026-11-16", True),
        ("0 0 ? 12 1", "2026-11-16", False),
        ("0 0 1-31 * 1", "2026-11-17", True),
    ],
)
def test_days_are_those_of_a_cron_job(text: str, day: str, has: bool) -> None:
    """If both day and weekday are set, either suffices; github.com/robfig/cron counts `*` with a step above 1 as set."""
    assert cron.parse(text).has(datetime.fromisoformat(day).date()) is has


def cost(ask: Callable[[], object], most: int) -> int:
    """Returns the number of function calls, which does not depend on how busy the machine is. Fails above `most`."""
    calls = 0

    def count(_frame: FrameType, event: str, _arg: Any) -> None:
        nonlocal calls
        calls += event == "call"
        assert calls <= most

    sys.setprofile(count)
    try:
        ask()
    finally:
        sys.setprofile(None)
    return calls


def test_to_ask_again_costs_next_to_nothing() -> None:
    """Every App of a policy evaluates its freezes at every reconcile, and so does every waiting row."""
    every = tuple(Freeze(name=f"f{number}", cron=f"*/7 {number % 24} * * *", duration="5m") for number in range(32))
    moment = at("2026-12-04T03:01")
    began = moment - timedelta(days=30)
    freezes.frozen(every, moment)
    freezes.last_end(every, began, moment)
    cost(lambda: (freezes.frozen(every, moment + timedelta(seconds=30)), freezes.next_change(every, moment)), 200)
    cost(lambda: freezes.last_end(every, began, moment), 200)
    cost(lambda: freezes.last_end(every, began + timedelta(seconds=30), moment), 2000)


@pytest.mark.parametrize(
    "crons",
    [["* * * * *"] * 32, ["*/2 * * * *", "1-59/2 * * * *"], [f"* * {day} * *" for day in range(1, 32)]],
    ids=["32 of every minute", "every other minute", "each day of its own"],
)
def test_freezes_that_never_end_together_are_found_to_be_on_at_a_bounded_cost(crons: list[str]) -> None:
    """A policy may have a freeze for every minute of a year, and each evaluation delays all Apps."""
    every = tuple(Freeze(name=f"f{number}", cron=cron, duration="1m") for number, cron in enumerate(crons))
    moment = at("2026-12-04T03:01")
    cost(lambda: (freezes.frozen(every, moment), freezes.last_end(every, moment, moment + timedelta(days=30))), 600_000)
    found = freezes.frozen(every, moment)
    assert found is not None
    assert found.until - moment >= freezes.AHEAD
