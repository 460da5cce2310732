"""Caches the pins of rows, by token and row. Pins never change, and the response of every deploy has those of the live row."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

KNOWN_FOR = 60.0
"""Seconds: as long as a token's user is cached."""
KNOWN_MOST = 2_000

Pins = Mapping[str, Any]


class PinCache:
    """The cache. Thread-safe. Pins that were read with one token are not returned for another."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], tuple[float, Pins]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, token_hash: str, row: str) -> Pins | None:
        """Returns the pins of the row of this uid; None if they are not cached or expired."""
        with self._lock:
            until, pins = self._known.get((token_hash, row), (0.0, None))
        return pins if until > time.monotonic() else None

    def put(self, token_hash: str, row: str, pins: Pins) -> None:
        with self._lock:
            self._known[(token_hash, row)] = (time.monotonic() + KNOWN_FOR, pins)
            self._known.move_to_end((token_hash, row))
            if len(self._known) > KNOWN_MOST:
                self._known.popitem(last=False)
