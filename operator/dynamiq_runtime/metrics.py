"""What /metrics shows: runs by outcome, their latency, those in flight, refused requests, and what is served."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, generate_latest

from dynamiq_runtime import __version__
from dynamiq_runtime.settings import Settings

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
OUTCOMES = ("succeeded", "failed", "timed_out", "busy")


class Metrics:
    """One registry for one server."""

    def __init__(self, settings: Settings) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.runs = Counter("dynamiq_runtime_runs", "Runs that ended, by outcome.", ["outcome"], registry=self.registry)
        self.latency = Histogram(
            "dynamiq_runtime_run_duration_seconds", "Time from request to answer.", buckets=BUCKETS, registry=self.registry
        )
        self.in_flight = Gauge("dynamiq_runtime_runs_in_flight", "Runs under way.", registry=self.registry)
        self.refused = Counter(
            "dynamiq_runtime_requests_refused",
            "Requests that started no run, by the error's code.",
            ["code"],
            registry=self.registry,
        )
        Info("dynamiq_runtime", "What is served, and by what.", registry=self.registry).info(
            {
                "app": settings.app,
                "workflow_version": settings.workflow_version or "",
                "engine": settings.engine,
                "version": __version__,
            }
        )
        for outcome in OUTCOMES:
            self.runs.labels(outcome)

    def render(self) -> bytes:
        """The text format of Prometheus."""
        return generate_latest(self.registry)
