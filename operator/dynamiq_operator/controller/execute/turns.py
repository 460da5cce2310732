"""Shares turns between namespaces: while others are active, a namespace sends few operations at a time.

Otherwise a tenant with very many Apps or rows would use nearly all capacity of the API server, and of this process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

ACTIVE = 2.0
"""Seconds for which a namespace is active after its last operation: its rollout may wait for controllers."""
AT_A_TIME = 2
"""Operations of one namespace at a time, while others are active."""


class Turns:
    """The turns of the process.

    A backlog is work that can wait: a namespace sends one such operation at a time, for half of the time at most.
    """

    def __init__(self) -> None:
        self._last: dict[str, float] = {}
        self._of: dict[str, asyncio.Semaphore] = {}
        self._backlogs: dict[str, asyncio.Lock] = {}

    @asynccontextmanager
    async def turn(self, namespace: str, *, backlog: bool) -> AsyncIterator[None]:
        """Waits for the namespace's turn, and holds it for one operation."""
        if backlog:
            async with self._backlogs.setdefault(namespace, asyncio.Lock()):
                began = asyncio.get_running_loop().time()
                yield
                if self._others_active(namespace):
                    await asyncio.sleep(asyncio.get_running_loop().time() - began)
            return
        self._last[namespace] = asyncio.get_running_loop().time()
        if not self._others_active(namespace):
            yield
            return
        async with self._of.setdefault(namespace, asyncio.Semaphore(AT_A_TIME)):
            yield

    def _others_active(self, namespace: str) -> bool:
        """Returns True if another namespace was active lately. It forgets inactive ones."""
        now = asyncio.get_running_loop().time()
        for idle in [each for each, at in self._last.items() if now - at > ACTIVE]:
            del self._last[idle]
            if (turns := self._of.get(idle)) is not None and not turns.locked():
                del self._of[idle]
        for idle in [each for each, lock in self._backlogs.items() if not lock.locked()]:
            del self._backlogs[idle]
        return any(each != namespace for each in self._last)
