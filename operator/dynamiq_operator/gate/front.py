"""Serves the gate's ports, one for each sleeping App. It handles probes, keys, limits, recorded runs, the wait, and the forwarding.

Every response ends its connection. A caller's next call thus reaches the pods once they serve, and no idle connection delays the end of
a replica.
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

from dynamiq_operator.gate import answers, origins
from dynamiq_operator.gate.answers import CallRefusal
from dynamiq_operator.gate.backend import Backend
from dynamiq_operator.gate.callers import BUFFER, HEAD_MAX, Caller, Callers, while_connected
from dynamiq_operator.gate.directory import Directory
from dynamiq_operator.gate.forwarding import Forwarder, NotSent, bound_buffers, keep_alive
from dynamiq_operator.gate.limits import Limits
from dynamiq_operator.gate.metrics import GateMetrics
from dynamiq_operator.gate.probing import Pace
from dynamiq_operator.gate.relay import Relay
from dynamiq_operator.gate.slices import Sleeper
from dynamiq_operator.gate.tokens import is_management_token
from dynamiq_operator.gate.waking import Waker
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import Key
from dynamiq_operator.model.json_lines import FIELDS
from dynamiq_operator.serving.limits import HEADERS_MAX
from dynamiq_operator.serving.shares import Shares

LINGERING = 2.0
"""Seconds for which the rest of a refused body is read, so that its sender sees the response."""
CUT_WITHIN = 0.5
"""Seconds in which a call that is cut off must end by itself."""
BACKLOG = 1024
UNBOUND_AFTER = 10.0
"""Seconds for which a port stays bound after its slice is deleted. Callers may still be routed there, and must only reach that App."""
FORGOTTEN_AFTER = 24 * 3600.0
"""Seconds after which the series of an App without a port are dropped. Most such Apps were deleted, and a gate may run for a year."""
GATHERS = 0.01
"""Seconds for which changes are gathered, so that a thousand of them are handled together."""
CHECKED_EVERY = 1.0
PROBES = frozenset({"/healthz", "/readyz"})

log = logging.getLogger(__name__)


@dataclass
class _Door:
    """A bound port and its App. `calls`: its connections, even after the port is another App's. `gone_at`: when its slice was deleted."""

    backend: Backend
    calls: web.Server
    server: asyncio.Server
    gone_at: float | None = None


class Front:
    """The server of a directory's sleeping Apps. `host`: the address to listen on; None for every address."""

    def __init__(
        self,
        client: Client,
        directory: Directory,
        forwarder: Forwarder,
        relay: Relay,
        metrics: GateMetrics,
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
        """Set once the ports of all Apps that slept at the start are bound."""
        self.under_way = 0
        """Calls, held and forwarded."""
        self._closing: list[web.Server] = []
        """Connections of ports that are no longer bound."""
        self._unbound: dict[tuple[str, str], float] = {}
        """When the port of an App was unbound, the oldest first; without those that have one again."""
        directory.on_change(self._on_change)

    def on_bound(self, call: Callable[[], None]) -> None:
        """Registers `call`, which runs whenever a port was bound."""
        self._changed.append(call)

    def on_wrong_key(self, call: Callable[[Sleeper], None]) -> None:
        """Registers `call`, which runs whenever a key was refused: the key may be new and not known here yet."""
        self._refused.append(call)

    def serves(self, app: Sleeper) -> bool:
        """Returns True if the port of a slice is bound for its App."""
        door = self._doors.get(app.port)
        return door is not None and door.gone_at is None and door.backend.sleeper.uid == app.uid

    def _on_change(self, service: Key | None) -> None:
        self._news.set()
        for door in self._doors.values():
            if service is None or service == door.backend.sleeper.service:
                door.backend.on_change()

    async def run(self) -> None:
        """Binds and unbinds ports as slices are created and deleted, until it is cancelled."""
        await self._directory.until_known()
        while True:
            self._news.clear()
            await self._converge()
            self.bound.set()
            await asyncio.sleep(GATHERS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CHECKED_EVERY):
                    await self._news.wait()

    async def _converge(self) -> None:
        apps: dict[int, Sleeper] = {}
        for app in sorted(self._directory.sleepers.values(), key=lambda each: each.age):
            apps.setdefault(app.port, app)  # of two with one port the older one
        self._metrics.apps.set(len(apps))
        for port, door in list(self._doors.items()):
            if port in apps and _is_same(apps[port], door.backend.sleeper):
                door.backend.sleeper, door.gone_at = apps[port], None
            elif door.gone_at is None:
                door.gone_at = self._clock()
            elif self._clock() - door.gone_at >= self._unbound_after:
                door.server.close()  # existing connections stay open
                self._closing.append(door.calls)
                self._unbound[_series(door.backend.sleeper)] = self._clock()
                del self._doors[port]
        self._closing = [each for each in self._closing if each.connections]
        self._forget_series()
        for port in apps.keys() - self._doors.keys():
            await self._bind(apps[port])

    def _forget_series(self) -> None:
        # A connection that is open still counts its calls.
        while self._unbound and not self._closing:
            app, since = next(iter(self._unbound.items()))
            if self._clock() - since < FORGOTTEN_AFTER:
                return
            self._metrics.forget(*app)
            del self._unbound[app]

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
            keep_alive(listening)  # accepted connections inherit it: a lost node never closes its connections
            bound_buffers(listening)
        self._doors[app.port] = _Door(backend, calls, server)
        self._unbound.pop(_series(app), None)
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
        """Returns True if a call with this key may be for the App, as far as its keys are known."""
        app = backend.sleeper
        return not app.note.private or (key is not None and self._directory.allows(app, key) is not False)

    @property
    def _servers(self) -> list[web.Server]:
        return [*(door.calls for door in self._doors.values()), *self._closing]

    async def close(self, within: float) -> None:
        """Accepts no more calls, and waits for those under way, at most `within` seconds."""
        for door in self._doors.values():
            door.server.close()
        idle = asyncio.create_task(self._idle.wait())
        await asyncio.wait({idle}, timeout=within)  # asyncio.timeout raises no TimeoutError in a task that was cancelled
        idle.cancel()
        if self.under_way:
            log.warning("calls are cut off: the time to finish is over", extra={FIELDS: {"calls": self.under_way}})
        await asyncio.gather(*(each.shutdown(CUT_WITHIN) for each in self._servers))  # a timeout of 0 would never end

    async def _handle(self, backend: Backend, request: web.BaseRequest) -> web.StreamResponse:
        """Answers one call. `backend` is the App of the port when the caller connected; the port may be another App's by now."""
        door, allowed = self._doors.get(backend.sleeper.port), backend.sleeper.note.origins
        is_served = door is not None and door.backend is backend
        try:
            if not is_served:
                raise answers.not_served()
            # A preflight is no call: it needs no key, takes no place and counts in no figure.
            if (answer := origins.preflight(request, allowed)) is not None:
                answer.force_close()
                return answer
            response = await self._answer(request, backend)
        except CallRefusal as refusal:
            if is_served:
                self._metrics.refused(backend.sleeper.namespace, backend.sleeper.app, refusal.code)
            response = refusal.response()
        if not response.prepared:  # a pod's response has the pod's headers
            response.headers.update(origins.headers(request, allowed))
            response.force_close()
        return response

    async def _answer(self, request: web.BaseRequest, backend: Backend) -> web.StreamResponse:
        if "websocket" in request.headers.get("Upgrade", "").lower():
            raise answers.no_websocket()
        is_probe = request.method in ("GET", "HEAD") and request.path in PROBES
        if is_probe and not backend.has_room:
            return _asleep()
        self._forwarder.check(request)
        if not is_probe:
            origins.check(request, backend.sleeper.note.origins)
            if backend.sleeper.note.private:
                self._require_key(request, backend.sleeper)
        with self._counted(request, backend.sleeper) as take:
            if self._relay.takes(request):
                if not backend.sleeper.note.private:
                    raise answers.public_app()
                return await self._relay.relay(request, backend.sleeper)
            return await self._forward(request, backend, is_probe, take)

    def _require_key(self, request: web.BaseRequest, app: Sleeper) -> None:
        """Raises CallRefusal unless the request has a valid key: without one nobody wakes a private App."""
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise answers.no_key()
        allowed = self._directory.allows(app, key.strip())
        if allowed is None:
            raise answers.keys_unknown()
        if not allowed:
            for call in self._refused:
                call(app)
            raise answers.management_token() if is_management_token(key.strip()) else answers.wrong_key()

    @contextmanager
    def _counted(self, request: web.BaseRequest, app: Sleeper) -> Iterator[Callable[[int], bool]]:
        """Counts a call while it is under way, and yields a function that takes more bytes for its response.

        Raises CallRefusal if its namespace has used up its share.
        """
        caller = cast(Caller, request.protocol)
        with self._calls.lease(app.namespace) as take:
            if not take(self._limits.cost(caller.head, request.content_length if request.body_exists else 0)):
                raise answers.too_many()
            self.under_way += 1
            self._idle.clear()
            try:
                with self._callers.under_way(caller):
                    yield take.grow  # its pod may have run it: the response must not be refused for what others took since
            finally:
                self.under_way -= 1
                if not self.under_way:
                    self._idle.set()

    async def _forward(self, request: web.BaseRequest, backend: Backend, is_probe: bool, take: Callable[[int], bool]) -> web.StreamResponse:
        """Waits for a place at a pod and forwards the call. If the pod could not be reached, another one gets the call."""
        deadline = self._clock() + backend.sleeper.note.hold_seconds
        while True:
            if is_probe and not backend.has_room:
                return _asleep()
            async with while_connected(request), backend.place(deadline) as pod:
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
    """Returns the response to a probe while no pod can answer: load balancers probe constantly without a key, and would keep Apps awake."""
    return web.json_response({"status": "asleep"})


def _series(app: Sleeper) -> tuple[str, str]:
    return app.namespace, app.app


def _is_same(before: Sleeper, after: Sleeper) -> bool:
    return (before.note.app_id, before.service) == (after.note.app_id, after.service)
