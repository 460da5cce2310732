"""The gate's own ports: /healthz and /readyz for the kubelet, and /metrics. None of them is an App's."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from dynamiq_operator.gate.metrics import Metrics

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


async def serve_health(host: str | None, port: int, is_ready: Callable[[], bool]) -> web.AppRunner:
    """Serves the probes. Raises OSError where the port is taken."""

    async def healthz(_request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(_request: web.Request) -> web.Response:
        ready = is_ready()
        return web.json_response({"status": "ready" if ready else "not ready"}, status=200 if ready else 503)

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    return await _served(app, host, port)


async def serve_metrics(host: str | None, port: int, metrics: Metrics) -> web.AppRunner:
    """Serves the metrics. Raises OSError where the port is taken."""

    async def render(_request: web.Request) -> web.Response:
        return web.Response(body=metrics.render(), headers={"Content-Type": METRICS_TYPE})

    app = web.Application()
    app.router.add_get("/metrics", render)
    return await _served(app, host, port)


async def _served(app: web.Application, host: str | None, port: int) -> web.AppRunner:
    runner = web.AppRunner(app, access_log=None, handle_signals=False, keepalive_timeout=30, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, host, port, reuse_address=True).start()
    return runner
