"""Wraps every request of a server: its id, the headers of its answer, an answer to every error, and notes about it. It checks no rights."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dynamiq_operator.serving import request_log
from dynamiq_operator.serving.problems import CLOSES, HttpProblem

HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
"""The headers of every answer."""


@dataclass(slots=True)
class Exchange:
    """A request and its answer. `status`: 0 until the answer begins, `began_after` seconds. `is_read`: True once the body was read whole."""

    scope: Scope
    headers: Headers
    status: int = 0
    began_after: float = 0.0
    is_read: bool = False


class RequestMiddleware:
    """The outermost layer of a server, whose own class serves the requests, and notes them. `unnoted`: paths of its probes."""

    def __init__(self, app: ASGIApp, problem_of: Callable[[Exception], HttpProblem], unnoted: frozenset[str]) -> None:
        self._app, self._problem_of, self._unnoted = app, problem_of, unnoted
        self._log = logging.getLogger(type(self).__module__)

    async def serve(self, exchange: Exchange, receive: Receive, send: Send) -> None:
        """Serves a request. Any exception becomes an answer."""
        await self._app(exchange.scope, receive, send)

    def headers(self, exchange: Exchange) -> Mapping[str, str]:  # noqa: ARG002 - those of a server may depend on it
        """Returns the headers that an answer gets unless it has them."""
        return HEADERS

    def closes(self, exchange: Exchange) -> bool:
        """Returns True if the connection ends with the answer, since the rest of the body would be taken for the next request."""
        raise NotImplementedError

    def note(self, exchange: Exchange, seconds: float) -> None:
        """Counts and logs a request that ended. `seconds`: from its headers to the end of its answer."""
        raise NotImplementedError

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, exchange = time.perf_counter(), Exchange(scope, Headers(scope=scope))
        request_id = request_log.begin(exchange.headers.get(request_log.HEADER))

        async def receive_noted() -> Message:
            message = await receive()
            exchange.is_read = exchange.is_read or (message["type"] == "http.request" and not message.get("more_body"))
            return message

        async def send_noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status, exchange.began_after = message["status"], time.perf_counter() - began
                headers = MutableHeaders(scope=message)
                for name, value in self.headers(exchange).items():
                    headers.setdefault(name, value)
                headers[request_log.HEADER] = request_id
                if self.closes(exchange):
                    headers.update(CLOSES)
            await send(message)

        try:
            await self.serve(exchange, receive_noted, send_noted)
        except Exception as error:
            self._log.exception("an answer ended early" if exchange.status else "a request failed")
            if exchange.status:
                raise
            await self._problem_of(error).response()(scope, receive, send_noted)
        finally:
            if scope["path"] not in self._unnoted:
                self.note(exchange, time.perf_counter() - began)
