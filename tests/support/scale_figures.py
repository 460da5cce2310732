"""What an operator costs on a cluster of some size: how soon it works, what it asks at rest, and how soon it acts."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dynamiq_operator.desired.base import WORKLOAD
from dynamiq_operator.kube.resources import APPS, BY_KIND, WATCHED
from dynamiq_operator.model.names import OPERATOR_NAMESPACE
from local.clusters import Cluster
from tests.support import factories as given
from tests.support.api import Api
from tests.support.faults import operators
from tests.support.faults.audit import Audit
from tests.support.faults.operators import OperatorProcess
from tests.support.scale import LEASE, Pace, first_seen, get, pace
from tests.support.swarm import JSON_PATCH, Request, Swarm, swarm

QUIET = 30.0
"""Seconds after which what a start leads to has ended."""
PAGE = 500
TICKS = 100


@dataclass(frozen=True)
class Started:
    """An operator that works, `seconds` after it was started."""

    process: OperatorProcess
    seconds: float

    def mebibytes(self, what: str) -> float:
        """VmRSS, what it has in memory now, or VmHWM, the most that it ever had."""
        return mebibytes(self.process.pid, what)

    def cpu(self) -> float:
        """Seconds that it has worked."""
        return cpu_seconds(self.process.pid)


def mebibytes(pid: int, what: str) -> float:
    """VmRSS of a process, what it has in memory now, or VmHWM, the most that it ever had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(what))


def cpu_seconds(pid: int) -> float:
    """Seconds that a process has worked."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@contextmanager
def started(cluster: Cluster, api: Api, namespace: str | None, folder: Path) -> Iterator[Started]:
    """An operator of a namespace, or of the whole cluster."""
    login = operators.Login.of(cluster, api)
    began = time.monotonic()
    process = operators.start(login, namespace, folder, lease=LEASE, lease_namespace=OPERATOR_NAMESPACE)
    try:
        process.wait_until_leading()
        yield Started(process, time.monotonic() - began)
    finally:
        process.stop()


@dataclass(frozen=True)
class Rest:
    """What an operator does in some seconds in which nothing happens. `requests`: by verb; `cpu`: share of a core."""

    requests: Counter[str]
    writes: int
    cpu: float


def at_rest(cluster: Cluster, operator: Started, seconds: float) -> Rest:
    audit, worked = Audit(cluster, ""), operator.cpu()
    time.sleep(seconds)  # what is done in this time is the figure
    cpu = (operator.cpu() - worked) / seconds
    requests = audit.requests()
    return Rest(Counter(each.what for each in requests), sum(each.is_write or each.is_event for each in requests), cpu)


def raw_list(cluster: Cluster) -> tuple[float, int]:
    """Seconds for listing and decoding all that an operator watches, by nothing but a client and `json`; and the number of objects."""
    return asyncio.run(_raw_list(cluster))


async def _raw_list(cluster: Cluster) -> tuple[float, int]:
    objects = 0
    async with swarm(cluster) as sending:
        began = time.monotonic()
        for resource in WATCHED:
            query = {"limit": str(PAGE), "labelSelector": resource.label_selector, "fieldSelector": resource.field_selector}
            while True:
                async with sending.session.get(sending.server + resource.path(), params={k: v for k, v in query.items() if v}) as answer:
                    if answer.status == 404 and resource.optional:
                        break
                    page = json.loads(await answer.read())
                objects += len(page.get("items", ()))
                if not (token := page["metadata"].get("continue")):
                    break
                query["continue"] = token
        return time.monotonic() - began, objects


@dataclass
class Paces:
    """Milliseconds from a request until something is so."""

    pinned: list[float] = field(default_factory=list)
    rolled: list[float] = field(default_factory=list)

    def add(self, one: Pace) -> None:
        self.pinned.append(one.pinned * 1000)
        self.rolled.append(one.rolled * 1000)

    def __str__(self) -> str:
        return f"pinned p50 {median(self.pinned):.0f} ms, p95 {p95(self.pinned):.0f}; template changed p50 {median(self.rolled):.0f}"


def median(found: Sequence[float]) -> float:
    return statistics.median(found)


def p95(found: Sequence[float]) -> float:
    return sorted(found)[min(int(len(found) * 0.95), len(found) - 1)]


def deploys(cluster: Cluster, places: Sequence[tuple[str, str]], count: int, into: Paces) -> None:
    """Deploys of these Apps in turn, one after the other, each of another release than is live."""

    async def run() -> None:
        async with swarm(cluster) as sending:
            for number in range(count):
                namespace, app = places[number % len(places)]
                into.add(await pace(sending, namespace, app, workflowVersion=await _another(sending, namespace, app)))

    asyncio.run(run())


def rollbacks(cluster: Cluster, place: tuple[str, str], count: int, into: Paces) -> None:
    """Rollbacks by `restores`, each of the row that was live before the one that it takes the place of."""

    async def run() -> None:
        namespace, app = place
        async with swarm(cluster) as sending:
            names = [(await pace(sending, namespace, app, workflowVersion=await _another(sending, namespace, app))).row for _ in range(2)]
            for _ in range(count):
                one = await pace(sending, namespace, app, restores=names[-2])
                into.add(one)
                names.append(one.row)

    asyncio.run(run())


async def _another(sending: Swarm, namespace: str, app: str) -> str:
    """A release that is not live."""
    live = (await get(sending, APPS.path(namespace, app)))["status"]["live"]["workflowVersion"]
    return "v3" if live == "v2" else "v2"


def undone(cluster: Cluster, place: tuple[str, str], count: int) -> list[float]:
    """Milliseconds of what `kubectl rollout undo` sends for a workload of nobody's, until its template has changed in a watch."""

    async def run() -> list[float]:
        async with swarm(cluster) as sending:
            return [await _undo(sending, *place, f"{number}") for number in range(count)]

    return asyncio.run(run())


async def _undo(sending: Swarm, namespace: str, workload: str, mark: str) -> float:
    resource = BY_KIND[WORKLOAD.kind]
    path = resource.path(namespace, workload)
    seen = asyncio.create_task(
        first_seen(
            sending,
            resource,
            namespace,
            workload,
            lambda found: (found["spec"]["template"]["metadata"].get("annotations") or {}).get("undone") == mark,
        )
    )
    await asyncio.sleep(0.2)  # until the watch is open
    began = time.monotonic()
    template = (await get(sending, path))["spec"]["template"]
    template["metadata"]["annotations"] = {"undone": mark}
    patch = [{"op": "replace", "path": "/spec/template", "value": template}]
    answer = await sending.send(Request("PATCH", path, patch, JSON_PATCH))
    assert answer.ok, answer.message
    return (await seen - began) * 1000


def workload_of_nobody(name: str, namespace: str) -> dict[str, object]:
    """A workload that no App has."""
    labels = {"app": name}
    container = {"name": "main", "image": given.IMAGE}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    meta = {"name": name, "namespace": namespace}
    return {
        "apiVersion": WORKLOAD.api_version,
        "kind": WORKLOAD.kind,
        "metadata": meta,
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template},
    }
