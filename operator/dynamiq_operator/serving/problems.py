"""Formats errors as in the contract of the management API, `{"error": {"code", "message", "details"}}`, and answers exceptions by them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from dynamiq_operator.serving.encoding import dumps
from dynamiq_operator.serving.limits import error_body

CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    409: "conflict",
    413: "payload_too_large",
    415: "unsupported_media_type",
    422: "validation_error",
    429: "rate_limited",
    431: "headers_too_large",
    500: "internal_error",
    501: "no_recorder",
    502: "bad_gateway",
    503: "unavailable",
    504: "timeout",
}
"""The contract's `code` of each status."""
CLOSES = {"Connection": "close"}
"""Header of a response that is sent before the body was read to its end: the connection cannot serve another request."""
RETRY_AFTER = 2
"""Seconds in the header Retry-After of a 503 if nothing names others."""


class HttpProblem(Exception):  # noqa: N818 - what is answered is no failure of the program
    """A response with an error. `details`: the error of each wrong field of the request. `code`: None for the one of its status."""

    def __init__(
        self,
        status: int,
        message: str,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status, self.details, self.headers = status, dict(details or {}), dict(headers or {})

    def response(self) -> Response:
        body = error_body(self.code or CODES.get(self.status, "error"), str(self), self.details)
        return Response(dumps(body), self.status, self.headers, "application/json")


def unauthorized(message: str) -> HttpProblem:
    return HttpProblem(401, message, headers={"WWW-Authenticate": "Bearer"})


def unavailable(message: str, after: int | None = None) -> HttpProblem:
    """Returns a 503. `after`: seconds until the caller may try again."""
    return HttpProblem(503, message, headers={"Retry-After": str(after or RETRY_AFTER)})


def invalid_fields(wrong: Mapping[str, Any], *more: str) -> HttpProblem:
    """Returns a 422 for fields of a request, each with its problem. `more`: further sentences."""
    return HttpProblem(422, "; ".join([*(f"{field}: {problem}" for field, problem in wrong.items()), *more]), wrong)


def invalid_field(field: str, message: str) -> HttpProblem:
    return invalid_fields({field: message})


def handlers(
    problem_of: Callable[[Exception], HttpProblem],
    kinds: Iterable[type[Exception]],
    no_path: str,
    allowed: Callable[[Request], str] | None = None,
) -> dict[Any, Any]:
    """Returns an application's exception handlers: `problem_of` answers the kinds of errors that its routes raise on purpose.

    `no_path`: the message for an unknown path. `allowed`: the methods of a path, for the header Allow; without it those of its first route.
    """

    async def answer(_: Request, error: Exception) -> Response:
        return problem_of(error).response()

    async def answer_unrouted(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
        says = {404: no_path, 405: f"this path has no {request.method}: see the header Allow"}.get(error.status_code, str(error.detail))
        headers = {"Allow": allowed(request)} if allowed is not None and error.status_code == 405 else error.headers
        return HttpProblem(error.status_code, says, headers=headers).response()

    return {HTTPException: answer_unrouted, **dict.fromkeys((HttpProblem, *kinds), answer)}
