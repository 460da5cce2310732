"""What the gate has of something, shared out among namespaces: none has more than half of what the others leave.

So a namespace that takes all it may leaves as much to the next one, and nobody waits for it to give anything back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Shares:
    """`total` of anything that is counted, such as calls or bytes. For one event loop."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._taken: Counter[tuple[str, ...]] = Counter()
        """By path; that of () is the sum."""

    @contextmanager
    def lease(self, *path: str) -> Iterator[Callable[[int], bool]]:
        """Gives a function that takes more of a share, and returns whether there was as much; all of it is given back at the end.

        `path`: a namespace, or a namespace and an App, which has at most half of what the other Apps leave of its namespace's share.
        """
        leased = 0

        def take(amount: int) -> bool:
            nonlocal leased
            # Others that came later make a share smaller than what it has: that is no reason to end a call that needs nothing more.
            if amount and not self._has_room(path, amount):
                return False
            leased += amount
            self._add(path, amount)
            return True

        try:
            yield take
        finally:
            self._add(path, -leased)

    def _has_room(self, path: tuple[str, ...], amount: int) -> bool:
        most = self._total
        for depth in range(len(path)):
            mine = self._taken[path[: depth + 1]]
            most = (most - (self._taken[path[:depth]] - mine) + 1) // 2  # the last one that is free is somebody's
            if mine + amount > most:
                return False
        return True

    def _add(self, path: tuple[str, ...], amount: int) -> None:
        for depth in range(len(path) + 1):
            self._taken[path[:depth]] += amount
        self._taken = +self._taken
