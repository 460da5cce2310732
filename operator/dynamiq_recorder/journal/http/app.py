"""Assembles the applications of routes and probes. It handles no request itself."""

from __future__ import annotations

from fastapi import FastAPI

from dynamiq_recorder.http.app import probes
from dynamiq_recorder.http.middleware import Middleware
from dynamiq_recorder.journal.http import callback_routes, pod_routes, question_routes, run_routes, session_routes
from dynamiq_recorder.journal.http.context import Context
from dynamiq_recorder.journal.http.errors import HANDLERS, problem_of

QUIET = frozenset(
    {
        *("/v1/apps/{uid}/claims", "/v1/apps/{uid}/saves", "/v1/apps/{uid}/runs/{run_id}/events", "/v1/open"),
        *("/v1/apps/{uid}/sessions/policy", "/v1/apps/{uid}/sessions/{session}", "/v1/apps/{uid}/sessions/seen"),
        *("/v1/apps/{uid}/sessions/wake", "/v1/apps/{uid}/callbacks/claims", "/v1/apps/{uid}/callbacks/results"),
    }
)


def create_app(context: Context) -> FastAPI:
    app = FastAPI(
        title="Dynamiq journal",
        version="1",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        routes=[*pod_routes.ROUTES, *session_routes.ROUTES, *callback_routes.ROUTES],
    )
    for router in (probes, run_routes.router, run_routes.counts, question_routes.router, session_routes.router, callback_routes.router):
        app.include_router(router)
    app.state.context = context
    app.add_middleware(Middleware, metrics=context.metrics, answers=problem_of, quiet=QUIET)
    for handled, handler in HANDLERS.items():
        app.add_exception_handler(handled, handler)
    return app
