"""What stands before every call: who calls, how large the body may be and whether it is JSON; and the headers of every answer.

Without a valid token nothing else is looked at. A body is read up to its limit and not further.
"""

from __future__ import annotations

import json
import logging
import re
from typing import Any, NoReturn

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.kube import errors
from dynamiq_operator.rest.http.errors import HttpProblem, problem_of, unauthorized, unavailable
from dynamiq_operator.rest.http.sessions import CallerSession, Sessions, token_of
from dynamiq_operator.rest.kube.id_index import IdIndex

LOG = logging.getLogger(__name__)
BODY_MAX = 2 * 1024 * 1024
SMALL = 16 * 1024
"""A body up to this is checked where it is: that takes less time than to find a thread."""
DEPTH_MAX = 200
PUBLIC = frozenset({"/healthz", "/readyz", "/openapi.json", "/docs"})
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
)
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Middleware:
    """ASGI middleware. It puts `session` and `body`, the raw bytes, into the request's state."""

    def __init__(self, app: ASGIApp, sessions: Sessions, index: IdIndex) -> None:
        self._app, self._sessions, self._index = app, sessions, index

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        if scope["path"] in PUBLIC:
            await self._app(scope, receive, guarded)
            return
        try:
            headers = Headers(scope=scope)
            state = scope.setdefault("state", {})
            state["session"] = await self._session(headers)
            state["body"] = body = await _body(scope["method"], headers, receive)
        except HttpProblem as problem:
            await problem.response()(scope, receive, guarded)
            return
        except (errors.ApiError, Refusal) as error:
            await problem_of(error).response()(scope, receive, guarded)
            return
        await self._app(scope, _replayed(body, receive), guarded)

    async def _session(self, headers: Headers) -> CallerSession:
        token = token_of(headers.get("authorization"))
        if token is None:
            raise unauthorized("send `Authorization: Bearer <token>` with a token of this cluster")
        if (session := self._sessions.known(token)) is None:
            session = await run_in_threadpool(self._sessions.open, token)
        if not self._index.is_ready:
            raise unavailable("this replica is starting")
        return session


async def _body(method: str, headers: Headers, receive: Receive) -> bytes:
    """The whole body, checked to be JSON. Raises HttpProblem."""
    if method not in _WITH_BODY:
        return b""
    length = headers.get("content-length", "0")
    if length.isdecimal() and int(length) > BODY_MAX:
        raise _too_large()
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HttpProblem(400, "the body ended early")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > BODY_MAX:
            raise _too_large()
        if not message.get("more_body"):
            break
    if body := b"".join(parts):
        _check_type(headers)
        if len(body) <= SMALL:
            _check(body)
        else:
            await run_in_threadpool(_check, body)
    return body


def _too_large() -> HttpProblem:
    # What is still on its way is not read: the connection carries no other request.
    return HttpProblem(413, f"a body is at most {BODY_MAX} bytes", headers={"Connection": "close"})


def _check_type(headers: Headers) -> None:
    kind, _, parameters = headers.get("content-type", "").lower().partition(";")
    charset = parameters.partition("charset=")[2].strip(' "')
    if kind.strip() != "application/json" or charset not in ("", "utf-8") or headers.get("content-encoding", "identity") != "identity":
        raise HttpProblem(415, "send the body as JSON in UTF-8, with `Content-Type: application/json` and no Content-Encoding")


def _check(body: bytes) -> None:
    """Refuses what is not JSON; Python's parser alone would let NaN pass. Raises HttpProblem."""
    if _depth(body) > DEPTH_MAX:
        raise HttpProblem(422, f"the body is nested deeper than {DEPTH_MAX} levels", {"body": "nested too deeply"})
    try:
        json.loads(body.decode(), parse_constant=_no_constant, parse_float=_number, parse_int=_number)
    except UnicodeDecodeError:
        raise HttpProblem(422, "the body is not UTF-8", {"body": "not UTF-8"}) from None
    except ValueError as error:
        raise HttpProblem(422, f"the body is not JSON: {error}", {"body": str(error)}) from None


def _depth(body: bytes) -> int:
    """How deep brackets stand in each other, outside of strings."""
    deepest = depth = 0
    for bracket in _STRING.sub(b"", body).translate(None, delete=_NO_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _number(text: str) -> Any:
    if len(text) > 1000:
        raise ValueError("a number has at most 1000 digits")
    return 0


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body once more, for the application."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
