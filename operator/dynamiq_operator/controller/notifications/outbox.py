"""The outbox: notifications that wait for their sinks, in memory and within bounds.

Each sink has lanes of its own, and the notifications of one App go by one lane, in their order. A lane tries its first one until that is
delivered or given up, with longer and longer pauses; other lanes, and other sinks, go on meanwhile. What is given up is counted by its reason.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from dynamiq_operator.controller.notifications.delivery import Lost, NotDeliveredError
from dynamiq_operator.controller.notifications.figures import Figures
from dynamiq_operator.controller.notifications.sinks import Sink
from dynamiq_operator.plan.notifications import Notification

LANES = 4
"""Requests to one sink at a time."""
SINKS_MOST = 256
OF_SINK_MOST = 1000
MOST = 5000
"""Notifications that wait for one sink, and for all; beyond them they are lost, and counted."""
TRIED_FOR = 300.0
"""Seconds from when it came to the outbox after which a notification is tried no more."""
PAUSE_FIRST, PAUSE_MOST = 1.0, 30.0
REMEMBERED = 20_000
"""Notifications whose ids are kept, so that what is said twice is sent once."""
SAID_AGAIN = 60.0
"""Seconds after which the log says again that a sink takes nothing."""

log = logging.getLogger(__name__)
Send = Callable[[Sink, Notification], Awaitable[None]]
"""Delivers one notification once. Raises NotDeliveredError."""


@dataclass(frozen=True)
class _Waiting:
    notification: Notification
    until: float
    """The monotonic time after which it is tried no more."""


@dataclass
class _Lane:
    waiting: deque[_Waiting] = field(default_factory=deque)
    task: asyncio.Task[None] | None = None


@dataclass
class _Queue:
    """What waits for one sink. `said_at`: when the log said last that it takes nothing; `failed`: why the last attempt failed."""

    sink: Sink
    lanes: tuple[_Lane, ...] = field(default_factory=lambda: tuple(_Lane() for _ in range(LANES)))
    said_at: float = float("-inf")
    failed: Lost = Lost.TIMEOUT

    @property
    def count(self) -> int:
        return sum(len(lane.waiting) for lane in self.lanes)


class Outbox:
    """What waits. `tried_for`: seconds; `clock`: monotonic seconds; `pause`: seconds before the attempt after so many."""

    def __init__(
        self,
        send: Send,
        figures: Figures,
        tried_for: float = TRIED_FOR,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[int], float] | None = None,
    ) -> None:
        self._send, self._figures, self._tried_for, self._clock = send, figures, tried_for, clock
        self._pause = pause or _pause
        self._queues: dict[tuple[str, object], _Queue] = {}
        self._seen: OrderedDict[tuple[object, str], None] = OrderedDict()
        self._idle = asyncio.Event()
        self._idle.set()
        self._count = 0

    @property
    def count(self) -> int:
        """Notifications that wait, one for each of their sinks."""
        return self._count

    @property
    def oldest(self) -> datetime | None:
        """When the first thing became that a sink has not been told; None where there is none."""
        return min((each.notification.at for each in self._all()), default=None)

    def add(self, sinks: Iterable[Sink], notification: Notification) -> None:
        """Puts a notification up for delivery, once for each sink, or counts it as lost. Never waits."""
        for sink in sinks:
            self._add(sink, notification)

    def _add(self, sink: Sink, notification: Notification) -> None:
        seen = (sink.place, notification.id)
        if seen in self._seen:
            return
        self._seen[seen] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        queue = self._queue_of(sink)
        if queue is None or self._count >= MOST or queue.count >= OF_SINK_MOST:
            self._figures.lost(sink.name, Lost.FULL)
            return
        queue.sink = sink
        lane = queue.lanes[hash((notification.namespace, notification.app)) % LANES]
        lane.waiting.append(_Waiting(notification, self._clock() + self._tried_for))
        self._changed(queue, 1)
        if lane.task is None:
            lane.task = asyncio.create_task(self._empty(queue, lane))

    def _queue_of(self, sink: Sink) -> _Queue | None:
        """The sink's queue; None where there are too many of them."""
        found = self._queues.get(sink.place)
        if found is None:
            if len(self._queues) >= SINKS_MOST:
                self._queues = {place: queue for place, queue in self._queues.items() if queue.count}
            if len(self._queues) >= SINKS_MOST:
                return None
            found = self._queues[sink.place] = _Queue(sink)
        self._figures.know(sink.name)
        return found

    async def _empty(self, queue: _Queue, lane: _Lane) -> None:
        """Delivers what a lane has, one after the other."""
        try:
            while lane.waiting:
                await self._deliver(queue, lane.waiting[0])
                lane.waiting.popleft()
                self._changed(queue, -1)
        finally:
            lane.task = None

    async def _deliver(self, queue: _Queue, waiting: _Waiting) -> None:
        """Tries until it is delivered, refused, or too late."""
        attempts = 0
        while attempts or waiting.until > self._clock():
            try:
                await self._send(queue.sink, waiting.notification)
            except NotDeliveredError as error:
                failed = error
            except Exception as error:  # whatever it is, what waits behind it has nothing to do with it
                log.exception("a notification could not be made for sink %s", queue.sink.name)
                failed = NotDeliveredError(Lost.INTERNAL, type(error).__name__, again=False)
            else:
                self._figures.sent(queue.sink.name)
                return
            attempts += 1
            queue.failed = failed.reason
            self._say(queue, failed)
            left = waiting.until - self._clock()
            if not failed.again or left <= 0:
                break
            await asyncio.sleep(min(self._pause(attempts), left))
        self._figures.lost(queue.sink.name, queue.failed)  # what waited too long behind others is not even tried

    def _say(self, queue: _Queue, failed: NotDeliveredError) -> None:
        if self._clock() - queue.said_at >= SAID_AGAIN:
            queue.said_at = self._clock()
            log.warning("sink %s was not told: %s", queue.sink.name, failed)

    def _changed(self, queue: _Queue, by: int) -> None:
        self._count += by
        self._figures.waiting(queue.sink.name, queue.count)
        if self._count:
            self._idle.clear()
        else:
            self._idle.set()

    def _all(self) -> Iterator[_Waiting]:
        return (each for queue in self._queues.values() for lane in queue.lanes for each in lane.waiting)

    async def flushed(self, within: float) -> None:
        """Returns when nothing waits any more, or after so many seconds."""
        try:
            async with asyncio.timeout(within):
                await self._idle.wait()
        except TimeoutError:
            return

    async def drop(self) -> int:
        """Drops what waits, which the next leader tells, and returns how much that was."""
        tasks = [lane.task for queue in self._queues.values() for lane in queue.lanes if lane.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        dropped, self._count = self._count, 0
        for queue in self._queues.values():
            for lane in queue.lanes:
                for each in lane.waiting:
                    self._seen.pop((queue.sink.place, each.notification.id), None)  # what was told stays told, if this one leads again
                lane.waiting.clear()
                lane.task = None  # one that was cancelled before it began has not done that itself
            self._figures.waiting(queue.sink.name, 0)
        self._idle.set()
        return dropped


def _pause(attempts: int) -> float:
    """Longer and longer, and never the same for many that wait for one receiver."""
    return min(PAUSE_FIRST * 2.0 ** min(attempts - 1, 16), PAUSE_MOST) * random.uniform(0.5, 1.0)  # noqa: S311 - it guards nothing
