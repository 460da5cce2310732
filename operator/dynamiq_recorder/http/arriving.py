"""Limits bodies on their way in: how many of one sender, and which part of all bodies and of their bytes of one source. It reads none.

Bytes count as they arrive: a sender that announces many and sends none takes no room.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator

from dynamiq_recorder.ingest.shares import Full, Source, require, shares_of

BYTES_MOST, BODIES_MOST = 32 * 1024 * 1024, 1024
"""Most bytes and bodies that are received or parsed at a time. The largest body fits the quarter of the bytes that an App's relays may use.
"""
OF_A_POD, OF_ONE = 4, 2
"""Most bodies at a time of a pod or the gate, and of any other sender. Pods and the gate also relay for callers, who do not retry."""


class Arriving:
    """The bodies on their way in, on one event loop."""

    def __init__(self, most: int = BYTES_MOST, bodies: int = BODIES_MOST) -> None:
        self._bytes, self._bodies = shares_of(most), shares_of(bodies)
        self._coming: Counter[object] = Counter()

    @contextlib.contextmanager
    def coming(self, sender: object, most: int) -> Iterator[None]:
        """Counts a sender's body while it is received.

        Raises Full if `most` of the sender's bodies are already being received.
        """
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
    def room(self, source: Source) -> Iterator[Callable[[int], None]]:
        """Yields a function that takes room for each part of a body; all of the room is released at the end.

        Both raise Full if there is no room.
        """
        with self._bodies.lease(*source.path) as enter, self._bytes.lease(*source.path) as take:
            require(enter(1))
            yield lambda size: require(take(size))
