"""Commits operations of many requests at once, in one thread. A request is answered after its commit, never before.

Namespaces take turns, so that many operations of one do not delay another's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Any, TypeVar

import msgspec

from dynamiq_recorder.journal.model import Refused
from dynamiq_recorder.journal.tables import Key, Work
from dynamiq_recorder.store.results import Unavailable

TOGETHER = 64
"""Most operations of one commit."""
WAITING_MOST, WAITING_EACH = 4_000, 2_000
"""Most operations that wait, in all and of one namespace."""

T = TypeVar("T")
Operation = Callable[[Work], Any]
Commit = Callable[[Callable[[Work], Any]], tuple[Any, set[Key]]]

log = logging.getLogger(__name__)


class Busy(Exception):  # noqa: N818
    """More operations wait than are accepted; the caller may try again."""


class Closed(Exception):  # noqa: N818
    """The end of the journal: it accepts nothing."""


class _Waiting(msgspec.Struct):
    operation: Operation
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Any]


_Outcome = tuple[Any, Exception | None]


class Committer:
    """Operations on their way into the store. `put` is called on an event loop.

    `commit`: runs a function in a transaction, and returns its result and news. `notify`: called on the loop with the news of a commit, before
    its requests are answered. `committed`: called in the thread with the seconds of each commit.
    """

    def __init__(self, commit: Commit, notify: Callable[[Iterable[Key]], None], committed: Callable[[float], None]) -> None:
        self._run, self._notify, self._committed = commit, notify, committed
        self._waiting: dict[str, deque[_Waiting]] = {}
        """Operations by namespace; the first namespace has waited longest for its turn."""
        self._count = 0
        self._changed = threading.Condition()
        self._is_closed = False
        self.failed = ""
        """Why the last commit failed; empty if it succeeded."""
        self._thread = threading.Thread(target=self._commit_all, name="committer", daemon=True)
        self._thread.start()

    async def put(self, namespace: str, operation: Callable[[Work], T]) -> T:
        """Queues an operation and waits for its commit. Returns its result. `namespace`: empty for the journal's own work.

        Raises Busy and Closed at once, what the operation raises, and Unavailable.
        """
        loop = asyncio.get_running_loop()
        entry = _Waiting(operation, loop, loop.create_future())
        with self._changed:
            if self._is_closed:
                raise Closed
            own = self._waiting.setdefault(namespace, deque())
            if namespace and (self._count >= WAITING_MOST or len(own) >= WAITING_EACH):
                if not own:
                    del self._waiting[namespace]
                raise Busy
            own.append(entry)
            self._count += 1
            self._changed.notify()
        result: T = await entry.done
        return result

    def close(self) -> None:
        """Commits what waits, and ends the thread."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join()

    def _commit_all(self) -> None:
        while taken := self._take():
            self._commit(taken)

    def _take(self) -> list[_Waiting]:
        """Returns waiting operations, of one namespace after the other; none once it is closed and empty."""
        with self._changed:
            while not self._waiting and not self._is_closed:
                self._changed.wait()
            taken: list[_Waiting] = []
            while self._waiting and len(taken) < TOGETHER:
                namespace, own = next(iter(self._waiting.items()))
                del self._waiting[namespace]
                taken.append(own.popleft())
                if own:
                    self._waiting[namespace] = own
            self._count -= len(taken)
            return taken

    def _commit(self, taken: list[_Waiting]) -> None:
        def work(transaction: Work) -> list[_Outcome]:
            outcomes: list[_Outcome] = []
            for each in taken:
                if each.done.cancelled():  # nobody waits for it any more: a claim would be lost
                    outcomes.append((None, None))
                    continue
                try:
                    outcomes.append((each.operation(transaction), None))
                except Refused as refused:  # it has written nothing
                    outcomes.append((None, refused))
            return outcomes

        began = monotonic()
        try:
            outcomes, news = self._run(work)
        except Unavailable as error:
            self._note(str(error) or "the store is not available")
            self._answer(taken, [(None, error)] * len(taken), set())
        except Exception as error:
            # An operation that fails must not fail the others: each is done again, by itself.
            if len(taken) == 1:
                log.exception("an operation failed")
                self._answer(taken, [(None, error)], set())
                return
            for each in taken:
                self._commit([each])
        else:
            self._note("")
            self._committed(monotonic() - began)
            self._answer(taken, outcomes, news)

    def _note(self, failed: str) -> None:
        if bool(failed) != bool(self.failed):
            log.warning("the store cannot be written: %s", failed) if failed else log.warning("the store can be written again")
        self.failed = failed

    def _answer(self, taken: Sequence[_Waiting], outcomes: Sequence[_Outcome], news: set[Key]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], _Outcome]]] = {}
        for each, outcome in zip(taken, outcomes, strict=True):
            by_loop.setdefault(each.loop, []).append((each.done, outcome))
        for loop, settled in by_loop.items():
            with contextlib.suppress(RuntimeError):  # its loop has ended
                loop.call_soon_threadsafe(self._settle, settled, news)

    def _settle(self, settled: Sequence[tuple[asyncio.Future[Any], _Outcome]], news: set[Key]) -> None:
        self._notify(news)
        for done, (result, error) in settled:
            if done.done():
                continue
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(result)
