"""Triggers: names derived from the user's names, statuses, and the cron expressions that a CronJob accepts."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from dynamiq_operator.model import cron, triggers
from dynamiq_operator.model.app import AppSpec
from dynamiq_operator.model.base import DNS_LABEL
from dynamiq_operator.rest.triggers.responses import TriggerEvent

NOW = datetime(2026, 11, 24, 22, 0, tzinfo=UTC)
BEFORE, AFTER = "2026-11-24T21:59:59Z", "2026-11-24T22:00:01Z"


@pytest.mark.parametrize(
    ("shown", "kept"),
    [
        ("nightly", "nightly"),
        ("Every Monday, 9 o'clock", "every-monday-9-o-clo"),
        ("Über-Nacht", "uber-nacht"),
        ("7 days", "trigger-7-days"),
        ("日次レポート", "trigger"),
        ("a-", "a"),
    ],
)
def test_a_name_is_made_of_what_people_call_it(shown: str, kept: str) -> None:
    assert triggers.name_for(shown, ()) == kept


def test_similar_names_become_different_ones() -> None:
    taken: list[str] = []
    for shown in ["Every Monday, 9 o'clock", "Every Monday, 9 o'clock sharp", "每日", "每周", "EVERY monday, 9 o'clock", "a", "A", "a!"]:
        taken.append(triggers.name_for(shown, taken))
    assert len(set(taken)) == 8
    assert all(len(name) <= triggers.NAME_MAX and re.fullmatch(DNS_LABEL, name) for name in taken)


@pytest.mark.parametrize(
    ("trigger", "status"),
    [
        ({}, "active"),
        ({"suspend": False}, "active"),
        ({"suspend": True}, "inactive"),
        ({"suspend": True, "draft": True}, "draft"),
        ({"suspend": True, "draft": True, "expiresAt": BEFORE}, "expired"),
        ({"expiresAt": AFTER}, "active"),
        ({"runAt": BEFORE}, "expired"),
        ({"runAt": AFTER, "suspend": True}, "inactive"),
    ],
)
def test_the_status_of_a_trigger(trigger: dict[str, Any], status: str) -> None:
    assert triggers.status(trigger, NOW) == status


def test_the_limit_is_that_of_the_schema() -> None:
    schema = AppSpec.model_json_schema(by_alias=True)["properties"]["triggers"]
    assert schema["maxItems"] == triggers.MOST


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ({}, ("running", None, None)),
        ({"conditions": [{"type": "Failed", "status": "False"}]}, ("running", None, None)),
        ({"conditions": [{"type": "Complete", "status": "True"}], "completionTime": AFTER}, ("succeeded", AFTER, None)),
        (
            {"conditions": [{"type": "Failed", "status": "True", "lastTransitionTime": AFTER, "message": "502 from the App"}]},
            ("failed", AFTER, "502 from the App"),
        ),
    ],
)
def test_a_run_has_its_ending_and_its_message(status: dict[str, Any], told: tuple[str, str | None, str | None]) -> None:
    job = {"metadata": {"uid": "u", "name": "run", "creationTimestamp": BEFORE}, "status": status}
    event = TriggerEvent.of("t", job)
    assert (event.status, event.ended_at, event.message) == told


GOOD = [
    *("* * * * *", "*/5 0-23/2 1,15 * ?", "0 9 * * 1-5", "0 9 * jan-mar MON,Wed", "59 23 31 12 6", "5/20 * * * *"),
    *("0 0 29 2 *", "0 0 31 2 1", "00 09 01 01 00", "0 0 30,31 2-3 *"),
]
BAD = [
    *(("", "five fields"), ("* * * *", "five fields"), ("* * * * * *", "five fields"), ("*  * * * *", "five fields")),
    *((" * * * * *", "five fields"), ("@daily", "five fields"), ("60 * * * *", "minute 60: use 0 to 59"), ("* 24 * * *", "hour 24")),
    *(
        ("* * 0 * *", "day of month 0: use 1 to 31"),
        ("* * 32 * *", "day of month 32"),
        ("* * * 13 *", "month 13: use 1 to 12 or JAN to DEC"),
    ),
    *(("* * * 0 *", "month 0"), ("* * * * 7", "day of week 7: use 0 to 6 or SUN to SAT"), ("* * * * funday", "day of week")),
    *(("5-1 * * * *", "ends before it begins"), ("*/0 * * * *", "a number from 1"), ("*/x * * * *", "a number from 1")),
    *(
        ("1,,2 * * * *", "minute"),
        ("-1 * * * *", "minute"),
        ("1- * * * *", "minute"),
        ("1-2-3 * * * *", "minute"),
        ("1/2/3 * * * *", "minute"),
    ),
    *(("٣ * * * *", "minute"), ("9999999999999999999999 * * * *", "minute"), ("*5 * * * *", "minute"), ("jan * * * *", "minute")),
    *(("0 0 31 2 *", "no month 2 has such a day"), ("0 0 31 4,6,9,11 *", "no month"), ("0 0 30 feb ?", "no month feb")),
]


@pytest.mark.parametrize("text", GOOD)
def test_a_schedule_that_a_cron_job_takes(text: str) -> None:
    cron.parse(text)


@pytest.mark.parametrize(("text", "why"), BAD)
def test_a_schedule_that_it_would_not_take_is_refused_with_the_field(text: str, why: str) -> None:
    with pytest.raises(cron.CronError, match=re.escape(why)) as refused:
        cron.parse(text)
    assert str(refused.value).startswith(("a schedule has five fields", "minute ", "hour ", "day of ", "month "))
