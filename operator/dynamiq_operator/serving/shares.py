"""Shares out a total among namespaces: each gets at most half of what the others leave.

A namespace that uses its whole share thus leaves as much for the next one, and none waits for another to release something.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Shares:
    """A total of anything countable, such as calls or bytes. Not thread-safe.

    `path`: whose amount it is: a namespace, or a namespace and an App, or these and one kind of its senders.
    `caps`: the most of one App, and of one kind of its senders. An App without a cap gets at most half of what the other Apps leave of its
    namespace's share.
    """

    def __init__(self, total: int, *caps: int) -> None:
        self._total, self.caps = total, caps
        self._taken: Counter[tuple[str, ...]] = Counter()
        """Amounts by path. The path () has the sum."""

    @contextmanager
    def lease(self, *path: str) -> Iterator[Lease]:
        """Yields a lease that takes amounts of a share. All of it is released at the end."""
        lease = Lease(self, path)
        try:
            yield lease
        finally:
            self.add(path, -lease.amount)

    def may_grow(self, path: tuple[str, ...], amount: int) -> bool:
        """Returns True if a call under way may take more: up to half of the total for its namespace, whatever others took meanwhile."""
        return self._taken[path[:1]] + amount <= (self._total + 1) // 2 and self._taken[()] + amount <= self._total

    def has_room(self, path: tuple[str, ...], amount: int) -> bool:
        """Returns True if a share has this amount left."""
        most = self._total
        for depth in range(len(path)):
            mine = self._taken[path[: depth + 1]]
            left = most - (self._taken[path[:depth]] - mine)
            most = self.caps[depth - 1] if 0 < depth <= len(self.caps) else (left + 1) // 2  # rounded up: the last free unit can be taken
            if mine + amount > most:
                return False
        return True

    def add(self, path: tuple[str, ...], amount: int) -> None:
        """Adds an amount to a share; a negative one releases it."""
        for depth in range(len(path) + 1):
            self._taken[path[:depth]] += amount
            if not self._taken[path[:depth]]:
                del self._taken[path[:depth]]


class Lease:
    """An amount taken of a share. A call takes more, and returns False if there is not enough."""

    def __init__(self, shares: Shares, path: tuple[str, ...]) -> None:
        self._shares, self._path, self.amount = shares, path, 0

    def __call__(self, amount: int) -> bool:
        # Newer leases can shrink a share below what it already holds. A call that needs nothing more must not end for that.
        return (not amount or self._shares.has_room(self._path, amount)) and self._take(amount)

    def grow(self, amount: int) -> bool:
        """Takes more for a call under way, even if others have shrunk the share since. Returns False if there is not enough."""
        return self._shares.may_grow(self._path, amount) and self._take(amount)

    def _take(self, amount: int) -> bool:
        self.amount += amount
        self._shares.add(self._path, amount)
        return True
