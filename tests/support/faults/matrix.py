"""Lists the kinds of fault of an API server, and runs an operator through one: it must recover soon, with nothing lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynamiq_operator.model import chain
from local.clusters import Cluster
from tests.support import factories as given
from tests.support.api import Api, fresh_namespace
from tests.support.faults import deploys, operators
from tests.support.faults.faults import Resets, Silent, Wrong, WrongLists
from tests.support.faults.proxy import Answer, Call
from tests.support.waiting import IN_TIME, eventually

QUIET = "quiet"
"""An App that nobody changes, beside the one that is deployed."""
RECOVERS_WITHIN = 10.0
GIVEN_UP_AFTER = IN_TIME
WATCH_ERROR = b'{"type":"ERROR","object":{"kind":"Status","code":%d,"message":"by the test\'s proxy"}}\n'
STATUSES = (
    (400, "BadRequest"),
    (401, "Unauthorized"),
    (403, "Forbidden"),
    (404, "NotFound"),
    (405, "MethodNotAllowed"),
    (408, "RequestTimeout"),
    (409, "Conflict"),
    (410, "Expired"),
    (413, "RequestEntityTooLarge"),
    (422, "Invalid"),
    (429, "TooManyRequests"),
    (500, "InternalError"),
    (502, "BadGateway"),
    (503, "ServiceUnavailable"),
    (504, "Timeout"),
)
LATER = {"Retry-After": "3600"}


def _is_read(call: Call) -> bool:
    return call.method == "GET" and not call.is_watch


def _by(method: str) -> Callable[[Call], bool]:
    return lambda call: call.method == method


def _of(plural: str) -> Callable[[Call], bool]:
    return lambda call: f"/{plural}" in call.path


def _everything(_: Call) -> bool:
    return True


def _answering(status: int, reason: str, about: Callable[[Call], bool] = _everything) -> Callable[[], Wrong]:
    return lambda: Wrong(Answer(status, reason), about)


def _kinds() -> dict[str, Callable[[], Wrong]]:
    kinds: dict[str, Callable[[], Wrong]] = {}
    for status, reason in STATUSES:
        kinds[f"{status} to everything"] = _answering(status, reason)
    kinds |= {
        "429 with Retry-After of an hour": lambda: Wrong(Answer(429, "TooManyRequests", LATER)),
        "503 with Retry-After of an hour": lambda: Wrong(Answer(503, "ServiceUnavailable", LATER)),
        "nothing is ever answered": lambda: Wrong(None),
        "writes are never answered": lambda: Wrong(None, lambda call: call.is_write),
        "lists are never answered": lambda: WrongLists(None),
        "watches are never answered": lambda: Wrong(None, lambda call: call.is_watch),
        "watches fall silent": Silent,
        "truncated JSON": lambda: Wrong(
            Answer(200, body=b'{"kind": "List", "metadata": {"resourceVersion": "1"}, "items": [', missing=500)
        ),
        "JSON that ends too early": lambda: Wrong(Answer(200, body=b'{"kind": "List", "metadata": {"resourceV')),
        "HTML": lambda: Wrong(Answer(200, headers={"Content-Type": "text/html"}, body=b"<html><body>Sign in</body></html>\n")),
        "an empty object": lambda: Wrong(Answer(200, body=b"{}\n")),
        "an empty object for lists": lambda: WrongLists(Answer(200, body=b"{}")),
        "an empty body": lambda: Wrong(Answer(200, body=b"")),
        "410 for lists": lambda: WrongLists(Answer(410, "Expired")),
        "410 within watches": lambda: Wrong(Answer(200, body=WATCH_ERROR % 410), lambda call: call.is_watch),
        "500 within watches": lambda: Wrong(Answer(200, body=WATCH_ERROR % 500), lambda call: call.is_watch),
        "403 for watches": lambda: Wrong(Answer(403, "Forbidden"), lambda call: call.is_watch),
        "connections are reset": lambda: Resets(after_it=False),
        "writes are carried out and their answers lost": lambda: Resets(after_it=True, about=lambda call: call.is_write),
        "503 for reads": lambda: Wrong(Answer(503, "ServiceUnavailable"), _is_read),
    }
    for method in ("POST", "PATCH", "PUT"):
        kinds[f"503 for {method}"] = _answering(503, "ServiceUnavailable", _by(method))
        kinds[f"403 for {method}"] = _answering(403, "Forbidden", _by(method))
    for plural in ("apps", "deployments", "workflowversions", "runtimes", "pods", "services", "configmaps", "secrets", "events", "leases"):
        kinds[f"500 for {plural}"] = _answering(500, "InternalError", _of(plural))
    kinds["403 for networkpolicies"] = lambda: Wrong(Answer(403, "Forbidden"), _of("networkpolicies"))
    return kinds


KINDS: Mapping[str, Callable[[], Wrong]] = _kinds()


@dataclass(frozen=True)
class Outcome:
    """The result of a run. `recovered`: seconds from the end of the fault until a row created during it was Live; None: never.

    `undisturbed`: the same for a row before the fault, which is long on a busy machine. `faults`: of integrity, a sentence each.
    """

    kind: str
    count: int
    undisturbed: float
    recovered: float | None
    died: bool
    faults: tuple[str, ...]
    log_lines: int

    @property
    def is_late(self) -> bool:
        """Returns True if it took longer than allowed, however busy the machine."""
        return self.recovered is None or self.recovered > RECOVERS_WITHIN

    @property
    def is_good(self) -> bool:
        return not self.died and not self.faults and self.recovered is not None and self.count > 0

    def __str__(self) -> str:
        back = "NEVER" if self.recovered is None else f"{self.recovered:5.1f} s"
        end = "".join([" DIED" * self.died, *(f" INTEGRITY: {fault}" for fault in self.faults)])
        return f"{self.kind:48s} {self.count:5d} requests, back after {back} ({self.undisturbed:.1f} s undisturbed), {self.log_lines:4d} log lines{end}"


def run(cluster: Cluster, api: Api, kind: str, seconds: float, folder: Path) -> Outcome:
    """Runs one fault: an App is live, the API server fails for `seconds`, a row is created meanwhile, then the fault ends."""
    fault = KINDS[kind]()
    with fresh_namespace(api, "fault") as namespace, operators.proxied(cluster, api) as proxy:
        operators.allow_leases(api, namespace)
        deploys.prepare(api, namespace)
        deploys.create_app(api, namespace, QUIET)
        stranger = _stranger(api, namespace)
        proxy.faults.append(fault)
        with operators.running(proxy.url, namespace, folder) as operator:
            began = time.monotonic()
            deploys.deploy(api, namespace, "a")
            undisturbed = time.monotonic() - began
            deploys.create_row(api, namespace, "q", app=QUIET, workflowVersion="v1")
            eventually("all is live", lambda: deploys.phase(api, namespace, "q") == "Live", deploys.END_WITHIN)
            before = _Before.of(api, namespace)
            lines = len(operator.log.read_text(errors="replace").splitlines())
            fault.is_on.set()
            if not isinstance(fault, Silent):
                proxy.cut_watches()  # so that the fault affects watches, too
            time.sleep(seconds / 2)
            deploys.create_row(api, namespace, "b", **deploys.ROWS["b"])
            time.sleep(seconds / 2)
            _seconds_until(lambda: fault.count > 0)  # a paused operator has not met the fault yet
            lines = len(operator.log.read_text(errors="replace").splitlines()) - lines
            fault.is_on.clear()
            recovered = _seconds_until(lambda: deploys.phase(api, namespace, "b") == "Live")
            closed = _seconds_until(lambda: deploys.phase(api, namespace, "a") == "Superseded")
            died = not operator.alive
            faults = (*before.differences(api, namespace, stranger), *(["row a is not closed"] if closed is None else []))
    return Outcome(kind, fault.count, undisturbed, recovered, died, tuple(faults), lines)


def _seconds_until(check: Callable[[], bool]) -> float | None:
    began = time.monotonic()
    while time.monotonic() - began < GIVEN_UP_AFTER:
        if check():
            return time.monotonic() - began
        time.sleep(0.05)
    return None


def _stranger(api: Api, namespace: str) -> dict[str, Any]:
    """Creates a foreign object with a name that resembles the App's."""
    answer = api.create(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{given.NAME}-theirs", "namespace": namespace}, "data": {"a": "b"}}
    )
    assert answer.ok, answer.message
    return answer.body


@dataclass(frozen=True)
class _Before:
    """The state before the fault that must be equal after it: uids of all that serves, and the quiet App's template."""

    uids: dict[str, str]
    quiet: int

    @classmethod
    def of(cls, api: Api, namespace: str) -> _Before:
        return cls(_uids(api, namespace), _workload(api, namespace, QUIET)["metadata"]["generation"])

    def differences(self, api: Api, namespace: str, stranger: dict[str, Any]) -> list[str]:
        problems = []
        now = _uids(api, namespace)
        problems += [f"{name} was deleted or made anew" for name, uid in self.uids.items() if now.get(name) != uid]
        if _workload(api, namespace, QUIET)["metadata"]["generation"] != self.quiet:
            problems.append("the quiet App's workload was written")
        theirs = api.read(stranger).body
        if theirs.get("metadata", {}).get("resourceVersion") != stranger["metadata"]["resourceVersion"]:
            problems.append("an object of somebody else was touched")
        rows = [row for row in api.get("Deployment", "", namespace).body["items"] if row["spec"]["app"] == given.NAME]
        if sorted(row["metadata"]["name"] for row in rows) != ["a", "b"]:
            problems.append(f"the rows are {[row['metadata']['name'] for row in rows]}")
        if len({row["spec"].get("sequence") for row in rows}) != len(rows):
            problems.append("two rows have one number")
        problems += [f"row {misfit.row}: {misfit.reason}" for misfit in chain.verify(rows).misfits]
        return problems


def _uids(api: Api, namespace: str) -> dict[str, str]:
    """Returns the uids of the Apps' objects by kind and name. They include the Secrets of keys: a new one would lock callers out."""
    kinds = (("Service", "v1"), ("Secret", "v1"), ("Deployment", "apps/v1"), ("HorizontalPodAutoscaler", "autoscaling/v2"))
    return {
        f"{kind} {each['metadata']['name']}": each["metadata"]["uid"]
        for kind, version in kinds
        for each in api.get(kind, "", namespace, api_version=version).body["items"]
    }


def _workload(api: Api, namespace: str, name: str) -> dict[str, Any]:
    return api.get("Deployment", name, namespace, api_version="apps/v1").body
