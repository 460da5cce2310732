"""One stream: it is woken by changes, reads what changed a few times a second at most, and ends with the token or the process."""

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
from dynamiq_operator.rest.http.streams import Change, Streams, event
from dynamiq_operator.rest.watch.reads import DELETED, EXPIRED, Round

PING_EVERY = 15.0
"""Seconds of silence after which a comment is sent, so that neither a proxy nor the reader takes the stream for dead."""
BETWEEN = 0.25
"""Seconds between two rounds of reads: many changes of one object are one read."""
ROUND_MOST = 8
"""Changes that are read in one round."""
UNREAD_MOST = 48
"""Changes that wait to be read. Where there are more, the reader is told to read everything anew, which costs less."""
ANEW_EVERY = 2.0
"""Seconds between two times that a reader is told so."""
RETRY_FIRST, RETRY_MOST = 1.0, 10.0
"""Seconds until a read is tried again that the API server did not answer."""
LOOK_EVERY, LOOK_LATER, LOOKS = 1.0, 5.0, 60
"""Seconds between two looks at what is under way: the first so many, and the later ones."""
PING = b": ping\n\n"
READY, ENDING = event("ready", {}), event("ending", {})


class Subject(Protocol):
    """What a stream is about. `is_gone`: it is not there any more, so the stream ends."""

    namespace: str
    is_gone: bool

    def begin(self) -> None:
        """Asks the index how things are. For a worker thread: the index may be locked for a moment."""

    def concerns(self, change: Change) -> Change | None:
        """What has to be read after a change; None where that is nothing. For the event loop."""

    def is_under_way(self) -> bool:
        """Whether something goes on of which the index does not hear everything, so that it is looked at. For the event loop."""

    def read(self, changes: Sequence[Change]) -> Round:
        """Reads with the caller's token what changed. For a worker thread."""

    def look(self) -> Round:
        """Reads what is under way, and tells it where that says something new. For a worker thread."""


@dataclass(eq=False)
class Feed:
    """The events of one stream. It lives in the event loop."""

    streams: Streams
    session: CallerSession
    subject: Subject
    _unread: dict[tuple[str, str], Change] = field(default_factory=dict)
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _ended: asyncio.Event = field(default_factory=asyncio.Event)
    _has_lost: bool = False
    _read_at: float = 0.0
    """Before this no further round begins. Times are the loop's."""
    _looked_at: float = 0.0
    _looks: int = 0
    _failures: int = 0

    def __post_init__(self) -> None:
        self._expires = self.session.expires_at

    def hear(self, change: Change) -> None:
        """Notes a change. A reader who is too far behind is told to read everything anew."""
        if (found := self.subject.concerns(change)) is None:
            return
        key = _key(found)
        if key not in self._unread or not self._unread[key].is_gone:
            self._unread[key] = found
        if len(self._unread) > UNREAD_MOST:
            self._unread.clear()
            self._has_lost = True
        self._looks = 0
        self._woken.set()

    def end(self) -> None:
        self._ended.set()
        self._woken.set()

    async def events(self) -> AsyncGenerator[bytes]:
        """The events, and pings between them, until the stream ends."""
        with self.streams.open(self.subject.namespace, self):
            await self.streams.ask(self.subject.begin)
            if not self._ended.is_set():
                yield READY
            spoke = _now()
            while (last := self._last()) is None:
                found = await self._next(spoke + PING_EVERY)
                for each in found.events:
                    yield each
                    spoke = _now()
                if found.is_last:
                    return
            yield last

    def _last(self) -> bytes | None:
        """The event with which the stream ends now."""
        if self._ended.is_set():
            return ENDING
        if self._left() <= 0:
            return EXPIRED
        return DELETED if self.subject.is_gone else None

    def _left(self) -> float:
        """Seconds until the token ends."""
        return math.inf if self._expires is None else self._expires - time.time()

    async def _next(self, ping_at: float) -> Round:
        """Does what is due; where nothing is, waits until something is, or may be."""
        due, act = self._due(ping_at)
        if _now() >= due:
            return await act()
        self._woken.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(min(due, _now() + self._left())):
                await self._woken.wait()
        return Round()

    def _due(self, ping_at: float) -> tuple[float, Callable[[], Awaitable[Round]]]:
        """What comes next, and when."""
        found: list[tuple[float, Callable[[], Awaitable[Round]]]] = [(ping_at, self._ping)]
        if self._has_lost:
            found.append((self._read_at, self._anew))
        elif self._unread:
            found.append((self._read_at, self._read))
        if self.subject.is_under_way():
            found.append((self._looked_at + (LOOK_EVERY if self._looks < LOOKS else LOOK_LATER), self._look))
        return min(found, key=itemgetter(0))

    async def _ping(self) -> Round:
        return Round([PING])

    async def _anew(self) -> Round:
        self._has_lost, self._read_at = False, _now() + ANEW_EVERY
        return Round([READY])

    async def _read(self) -> Round:
        changes = [self._unread.pop(key) for key in list(self._unread)[:ROUND_MOST]]
        found = await self._in_a_thread(partial(self.subject.read, changes), changes)
        for change in found.left:
            self._unread.setdefault(_key(change), change)
        self._read_at = _now() + (min(RETRY_FIRST * 2**self._failures, RETRY_MOST) if found.left else BETWEEN)
        self._failures = min(self._failures + 1, 10) if found.left else 0
        return found

    async def _look(self) -> Round:
        found = await self._in_a_thread(self.subject.look)
        self._looked_at, self._looks = _now(), self._looks + 1
        return found

    async def _in_a_thread(self, call: Callable[[], Round], changes: Sequence[Change] = ()) -> Round:
        """What the call finds. It is not waited for where the stream ends meanwhile, or its reader leaves."""
        reading = asyncio.ensure_future(self.streams.read(self.session.user.id, call))
        ended = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait({reading, ended}, return_when=asyncio.FIRST_COMPLETED)
            return reading.result() if reading.done() else Round()
        except HttpProblem:
            return Round(left=changes)  # no thread got free
        finally:
            reading.cancel()
            ended.cancel()


def _key(change: Change) -> tuple[str, str]:
    return change.kind, change.entry.uid


def _now() -> float:
    return asyncio.get_running_loop().time()
