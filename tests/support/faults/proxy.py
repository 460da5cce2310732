"""Runs a proxy in front of a real API server that does to an operator what networks and API servers can do.

It forwards every request unchanged, and watches line by line, but passes each to its faults first. They can answer in the API server's
place, wait, or cut the connection. They can also end a process before or after the API server has carried a request out.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp
from aiohttp import web
from yarl import URL

READS = frozenset({"GET", "HEAD", "OPTIONS"})
HOP_BY_HOP = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding", "content-encoding", "accept-encoding"})
BODY_MAX = 16 * 1024 * 1024
STARTED_WITHIN = 60.0  # seconds

_T = TypeVar("_T")


@dataclass
class Call:
    """One request. `name` describes it in words that are the same in every run; `nth` counts the requests of that name."""

    method: str
    path: str
    query: str
    body: bytes
    name: str = ""
    nth: int = 0
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def is_watch(self) -> bool:
        return "watch=true" in self.query or "watch=1" in self.query

    @property
    def is_lease(self) -> bool:
        return "/leases" in self.path

    @property
    def is_about_policies(self) -> bool:
        return self.path.startswith("/api/v1/namespaces/default/events")

    @property
    def is_event(self) -> bool:
        return "/events" in self.path

    @property
    def is_write(self) -> bool:
        return self.method not in READS

    @property
    def point(self) -> str:
        """Returns the name of the request within a run: `patch deployments/b/status (2)`."""
        return f"{self.name} ({self.nth})"


@dataclass(frozen=True)
class Answer:
    """A fault's answer in the API server's place: a Status object of this reason, or `body`. `missing`: announced bytes that never arrive."""

    status: int
    reason: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    missing: int = 0


class Cut(Exception):  # noqa: N818 - it ends a connection, not a program
    """The end of a connection without an answer."""


class Fault:
    """A fault; each method lets the request pass unless it answers or raises Cut. `count`: how often it did."""

    count = 0

    async def before(self, call: Call) -> Answer | None:
        """Runs before the API server gets the request."""
        return None

    async def after(self, call: Call) -> None:
        """Runs after the API server has carried it out, before the answer is passed on."""

    def passes(self, call: Call, line: bytes) -> bool:
        """Returns True if a line of a watch is passed on."""
        return True

    def silences(self, call: Call) -> bool:
        """Returns True if a watch sends nothing more, not even its end."""
        return False

    async def watching(self, call: Call) -> None:
        """Runs beside a watch; when it returns, the watch is cut."""
        await asyncio.Event().wait()


class Proxy:
    """A server on a loopback port, in its own thread. Use it as a context manager. `calls`: all requests, in order."""

    def __init__(self, upstream: str, context: ssl.SSLContext, token: str) -> None:
        self._upstream, self._context, self._token = upstream, context, token
        self.faults: list[Fault] = []
        self.calls: list[Call] = []
        self.url = ""
        self._named: Counter[str] = Counter()
        self._watches: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Proxy:
        self._thread.start()
        self._do(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def writes(self) -> list[Call]:
        """Returns the writing requests, without those of the lease, and without Events about the policies, which occur at random."""
        return [call for call in list(self.calls) if call.is_write and not call.is_lease and not call.is_about_policies]

    def cut_watches(self) -> None:
        """Ends every watch under way."""
        self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in self._watches])

    def _do(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(STARTED_WITHIN)

    async def _start(self) -> None:
        connector = aiohttp.TCPConnector(ssl=self._context, limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=True)
        app = web.Application(client_max_size=BODY_MAX)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def _stop(self) -> None:
        for task in self._watches:
            task.cancel()
        await self._runner.cleanup()
        await self._session.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        headers = {key: value for key, value in request.headers.items() if key.lower() not in HOP_BY_HOP}
        call = Call(request.method, request.path, request.query_string, await request.read(), headers=headers)
        call.name = name_of(call)
        self._named[call.name] += 1
        call.nth = self._named[call.name]
        self.calls.append(call)
        try:
            for fault in list(self.faults):
                if (answer := await fault.before(call)) is not None:
                    call.status = answer.status
                    return await _answered(request, answer)
            # Carried out even if the operator ends: a request that was sent cannot be cancelled.
            return await (self._watch(request, call) if call.is_watch else asyncio.shield(self._forward(call)))
        except Cut:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()  # no client receives it

    def _send(self, call: Call) -> Any:
        url = f"{self._upstream}{call.path}" + (f"?{call.query}" if call.query else "")
        headers = {**call.headers, "Authorization": f"Bearer {self._token}"}
        return self._session.request(call.method, URL(url, encoded=True), data=call.body or None, headers=headers)

    async def _forward(self, call: Call) -> web.Response:
        async with self._send(call) as answer:
            body = await answer.read()
            call.status = answer.status
            for fault in list(self.faults):
                await fault.after(call)
            return web.Response(status=answer.status, body=body, headers={"Content-Type": answer.headers.get("Content-Type", "")})

    async def _watch(self, request: web.Request, call: Call) -> web.StreamResponse:
        async with self._send(call) as answer:
            call.status = answer.status
            response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.headers.get("Content-Type", "")})
            await response.prepare(request)
            passing = asyncio.ensure_future(self._pass(call, answer, response))
            cutting = [asyncio.ensure_future(fault.watching(call)) for fault in self.faults]
            self._watches.add(passing)
            try:
                done, _ = await asyncio.wait([passing, *cutting], return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._watches.discard(passing)
                for task in (passing, *cutting):
                    task.cancel()
            if passing not in done or passing.cancelled():
                raise Cut
        return response

    async def _pass(self, call: Call, answer: aiohttp.ClientResponse, response: web.StreamResponse) -> None:
        async for line in _lines(answer):
            if all(fault.passes(call, line) for fault in self.faults) and not self._is_silent(call):
                await response.write(line)
        if self._is_silent(call):
            await asyncio.Event().wait()

    def _is_silent(self, call: Call) -> bool:
        return any(fault.silences(call) for fault in list(self.faults))


async def _lines(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yields whole lines, however long: an object with a large flow is one line."""
    incomplete = b""
    async for chunk in answer.content.iter_any():
        incomplete += chunk
        while (end := incomplete.find(b"\n")) >= 0:
            yield incomplete[: end + 1]
            incomplete = incomplete[end + 1 :]


async def _answered(request: web.Request, answer: Answer) -> web.StreamResponse:
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": answer.reason, "code": answer.status}
    status["message"] = f"answered by the test's proxy: {answer.reason}"
    body = json.dumps(status).encode() if answer.body is None else answer.body
    response = web.StreamResponse(status=answer.status, headers={"Content-Type": "application/json", **answer.headers})
    response.content_length = len(body) + answer.missing
    await response.prepare(request)
    await response.write(body)
    if answer.missing:
        raise Cut
    return response


def name_of(call: Call) -> str:
    """Returns `create events: Live of Deployment b` or `patch deployments/b/status`: the same in every namespace and for every hash."""
    parts = call.path.strip("/").split("/")
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    if parts[:1] == ["namespaces"] and len(parts) > 2:
        parts = parts[2:]
    where = "/".join(parts)
    if call.path.startswith("/apis/apps/"):
        where = f"apps {where}"
    verb = {"POST": "create", "PATCH": _patch_of(call), "PUT": "replace"}.get(call.method, call.method.lower())
    if call.method != "POST":
        return f"{verb} {where}"
    event = json.loads(call.body)
    if event.get("kind") == "Event":
        return f"{verb} {where}: {event['reason']} of {event['involvedObject']['kind']} {event['involvedObject']['name']}"
    return f"{verb} {where}: {event.get('metadata', {}).get('name', '')}"


def _patch_of(call: Call) -> str:
    """Returns the purpose of a PATCH: JSON patches only hand POSTed objects to server-side apply."""
    kind = call.headers.get("Content-Type", "")
    return "apply" if "apply-patch" in kind else "adopt" if "json-patch" in kind else "patch"
