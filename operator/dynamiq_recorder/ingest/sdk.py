"""Runs as the SDK sends them: `{"runs": [...]}`, a list of workflows, flows and nodes that name their parents.

The topmost of each tree is the run, and what is below it its spans. What no column has is kept as JSON beside each, so that the trace can
be given back as it was sent. The SDK sends a reused handler's runs again with each flush: the store takes them as the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from dynamiq_operator.model.runs import NodeStatus, RunSource, RunStatus
from dynamiq_recorder.calls import calls_of
from dynamiq_recorder.identity.senders import Sender
from dynamiq_recorder.ingest import clean
from dynamiq_recorder.ingest.parsed import MODELS_OF_A_RUN, Parsed, Prices, Refusals, duration, tokens_of, wrong_time
from dynamiq_recorder.ingest.spans import NotReadable
from dynamiq_recorder.model import MICROSECONDS, SPANS_OF_A_RUN, Batch, Run, Span
from dynamiq_recorder.sdk_runs import without_content

RUNS_MAX = 20_000
"""Of one request."""
_STATUSES = {"succeeded": RunStatus.SUCCEEDED, "failed": RunStatus.FAILED, "canceled": RunStatus.ABANDONED, "skipped": RunStatus.SUCCEEDED}
_NODE_STATUSES = {"succeeded": NodeStatus.SUCCEEDED, "failed": NodeStatus.FAILED, "skipped": NodeStatus.SKIPPED}
_Given = dict[str, Any]


def from_json(body: bytes) -> list[_Given]:
    """The runs of a body. Raises NotReadable."""
    if clean.depth(body) > clean.DEPTH_MAX:
        raise NotReadable(f"the body is nested deeper than {clean.DEPTH_MAX} levels")
    if clean.is_heavy(body):
        raise NotReadable("the body has more values, lists and objects than are read at once: send fewer runs")
    try:
        parsed = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        try:
            parsed = json.loads(body.decode(errors="replace"))
        except ValueError as error:
            raise NotReadable(f"the body is no JSON: {error}") from None
    runs = parsed.get("runs") if isinstance(parsed, dict) else None
    if not isinstance(runs, list) or not all(isinstance(each, dict) for each in runs):
        raise NotReadable('the body has neither "resourceSpans" nor "runs", a list of objects')
    if len(runs) > RUNS_MAX:
        raise NotReadable(f"the request has {len(runs)} runs: send at most {RUNS_MAX} at once")
    return runs


def parse(given: list[_Given], sender: Sender, prices: Prices, now: int, oldest: int = 1) -> Parsed:
    """The runs of a request. `now`, `oldest`: microseconds; what began before the latter is refused."""
    refusals, runs = Refusals(), []
    there = {each["id"]: each for each in given if isinstance(each.get("id"), str) and 0 < len(each["id"]) <= 64}
    if len(there) < len(given) and (without := sum(not isinstance(each.get("id"), str) or not 0 < len(each["id"]) <= 64 for each in given)):
        refusals.add(without, "a run has no id")
    below: dict[str, list[_Given]] = {}
    roots = []
    for each in there.values():
        parent = each.get("parent_run_id")
        if isinstance(parent, str) and parent in there and parent != each["id"]:
            below.setdefault(parent, []).append(each)
        else:
            roots.append(each)
    taken = 0
    for root in roots:
        tree = _tree(root, below)
        taken += 1 + len(tree)
        began, ended = _time(root.get("start_time")), _time(root.get("end_time"))
        if ended is None and root.get("status") is None:
            continue  # under way: it is sent again when it has ended
        if says := wrong_time(began or 0, now, oldest):
            refusals.add(1 + len(tree), says)
            continue
        if len(tree) > SPANS_OF_A_RUN:
            refusals.add(len(tree) - SPANS_OF_A_RUN, f"a run has more than {SPANS_OF_A_RUN} nodes: those that began first are kept")
        runs.append(_run(root, tree[:SPANS_OF_A_RUN], sender, prices))
    if taken < len(there):
        refusals.add(len(there) - taken, "runs are each other's parents: they belong to nothing")
    return Parsed(Batch(runs=tuple(runs)), refusals.count, refusals.says)


def _tree(root: _Given, below: Mapping[str, list[_Given]]) -> list[_Given]:
    found: list[_Given] = []
    left = [root]
    while left:
        each = below.get(left.pop()["id"])
        if each:
            found += each
            left += each
    return sorted(found, key=lambda each: _time(each.get("start_time")) or 0)


def _run(root: _Given, tree: list[_Given], sender: Sender, prices: Prices) -> Run:
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


def _spans(root: _Given, tree: list[_Given], sender: Sender, prices: Prices, run_began: int) -> list[Span]:
    parents = {each["id"]: each.get("parent_run_id") for each in tree}
    above: set[str] = set()
    for each in tree:
        if _usage(each):
            parent = each.get("parent_run_id")
            while isinstance(parent, str) and parent in parents and parent not in above:
                above.add(parent)
                parent = parents[parent]
    made = []
    for each in tree:
        made.append(_span(each, root, sender, prices, run_began, is_model=bool(_usage(each)) and each["id"] not in above))
    return made


def _span(given: _Given, root: _Given, sender: Sender, prices: Prices, run_began: int, *, is_model: bool) -> Span:
    metadata, usage = _mapping(given.get("metadata")), _usage(given)
    node = _mapping(metadata.get("node") or metadata.get("flow"))
    began = max(_time(given.get("start_time")) or run_began, run_began)
    ended = _time(given.get("end_time")) or began
    kind = clean.text(node.get("type")) or clean.text(given.get("type"))
    parent = given.get("parent_run_id")
    status = _word(given.get("status"))
    model = clean.text(node.get("model"))
    tokens = tokens_of(
        clean.tokens(usage.get("prompt_tokens")),
        clean.tokens(usage.get("completion_tokens")),
        clean.tokens(usage.get("cache_read_input_tokens")),
        clean.tokens(usage.get("cache_creation_input_tokens")),
    )
    cost, source = prices.cost(model if is_model else None, tokens, began, clean.usd(usage.get("total_tokens_cost_usd")))
    executions = given.get("executions")
    return Span(
        span_id=clean.text(given["id"], 64) or "-",
        node_id=clean.text(node.get("id")) or clean.text(given.get("name")) or "node",
        name=clean.text(given.get("name")) or "node",
        started_at=began,
        duration=duration(began, ended),
        parent_id=clean.text(parent, 64) if isinstance(parent, str) and parent != root["id"] and given is not root else None,
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
        **_content(given, sender.records_content),
    )


def _content(given: _Given, keeps: bool) -> dict[str, Any]:
    """Columns of content, and the rest of a run as JSON."""
    rest = {name: value for name, value in given.items() if name not in ("input", "output")}
    if not keeps:
        return {"extra": _extra(without_content(rest))}
    error = given.get("error")
    message = error.get("message") if isinstance(error, dict) else error
    return {
        "error": clean.text(message, clean.TEXT_MAX // 4),
        "input": clean.content_of(given["input"]) if "input" in given else None,
        "output": clean.content_of(given["output"]) if "output" in given else None,
        "extra": _extra(rest),
    }


def _extra(rest: _Given) -> str:
    """JSON of at most `EXTRA_MAX` bytes; of more, without what is largest."""
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


def _usage(given: _Given) -> _Given:
    return _mapping(_mapping(given.get("metadata")).get("usage"))


def _mapping(value: Any) -> _Given:
    return value if isinstance(value, dict) else {}


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _time(value: Any) -> int | None:
    """Microseconds of an ISO 8601 text; one without a zone is of UTC."""
    if not isinstance(value, str) or len(value) > 64:
        return None
    try:
        found = datetime.fromisoformat(value)
        return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * MICROSECONDS)
    except (ValueError, OverflowError):
        return None
