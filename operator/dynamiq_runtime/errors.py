"""Defines the one shape of error responses: `{"error": {"code", "message", "details"}}`."""

from __future__ import annotations

import json
from collections.abc import Mapping

from aiohttp import web


class HttpError(Exception):
    """An error that ends a request with `status`. `code` is for programs; `message` explains the error and its correction."""

    def __init__(
        self, status: int, code: str, message: str, details: Mapping[str, object] | None = None, *, retry_after: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = dict(details or {})
        self.headers = {"Retry-After": retry_after} if retry_after else {}

    @property
    def body(self) -> str:
        """The error as JSON."""
        return json.dumps({"error": {"code": self.code, "message": self.message, "details": self.details}})

    def response(self) -> web.Response:
        """Returns the error as an HTTP response."""
        return web.Response(text=self.body, status=self.status, headers=self.headers, content_type="application/json")


def from_aiohttp(error: web.HTTPException, limit: int) -> HttpError:
    """Returns the error for a request that aiohttp itself refuses."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        problem = HttpError(405, "method_not_allowed", f"{error.method} is not allowed here, {allowed} is", {"allowed": allowed})
        problem.headers["Allow"] = allowed
        return problem
    if error.status == 404:
        return HttpError(404, "not_found", "there is nothing at this path; an App answers POST / and POST /v1/runs")
    if error.status == 413:
        return HttpError(413, "body_too_large", f"the body is larger than {limit} bytes", {"limit": limit})
    return HttpError(error.status, "bad_request" if error.status < 500 else "internal", error.reason)
