"""Runs an OpenTelemetry collector on a loopback port that keeps all exports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.scripted import HttpServer, Reply, Sent


class Collector:
    """The exports of a collector."""

    def __init__(self) -> None:
        self.raw = b""
        self.spans: list[Span] = []
        self.resources: list[dict[str, Any]] = []

    def take(self, body: bytes) -> None:
        self.raw += body
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resources.append(attributes_of(group.resource))
            self.spans += [span for scope in group.scope_spans for span in scope.spans]


def attributes_of(of: Any) -> dict[str, Any]:
    """Returns the attributes of a span or a resource."""
    return {entry.key: getattr(entry.value, entry.value.WhichOneof("value")) for entry in of.attributes}


@contextmanager
def collecting() -> Iterator[tuple[Collector, str]]:
    """Runs a collector on a loopback port; yields it and its endpoint."""
    collector = Collector()

    def take(sent: Sent) -> Reply:
        assert sent.path == "/v1/traces"
        collector.take(sent.raw)
        return Reply(body=b"")

    with HttpServer(take) as server:
        yield collector, server.url
