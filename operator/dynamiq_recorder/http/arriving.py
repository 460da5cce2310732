"""Bodies on their way in: how many bytes of them there may be, over all requests and of others than pods, and how many of one sender.

Bytes count as they come: whoever announces many and sends none holds nothing that others need.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator

from dynamiq_recorder.ingest.queue import Full

ALL_MOST, OTHERS_MOST = 32 * 1024 * 1024, 24 * 1024 * 1024
"""Bytes of all that come in, or are parsed, and of those that are no pod's."""
OF_A_POD, OF_ONE = 4, 2
"""Bodies of one sender that come in at a time: a pod passes on those of several callers, too, who do not try again, and so does the gate."""


class Arriving:
    """On one event loop."""

    def __init__(self, most: int = ALL_MOST, others: int = OTHERS_MOST) -> None:
        self._most, self._others = most, others
        self._held = self._held_by_others = 0
        self._coming: Counter[object] = Counter()

    @contextlib.contextmanager
    def coming(self, sender: object, most: int) -> Iterator[None]:
        """While a sender's body comes in. Raises Full where so many of its bodies do."""
        if self._coming[sender] >= most:
            raise Full
        self._coming[sender] += 1
        try:
            yield
        finally:
            self._coming[sender] -= 1
            if not self._coming[sender]:
                del self._coming[sender]

    @contextlib.contextmanager
    def room(self, *, is_pod: bool) -> Iterator[Callable[[int], None]]:
        """What is told of a body's bytes as they come, and raises Full where there is no room for them. All are given back at the end."""
        held = 0

        def came(size: int) -> None:
            nonlocal held
            if self._held + size > self._most or (not is_pod and self._held_by_others + size > self._others):
                raise Full
            held += size
            self._held += size
            self._held_by_others += 0 if is_pod else size

        try:
            yield came
        finally:
            self._held -= held
            self._held_by_others -= 0 if is_pod else held
