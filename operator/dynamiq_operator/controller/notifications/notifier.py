"""The notifier: hears what reconciles have done, puts it up for delivery, and takes over what the leader before may not have told.

A reconcile hands over what it did and waits for nothing. Where no sink is named, nothing is made and nothing is read. Only the leader
tells. It notes on its Lease, with renewals that are made in any case, until when all has been told; who leads next begins there. So what a
process that died had not told is told by the next one, and what it had told in its last moments is told twice, under the same id.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from dynamiq_operator.controller.notifications import forms
from dynamiq_operator.controller.notifications.delivery import Delivery, Lost
from dynamiq_operator.controller.notifications.figures import Figures
from dynamiq_operator.controller.notifications.outbox import TRIED_FOR, Outbox
from dynamiq_operator.controller.notifications.secrets import Secrets
from dynamiq_operator.controller.notifications.sinks import Sink, sinks_of
from dynamiq_operator.controller.notifications.takeover import Mark, Takeover
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import DeployPolicy
from dynamiq_operator.plan.notifications import Notification, told_by
from dynamiq_operator.plan.operations import Operation
from dynamiq_operator.plan.snapshot import Snapshot

FLUSHED_WITHIN = 3.0
"""Seconds that the end of the process waits for what has not been told."""
UNSURE = timedelta(seconds=1)
"""Rows say whole seconds."""
TOLD_ANEW = timedelta(hours=1)
"""How far back a leader looks for what was not told: an operator of before these notifications may have led for weeks."""
ALL_SINKS = "*"
"""Stands for the sink in a metric where it is not known which ones have not been told."""

log = logging.getLogger(__name__)


class Notifier:
    """Tells what reconciles do. `of_operator`: the sink of all namespaces. `now`: the time."""

    def __init__(
        self,
        secrets: Secrets,
        delivery: Delivery,
        takeover: Takeover,
        figures: Figures,
        now: Callable[[], datetime],
        of_operator: Sink | None = None,
        tried_for: float = TRIED_FOR,
    ) -> None:
        self._secrets, self._delivery, self._takeover, self._figures = secrets, delivery, takeover, figures
        self._now, self._of_operator = now, of_operator
        self._outbox = Outbox(self._send, figures, tried_for)
        self._under_way: dict[object, datetime] = {}
        self._sinks_in: dict[str, tuple[Sink, ...]] = {}
        """Of namespaces with sinks, those that were known last."""
        self._taking_over: asyncio.Task[None] | None = None
        self._has_taken_over = self._is_noted = False
        if of_operator is not None:
            figures.know(of_operator.name)
        figures.know(ALL_SINKS)

    @contextlib.contextmanager
    def during(self, snapshot: Snapshot) -> Iterator[Callable[[Sequence[Operation]], None] | None]:
        """For the execution of a plan that was made of a snapshot: what is to be called with operations that were done; None where nobody is told."""
        sinks = self._sinks(snapshot.namespace, snapshot.guards.policies, snapshot.guards.unknown)
        if not sinks:
            yield None
            return
        mark = object()
        self._under_way[mark] = snapshot.now
        try:
            yield lambda done: self._told(snapshot, sinks, done)
        finally:
            del self._under_way[mark]

    def _sinks(self, namespace: str, policies: Sequence[DeployPolicy], unknown: str) -> tuple[Sink, ...]:
        """Who hears of a namespace; where its policies cannot all be read, also who heard of it before."""
        found = sinks_of(policies, self._of_operator)
        before = self._sinks_in.get(namespace, ())
        if unknown and before:
            found = tuple({sink.place: sink for sink in (*before, *found)}.values())
        if found:
            self._sinks_in[namespace] = found
        elif before:
            del self._sinks_in[namespace]
        return found

    def _told(self, snapshot: Snapshot, sinks: tuple[Sink, ...], done: Sequence[Operation]) -> None:
        try:
            for notification in told_by(snapshot, done):
                self._outbox.add(sinks, notification)
        except Exception:  # a deploy has nothing to do with it
            log.exception("what was done could not be told")
            for sink in sinks:
                self._figures.lost(sink.name, Lost.INTERNAL)

    async def _send(self, sink: Sink, notification: Notification) -> None:
        target = await self._secrets.target(sink.secret)
        await self._delivery.post(target, forms.written(notification, sink.form))

    # What the Lease says of it.

    def notes(self) -> Mapping[str, str]:
        """Annotations of the Lease that is renewed now: nothing where nobody was ever told, and until the leader before was taken over from."""
        if not self._has_taken_over or not (self._sinks_in or self._outbox.count or self._is_noted):
            return {}
        self._is_noted = True
        open_ = [at for at in (self._outbox.oldest, *self._under_way.values()) if at is not None]
        return {names.TOLD_ANNOTATION: str(Mark(min((*open_, self._now())), self._outbox.count))}

    def begin(self, annotations: Mapping[str, str]) -> None:
        """This replica leads from now on; `annotations`: of its Lease, as the leader before left them."""
        mark = Mark.of(annotations.get(names.TOLD_ANNOTATION, ""))
        self._is_noted = mark is not None
        self._taking_over = asyncio.create_task(self._take_over(mark))

    async def _take_over(self, mark: Mark | None) -> None:
        if mark is not None:
            try:
                await self._tell_since(mark)
            except Exception:  # it is tried by nobody else: what was lost is said
                log.exception("what the leader before had not told could not be found")
                self._figures.lost(ALL_SINKS, Lost.RESTART, max(mark.waiting, 1))
        self._has_taken_over = True

    async def _tell_since(self, mark: Mark) -> None:
        told: dict[str, tuple[Sink, ...]] = {}

        async def is_told(namespace: str) -> bool:
            if namespace not in told:
                told[namespace] = self._sinks(namespace, await self._takeover.policies(namespace), "")
            return bool(told[namespace])

        found, missed = await self._takeover.found(max(mark.until - UNSURE, self._now() - TOLD_ANEW), is_told)
        for notification in found:
            self._outbox.add(told[notification.namespace], notification)
        again = sum(len(told[notification.namespace]) for notification in found)
        # Such as that a row waited, which only its status said, and it waits no more.
        if lost := missed + max(mark.waiting - again, 0):
            self._figures.lost(ALL_SINKS, Lost.RESTART, lost)
        log.info("took over notifications since %s: %d told anew, %d lost", mark, again, lost)

    async def lose(self) -> None:
        """This replica leads no more: the next one tells what waits."""
        if self._taking_over is not None:
            self._taking_over.cancel()
            await asyncio.gather(self._taking_over, return_exceptions=True)
        self._has_taken_over, self._taking_over = False, None
        if dropped := await self._outbox.drop():
            log.warning("%d notifications have not been told: the next leader tells what it finds of them", dropped)

    async def close(self) -> None:
        """Waits a little for what has not been told, once another replica may lead: what is left that one tells."""
        await self._outbox.flushed(FLUSHED_WITHIN)
        await self.lose()
