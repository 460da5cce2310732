"""Counts the API's requests by method, route and status, and measures how long their responses took to begin.

A route is the template of a path, and a method is one of HTTP's: nothing that callers write makes a series.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from starlette.types import Scope

from dynamiq_operator.serving.request_log import route_of

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"
NO_ANSWER = "none"
"""The code of a request whose caller left before there was a status."""


class ApiMetrics:
    """The metrics of one process of the API, in their own registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "dynamiq_api_requests", "Requests that ended, but for probes.", ["method", "route", "code"], registry=self.registry
        )
        self._seconds = Histogram(
            "dynamiq_api_request_duration_seconds",
            "Time from a request's headers to the first byte of its answer, which is all of it but for streams.",
            ["route"],
            buckets=BUCKETS,
            registry=self.registry,
        )

    def count(self, scope: Scope, status: int, seconds: float) -> None:
        """Counts a request. `status`: 0 if there was no response."""
        route = route_of(scope)
        method = scope["method"] if scope["method"] in METHODS else OTHER
        self._requests.labels(method, route, str(status or NO_ANSWER)).inc()
        self._seconds.labels(route).observe(seconds)
