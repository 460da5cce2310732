"""The pods of one App, and the calls that wait for one of them.

A call gets a place at a pod that Kubernetes says is ready, or that said so itself. While there is none, the pods that are there are asked,
and where there are none at all the App is woken. Calls are handed out in the order in which they came.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic

from dynamiq_operator.gate import answers, asking
from dynamiq_operator.gate.asking import Pace
from dynamiq_operator.gate.directory import Directory
from dynamiq_operator.gate.limits import Limits
from dynamiq_operator.gate.metrics import Metrics
from dynamiq_operator.gate.slices import Place, Pod, Sleeper
from dynamiq_operator.gate.waking import Waker

AVOIDED_FOR = 0.2
"""Seconds for which a pod that could not be reached gets no call, unless Kubernetes has news."""

LOOKED_EVERY = 1.0
"""Seconds after which those who wait for a pod that is ready and busy look again, whether there is news or not."""


class Backend:
    """One App's pods and callers. `sleeper` is what its gate slice said last; it is kept up to date from outside."""

    def __init__(
        self,
        sleeper: Sleeper,
        directory: Directory,
        waker: Waker,
        pace: Pace,
        metrics: Metrics,
        limits: Limits,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.sleeper = sleeper
        self._directory, self._waker, self._pace, self._metrics, self._clock = directory, waker, pace, metrics, clock
        self._limits = limits
        self._waiting: deque[asyncio.Future[Pod]] = deque()
        self._in_flight: Counter[Place] = Counter()
        self._said_yes: set[Pod] = set()
        """Pods that Kubernetes does not say are ready yet."""
        self._avoided: dict[str, float] = {}
        """By address, until when."""
        self._asks: dict[Pod, asyncio.Task[None]] = {}
        self._wake: asyncio.Task[None] | None = None
        self._serving: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._is_failing = False
        """Whether it could not be woken for long, and has had no ready pod since."""
        self.held = 0
        """Calls that wait."""

    @property
    def in_flight(self) -> int:
        """Calls that pods have been given and that have not ended."""
        return self._in_flight.total()

    @property
    def is_awake(self) -> bool:
        """Whether a pod is ready."""
        return any(map(self._is_ready, self._pods))

    @property
    def has_room(self) -> bool:
        """Whether a call would get a place at once."""
        return not self.held and self._free() is not None

    def on_change(self) -> None:
        """Looks again at what is known of the pods."""
        self._said_yes &= {pod for pod in self._pods if not pod.ready}  # of the others Kubernetes knows by now
        self._avoided.clear()
        self._is_failing = self._is_failing and not self.is_awake
        self._news.set()

    @asynccontextmanager
    async def place(self, deadline: float) -> AsyncIterator[Pod]:
        """A place at a pod, waited for until `deadline`. Raises answers.Refusal when that has passed, or when too many wait already."""
        pod = await self._reserved(deadline)
        try:
            yield pod
        finally:
            self._release(pod)

    def avoid(self, pod: Pod) -> None:
        """Notes that a pod could not be reached: whoever waits is given another one, or this one a little later."""
        self._avoided[pod.address] = self._clock() + AVOIDED_FOR
        self._said_yes.discard(pod)

    @property
    def _pods(self) -> tuple[Pod, ...]:
        return self._directory.pods(self.sleeper.service)

    def _is_ready(self, pod: Pod) -> bool:
        return (pod.ready or pod in self._said_yes) and self._avoided.get(pod.address, 0.0) <= self._clock()

    def _free(self) -> Pod | None:
        """The ready pod that has the least to do, None where none has a place."""
        ready = [pod for pod in self._pods if self._is_ready(pod)]
        chosen = min(ready, key=lambda pod: self._in_flight[pod.place], default=None)
        return None if chosen is None or self._in_flight[chosen.place] >= self._share else chosen

    def _take(self) -> Pod | None:
        """A place at that pod."""
        if (chosen := self._free()) is None:
            return None
        self._in_flight[chosen.place] += 1
        self._metrics.in_flight(self.sleeper.namespace, self.sleeper.app, 1)
        return chosen

    @property
    def _share(self) -> int:
        """Calls that this replica may have under way at one pod: the others hand theirs to the same one."""
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
            raise answers.over(self.sleeper.note.hold_seconds) from None
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
        """Who waits the longest; those who have left are passed over."""
        while self._waiting and self._waiting[0].done():
            self._waiting.popleft()
        return self._waiting[0] if self._waiting else None

    async def _serve(self) -> None:
        """Hands out places until nobody waits."""
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
            for task in self._asks.values():
                task.cancel()
            self._asks.clear()
            self._pace.leave(self)

    async def _progress(self) -> None:
        """Does what brings a place nearer, and returns when there is news, or when it is time to look again."""
        pods = self._pods
        if not pods and self._waker.is_due and (self._wake is None or self._wake.done()):
            self._wake = asyncio.create_task(self._waker.wake(self.sleeper))
        is_awake = self.is_awake
        if not is_awake and pods:
            self._pace.enter(self, self.sleeper.namespace, len(pods))
            for pod in pods:
                if pod not in self._asks and self._avoided.get(pod.address, 0.0) <= self._clock():
                    self._asks[pod] = asyncio.create_task(self._ask(pod))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOKED_EVERY if is_awake else self._pace.pause(self.sleeper.namespace)):
                await self._news.wait()

    async def _ask(self, pod: Pod) -> None:
        try:
            if await asking.is_ready(pod.address, pod.port, self.sleeper.note.ready_path) and pod in self._pods:
                self._said_yes.add(pod)
                self._news.set()
        finally:
            self._asks.pop(pod, None)


def _is_given(place: asyncio.Future[Pod]) -> bool:
    return place.done() and not place.cancelled()
