"""Tells rows in the cluster from rows in an archive; for a while a row is in both. Imports no pydantic: the plugin loads it at start."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dynamiq_operator.model.manifests import Manifest


def has_archive(app: Mapping[str, Any]) -> bool:
    """Returns True if an App archives rows before they leave the cluster."""
    return bool((app["spec"].get("history") or {}).get("archive"))


class InCluster:
    """The rows of the cluster, so that one that is also archived counts once, whatever uid a restore gave it."""

    def __init__(self) -> None:
        self._uids: set[str] = set()
        self._digests: set[str] = set()

    def add(self, row: Manifest) -> None:
        """Adds a stored row, whatever its fields contain."""
        self._uids.add(row["metadata"]["uid"])
        spec = row.get("spec")
        outcome = spec.get("outcome") if isinstance(spec, dict) else None
        digest = outcome.get("digest") if isinstance(outcome, dict) else None
        if isinstance(digest, str):
            self._digests.add(digest)

    def others(self, archived: Iterable[Manifest]) -> Iterator[Manifest]:
        """Yields the archived rows that the cluster does not have."""
        return (
            row for row in archived if row["metadata"]["uid"] not in self._uids and row["spec"]["outcome"]["digest"] not in self._digests
        )
