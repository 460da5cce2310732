"""Caches the hashes of releases' flows by the uid of the release. A release never changes, and its flow may be large."""

from __future__ import annotations

from collections.abc import Callable

from dynamiq_operator.serving.recent import Recent

KNOWN_MOST = 20_000


class FlowHashes:
    """The cache. Thread-safe. A hash reveals nothing that callers who may list releases could not read."""

    def __init__(self) -> None:
        self._known = Recent[str, str](KNOWN_MOST)

    def of(self, uid: str, read: Callable[[], str | None]) -> str | None:
        """Returns the hash of the release of this uid, from `read` if it is unknown; None if `read` returns none."""
        flow_hash = self._known.get(uid)
        if flow_hash is None and (flow_hash := read()) is not None:
            self._known.put(uid, flow_hash)
        return flow_hash
