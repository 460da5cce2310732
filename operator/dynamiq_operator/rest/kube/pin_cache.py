"""What rows pin, remembered for a minute for the token that was let read it: it never changes, and each deploy tells of the live row's."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

KNOWN_FOR = 60.0
"""Seconds: as long as a token's user is remembered."""
KNOWN_MOST = 2_000

Pins = Mapping[str, Any]


class PinCache:
    """Thread-safe; what one token read is no other's."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], tuple[float, Pins]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, token_hash: str, row: str) -> Pins | None:
        """The pins of a row, by its uid."""
        with self._lock:
            until, pins = self._known.get((token_hash, row), (0.0, None))
        return pins if until > time.monotonic() else None

    def put(self, token_hash: str, row: str, pins: Pins) -> None:
        with self._lock:
            self._known[(token_hash, row)] = (time.monotonic() + KNOWN_FOR, pins)
            self._known.move_to_end((token_hash, row))
            if len(self._known) > KNOWN_MOST:
                self._known.popitem(last=False)
