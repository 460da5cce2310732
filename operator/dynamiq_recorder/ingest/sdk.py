"""Builds runs from the SDK's format: `{"runs": [...]}`, a list of workflows, flows and nodes that name their parents.

The top of each tree is the run, and all below it are its spans. Values without a column are kept as JSON beside each, so that the trace can
be returned as it was sent. The SDK sends the runs of a reused handler again with each flush; the store treats them as the same.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec

from dynamiq_operator.model.runs import NodeStatus, RunSource, RunStatus
from dynamiq_recorder.calls import calls_of
from dynamiq_recorder.identity.senders import Sender
from dynamiq_recorder.ingest import clean
from dynamiq_recorder.ingest.parsed import (
    MODELS_OF_A_RUN,
    Parsed,
    Prices,
    Refusals,
    all_above,
    descendants,
    duration,
    tokens_of,
    wrong_time,
)
from dynamiq_recorder.ingest.spans import NotReadable
from dynamiq_recorder.model import MICROSECONDS, SPANS_OF_A_RUN, Batch, Run, Span
from dynamiq_recorder.sdk_runs import without_content

RUNS_MAX = 20_000
"""Most runs of one request."""
_STATUSES = {"succeeded": RunStatus.SUCCEEDED, "failed": RunStatus.FAILED, "canceled": RunStatus.ABANDONED, "skipped": RunStatus.SUCCEEDED}
_NODE_STATUSES = {"succeeded": NodeStatus.SUCCEEDED, "failed": NodeStatus.FAILED, "skipped": NodeStatus.SKIPPED}
_Node = dict[str, Any]


def from_json(body: bytes) -> list[_Node]:
    """Parses a body. Returns its runs.

    Raises NotReadable.
    """
    if clean.depth(body) > clean.DEPTH_MAX:
        raise NotReadable(f"the body is nested deeper than {clean.DEPTH_MAX} levels")
    if clean.is_heavy(body):
        raise NotReadable("send fewer runs: the body has too many values, lists and objects")
    try:
        parsed = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        try:
            parsed = json.loads(body.decode(errors="replace"))
        except ValueError as error:
            raise NotReadable(f"the body is not JSON: {error}") from None
    runs = parsed.get("runs") if isinstance(parsed, dict) else None
    if not isinstance(runs, list) or not all(isinstance(each, dict) for each in runs):
        raise NotReadable('the body has neither "resourceSpans" nor "runs", a list of objects')
    if len(runs) > RUNS_MAX:
        raise NotReadable(f"send at most {RUNS_MAX} runs at once, got {len(runs)}")
    return runs


def parse(nodes: list[_Node], sender: Sender, prices: Prices, now: int, oldest: int = 1) -> Parsed:
    """Returns the runs of a request. `now`, `oldest`: microseconds; runs that began before `oldest` are refused."""
    refusals, runs = Refusals(), []
    by_id = {each["id"]: each for each in nodes if isinstance(each.get("id"), str) and 0 < len(each["id"]) <= 64}
    if len(by_id) < len(nodes) and (
        without_id := sum(not isinstance(each.get("id"), str) or not 0 < len(each["id"]) <= 64 for each in nodes)
    ):
        refusals.add(without_id, "a run has no id")
    below: dict[str, list[_Node]] = {}
    roots = []
    for each in by_id.values():
        parent = each.get("parent_run_id")
        if isinstance(parent, str) and parent in by_id and parent != each["id"]:
            below.setdefault(parent, []).append(each)
        else:
            roots.append(each)
    taken = 0
    for root in roots:
        tree = sorted(descendants(root, lambda node: below.get(node["id"], ())), key=lambda node: _time(node.get("start_time")) or 0)
        taken += 1 + len(tree)
        began, ended = _time(root.get("start_time")), _time(root.get("end_time"))
        if ended is None and root.get("status") is None:
            continue  # under way: it is sent again when it has ended
        if says := wrong_time(began or 0, now, oldest):
            refusals.add(1 + len(tree), says)
            continue
        if len(tree) > SPANS_OF_A_RUN:
            refusals.add(len(tree) - SPANS_OF_A_RUN, f"a run has more than {SPANS_OF_A_RUN} nodes: only those that began first are stored")
        runs.append(_run(root, tree[:SPANS_OF_A_RUN], sender, prices))
    if taken < len(by_id):
        refusals.add(len(by_id) - taken, "runs are each other's parents: they are not stored")
    return Parsed(Batch(runs=tuple(runs)), refusals.count, refusals.says)


def _run(root: _Node, tree: list[_Node], sender: Sender, prices: Prices) -> Run:
    began = _time(root.get("start_time")) or 0
    ended = _time(root.get("end_time")) or began
    if root.get("type") == "node":  # one node by itself, run outside of any workflow
        tree = [root, *tree]
    spans = _spans(root, tree, sender, prices, began)
    calls = calls_of(spans)
    keeps = sender.records_content
    metadata = _mapping(root.get("metadata"))
    return Run(
        id=clean.run_id(root["id"]) or clean.derived_id(sender.app_uid, root["id"]),
        app_uid=sender.app_uid,
        namespace=sender.namespace,
        app=sender.app,
        status=_STATUSES.get(_word(root.get("status")), RunStatus.FAILED),
        source=RunSource.SDK,
        started_at=began,
        duration=duration(began, ended),
        trace_id=clean.text(root.get("trace_id"), 64) or root["id"],
        reason="canceled" if root.get("status") == "canceled" else None,
        session_id=clean.text(root.get("session_id")),
        user_id=clean.text(metadata.get("user_id")),
        tags=clean.tags(root.get("tags")),
        tokens=calls.tokens,
        cost=calls.cost,
        unpriced=calls.unpriced,
        model_calls=calls.count,
        models=calls.models[:MODELS_OF_A_RUN],
        spans=tuple(spans),
        node_count=len(spans),
        **_content(root, keeps),
    )


def _spans(root: _Node, tree: list[_Node], sender: Sender, prices: Prices, run_began: int) -> list[Span]:
    parents = {each["id"]: each.get("parent_run_id") for each in tree}
    above = all_above((parents[each["id"]] for each in tree if _usage(each)), parents)
    return [_span(each, root, sender, prices, run_began, is_model=bool(_usage(each)) and each["id"] not in above) for each in tree]


def _span(run_node: _Node, root: _Node, sender: Sender, prices: Prices, run_began: int, *, is_model: bool) -> Span:
    metadata, usage = _mapping(run_node.get("metadata")), _usage(run_node)
    node = _mapping(metadata.get("node") or metadata.get("flow"))
    began = max(_time(run_node.get("start_time")) or run_began, run_began)
    ended = _time(run_node.get("end_time")) or began
    kind = clean.text(node.get("type")) or clean.text(run_node.get("type"))
    parent = run_node.get("parent_run_id")
    status = _word(run_node.get("status"))
    model = clean.text(node.get("model"))
    tokens = tokens_of(
        clean.tokens(usage.get("prompt_tokens")),
        clean.tokens(usage.get("completion_tokens")),
        clean.tokens(usage.get("cache_read_input_tokens")),
        clean.tokens(usage.get("cache_creation_input_tokens")),
    )
    cost, source = prices.cost(model if is_model else None, tokens, began, clean.usd(usage.get("total_tokens_cost_usd")))
    executions = run_node.get("executions")
    return Span(
        span_id=clean.text(run_node["id"], 64) or "-",
        node_id=clean.text(node.get("id")) or clean.text(run_node.get("name")) or "node",
        name=clean.text(run_node.get("name")) or "node",
        started_at=began,
        duration=duration(began, ended),
        parent_id=clean.text(parent, 64) if isinstance(parent, str) and parent != root["id"] and run_node is not root else None,
        type=kind,
        model=model,
        provider=kind.rpartition(".")[2].lower() if is_model and kind and "." in kind else None,
        is_model=is_model,
        status=_NODE_STATUSES.get(status, NodeStatus.FAILED),
        error_type=status if status not in _NODE_STATUSES else None,
        attempts=min(max(len(executions), 1), 10_000) if isinstance(executions, list) else 1,
        cached=metadata.get("is_output_from_cache") is True,
        tokens=tokens,
        cost=cost,
        cost_source=source,
        **_content(run_node, sender.records_content),
    )


def _content(run_node: _Node, keeps: bool) -> dict[str, Any]:
    """Returns the columns of content, and the rest of a run as JSON."""
    rest = {name: value for name, value in run_node.items() if name not in ("input", "output")}
    if not keeps:
        return {"extra": _extra(without_content(rest))}
    error = run_node.get("error")
    message = error.get("message") if isinstance(error, dict) else error
    return {
        "error": clean.text(message, clean.TEXT_MAX // 4),
        "input": clean.content_of(run_node["input"]) if "input" in run_node else None,
        "output": clean.content_of(run_node["output"]) if "output" in run_node else None,
        "extra": _extra(rest),
    }


def _extra(rest: _Node) -> str:
    """Returns a run as JSON of at most `EXTRA_MAX` bytes; leaves out its largest values if it has more."""
    made = clean.as_json(rest)
    if len(made) <= clean.EXTRA_MAX // 4 or (size := len(made.encode())) <= clean.EXTRA_MAX:
        return made
    sizes = {name: len(clean.as_json({name: value}).encode()) for name, value in rest.items()}  # each once: there may be a hundred thousand
    left_out = set()
    for name in sorted(sizes, key=lambda name: sizes[name], reverse=True):
        if size <= clean.EXTRA_MAX:
            break
        left_out.add(name)
        size -= sizes[name] - 1  # its braces, and the comma that it had
    return clean.as_json({name: value for name, value in rest.items() if name not in left_out})


def _usage(run_node: _Node) -> _Node:
    return _mapping(_mapping(run_node.get("metadata")).get("usage"))


def _mapping(value: Any) -> _Node:
    return value if isinstance(value, dict) else {}


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _time(value: Any) -> int | None:
    """Returns the microseconds of an ISO 8601 text, which is UTC without a zone; None for another value."""
    if not isinstance(value, str) or len(value) > 64:
        return None
    try:
        time = datetime.fromisoformat(value)
        return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * MICROSECONDS)
    except (ValueError, OverflowError):
        return None
