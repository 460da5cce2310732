"""Caches rows that have ended, by uid and resourceVersion: they never change, and a history consists mostly of them.

It checks no rights: a caller must have just listed rows of the namespace with their own token.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.kube.entries import Entry

KEPT_MOST = 4_000
"""Rows, of a few kB each."""


class RowCache:
    """The cache. Thread-safe."""

    def __init__(self) -> None:
        self._rows: OrderedDict[str, tuple[int, Manifest]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, entry: Entry) -> Manifest | None:
        """Returns the row as the index knows it; None if it is not cached, or has changed."""
        with self._lock:
            version, row = self._rows.get(entry.uid, (0, None))
            if row is None or version != entry.version or not entry.is_closed:
                return None
            self._rows.move_to_end(entry.uid)
            return row

    def put(self, version: int, row: Manifest) -> None:
        with self._lock:
            self._rows[row["metadata"]["uid"]] = (version, row)
            self._rows.move_to_end(row["metadata"]["uid"])
            if len(self._rows) > KEPT_MOST:
                self._rows.popitem(last=False)
