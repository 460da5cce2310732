"""Shares the slots of a process fairly among callers: the caller with the fewest gets the next one.

The requests of one caller wait behind each other, never behind all requests of another caller.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator

from dynamiq_operator.serving.problems import HttpProblem

WAIT_MOST = 10.0
"""Seconds that a request waits for a slot."""
RETRY_AFTER = "1"


class Lane:
    """`total` slots, of which one caller has at most `each`, while at most `waiting` more requests of theirs wait. For one event loop."""

    def __init__(self, total: int, each: int, waiting: int, patience: float | None = None) -> None:
        self._free, self._each, self._most_waiting, self._patience = total, each, waiting, patience
        self._running: dict[str, int] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @contextlib.asynccontextmanager
    async def slot(self, caller: str) -> AsyncIterator[None]:
        """Holds a slot while the block runs.

        Raises HttpProblem: 429 if this caller already has as many as one caller may, 503 if the process has none free.
        """
        if caller in self._waiting or not self._may_run(caller):
            await self._turn(caller)
        else:
            self._take(caller)
        try:
            yield
        finally:
            self._leave(caller)

    def _may_run(self, caller: str) -> bool:
        return self._free > 0 and self._running.get(caller, 0) < self._each

    def _take(self, caller: str) -> None:
        self._free -= 1
        self._running[caller] = self._running.get(caller, 0) + 1

    async def _turn(self, caller: str) -> None:
        if len(self._waiting.get(caller, ())) >= self._most_waiting:
            raise self._refused(caller)
        queue = self._waiting.setdefault(caller, deque())
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            async with asyncio.timeout(WAIT_MOST if self._patience is None else self._patience):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():  # the slot was assigned at the same moment
                self._leave(caller)
            elif turn in queue:  # `_leave` may have removed it from the queue already
                queue.remove(turn)
                if not queue:
                    del self._waiting[caller]
            if isinstance(error, TimeoutError):
                raise self._refused(caller) from None
            raise

    def _leave(self, caller: str) -> None:
        self._free += 1
        self._running[caller] -= 1
        if not self._running[caller]:
            del self._running[caller]
        while able := [each for each in self._waiting if self._may_run(each)]:
            chosen = min(able, key=lambda each: self._running.get(each, 0))
            queue = self._waiting[chosen]
            turn = queue.popleft()
            # A caller who was served moves behind the others.
            del self._waiting[chosen]
            if queue:
                self._waiting[chosen] = queue
            if not turn.done():
                self._take(chosen)
                turn.set_result(None)

    def _refused(self, caller: str) -> HttpProblem:
        if self._running.get(caller, 0) < self._each:
            return HttpProblem(503, "this replica does as much as it can at this moment: try again", headers={"Retry-After": RETRY_AFTER})
        return HttpProblem(
            429,
            f"{self._each} requests of yours are under way here, which is the most for one caller, and others wait: send fewer at once",
            headers={"Retry-After": RETRY_AFTER},
        )
