"""Builds runs from OTLP spans: of our runtime, whose root spans carry `dynamiq.run.id`, and of others, by the names of gen_ai.*.

A span with `dynamiq.run.id` is a run, and so is one whose parent is not in the request; all spans below it are its nodes. Claims about App,
pins and version are ignored: the sender decides them. Spans that are each other's parents are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from dynamiq_operator.model.runs import NodeStatus, RunSource, RunStatus
from dynamiq_recorder.calls import calls_of
from dynamiq_recorder.identity.senders import Sender
from dynamiq_recorder.ingest import clean
from dynamiq_recorder.ingest.parsed import (
    LONGEST,
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
from dynamiq_recorder.ingest.shapes import shape_of
from dynamiq_recorder.ingest.spans import Group, InSpan
from dynamiq_recorder.model import SPANS_OF_A_RUN, Batch, Instance, Run, Span, in_line

RUN_ID, BUSY = "dynamiq.run.id", "dynamiq.run.busy_ms"
_OUTCOMES = {status.value: status for status in RunStatus}
_NODE_STATUSES = {status.value: status for status in NodeStatus}
_CALLS = frozenset({"chat", "completion", "text_completion", "generate_content", "embeddings"})
"""`gen_ai.operation.name` of model calls. Spans of agents have other names, and repeat the tokens of their calls."""


def parse(groups: Sequence[Group], sender: Sender, prices: Prices, now: int, oldest: int = 1) -> Parsed:
    """Returns the runs of a request. `now`, `oldest`: microseconds; runs that began before `oldest` are refused."""
    refusals, runs, instances = Refusals(), [], []
    for group in groups:
        instance = _instance(group.resource, sender, now) if sender.pod_uid is not None else None
        if instance is not None:
            instances.append(instance)
        runs += _Reader(group, sender, prices, (now, oldest), refusals, instance.id if instance else None).runs()
    return Parsed(Batch(runs=tuple(runs), instances=tuple(instances)), refusals.count, refusals.says)


def instances_of(groups: Sequence[Group]) -> set[str]:
    """Returns the ids of the processes that a request names."""
    named = (clean.text(group.resource.get("service.instance.id"), 64) for group in groups)
    return {each for each in named if each}


def _instance(resource: dict[str, Any], sender: Sender, now: int) -> Instance | None:
    named = clean.text(resource.get("service.instance.id"), 64)
    if named is None:
        return None
    return Instance(
        id=named,
        app_uid=sender.app_uid,
        pod_uid=sender.pod_uid,
        last_seq=clean.count(resource.get("dynamiq.instance.last_seq")) or 0,
        dropped=clean.count(resource.get("dynamiq.instance.dropped")) or 0,
        ended=resource.get("dynamiq.instance.ended") is True,
        at=now,
    )


class _Reader:
    """The runs of one group of spans."""

    def __init__(
        self, group: Group, sender: Sender, prices: Prices, times: tuple[int, int], refusals: Refusals, instance: str | None
    ) -> None:
        self._sender, self._prices, self._refusals, self._instance = sender, prices, refusals, instance
        self._now, self._oldest = times
        self._version, self._hash = sender.workflow_version, sender.workflow_hash
        if sender.is_journal:  # it knows no pod of this run any more: the pod itself wrote them
            self._version, self._hash = (clean.text(group.resource.get(f"dynamiq.workflow.{name}")) for name in ("version", "hash"))
        self._spans = {(span.trace_id, span.span_id): span for span in group.spans}
        self._below: dict[tuple[str, str], list[InSpan]] = {}
        self._roots: list[InSpan] = []
        for span in self._spans.values():
            parent = (span.trace_id, span.parent_id)
            if RUN_ID in span.attributes or not span.parent_id or parent not in self._spans or span.parent_id == span.span_id:
                self._roots.append(span)
            else:
                self._below.setdefault(parent, []).append(span)

    def runs(self) -> list[Run]:
        made, taken = [], 0
        for root in self._roots:
            below = sorted(descendants(root, self._children), key=lambda span: span.start)
            taken += 1 + len(below)
            if says := wrong_time(_times(root).started_at, self._now, self._oldest):
                self._refusals.add(1 + len(below), says)
                continue
            if len(below) > SPANS_OF_A_RUN:
                self._refusals.add(
                    len(below) - SPANS_OF_A_RUN, f"a run has more than {SPANS_OF_A_RUN} spans: only those that began first are stored"
                )
                below = below[:SPANS_OF_A_RUN]
            made.append(self._run(root, below))
        if taken < len(self._spans):
            self._refusals.add(len(self._spans) - taken, "spans are each other's parents: they belong to no run")
        return made

    def _children(self, span: InSpan) -> Sequence[InSpan]:
        return self._below.get((span.trace_id, span.span_id), ())

    def _run(self, root: InSpan, below: list[InSpan]) -> Run:
        attributes, sender = root.attributes, self._sender
        own = clean.run_id(attributes.get(RUN_ID))
        times = _times(root)
        nodes = self._nodes(root, below, times)
        if not below and own is None and _is_call(attributes):  # a model call that nothing surrounds is its own node
            nodes = self._nodes(root, [root], times)
        calls = calls_of(nodes)
        is_own = own is not None and sender.is_own
        status = _OUTCOMES.get(_word(attributes, "dynamiq.run.outcome"), RunStatus.FAILED if root.is_error else RunStatus.SUCCEEDED)
        keeps = sender.records_content
        cut = {name: True for name in ("dynamiq.input.cut", "dynamiq.output.cut") if keeps and attributes.get(name) is True}
        return Run(
            id=own or clean.derived_id(sender.app_uid, root.trace_id, root.span_id),
            app_uid=sender.app_uid,
            namespace=sender.namespace,
            app=sender.app,
            status=status,
            source=RunSource.RUNTIME if is_own else RunSource.OTLP,
            started_at=times.started_at,
            duration=times.duration,
            accepted_at=times.accepted_at,
            trace_id=clean.text(root.trace_id, 64) or "",
            pins=sender.pins,
            workflow_version=self._version,
            workflow_hash=self._hash,
            reason=clean.text(attributes.get("dynamiq.run.reason") or attributes.get("error.type"), 128),
            trigger=clean.text(attributes.get("dynamiq.trigger")),
            session_id=clean.text(attributes.get("session.id") or attributes.get("gen_ai.conversation.id")),
            user_id=clean.text(attributes.get("user.id")),
            tags=clean.tags(attributes.get("dynamiq.tags")),
            first_chunk=_milliseconds(attributes.get("dynamiq.run.first_chunk_ms")),
            tokens=calls.tokens,
            cost=calls.cost,
            unpriced=calls.unpriced,
            model_calls=calls.count,
            models=calls.models[:MODELS_OF_A_RUN],
            instance=self._instance if is_own else None,
            seq=(clean.count(attributes.get("dynamiq.run.seq")) or None) if is_own and self._instance else None,
            spans=tuple(nodes),
            node_count=len(nodes),
            error=clean.text(attributes.get("dynamiq.error"), clean.TEXT_MAX // 4) if keeps else None,
            input=clean.content(attributes.get("dynamiq.input")) if keeps else None,
            output=clean.content(attributes.get("dynamiq.output")) if keeps else None,
            extra=clean.as_json(cut) if cut else None,
            shape=shape_of(attributes, sender) if own is not None else None,
        )

    def _nodes(self, root: InSpan, below: list[InSpan], times: _Times) -> list[Span]:
        """Returns the nodes of a run. A call with another call inside it is no model call: its tokens are those of the inner one."""
        calling = {span.parent_id for span in below if _is_call(span.attributes)}
        above = all_above(calling, {span.span_id: span.parent_id for span in below})
        return [self._node(span, root, times, is_model=_is_call(span.attributes) and span.span_id not in above) for span in below]

    def _node(self, span: InSpan, root: InSpan, times: _Times, *, is_model: bool) -> Span:
        has = span.attributes.get
        started_at = min(max(span.start // 1000, times.first_at), self._now + 600_000_000)
        model = clean.text(has("gen_ai.request.model") or has("gen_ai.response.model"))
        tokens = tokens_of(
            clean.tokens(has("gen_ai.usage.input_tokens")),
            clean.tokens(has("gen_ai.usage.output_tokens")),
            clean.tokens(has("gen_ai.usage.cache_read.input_tokens")),
            clean.tokens(has("gen_ai.usage.cache_creation.input_tokens")),
        )
        cost, source = self._prices.cost(model if is_model else None, tokens, started_at, clean.usd(has("dynamiq.node.cost_usd")))
        keeps = self._sender.records_content
        name = clean.text(has("dynamiq.node.name")) or clean.text(span.name) or "node"
        return Span(
            span_id=clean.text(span.span_id, 64) or "-",
            node_id=clean.text(has("dynamiq.node.id")) or name,
            name=name,
            started_at=started_at,
            duration=min(duration(span.start // 1000, span.end // 1000), times.longest),
            parent_id=None if span is root or span.parent_id == root.span_id else span.parent_id,
            type=clean.text(has("dynamiq.node.type") or has("gen_ai.operation.name")),
            model=model,
            provider=clean.text(has("gen_ai.provider.name") or has("gen_ai.system")),
            is_model=is_model,
            status=_NODE_STATUSES.get(
                _word(span.attributes, "dynamiq.node.status"), NodeStatus.FAILED if span.is_error else NodeStatus.SUCCEEDED
            ),
            error_type=in_line(clean.text(has("error.type")), clean.count(has("code.line.number"))),
            attempts=min(clean.count(has("dynamiq.node.attempts")) or 1, 10_000),
            cached=has("dynamiq.node.cached") is True,
            tokens=tokens,
            cost=cost,
            cost_source=source,
            error=clean.text(has("dynamiq.error"), clean.TEXT_MAX // 4) if keeps else None,
            input=clean.content(has("dynamiq.input")) if keeps else None,
            output=clean.content(has("dynamiq.output")) if keeps else None,
        )


class _Times(NamedTuple):
    """The times of a run, as in `Run`, with the earliest start and the longest duration of its nodes."""

    started_at: int
    duration: int
    accepted_at: int | None
    first_at: int
    longest: int


def _times(root: InSpan) -> _Times:
    """Returns the times of a run. A background run counts as if pods had spent their time on it in one piece, up to its end."""
    began, ended = root.start // 1000, root.end // 1000
    busy_ms = clean.count(root.attributes.get(BUSY), LONGEST // 1000)
    if busy_ms is None or not began or (busy := busy_ms * 1000) > ended - began:
        return _Times(began, duration(began, ended), None, began, LONGEST)
    # A node's span covers the waits inside it, which are no slowness either.
    return _Times(ended - busy, busy, began, began, busy)


def _is_call(attributes: dict[str, Any]) -> bool:
    """Returns True if a span is a model call. Our runtime marks its calls; others are known by their operation or tokens.

    A result from a cache is no call.
    """
    if attributes.get("dynamiq.node.cached") is True:
        return False
    marked = attributes.get("dynamiq.node.model_call")
    if marked is not None or "dynamiq.node.id" in attributes:
        return marked is True
    operation = _word(attributes, "gen_ai.operation.name")
    return operation in _CALLS or (not operation and "gen_ai.usage.input_tokens" in attributes)


def _word(attributes: dict[str, Any], name: str) -> str:
    value = attributes.get(name)
    return value if isinstance(value, str) else ""


def _milliseconds(value: Any) -> int | None:
    milliseconds = clean.number(value)
    return round(milliseconds * 1000) if milliseconds is not None and 0 <= milliseconds < 1e12 else None
