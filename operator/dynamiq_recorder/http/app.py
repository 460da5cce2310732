"""Assembles the applications of routes, probes and metrics. It handles no request itself."""

from __future__ import annotations

from typing import Protocol

import anyio
import anyio.to_thread
from fastapi import APIRouter, FastAPI, Request
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from dynamiq_operator.serving.encoding import Json
from dynamiq_recorder.http import app_routes, archive_routes, compared_routes, product_routes, run_routes, shape_routes, traces
from dynamiq_recorder.http.context import Context
from dynamiq_recorder.http.errors import HANDLERS
from dynamiq_recorder.http.middleware import Middleware

probes = APIRouter()


class Readiness(Protocol):
    """A process whose probes are served. `not_ready`: why it is not ready; empty if it is."""

    @property
    def not_ready(self) -> str: ...


@probes.get("/healthz")
async def healthz() -> Response:
    """Returns 200 while the process answers."""
    return Json({"status": "ok"})


@probes.get("/readyz")
async def readyz(request: Request) -> Response:
    """Returns 200 if runs can be stored and attributed, else 503 with the reason."""
    readiness: Readiness = request.app.state.context
    wrong = readiness.not_ready
    return Json({"status": wrong or "ok"}, 503 if wrong else 200)


def create_probes(context: Readiness) -> FastAPI:
    """Creates the application for the kubelet's port."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.include_router(probes)
    app.state.context = context
    return app


def create_metrics(registry: CollectorRegistry) -> Starlette:
    """Creates the application for the port that Prometheus reads."""
    # One answer is built at a time, and off the loop: there are two series for each App.
    making = anyio.CapacityLimiter(1)

    async def metrics(request: Request) -> Response:
        encode, kind = choose_encoder(request.headers.get("accept", ""))
        return Response(await anyio.to_thread.run_sync(encode, registry, limiter=making), headers={"content-type": kind})

    return Starlette(routes=[Route("/{path:path}", metrics)])


def create_app(context: Context) -> FastAPI:
    app = FastAPI(title="Dynamiq recorder", version="1", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    for router in (
        probes,
        traces.router,
        app_routes.router,
        shape_routes.router,
        product_routes.router,
        archive_routes.router,
        compared_routes.router,
        run_routes.router,
    ):
        app.include_router(router)
    app.state.context = context
    app.add_middleware(Middleware, metrics=context.metrics)
    for handled, handler in HANDLERS.items():
        app.add_exception_handler(handled, handler)
    return app
