"""A cache of the hashes of releases' flows by the uid of the release: a release never changes, and its flow may be large."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

KNOWN_MOST = 20_000


class FlowHashes:
    """Thread-safe. A hash tells who may list releases nothing that they could not read."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, uid: str, read: Callable[[], str | None]) -> str | None:
        """The hash of the release of this uid, which `read` gives where it is not known yet; None where that gives none."""
        with self._lock:
            found = self._known.get(uid)
        if found is None and (found := read()) is not None:
            with self._lock:
                self._known[uid] = found
                if len(self._known) > KNOWN_MOST:
                    self._known.popitem(last=False)
        return found
