"""An OpenTelemetry collector on a loopback port that keeps what it gets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.scripted import HttpServer, Reply, Sent


class Collector:
    """Keeps what is exported to it."""

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
    """The attributes of a span or a resource."""
    return {entry.key: getattr(entry.value, entry.value.WhichOneof("value")) for entry in of.attributes}


@contextmanager
def collecting() -> Iterator[tuple[Collector, str]]:
    """A collector on a loopback port, and its endpoint."""
    collector = Collector()

    def take(sent: Sent) -> Reply:
        assert sent.path == "/v1/traces"
        collector.take(sent.raw)
        return Reply(body=b"")

    with HttpServer(take) as server:
        yield collector, server.url
