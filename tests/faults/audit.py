"""What the operator asked of the API server, read from the API server's own audit log."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.clusters import Cluster
from tests.faults import deploys, operators

CALM = 4.0
"""Seconds without a write after which the operator has come to rest: a look at every App lies in between."""
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True)
class Request:
    """One answered request. `what`: `patch deployments/status`, with the group where the name alone is not ours."""

    verb: str
    what: str
    resource: str

    @property
    def is_event(self) -> bool:
        return self.resource == "events"

    @property
    def is_lease(self) -> bool:
        return self.resource == "leases"

    @property
    def is_write(self) -> bool:
        return self.verb in WRITES and not self.is_event and not self.is_lease

    @classmethod
    def of(cls, entry: dict[str, Any]) -> Request:
        reference = entry["objectRef"]
        resource, group = reference["resource"], reference.get("apiGroup", "")
        name = f"{group} {resource}" if (group, resource) == ("apps", "deployments") else resource
        sub = f"/{reference['subresource']}" if "subresource" in reference else ""
        return cls(entry["verb"], f"{entry['verb']} {name}{sub}", resource)


class Audit:
    """The operator's requests from now on, wherever: of a namespace, of the whole cluster, and in its own namespace, such as claims.

    They are told by its account, so no other operator may run meanwhile.
    """

    def __init__(self, cluster: Cluster) -> None:
        assert cluster.audit_log is not None, f"the {cluster.profile} profile has no audit log"
        self._log = cluster.audit_log
        self._inode, self._offset = self._log.stat().st_ino, self._log.stat().st_size

    def requests(self) -> list[Request]:
        return [Request.of(entry) for entry in self._entries() if _is_theirs(entry)]

    def count_writes(self) -> int:
        return sum(request.is_write for request in self.requests())

    def _entries(self) -> Iterator[dict[str, Any]]:
        user = operators.USER.encode()
        for path in self._files():
            with path.open("rb") as lines:
                if path.stat().st_ino == self._inode:
                    lines.seek(self._offset)
                yield from (json.loads(line) for line in lines if user in line and line.endswith(b"\n"))

    def _files(self) -> list[Path]:
        """The file that was written to at the beginning, and those that came after it when it was full."""
        files = sorted(self._log.parent.iterdir(), key=lambda path: path.stat().st_mtime)
        first = next(number for number, path in enumerate(files) if path.stat().st_ino == self._inode)
        return files[first:]


def _is_theirs(entry: dict[str, Any]) -> bool:
    return entry["user"]["username"] == operators.USER and "objectRef" in entry  # what has none asks which resources there are


def counted(cluster: Cluster, act: Callable[[], None]) -> list[Request]:
    """The requests that `act` leads to, until nothing more is written."""
    audit = Audit(cluster)
    act()
    deploys.until_calm(audit.count_writes, CALM)
    return audit.requests()


def table(title: str, requests: list[Request]) -> str:
    """Writes by what they write, and beside them Events, the Lease, reads and watches."""
    writes = Counter(request.what for request in requests if request.is_write)
    lines = [f"{title}: {writes.total()} writes, {sum(request.verb == 'list' for request in requests)} LISTs"]
    lines += [f"    {count:4d}  {what}" for what, count in sorted(writes.items())]
    beside = Counter(request.what for request in requests if not request.is_write)
    return "\n".join([*lines, *(f"    {count:4d}  {what}  (beside)" for what, count in sorted(beside.items()))])
