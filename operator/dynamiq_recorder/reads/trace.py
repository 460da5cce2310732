"""Builds the trace of a run in the SDK's shape. It reads no store.

A run of the SDK is returned as it was sent. Any other run becomes a tree of one workflow, one flow and its nodes.
"""

from __future__ import annotations

import uuid
from typing import Any

from dynamiq_operator.model.runs import NodeStatus, RunSource, RunStatus
from dynamiq_recorder.model import NANO_USD, Run, Span
from dynamiq_recorder.reads.runs import value
from dynamiq_recorder.reads.times import shown
from dynamiq_recorder.sdk_runs import without_content

_IDS = uuid.UUID("b7f0f0f8-3c5d-5b55-9a41-0d2f9d1f7c33")
_STATUSES = {RunStatus.SUCCEEDED: "succeeded", RunStatus.ABANDONED: "canceled"}


def trace(run: Run, *, shows: bool) -> dict[str, Any]:
    """Returns a trace as a RunTrace is serialized. `shows`: with input, output and errors, which `run` must then have."""
    sent = _sent(run, shows) if run.source is RunSource.SDK else None
    return {"runs": sent if sent is not None else _built(run, shows)}


def _sent(run: Run, shows: bool) -> list[dict[str, Any]] | None:
    """Returns the runs that the SDK sent; None if they are no longer stored."""
    root = value(run.extra)
    if not isinstance(root, dict):
        return None
    runs = [_with_content(root, run, shows)]
    for span in run.spans:
        node = value(span.extra)
        if isinstance(node, dict) and node.get("id") != root.get("id"):
            runs.append(_with_content(node, span, shows))
    return runs


def _with_content(sent: dict[str, Any], of: Run | Span, shows: bool) -> dict[str, Any]:
    if not shows:
        return without_content(sent)
    beside = {"input": of.input, "output": of.output}
    return sent | {name: value(text) for name, text in beside.items() if text is not None}


def _built(run: Run, shows: bool) -> list[dict[str, Any]]:
    flow_id = str(uuid.uuid5(_IDS, run.id))
    status = _STATUSES.get(RunStatus(run.status), "failed")
    common = {
        "trace_id": run.trace_id,
        "source_id": run.instance,
        "session_id": run.session_id,
        "executions": [],
        "tags": list(run.tags),
    }
    times = {"start_time": shown(run.first_at), "end_time": shown(run.started_at + run.duration), "status": status}
    content = _content(run, shows)
    workflow = {"workflow": {"id": run.workflow_hash, "version": run.workflow_version}}
    made = [
        {"id": run.id, "name": "Workflow", "type": "workflow", "parent_run_id": None, "metadata": workflow, **common, **times, **content},
        {
            "id": flow_id,
            "name": "Flow",
            "type": "flow",
            "parent_run_id": run.id,
            "metadata": {"flow": {"id": None}},
            **common,
            **times,
            **content,
        },
    ]
    ids = {span.span_id: str(uuid.uuid5(_IDS, f"{run.id}/{span.span_id}")) for span in run.spans}
    for span in run.spans:
        made.append(
            {
                "id": ids[span.span_id],
                "name": span.name,
                "type": "node",
                "parent_run_id": ids.get(span.parent_id or "", flow_id),
                "start_time": shown(span.started_at),
                "end_time": shown(span.started_at + span.duration),
                "status": NodeStatus(span.status).value,
                "metadata": _metadata(span),
                **common,
                **_content(span, shows),
            }
        )
    return made


def _metadata(span: Span) -> dict[str, Any]:
    node = {"id": span.node_id, "name": span.name, "type": span.type} | ({"model": span.model} if span.model else {})
    made: dict[str, Any] = {"node": node, "is_output_from_cache": span.cached}
    if span.is_model and (span.tokens.input is not None or span.tokens.output is not None):
        prompt, output = span.tokens.input or 0, span.tokens.output or 0
        made["usage"] = {
            "prompt_tokens": prompt,
            "completion_tokens": output,
            "total_tokens": prompt + output,
            "total_tokens_cost_usd": span.cost / NANO_USD if span.cost is not None else None,
            "cache_read_input_tokens": span.tokens.cache_read,
            "cache_creation_input_tokens": span.tokens.cache_write,
        }
    return made


def _content(of: Run | Span, shows: bool) -> dict[str, Any]:
    if not shows:
        return {}
    error = {"message": of.error} if of.error is not None else None
    return {"input": value(of.input), "output": value(of.output), "error": error}
