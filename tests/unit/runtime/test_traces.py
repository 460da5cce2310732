"""The traces that an OpenTelemetry collector receives. Without an endpoint nothing is sent."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.support.collector import attributes_of, collecting
from tests.support.flows import a_flow
from tests.support.runtime import DEADLINE, serving

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
FAILING = a_flow("def run(d):\n    if d['secret']:\n        raise ValueError(d['secret'])\n    return 1\n")


def test_a_run_is_a_span_with_one_for_each_node_and_without_its_input(tmp_path: Path) -> None:
    with collecting() as (collector, endpoint):
        version = {"DYNAMIQ_APP": "hello", "DYNAMIQ_APP_ID": "uid-1", "DYNAMIQ_WORKFLOW_VERSION": "v3"}
        with serving(tmp_path, FAILING, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, **version) as served:
            served.run({"secret": ""}, headers={"traceparent": f"00-{TRACE}-{CALLER}-01"})
            served.run({"secret": "s3cr3t-value"})
            served.terminate()
            assert served.process.wait(DEADLINE) == 0
            lines = [json.loads(line) for line in served.log.read_text().splitlines()]
    runs = [span for span in collector.spans if span.name == "run"]
    assert collector.resources[0]["service.name"] == "hello"
    for span in runs:
        found = attributes_of(span)
        assert (found["dynamiq.app"], found["dynamiq.app.id"], found["dynamiq.workflow.version"]) == ("hello", "uid-1", "v3")
        nodes = [node for node in collector.spans if node.parent_span_id == span.span_id]
        assert [node.name for node in nodes] == ["node input", "node code", "node output"]
        assert all(span.start_time_unix_nano <= node.start_time_unix_nano <= node.end_time_unix_nano for node in nodes)
        assert span.start_time_unix_nano < span.end_time_unix_nano
    good, bad = sorted(runs, key=lambda span: span.start_time_unix_nano)
    assert (good.trace_id.hex(), good.parent_span_id.hex()) == (TRACE, CALLER)
    assert bad.trace_id.hex() != TRACE
    assert [attributes_of(span)["dynamiq.run.outcome"] for span in (good, bad)] == ["succeeded", "failed"]
    assert [span.status.code for span in (good, bad)] == [0, 2]
    assert b"s3cr3t" not in collector.raw
    assert [line["trace_id"] for line in lines if line["message"] == "run"] == [span.trace_id.hex() for span in (good, bad)]


def test_a_collector_that_is_away_costs_neither_an_answer_nor_the_stop(tmp_path: Path) -> None:
    with serving(tmp_path, FAILING, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9") as served:
        assert served.run({"secret": ""}).status == 200
        served.terminate()
        assert served.process.wait(DEADLINE) == 0
        assert all(json.loads(line) for line in served.log.read_text().splitlines())


def test_without_an_endpoint_opentelemetry_is_not_even_imported(tmp_path: Path) -> None:
    with serving(tmp_path, FAILING, python=sys.executable) as served:
        assert served.run({"secret": ""}).status == 200
        assert "opentelemetry" not in Path(f"/proc/{served.process.pid}/maps").read_text()
        lines = [json.loads(line) for line in served.log.read_text().splitlines()]
    assert all("trace_id" not in line for line in lines)
