"""Queues notifications for their sinks, in memory and within limits. It sends nothing itself.

Each sink has lanes of its own, and the notifications of one App go through one lane, in order. A lane tries its first notification, with
growing pauses, until it is delivered or given up. Meanwhile other lanes, and other sinks, go on. A notification that is given up is counted
by its reason. If the outbox is full, the namespace with the most notifications loses its newest. A lane serves its namespaces in turn: no
tenant fills a sink for the others, or keeps it busy.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter

from dynamiq_operator.controller.defaults import TRIED_FOR
from dynamiq_operator.controller.notifications.delivery import Lost, NotDeliveredError
from dynamiq_operator.controller.notifications.notification_metrics import NotificationMetrics
from dynamiq_operator.controller.notifications.sinks import SinkRef
from dynamiq_operator.kube.errors import backoff
from dynamiq_operator.plan.background.notifications import Notification

LANES = 4
"""Requests to one sink at a time."""
SINKS_MOST = 256
OF_SINK_MOST = 1000
MOST = 5000
"""Sinks, and notifications that wait for one sink, and for all. Beyond these limits notifications are lost, and counted."""
PAUSE_FIRST, PAUSE_MOST = 1.0, 30.0
GIVES_WAY = "Waiting"
"""The reason of notifications that lose their place first: the row's status still has it."""
REMEMBERED = 20_000
"""Notifications whose ids are kept, so that a repeated one is sent once."""
WARNED_AGAIN_AFTER = 60.0
"""Seconds after which the log repeats that a sink accepts nothing."""

log = logging.getLogger(__name__)
Send = Callable[[SinkRef, Notification], Awaitable[None]]
"""Delivers one notification once.

Raises NotDeliveredError."""


@dataclass(frozen=True)
class _Waiting:
    notification: Notification
    until: float
    """The monotonic time after which it is not tried."""


@dataclass
class _Lane:
    """A lane of a sink. `turns`: the namespaces that have had their turn, the last one last."""

    waiting: deque[_Waiting] = field(default_factory=deque)
    task: asyncio.Task[None] | None = None
    turns: dict[str, None] = field(default_factory=dict)

    def turn(self) -> _Waiting:
        """Returns the oldest notification of the namespace whose turn it is, and puts it first."""
        namespaces = {each.notification.namespace for each in self.waiting}
        self.turns = {namespace: None for namespace in self.turns if namespace in namespaces}
        places = {namespace: place for place, namespace in enumerate(self.turns)}
        chosen = min(self.waiting, key=lambda each: places.get(each.notification.namespace, -1))
        self.waiting.remove(chosen)
        self.waiting.appendleft(chosen)
        self.turns.pop(chosen.notification.namespace, None)
        self.turns[chosen.notification.namespace] = None
        return chosen


@dataclass
class _Queue:
    """The notifications that wait for one sink. `shares`: how many, by namespace. `logged_at`: when the log last reported that the sink
    accepts nothing. `failed`: why the last attempt failed.
    """

    sink: SinkRef
    lanes: tuple[_Lane, ...] = field(default_factory=lambda: tuple(_Lane() for _ in range(LANES)))
    shares: Counter[str] = field(default_factory=Counter)
    logged_at: float = float("-inf")
    failed: Lost = Lost.TIMEOUT

    @property
    def count(self) -> int:
        return sum(len(lane.waiting) for lane in self.lanes)

    def drop_one(self, namespace: str, *, waits: bool) -> bool:
        """Drops the newest notification of a namespace, that of a waiting row first; returns False if there is none.

        `waits`: drops only that of a waiting row.
        """
        places = [
            (each.notification.reason != GIVES_WAY, -each.until, lane, place)
            for lane in self.lanes
            for place, each in enumerate(lane.waiting)
            if place and each.notification.namespace == namespace  # the first of a lane is being sent
        ]
        other, _, lane, place = min(places, key=itemgetter(0, 1), default=(True, 0.0, None, 0))
        if lane is None or (waits and other):
            return False
        del lane.waiting[place]
        return True


class Outbox:
    """The notifications that wait. `tried_for`: seconds. `clock`: monotonic seconds. `pause`: returns the seconds after so many attempts."""

    def __init__(
        self,
        send: Send,
        metrics: NotificationMetrics,
        tried_for: float = TRIED_FOR,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[int], float] | None = None,
    ) -> None:
        self._send, self._metrics, self._tried_for, self._clock = send, metrics, tried_for, clock
        self._pause = pause or _pause
        self._queues: dict[tuple[str, object], _Queue] = {}
        self._seen: OrderedDict[tuple[object, str], None] = OrderedDict()
        self._idle = asyncio.Event()
        self._idle.set()
        self._count = 0

    @property
    def count(self) -> int:
        """The number of notifications that wait, one for each of their sinks."""
        return self._count

    @property
    def oldest(self) -> datetime | None:
        """The time of the oldest event that a sink has not been notified of; None if there is none."""
        return min((each.notification.at for each in self._all()), default=None)

    def add(self, sinks: Iterable[SinkRef], notification: Notification) -> None:
        """Queues a notification once for each sink, or counts it as lost. It never waits."""
        for sink in sinks:
            self._add(sink, notification)

    def _add(self, sink: SinkRef, notification: Notification) -> None:
        seen = (sink.place, notification.id)
        if seen in self._seen:
            return
        self._seen[seen] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        queue = self._queue_of(sink)
        if queue is None or not self._has_place(queue, notification):
            self._metrics.lost(sink.name, Lost.FULL)
            return
        queue.sink = sink
        lane = queue.lanes[hash((notification.namespace, notification.app)) % LANES]
        lane.waiting.append(_Waiting(notification, self._clock() + self._tried_for))
        self._changed(queue, notification.namespace, 1)
        if lane.task is None:
            lane.task = asyncio.create_task(self._empty(queue, lane))

    def _has_place(self, queue: _Queue, notification: Notification) -> bool:
        """Returns True if one more notification has room, after another one was dropped for it if that is fair."""
        is_full = queue.count >= OF_SINK_MOST
        if not is_full and self._count < MOST:
            return True
        fullest = queue if is_full else max(self._queues.values(), key=lambda each: max(each.shares.values(), default=0))
        ((namespace, most),) = fullest.shares.most_common(1)
        if most > queue.shares[notification.namespace] + 1:
            return self._drop_one(fullest, namespace, waits=False)
        return notification.warning and self._drop_one(queue, notification.namespace, waits=True)

    def _drop_one(self, queue: _Queue, namespace: str, *, waits: bool) -> bool:
        dropped = queue.drop_one(namespace, waits=waits)
        if dropped:
            self._changed(queue, namespace, -1)
            self._metrics.lost(queue.sink.name, Lost.FULL)
        return dropped

    def _queue_of(self, sink: SinkRef) -> _Queue | None:
        """Returns the sink's queue; None if there are too many."""
        own = self._queues.get(sink.place)
        if own is None:
            if len(self._queues) >= SINKS_MOST:
                self._queues = {place: queue for place, queue in self._queues.items() if queue.count}
            if len(self._queues) >= SINKS_MOST:
                return None
            own = self._queues[sink.place] = _Queue(sink)
        self._metrics.know(sink.name)
        return own

    async def _empty(self, queue: _Queue, lane: _Lane) -> None:
        """Delivers the notifications of a lane, one after the other."""
        try:
            while lane.waiting:
                await self._deliver(queue, lane.turn())
                self._changed(queue, lane.waiting.popleft().notification.namespace, -1)
        finally:
            lane.task = None

    async def _deliver(self, queue: _Queue, waiting: _Waiting) -> None:
        """Tries until the notification is delivered, refused, or too late."""
        attempts = 0
        while attempts or waiting.until > self._clock():
            try:
                await self._send(queue.sink, waiting.notification)
            except NotDeliveredError as error:
                failed = error
            except Exception as error:  # whatever it is, it must not affect those that wait behind
                log.exception("a notification for sink %s could not be created", queue.sink.name)
                failed = NotDeliveredError(Lost.INTERNAL, type(error).__name__, again=False)
            else:
                self._metrics.sent(queue.sink.name)
                return
            attempts += 1
            queue.failed = failed.reason
            self._warn(queue, failed)
            remaining = waiting.until - self._clock()
            if not failed.again or remaining <= 0:
                break
            await asyncio.sleep(min(self._pause(attempts), remaining))
        self._metrics.lost(queue.sink.name, queue.failed)  # what waited too long behind others is not even tried

    def _warn(self, queue: _Queue, failed: NotDeliveredError) -> None:
        if self._clock() - queue.logged_at >= WARNED_AGAIN_AFTER:
            queue.logged_at = self._clock()
            log.warning("sink %s was not notified: %s", queue.sink.name, failed)

    def _changed(self, queue: _Queue, namespace: str, by: int) -> None:
        self._count += by
        queue.shares[namespace] += by
        if not queue.shares[namespace]:
            del queue.shares[namespace]
        self._metrics.waiting(queue.sink.name, queue.count)
        if self._count:
            self._idle.clear()
        else:
            self._idle.set()

    def _all(self) -> Iterator[_Waiting]:
        return (each for queue in self._queues.values() for lane in queue.lanes for each in lane.waiting)

    async def flushed(self, within: float) -> None:
        """Returns when nothing waits, or after `within` seconds."""
        try:
            async with asyncio.timeout(within):
                await self._idle.wait()
        except TimeoutError:
            return

    async def drop(self) -> int:
        """Drops what waits, which the next leader delivers; returns how many they were."""
        tasks = [lane.task for queue in self._queues.values() for lane in queue.lanes if lane.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        dropped, self._count = self._count, 0
        for queue in self._queues.values():
            for lane in queue.lanes:
                for each in lane.waiting:
                    self._seen.pop((queue.sink.place, each.notification.id), None)  # delivered ones stay known, if this replica leads again
                lane.waiting.clear()
                lane.task = None  # one that was cancelled before it began has not done that itself
            queue.shares.clear()
            self._metrics.waiting(queue.sink.name, 0)
        self._idle.set()
        return dropped


def _pause(attempts: int) -> float:
    """Returns a pause that grows with the attempts, and is random: many may wait for one receiver."""
    return backoff(attempts, PAUSE_FIRST, PAUSE_MOST) * random.uniform(0.5, 1.0)  # noqa: S311 - it guards nothing
