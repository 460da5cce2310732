"""Exports traces to OpenTelemetry: a span for each run, and in it one for each node, sent by OTLP over HTTP.

Off unless OTEL_EXPORTER_OTLP_ENDPOINT (or …_TRACES_ENDPOINT) is set; OpenTelemetry's other variables apply. A caller's `traceparent` is
continued. No span has input, output or error text.
"""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from dynamiq_runtime import __version__
from dynamiq_runtime.engine import FAILED, NodeRun, Usage
from dynamiq_runtime.run import Run
from dynamiq_runtime.settings import Settings

FLUSH = 2000  # milliseconds that a stop waits for unsent spans


class Traces:
    """The exporter of one server."""

    def __init__(self, settings: Settings) -> None:
        named = Resource({SERVICE_NAME: settings.app or "dynamiq-runtime", "service.version": settings.workflow_version or ""})
        self._provider = TracerProvider(resource=named.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("dynamiq_runtime", __version__)
        self._attributes = {
            "dynamiq.app": settings.app,
            "dynamiq.app.id": settings.app_id,
            "dynamiq.workflow.version": settings.workflow_version or "",
            "dynamiq.workflow.hash": settings.flow_hash or "",
            "dynamiq.engine": settings.engine,
        }
        self._caller = TraceContextTextMapPropagator()

    def record(self, run: Run) -> str:
        """Adds an ended run and returns its trace's id, 32 hexadecimal digits."""
        caller = self._caller.extract({key.lower(): value for key, value in run.headers.items()})
        attributes = {**self._attributes, "dynamiq.run.id": run.id, "dynamiq.run.outcome": run.outcome}
        span = self._tracer.start_span("run", caller, kind=SpanKind.SERVER, attributes=attributes, start_time=run.began)
        inside = trace.set_span_in_context(span)
        contexts: dict[int, Context] = {}
        for node in list(run.report.nodes):
            around = contexts.get(id(node.parent), inside)
            child = self._tracer.start_span(f"node {node.name}", around, attributes=_of_node(node), start_time=node.began)
            contexts[id(node)] = trace.set_span_in_context(child)
            if node.status == FAILED:
                child.set_status(Status(StatusCode.ERROR))
            child.end(node.ended or run.ended)
        if run.outcome != "succeeded":
            span.set_status(Status(StatusCode.ERROR))
        span.end(run.ended)
        return trace.format_trace_id(span.get_span_context().trace_id)

    def close(self) -> None:
        """Sends the remaining spans, within `FLUSH`."""
        self._provider.force_flush(FLUSH)


def _of_node(node: NodeRun) -> dict[str, str | int | float]:
    usage = node.usage or Usage()
    named = {
        "dynamiq.node.type": node.type,
        "gen_ai.request.model": node.model,
        "gen_ai.provider.name": node.provider,
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cache_read_tokens,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens,
        "dynamiq.node.cost_usd": usage.cost,
        "error.type": node.error_type,
        "code.line.number": node.error_line,
    }
    known = {key: value for key, value in named.items() if value is not None}
    return {"dynamiq.node.id": node.id, "dynamiq.node.name": node.name, "dynamiq.node.status": node.status, **known}
