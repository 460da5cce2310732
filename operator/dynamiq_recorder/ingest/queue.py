"""Between requests and the store: a bounded queue, and one thread that commits what waits in it, many requests at once.

A request is acknowledged after the commit that its runs are in, and never before. What does not fit is refused, and its sender tries again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Protocol

import msgspec

from dynamiq_recorder.model import Batch
from dynamiq_recorder.store.interface import Store, Unavailable

TOGETHER = 500
"""Runs of one commit, unless one request has more."""

log = logging.getLogger(__name__)


class Full(Exception):  # noqa: N818
    """There is no room: try again."""


class Closed(Exception):  # noqa: N818
    """The recorder ends."""


class Observer(Protocol):
    """Hears of commits; called from the committer's thread."""

    def committed(self, runs: int, new: int, seconds: float) -> None: ...


class Limits(msgspec.Struct, frozen=True):
    """Runs and bytes (of bodies) that wait for their commit at most."""

    runs: int = 4000
    bytes: int = 12 * 1024 * 1024


class _Waiting(msgspec.Struct):
    batch: Batch
    size: int
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[int]


class Queue:
    """Requests' batches on their way into the store. `put` is called on an event loop."""

    def __init__(self, store: Store, limits: Limits, observer: Observer) -> None:
        self._store, self._limits, self._observer = store, limits, observer
        self._waiting: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._runs = self._bytes = 0
        self._is_closed = False
        self.failed: str = ""
        """Why the last commit failed; empty where it did not."""
        self._thread = threading.Thread(target=self._commit_all, name="committer", daemon=True)
        self._thread.start()

    @property
    def depth(self) -> int:
        """Runs that wait."""
        return self._runs

    def is_written(self) -> None:
        """Somebody else has written the store: that a commit failed before says nothing any more. Else it would be for the next commit to say
        so, and none comes to a recorder that is not ready.
        """
        self._note("")

    async def put(self, batch: Batch, size: int) -> int:
        """Returns once it is committed, with how many of its spans the store refused. Raises Full and Closed at once, and whatever the store raises, such as Unavailable."""
        loop = asyncio.get_running_loop()
        entry = _Waiting(batch, size, loop, loop.create_future())
        with self._changed:
            if self._is_closed:
                raise Closed
            is_over = self._runs + len(batch.runs) > self._limits.runs or self._bytes + size > self._limits.bytes
            if self._waiting and is_over:
                raise Full
            self._waiting.append(entry)
            self._runs += len(batch.runs)
            self._bytes += size
            self._changed.notify()
        return await entry.done

    def close(self) -> None:
        """Commits what waits, and ends."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join()

    def _commit_all(self) -> None:
        while taken := self._take():
            try:
                self._commit(taken)
            finally:
                with self._changed:
                    self._runs -= sum(len(each.batch.runs) for each in taken)
                    self._bytes -= sum(each.size for each in taken)

    def _take(self) -> list[_Waiting]:
        """What waits, up to `TOGETHER` runs; nothing at the end."""
        with self._changed:
            while not self._waiting and not self._is_closed:
                self._changed.wait()
            taken: list[_Waiting] = []
            runs = 0
            while self._waiting and (not taken or runs + len(self._waiting[0].batch.runs) <= TOGETHER):
                taken.append(self._waiting.popleft())
                runs += len(taken[-1].batch.runs)
            return taken

    def _commit(self, taken: list[_Waiting]) -> None:
        began = monotonic()
        try:
            written = self._store.write([each.batch for each in taken])
        except Unavailable as error:
            self._note(str(error) or "the store is not available")
            self._answer(taken, [0] * len(taken), error)
        except Exception as error:
            # One batch that the store does not take must not take the others with it.
            if len(taken) == 1:
                log.exception("a batch cannot be stored")
                self._answer(taken, [0], error)
                return
            for each in taken:
                self._commit([each])
        else:
            self._note("")
            self._observer.committed(sum(len(each.batch.runs) for each in taken), written.new, monotonic() - began)
            self._answer(taken, written.refused, None)

    def _note(self, failed: str) -> None:
        if bool(failed) != bool(self.failed):
            log.warning("the store cannot be written: %s", failed) if failed else log.warning("the store can be written again")
        self.failed = failed

    @staticmethod
    def _answer(taken: list[_Waiting], refused: Sequence[int], error: Exception | None) -> None:
        for each, count in zip(taken, refused, strict=True):
            with contextlib.suppress(RuntimeError):  # its loop has ended
                each.loop.call_soon_threadsafe(_settle, each.done, count, error)


def _settle(done: asyncio.Future[int], refused: int, error: Exception | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(refused)
    else:
        done.set_exception(error)
