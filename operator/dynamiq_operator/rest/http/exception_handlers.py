"""Registers the exception handlers: every error that a route raises on purpose becomes a response. The middleware handles all others."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.kube.errors import ApiError
from dynamiq_operator.rest.http.errors import HttpProblem, problem_of

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, HttpProblem)  # noqa: S101 - registered for it
    return error.response()


async def _error(_: Request, error: Exception) -> Response:
    return problem_of(error).response()


async def _http(request: Request, error: Exception) -> Response:
    """Answers for an unknown path, or a method that the path does not have."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    says = {
        404: "this path does not exist: see /openapi.json",
        405: f"this path has no {request.method}: see the header Allow",
    }
    headers = {"Allow": ", ".join(_methods(request))} if error.status_code == 405 else error.headers
    return HttpProblem(error.status_code, says.get(error.status_code, str(error.detail)), headers=headers).response()


def _methods(request: Request) -> list[str]:
    """Returns the methods of the path over all of its routes. Starlette's own header Allow has only those of the first."""
    methods: set[str] = set()
    for method in METHODS:
        scope = {**request.scope, "method": method}
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.routes):
            methods.add(method)
    return sorted(methods)


HANDLERS: dict[Any, Any] = {
    HttpProblem: _problem,
    ApiError: _error,
    Refusal: _error,
    RequestValidationError: _error,
    HTTPException: _http,
}
