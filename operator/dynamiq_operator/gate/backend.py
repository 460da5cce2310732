"""Manages the pods of one App, and the calls that wait for one of them.

A call gets a place at a pod that is ready, according to Kubernetes or to our own probe. If no pod is ready, all are probed; without pods
the App is woken. Calls are served in order of arrival.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic

from dynamiq_operator.gate import answers, probing
from dynamiq_operator.gate.directory import Directory
from dynamiq_operator.gate.limits import Limits
from dynamiq_operator.gate.metrics import GateMetrics
from dynamiq_operator.gate.probing import Pace
from dynamiq_operator.gate.slices import Place, Pod, Sleeper
from dynamiq_operator.gate.waking import Waker

AVOIDED_FOR = 0.2
"""Seconds for which an unreachable pod gets no call, unless Kubernetes reports a change."""

CHECKED_EVERY = 1.0
"""Seconds after which calls that wait for busy pods check again, even without a change."""


class Backend:
    """The pods and callers of one App. `sleeper` is the newest content of its gate slice; the owner of this object updates it."""

    def __init__(
        self,
        sleeper: Sleeper,
        directory: Directory,
        waker: Waker,
        pace: Pace,
        metrics: GateMetrics,
        limits: Limits,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.sleeper = sleeper
        self._directory, self._waker, self._pace, self._metrics, self._clock = directory, waker, pace, metrics, clock
        self._limits = limits
        self._waiting: deque[asyncio.Future[Pod]] = deque()
        self._in_flight: Counter[Place] = Counter()
        self._probed_ready: set[Pod] = set()
        """Pods that passed our probe and that Kubernetes does not report as ready yet."""
        self._avoided: dict[str, float] = {}
        """The end of the avoidance, by address."""
        self._probes: dict[Pod, asyncio.Task[None]] = {}
        self._wake: asyncio.Task[None] | None = None
        self._serving: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._is_failing = False
        """True if waking took too long, and no pod has been ready since."""
        self.held = 0
        """Calls that wait."""

    @property
    def in_flight(self) -> int:
        """Calls that pods were given and that have not ended."""
        return self._in_flight.total()

    @property
    def is_awake(self) -> bool:
        """True if a pod is ready."""
        return any(map(self._is_ready, self._pods))

    @property
    def has_room(self) -> bool:
        """True if a call would get a place at once."""
        return not self.held and self._free() is not None

    def on_change(self) -> None:
        """Handles a change of the pods."""
        self._probed_ready &= {pod for pod in self._pods if not pod.ready}  # Kubernetes reports the others as ready by now
        self._avoided.clear()
        self._is_failing = self._is_failing and not self.is_awake
        self._news.set()

    @asynccontextmanager
    async def place(self, deadline: float) -> AsyncIterator[Pod]:
        """Yields a place at a pod, waiting until `deadline`.

        Raises answers.CallRefusal after the deadline, or if too many calls wait already.
        """
        pod = await self._reserved(deadline)
        try:
            yield pod
        finally:
            self._release(pod)

    def avoid(self, pod: Pod) -> None:
        """Notes that a pod could not be reached. Waiting calls get another pod, or this one a little later."""
        self._avoided[pod.address] = self._clock() + AVOIDED_FOR
        self._probed_ready.discard(pod)

    @property
    def _pods(self) -> tuple[Pod, ...]:
        return self._directory.pods(self.sleeper.service)

    def _is_ready(self, pod: Pod) -> bool:
        return (pod.ready or pod in self._probed_ready) and self._avoided.get(pod.address, 0.0) <= self._clock()

    def _free(self) -> Pod | None:
        """Returns the ready pod with the fewest calls; None if none has a place."""
        ready = [pod for pod in self._pods if self._is_ready(pod)]
        chosen = min(ready, key=lambda pod: self._in_flight[pod.place], default=None)
        return None if chosen is None or self._in_flight[chosen.place] >= self._share else chosen

    def _take(self) -> Pod | None:
        if (chosen := self._free()) is None:
            return None
        self._in_flight[chosen.place] += 1
        self._metrics.in_flight(self.sleeper.namespace, self.sleeper.app, 1)
        return chosen

    @property
    def _share(self) -> int:
        """Calls that this replica may have under way at one pod. The other replicas use the same pod."""
        return max(self.sleeper.note.at_once // max(len(self._directory.ready_replicas), 1), 1)

    def _release(self, pod: Pod) -> None:
        self._in_flight[pod.place] -= 1
        self._in_flight = +self._in_flight
        self._metrics.in_flight(self.sleeper.namespace, self.sleeper.app, -1)
        self._news.set()

    async def _reserved(self, deadline: float) -> Pod:
        if not self.held and (pod := self._take()) is not None:
            return pod
        most = min(self._limits.failing, self._limits.held) if self._is_failing else self._limits.held
        if self.held >= most:
            raise answers.too_many_of_app(most)
        place: asyncio.Future[Pod] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        self._hold(1)
        try:
            async with asyncio.timeout(max(deadline - self._clock(), 0)):
                return await place
        except TimeoutError:
            if _is_given(place):
                return place.result()
            raise answers.not_woken(self.sleeper.note.hold_seconds) from None
        except asyncio.CancelledError:
            if _is_given(place):
                self._release(place.result())
            raise
        finally:
            place.cancel()
            self._hold(-1)

    def _hold(self, by: int) -> None:
        self.held += by
        self._metrics.held(self.sleeper.namespace, self.sleeper.app, by)
        self._news.set()
        if by > 0 and (self._serving is None or self._serving.done()):
            self._serving = asyncio.create_task(self._serve())

    def _next(self) -> asyncio.Future[Pod] | None:
        """Returns the call that waits longest, skipping those that have left."""
        while self._waiting and self._waiting[0].done():
            self._waiting.popleft()
        return self._waiting[0] if self._waiting else None

    async def _serve(self) -> None:
        """Hands out places until no call waits."""
        began, was_asleep = self._clock(), not self.is_awake
        awake_at = began
        try:
            while (first := self._next()) is not None:
                self._news.clear()
                if (pod := self._take()) is None:
                    await self._progress()
                    awake_at = self._clock() if self.is_awake else awake_at
                    self._is_failing = self._is_failing or self._clock() - awake_at >= self._limits.fails_after
                    continue
                first.set_result(pod)
                if was_asleep:
                    was_asleep = False
                    self._metrics.wake_seconds.observe(self._clock() - began)
        finally:
            for task in self._probes.values():
                task.cancel()
            self._probes.clear()
            self._pace.leave(self)

    async def _progress(self) -> None:
        """Wakes or probes, and returns after a change or when the next check is due."""
        pods = self._pods
        if not pods and self._waker.is_due and (self._wake is None or self._wake.done()):
            self._wake = asyncio.create_task(self._waker.wake(self.sleeper))
        is_awake = self.is_awake
        if not is_awake and pods:
            self._pace.enter(self, self.sleeper.namespace, len(pods))
            for pod in pods:
                if pod not in self._probes and self._avoided.get(pod.address, 0.0) <= self._clock():
                    self._probes[pod] = asyncio.create_task(self._probe(pod))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CHECKED_EVERY if is_awake else self._pace.pause(self.sleeper.namespace)):
                await self._news.wait()

    async def _probe(self, pod: Pod) -> None:
        try:
            if await probing.is_ready(pod.address, pod.port, self.sleeper.note.ready_path) and pod in self._pods:
                self._probed_ready.add(pod)
                self._news.set()
        finally:
            self._probes.pop(pod, None)


def _is_given(place: asyncio.Future[Pod]) -> bool:
    return place.done() and not place.cancelled()
