"""Parses an HTTP request into a run's input: the Access Key, then the body."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

from aiohttp import web

from dynamiq_runtime.errors import HttpError
from dynamiq_runtime.keys import AccessKeys

EVENTS = "text/event-stream"
BODY_WITHIN = 60.0
BODY_RATE = 64 * 1024
"""A body must arrive within BODY_WITHIN seconds, plus the time that the largest takes at BODY_RATE bytes a second."""
SMALL = 64 * 1024
"""Bytes of a body that needs no room: its connection buffers as many anyway."""
ROOM_WITHIN = 30.0
RETRY_AFTER = "1"


@dataclass(frozen=True)
class RunRequest:
    """A request for a run on `input`, answered at its end or, with `stream`, as events while it runs."""

    input: dict[str, Any]
    stream: bool


class Bodies:
    """Room for the bytes of all bodies that are read at the same time; for one event loop."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._turn, self._freed = asyncio.Lock(), asyncio.Event()

    @asynccontextmanager
    async def room_for(self, request: web.Request) -> AsyncIterator[None]:
        """Reserves room for a body while the block runs, in the order of calls. Raises HttpError: 503 if there is none in time."""
        amount = _most_bytes(request)
        if not amount:
            yield
            return
        try:
            async with asyncio.timeout(ROOM_WITHIN), self._turn:
                while self._room < amount:
                    self._freed.clear()
                    await self._freed.wait()
                self._room -= amount
        except TimeoutError:
            raise HttpError(503, "busy", "too many large bodies come at once: try again", retry_after=RETRY_AFTER) from None
        try:
            yield
        finally:
            self._room += amount
            self._freed.set()


def _most_bytes(request: web.Request) -> int:
    """Returns the bytes that a body may become; 0 for a small one, which never waits."""
    length = request.content_length if request.body_exists else 0
    if length is None or "Content-Encoding" in request.headers:  # it has no length, or a different one once decompressed
        return request.client_max_size
    return min(length, request.client_max_size) if length > SMALL else 0


def bearer(request: web.Request) -> str:
    """Returns the key that a request sends; empty if it sends none."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def require_key(request: web.Request, keys: AccessKeys | None) -> None:
    """Checks the key; a public App (`keys` is None) needs none. Raises HttpError: 401 without a key, 403 with a wrong one."""
    if keys is None:
        return
    if not (key := bearer(request)):
        error = HttpError(401, "unauthorized", "this App is private: send `Authorization: Bearer <access key>`")
        error.headers["WWW-Authenticate"] = "Bearer"
        raise error
    if not keys.allow(key):
        raise HttpError(403, "forbidden", "this App has no such Access Key")


async def parse_run_request(request: web.Request, bodies: Bodies) -> RunRequest:
    """Parses the object under `input`, and whether events are requested: by `stream`, or by the header Accept if that is absent.

    Raises HttpError: 408 for a slow body, 415 for one that is not JSON, 422 for an invalid one, 503 if there are too many.
    """
    if request.headers.get("Content-Type") and not _is_json(request.content_type):
        message = f"the body is {request.content_type}, and only JSON is read: send `Content-Type: application/json`"
        raise HttpError(415, "not_json", message)
    async with bodies.room_for(request):
        body = await _read(request)
    if not isinstance(body, dict):
        raise _invalid("body", 'is not an object: send {"input": {...}}')
    if "input" not in body:
        raise _invalid("input", 'is missing: send {"input": {...}}')
    if not isinstance(body["input"], dict):
        raise _invalid("input", "is not an object")
    stream = body.get("stream")
    if not isinstance(stream, (bool, type(None))):
        raise _invalid("stream", "is neither true nor false")
    return RunRequest(body["input"], _accepts_events(request) if stream is None else stream)


async def _read(request: web.Request) -> Any:
    """Returns the parsed body. Raises HttpError."""
    try:
        async with asyncio.timeout(BODY_WITHIN + request.client_max_size / BODY_RATE):
            raw = await request.read()
    except TimeoutError:
        raise HttpError(408, "body_too_slow", "the body came too slowly: send it at once") from None
    try:
        return json.loads(raw, parse_constant=_no_constant)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise HttpError(415, "not_json", f"the body is not JSON: {error}") from None
    except (ValueError, RecursionError):
        raise _invalid("body", "holds a number with too many digits, NaN or Infinity, or is nested too deeply") from None


def _accepts_events(request: web.Request) -> bool:
    """Returns True if the header Accept names events; `*/*`, which clients send by default, does not."""
    accepted = ",".join(request.headers.getall("Accept", []))
    return any(part.partition(";")[0].strip().lower() == EVENTS for part in accepted.split(","))


def _is_json(content_type: str) -> bool:
    return content_type == "application/json" or (content_type.startswith("application/") and content_type.endswith("+json"))


def _invalid(field: str, problem: str) -> HttpError:
    return HttpError(422, "invalid", f"`{field}` {problem}", {field: problem})


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)
