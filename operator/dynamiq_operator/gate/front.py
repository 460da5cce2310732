"""The gate's ports, one for each sleeping App, and what becomes of a call: probes, keys, limits, runs that are recorded, the wait, and the way to the pod.

Every answer ends its connection. So a caller's next call finds the pods as soon as they are there, and no connection waits here that
could be in the way when a replica ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import cast

from aiohttp import web

from dynamiq_operator.gate import answers
from dynamiq_operator.gate.answers import Refusal
from dynamiq_operator.gate.asking import Pace
from dynamiq_operator.gate.backend import Backend
from dynamiq_operator.gate.callers import BUFFER, HEAD_MAX, HEADERS_MAX, Caller, Callers, while_there
from dynamiq_operator.gate.directory import Directory
from dynamiq_operator.gate.forwarding import Forwarder, NotSent, bounded, keep_alive
from dynamiq_operator.gate.limits import Limits
from dynamiq_operator.gate.metrics import Metrics
from dynamiq_operator.gate.relay import Relay
from dynamiq_operator.gate.shares import Shares
from dynamiq_operator.gate.slices import Key, Sleeper
from dynamiq_operator.gate.waking import Waker
from dynamiq_operator.kube.client import Client
from dynamiq_operator.model.json_lines import FIELDS

LINGERING = 2.0
"""Seconds for which the rest of a refused body is read, so that its sender sees the answer."""
CUT_WITHIN = 0.5
"""Seconds that a call which is cut off has to end by itself."""
BACKLOG = 1024
UNBOUND_AFTER = 10.0
"""Seconds for which a port is kept after its slice has gone: so long somebody may still be led there, and only to that App."""
GATHERS = 0.01
"""Seconds for which changes are gathered, so that a thousand of them are not looked at one by one."""
LOOKED_EVERY = 1.0
PROBES = frozenset({"/healthz", "/readyz"})

log = logging.getLogger(__name__)


@dataclass
class _Door:
    """A bound port and its App. `calls`: its connections, also after the port is another App's. `gone_at`: when its slice went."""

    backend: Backend
    calls: web.Server
    server: asyncio.Server
    gone_at: float | None = None


class Front:
    """Serves the sleeping Apps of a directory. `host`: what to listen on, None for every address."""

    def __init__(
        self,
        client: Client,
        directory: Directory,
        forwarder: Forwarder,
        relay: Relay,
        metrics: Metrics,
        limits: Limits,
        host: str | None = None,
        unbound_after: float = UNBOUND_AFTER,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._client, self._directory, self._forwarder, self._relay, self._metrics = client, directory, forwarder, relay, metrics
        self._limits, self._host, self._unbound_after, self._clock = limits, host, unbound_after, clock
        self._pace = Pace()
        self._callers = Callers(limits.connections, limits.heads, limits.answers, metrics.ended)
        self._calls = Shares(limits.calls)
        self._doors: dict[int, _Door] = {}
        self._news = asyncio.Event()
        self._changed: list[Callable[[], None]] = []
        self._refused: list[Callable[[Sleeper], None]] = []
        self._idle = asyncio.Event()
        self._idle.set()
        self.bound = asyncio.Event()
        """Set once the ports of all Apps that were asleep at the start were bound."""
        self.under_way = 0
        """Calls, held and forwarded."""
        self._left: list[web.Server] = []
        """Connections of ports that were given back."""
        directory.on_change(self._on_change)

    def on_bound(self, call: Callable[[], None]) -> None:
        """Has `call` called whenever a port was bound."""
        self._changed.append(call)

    def on_wrong_key(self, call: Callable[[Sleeper], None]) -> None:
        """Has `call` called whenever a key was refused: it may be new, and not known here yet."""
        self._refused.append(call)

    def serves(self, app: Sleeper) -> bool:
        """Whether the port of a slice is bound, and its App is who answers there."""
        door = self._doors.get(app.port)
        return door is not None and door.gone_at is None and door.backend.sleeper.uid == app.uid

    def _on_change(self, service: Key | None) -> None:
        self._news.set()
        for door in self._doors.values():
            if service is None or service == door.backend.sleeper.service:
                door.backend.on_change()

    async def run(self) -> None:
        """Binds and unbinds ports as slices come and go, until it is cancelled."""
        await self._directory.until_known()
        while True:
            self._news.clear()
            await self._converge()
            self.bound.set()
            await asyncio.sleep(GATHERS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOKED_EVERY):
                    await self._news.wait()

    async def _converge(self) -> None:
        wanted: dict[int, Sleeper] = {}
        for app in sorted(self._directory.sleepers.values(), key=lambda each: each.age):
            wanted.setdefault(app.port, app)  # of two with one port the older one
        self._metrics.apps.set(len(wanted))
        for port, door in list(self._doors.items()):
            if port in wanted and _is_same(wanted[port], door.backend.sleeper):
                door.backend.sleeper, door.gone_at = wanted[port], None
            elif door.gone_at is None:
                door.gone_at = self._clock()
            elif self._clock() - door.gone_at >= self._unbound_after:
                door.server.close()  # what is connected goes on
                self._left = [each for each in (*self._left, door.calls) if each.connections]
                del self._doors[port]
        for port in wanted.keys() - self._doors.keys():
            await self._bind(wanted[port])

    async def _bind(self, app: Sleeper) -> None:
        waker = Waker(self._client, self._metrics)
        backend = Backend(app, self._directory, waker, self._pace, self._metrics, self._limits, self._clock)
        calls = web.Server(partial(self._handle, backend), handler_cancellation=True)
        accept = partial(self._accept, backend, calls)
        try:
            server = await asyncio.get_running_loop().create_server(accept, self._host, app.port, backlog=BACKLOG, reuse_address=True)
        except OSError as error:
            log.warning("a port cannot be bound: %s", error, extra={FIELDS: {"port": app.port}})
            return
        for listening in server.sockets:
            keep_alive(listening)  # who is accepted inherits it: a caller's node that is gone tells nobody
            bounded(listening)
        self._doors[app.port] = _Door(backend, calls, server)
        for call in self._changed:
            call()

    def _accept(self, backend: Backend, calls: web.Server) -> asyncio.Protocol:
        return Caller(
            calls,
            among=self._callers,
            namespace=backend.sleeper.namespace,
            allows=partial(self._allows, backend),
            loop=asyncio.get_running_loop(),
            keepalive_timeout=self._limits.head_within,
            lingering_time=LINGERING,
            read_bufsize=BUFFER,
            max_line_size=HEAD_MAX,
            max_field_size=HEAD_MAX,
            max_headers=HEADERS_MAX,
            auto_decompress=False,
            access_log=None,
        )

    def _allows(self, backend: Backend, key: str | None) -> bool:
        """Whether a call with this key may be one of the App's, by what is known of it by now."""
        app = backend.sleeper
        return not app.note.private or (key is not None and self._directory.allows(app, key) is not False)

    @property
    def _servers(self) -> list[web.Server]:
        return [*(door.calls for door in self._doors.values()), *self._left]

    async def close(self, within: float) -> None:
        """Takes no more calls, and waits for those under way, at most `within` seconds."""
        for door in self._doors.values():
            door.server.close()
        idle = asyncio.create_task(self._idle.wait())
        await asyncio.wait({idle}, timeout=within)  # asyncio.timeout raises no TimeoutError in a task that was cancelled
        idle.cancel()
        if self.under_way:
            log.warning("calls are cut off: the time to finish is over", extra={FIELDS: {"calls": self.under_way}})
        await asyncio.gather(*(each.shutdown(CUT_WITHIN) for each in self._servers))  # without an end where it is told 0

    async def _handle(self, backend: Backend, request: web.BaseRequest) -> web.StreamResponse:
        """`backend` is of the App whose port it was when the caller connected: by now it may be another one's."""
        door = self._doors.get(backend.sleeper.port)
        is_served = door is not None and door.backend is backend
        try:
            if not is_served:
                raise answers.not_served()
            return await self._answer(request, backend)
        except Refusal as refusal:
            if is_served:
                self._metrics.refused(backend.sleeper.namespace, backend.sleeper.app, refusal.code)
            response = refusal.response()
            response.force_close()
            return response

    async def _answer(self, request: web.BaseRequest, backend: Backend) -> web.StreamResponse:
        is_probe = request.method in ("GET", "HEAD") and request.path in PROBES
        if is_probe and not backend.has_room:
            return _asleep()
        self._forwarder.check(request)
        if backend.sleeper.note.private and not is_probe:
            self._require_key(request, backend.sleeper)
        with self._counted(request, backend.sleeper) as take:
            if self._relay.takes(request):
                if not backend.sleeper.note.private:
                    raise answers.public_app()
                return await self._relay.relay(request, backend.sleeper)
            return await self._forward(request, backend, is_probe, take)

    def _require_key(self, request: web.BaseRequest, app: Sleeper) -> None:
        """Raises Refusal: nobody without a key wakes a private App."""
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise answers.no_key()
        allowed = self._directory.allows(app, key.strip())
        if allowed is None:
            raise answers.keys_unknown()
        if not allowed:
            for call in self._refused:
                call(app)
            raise answers.wrong_key()

    @contextmanager
    def _counted(self, request: web.BaseRequest, app: Sleeper) -> Iterator[Callable[[int], bool]]:
        """Counts a call while it is under way, and gives what takes more bytes for its answer. Raises Refusal where its namespace has as many as it may."""
        caller = cast(Caller, request.protocol)
        with self._calls.lease(app.namespace) as take:
            if not take(self._limits.cost(caller.head, request.content_length if request.body_exists else 0)):
                raise answers.too_many()
            self.under_way += 1
            self._idle.clear()
            try:
                with self._callers.under_way(caller):
                    yield take.grow  # its pod may have carried it out: what others took since must not refuse its answer
            finally:
                self.under_way -= 1
                if not self.under_way:
                    self._idle.set()

    async def _forward(self, request: web.BaseRequest, backend: Backend, is_probe: bool, take: Callable[[int], bool]) -> web.StreamResponse:
        """Waits for a place at a pod and hands the call over. A pod that could not be reached has seen nothing of it: another one gets it."""
        deadline = self._clock() + backend.sleeper.note.hold_seconds
        while True:
            if is_probe and not backend.has_room:
                return _asleep()
            async with while_there(request), backend.place(deadline) as pod:
                is_sent = True
                try:
                    return await self._forwarder.forward(request, pod, take)
                except NotSent:
                    is_sent = False
                    backend.avoid(pod)
                finally:
                    if is_sent:
                        self._metrics.forwarded(backend.sleeper.namespace, backend.sleeper.app)


def _asleep() -> web.Response:
    """What a probe gets that no pod can answer now: a load balancer asks all the time, without a key, and would let no App sleep."""
    response = web.json_response({"status": "asleep"})
    response.force_close()
    return response


def _is_same(one: Sleeper, other: Sleeper) -> bool:
    return (one.note.app_id, one.service) == (other.note.app_id, other.service)
