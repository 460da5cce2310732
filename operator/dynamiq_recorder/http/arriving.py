"""Bodies on their way in: how many of one sender there may be, and which share of all bodies and of their bytes one source may have.

Bytes count as they come: whoever announces many and sends none holds nothing that others need.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator

from dynamiq_recorder.ingest.shares import Full, Shares, Source

BYTES_MOST, BODIES_MOST = 32 * 1024 * 1024, 1024
"""Room of all bodies that come in or are parsed. The largest body is a quarter of the bytes, which is what an App's relays may have."""
OF_A_POD, OF_ONE = 4, 2
"""Bodies of one sender that come in at a time: a pod passes on those of several callers, too, who do not try again, and so does the gate."""


class Arriving:
    """On one event loop."""

    def __init__(self, most: int = BYTES_MOST, bodies: int = BODIES_MOST) -> None:
        self._bytes, self._bodies = Shares(most), Shares(bodies)
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
    def room(self, source: Source) -> Iterator[Callable[[int], None]]:
        """Yields what takes room for each part of a body, and gives all of it back at the end. Both raise Full where there is none."""
        held = 0

        def came(size: int) -> None:
            nonlocal held
            self._bytes.take(source, size)
            held += size

        self._bodies.take(source, 1)
        try:
            yield came
        finally:
            self._bodies.give_back(source, 1)
            self._bytes.give_back(source, held)
