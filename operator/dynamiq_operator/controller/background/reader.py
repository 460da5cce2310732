"""Reads in the background, for an App at a time: nothing waits for a read, and each wakes its App. It decides nothing.

Answers are kept between reconciles and never stored. A reader is an async context manager, whose end cancels its reads.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from time import monotonic
from types import TracebackType
from typing import Any, Self

import aiohttp

from dynamiq_operator.controller.background.slots import Slots
from dynamiq_operator.controller.cached.cache import AppKey
from dynamiq_operator.kube.errors import backoff

log = logging.getLogger(__name__)


@dataclass
class Kept:
    """The state of one App in a reader: its answer, and when the next read is due.

    `not_before`: monotonic. `failures`: consecutive reads without an answer. `task`: the read under way; there is never a second one.
    """

    not_before: float = 0.0
    failures: int = 0
    timer: asyncio.TimerHandle | None = field(default=None, repr=False)
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    def unschedule(self) -> None:
        """Drops the next read. The one under way goes on."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def stop(self) -> None:
        """Ends the read under way and drops the next one. Another may begin at once."""
        self.unschedule()
        if self.task is not None:
            self.task.cancel()
        self.task, self.not_before, self.failures = None, 0.0, 0


@dataclass(frozen=True)
class Pauses:
    """Seconds after which an App is read again. `holds`: after an answer. `first`: after a failure; it doubles after each `patience` of them."""

    holds: float = 0.0
    first: float = 8.0
    most: float = 8.0
    patience: int = 1

    def after(self, failures: int) -> float:
        return backoff((failures - 1) // self.patience + 1, self.first, self.most) if failures else self.holds


class BackgroundReader:
    """A reader of one thing for every App. `requeue`: called with an App after each of its reads.

    `at_once`: requests at a time. `of_namespace`: those for the Apps of one namespace. `clock`: monotonic seconds.
    """

    def __init__(
        self,
        requeue: Callable[[AppKey], None],
        at_once: int,
        of_namespace: int,
        pauses: Pauses = Pauses(),
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._requeue, self._pauses, self._clock = requeue, pauses, clock
        self._session: aiohttp.ClientSession | None = None
        self._slots = Slots(at_once, of_namespace)
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def _schedule(self, app: AppKey, kept: Kept, read: Callable[[], Coroutine[Any, Any, bool]], seconds: float = 0.0) -> None:
        """Schedules a read in `seconds`, or later if the last one holds. It replaces what was scheduled for the App before.

        `read` returns False if there was no answer. While a read is under way nothing is scheduled: at its end the App is requeued.
        """
        kept.unschedule()
        if self._is_closed or kept.task is not None:
            return
        seconds = max(seconds, kept.not_before - self._clock())
        if seconds > 0:
            kept.timer = asyncio.get_running_loop().call_later(seconds, self._begin, app, kept, read)
        else:
            self._begin(app, kept, read)

    def _begin(self, app: AppKey, kept: Kept, read: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        kept.timer = None
        if not self._is_closed:
            kept.task = asyncio.create_task(self._run(app, kept, read))
            self._tasks.add(kept.task)
            kept.task.add_done_callback(self._tasks.discard)

    async def _run(self, app: AppKey, kept: Kept, read: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        has_answer = has_crashed = False
        try:
            has_answer = await read()
        except Exception:
            has_crashed = True
            log.exception("App %s/%s: %s has failed, and begins again", *app, type(self).__name__)
        if kept.task is asyncio.current_task():  # else it was stopped, and another read may be under way
            kept.task, kept.failures = None, 0 if has_answer else kept.failures + 1
            kept.not_before = self._clock() + (self._pauses.most if has_crashed else self._pauses.after(kept.failures))
            self._requeue(app)

    def _connector(self) -> aiohttp.TCPConnector:
        """Returns the connections to pods. The slots limit them."""
        # A reused connection could outlive its pod, whose address another pod may get.
        return aiohttp.TCPConnector(limit=0, force_close=True)

    def _opened(self) -> aiohttp.ClientSession:
        """Returns the HTTP session, which the first request opens. Each request has its own timeout."""
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=None)
            self._session = aiohttp.ClientSession(connector=self._connector(), cookie_jar=aiohttp.DummyCookieJar(), timeout=timeout)
        return self._session
