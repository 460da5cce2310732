"""Assembles the application: its routes, its middleware and its exception handlers."""

from __future__ import annotations

import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio.to_thread
from fastapi import FastAPI

from dynamiq_operator.kube.exposition import metrics_served
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.rest import probes
from dynamiq_operator.rest.access_keys import routes as access_keys
from dynamiq_operator.rest.apps import routes as apps
from dynamiq_operator.rest.catalog import routes as catalog
from dynamiq_operator.rest.configuration import routes as configuration
from dynamiq_operator.rest.console import oidc, pages
from dynamiq_operator.rest.console import session as console_session
from dynamiq_operator.rest.console.assets import Assets
from dynamiq_operator.rest.console.options import ConsoleOptions
from dynamiq_operator.rest.console.state import Console
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.deployments import history_routes, long_histories
from dynamiq_operator.rest.deployments import routes as deployments
from dynamiq_operator.rest.environments import routes as environments
from dynamiq_operator.rest.guards import rejection_routes as rejections
from dynamiq_operator.rest.guards import routes as guards
from dynamiq_operator.rest.http import openapi
from dynamiq_operator.rest.http.errors import HANDLERS
from dynamiq_operator.rest.http.metrics import ApiMetrics
from dynamiq_operator.rest.http.middleware import Middleware
from dynamiq_operator.rest.http.recorder import JOURNAL, RecorderClient, RecorderOptions
from dynamiq_operator.rest.http.sessions import Sessions
from dynamiq_operator.rest.identity import routes as identity
from dynamiq_operator.rest.invoke import routes as invoke
from dynamiq_operator.rest.kube.client import CONNECTIONS, ApiServer
from dynamiq_operator.rest.kube.id_index import IdIndex
from dynamiq_operator.rest.pods import routes as pods
from dynamiq_operator.rest.reports import routes as reports
from dynamiq_operator.rest.rights import routes as rights
from dynamiq_operator.rest.runs import background_routes as background_runs
from dynamiq_operator.rest.runs import conversation_routes as conversations
from dynamiq_operator.rest.runs import figure_routes as run_figures
from dynamiq_operator.rest.runs import question_routes as questions
from dynamiq_operator.rest.runs import routes as runs
from dynamiq_operator.rest.runs import trace_routes as traces
from dynamiq_operator.rest.runtimes import routes as runtimes
from dynamiq_operator.rest.triggers import routes as triggers
from dynamiq_operator.rest.watch import routes as watch
from dynamiq_operator.rest.workflows import node_types
from dynamiq_operator.rest.workflows import routes as workflows

ROUTERS = (
    probes.router,
    openapi.router,
    identity.router,
    watch.router,  # before apps: /v1/apps/watch is not an App
    apps.router,
    history_routes.router,
    deployments.router,
    reports.router,
    guards.router,
    rejections.router,
    workflows.router,
    node_types.router,
    triggers.router,
    pods.router,
    runs.router,
    background_runs.router,
    questions.router,
    conversations.router,
    run_figures.router,
    traces.router,
    configuration.router,
    environments.router,
    access_keys.router,
    invoke.router,
    runtimes.router,
    rights.router,
    catalog.router,
    console_session.router,
    oidc.router,
    pages.router,
)
"""All routers, in the order of the OpenAPI document."""
DESCRIPTION = (
    "The management API of a self-hosted Dynamiq: the public product's calls, answered by this cluster with the caller's own rights."
)


def create_app(
    server: ApiServer,
    index: IdIndex,
    settings: Settings,
    console: ConsoleOptions | None = None,
    recorder: RecorderOptions | None = None,
    metrics_socket: socket.socket | None = None,
    journal: RecorderOptions | None = None,
) -> FastAPI:
    """Returns the application over one API server, and over an index of it that the caller has started.

    The end of the lifespan stops the index. `metrics_socket`: where /metrics is served; it is not a path of the API.
    """
    metrics, ends = ApiMetrics(), threading.Event()
    context = ApiContext(
        server, settings, index, Sessions(server), recorder=RecorderClient(recorder), journal=RecorderClient(journal, JOURNAL)
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # A worker thread holds one connection to the API server while it waits.
        anyio.to_thread.current_default_thread_limiter().total_tokens = CONNECTIONS
        threading.Thread(target=long_histories.keep, args=(context, ends), daemon=True, name="long-histories").start()
        async with metrics_served(metrics_socket, metrics.registry):
            yield
        ends.set()
        index.stop()
        await context.recorder.close()
        await context.journal.close()
        await context.invoker.close()

    app = _with_routes(lifespan)
    app.state.context, app.state.metrics = context, metrics
    app.state.console = Console.of(console or ConsoleOptions(), Assets.load(pages.STATIC))
    app.add_middleware(Middleware, sessions=context.sessions, index=index, rules=app.state.console.options.rules, metrics=metrics)
    for handled, handler in HANDLERS.items():
        app.add_exception_handler(handled, handler)
    return app


def document() -> openapi.Document:
    """Returns the OpenAPI document. It needs no cluster."""
    return openapi.document(_with_routes(None))


def _with_routes(lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]] | None) -> FastAPI:
    app = FastAPI(
        title="Dynamiq management API",
        version="1",
        description=DESCRIPTION,
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    for router in ROUTERS:
        app.include_router(router)
    return app
