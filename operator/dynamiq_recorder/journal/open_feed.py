"""Keeps the counts of open runs, conversations and callbacks, with a version that changes with them. It notes which pins have pods that ask for work."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Set
from math import inf
from time import monotonic

import anyio.to_thread
import msgspec

from dynamiq_recorder.journal.model import CallbackCounts, Conversations, LateCallbacks, Open, SessionCounts, State
from dynamiq_recorder.journal.notices import Notices
from dynamiq_recorder.journal.tables import Key

POLLED_FOR, BUSY_FOR = 3.0, 60.0
"""Seconds for which pins count as polled after the last poll of a pod of theirs. The second: while they have running runs, since a pod
whose threads are all in use asks for none.
"""
EVERY = 1.0
"""Seconds between two reads of the counts."""
AGAIN = 5.0
"""Seconds between two reads while there are conversations or callbacks: reports of turns, and times that come, are no news."""
VERSION_KEY: Key = ("version",)
Pins = tuple[str, str]
"""An App's uid, and pins of it."""


class Snapshot(msgspec.Struct, frozen=True):
    """The counts of one version. `polled`: App's uid and pins of those that pods polled."""

    version: str
    runs: tuple[Open, ...]
    polled: frozenset[Pins]
    sessions: SessionCounts = SessionCounts()
    callbacks: tuple[LateCallbacks, ...] = ()


class OpenFeed:
    """The newest counts. `read`, `sessions`, `callbacks`: read them from the store, in a thread. `sessions` is called on the loop for its read.

    `share`: as the store's `share_polled`.
    """

    def __init__(
        self,
        read: Callable[[], tuple[Open, ...]],
        notices: Notices,
        clock: Callable[[], float] = monotonic,
        share: Callable[[frozenset[Pins]], frozenset[Pins]] | None = None,
        sessions: Callable[[], Callable[[], SessionCounts]] = lambda: SessionCounts,
        callbacks: Callable[[], CallbackCounts] = CallbackCounts,
    ) -> None:
        self._read, self._notices, self._clock, self._share, self._sessions = read, notices, clock, share, sessions
        self._callbacks = callbacks
        self._again_at = inf
        """When conversations and callbacks are to be counted again, also without news."""
        self.callbacks = CallbackCounts()
        """The newest counts of callbacks. Those that are pending are no part of a version."""
        # A name of this process: versions of an earlier one are no versions of it.
        self._process, self._count = uuid.uuid4().hex[:8], 0
        self._polling: Counter[Pins] = Counter()
        self._polled: dict[Pins, float] = {}
        """When the last poll ended."""
        self._elsewhere: dict[Pins, float] = {}
        """When another replica last had a poll."""
        self.is_stale = True
        """True if runs have changed since the last read."""
        self.snapshot: Snapshot | None = None

    @contextlib.contextmanager
    def polling(self, app_uid: str, pins: str) -> Iterator[None]:
        """Counts pins as polled while the block runs: a pod of theirs asks for work. A pod that ends closes its connection, and so its poll."""
        self._polling[app_uid, pins] += 1
        try:
            yield
        finally:
            self._polling[app_uid, pins] -= 1
            self._polled[app_uid, pins] = self._clock()

    async def refresh(self) -> None:
        """Reads the counts if runs have changed, and notifies if they differ. Raises Unavailable."""
        runs, sessions = (self.snapshot.runs, self.snapshot.sessions) if self.snapshot is not None else ((), SessionCounts())
        is_stale = self.is_stale
        if is_stale or self._clock() >= self._again_at:
            self.is_stale = False  # before the read: what changes meanwhile is read next time
            try:
                runs = await anyio.to_thread.run_sync(self._read) if is_stale else runs
                sessions = await anyio.to_thread.run_sync(self._sessions())
                self.callbacks = await anyio.to_thread.run_sync(self._callbacks)
            except BaseException:
                self.is_stale = True
                raise
            self._again_at = self._clock() + _until_changed(sessions, self.callbacks)
        if self._share is not None:
            elsewhere = await anyio.to_thread.run_sync(self._share, frozenset(self._polling.keys() | self._late(self._polled)))
            self._elsewhere |= dict.fromkeys(elsewhere, self._clock())
        late = self.callbacks.late
        counted: Iterable[Open | Conversations | LateCallbacks] = (*runs, *sessions.pins, *late)
        polled = self._polled_of(runs, {(each.app_uid, each.pins) for each in counted})
        new = Snapshot(self.snapshot.version if self.snapshot is not None else "", runs, polled, sessions, late)
        if new != self.snapshot:
            self._count += 1
            self.snapshot = msgspec.structs.replace(new, version=f"{self._process}-{self._count}")
            self._notices.notify([VERSION_KEY])

    def _polled_of(self, runs: tuple[Open, ...], counted: Set[Pins]) -> frozenset[Pins]:
        busy = {(each.app_uid, each.pins) for each in runs if each.state is State.RUNNING}
        asked = self._late(self._polled, busy) | self._late(self._elsewhere, busy)
        return frozenset((self._polling.keys() | asked) & counted)

    def _late(self, polled: dict[Pins, float], busy: Set[Pins] = frozenset()) -> set[Pins]:
        """Returns pins that count as polled after their last poll. It forgets older ones."""
        now = self._clock()
        self._polling = +self._polling
        for key in [key for key, at in polled.items() if now - at > BUSY_FOR]:
            del polled[key]
        return {key for key, at in polled.items() if now - at <= (BUSY_FOR if key in busy else POLLED_FOR)}

    async def run(self, ends: asyncio.Event, refused: Callable[[Exception], None]) -> None:
        """Refreshes once a second until the end. `refused`: called with an error."""
        while not ends.is_set():
            try:
                await self.refresh()
            except Exception as error:
                refused(error)
            await asyncio.sleep(EVERY)

    async def after(self, version: str, wait: float) -> Snapshot | None:
        """Returns the counts once their version differs from this one, else after `wait` seconds; None if they were never read."""

        async def current() -> Snapshot | None:
            return self.snapshot

        return await self._notices.poll(VERSION_KEY, wait, current, lambda each: each is not None and each.version != version)


def _until_changed(sessions: SessionCounts, callbacks: CallbackCounts) -> float:
    """Returns the seconds after which counts of conversations and callbacks may be others without news."""
    if any(each.turns_wait for each in sessions.pins):
        return EVERY
    return AGAIN if sessions.pins or callbacks.pending else inf
