"""Queues notifications of what reconciles did, and takes over what the leader before may not have delivered. It delays no reconcile.

Without a sink nothing is made and nothing is read. Only the leader notifies. It notes on its Lease, with renewals that are made in any
case, until when everything has been delivered. The next leader begins there: it delivers what a dead process had not. Notifications from
the last moments of that process arrive twice, under the same id.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from dynamiq_operator.controller.defaults import TRIED_FOR
from dynamiq_operator.controller.notifications import forms
from dynamiq_operator.controller.notifications.delivery import Delivery, Lost
from dynamiq_operator.controller.notifications.notification_metrics import NotificationMetrics
from dynamiq_operator.controller.notifications.outbox import Outbox
from dynamiq_operator.controller.notifications.secrets import Secrets
from dynamiq_operator.controller.notifications.sinks import SinkRef, sinks_of
from dynamiq_operator.controller.notifications.takeover import Mark, Takeover
from dynamiq_operator.model import names
from dynamiq_operator.model.guard_objects import DeployPolicy
from dynamiq_operator.plan.background.notifications import Notification, notifications_of
from dynamiq_operator.plan.background.questions import Noted, questions_of
from dynamiq_operator.plan.operations import Operation
from dynamiq_operator.plan.snapshot import Snapshot

FLUSHED_WITHIN = 3.0
"""Seconds for which the end of the process waits for undelivered notifications."""
UNSURE = timedelta(seconds=1)
"""The precision of times in rows: whole seconds."""
TAKEOVER_MOST = timedelta(hours=1)
"""How far back a new leader searches for undelivered notifications. An older operator without notifications may have led for weeks."""
ALL_SINKS = "*"
"""Replaces the sink in a metric if it is unknown which sinks were not notified."""

log = logging.getLogger(__name__)


class Notifier:
    """The notifier of what reconciles do. `of_operator`: the sink of all namespaces. `now`: the time."""

    def __init__(
        self,
        secrets: Secrets,
        delivery: Delivery,
        takeover: Takeover,
        metrics: NotificationMetrics,
        now: Callable[[], datetime],
        of_operator: SinkRef | None = None,
        tried_for: float = TRIED_FOR,
    ) -> None:
        self._secrets, self._delivery, self._takeover, self._metrics = secrets, delivery, takeover, metrics
        self._now, self._of_operator = now, of_operator
        self._outbox = Outbox(self._send, metrics, tried_for)
        self._under_way: dict[object, datetime] = {}
        self._questions: dict[str, dict[str, Noted]] = {}
        """The last notifications about questions, by the App's uid and the label of pins."""
        self._sinks_in: dict[str, tuple[SinkRef, ...]] = {}
        """The last known sinks of namespaces, for namespaces with sinks."""
        self._taking_over: asyncio.Task[None] | None = None
        self._has_taken_over = self._is_noted = False
        if of_operator is not None:
            metrics.know(of_operator.name)
        metrics.know(ALL_SINKS)

    @contextlib.contextmanager
    def during(self, snapshot: Snapshot) -> Iterator[Callable[[Sequence[Operation]], None] | None]:
        """Yields, while a snapshot's plan is executed, the function to call with operations that were done; None without a sink."""
        sinks = self._sinks(snapshot.namespace, snapshot.guards.policies, snapshot.guards.unknown)
        if not sinks:
            yield None
            return
        mark = object()
        self._under_way[mark] = snapshot.now
        try:
            yield lambda done: self._queue(snapshot, sinks, done)
        finally:
            del self._under_way[mark]

    def note_questions(self, snapshot: Snapshot) -> None:
        """Queues notifications about new questions of the App's background runs; does nothing without a sink."""
        if snapshot.app is None or not (snapshot.open_runs.counts or snapshot.app.meta.uid in self._questions):
            return  # most Apps
        sinks = self._sinks(snapshot.namespace, snapshot.guards.policies, snapshot.guards.unknown)
        if not sinks:
            return
        uid = snapshot.app.meta.uid
        with self._counting_faults(sinks):
            notifications, noted = questions_of(snapshot, self._questions.pop(uid, {}))
            if noted:
                self._questions[uid] = noted
            for notification in notifications:
                self._outbox.add(sinks, notification)

    def _sinks(self, namespace: str, policies: Sequence[DeployPolicy], unknown: str) -> tuple[SinkRef, ...]:
        """Returns the sinks of a namespace. If some of its policies are unreadable, the sinks known before stay."""
        sinks = sinks_of(policies, self._of_operator)
        before = self._sinks_in.get(namespace, ())
        if unknown and before:
            sinks = tuple({sink.place: sink for sink in (*before, *sinks)}.values())
        if sinks:
            self._sinks_in[namespace] = sinks
        elif before:
            del self._sinks_in[namespace]
        return sinks

    def _queue(self, snapshot: Snapshot, sinks: tuple[SinkRef, ...], done: Sequence[Operation]) -> None:
        with self._counting_faults(sinks):
            for notification in notifications_of(snapshot, done):
                self._outbox.add(sinks, notification)

    @contextlib.contextmanager
    def _counting_faults(self, sinks: tuple[SinkRef, ...]) -> Iterator[None]:
        try:
            yield
        except Exception:  # it must not fail a deploy
            log.exception("notifications could not be sent")
            for sink in sinks:
                self._metrics.lost(sink.name, Lost.INTERNAL)

    async def _send(self, sink: SinkRef, notification: Notification) -> None:
        target = await self._secrets.target(sink.secret)
        await self._delivery.post(target, forms.written(notification, sink.form))

    # Notes on the Lease.

    def notes(self) -> Mapping[str, str]:
        """Returns annotations for the Lease that is renewed now: none without a sink ever, and until the leader before is taken over from."""
        if not self._has_taken_over or not (self._sinks_in or self._outbox.count or self._is_noted):
            return {}
        self._is_noted = True
        undelivered = [at for at in (self._outbox.oldest, *self._under_way.values()) if at is not None]
        return {names.TOLD_ANNOTATION: str(Mark(min((*undelivered, self._now())), self._outbox.count))}

    def begin(self, annotations: Mapping[str, str]) -> None:
        """Begins to take over as the leader. `annotations`: those of the Lease, as the leader before left them."""
        mark = Mark.of(annotations.get(names.TOLD_ANNOTATION, ""))
        self._is_noted = mark is not None
        self._taking_over = asyncio.create_task(self._take_over(mark))

    async def _take_over(self, mark: Mark | None) -> None:
        if mark is not None:
            try:
                await self._deliver_since(mark)
            except Exception:  # nothing else tries it: the loss is counted
                log.exception("notifications that the previous leader had not sent could not be found")
                self._metrics.lost(ALL_SINKS, Lost.RESTART, max(mark.waiting, 1))
        self._has_taken_over = True

    async def _deliver_since(self, mark: Mark) -> None:
        """Queues the notifications since a mark, and counts those that are lost."""
        sinks: dict[str, tuple[SinkRef, ...]] = {}

        async def has_sinks(namespace: str) -> bool:
            if namespace not in sinks:
                sinks[namespace] = self._sinks(namespace, await self._takeover.policies(namespace), "")
            return bool(sinks[namespace])

        notifications, missed = await self._takeover.undelivered(max(mark.until - UNSURE, self._now() - TAKEOVER_MOST), has_sinks)
        for notification in notifications:
            self._outbox.add(sinks[notification.namespace], notification)
        again = sum(len(sinks[notification.namespace]) for notification in notifications)
        # For example that a row waited: only its status had that, and it waits no longer.
        if lost := missed + max(mark.waiting - again, 0):
            self._metrics.lost(ALL_SINKS, Lost.RESTART, lost)
        log.info("took over notifications since %s: %d sent again, %d lost", mark, again, lost)

    async def lose(self) -> None:
        """Ends to notify: the next leader delivers what waits."""
        if self._taking_over is not None:
            self._taking_over.cancel()
            await asyncio.gather(self._taking_over, return_exceptions=True)
        self._has_taken_over, self._taking_over = False, None
        if dropped := await self._outbox.drop():
            log.warning("%d notifications have not been sent: the next leader sends those that it finds", dropped)

    async def close(self) -> None:
        """Waits a little for undelivered notifications, once another replica may lead. The other one delivers the rest."""
        await self._outbox.flushed(FLUSHED_WITHIN)
        await self.lose()
