"""The application: its routes, what stands before them, and how whatever goes wrong is answered."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.kube.errors import ApiError
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.rest import probes
from dynamiq_operator.rest.apps import routes as apps
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.deployments import routes as deployments
from dynamiq_operator.rest.http import openapi
from dynamiq_operator.rest.http.errors import HttpProblem, problem_of
from dynamiq_operator.rest.http.middleware import Middleware
from dynamiq_operator.rest.http.sessions import Sessions
from dynamiq_operator.rest.identity import routes as identity
from dynamiq_operator.rest.kube.client import CONNECTIONS, ApiServer
from dynamiq_operator.rest.kube.id_index import IdIndex
from dynamiq_operator.rest.triggers import routes as triggers
from dynamiq_operator.rest.workflows import node_types
from dynamiq_operator.rest.workflows import routes as workflows

ROUTERS = (
    probes.router,
    openapi.router,
    identity.router,
    apps.router,
    deployments.history,
    deployments.router,
    workflows.router,
    node_types.router,
    triggers.router,
)
"""In the order of the OpenAPI document."""
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
LOG = logging.getLogger(__name__)
DESCRIPTION = (
    "The management API of a self-hosted Dynamiq: the public product's calls, answered by this cluster with the caller's own rights."
)


def create_app(server: ApiServer, settings: Settings) -> FastAPI:
    """The API of one cluster. Its index begins to fill when it is started."""
    index = IdIndex(server.own)
    context = ApiContext(server, settings, index, Sessions(server))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # Each thread waits for the API server over a connection of its own.
        anyio.to_thread.current_default_thread_limiter().total_tokens = CONNECTIONS
        index.start()
        yield
        index.stop()

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
    app.state.context = context
    app.add_middleware(Middleware, sessions=context.sessions, index=index)
    for handled, handler in _HANDLERS.items():
        app.add_exception_handler(handled, handler)
    for router in ROUTERS:
        app.include_router(router)
    return app


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, HttpProblem)  # noqa: S101 - registered for it
    return error.response()


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError | Refusal)  # noqa: S101
    return problem_of(error).response()


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    details: dict[str, Any] = {}
    for found in error.errors():
        where = ".".join(str(part) for part in found["loc"][1:]) or str(found["loc"][0])
        details.setdefault(where, found["msg"])
    return HttpProblem(422, "; ".join(f"{where}: {said}" for where, said in details.items()), details).response()


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    says = {
        404: "there is no such path: see /openapi.json",
        405: f"this path has no {request.method}: see the header Allow",
    }
    headers = {"Allow": ", ".join(_methods(request))} if error.status_code == 405 else error.headers
    return HttpProblem(error.status_code, says.get(error.status_code, str(error.detail)), headers=headers).response()


def _methods(request: Request) -> list[str]:
    """What the path can be asked for, over all of its routes: Starlette looks at the first alone."""
    found: set[str] = set()
    for method in METHODS:
        scope = {**request.scope, "method": method}
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.routes):
            found.add(method)
    return sorted(found)


async def _unforeseen(_: Request, __: Exception) -> Response:
    # Starlette raises it again after the answer, and the server logs it.
    return HttpProblem(500, "something went wrong here, and was logged").response()


_HANDLERS: dict[Any, Any] = {
    HttpProblem: _problem,
    ApiError: _refused,
    Refusal: _refused,
    RequestValidationError: _invalid,
    HTTPException: _http,
    Exception: _unforeseen,
}
