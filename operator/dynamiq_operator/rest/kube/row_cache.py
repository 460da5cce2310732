"""Caches rows by uid and resourceVersion: those that have ended never change, and a history consists mostly of them.

It checks no rights: a caller must have just listed rows of the namespace with their own token.
"""

from __future__ import annotations

import threading
import zlib
from collections import OrderedDict

import msgspec

from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.kube.entries import Entry

BYTES_MOST = 16 << 20
"""Bytes of all compressed rows together: about 20,000 rows."""
FULL = 0.9
OVERHEAD = 200
"""Bytes that a row takes besides its compressed text."""
LEVEL = 1
"""Compression of zlib. Higher levels take longer, and a row becomes hardly smaller: most of it is digests."""


class RowCache:
    """The cache. Thread-safe. Each `get` returns a row of its own, so that no request changes another's."""

    def __init__(self) -> None:
        self._rows: OrderedDict[str, tuple[int, bytes]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def is_full(self) -> bool:
        """True if more rows would soon evict others."""
        return self._bytes >= FULL * BYTES_MOST

    def has(self, entry: Entry) -> bool:
        """Returns True if the row is cached as the index knows it."""
        with self._lock:
            return entry.is_closed and self._rows.get(entry.uid, (None, b""))[0] == entry.version

    def get(self, entry: Entry) -> Manifest | None:
        """Returns a row that has ended; None if it is not cached, or has changed."""
        return self.known(entry) if entry.is_closed else None

    def known(self, entry: Entry) -> Manifest | None:
        """Returns the row as the index knows it, open or ended; None if it is not cached, or has changed."""
        with self._lock:
            version, packed = self._rows.get(entry.uid, (None, b""))
            if version != entry.version:
                return None
            self._rows.move_to_end(entry.uid)
        row: Manifest = msgspec.json.decode(zlib.decompress(packed))
        return row

    def put(self, version: int, row: Manifest) -> None:
        packed, uid = zlib.compress(msgspec.json.encode(row), LEVEL), row["metadata"]["uid"]
        with self._lock:
            if (known := self._rows.pop(uid, None)) is not None:
                self._bytes -= len(known[1]) + OVERHEAD
            self._rows[uid] = (version, packed)
            self._bytes += len(packed) + OVERHEAD
            while self._bytes > BYTES_MOST:
                _, (_, oldest) = self._rows.popitem(last=False)
                self._bytes -= len(oldest) + OVERHEAD
