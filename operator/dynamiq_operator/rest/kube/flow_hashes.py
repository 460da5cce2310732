"""Caches the hashes of releases' flows by the uid of the release. A release never changes, and its flow may be large."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

KNOWN_MOST = 20_000


class FlowHashes:
    """The cache. Thread-safe. A hash reveals nothing that callers who may list releases could not read."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, uid: str, read: Callable[[], str | None]) -> str | None:
        """Returns the hash of the release of this uid, from `read` if it is unknown; None if `read` returns none."""
        with self._lock:
            flow_hash = self._known.get(uid)
        if flow_hash is None and (flow_hash := read()) is not None:
            with self._lock:
                self._known[uid] = flow_hash
                if len(self._known) > KNOWN_MOST:
                    self._known.popitem(last=False)
        return flow_hash
