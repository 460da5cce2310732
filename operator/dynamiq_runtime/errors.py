"""Defines the one shape of error responses: `{"error": {"code", "message", "details"}}`, with a run that failed as `data` beside it."""

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
        self.run: Mapping[str, object] | None = None
        """The run that ended so, if its caller asked for the run."""

    @property
    def content(self) -> dict[str, object]:
        """The error as JSON data."""
        return {"code": self.code, "message": self.message, "details": self.details}

    @property
    def body(self) -> str:
        """The error as JSON."""
        run = {} if self.run is None else {"data": self.run}
        return json.dumps({"error": self.content, **run})

    def response(self) -> web.Response:
        """Returns the error as an HTTP response."""
        return web.Response(text=self.body, status=self.status, headers=self.headers, content_type="application/json")


def bad_request(problems: Mapping[str, str]) -> HttpError:
    """Returns the error for a request that does not validate: each field with its problem."""
    field, problem = next(iter(problems.items()))
    return HttpError(400, "bad_request", f"`{field}` {problem}", problems)


def not_served(what: Mapping[str, str]) -> HttpError:
    """Returns the error for a documented field or call that this version does not serve: each by its name."""
    name, reason = next(iter(what.items()))
    return HttpError(501, "not_served", f"`{name}` {reason}", what)


def media_type(message: str) -> HttpError:
    return HttpError(415, "not_json", message)


def too_large(limit: int) -> HttpError:
    return HttpError(413, "body_too_large", f"the body is larger than {limit} bytes", {"limit": limit})


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
        return too_large(limit)
    return HttpError(error.status, "bad_request" if error.status < 500 else "internal", error.reason)
