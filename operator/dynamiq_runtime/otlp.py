"""Writes ended runs as OTLP JSON, piece by piece: no piece takes long, so the thread that writes blocks no other.

Attribute names follow OpenTelemetry's GenAI conventions where one exists. A node's id is made of its run's id and its position, so a batch
that is written twice has the same ids.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from json.encoder import encode_basestring as quoted
from typing import TYPE_CHECKING

from dynamiq_runtime import __version__
from dynamiq_runtime.callers import tags_of
from dynamiq_runtime.engine import FAILED, NodeRun
from dynamiq_runtime.shapes import text_of

if TYPE_CHECKING:
    from dynamiq_runtime.content import Excerpt
    from dynamiq_runtime.records import Record

SERVER, INTERNAL, ERROR = 2, 1, '"status":{"code":2}'
ID_MASK = (1 << 64) - 1
NAMES_LIMIT = 2000  # different nodes whose text is kept
HEAD = f'{{"resourceSpans":[{{"scopeSpans":[{{"scope":{{"name":"dynamiq_runtime","version":{json.dumps(__version__)}}},"spans":['
"""The beginning of a request, up to its first span."""


def text(key: str, value: str) -> str:
    """Returns an attribute with a text."""
    return f'{{"key":"{key}","value":{{"stringValue":{quoted(value)}}}}}'


def number(key: str, value: int) -> str:
    """Returns an attribute with a whole number, which OTLP writes as text."""
    return f'{{"key":"{key}","value":{{"intValue":"{value}"}}}}'


def double(key: str, value: float) -> str:
    """Returns an attribute with a number."""
    return f'{{"key":"{key}","value":{{"doubleValue":{value!r}}}}}'


def truth(key: str) -> str:
    """Returns an attribute that is true."""
    return f'{{"key":"{key}","value":{{"boolValue":true}}}}'


def tail(resource: Mapping[str, str], *, last_seq: int | None = None, dropped: int = 0, ended: bool = False) -> str:
    """Returns the end of a request, after its last span, with the sender. `last_seq`: None for runs that belong to no process."""
    attributes = [text(key, value) for key, value in resource.items() if value]
    if last_seq is not None:
        attributes += [number("dynamiq.instance.dropped", dropped), number("dynamiq.instance.last_seq", last_seq)]
    if ended:
        attributes.append(truth("dynamiq.instance.ended"))
    return f']}}],"resource":{{"attributes":[{",".join(attributes)}]}}}}]}}'


class SpanWriter:
    """A writer of runs' spans. It caches the text that each run of a node shares."""

    def __init__(self) -> None:
        self._nodes: dict[tuple[str | bool | None, ...], str] = {}

    def spans(self, record: Record, busy_ms: int | None = None) -> Iterator[str]:
        """Yields the run's span and those of its nodes, with commas between. `busy_ms`: of a background run, what pods spent on it."""
        identity = uuid.UUID(record.id)
        trace_id = record.trace_id or record.caller.trace_id or identity.hex
        root = identity.int & ID_MASK
        yield self._run(record, trace_id, root, busy_ms)
        places = {id(node): place for place, node in enumerate(record.nodes)} if any(node.parent for node in record.nodes) else {}
        for place, node in enumerate(record.nodes):
            parent = root if node.parent is None else _node_id(root, places.get(id(node.parent), -1))
            ids = f'"traceId":"{trace_id}","spanId":"{_node_id(root, place):016x}","parentSpanId":"{parent:016x}"'
            yield f",{{{ids},{self._node(node, record.ended)}"

    def _run(self, record: Record, trace_id: str, root: int, busy_ms: int | None) -> str:
        caller = record.caller
        attributes = [text("dynamiq.run.id", record.id), text("dynamiq.run.outcome", record.outcome)]
        numbers = {"dynamiq.run.seq": record.seq or None, "dynamiq.run.busy_ms": busy_ms}
        attributes += [number(key, value) for key, value in numbers.items() if value is not None]
        named = {
            "dynamiq.run.reason": record.reason,
            "dynamiq.trigger": caller.trigger,
            "session.id": caller.session,
            "user.id": caller.user,
            "dynamiq.key": record.key,
            "dynamiq.run.shape": text_of(record.shape) if record.shape is not None else None,
        }
        attributes += [text(key, value) for key, value in named.items() if value]
        if record.first_chunk:
            attributes.append(double("dynamiq.run.first_chunk_ms", (record.first_chunk - record.began) / 1e6))
        if tags := tags_of(caller.tags):
            values = ",".join(f'{{"stringValue":{quoted(tag)}}}' for tag in tags)
            attributes.append(f'{{"key":"dynamiq.tags","value":{{"arrayValue":{{"values":[{values}]}}}}}}')
        attributes += _content(record.input, record.output, record.error)
        parent = f',"parentSpanId":"{caller.span_id}"' if caller.span_id else ""
        status = "" if record.outcome == "succeeded" else f",{ERROR}"
        times = f'"startTimeUnixNano":"{record.began}","endTimeUnixNano":"{record.ended}"'
        return (
            f'{{"traceId":"{trace_id}","spanId":"{root:016x}"{parent},"name":"run","kind":{SERVER},{times},'
            f'"attributes":[{",".join(attributes)}]{status}}}'
        )

    def _node(self, node: NodeRun, ended: int) -> str:
        parts = [self._same(node), text("dynamiq.node.status", node.status)]
        if node.attempts != 1:
            parts.append(number("dynamiq.node.attempts", node.attempts))
        if node.cached:
            parts.append(truth("dynamiq.node.cached"))
        if node.error_type:
            parts.append(text("error.type", node.error_type))
        if node.error_line is not None:
            parts.append(number("code.line.number", node.error_line))
        if (usage := node.usage) is not None:
            tokens = {
                "gen_ai.usage.input_tokens": usage.input_tokens,
                "gen_ai.usage.output_tokens": usage.output_tokens,
                "gen_ai.usage.cache_read.input_tokens": usage.cache_read_tokens,
                "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens,
            }
            parts += [number(key, value) for key, value in tokens.items() if value is not None]
            if usage.cost is not None:
                parts.append(double("dynamiq.node.cost_usd", usage.cost))
        parts += _content(node.input, node.output, node.error)
        status = f",{ERROR}" if node.status == FAILED else ""
        return f'"startTimeUnixNano":"{node.began}","endTimeUnixNano":"{node.ended or ended}",{",".join(parts)}]{status}}}'

    def _same(self, node: NodeRun) -> str:
        """Returns the part that each run of a node shares: the span's name, and its first attributes."""
        key = (node.id, node.name, node.type, node.model, node.provider, node.is_model)
        if (known := self._nodes.get(key)) is None:
            named = {
                "dynamiq.node.id": node.id,
                "dynamiq.node.name": node.name,
                "dynamiq.node.type": node.type,
                "gen_ai.request.model": node.model,
                "gen_ai.provider.name": node.provider,
            }
            attributes = [text(name, value) for name, value in named.items() if value]
            if node.is_model:
                attributes.append(truth("dynamiq.node.model_call"))
            known = f'"name":{quoted(f"node {node.name}")},"kind":{INTERNAL},"attributes":[{",".join(attributes)}'
            if len(self._nodes) >= NAMES_LIMIT:
                self._nodes.clear()
            self._nodes[key] = known
        return known


def _node_id(root: int, place: int) -> int:
    """Returns a node's id; place -1 has the run's own."""
    # Never 0, which is no id, and never the run's id.
    return (root + place + 1) & ID_MASK or 1 << 63


def _content(run_input: Excerpt | None, output: Excerpt | None, error: str | None) -> list[str]:
    parts = []
    for key, value in (("dynamiq.input", run_input), ("dynamiq.output", output)):
        if value is not None:
            parts.append(text(key, value.text))
            if value.cut:
                parts.append(truth(f"{key}.cut"))
    if error is not None:
        parts.append(text("dynamiq.error", error))
    return parts
