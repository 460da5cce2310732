"""Measures operator, management API and gate in a cluster of some size, as processes of this checkout on a control plane with simulated
nodes.

Apps are created as after a restore: ended rows, the last of which is live, and no status. An operator treats them like any other, so no App
is deployed singly. Each size extends the previous one, whose objects stay.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from dynamiq_operator.kube.api import METADATA, PAGE, selectors
from dynamiq_operator.kube.resources import APPS, ROWS, RUNTIMES, VERSIONS, WATCHED, ApiResource
from dynamiq_operator.model import kinds
from dynamiq_operator.model.base import GROUP
from dynamiq_operator.model.names import OPERATOR_NAMESPACE
from dynamiq_operator.rest.kube.entries import accepted
from dynamiq_operator.rest.kube.id_index import INDEXED
from local import processes, state
from local.clusters import Cluster
from tests.soak.capacity_figures import Size
from tests.soak.support.own_objects import get, places, post
from tests.support import factories as given
from tests.support import gates, programs, rest
from tests.support.api import Api
from tests.support.faults import operators
from tests.support.faults.audit import Audit
from tests.support.faults.operators import OperatorProcess
from tests.support.ports import free_port
from tests.support.swarm import JSON, Request, Swarm, swarm
from tests.support.waiting import eventually

LEASE = "dynamiq-operator"
"""The only lease on which the operator's account has rights in its own namespace."""
TICKS = 100
DEPLOYS, CALLS = 100, 100
"""With 10,000 Apps, the API server collects garbage for 10 s. It slows down most of 20 deploys, but not the median of 100."""
CHECK_FELT = 20_000
"""Rows from which deploys wait until the API server has compared its cache with etcd. It does so every few minutes, and reads every row again:
of 200,000 that is 2 minutes of both cores.
"""
LISTS, LEAST_OF, SCRAPES = 2, 3, 5
LOOKED_AT = 2000
"""Series that are read a second, at most, while an operator begins: its metrics have one of every App."""
CALM_WITHIN, COUNTED_WITHIN, CHECKED_WITHIN, LIVE_WITHIN, LISTED_WITHIN = 7200.0, 300.0, 1200.0, 60.0, 900.0
OF_ITS_OWN = {"PYTHONPATH": programs.ROOTS[0]}
"""Environment of a process that is started as users start it: a fork of the tests' also has the memory of all that these import."""
API_USER = f"system:serviceaccount:{OPERATOR_NAMESPACE}:{rest.ACCOUNT}"


async def _first_seen(sending: Swarm, namespace: str, row: str) -> float:
    """Returns the monotonic time at which a watch first shows that a row has ended."""
    query = {"watch": "true", "fieldSelector": f"metadata.name={row}"}
    async with sending.session.get(sending.server + ROWS.path(namespace), params=query) as stream:
        async for line in stream.content:
            if "outcome" in json.loads(line)["object"]["spec"]:
                return time.monotonic()
    raise AssertionError(f"the watch of row {row} ended")


def mebibytes(pid: int, memory_field: str) -> float:
    """Returns VmRSS of a process, its current memory, or VmHWM, its peak."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(memory_field))


def cpu_seconds(pid: int) -> float:
    """Returns the seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def p95(values: Sequence[float]) -> float:
    return sorted(values)[min(int(len(values) * 0.95), len(values) - 1)]


# The operator.


@dataclass
class Operator:
    """An operator of the whole cluster, with metrics."""

    process: OperatorProcess
    port: int
    began: float = field(default_factory=time.monotonic)

    def until_leading(self) -> float:
        """Waits until it leads; returns the seconds since its start."""
        self.process.wait_until_leading(CALM_WITHIN)
        return time.monotonic() - self.began

    def until_calm(self, apps: int) -> float:
        """Waits until it leads, every App serves and no App is queued; returns the seconds since its start."""
        self.until_leading()
        eventually(f"{apps} Apps serve, and none waits", lambda: self._is_calm(apps), CALM_WITHIN, max(apps / LOOKED_AT, 1.0))
        return time.monotonic() - self.began

    def _is_calm(self, apps: int) -> bool:
        assert self.process.alive, self.process.log.read_text()[-4000:]
        samples = gates.samples(self.scrape())
        serving = sum(name.startswith("dynamiq_app_live_row{") for name in samples)
        return serving >= apps and samples["dynamiq_workqueue_depth"] == 0

    def scrape(self) -> str:
        """Returns its metrics."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=60) as answer:
            return str(answer.read().decode())


@contextlib.contextmanager
def running(cluster: Cluster, api: Api, folder: Path, *flags: str) -> Iterator[Operator]:
    port = free_port()
    options = (f"--metrics-port={port}", *flags)
    login = operators.Login.of(cluster, api)
    process = operators.start(login, None, folder, *options, lease=LEASE, lease_namespace=OPERATOR_NAMESPACE, environment=OF_ITS_OWN)
    try:
        yield Operator(process, port)
    finally:
        process.stop()


def settle(cluster: Cluster, api: Api, apps: int, folder: Path) -> float:
    """Lets an operator create all children of the Apps for the next operator; returns the seconds that took."""
    with running(cluster, api, folder) as operator:
        return operator.until_calm(apps)


def of_operator(cluster: Cluster, api: Api, size: Size, folder: Path, rest_for: float) -> dict[str, float]:
    """Returns the figures of an operator that starts on complete Apps. `rest_for`: seconds of a figure at rest."""
    figures = {"operator.bare.seconds": bare_list(cluster, tuple((each, JSON) for each in WATCHED))}
    audit = Audit(cluster, "")
    with running(cluster, api, folder) as operator:
        figures |= {"operator.leads.seconds": operator.until_leading(), "operator.start.seconds": operator.until_calm(size.apps)}
        pid = operator.process.pid
        assert not [each.what for each in audit.requests() if each.is_write or each.is_event]
        figures |= {"operator.start.requests": len(audit.requests()), "operator.start.cpu": cpu_seconds(pid)}
        figures["operator.memory.peak"] = mebibytes(pid, "VmHWM")
        cpu, requests = at_rest(pid, lambda: len(audit.requests()), rest_for)
        figures |= {"operator.rest.cpu": cpu, "operator.rest.requests": requests, "operator.memory.rest": mebibytes(pid, "VmRSS")}
        scraped = cpu_seconds(pid)
        for _ in range(SCRAPES):
            operator.scrape()
        figures["operator.scrape.cpu"] = (cpu_seconds(pid) - scraped) / SCRAPES
        if size.apps * size.rows >= CHECK_FELT:
            _until_checked(cluster)
        took = asyncio.run(_deploys(cluster))
        figures |= {"deploy.p50": statistics.median(took), "deploy.p95": p95(took)}
    with running(cluster, api, folder, f"--list-again-every={rest_for:.0f}") as operator:
        operator.until_calm(size.apps)
        figures["operator.list.cpu"] = _cpu_of_a_list(cluster, operator.process.pid, figures["operator.rest.cpu"])
    return figures


def bare_list(cluster: Cluster, resources: Sequence[tuple[ApiResource, str]]) -> float:
    """Returns the least seconds, of several times, for listing and decoding resources with nothing but a client and `json`.

    `resources`: each with the media type to request.
    """
    return min(asyncio.run(_bare_list(cluster, resources)) for _ in range(LEAST_OF))


async def _bare_list(cluster: Cluster, resources: Sequence[tuple[ApiResource, str]]) -> float:
    async with swarm(cluster) as sending:
        began = time.monotonic()
        for resource, accept in resources:
            whole = {} if resource.field_selector else {"limit": str(PAGE)}  # in pages, a list with a field selector takes minutes
            query = {**whole, **selectors(resource.label_selector, resource.field_selector)}
            while True:
                async with sending.session.get(sending.server + resource.path(), params=query, headers={"Accept": accept}) as answer:
                    if answer.status == 404 and resource.optional:
                        break
                    page = json.loads(await answer.read())
                if not (token := page["metadata"].get("continue")):
                    break
                query["continue"] = token
        return time.monotonic() - began


def _cpu_of_a_list(cluster: Cluster, pid: int, at_rest_too: float) -> float:
    """Returns CPU seconds of a list of everything, beyond the use `at_rest_too` (a minute): from one list's start to that of the second
    after it.
    """
    audit = Audit(cluster, "")

    def begun(lists: int) -> tuple[float, float]:
        def are_begun() -> bool:
            return sum(each.what == f"list {RUNTIMES.plural}" for each in audit.requests()) >= lists

        eventually(f"list {lists} of everything begins", are_begun, LISTED_WITHIN, 0.2)
        return cpu_seconds(pid), time.monotonic()

    (before, began), (after, ended) = begun(1), begun(1 + LISTS)
    return max(after - before - at_rest_too * (ended - began) / 60, 0.0) / LISTS


def at_rest(pid: int, requests: Callable[[], int], seconds: float) -> tuple[float, float]:
    """Returns CPU seconds a minute of a process, and requests a second, while nothing happens."""
    worked, sent = cpu_seconds(pid), requests()
    time.sleep(seconds)  # the work in this time is the figure
    return (cpu_seconds(pid) - worked) * 60 / seconds, (requests() - sent) / seconds


async def _deploys(cluster: Cluster) -> list[float]:
    """Returns milliseconds of deploys of two Apps, one after the other, from before the POST until a watch shows the row as ended."""
    took = []
    async with swarm(cluster) as sending:
        for number in range(DEPLOYS):
            namespace, app = list(places(2))[number % 2]
            row = f"{app}-{uuid.uuid4().hex[:8]}"
            watch = asyncio.create_task(_first_seen(sending, namespace, row))
            await asyncio.sleep(0.2)  # until the watch is open
            version = f"v{2 - number // 2 % 2}"  # v1 is live, and every size has v2
            raw = given.row_manifest(row, given.in_namespace(namespace), given.of_app(app), given.asking(workflowVersion=version))
            began = time.monotonic()
            await post(sending, ROWS, raw)
            took.append((await asyncio.wait_for(watch, LIVE_WITHIN) - began) * 1000)
            ended = await get(sending, ROWS, namespace, row)
            assert ended["spec"]["outcome"]["result"] == "Succeeded", ended["spec"]["outcome"]
    return took


# The management API.


def of_api(cluster: Cluster, api: Api, folder: Path, rest_for: float) -> dict[str, float]:
    """Returns the figures of an API that starts on all Apps, and of lists by a caller who may view one project."""
    whole = tuple((replace(each, field_selector=""), accepted(each, METADATA)) for each in INDEXED)
    kubeconfig, figures = rest.install(cluster, folder), dict[str, float]()
    bare, starts = [], []
    for number in range(LEAST_OF):  # in turn: the API server is not equally quick all the time
        bare.append(asyncio.run(_bare_list(cluster, whole)))
        port, began = free_port(), time.monotonic()
        url = f"http://127.0.0.1:{port}"
        with rest.process(
            kubeconfig,
            folder / f"api-{number}.log",
            port,
            answers=lambda url=url: _is_ready(url),  # type: ignore[misc]
            environment=OF_ITS_OWN,
            seconds=LISTED_WITHIN,
        ) as process:
            starts.append(time.monotonic() - began)
            if number == LEAST_OF - 1:
                figures = _of_ready_api(cluster, api, process.pid, url, rest_for)
    return {"api.bare.seconds": min(bare), "api.start.seconds": min(starts), **figures}


def _of_ready_api(cluster: Cluster, api: Api, pid: int, url: str, rest_for: float) -> dict[str, float]:
    audit = Audit(cluster, "")
    cpu, requests = at_rest(pid, lambda: audit.count_of(API_USER), rest_for)
    figures = {"api.rest.cpu": cpu, "api.rest.requests": requests, "api.memory.rest": mebibytes(pid, "VmRSS")}
    namespace, app = next(places(1))
    caller = rest.client(api, url, namespace, f"viewer-{uuid.uuid4().hex[:6]}", "view")
    project, id_ = rest.uid(api, "Namespace", namespace), rest.uid(api, kinds.APP.kind, app, namespace)
    lists = {"api.apps.p95": f"/v1/apps?project_id={project}&page_size=50", "api.rows.p95": f"/v1/apps/{id_}/deployments?page_size=50"}
    eventually("rights apply", lambda: all(caller("GET", path).status_code == 200 for path in lists.values()))
    for name, path in lists.items():
        figures[name] = p95([_milliseconds(lambda path=path: caller.get(path)) for _ in range(CALLS)])  # type: ignore[misc]
    return {**figures, "api.memory.peak": mebibytes(pid, "VmHWM")}


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5):
            return True
    except OSError:
        return False


def _milliseconds(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return (time.monotonic() - began) * 1000


# The gate.


def of_gate(cluster: Cluster, folder: Path, rest_for: float) -> dict[str, float]:
    """Returns the figures of an idle replica of the gate: no App sleeps."""
    gates.install_rights(cluster)
    audit = Audit(cluster, "")
    gate = gates.GateProcess(gates.logged_in(cluster, folder), folder, "10.9.0.1", "127.0.0.1", free_port(), free_port())
    try:
        gate.start()
        cpu, requests = at_rest(gate.pid, lambda: audit.count_of(gates.USER), rest_for)
        return {"gate.rest.cpu": cpu, "gate.rest.requests": requests, "gate.memory.peak": mebibytes(gate.pid, "VmHWM")}
    finally:
        gate.kill()


# Kubernetes.


def of_kubernetes(cluster: Cluster, size: Size) -> dict[str, float]:
    """Returns the memory of the API server and of etcd, and their metrics of the sizes of objects."""
    counted = {APPS: size.apps, ROWS: size.apps * size.rows, VERSIONS: size.apps * (size.releases + size.large)}
    eventually("the API server has counted what there is", lambda: _has_counted(cluster, counted), COUNTED_WITHIN, 5)
    metrics = _metrics(cluster)
    figures = {"etcd.size": sum(value for name, value in metrics.items() if name.startswith("apiserver_storage_size_bytes")) / 2**20}
    for name, resource in (("app", APPS), ("row", ROWS), ("release", VERSIONS)):
        figures[f"etcd.bytes.{name}"] = metrics[_of("apiserver_resource_size_estimate_bytes", resource)] / metrics[_of(OBJECTS, resource)]
    for program in ("kube-apiserver", "etcd"):
        figures[f"{program}.memory"] = mebibytes(pid_of(cluster, program), "VmRSS")
    return figures


OBJECTS, CHECKS = "apiserver_resource_objects", "apiserver_storage_consistency_checks_total"


def _of(metric: str, resource: ApiResource) -> str:
    return f'{metric}{{group="{GROUP}",resource="{resource.plural}"}}'


def _has_counted(cluster: Cluster, expected: dict[ApiResource, int]) -> bool:
    metrics = _metrics(cluster)
    return all(metrics.get(_of(OBJECTS, resource), -1) >= count for resource, count in expected.items())


def _until_checked(cluster: Cluster) -> None:
    """Waits until the API server has compared its rows with etcd once more: it then does not for some minutes."""

    def checks() -> float:
        one = f'{CHECKS}{{group="{GROUP}",resource="{ROWS.plural}",'
        return sum(value for name, value in _metrics(cluster).items() if name.startswith(one))

    before = checks()
    eventually("the API server has compared its rows with etcd", lambda: checks() > before, CHECKED_WITHIN, 2)


def _metrics(cluster: Cluster) -> dict[str, float]:
    """Returns the API server's own metrics."""

    async def read() -> str:
        async with swarm(cluster) as sending:
            answer = await sending.send(Request("GET", "/metrics"))
            assert answer.ok, answer.message
            return answer.message

    return gates.samples(asyncio.run(read()))


def pid_of(cluster: Cluster, program: str) -> int:
    """Returns the process of one of the cluster's programs, such as `etcd`."""
    record = state.load(cluster.name)
    assert record is not None, f"{cluster.name} is no cluster of this machine"
    pids = [pid for pid in processes.find(record.token) if _program(pid) == program]
    assert len(pids) == 1, f"{program}: {pids}"
    return pids[0]


def _program(pid: int) -> str:
    return Path(Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()).name


def measured(cluster: Cluster, api: Api, size: Size, folder: Path, rest_for: float) -> dict[str, float]:
    """Returns every figure at a size, if all objects exist. `rest_for`: seconds of a figure at rest."""
    figures = of_operator(cluster, api, size, folder, rest_for) | of_api(cluster, api, folder, rest_for)
    return figures | of_gate(cluster, folder, rest_for) | of_kubernetes(cluster, size)
