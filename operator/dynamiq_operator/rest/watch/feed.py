"""Runs one stream. Changes wake it, it reads them at most a few times a second, and it ends with the token or the process."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter
from typing import Protocol

from dynamiq_operator.rest.http.errors import HttpProblem
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.http.streams import EntryChange, Streams, event
from dynamiq_operator.rest.watch.reads import DELETED, EXPIRED, Round

PING_EVERY = 15.0
"""Seconds of silence after which a comment is sent, so that no proxy and no reader takes the stream for dead."""
BETWEEN = 0.25
"""Seconds between two rounds of reads. Many changes of one object are read once."""
ROUND_MOST = 8
"""Changes that are read in one round, at most."""
UNREAD_MOST = 48
"""Changes that wait to be read, at most. If there are more, the reader has to read everything anew, which costs less."""
ANEW_EVERY = 2.0
"""Seconds between two events by which a reader has to read everything anew."""
RETRY_FIRST, RETRY_MOST = 1.0, 10.0
"""Seconds until a read is repeated that the API server did not answer: the first time, and at most."""
CHECK_EVERY, CHECK_LATER, CHECKS = 1.0, 5.0, 60
"""Seconds between two checks of what is under way: for the first CHECKS checks, and later."""
PING = b": ping\n\n"
READY, ENDING = event("ready", {}), event("ending", {})


class Subject(Protocol):
    """The objects that a stream is about. `is_gone`: they are deleted, so the stream ends."""

    namespace: str
    is_gone: bool

    def begin(self) -> None:
        """Reads the present state from the index. For a worker thread: the index may be locked for a moment."""

    def concerns(self, change: EntryChange) -> EntryChange | None:
        """Returns what has to be read after a change; None if nothing has. For the event loop."""

    def is_under_way(self) -> bool:
        """Returns True if something is under way of which the index does not get every change, so that it is checked.

        For the event loop.
        """

    def read(self, changes: Sequence[EntryChange]) -> Round:
        """Reads with the caller's token what changed. For a worker thread."""

    def check(self) -> Round:
        """Reads what is under way; returns events if that has changed. For a worker thread."""


@dataclass(eq=False)
class EventFeed:
    """The events of one stream. For the event loop."""

    streams: Streams
    session: CallerSession
    subject: Subject
    _unread: dict[tuple[str, str], EntryChange] = field(default_factory=dict)
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _ended: asyncio.Event = field(default_factory=asyncio.Event)
    _has_lost: bool = False
    _read_at: float = 0.0
    """The time before which no further round begins, by the loop's clock."""
    _checked_at: float = 0.0
    _checks: int = 0
    _failures: int = 0

    def __post_init__(self) -> None:
        self._expires = self.session.expires_at

    def notify(self, change: EntryChange) -> None:
        """Notes a change. A reader who is too far behind has to read everything anew."""
        if (relevant := self.subject.concerns(change)) is None:
            return
        key = _key(relevant)
        if key not in self._unread or not self._unread[key].is_gone:
            self._unread[key] = relevant
        if len(self._unread) > UNREAD_MOST:
            self._unread.clear()
            self._has_lost = True
        self._checks = 0
        self._woken.set()

    def end(self) -> None:
        self._ended.set()
        self._woken.set()

    async def events(self) -> AsyncGenerator[bytes]:
        """Yields the events, and pings between them, until the stream ends."""
        with self.streams.open(self.subject.namespace, self):
            await self.streams.query(self.subject.begin)
            if not self._ended.is_set():
                yield READY
            spoke = _now()
            while (last := self._last()) is None:
                round_ = await self._next(spoke + PING_EVERY)
                for data in round_.events:
                    yield data
                    spoke = _now()
                if round_.is_last:
                    return
            yield last

    def _last(self) -> bytes | None:
        """Returns the event with which the stream ends now; None if it goes on."""
        if self._ended.is_set():
            return ENDING
        if self._seconds_left() <= 0:
            return EXPIRED
        return DELETED if self.subject.is_gone else None

    def _seconds_left(self) -> float:
        return math.inf if self._expires is None else self._expires - time.time()

    async def _next(self, ping_at: float) -> Round:
        """Does what is due; if nothing is, waits until something may be."""
        due, act = self._due(ping_at)
        if _now() >= due:
            return await act()
        self._woken.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(min(due, _now() + self._seconds_left())):
                await self._woken.wait()
        return Round()

    def _due(self, ping_at: float) -> tuple[float, Callable[[], Awaitable[Round]]]:
        """Returns when the next action is due, and the action."""
        actions: list[tuple[float, Callable[[], Awaitable[Round]]]] = [(ping_at, self._ping)]
        if self._has_lost:
            actions.append((self._read_at, self._anew))
        elif self._unread:
            actions.append((self._read_at, self._read))
        if self.subject.is_under_way():
            actions.append((self._checked_at + (CHECK_EVERY if self._checks < CHECKS else CHECK_LATER), self._check))
        return min(actions, key=itemgetter(0))

    async def _ping(self) -> Round:
        return Round([PING])

    async def _anew(self) -> Round:
        self._has_lost, self._read_at = False, _now() + ANEW_EVERY
        return Round([READY])

    async def _read(self) -> Round:
        changes = [self._unread.pop(key) for key in list(self._unread)[:ROUND_MOST]]
        round_ = await self._in_a_thread(partial(self.subject.read, changes), changes)
        for change in round_.left:
            self._unread.setdefault(_key(change), change)
        self._read_at = _now() + (min(RETRY_FIRST * 2**self._failures, RETRY_MOST) if round_.left else BETWEEN)
        self._failures = min(self._failures + 1, 10) if round_.left else 0
        return round_

    async def _check(self) -> Round:
        round_ = await self._in_a_thread(self.subject.check)
        self._checked_at, self._checks = _now(), self._checks + 1
        return round_

    async def _in_a_thread(self, call: Callable[[], Round], changes: Sequence[EntryChange] = ()) -> Round:
        """Returns the result of the call. It stops waiting if the stream ends meanwhile, or its reader leaves."""
        reading = asyncio.ensure_future(self.streams.read(self.session.user.id, call))
        ended = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait({reading, ended}, return_when=asyncio.FIRST_COMPLETED)
            return reading.result() if reading.done() else Round()
        except HttpProblem:
            return Round(left=changes)  # no thread became free
        finally:
            reading.cancel()
            ended.cancel()


def _key(change: EntryChange) -> tuple[str, str]:
    return change.kind, change.entry.uid


def _now() -> float:
    return asyncio.get_running_loop().time()
