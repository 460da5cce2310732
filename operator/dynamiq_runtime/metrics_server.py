"""Serves the port for the cluster only: `GET /metrics` for Prometheus, `GET /activity` for the operator.

No Service has this port, and it needs no key.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from dynamiq_runtime.activity import Activity
from dynamiq_runtime.metrics import Metrics
from dynamiq_runtime.ports import listen

AT_ONCE = 0.1  # seconds that a stop waits for an answer of figures; 0 would wait for ever
TEXT = "text/plain; version=0.0.4; charset=utf-8"
CAPABILITIES = ("run_fields", "run_events", "origins", "files", "background", "questions", "sessions", "callbacks")
"""Names of features, for the operator. An image from before them reports no list."""


class MetricsServer:
    """The metrics server of one server; `start` and `close` are called once each."""

    def __init__(self, metrics: Metrics, activity: Activity, standby: Callable[[], bool]) -> None:
        self._metrics = metrics
        self._activity = activity
        self._standby = standby
        app = web.Application()
        app.router.add_get("/metrics", self._show_metrics)
        app.router.add_get("/activity", self._show_activity)
        self._web = web.AppRunner(app, access_log=None, shutdown_timeout=AT_ONCE, handle_signals=False)

    async def start(self, port: int) -> int:
        """Listens and returns the port. Raises PortError."""
        return await listen(self._web, port, "DYNAMIQ_METRICS_PORT")

    async def close(self) -> None:
        """Ends it at once: nobody waits for the figures of a pod that ends."""
        await self._web.cleanup()

    async def _show_metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.render(), headers={"Content-Type": TEXT})

    async def _show_activity(self, _request: web.Request) -> web.Response:
        took = {"running_seconds": self._metrics.running_seconds(), "failed_seconds": round(self._metrics.failed_seconds, 1)}
        state = {"standby": self._standby(), "runs": self._metrics.totals, **took, "capabilities": CAPABILITIES}
        return web.json_response({**self._activity.as_dict(), **state})
