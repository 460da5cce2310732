"""Rows that are in the cluster, in an archive, or for a while in both. It imports no pydantic: the plugin starts with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dynamiq_operator.model.manifests import Manifest


def has_archive(app: Mapping[str, Any]) -> bool:
    """Whether an App hands rows over before they leave the cluster."""
    return bool((app["spec"].get("history") or {}).get("archive"))


class InCluster:
    """Which rows the cluster has, so that one that is in the archive as well counts once, whatever uid a restore gave it."""

    def __init__(self) -> None:
        self._uids: set[str] = set()
        self._digests: set[str] = set()

    def add(self, row: Manifest) -> None:
        """A row as it is stored, whatever its fields hold."""
        self._uids.add(row["metadata"]["uid"])
        spec = row.get("spec")
        outcome = spec.get("outcome") if isinstance(spec, dict) else None
        digest = outcome.get("digest") if isinstance(outcome, dict) else None
        if isinstance(digest, str):
            self._digests.add(digest)

    def others(self, archived: Iterable[Manifest]) -> Iterator[Manifest]:
        """Those that the cluster has not."""
        return (
            row for row in archived if row["metadata"]["uid"] not in self._uids and row["spec"]["outcome"]["digest"] not in self._digests
        )
