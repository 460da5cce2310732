"""Runs by the product's names over HTTP: the requests to the recorder, and what is refused by name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dynamiq_operator.kube.resources import APPS
from dynamiq_operator.model.runs import PRODUCT_STATUSES
from dynamiq_operator.model.traces import MessagePage, Trace, TracePage, UsageMetrics
from dynamiq_runtime.run import CANCELED, STATUSES
from tests.support.rest_stage import RestStage
from tests.support.scripted import ScriptedServer
from tests.support.scripted_recorder import RUN, ScriptedRecorder
from tests.unit.rest.test_runs import Recorded

DAY = "start_time=2026-11-23&end_time=2026-11-24"
ODD = "a/b ?#%2F\r\n\0..é/messages"
"""A session that a caller named."""


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    script = ScriptedRecorder()
    with ScriptedServer(script) as server, RestStage(recorder=server.url) as stage:
        yield Recorded(stage, script)


def test_traces_are_asked_for_by_our_outcomes_and_times(recorded: Recorded) -> None:
    query = "started_at:gte=2026-11-24&started_at%3Alte=2026-11-25T01:00:00%2B01:00&status=failed&status=canceled&page=2&page_size=100"
    TracePage.model_validate(recorded.stage.call("GET", f"{recorded.app}/traces?{query}&sort=started_at&cursor=abc").json)
    assert recorded.asked.path == f"{recorded.app}/traces"
    assert sorted(recorded.asked.pairs) == [
        ("cursor", "abc"),
        ("from", "2026-11-24T00:00:00.000000Z"),
        ("page", "2"),
        ("page_size", "100"),
        ("sort", "started_at"),
        *(("status", outcome) for outcome in ("abandoned", "cut_off", "failed", "refused", "timed_out")),
        ("to", "2026-11-25T00:00:00.000001Z"),
    ], "a time up to which is included"


def test_the_words_are_those_of_an_apps_hostname() -> None:
    recorded = {outcome: status for outcome, status in STATUSES.items() if outcome != CANCELED}  # the recorder has it as abandoned
    assert {outcome.value: word.value for outcome, word in PRODUCT_STATUSES.items()} == recorded


def test_one_trace_is_of_its_app(recorded: Recorded) -> None:
    Trace.model_validate(recorded.stage.get(f"{recorded.app}/traces/{RUN.upper()}"))
    assert recorded.asked.path == f"{recorded.app}/traces/{RUN}"
    for wrong in ("7", "..%2f..", f"{RUN}/x"):
        assert recorded.stage.call("GET", f"{recorded.app}/traces/{wrong}").status == 404
    assert len(recorded.recorder.sent) == 1


@pytest.mark.parametrize("name", ["s-1", "..", "../../x/runs", ODD, "x" * 256])
def test_a_session_may_have_any_name(recorded: Recorded, name: str) -> None:
    # A server decodes the path; here the stage is the server.
    name = name.replace("?", "-")
    answered = recorded.stage.call("GET", f"{recorded.app}/sessions/{name}/messages")
    MessagePage.model_validate(answered.json)
    assert recorded.asked.path == f"{recorded.app}/messages"
    assert recorded.asked.pairs == [("session_id", name), ("page", "1"), ("page_size", "25"), ("sort", "started_at")]


def test_usage_is_asked_for_in_seconds(recorded: Recorded) -> None:
    for interval, seconds in {"1h": 3600, "90m": 5400, "24h": 86400, "168h": 604800, "1h30m": 5400, "1.5h": 5400, "60s": 60}.items():
        recorded.recorder.sent.clear()
        UsageMetrics.model_validate(recorded.stage.get(f"{recorded.app}/metrics?{DAY}&interval={interval}"))
        assert recorded.asked.path == f"{recorded.app}/usage"
        assert dict(recorded.asked.pairs) == {
            "from": "2026-11-23T00:00:00.000000Z",
            "to": "2026-11-24T00:00:00.000000Z",
            "seconds": str(seconds),
        }


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("interval=1h", {"start_time", "end_time"}),
        ("start_time=2026-11-23&interval=1h", {"end_time"}),
        (DAY, {"interval"}),
        (f"{DAY}&interval=hour", {"interval"}),
        (f"{DAY}&interval=1h&from=2026-11-23&group_by=model", {"from", "group_by"}),
        ("from=2026-11-23&interval=1h", {"from"}),
        (f"{DAY}&interval=90s", {"interval"}),
        (f"{DAY}&interval=0m", {"interval"}),
        (f"{DAY}&interval=9601h", {"interval"}),
        (f"{DAY}&interval=1d", {"interval"}),
        (f"{DAY}&interval={'1m' * 33}", {"interval"}),
        ("start_time=2026-11-20&end_time=2026-11-24&interval=1m", {"interval"}),
        ("start_time=2026-11-24&end_time=2026-11-24&interval=1h", {"start_time"}),
        ("start_time=2026-02-30&end_time=2026-11-24&interval=1h", {"start_time"}),
    ],
)
def test_metrics_that_are_refused_name_the_field(recorded: Recorded, query: str, fields: set[str]) -> None:
    assert set(recorded.stage.call("GET", f"{recorded.app}/metrics?{query}").error(422)["details"]) == fields
    assert recorded.recorder.sent == []


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("traces?status=succeeded", "status.0"),
        ("traces?sort=cost_usd", "sort"),
        ("traces?page_size=101", "page_size"),
        ("traces?started_at:gt=2026-11-24", "started_at:gt"),
        ("traces?started_at:lte=2026-02-30", "started_at:lte"),
        (f"sessions/{'x' * 257}/messages", "session_id"),
        ("sessions/s/messages?status=failed", "status"),
    ],
)
def test_other_parameters_are_refused_by_name(recorded: Recorded, path: str, field: str) -> None:
    assert list(recorded.stage.call("GET", f"{recorded.app}/{path}").error(422)["details"]) == [field]
    assert recorded.recorder.sent == []


def test_an_app_that_the_caller_cannot_see_has_no_trace(recorded: Recorded) -> None:
    unknown = recorded.app.replace(recorded.stage.uid(APPS, "chat"), "00000000-0000-4000-8000-000000000000")
    for path in ("traces", f"traces/{RUN}", "sessions/s/messages", f"metrics?{DAY}&interval=1h"):
        assert recorded.stage.call("GET", f"{unknown}/{path}").status == 404
    assert recorded.recorder.sent == []
