"""When a trigger runs, from a body to the App's spec."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from dynamiq_operator.model import cron, triggers
from dynamiq_operator.model.objects import format_time
from dynamiq_operator.rest.http.errors import HttpProblem, invalid_field
from dynamiq_operator.rest.triggers.requests import TriggerConfig

Trigger = dict[str, Any]
"""A trigger as the App's spec has it."""


def check_name(others: list[Trigger], shown: str) -> None:
    if any(triggers.shown_name(other) == shown for other in others):
        raise HttpProblem(409, f"the App has a trigger named {shown} already: use another name", {"name": "taken"})


def times(config: TriggerConfig, now: datetime) -> Trigger:
    """When it runs, as the App's spec has it. Raises HttpProblem."""
    if (config.schedule is None) == (config.run_at is None):
        raise invalid_field("config", "exactly one of schedule and run_at says when it runs")
    if config.timezone is not None and config.timezone not in triggers.zones():
        raise invalid_field("config.timezone", "there is no such IANA time zone: use one such as Europe/Berlin")
    if config.schedule is not None:
        try:
            cron.check(config.schedule)
        except cron.CronError as error:
            raise invalid_field("config.schedule", str(error)) from None
    elif config.expires_at is not None:
        raise invalid_field("config.expires_at", "it is for a schedule: a trigger with run_at runs once")
    told = {
        "timezone": config.timezone,
        "schedule": config.schedule,
        "runAt": _to_come("config.run_at", config.run_at, now),
        "expiresAt": _to_come("config.expires_at", config.expires_at, now),
    }
    return {name: value for name, value in told.items() if value is not None}


def _to_come(field: str, text: str | None, now: datetime) -> str | None:
    if text is None:
        return None
    found = triggers.moment(text)
    if found is None:
        raise invalid_field(field, "there is no such time")
    if found <= now:
        raise invalid_field(field, f"it has passed: name a time after {format_time(now)}")
    return format_time(found)
