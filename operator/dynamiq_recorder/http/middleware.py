"""Wraps every route: request ids, an access log, metrics, headers, and an answer to every error. It checks no rights."""

from __future__ import annotations

import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dynamiq_operator.model import json_lines
from dynamiq_recorder.http.errors import CLOSES, problem_of
from dynamiq_recorder.observed import Metrics

REQUEST_ID = "X-Request-Id"
HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
PROBES = frozenset({"/healthz", "/readyz"})
UNMATCHED = "-"
TRACES = "/v1/traces"
ACCESS = logging.getLogger("dynamiq.access")
_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")

log = logging.getLogger(__name__)


class Middleware:
    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, whole = time.perf_counter(), 0, False
        requested_id = Headers(scope=scope).get(REQUEST_ID, "")
        request_id = requested_id if _REQUEST_ID.fullmatch(requested_id) else uuid.uuid4().hex

        async def taking() -> Message:
            nonlocal whole
            message = await receive()
            whole = whole or (message["type"] == "http.request" and not message.get("more_body"))
            return message

        async def answering(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers[REQUEST_ID] = request_id
                if scope["method"] in ("POST", "PUT", "PATCH") and not whole:
                    headers.update(CLOSES)  # the rest of its body would be taken for the next request
            await send(message)

        try:
            await self._app(scope, taking, answering)
        except Exception as error:
            if status:
                log.exception("an answer ended early")
                raise
            await problem_of(error).response()(scope, receive, answering)
        finally:
            self._note(scope, status, time.perf_counter() - began, request_id)

    def _note(self, scope: Scope, status: int, seconds: float, request_id: str) -> None:
        if scope["path"] in PROBES:
            return
        route = getattr(scope.get("route"), "path", UNMATCHED)
        self._metrics.requests.labels(route, str(status)).inc()
        if scope["method"] == "GET":
            self._metrics.request_seconds.labels(route).observe(seconds)
        level = logging.DEBUG if route == TRACES and status == 200 else logging.INFO
        fields = {"method": scope["method"], "route": route, "status": status, "ms": round(seconds * 1000, 1), "request_id": request_id}
        ACCESS.log(level, "request", extra={json_lines.FIELDS: fields})
