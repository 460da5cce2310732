"""Notes every request in metrics and the log, and answers every error. It checks no rights."""

from __future__ import annotations

import logging
from collections.abc import Callable

from starlette.types import ASGIApp

from dynamiq_operator.serving.middleware import Exchange, RequestMiddleware
from dynamiq_operator.serving.problems import HttpProblem
from dynamiq_operator.serving.request_log import log_access, route_of
from dynamiq_recorder.http.errors import problem_of
from dynamiq_recorder.observed import RequestMetrics

PROBES = frozenset({"/healthz", "/readyz"})
TRACES = "/v1/traces"


class Middleware(RequestMiddleware):
    """`quiet`: routes of which only failures are logged, since pods call them all the time."""

    def __init__(
        self,
        app: ASGIApp,
        metrics: RequestMetrics,
        answers: Callable[[Exception], HttpProblem] = problem_of,
        quiet: frozenset[str] = frozenset({TRACES}),
    ) -> None:
        super().__init__(app, answers, PROBES)
        self._metrics, self._quiet = metrics, quiet

    def closes(self, exchange: Exchange) -> bool:
        return exchange.scope["method"] in ("POST", "PUT", "PATCH") and not exchange.is_read

    def note(self, exchange: Exchange, seconds: float) -> None:
        scope, route = exchange.scope, route_of(exchange.scope)
        self._metrics.requests.labels(route, str(exchange.status)).inc()
        if scope["method"] == "GET":
            self._metrics.request_seconds.labels(route).observe(seconds)
        level = logging.DEBUG if route in self._quiet and exchange.status == 200 else logging.INFO
        log_access(scope, exchange.status, seconds, level)
