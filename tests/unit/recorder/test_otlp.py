"""Parsing OTLP into runs: the requests of our runtime, those of others, and invalid ones."""

from __future__ import annotations

import base64
import copy
import json
import time
import uuid
from typing import Any

import orjson
import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from dynamiq_operator.model.runs import CostSource, NodeStatus, RunSource, RunStatus
from dynamiq_recorder.identity.senders import Sender
from dynamiq_recorder.ingest import clean, otlp, spans
from dynamiq_recorder.ingest.parsed import Parsed
from dynamiq_recorder.model import Run
from dynamiq_recorder.pricing import Prices
from dynamiq_recorder.store.results import Retention
from tests.support import otlp_runs
from tests.support.otlp_runs import INSTANCE, a_run, attributes, request, run_id_of, span

POD = Sender(
    app_uid="app-uid", namespace="team", app="chat", records_content=True, pod_uid="pod-1", pins="0123456789abcdef", workflow_version="v3"
)
ACCOUNT = Sender(app_uid="app-uid", namespace="team", app="chat", records_content=True)
TABLE = Prices("[{model: gpt-4o-mini, input: 1, output: 10}]")
IDS = ("traceId", "spanId", "parentSpanId")


def parsed(body: Any, sender: Sender = POD) -> Parsed:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    now = time.time_ns() // 1000
    return otlp.parse(spans.from_json(raw), sender, TABLE, now, Retention().runs_from(now))


def the_run(body: Any, sender: Sender = POD) -> Run:
    (run,) = parsed(body, sender).batch.runs
    return run


def changed(run: dict[str, Any], place: int = 0, **given: Any) -> dict[str, Any]:
    """Returns the run with other attributes of a span. None removes one; `__` stands for a dot."""
    made = copy.deepcopy(run)
    changes = {key.replace("__", "."): value for key, value in given.items()}
    kept = [each for each in made["spans"][place]["attributes"] if each["key"] not in changes]
    made["spans"][place]["attributes"] = kept + attributes(changes)
    return made


def as_protobuf(body: dict[str, Any]) -> bytes:
    body = copy.deepcopy(body)
    for each in body["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        each.update({key: base64.b64encode(bytes.fromhex(each[key])).decode() for key in IDS if key in each})
    message = json_format.ParseDict(body, ExportTraceServiceRequest())
    return message.SerializeToString()  # type: ignore[no-any-return]


def test_a_run_of_our_runtime_is_whole() -> None:
    sent = a_run(
        outcome="failed",
        content=True,
        dynamiq__run__reason="node_failed",
        dynamiq__trigger="nightly",
        session__id="s-1",
        user__id="u-1",
        dynamiq__tags=["a", "b", "a"],
        dynamiq__run__first_chunk_ms=12.5,
        dynamiq__error="it broke",
    )
    run = the_run(request(sent, last_seq=7, dropped=2))
    assert (run.id, run.app_uid, run.namespace, run.app) == (run_id_of(sent), "app-uid", "team", "chat")
    assert (run.status, run.source, run.reason) == (RunStatus.FAILED, RunSource.RUNTIME, "node_failed")
    assert (run.trigger, run.session_id, run.user_id, run.tags) == ("nightly", "s-1", "u-1", ("a", "b"))
    assert (run.duration, run.first_chunk, run.pins, run.workflow_version) == (120_000, 12_500, POD.pins, "v3")
    assert (run.instance, run.seq) == (INSTANCE, 1)
    assert (run.input, run.output, run.error) == ('{"q":"hi"}', '{"a":"hello"}', "it broke")
    assert (run.tokens.input, run.tokens.output, run.cost, run.unpriced, run.models) == (100, 20, 1_000_000, 0, ("gpt-4o-mini",))
    first, second = run.spans
    assert (first.node_id, first.is_model, first.parent_id, first.input) == ("node-0", False, None, '{"n":1}')
    assert (second.is_model, second.model, second.provider, second.cost_source) == (True, "gpt-4o-mini", "openai", CostSource.REPORTED)
    (instance,) = parsed(request(sent, last_seq=7, dropped=2)).batch.instances
    assert (instance.id, instance.pod_uid, instance.last_seq, instance.dropped, instance.ended) == (INSTANCE, "pod-1", 7, 2, False)


def test_the_last_batch_of_a_process_may_have_no_run() -> None:
    found = parsed(request(last_seq=3, ended=True)).batch
    assert found.runs == ()
    assert found.instances[0].ended


def test_json_and_protobuf_are_equal() -> None:
    body = request(a_run(content=True, dynamiq__tags=["x"]), last_seq=1)
    now = time.time_ns() // 1000
    by_json = otlp.parse(spans.from_json(orjson.dumps(body)), POD, TABLE, now)
    by_protobuf = otlp.parse(spans.from_protobuf(as_protobuf(body)), POD, TABLE, now)
    assert by_json == by_protobuf
    assert by_json.batch.runs[0].tags == ("x",)


def test_contents_that_an_app_does_not_record_are_dropped() -> None:
    sender = Sender(app_uid="app-uid", namespace="team", app="chat", pod_uid="pod-1")
    run = the_run(request(a_run(content=True, dynamiq__error="secret", dynamiq__input__cut=True)), sender)
    assert (run.input, run.output, run.error, run.extra) == (None, None, None, None)
    assert all((node.input, node.output, node.error) == (None, None, None) for node in run.spans)


def test_app_pins_and_version_come_from_the_sender_and_not_from_the_run() -> None:
    run = the_run(request(a_run(), dynamiq__app__id="another", dynamiq__pins="f" * 16, dynamiq__workflow__version="v9"))
    assert (run.app_uid, run.pins, run.workflow_version) == ("app-uid", POD.pins, "v3")


def test_an_account_and_a_relay_speak_for_no_process_and_no_row() -> None:
    found = parsed(request(a_run(), dynamiq__pins="f" * 16), ACCOUNT).batch
    (run,) = found.runs
    assert (run.source, run.pins, run.instance, run.seq, run.workflow_version, found.instances) == (
        RunSource.OTLP,
        None,
        None,
        None,
        None,
        (),
    )


def test_a_foreign_root_is_a_run_and_what_is_below_it_its_nodes() -> None:
    began = time.time_ns() - 5_000_000_000
    trace = uuid.uuid4().hex
    call = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o-mini", "gen_ai.usage.input_tokens": 10}
    given = [
        span(trace, "a" * 16, None, "agent", began, began + 10**9, {"session.id": "s"}),
        span(
            trace,
            "b" * 16,
            "a" * 16,
            "invoke_agent",
            began,
            began + 10**9,
            {"gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": 10},
        ),
        span(trace, "c" * 16, "b" * 16, "chat", began, began + 10**9, call),
        span(trace, "d" * 16, "9" * 16, "orphan", began, began + 10**9, {}),
    ]
    first, second = parsed(request({"spans": given}), ACCOUNT).batch.runs
    assert (first.node_count, first.model_calls, first.tokens.input, first.session_id) == (2, 1, 10, "s")
    assert [node.parent_id for node in first.spans] == [None, "b" * 16]
    assert second.node_count == 0, "a span whose parent did not come along is a run of its own"
    again = parsed(request({"spans": given}), ACCOUNT).batch.runs
    assert [run.id for run in again] == [first.id, second.id], "sent again it is the same run"


def test_a_call_of_a_model_that_nothing_is_around_is_its_own_node() -> None:
    began = time.time_ns()
    call = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.usage.input_tokens": 1000,
        "gen_ai.usage.output_tokens": 100,
    }
    run = the_run(request({"spans": [span("1" * 32, "2" * 16, None, "chat", began, began + 1, call)]}), ACCOUNT)
    assert (run.model_calls, run.cost, run.spans[0].cost_source, run.spans[0].parent_id) == (1, 2_000_000, CostSource.TABLE, None)


@pytest.mark.parametrize(
    ("given", "cost", "unpriced"),
    [
        ({}, 300_000, 0),  # by the table
        ({"gen_ai__request__model": "nobody-knows"}, None, 1),
        ({"gen_ai__request__model": None}, None, 1),
        ({"gen_ai__usage__input_tokens": None, "gen_ai__usage__output_tokens": None}, None, 1),
        ({"dynamiq__node__cached": True}, None, 0),  # no call at all
        ({"dynamiq__node__model_call": None}, None, 0),
        ({"dynamiq__node__cost_usd": 0.5}, 500_000_000, 0),
        ({"dynamiq__node__cost_usd": -1.0}, 300_000, 0),
        ({"dynamiq__node__cost_usd": 1e300}, 300_000, 0),
        ({"dynamiq__node__cost_usd": "NaN"}, 300_000, 0),
    ],
)
def test_costs(given: dict[str, Any], cost: int | None, unpriced: int) -> None:
    run = the_run(request(changed(a_run(cost=None), 2, **given)))
    assert (run.cost, run.unpriced) == (cost, unpriced)


def test_a_node_that_calls_a_model_through_another_is_not_counted_twice() -> None:
    sent = a_run(nodes=2)
    sent = changed(sent, 1, dynamiq__node__model_call=True, gen_ai__usage__input_tokens=100, dynamiq__node__cost_usd=0.001)
    sent["spans"][2]["parentSpanId"] = sent["spans"][1]["spanId"]
    run = the_run(request(sent))
    assert (run.model_calls, run.tokens.input, run.cost) == (1, 100, 1_000_000)


DAY = 86_400
BUSY = "dynamiq__run__busy_ms"


def waited(days: float, busy_ms: Any, ended: float = 0, **more: Any) -> dict[str, Any]:
    """Returns a run that ended `ended` seconds ago, `days` after it was accepted."""
    began = time.time_ns() - round((days * DAY + ended) * 1e9)
    return a_run(began=began, milliseconds=days * DAY * 1000, **{BUSY: busy_ms}, **more)


@pytest.mark.parametrize("days", [1, 31, 100])
def test_a_background_run_counts_by_what_pods_spent_on_it_up_to_its_end(days: int) -> None:
    sent = waited(days, 3_100)
    run = the_run(request(sent))
    began, ended = (int(sent["spans"][0][f"{side}TimeUnixNano"]) // 1000 for side in ("start", "end"))
    assert (run.accepted_at, run.started_at, run.duration) == (began, ended - 3_100_000, 3_100_000)
    assert [node.started_at - began for node in run.spans] == [0, 1000]
    assert [node.duration for node in run.spans] == [3_100_000] * 2, "a wait inside of a node is no slowness of it"
    (again,) = otlp.parse(spans.from_protobuf(as_protobuf(request(sent))), POD, TABLE, time.time_ns() // 1000).batch.runs
    assert again == run


@pytest.mark.parametrize("busy_ms", [-1, "-1", "many", 86_400_001, 2**60, 1.5, True, ["3"], None, "9" * 400])
def test_a_busy_time_that_cannot_be_is_ignored(busy_ms: Any) -> None:
    run = the_run(request(waited(1, busy_ms)))
    assert (run.accepted_at, run.duration) == (None, DAY * 1_000_000)


@pytest.mark.parametrize("busy_ms", [0, 86_400_000])
def test_a_background_run_may_be_busy_for_no_time_and_for_all_of_it(busy_ms: int) -> None:
    run = the_run(request(waited(1, busy_ms)))
    assert (run.accepted_at is not None, run.duration) == (True, busy_ms * 1000)


def test_a_background_run_is_refused_by_when_it_ended() -> None:
    kept = Retention().runs // DAY
    assert len(parsed(request(waited(2 * kept, 1))).batch.runs) == 1
    for sent in (waited(1, 1, ended=kept * DAY + 3700), waited(1, 1, ended=-3600)):
        found = parsed(request(sent))
        assert (found.batch.runs, found.rejected) == ((), 3)
    without_time = waited(1, 1)
    without_time["spans"][0]["startTimeUnixNano"] = "0"
    assert parsed(request(without_time)).rejected == 3


@pytest.mark.parametrize(
    ("given", "field", "found"),
    [
        ({"dynamiq__run__outcome": "exploded"}, "status", RunStatus.SUCCEEDED),
        ({"dynamiq__run__outcome": ["failed"]}, "status", RunStatus.SUCCEEDED),
        ({"dynamiq__run__outcome": 7}, "status", RunStatus.SUCCEEDED),
        ({"dynamiq__run__seq": 0}, "seq", None),
        ({"dynamiq__run__seq": "-3"}, "seq", None),
        ({"dynamiq__run__seq": "9" * 400}, "seq", None),
        ({"dynamiq__run__first_chunk_ms": "NaN"}, "first_chunk", None),
        ({"dynamiq__run__first_chunk_ms": -5.0}, "first_chunk", None),
        ({"session__id": "s" * 5000}, "session_id", "s" * 256),
        ({"session__id": "a\0b"}, "session_id", "ab"),
        ({"user__id": ["list"]}, "user_id", None),
        ({"dynamiq__tags": [f"t{number}" for number in range(500)]}, "tags", tuple(f"t{number}" for number in range(20))),
        ({"dynamiq__tags": ["x" * 900]}, "tags", ("x" * 64,)),
        ({"dynamiq__tags": "not a list"}, "tags", ()),
        ({"dynamiq__run__reason": "r" * 999}, "reason", "r" * 128),
        ({"dynamiq__input": "no json"}, "input", '"no json"'),
        ({"dynamiq__input": "[" * 5000}, "input", json.dumps("[" * 5000)),
        ({"dynamiq__input": "[" * 200 + "]" * 200}, "input", json.dumps("[" * 200 + "]" * 200)),
        ({"dynamiq__input": '{"a":NaN}'}, "input", json.dumps('{"a":NaN}')),
        ({"dynamiq__input": '{"a":"\\u0000x"}'}, "input", '{"a":"x"}'),
        ({"dynamiq__input": '{"a":"\\ud83d\\ude00"}'}, "input", '{"a":"😀"}'),
        ({"dynamiq__input": ["5"]}, "input", None),
        ({"dynamiq__run__id": "not-a-uuid"}, "source", RunSource.OTLP),
    ],
)
def test_fields_that_are_wrong_are_cut_cleaned_or_left_out(given: dict[str, Any], field: str, found: Any) -> None:
    assert getattr(the_run(request(changed(a_run(), **given))), field) == found


def test_content_is_cut_to_its_limit_in_bytes() -> None:
    run = the_run(request(a_run(dynamiq__input='"' + "é" * 100_000 + '"', dynamiq__input__cut=True)))
    assert run.input is not None
    assert len(run.input.encode()) <= clean.TEXT_MAX
    json.loads(run.input)
    assert run.extra == '{"dynamiq.input.cut":true}'


@pytest.mark.parametrize(
    ("began", "says"),
    [
        (3600, "ten minutes from now"),
        (-400 * 86400, "than runs are kept"),
        (None, "has no time"),
        (2**30, "ten minutes from now"),
    ],
)
def test_a_wrong_clock_is_reported_and_refuses_no_other_run(began: int | None, says: str) -> None:
    wrong = a_run(nodes=3)
    for each in wrong["spans"]:
        each["startTimeUnixNano"] = "0" if began is None else str(time.time_ns() + began * 10**9)
    found = parsed(request(wrong, a_run()))
    assert (len(found.batch.runs), found.rejected) == (1, 4)
    assert says in found.says


def test_a_run_that_ends_before_it_began_took_no_time_and_its_nodes_begin_with_it() -> None:
    sent = a_run(milliseconds=-5000)
    sent["spans"][1]["startTimeUnixNano"] = "1"
    run = the_run(request(sent))
    assert run.duration == 0
    assert run.spans[0].started_at == run.started_at


@pytest.mark.parametrize("value", ["abc", "-5", "1e18", 1.5, "9" * 100, "٣"])
def test_times_that_are_none(value: Any) -> None:
    sent = a_run()
    sent["spans"][0]["startTimeUnixNano"] = value
    assert parsed(request(sent)).rejected == 3


def test_spans_that_are_each_others_parents_are_refused() -> None:
    circle = [span("1" * 32, "a" * 16, "b" * 16, "a", 1, 2, {}), span("1" * 32, "b" * 16, "a" * 16, "b", 1, 2, {})]
    found = parsed(request({"spans": circle}, a_run()))
    assert (len(found.batch.runs), found.rejected) == (1, 2)
    assert "each other's parents" in found.says


def test_a_span_that_is_there_twice_is_one_and_one_that_is_its_own_parent_is_a_run() -> None:
    sent = a_run()
    sent["spans"].append(sent["spans"][1])
    assert the_run(request(sent)).node_count == 2
    now = time.time_ns()
    assert len(parsed(request({"spans": [span("1" * 32, "a" * 16, "a" * 16, "a", now, now, {})]})).batch.runs) == 1


def test_a_run_with_too_many_nodes_keeps_those_that_began_first() -> None:
    found = parsed(request(a_run(nodes=5100)))
    assert (found.batch.runs[0].node_count, found.rejected) == (5000, 100)
    assert "5000" in found.says


def test_a_node_has_its_outcome() -> None:
    sent = changed(a_run(), 1, dynamiq__node__status="skipped", dynamiq__node__attempts=3, error__type="TimeoutError")
    first, _ = the_run(request(sent)).spans
    assert (first.status, first.attempts, first.error_type) == (NodeStatus.SKIPPED, 3, "TimeoutError")
    sent["spans"][1]["status"] = {"code": 2}
    first, _ = the_run(request(changed(sent, 1, dynamiq__node__status=None))).spans
    assert first.status is NodeStatus.FAILED


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'{"resourceSpans": 5}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": 7}]}]}]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"attributes": [{"key": null}]}]}]}]}',
        b'{"resourceSpans": ' + b"[" * 100_000,
        b'{"resourceSpans": [], "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"\xff\xfe",
    ],
)
def test_bodies_that_are_none_are_refused_with_a_sentence(body: bytes) -> None:
    with pytest.raises(spans.NotReadable) as error:
        spans.from_json(body)
    assert str(error.value).startswith("the body is")


def test_half_of_a_surrogate_pair_is_cleaned() -> None:
    body = orjson.dumps(request(a_run(session__id="XX"))).replace(b'"XX"', b'"a\\ud800b"')
    assert the_run(body).session_id == "a�b"


def test_protobuf_that_is_none_is_refused() -> None:
    for body in (b"\xff" * 50, b"\x0a\xff\xff\xff\xff\x0f"):
        with pytest.raises(spans.NotReadable):
            spans.from_protobuf(body)


def test_attributes_are_bounded() -> None:
    many = {f"key-{number}": "v" for number in range(5000)}
    sent = a_run()
    sent["spans"][0]["attributes"] += attributes(many)
    groups = spans.from_json(orjson.dumps(request(sent)))
    assert len(groups[0].spans[0].attributes) <= spans.ATTRIBUTES_MAX


def test_values_of_every_kind_are_read() -> None:
    given = [
        {"key": "string", "value": {"stringValue": "x"}},
        {"key": "int", "value": {"intValue": 5}},
        {"key": "text-int", "value": {"intValue": "5"}},
        {"key": "double", "value": {"doubleValue": "NaN"}},
        {"key": "list", "value": {"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": 1}]}}},
        {"key": "map", "value": {"kvlistValue": {"values": []}}},
        {"key": "none", "value": {}},
        {"key": "absent"},
    ]
    body = {"resourceSpans": [{"resource": {"attributes": given}, "scopeSpans": None}]}
    (group,) = spans.from_json(orjson.dumps(body))
    assert group.resource == {"string": "x", "int": 5, "text-int": "5", "double": "NaN", "list": ["a", None], "map": None, "none": None}
    assert otlp_runs.INSTANCE not in str(group)
