"""Limits calls at a time, in all and for each namespace: slow calls delay only calls of their own namespace."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Slots:
    """Slots for calls. `most`: of all namespaces. `of_namespace`: of one."""

    def __init__(self, most: int, of_namespace: int) -> None:
        self._all, self._of_namespace = asyncio.Semaphore(most), of_namespace
        self._each: dict[str, asyncio.Semaphore] = {}
        self._users: Counter[str] = Counter()

    @asynccontextmanager
    async def one_of(self, namespace: str) -> AsyncIterator[None]:
        """Waits for a slot, first come, first served, and holds it meanwhile."""
        self._users[namespace] += 1
        try:
            async with self._each.setdefault(namespace, asyncio.Semaphore(self._of_namespace)), self._all:
                yield
        finally:
            self._users[namespace] -= 1
            if not self._users[namespace]:
                del self._users[namespace], self._each[namespace]
