"""The recorder's answers in the product's shapes: traces, messages of a session, metrics in buckets, and who gets contents."""

from __future__ import annotations

import time
from urllib.parse import quote, urlencode

import msgspec
import pytest

from dynamiq_operator.model import traces as shapes
from dynamiq_operator.model.runs import RunRow, RunStatus, SessionSummary
from dynamiq_recorder.model import NO_TOKENS, Session
from dynamiq_recorder.reads import figures, product
from tests.support import stored_runs
from tests.support.otlp_runs import INSTANCE, a_run, run_id_of
from tests.support.recorder_stage import APP_UID, OTHER_UID, STRANGER, VIEWER, RecorderStage
from tests.unit.recorder.test_requests import problem

APP = f"/v1/apps/{APP_UID}"
MINUTE = 60 * 10**9
# In the middle of a minute: buckets begin with whole minutes, and one second of each minute would give one bucket less.
HOUR_AGO = (time.time_ns() // MINUTE - 60) * MINUTE + MINUTE // 2
ODD = "a/b ?#%2F\n..é"
"""A session that a caller named."""


def test_a_trace_has_the_products_word_and_our_outcome(recorder: RecorderStage) -> None:
    sent = {outcome: a_run(seq=seq, outcome=outcome) for seq, outcome in enumerate(RunStatus, 1)}
    recorder.record(*sent.values())
    listed = [shapes.Trace.model_validate(each) for each in recorder.get(f"{APP}/traces")]
    by_id = {run_id_of(run): outcome for outcome, run in sent.items()}
    assert {by_id[each.id]: (each.status, each.reason) for each in listed} == {
        "succeeded": ("completed", "succeeded"),
        **{outcome: ("failed", outcome) for outcome in ("failed", "refused", "timed_out", "cut_off")},
        "abandoned": ("canceled", "abandoned"),
    }
    assert (listed[0].source_id, listed[0].usage.prompt_tokens, listed[0].usage.completion_tokens) == (INSTANCE, 100, 20)
    query = "status=refused&status=timed_out&page_size=1&sort=started_at"
    first = recorder.call("GET", f"{APP}/traces?{query}").json()
    assert (len(first["data"]), first["pagination"]["total_count"], first["pagination"]["page_count"]) == (1, 2, 2)
    second = recorder.call("GET", f"{APP}/traces?{query}&page=2").json()
    cursor = first["pagination"]["next_cursor"]
    assert recorder.get(f"{APP}/traces?{query}&cursor={cursor}") == second["data"]
    assert {each["reason"] for each in first["data"] + second["data"]} == {"refused", "timed_out"}


def test_contents_are_there_for_who_may_read_them(recorder: RecorderStage) -> None:
    kept, bare = a_run(content=True, session__id="s"), a_run(seq=2, session__id="t")
    recorder.record(kept, bare)
    path = f"{APP}/traces/{run_id_of(kept)}"
    assert (recorder.get(path)["input"], recorder.get(path)["output"]) == ({"q": "hi"}, {"a": "hello"})
    assert recorder.get(f"{APP}/traces/{run_id_of(bare)}")["input"] is None
    assert {str(each["input"]) for each in recorder.get(f"{APP}/traces")} == {"{'q': 'hi'}", "None"}
    assert {each["id"]: each["input"] for each in recorder.get(f"{APP}/sessions")} == {"s": {"q": "hi"}, "t": None}
    assert [each["output"] for each in recorder.get(f"{APP}/messages?session_id=s")] == [{"a": "hello"}]
    for call in (path, f"{APP}/traces", f"{APP}/sessions", f"{APP}/messages?session_id=s"):
        answer = recorder.call("GET", call, VIEWER)
        assert answer.status_code == 200
        assert "hi" not in answer.text.replace("this", "")
        assert "hello" not in answer.text


def test_sessions_and_messages_name_the_row_that_answered() -> None:
    known = product.message(stored_runs.a_run(sequence=2, workflow_version="v2"))
    assert shapes.SessionMessage.model_validate(known).row == RunRow(sequence=2, version="v2")
    assert product.message(stored_runs.a_run(sequence=None, workflow_version="v2"))["row"] is None
    bare = Session(session_id="s", user_id=None, runs=1, failed=0, first_at=1, last_at=1, tokens=NO_TOKENS, cost=None, unpriced=0)
    session = figures.session(msgspec.structs.replace(bare, sequence=2, workflow_version="v2"))
    assert figures.session(bare).row is None
    assert SessionSummary.model_validate(session.model_dump(mode="json")).row == RunRow(sequence=2, version="v2")


def test_messages_of_a_session_come_oldest_first(recorder: RecorderStage) -> None:
    sent = [a_run(seq=seq, began=HOUR_AGO + seq * 10**9, content=True, session__id=ODD) for seq in (2, 1, 3)]
    recorder.record(*sent, a_run(seq=4, session__id="other"))
    path = f"{APP}/messages?{urlencode({'session_id': ODD})}"
    listed = [shapes.SessionMessage.model_validate(each) for each in recorder.get(path)]
    assert [each.trace_id for each in listed] == [run_id_of(sent[place]) for place in (1, 0, 2)]
    assert [each["id"] for each in recorder.get(f"{path}&page=2&page_size=2")] == [run_id_of(sent[2])]
    assert recorder.get(f"{path}&page=9") == []
    problem(recorder.call("GET", f"{APP}/messages?session_id=nobody"), 404, "session")


def test_usage_sums_what_its_buckets_have(recorder: RecorderStage) -> None:
    recorder.record(
        a_run(seq=1, began=HOUR_AGO, milliseconds=1000),
        a_run(seq=2, began=HOUR_AGO, milliseconds=3000, outcome="timed_out"),
        a_run(seq=3, began=HOUR_AGO, outcome="refused", nodes=0),
        a_run(seq=4, outcome="abandoned", nodes=0),
    )
    since, until = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(HOUR_AGO / 1e9 + minutes * 60)) for minutes in (-30, 90))
    made = shapes.UsageMetrics.model_validate(recorder.get(f"{APP}/usage?from={since}&to={until}&seconds=1800"))
    assert (made.interval_seconds, len(made.buckets)) == (1800, 5), "the first begins with the minute of its time"
    assert (made.summary.requests, made.summary.completed, made.summary.failed, made.summary.canceled) == (4, 1, 2, 1)
    assert (made.summary.prompt_tokens, made.summary.completion_tokens) == (200, 40)
    assert made.summary.cost_usd == pytest.approx(0.002)
    assert made.summary.mean_latency_seconds == pytest.approx(2.0)
    assert sum(each.requests for each in made.buckets) == 4
    assert [each.mean_latency_seconds for each in made.buckets if each.completed] == [pytest.approx(2.0)]
    old = recorder.get(f"{APP}/usage?from=2020-01-01T00:30:00Z&to=2020-01-01T12:00:00Z&seconds=21600")
    assert [bucket["start_time"][11:16] for bucket in old["buckets"]] == ["00:00", "06:00"], "of whole hours"
    assert (made.buckets[0].requests, made.buckets[0].cost_usd, made.buckets[0].mean_latency_seconds) == (0, None, None)


def test_invalid_queries_are_refused(recorder: RecorderStage) -> None:
    for path, says in {
        "traces?page_size=101": "page_size",
        "traces?sort=cost_usd": "sort",
        "traces?status=completed": "status",
        "traces?cursor=nobody-gave-it": "cursor",
        "traces?from=yesterday": "RFC 3339",
        "messages": "session_id",
        "messages?session_id=": "session_id",
        f"messages?session_id={'x' * 257}": "session_id",
        "usage?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z&seconds=90": "seconds",
        "usage?from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z&seconds=60": "longer buckets",
        "usage?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z&seconds=60": "before",
        "usage?to=2026-01-01T00:00:00Z&seconds=60": "from",
        "usage?from=2020-01-01T00:00:00Z&to=2020-01-01T12:00:00Z&seconds=1800": "whole hours",
    }.items():
        problem(recorder.call("GET", f"{APP}/{path}"), 422, says)


def test_runs_of_another_app_are_unknown(recorder: RecorderStage) -> None:
    run = a_run(session__id="s")
    recorder.record(run)
    assert recorder.get(f"{APP}/traces/{run_id_of(run).upper()}")["id"] == run_id_of(run)
    problem(recorder.call("GET", f"/v1/apps/{OTHER_UID}/traces/{run_id_of(run)}"), 404)
    for path in ("traces/7", f"traces/{quote('../x', safe='')}"):
        problem(recorder.call("GET", f"{APP}/{path}"), 404)
    for path in (
        "traces",
        f"traces/{run_id_of(run)}",
        "messages?session_id=s",
        "usage?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z&seconds=60",
    ):
        problem(recorder.call("GET", f"{APP}/{path}", STRANGER), 404, "App")
