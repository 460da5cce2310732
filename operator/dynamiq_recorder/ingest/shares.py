"""Divides room among senders, of bytes or of whatever is counted: however much one namespace sends, another one finds some."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple, TypeVar

_K = TypeVar("_K")


class Full(Exception):  # noqa: N818
    """A lack of room; the sender may try again."""


class Source(NamedTuple):
    """A sender whose room is counted. `app`: its uid, or the sender's name while the App is unknown.

    `is_pod`: True if a pod of the App reports its own runs.
    """

    namespace: str
    app: str
    is_pod: bool = True


class Shares:
    """The room that each source holds. Not thread-safe: its owner locks.

    A namespace holds at most as much as it leaves free: one alone half of all, the next one half of the rest. An App holds at most three
    eighths of all. Its senders that are no pods hold at most a quarter, so that its pods find room beside them.
    """

    def __init__(self, most: int) -> None:
        self._most, self.of_app, self.of_others = most, most * 3 // 8, most // 4
        self._all = 0
        self._by_namespace: Counter[str] = Counter()
        self._by_app: Counter[tuple[str, str]] = Counter()
        self._by_others: Counter[tuple[str, str]] = Counter()

    def take(self, source: Source, size: int) -> None:
        """Takes room for a source.

        Raises Full, and takes nothing then.
        """
        app, others = (source.namespace, source.app), 0 if source.is_pod else size
        if (
            self._by_namespace[source.namespace] + size > self._most - self._all - size
            or self._by_app[app] + size > self.of_app
            or self._by_others[app] + others > self.of_others
        ):
            raise Full
        self._add(source, size)

    def give_back(self, source: Source, size: int) -> None:
        self._add(source, -size)

    def _add(self, source: Source, size: int) -> None:
        app = (source.namespace, source.app)
        self._all += size
        _count(self._by_namespace, source.namespace, size)
        _count(self._by_app, app, size)
        if not source.is_pod:
            _count(self._by_others, app, size)


def _count(of: Counter[_K], key: _K, size: int) -> None:
    of[key] += size
    if not of[key]:
        del of[key]
