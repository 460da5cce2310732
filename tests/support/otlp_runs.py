"""Makes runs as our runtime sends them by OTLP/JSON, and as the SDK does: plain dictionaries for tests to change."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

INSTANCE = "11111111-1111-4111-8111-111111111111"


def attribute(key: str, value: Any) -> dict[str, Any]:
    """Returns one attribute of OTLP/JSON."""
    if isinstance(value, bool):
        return {"key": key, "value": {"boolValue": value}}
    if isinstance(value, int):
        return {"key": key, "value": {"intValue": str(value)}}
    if isinstance(value, float):
        return {"key": key, "value": {"doubleValue": value}}
    if isinstance(value, list):
        return {"key": key, "value": {"arrayValue": {"values": [{"stringValue": each} for each in value]}}}
    return {"key": key, "value": {"stringValue": value}}


def attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [attribute(key, value) for key, value in values.items() if value is not None]


def a_run(
    run_id: str | None = None,
    *,
    seq: int = 1,
    outcome: str = "succeeded",
    nodes: int = 2,
    began: int | None = None,
    milliseconds: float = 120.0,
    model: str = "gpt-4o-mini",
    cost: float | None = 0.001,
    content: bool = False,
    **more: Any,
) -> dict[str, Any]:
    """Returns a run of `nodes` nodes, the last of which calls a model. `began`: nanoseconds; `more`: attributes, with `__` for a dot."""
    run_id = run_id or str(uuid.uuid4())
    began = began or time.time_ns() - 1_000_000_000
    ended = began + round(milliseconds * 1e6)
    trace, root = uuid.UUID(run_id).hex, f"{uuid.UUID(run_id).int & (1 << 64) - 1:016x}"
    own = {
        "dynamiq.run.id": run_id,
        "dynamiq.run.seq": seq,
        "dynamiq.run.outcome": outcome,
        **({"dynamiq.input": '{"q":"hi"}', "dynamiq.output": '{"a":"hello"}'} if content else {}),
        **{key.replace("__", "."): value for key, value in more.items()},
    }
    spans = [span(trace, root, None, "run", began, ended, own, kind=2)]
    for number in range(nodes):
        is_model = number == nodes - 1
        node = {
            "dynamiq.node.id": f"node-{number}",
            "dynamiq.node.name": f"Node {number}",
            "dynamiq.node.type": "dynamiq.nodes.llms.OpenAI" if is_model else "dynamiq.nodes.tools.Python",
            "dynamiq.node.status": "succeeded",
            **({"dynamiq.node.model_call": True, "gen_ai.request.model": model, "gen_ai.provider.name": "openai"} if is_model else {}),
            **({"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 20} if is_model else {}),
            **({"dynamiq.node.cost_usd": cost} if is_model and cost is not None else {}),
            **({"dynamiq.input": '{"n":1}', "dynamiq.output": '"ok"'} if content else {}),
        }
        spans.append(span(trace, f"{number + 1:016x}", root, f"node {number}", began + number * 1_000_000, ended, node))
    return {"spans": spans}


def span(
    trace: str, span_id: str, parent: str | None, name: str, began: int, ended: int, values: dict[str, Any], *, kind: int = 1
) -> dict[str, Any]:
    return {
        "traceId": trace,
        "spanId": span_id,
        **({"parentSpanId": parent} if parent else {}),
        "name": name,
        "kind": kind,
        "startTimeUnixNano": str(began),
        "endTimeUnixNano": str(ended),
        "attributes": attributes(values),
    }


def request(
    *runs: dict[str, Any], instance: str | None = INSTANCE, last_seq: int | None = None, dropped: int = 0, ended: bool = False, **more: Any
) -> dict[str, Any]:
    """Returns an ExportTraceServiceRequest with runs of one process."""
    resource = {
        "service.name": "chat",
        "service.instance.id": instance,
        "dynamiq.instance.last_seq": last_seq if last_seq is not None else len(runs),
        "dynamiq.instance.dropped": dropped,
        "dynamiq.instance.ended": True if ended else None,
        **{key.replace("__", "."): value for key, value in more.items()},
    }
    spans = [each for run in runs for each in run["spans"]]
    return {"resourceSpans": [{"resource": {"attributes": attributes(resource)}, "scopeSpans": [{"spans": spans}]}]}


def run_id_of(run: dict[str, Any]) -> str:
    value = next(each["value"]["stringValue"] for each in run["spans"][0]["attributes"] if each["key"] == "dynamiq.run.id")
    return str(value)


def sdk_runs(*, content: str = "hi", status: str = "succeeded", cost: float | None = 0.002) -> list[dict[str, Any]]:
    """Returns a workflow, its flow and two nodes, as the SDK 0.69 writes them."""
    began = datetime.now(UTC) - timedelta(seconds=5)
    ids = [str(uuid.uuid4()) for _ in range(4)]
    common = {"trace_id": str(uuid.uuid4()), "source_id": str(uuid.uuid4()), "session_id": "session-1", "tags": ["beta"]}

    def at(milliseconds: float) -> str:
        return (began + timedelta(milliseconds=milliseconds)).isoformat()

    def run(number: int, name: str, kind: str, parent: int | None, metadata: dict[str, Any], until: float) -> dict[str, Any]:
        return {
            "id": ids[number],
            "name": name,
            "type": kind,
            **common,
            "start_time": at(number),
            "end_time": at(until),
            "parent_run_id": ids[parent] if parent is not None else None,
            "status": status if number == 0 else "succeeded",
            "input": {"question": content},
            "output": {"answer": content},
            "metadata": {"host": {"installed_pkgs": []}, "truncated": {"input": {}}, **metadata},
            "error": {"message": "it broke", "traceback": "line 1"} if status == "failed" and number == 0 else None,
            "executions": [],
        }

    usage = {
        "prompt_tokens": 50,
        "prompt_tokens_cost_usd": None,
        "completion_tokens": 10,
        "completion_tokens_cost_usd": None,
        "total_tokens": 60,
        "total_tokens_cost_usd": cost,
        "cache_read_input_tokens": 20,
        "cache_creation_input_tokens": None,
    }
    llm = {"id": "llm", "name": "LLM", "type": "dynamiq.nodes.llms.OpenAI", "group": "llms", "model": "gpt-4o-mini"}
    runs = [
        run(0, "Workflow", "workflow", None, {"workflow": {"id": "wf", "version": "1"}}, 400),
        run(1, "Flow", "flow", 0, {"flow": {"id": "flow"}}, 390),
        run(2, "Tool", "node", 1, {"node": {"id": "tool", "type": "dynamiq.nodes.tools.Python"}, "is_output_from_cache": False}, 100),
        run(3, "LLM", "node", 1, {"node": {**llm, "prompt": {"messages": [{"content": content}]}}, "usage": usage}, 380),
    ]
    runs[3]["executions"] = [
        {
            "id": str(uuid.uuid4()),
            "start_time": at(3),
            "end_time": at(380),
            "status": "succeeded",
            "input": {"q": content},
            "output": content,
        }
    ]
    return runs
