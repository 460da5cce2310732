"""Builds the gate's own responses: errors in the shape of an App's runtime, `{"error": {"code", "message", "details"}}`."""

from __future__ import annotations

import json
from collections.abc import Mapping

from aiohttp import web

from dynamiq_operator.serving.limits import error_body


class CallRefusal(Exception):  # noqa: N818 - an answer, not a failure
    """An error response that ends a call with `status`. `code` is for programs and metrics; the message tells callers what to do."""

    def __init__(
        self, status: int, code: str, message: str, *, retry_after: int | None = None, details: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self._details = status, code, dict(details or {})
        self._headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        if status == 401:
            self._headers["WWW-Authenticate"] = "Bearer"

    def response(self) -> web.Response:
        """Returns the refusal as an HTTP response."""
        body = json.dumps(error_body(self.code, str(self), self._details))
        return web.Response(text=body, status=self.status, headers=self._headers, content_type="application/json")


def no_key() -> CallRefusal:
    return CallRefusal(401, "unauthorized", "this App is private: send `Authorization: Bearer <access key>`")


def wrong_key() -> CallRefusal:
    return CallRefusal(401, "unauthorized", "this App has no such Access Key")


def management_token() -> CallRefusal:
    return CallRefusal(403, "forbidden", "a management token does not call an App: send one of its Access Keys")


def origin_not_allowed() -> CallRefusal:
    return CallRefusal(403, "origin_not_allowed", "this App does not take calls from pages of this origin: add it to `spec.access.origins`")


def no_websocket() -> CallRefusal:
    reason = "is not served by this version: send POST / with `stream`"
    return CallRefusal(501, "not_served", f"`WebSocket` {reason}", details={"WebSocket": reason})


def keys_unknown() -> CallRefusal:
    return CallRefusal(503, "starting", "the gate does not know yet who may call this App: try again", retry_after=2)


def not_served() -> CallRefusal:
    return CallRefusal(503, "starting", "the gate knows no App at this port: try again", retry_after=2)


def not_woken(seconds: float) -> CallRefusal:
    return CallRefusal(503, "starting", f"the App sleeps, and did not wake within {seconds:g} s: try again", retry_after=5)


def too_many_of_app(most: int) -> CallRefusal:
    return CallRefusal(429, "too_many_requests", f"{most} calls wait for this App already: try again later", retry_after=5)


def too_many() -> CallRefusal:
    return CallRefusal(503, "busy", "this App's namespace has reached its limit of calls at the gate: try again", retry_after=2)


def too_many_runs() -> CallRefusal:
    return CallRefusal(
        429, "too_many_requests", "too many runs of this App or its namespace are being sent already: send them later", retry_after=5
    )


def too_slow() -> CallRefusal:
    return CallRefusal(408, "body_too_slow", "the body came too slowly: send it at once")


def too_large(limit: int) -> CallRefusal:
    return CallRefusal(413, "body_too_large", f"the body is larger than {limit} bytes")


def malformed() -> CallRefusal:
    return CallRefusal(400, "bad_request", "the path and the headers must be UTF-8")


def public_app() -> CallRefusal:
    return CallRefusal(
        403, "public_app", "this App is public and has no Access Keys: only those of a private App may send runs from outside"
    )


def no_recorder() -> CallRefusal:
    return CallRefusal(501, "no_recorder", "no recorder is installed, so runs that are sent here are not stored")


def recorder_away() -> CallRefusal:
    return CallRefusal(503, "recorder_away", "the recorder does not answer: try again", retry_after=5)


def no_http(status: int) -> CallRefusal:
    return CallRefusal(status, "bad_request", "the request is malformed")


def no_path() -> CallRefusal:
    return CallRefusal(405, "method_not_allowed", "CONNECT, and OPTIONS of the whole server, are not allowed here")


def broken() -> CallRefusal:
    return CallRefusal(502, "bad_gateway", "the App's pod ended the connection before it answered: the call may have been carried out")
