"""Counts the use of our roles by the API server's own audit log, which names the role that allowed each request.

A request counts for its right, and for a second one if it needs two: an apply that creates an object needs `create` and `patch`. Reviews
of recorder and journal about a user count as that user's use: no other request uses a right on unserved resources, such as `apps/runs`. Rights
that admission policies check with the API server's authorizer leave no trace in the log.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from local import clusters
from local.clusters import Cluster
from local.controlplane import AUDIT_BACKUPS
from local.images import REPOSITORY
from local.rights import Grant, grants, roles

FOLDER = REPOSITORY / "build" / "tests" / "rights"
REVIEWS = "subjectaccessreviews"
AGENT = "dynamiq-tests"
OF_TESTS = ("kubectl/", "OpenAPI-Generator/", AGENT)
"""User agents of tests that log in to the account of a program: these requests do not count."""

_OURS = b' \\"dynamiq-'
"""Part of every line about a request that a role of ours allowed, and of no other: it names the role in quotes."""
_REFUSED = b'"authorization.k8s.io/decision":"forbid"'
_ALLOWED_BY = re.compile(r'of ((?:Cluster)?Role) "(dynamiq-[^"]+)" to (\w+) "')
_ACCOUNT = re.compile(r"system:serviceaccount:[^:]+:(dynamiq-[^:]+)$")


@dataclass
class Used:
    """The use of each right, and the requests by our accounts that were refused. `whole`: True if the log was still complete."""

    rights: Counter[Grant] = field(default_factory=Counter)
    refused: Counter[Grant] = field(default_factory=Counter)
    whole: bool = True

    def add(self, other: Used) -> None:
        self.rights += other.rights
        self.refused += other.refused
        self.whole = self.whole and other.whole

    def as_json(self) -> dict[str, Any]:
        lists = {name: [[*_parts(each), count] for each, count in sorted(counter.items())] for name, counter in self._counters()}
        return {"whole": self.whole, **lists}

    @classmethod
    def of_json(cls, read: dict[str, Any]) -> Used:
        used = cls(whole=read["whole"])
        for name, counter in used._counters():
            counter.update({Grant(*parts): count for *parts, count in read[name]})
        return used

    def _counters(self) -> tuple[tuple[str, Counter[Grant]], ...]:
        return ("rights", self.rights), ("refused", self.refused)


def _parts(grant: Grant) -> Sequence[str]:
    return grant.role, grant.verb, grant.group, grant.resource, grant.name


def reduced(lines: Iterable[bytes], named: Container[tuple[str, str]]) -> Used:
    """Returns the use of our roles in lines of an audit log. `named`: roles and resources with rights on certain objects alone."""
    used = Used()
    for line in lines:
        if not (_OURS in line or (_REFUSED in line and b":dynamiq-" in line)) or not line.endswith(b"\n"):
            continue
        entry = json.loads(line)
        if "objectRef" in entry and not _is_by_a_test(entry):
            _note(entry, used, named)
    return used


def _is_by_a_test(entry: dict[str, Any]) -> bool:
    """Returns True for requests of tests: a person's tool under a program's account, or an impersonated program."""
    is_program = _ACCOUNT.match(entry["user"]["username"]) is not None
    impersonated = _ACCOUNT.match(entry.get("impersonatedUser", {}).get("username", "")) is not None
    return impersonated or (is_program and entry.get("userAgent", "").startswith(OF_TESTS))


def _note(entry: dict[str, Any], used: Used, named: Container[tuple[str, str]]) -> None:
    notes = entry.get("annotations", {})
    allowed = _ALLOWED_BY.search(notes.get("authorization.k8s.io/reason", ""))
    if allowed is None:
        account = _ACCOUNT.match(entry["user"]["username"])
        if notes.get("authorization.k8s.io/decision") == "forbid" and account is not None:
            used.refused[_asked(account[1], entry["verb"], entry["objectRef"], ())] += 1
        return
    role = f"{allowed[1]} {allowed[2]}"
    for verb in _verbs(entry):
        used.rights[_asked(role, verb, entry["objectRef"], named)] += 1
    if entry["objectRef"]["resource"] == REVIEWS:
        for grant in _reviewed(entry, named):
            used.rights[grant] += 1


def _verbs(entry: dict[str, Any]) -> Iterator[str]:
    yield entry["verb"]
    if entry["verb"] == "patch" and entry.get("responseStatus", {}).get("code") == 201:  # an apply that created the object
        yield "create"


def _asked(role: str, verb: str, reference: dict[str, Any], named: Container[tuple[str, str]]) -> Grant:
    resource = "/".join(filter(None, (reference["resource"], reference.get("subresource"))))
    name = reference.get("name", "") if (role, resource) in named else ""
    return Grant(role, verb, reference.get("apiGroup") or reference.get("group") or "", resource, name)


def _reviewed(entry: dict[str, Any], named: Container[tuple[str, str]]) -> Iterator[Grant]:
    """Yields the right that a program of ours reviewed for another user, if that user has it."""
    status = entry.get("responseObject", {}).get("status", {})
    allowed = _ALLOWED_BY.search(status.get("reason", "")) if status.get("allowed") else None
    if allowed is not None:
        attributes = entry["requestObject"]["spec"]["resourceAttributes"]
        yield _asked(f"{allowed[1]} {allowed[2]}", attributes["verb"], attributes, named)


def restricted(granted: Iterable[Grant]) -> frozenset[tuple[str, str]]:
    """Returns the roles and resources with a right that reaches certain objects alone."""
    return frozenset((each.role, each.resource) for each in granted if each.name)


def of_log(log: Path) -> Used:
    """Returns the use in the audit log and the full files beside it."""
    named, used = restricted(grants(roles())), Used()
    files = sorted(log.parent.glob(f"{log.stem}*{log.suffix}"))
    for path in files:
        with path.open("rb") as lines:
            used.add(reduced(lines, named))
    used.whole = len(files) <= int(AUDIT_BACKUPS)  # with one more the API server may have deleted one
    return used


def keep(cluster: Cluster | None, suite: str) -> None:
    """Writes the use of our roles on a cluster that is about to be deleted. A cluster that is not ours has no log."""
    if cluster is None or cluster.audit_log is None or not cluster.audit_log.exists():
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{suite}-{cluster.name}-{os.getpid()}.json").write_text(json.dumps(of_log(cluster.audit_log).as_json(), indent=0) + "\n")


def stop(name: str) -> None:
    """Stops a cluster that a test started by itself, after writing the use of its roles."""
    try:
        keep(clusters.find(name), "system")
    finally:
        clusters.stop(name)


def suite_of(config: pytest.Config) -> str:
    """Returns the suite's name, from the file of its results; a session without one is no suite."""
    path = config.getoption("xmlpath", None)
    return Path(path).stem if path else "tests"


def read(folder: Path = FOLDER) -> dict[str, Used]:
    """Returns the kept use, by the name of its file."""
    return {path.stem: Used.of_json(json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))}
