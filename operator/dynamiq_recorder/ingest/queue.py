"""Queues batches between requests and the store: a bounded queue, and one thread that commits many requests at once.

A request is acknowledged after its runs are committed, never before. A request that does not fit is refused, and its sender retries.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic

import msgspec

from dynamiq_recorder.ingest.shares import Source, require, shares_of
from dynamiq_recorder.model import Batch
from dynamiq_recorder.store.results import Unavailable
from dynamiq_recorder.store.sql_store import Store

TOGETHER = 500
"""Most runs of one commit, unless one request has more."""

log = logging.getLogger(__name__)


class Closed(Exception):  # noqa: N818
    """The end of the recorder: no batch is accepted."""


class Limits(msgspec.Struct, frozen=True):
    """Most runs and bytes (of bodies) that wait for their commit. `Shares` limits those of one namespace."""

    runs: int = 4000
    bytes: int = 12 * 1024 * 1024


class _Waiting(msgspec.Struct):
    """A batch that waits. `runs`, `bytes`: the room that it takes."""

    batch: Batch
    source: Source
    runs: int
    bytes: int
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[int]


class Queue:
    """Batches of requests on their way into the store. `put` is called on an event loop.

    `committed`: called after each commit, from its thread, with the number of its runs, that of new ones, and its seconds.
    """

    def __init__(self, store: Store, limits: Limits, committed: Callable[[int, int, float], None]) -> None:
        self._store, self._committed = store, committed
        self._waiting: dict[str, deque[_Waiting]] = {}
        """Batches by namespace; the first namespace has waited longest for its turn."""
        self._changed = threading.Condition()
        self._shares = (shares_of(limits.runs), shares_of(limits.bytes))
        self._runs = 0
        self._is_closed = False
        self.failed: str = ""
        """Why the last commit failed; empty if it succeeded."""
        self._thread = threading.Thread(target=self._commit_all, name="committer", daemon=True)
        self._thread.start()

    @property
    def depth(self) -> int:
        """Returns the number of runs that wait."""
        return self._runs

    def is_written(self) -> None:
        """Clears the failure of a commit after the store was written otherwise.

        The next commit would clear it, but a recorder that is not ready receives no runs.
        """
        self._note("")

    async def put(self, batch: Batch, size: int, source: Source) -> int:
        """Queues a batch and waits for its commit. Returns how many of its spans the store refused.

        Raises Full and Closed at once, and whatever the store raises, such as Unavailable.
        """
        loop = asyncio.get_running_loop()
        # A batch larger than a share is accepted, too, if its source has nothing else here.
        of_runs, of_bytes = (each.caps[-1] for each in self._shares)
        entry = _Waiting(batch, source, min(len(batch.runs), of_runs), min(size, of_bytes), loop, loop.create_future())
        with self._changed:
            if self._is_closed:
                raise Closed
            self._require_room(entry)
            self._count_room(entry, 1)
            self._waiting.setdefault(source.namespace, deque()).append(entry)
            self._runs += len(batch.runs)
            self._changed.notify()
        return await entry.done

    def _require_room(self, entry: _Waiting) -> None:
        """Raises Full unless there is room for an entry."""
        runs, size = self._shares
        require(runs.has_room(entry.source.path, entry.runs) and size.has_room(entry.source.path, entry.bytes))

    def _count_room(self, entry: _Waiting, sign: int) -> None:
        """Takes the room of an entry, or releases it."""
        for shares, amount in zip(self._shares, (entry.runs, entry.bytes), strict=True):
            shares.add(entry.source.path, sign * amount)

    def close(self) -> None:
        """Commits what waits, and ends the thread."""
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
                    for each in taken:
                        self._count_room(each, -1)

    def _take(self) -> list[_Waiting]:
        """Returns waiting batches of up to `TOGETHER` runs, of one namespace after the other; none once the queue is closed and empty."""
        with self._changed:
            while not self._waiting and not self._is_closed:
                self._changed.wait()
            taken: list[_Waiting] = []
            runs = 0
            while self._waiting:
                namespace, queue = next(iter(self._waiting.items()))
                if taken and runs + len(queue[0].batch.runs) > TOGETHER:
                    break
                taken.append(queue.popleft())
                runs += len(taken[-1].batch.runs)
                del self._waiting[namespace]
                if queue:
                    self._waiting[namespace] = queue
            return taken

    def _commit(self, taken: list[_Waiting]) -> None:
        began = monotonic()
        try:
            written = self._store.write([each.batch for each in taken])
        except Unavailable as error:
            self._note(str(error) or "the store is not available")
            self._answer(taken, [0] * len(taken), error)
        except Exception as error:
            # One batch that the store refuses must not fail the others.
            if len(taken) == 1:
                log.exception("a batch cannot be stored")
                self._answer(taken, [0], error)
                return
            for each in taken:
                self._commit([each])
        else:
            self._note("")
            self._committed(sum(len(each.batch.runs) for each in taken), written.new, monotonic() - began)
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
