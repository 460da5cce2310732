"""Remembers recent results in a bounded memory. It has no clock: its users say what time it is."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


class Recent(Generic[_K, _V]):
    """Results by key, each valid until a time. The oldest ones are dropped if there are more than `most`. Thread-safe."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._results: OrderedDict[_K, tuple[_V, float]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: _K, now: float = 0.0) -> _V | None:
        """Returns the result of a key if it is valid at this time; else None."""
        with self._lock:
            value, until = self._results.get(key, (None, 0.0))
        return value if until > now else None

    def put(self, key: _K, value: _V, until: float = math.inf) -> None:
        with self._lock:
            self._results[key] = (value, until)
            self._results.move_to_end(key)
            if len(self._results) > self._most:
                self._results.popitem(last=False)

    def drop(self, key: _K) -> None:
        with self._lock:
            self._results.pop(key, None)

    def __contains__(self, key: _K) -> bool:
        """Returns True if there was a result that is not dropped, even if it is no longer valid."""
        return key in self._results
