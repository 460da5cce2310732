"""Serves /healthz and /readyz on the gate's own port, for the kubelet. Apps and /metrics have other ports (`kube.exposition`)."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from dynamiq_operator.kube.exposition import bound, served


async def serve_health(host: str | None, port: int, is_ready: Callable[[], bool]) -> web.AppRunner:
    """Serves the probes. Raises OSError if the port is in use."""

    async def healthz(_request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(_request: web.Request) -> web.Response:
        ready = is_ready()
        return web.json_response({"status": "ready" if ready else "not ready"}, status=200 if ready else 503)

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    return await served(app, bound(host, port, "/healthz"), 30)
