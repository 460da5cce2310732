"""Builds the gate's own responses: errors in the shape of an App's runtime, `{"error": {"code", "message", "details"}}`."""

from __future__ import annotations

import json

from aiohttp import web

from dynamiq_operator.serving.limits import error_body


class CallRefusal(Exception):  # noqa: N818 - an answer, not a failure
    """An error response that ends a call with `status`. `code` is for programs and metrics; the message tells callers what to do."""

    def __init__(self, status: int, code: str, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.code = status, code
        self._headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        if status == 401:
            self._headers["WWW-Authenticate"] = "Bearer"

    def response(self) -> web.Response:
        """Returns the refusal as an HTTP response."""
        body = json.dumps(error_body(self.code, str(self), {}))
        return web.Response(text=body, status=self.status, headers=self._headers, content_type="application/json")


def no_key() -> CallRefusal:
    return CallRefusal(401, "unauthorized", "this App is private: send `Authorization: Bearer <access key>`")


def wrong_key() -> CallRefusal:
    return CallRefusal(401, "unauthorized", "the Access Key is not one of this App's")


def keys_unknown() -> CallRefusal:
    return CallRefusal(503, "starting", "who may call this App is not known yet: try again", retry_after=2)


def not_served() -> CallRefusal:
    return CallRefusal(503, "starting", "no App is known at this port of the gate: try again", retry_after=2)


def over(seconds: float) -> CallRefusal:
    return CallRefusal(503, "starting", f"the App sleeps, and could not be woken within {seconds:g} s: try again", retry_after=5)


def too_many_of_app(most: int) -> CallRefusal:
    return CallRefusal(429, "too_many_requests", f"{most} calls wait for this App already: try again later", retry_after=5)


def too_many() -> CallRefusal:
    return CallRefusal(
        503, "busy", "the gate has as many calls under way for this App's namespace as it may have: try again", retry_after=2
    )


def too_many_runs() -> CallRefusal:
    return CallRefusal(
        429, "too_many_requests", "runs of this App and of its namespace are on their way already: send them later", retry_after=5
    )


def too_slow() -> CallRefusal:
    return CallRefusal(408, "body_too_slow", "the body came too slowly: send it at once")


def too_large(limit: int) -> CallRefusal:
    return CallRefusal(413, "body_too_large", f"the body is larger than {limit} bytes")


def malformed() -> CallRefusal:
    return CallRefusal(400, "bad_request", "the path and the headers have to be UTF-8")


def public_app() -> CallRefusal:
    return CallRefusal(
        403, "public_app", "this App is public and has no Access Keys: only those of a private App may send runs from outside"
    )


def no_recorder() -> CallRefusal:
    return CallRefusal(501, "no_recorder", "no recorder is installed: runs that are sent here are kept nowhere")


def recorder_away() -> CallRefusal:
    return CallRefusal(503, "recorder_away", "the recorder does not answer: try again", retry_after=5)


def no_http(status: int) -> CallRefusal:
    return CallRefusal(status, "bad_request", "the request is malformed")


def no_path() -> CallRefusal:
    return CallRefusal(405, "method_not_allowed", "CONNECT, and OPTIONS of the whole server, are not allowed here")


def broken() -> CallRefusal:
    return CallRefusal(
        502, "bad_gateway", "the App's pod ended the connection before it answered: whether the call was carried out is not known"
    )
