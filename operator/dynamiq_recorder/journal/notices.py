"""Wakes long polls when a commit has news for them, and remembers for which keys there was nothing. It holds no thread, and reads nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TypeVar

from dynamiq_operator.serving.recent import Recent
from dynamiq_recorder.journal.tables import Key

QUIET_FOR, QUIET_MOST = 60.0, 10_000
"""Seconds for which a key without news counts as one with nothing to read, and most such keys."""
T = TypeVar("T")


class _Passed(asyncio.Event):
    """An event that sets another one, too."""

    def __init__(self, to: asyncio.Event) -> None:
        super().__init__()
        self._to = to

    def set(self) -> None:
        super().set()
        self._to.set()


class Notices:
    """The polls that wait for news, by key, on one event loop."""

    def __init__(self) -> None:
        self._waiting: dict[Key, set[asyncio.Event]] = {}
        self._ending: dict[Key, set[asyncio.Event]] = {}
        self._quiet = Recent[Key, bool](QUIET_MOST)
        self._is_closed = False

    def is_quiet(self, key: Key) -> bool:
        """Returns True if a poll of the key read None a short while ago, and there were no news since."""
        return self._quiet.get(key, asyncio.get_running_loop().time()) is not None

    def notify(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._quiet.drop(key)
            for event in (*self._ending.get(key, ()), *self._waiting.get(key, ())):
                event.set()

    def notify_all(self) -> None:
        """Notifies all polls: news of other replicas may have been missed."""
        self._quiet = Recent(QUIET_MOST)
        self.notify(list(self._waiting))

    def close(self) -> None:
        """Ends all waiting polls: the process ends."""
        self._is_closed = True
        self.notify(list(self._waiting))

    async def poll(
        self, key: Key, seconds: float, read: Callable[[], Awaitable[T]], is_enough: Callable[[T], bool], ends: Key | None = None
    ) -> T:
        """Returns what `read` returns once that is enough, else after so many seconds. It reads again at each news of the key.

        A None that is not enough says that there is nothing for any poll of the key. `ends`: a key whose news end the poll.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        # Registered before the first read: news that come meanwhile are not lost.
        event = asyncio.Event()
        over = _Passed(event)
        with _registered(self._waiting, key, event), _registered(self._ending, ends, over):
            while True:
                event.clear()
                result = await read()
                if is_enough(result) or self._is_closed or over.is_set():
                    return result
                if result is None and not event.is_set() and not self.is_quiet(key):
                    self._quiet.put(key, True, loop.time() + QUIET_FOR)
                try:
                    async with asyncio.timeout_at(until):
                        await event.wait()
                except TimeoutError:
                    return result


@contextlib.contextmanager
def _registered(events: dict[Key, set[asyncio.Event]], key: Key | None, event: asyncio.Event) -> Iterator[None]:
    """Has news of a key set the event while the block runs."""
    if key is None:
        yield
        return
    waiting = events.setdefault(key, set())
    waiting.add(event)
    try:
        yield
    finally:
        waiting.discard(event)
        if not waiting and events.get(key) is waiting:
            del events[key]
