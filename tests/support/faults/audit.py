"""What was asked of the API server, by the operator or by a caller who scales, read from the API server's own audit log."""

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
"""Seconds without a write after which the operator has come to rest: a reconcile of every App lies in between."""
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True)
class Request:
    """One answered request. `what`: `patch deployments/status`, with the group where the name alone is not ours."""

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
        """A change that another one came before is not counted: it is made again, and how often is a matter of chance."""
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
    """Somebody's write of a workload's replicas."""

    user: str
    replicas: int


@dataclass(frozen=True)
class Write:
    """A write of an object that was taken: when the API server got it and when it answered, in Unix seconds, and what was sent, where that is noted."""

    user: str
    verb: str
    received: float
    answered: float
    sent: Any


class Audit:
    """Requests from now on: whose in a namespace, and the operator's, which are told by its account, so no other one may run meanwhile."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        assert cluster.audit_log is not None, f"the {cluster.profile} profile has no audit log"
        self._log, self._namespace = cluster.audit_log, namespace
        self._inode, self._offset, self._began = self._log.stat().st_ino, self._log.stat().st_size, time.time()

    def requests(self) -> list[Request]:
        """The operator's, wherever: in the namespace, of the whole cluster, and in its own, such as claims."""
        return [Request.of(entry) for entry in self._entries(operators.USER) if _is_theirs(entry)]

    def count_of(self, user: str) -> int:
        """How many requests a user has made, wherever, all of them."""
        return sum(entry["user"]["username"] == user for entry in self._entries(user))

    def count_writes(self) -> int:
        return sum(request.is_write for request in self.requests())

    def quiet_for(self) -> float:
        """Seconds in which nobody wrote anything in the namespace."""
        entries = self._entries(f'"{self._namespace}"')
        written = [_seconds(entry["stageTimestamp"]) for entry in entries if entry["verb"] in WRITES]
        return time.time() - max(written, default=self._began)

    def scalings(self, workload: str) -> list[Scaling]:
        """Whose writes of a workload, or of its scale, named replicas and were taken, in their order."""
        found = []
        for entry in self._entries(f'"{self._namespace}"'):
            reference = entry.get("objectRef", {})
            named = [reference.get(key) for key in ("apiGroup", "resource", "namespace", "name")]
            replicas = _replicas(entry.get("requestObject"))
            if (
                named == ["apps", "deployments", self._namespace, workload]
                and entry["responseStatus"]["code"] < 300
                and replicas is not None
            ):
                found.append(Scaling(entry["user"]["username"], replicas))
        return found

    def writes(self, resource: str, name: str | None, *, group: str = "") -> list[Write]:
        """Writes of an object of the namespace, or of each, its subresources not counted, in their order."""
        found = []
        for entry in self._entries(f'"{name or resource}"'):
            reference = entry.get("objectRef", {})
            kind = (reference.get("apiGroup", ""), reference.get("resource"), reference.get("namespace"))
            is_it = kind == (group, resource, self._namespace) and name in (None, reference.get("name"))
            if is_it and entry["verb"] in WRITES and entry["responseStatus"]["code"] < 300:
                if "subresource" in reference:
                    continue
                received, answered = (_seconds(entry[key]) for key in ("requestReceivedTimestamp", "stageTimestamp"))
                found.append(Write(entry["user"]["username"], entry["verb"], received, answered, entry.get("requestObject")))
        return sorted(found, key=lambda write: write.received)

    def _entries(self, about: str) -> Iterator[dict[str, Any]]:
        """Entries in which this text stands."""
        text = about.encode()
        for path in self._files():
            with path.open("rb") as lines:
                if path.stat().st_ino == self._inode:
                    lines.seek(self._offset)
                yield from (json.loads(line) for line in lines if text in line and line.endswith(b"\n"))

    def _files(self) -> list[Path]:
        """The file that was written to at the beginning, and those that came after it when it was full."""
        files = sorted(self._log.parent.iterdir(), key=lambda path: path.stat().st_mtime)
        first = next(number for number, path in enumerate(files) if path.stat().st_ino == self._inode)
        return files[first:]


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _replicas(written: Any) -> int | None:
    """What a body sets the replicas to: an object, a merge patch, or a JSON patch."""
    if isinstance(written, list):
        return next((each["value"] for each in written if each["path"] == "/spec/replicas"), None)
    replicas: int | None = ((written or {}).get("spec") or {}).get("replicas")
    return replicas


def _is_theirs(entry: dict[str, Any]) -> bool:
    """Whether it is a request for an App: one without an object asks which resources there are, and the policies are looked at by the clock."""
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
    """The requests that `act` leads to, until nothing more is written."""
    audit = Audit(cluster, namespace)
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
