"""Serves as a recorder for pods: real HTTP on a loopback port. It keeps all requests, and answers as the test sets.

Requests are decoded as a collector of OpenTelemetry decodes them, so that none passes that OTLP does not allow.
"""

from __future__ import annotations

import base64
import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.scripted import HttpServer, Reply, Sent

IDS = ("traceId", "spanId", "parentSpanId")


@dataclass
class Post:
    """One request: its headers about the sender, and its spans. `body`: as it was sent, decompressed."""

    headers: dict[str, str]
    body: bytes
    resource: dict[str, Any] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)


@dataclass
class Told:
    """Its answers: `status` with `headers`, after `seconds`; 413 to more than `spans_most` spans."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    spans_most: int | None = None


class Recorder:
    """A recorder and its requests; `told` may be changed at any time."""

    def __init__(self) -> None:
        self.url = ""
        self.posts: list[Post] = []
        self.refused: list[Post] = []
        self.told = Told()
        self.ending = threading.Event()

    @property
    def runs(self) -> list[Span]:
        """Returns the spans of runs in accepted batches, in the order of their arrival."""
        return [span for post in self.posts for span in post.spans if span.kind == Span.SPAN_KIND_SERVER]

    @property
    def records(self) -> list[dict[str, Any]]:
        """Returns the attributes of these."""
        return [attributes_of(span) for span in self.runs]

    def nodes_of(self, run: Span) -> list[Span]:
        """Returns the spans of a run's nodes, at any depth."""
        return [span for post in self.posts for span in post.spans if span.trace_id == run.trace_id and span.span_id != run.span_id]


def attributes_of(of: Any) -> dict[str, Any]:
    """Returns the attributes of a span or a resource; arrays as lists."""
    return {entry.key: _value(entry.value) for entry in of.attributes}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    return [_value(each) for each in value.array_value.values] if kind == "array_value" else getattr(value, str(kind))


def parsed(body: bytes) -> ExportTraceServiceRequest:
    """Parses OTLP's JSON as its protobuf message; only JSON has hexadecimal ids."""
    request = json.loads(body)
    for group in request["resourceSpans"]:
        for scope in group["scopeSpans"]:
            for span in scope["spans"]:
                span.update({key: base64.b64encode(bytes.fromhex(span[key])).decode() for key in IDS if key in span})
    message: ExportTraceServiceRequest = json_format.ParseDict(request, ExportTraceServiceRequest())
    return message


@contextmanager
def recording() -> Iterator[Recorder]:
    """Runs a recorder that accepts all requests."""
    recorder = Recorder()

    def answer(sent: Sent) -> Reply:
        rule = recorder.told
        body = gzip.decompress(sent.raw) if sent.headers.get("Content-Encoding") == "gzip" else sent.raw
        post = Post({key.lower(): value for key, value in sent.headers.items()}, body)
        if b'"resourceSpans"' in body[:20]:
            (group,) = parsed(body).resource_spans
            post.resource = attributes_of(group.resource)
            post.spans = [span for scope in group.scope_spans for span in scope.spans]
        if rule.spans_most is not None and len(post.spans) > rule.spans_most:
            rule = Told(413)
        (recorder.posts if rule.status == 200 else recorder.refused).append(post)
        if rule.seconds:
            recorder.ending.wait(rule.seconds)
        content = {"partialSuccess": {}} if rule.status == 200 else {"error": {"code": "told", "message": "as told"}}
        return Reply(rule.status, content, rule.headers)

    with HttpServer(answer) as server:
        recorder.url = server.url
        try:
            yield recorder
        finally:
            recorder.ending.set()
