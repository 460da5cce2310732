"""What the gate has of something, shared out among namespaces: none has more than half of what the others leave.

So a namespace that takes all it may leaves as much to the next one, and nobody waits for it to give anything back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Shares:
    """`total` of anything that is counted, such as calls or bytes. For one event loop."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._taken: Counter[tuple[str, ...]] = Counter()
        """By path; that of () is the sum."""

    @contextmanager
    def lease(self, *path: str) -> Iterator[Lease]:
        """Gives what takes more of a share; all of it is given back at the end.

        `path`: a namespace, or a namespace and an App, which has at most half of what the other Apps leave of its namespace's share.
        """
        lease = Lease(self, path)
        try:
            yield lease
        finally:
            self.add(path, -lease.amount)

    def may_grow(self, path: tuple[str, ...], amount: int) -> bool:
        """Returns whether there is room for more of what is under way: at most half of all for a namespace, however much others took meanwhile."""
        return self._taken[path[:1]] + amount <= (self._total + 1) // 2 and self._taken[()] + amount <= self._total

    def has_room(self, path: tuple[str, ...], amount: int) -> bool:
        """Returns whether a share has so much left."""
        most = self._total
        for depth in range(len(path)):
            mine = self._taken[path[: depth + 1]]
            most = (most - (self._taken[path[:depth]] - mine) + 1) // 2  # the last one that is free is somebody's
            if mine + amount > most:
                return False
        return True

    def add(self, path: tuple[str, ...], amount: int) -> None:
        """Counts so much more of a share, or less."""
        for depth in range(len(path) + 1):
            self._taken[path[:depth]] += amount
        self._taken = +self._taken


class Lease:
    """What one has taken of a share: `amount`. Calling it takes more, and returns whether there was as much."""

    def __init__(self, shares: Shares, path: tuple[str, ...]) -> None:
        self._shares, self._path, self.amount = shares, path, 0

    def __call__(self, amount: int) -> bool:
        # Others that came later make a share smaller than what it has: that is no reason to end a call that needs nothing more.
        return (not amount or self._shares.has_room(self._path, amount)) and self._take(amount)

    def grow(self, amount: int) -> bool:
        """Takes more for what is under way, also where others have made the share smaller since. Returns whether there was as much."""
        return self._shares.may_grow(self._path, amount) and self._take(amount)

    def _take(self, amount: int) -> bool:
        self.amount += amount
        self._shares.add(self._path, amount)
        return True
