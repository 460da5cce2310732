"""Formats errors as in the contract of the management API: `{"error": {"code", "message", "details"}}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from dynamiq_operator.serving.encoding import dumps

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
    503: "unavailable",
}
"""The contract's `code` of each status."""


class HttpProblem(Exception):  # noqa: N818 - what is answered is no failure of the program
    """A response with an error. `details`: the error of each wrong field of the request."""

    def __init__(
        self, status: int, message: str, details: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.details, self.headers = status, dict(details or {}), dict(headers or {})

    def response(self) -> Response:
        error = {"code": CODES.get(self.status, "error"), "message": str(self), "details": self.details}
        return Response(dumps({"error": error}), self.status, self.headers, "application/json")
