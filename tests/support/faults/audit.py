"""Reads requests to the API server from its own audit log: those of the operator, or of a caller who scales."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from local.clusters import Cluster
from tests.support.faults import deploys, operators

CALM = 4.0
"""Seconds without a write until the operator counts as idle: a reconcile of every App happens within them."""
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True)
class Request:
    """One answered request. `what`: `patch deployments/status`, with the group unless the name alone is ours."""

    verb: str
    what: str
    resource: str
    came_late: bool = False

    @property
    def is_event(self) -> bool:
        return self.resource == "events"

    @property
    def is_lease(self) -> bool:
        return self.resource == "leases"

    @property
    def is_write(self) -> bool:
        """Returns True for a change. A change that lost to an earlier one does not count: it is repeated a random number of times."""
        return self.verb in WRITES and not self.is_event and not self.is_lease and not self.came_late

    @classmethod
    def of(cls, entry: dict[str, Any]) -> Request:
        reference = entry["objectRef"]
        resource, group = reference["resource"], reference.get("apiGroup", "")
        name = f"{group} {resource}" if (group, resource) == ("apps", "deployments") else resource
        sub = f"/{reference['subresource']}" if "subresource" in reference else ""
        came_late = entry["verb"] in ("update", "patch") and entry["responseStatus"]["code"] == HTTPStatus.CONFLICT
        return cls(entry["verb"], f"{entry['verb']} {name}{sub}", resource, came_late)


@dataclass(frozen=True)
class Scaling:
    """A user's write of a workload's replicas."""

    user: str
    replicas: int


@dataclass(frozen=True)
class Write:
    """An accepted write of an object: when the API server received it and answered, in Unix seconds, and its body, if the log has it."""

    user: str
    verb: str
    received: float
    answered: float
    sent: Any


class Audit:
    """Requests from now on: of all users in a namespace, and of the operator.

    The operator's are recognized by its account, so no other operator may run meanwhile.
    """

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        assert cluster.audit_log is not None, f"the {cluster.profile} profile has no audit log"
        self._log, self._namespace = cluster.audit_log, namespace
        self._inode, self._offset, self._began = self._log.stat().st_ino, self._log.stat().st_size, time.time()

    def requests(self) -> list[Request]:
        """Returns the operator's requests everywhere: in the namespace, in the whole cluster, and in its own namespace, such as claims."""
        return [Request.of(entry) for entry in self._entries(operators.USER) if _is_theirs(entry)]

    def count_of(self, user: str) -> int:
        """Returns the number of all requests of a user, in every namespace."""
        return sum(entry["user"]["username"] == user for entry in self._entries(user))

    def count_writes(self) -> int:
        return sum(request.is_write for request in self.requests())

    def quiet_for(self) -> float:
        """Returns the seconds since the last write in the namespace."""
        entries = self._entries(f'"{self._namespace}"')
        written = [_seconds(entry["stageTimestamp"]) for entry in entries if entry["verb"] in WRITES]
        return time.time() - max(written, default=self._began)

    def scalings(self, workload: str) -> list[Scaling]:
        """Returns the accepted writes of replicas to a workload, or its scale, in order."""
        accepted = []
        for entry in self._entries(f'"{self._namespace}"'):
            reference = entry.get("objectRef", {})
            named = [reference.get(key) for key in ("apiGroup", "resource", "namespace", "name")]
            replicas = _replicas(entry.get("requestObject"))
            if (
                named == ["apps", "deployments", self._namespace, workload]
                and entry["responseStatus"]["code"] < 300
                and replicas is not None
            ):
                accepted.append(Scaling(entry["user"]["username"], replicas))
        return accepted

    def writes(self, resource: str, name: str | None, *, group: str = "") -> list[Write]:
        """Writes of an object of the namespace, or of each, its subresources not counted, in their order."""
        accepted = []
        for entry in self._entries(f'"{name or resource}"'):
            reference = entry.get("objectRef", {})
            kind = (reference.get("apiGroup", ""), reference.get("resource"), reference.get("namespace"))
            is_it = kind == (group, resource, self._namespace) and name in (None, reference.get("name"))
            if is_it and entry["verb"] in WRITES and entry["responseStatus"]["code"] < 300:
                if "subresource" in reference:
                    continue
                received, answered = (_seconds(entry[key]) for key in ("requestReceivedTimestamp", "stageTimestamp"))
                accepted.append(Write(entry["user"]["username"], entry["verb"], received, answered, entry.get("requestObject")))
        return sorted(accepted, key=lambda write: write.received)

    def _entries(self, about: str) -> Iterator[dict[str, Any]]:
        """Yields the entries that contain this text."""
        text = about.encode()
        for path in self._files():
            with path.open("rb") as lines:
                if path.stat().st_ino == self._inode:
                    lines.seek(self._offset)
                yield from (json.loads(line) for line in lines if text in line and line.endswith(b"\n"))

    def _files(self) -> list[Path]:
        """Returns the file that was current at the beginning, and those that followed it when it was full."""
        files = sorted(self._log.parent.iterdir(), key=lambda path: path.stat().st_mtime)
        first = next(number for number, path in enumerate(files) if path.stat().st_ino == self._inode)
        return files[first:]


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _replicas(written: Any) -> int | None:
    """Returns the replicas in a body: an object, a merge patch, or a JSON patch. None if it sets none."""
    if isinstance(written, list):
        return next((each["value"] for each in written if each["path"] == "/spec/replicas"), None)
    replicas: int | None = ((written or {}).get("spec") or {}).get("replicas")
    return replicas


def _is_theirs(entry: dict[str, Any]) -> bool:
    """Returns True for requests for an App. Discovery requests have no object, and the operator reads policies by the clock."""
    if entry["user"]["username"] != operators.USER or "objectRef" not in entry:
        return False
    reference = entry["objectRef"]
    by_the_clock = (
        (reference["resource"] == "events" and reference.get("namespace") == "default")
        or (entry["verb"] == "list" and reference.get("apiGroup") == "admissionregistration.k8s.io")
        or reference.get("apiGroup") == "apiextensions.k8s.io"
    )
    return not by_the_clock


def counted(cluster: Cluster, namespace: str, act: Callable[[], None]) -> list[Request]:
    """Returns the requests that `act` causes, until no more writes follow."""
    audit = Audit(cluster, namespace)
    act()
    deploys.until_calm(audit.count_writes, CALM)
    return audit.requests()


def table(title: str, requests: list[Request]) -> str:
    """Returns a table: writes by their target, and after them Events, the Lease, reads and watches."""
    writes = Counter(request.what for request in requests if request.is_write)
    lines = [f"{title}: {writes.total()} writes, {sum(request.verb == 'list' for request in requests)} LISTs"]
    lines += [f"    {count:4d}  {written}" for written, count in sorted(writes.items())]
    beside = Counter(request.what for request in requests if not request.is_write)
    return "\n".join([*lines, *(f"    {count:4d}  {written}  (beside)" for written, count in sorted(beside.items()))])
