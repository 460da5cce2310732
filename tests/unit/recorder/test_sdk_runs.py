"""Parsing the SDK's runs, and serializing them as they were sent."""

from __future__ import annotations

import copy
import time
import uuid
from typing import Any

import orjson
import pytest

from dynamiq_operator.model.runs import CostSource, RunSource, RunStatus
from dynamiq_recorder.identity.senders import Sender
from dynamiq_recorder.ingest import clean, sdk
from dynamiq_recorder.ingest.parsed import Parsed
from dynamiq_recorder.ingest.spans import NotReadable
from dynamiq_recorder.model import Run
from dynamiq_recorder.pricing import Prices
from dynamiq_recorder.reads.trace import trace
from tests.support.otlp_runs import sdk_runs

KEEPS = Sender(app_uid="app-uid", namespace="team", app="chat", records_content=True)
DROPS = Sender(app_uid="app-uid", namespace="team", app="chat")


def parsed(runs: list[dict[str, Any]], sender: Sender = KEEPS) -> Parsed:
    given = sdk.from_json(orjson.dumps({"runs": runs}))
    return sdk.parse(given, sender, Prices("[{model: gpt-4o-mini, input: 1, output: 10}]"), time.time_ns() // 1000)


def the_run(runs: list[dict[str, Any]], sender: Sender = KEEPS) -> Run:
    (run,) = parsed(runs, sender).batch.runs
    return run


def by_id(runs: Any) -> list[dict[str, Any]]:
    return sorted((dict(each) for each in runs), key=lambda each: str(each["id"]))


def test_a_workflow_is_a_run_and_what_is_below_it_its_spans() -> None:
    sent = sdk_runs()
    run = the_run(sent)
    assert (run.id, run.source, run.status, run.pins, run.instance) == (sent[0]["id"], RunSource.SDK, RunStatus.SUCCEEDED, None, None)
    assert (run.session_id, run.tags, run.trace_id) == ("session-1", ("beta",), sent[0]["trace_id"])
    assert (run.tokens.input, run.tokens.cache_read, run.cost, run.models) == (50, 20, 2_000_000, ("gpt-4o-mini",))
    flow, tool, llm = run.spans
    assert (flow.type, flow.parent_id, tool.parent_id) == ("flow", None, flow.span_id)
    assert (llm.node_id, llm.is_model, llm.provider, llm.cost_source) == ("llm", True, "openai", CostSource.REPORTED)
    assert run.duration == pytest.approx(400_000, abs=1)


def test_the_largest_fields_without_a_column_are_dropped() -> None:
    """Serializing again after each removal took an hour of processor time for 100,000 names."""
    large = {"large": "x" * clean.EXTRA_MAX, "larger": ["y" * clean.EXTRA_MAX]}
    kept = the_run([sdk_runs()[0] | large | {"small": "z" * 1000}]).extra
    assert kept is not None
    assert (large.keys() & orjson.loads(kept).keys(), orjson.loads(kept)["small"]) == (set(), "z" * 1000)
    names = {f"name-{number}": "x" for number in range(100_000)}
    many = the_run([sdk_runs()[0] | names]).extra
    assert many is not None
    assert clean.EXTRA_MAX - 30 < len(many) <= clean.EXTRA_MAX


def test_runs_are_returned_as_they_were_sent() -> None:
    for sent in (sdk_runs(), sdk_runs(status="failed"), sdk_runs(content="ünï \U0001f98a", cost=None)):
        assert by_id(trace(the_run(sent), shows=True)["runs"]) == by_id(sent)


def test_without_the_right_to_content_nothing_of_it_comes_back() -> None:
    text = str(trace(the_run(with_secrets()), shows=False)["runs"])
    assert "SECRET" not in text
    assert "it broke" not in text
    assert "gpt-4o-mini" in text


def test_contents_that_an_app_does_not_record_are_dropped() -> None:
    sent = with_secrets()
    run = the_run(sent, DROPS)
    assert "SECRET" not in str(run)
    assert "it broke" not in str(run)
    assert len(trace(run, shows=True)["runs"]) == 4


def with_secrets() -> list[dict[str, Any]]:
    """Returns a run with callers' texts wherever the SDK's tracing handler puts them, and where a later one may."""
    sent = sdk_runs(content="SECRET", status="failed")
    for each in sent[:2]:
        each["metadata"]["failed_nodes"] = [{"id": "llm", "name": "LLM", "error_message": "no answer to SECRET"}]
    tool, llm = sent[2:]
    nested = {"llm": {"prompt": {"id": "p", "messages": [{"content": "SECRET"}]}}}
    tool["metadata"] |= {"human_feedback": "not SECRET", "skip": {"reason": "SECRET"}, "tool_data": {"x": "SECRET"}}
    tool["metadata"]["run_depends"] = [{"node": {"id": "agent", **nested}, "option": None}]
    llm["metadata"] |= {"hooks": [{"event": "SECRET"}], "of-a-later-version": "SECRET"}
    llm["metadata"]["node"]["inner"] = nested
    llm["executions"] += [{**llm["executions"][0], "status": "failed", "error": {"message": "SECRET"}, "metadata": {"retried": "SECRET"}}]
    llm["of-a-later-version"] = "SECRET"
    return sent


def test_fields_that_are_no_contents_stay_as_they_were_sent() -> None:
    sent = with_secrets()
    found = the_run(sent, DROPS)
    plain = (trace(found, shows=True)["runs"], trace(the_run(sent), shows=False)["runs"])
    assert by_id(plain[0]) == by_id(plain[1])
    workflow, _, tool, llm = (next(each for each in plain[0] if each["id"] == one["id"]) for one in sent)
    gone = {"input", "output", "error", "of-a-later-version"}
    for shown, was in zip((workflow, tool, llm), (sent[0], *sent[2:]), strict=True):
        assert {name: shown[name] for name in shown if name not in ("metadata", "executions")} == {
            name: was[name] for name in was if name not in ("metadata", "executions", *gone)
        }
    assert workflow["metadata"]["failed_nodes"] == [{"id": "llm", "name": "LLM"}]
    assert tool["metadata"]["run_depends"] == [{"node": {"id": "agent", "llm": {"prompt": {"id": "p"}}}, "option": None}]
    assert tool["metadata"]["is_output_from_cache"] is False
    assert llm["metadata"]["usage"] == sent[3]["metadata"]["usage"]
    assert llm["metadata"]["node"]["model"] == "gpt-4o-mini"
    kept = ("id", "start_time", "end_time", "status")
    assert [{name: each[name] for name in kept} for each in llm["executions"]] == [
        {name: each[name] for name in kept} for each in sent[3]["executions"]
    ]


def test_a_reused_handler_sends_what_it_sent_before_under_the_same_ids() -> None:
    first, second = sdk_runs(), sdk_runs()
    assert [run.id for run in parsed(first + second).batch.runs] == [first[0]["id"], second[0]["id"]]


def test_a_run_that_is_under_way_waits_for_its_end() -> None:
    sent = sdk_runs()
    sent[0]["end_time"] = sent[0]["status"] = None
    assert (parsed(sent).batch.runs, parsed(sent).rejected) == ((), 0)


def test_a_node_by_itself_is_a_run_with_one_span() -> None:
    node = sdk_runs()[3] | {"parent_run_id": None}
    run = the_run([node])
    assert (run.model_calls, run.node_count, run.spans[0].parent_id) == (1, 1, None)
    assert by_id(trace(run, shows=True)["runs"]) == [node]


def test_a_cancelled_run_was_abandoned() -> None:
    sent = sdk_runs(status="canceled")
    assert (the_run(sent).status, the_run(sent).reason) == (RunStatus.ABANDONED, "canceled")


@pytest.mark.parametrize(
    ("place", "field", "value"),
    [
        (0, "start_time", "yesterday"),
        (0, "start_time", None),
        (0, "start_time", 5),
        (0, "start_time", "9999-12-31T23:59:59+00:00"),
        (0, "start_time", "0001-01-01T00:00:00+14:00"),
        (0, "start_time", "x" * 100_000),
    ],
)
def test_a_run_of_no_time_is_refused_with_a_sentence(place: int, field: str, value: Any) -> None:
    found = parsed([sdk_runs()[0] | {field: value}])
    assert (found.batch.runs, found.rejected) == ((), 1)
    assert "clock" in found.says


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("status", 7),
        ("status", ["failed"]),
        ("tags", "no list"),
        ("tags", [None, 5, {"a": 1}]),
        ("metadata", []),
        ("metadata", {"usage": [], "node": "x"}),
        ("metadata", {"usage": {"prompt_tokens": "many", "total_tokens_cost_usd": "free"}}),
        ("metadata", {"usage": {"prompt_tokens": -1, "completion_tokens": 1e300}}),
        ("executions", {"a": 1}),
        ("executions", ["x", None]),
        ("error", ["list"]),
        ("parent_run_id", 12),
        ("session_id", {"a": 1}),
        ("name", None),
        ("end_time", "soon"),
        ("input", float("1e308")),
        ("trace_id", 5),
    ],
)
@pytest.mark.parametrize("place", [0, 3])
def test_fields_of_the_wrong_kind_hurt_nothing(place: int, field: str, value: Any) -> None:
    sent = sdk_runs()
    sent[place][field] = value
    for sender in (KEEPS, DROPS):
        for run in parsed(sent, sender).batch.runs:
            trace(run, shows=True)


def test_runs_without_ids_and_circles_are_counted() -> None:
    one, other = (sdk_runs()[2] for _ in range(2))
    one["parent_run_id"], other["parent_run_id"] = other["id"], one["id"]
    found = parsed([one, other, {"name": "x"}, {"id": ""}, {"id": "x" * 99}])
    assert (found.batch.runs, found.rejected) == ((), 5)
    assert "no id" in found.says
    assert "each other" in found.says


def test_an_id_that_is_no_uuid_gets_one_of_its_app() -> None:
    sent = [sdk_runs()[0] | {"id": "run-1"}]
    mine, theirs = the_run(sent).id, the_run(sent, Sender(app_uid="other", namespace="x", app="y")).id
    assert uuid.UUID(mine)
    assert mine != theirs
    assert mine == the_run(sent).id


def test_additional_fields_are_bounded() -> None:
    sent = sdk_runs()
    sent[0]["metadata"]["large"] = "x" * 400_000
    sent[0]["small"] = "kept"
    run = the_run(sent)
    assert len(run.extra or "") <= clean.EXTRA_MAX
    assert "kept" in (run.extra or "")


def test_content_is_bounded_and_deep_content_is_refused() -> None:
    sent = sdk_runs()
    sent[0]["input"] = "é" * 100_000
    assert len((the_run(sent).input or "").encode()) <= clean.TEXT_MAX
    with pytest.raises(NotReadable, match="nested"):
        sdk.from_json(b'{"runs": [{"id": "a", "input": ' + b"[" * 300 + b"]" * 300 + b"}]}")


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"runs": 5}', b'{"runs": [5]}', b"\xff", b'{"runs": ' + b"[" * 100_000, b'{"runs":[{}']
)
def test_bodies_that_are_none_are_refused(body: bytes) -> None:
    with pytest.raises(NotReadable):
        sdk.from_json(body)


def test_nul_and_halves_of_surrogate_pairs_are_cleaned() -> None:
    sent = copy.deepcopy(sdk_runs(content="a\0b"))
    body = orjson.dumps({"runs": sent}).replace(b'"session-1"', b'"s\\ud800\\u0000x"')
    (run,) = sdk.parse(sdk.from_json(body), KEEPS, Prices(), time.time_ns() // 1000).batch.runs
    assert run.session_id == "s�x"
    assert run.input == '{"question":"ab"}'
    assert "\\u0000" not in (run.extra or "")
    (run.extra or "").encode()
