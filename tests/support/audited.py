"""What the roles of ours were used for, by the API server's own audit log, which says of each request which role allowed it.

A request counts for the right that it took, and for one more where it took two: an apply that creates an object needs `create` beside `patch`.
What the recorder asks the API server about somebody counts as a use by them: nothing else uses a right on what nobody serves, such as `apps/runs`.
Rights that admission policies ask the API server's authorizer for leave no trace in the log.
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
"""How tests name themselves that ask under the account of a program: that is no use of it."""

_OURS = b' \\"dynamiq-'
"""In every line of a request that a role of ours allowed, and in no other: it names the role in quotes."""
_REFUSED = b'"authorization.k8s.io/decision":"forbid"'
_ALLOWED_BY = re.compile(r'of ((?:Cluster)?Role) "(dynamiq-[^"]+)" to (\w+) "')
_ACCOUNT = re.compile(r"system:serviceaccount:[^:]+:(dynamiq-[^:]+)$")


@dataclass
class Used:
    """How often each right was used, and what accounts of ours asked for and did not get. `whole`: whether the log had all of it still."""

    rights: Counter[Grant] = field(default_factory=Counter)
    refused: Counter[Grant] = field(default_factory=Counter)
    whole: bool = True

    def add(self, other: Used) -> None:
        self.rights += other.rights
        self.refused += other.refused
        self.whole = self.whole and other.whole

    def as_json(self) -> dict[str, Any]:
        lists = {name: [[*_parts(each), count] for each, count in sorted(found.items())] for name, found in self._counters()}
        return {"whole": self.whole, **lists}

    @classmethod
    def of_json(cls, read: dict[str, Any]) -> Used:
        made = cls(whole=read["whole"])
        for name, found in made._counters():
            found.update({Grant(*parts): count for *parts, count in read[name]})
        return made

    def _counters(self) -> tuple[tuple[str, Counter[Grant]], ...]:
        return ("rights", self.rights), ("refused", self.refused)


def _parts(grant: Grant) -> Sequence[str]:
    return grant.role, grant.verb, grant.group, grant.resource, grant.name


def reduced(lines: Iterable[bytes], named: Container[tuple[str, str]]) -> Used:
    """What lines of an audit log say of our roles. `named`: of which roles and resources some right reaches certain objects alone."""
    found = Used()
    for line in lines:
        if not (_OURS in line or (_REFUSED in line and b":dynamiq-" in line)) or not line.endswith(b"\n"):
            continue
        entry = json.loads(line)
        if "objectRef" in entry and not _is_by_a_test(entry):
            _note(entry, found, named)
    return found


def _is_by_a_test(entry: dict[str, Any]) -> bool:
    """Of a person's request that is their tool's name, and a program never is somebody whom another one impersonates."""
    is_program = _ACCOUNT.match(entry["user"]["username"]) is not None
    impersonated = _ACCOUNT.match(entry.get("impersonatedUser", {}).get("username", "")) is not None
    return impersonated or (is_program and entry.get("userAgent", "").startswith(OF_TESTS))


def _note(entry: dict[str, Any], found: Used, named: Container[tuple[str, str]]) -> None:
    said = entry.get("annotations", {})
    allowed = _ALLOWED_BY.search(said.get("authorization.k8s.io/reason", ""))
    if allowed is None:
        account = _ACCOUNT.match(entry["user"]["username"])
        if said.get("authorization.k8s.io/decision") == "forbid" and account is not None:
            found.refused[_asked(account[1], entry["verb"], entry["objectRef"], ())] += 1
        return
    role = f"{allowed[1]} {allowed[2]}"
    for verb in _verbs(entry):
        found.rights[_asked(role, verb, entry["objectRef"], named)] += 1
    if entry["objectRef"]["resource"] == REVIEWS:
        for grant in _reviewed(entry, named):
            found.rights[grant] += 1


def _verbs(entry: dict[str, Any]) -> Iterator[str]:
    yield entry["verb"]
    if entry["verb"] == "patch" and entry.get("responseStatus", {}).get("code") == 201:  # what an apply has created
        yield "create"


def _asked(role: str, verb: str, reference: dict[str, Any], named: Container[tuple[str, str]]) -> Grant:
    resource = "/".join(filter(None, (reference["resource"], reference.get("subresource"))))
    name = reference.get("name", "") if (role, resource) in named else ""
    return Grant(role, verb, reference.get("apiGroup") or reference.get("group") or "", resource, name)


def _reviewed(entry: dict[str, Any], named: Container[tuple[str, str]]) -> Iterator[Grant]:
    """The right of somebody else that a program of ours asked about, and that they had."""
    status = entry.get("responseObject", {}).get("status", {})
    allowed = _ALLOWED_BY.search(status.get("reason", "")) if status.get("allowed") else None
    if allowed is not None:
        asked = entry["requestObject"]["spec"]["resourceAttributes"]
        yield _asked(f"{allowed[1]} {allowed[2]}", asked["verb"], asked, named)


def restricted(granted: Iterable[Grant]) -> frozenset[tuple[str, str]]:
    """The roles and resources of which some right reaches certain objects alone."""
    return frozenset((each.role, each.resource) for each in granted if each.name)


def of_log(log: Path) -> Used:
    """What the audit log says, with the files beside it that were full."""
    named, found = restricted(grants(roles())), Used()
    files = sorted(log.parent.glob(f"{log.stem}*{log.suffix}"))
    for path in files:
        with path.open("rb") as lines:
            found.add(reduced(lines, named))
    found.whole = len(files) <= int(AUDIT_BACKUPS)  # with one more the API server may have thrown one away
    return found


def keep(cluster: Cluster | None, suite: str) -> None:
    """Writes down what our roles were used for on a cluster that is about to go. One that is not ours has no log."""
    if cluster is None or cluster.audit_log is None or not cluster.audit_log.exists():
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{suite}-{cluster.name}-{os.getpid()}.json").write_text(json.dumps(of_log(cluster.audit_log).as_json(), indent=0) + "\n")


def stop(name: str) -> None:
    """Stops a cluster that a test started by itself, once that is written down."""
    try:
        keep(clusters.find(name), "system")
    finally:
        clusters.stop(name)


def suite_of(config: pytest.Config) -> str:
    """What the results of a session are called, by the file that they go to; a session without one is nobody's suite."""
    path = config.getoption("xmlpath", None)
    return Path(path).stem if path else "tests"


def read(folder: Path = FOLDER) -> dict[str, Used]:
    """What was kept, by the name of its file."""
    return {path.stem: Used.of_json(json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))}
