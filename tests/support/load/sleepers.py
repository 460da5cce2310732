"""Prepares serverless Apps on real pods, and the gate in front of sleeping ones, installed as its user would."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynamiq_operator.model import names
from local import images
from local.clusters import Cluster
from local.gateway import Gateway
from tests.support import factories
from tests.support.api import Api, Manifest, incarnation
from tests.support.cluster import REPOSITORY, Kubectl
from tests.support.gateway import ThroughTheGateway, until_answer
from tests.support.gateway import asked as call
from tests.support.load.watched import Watched
from tests.support.operator import install_rights
from tests.support.stage import Stage, is_ready
from tests.support.waiting import IN_TIME, eventually

GATE = names.GATE_NAMESPACE
SHORTEST = 5
"""The minimum of idleSeconds."""
ASLEEP_WITHIN = IN_TIME
GONE_WITHIN = IN_TIME
METRICS_PORT = 9090
WORKLOAD = "deployment/dynamiq-gate"


def serverless(idle: int = SHORTEST, hold: int = 120, most: int = 2) -> dict[str, Any]:
    """Returns the config of a row."""
    return {"type": "serverless", "idleSeconds": idle, "holdSeconds": hold, "maxReplicas": most}


def patient() -> factories.Modifier:
    """Makes a hostname without a limit on the time of calls: the gateway's own limit is 15 s."""
    return factories.exposed("Ingress", annotations={"projectcontour.io/response-timeout": "infinity"})


@dataclass(frozen=True)
class Gates:
    """The gate's pods on one cluster."""

    cluster: Cluster
    api: Api
    kubectl: Kubectl

    def pods(self) -> list[Manifest]:
        """Returns its pods that are Ready and not being deleted."""
        pods = self.api.get("Pod", "", GATE).body["items"]
        return [each for each in pods if "deletionTimestamp" not in each["metadata"] and is_ready(each)]

    def is_not_leaving(self) -> bool:
        return "deletionTimestamp" not in self.api.get("Namespace", GATE, "").body.get("metadata", {})

    def until_ready(self) -> None:
        self.kubectl("rollout", "status", WORKLOAD, "--timeout=230s", namespace=GATE)
        eventually("two gates are Ready", lambda: len(self.pods()) == 2)

    def runs(self, digest: str) -> bool:
        """Returns True if two are Ready, and all have the image with this digest."""
        statuses = [status for pod in self.pods() for status in pod["status"]["containerStatuses"]]
        return len(statuses) == 2 and all(each["imageID"].endswith(digest) for each in statuses)

    def figure(self, metric: str, pod: Manifest | None = None, **labels: str) -> float:
        """Returns the sum of a metric over the pods, or of one pod, over all its labels except the ones passed."""
        return sum(self._figure(each["metadata"]["name"], metric, labels) for each in ([pod] if pod else self.pods()))

    def _figure(self, pod: str, metric: str, labels: dict[str, str]) -> float:
        text = self.kubectl("get", "--raw", f"/api/v1/namespaces/{GATE}/pods/{pod}:{METRICS_PORT}/proxy/metrics").stdout
        lines = [line for line in text.splitlines() if re.match(rf"{metric}[ {{]", line)]
        parts = [f'{name}="{value}"' for name, value in labels.items()]
        return sum(float(line.rpartition(" ")[2]) for line in lines if all(each in line for each in parts))

    def roll_out_anew(self) -> None:
        self.kubectl("rollout", "restart", WORKLOAD, namespace=GATE)

    def kill(self, pod: Manifest) -> None:
        """Kills the program of a pod (SIGKILL): no preStop, no drain."""
        uid = pod["metadata"]["uid"]
        (pid,) = [each for each in processes_of(uid) if b"dynamiq_operator" in Path(f"/proc/{each}/cmdline").read_bytes()]
        os.kill(pid, signal.SIGKILL)


def processes_of(uid: str) -> list[int]:
    """Returns the process ids of this machine in a pod's cgroup."""
    pids = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and uid in (entry / "cgroup").read_text():
                pids.append(int(entry.name))
    return pids


def install(cluster: Cluster) -> Gates:
    """Installs the gate of this checkout, with its rights, and waits until its pods are Ready."""
    archives = images.ensure([images.OPERATOR])
    gates, digest = Gates(cluster, Api.of(cluster), kubectl := Kubectl(cluster)), images.digest_of(archives[images.OPERATOR.reference])
    if incarnation(cluster) in _INSTALLED and gates.is_not_leaving() and gates.runs(digest):
        return gates
    cluster.load_images(archives.values())
    eventually("no gate of before is on its way out", gates.is_not_leaving, GONE_WITHIN)
    install_rights(cluster)
    kubectl("apply", "--server-side", "--force-conflicts", "-k", str(REPOSITORY / "manifests" / "gate"))
    gates.until_ready()
    if not gates.runs(digest):
        gates.roll_out_anew()  # on a cluster with the gate of another build
        eventually("the gate is of this build", lambda: gates.runs(digest), GONE_WITHIN)
    _INSTALLED.add(incarnation(cluster))
    return gates


_INSTALLED: set[int] = set()
"""Clusters on which this process has installed the gate."""


def is_asleep(on: Stage, app: str) -> bool:
    """Returns True if its status is Asleep, and it has no pod."""
    ready = on.condition(app, "Ready")
    return ready.get("reason") == "Asleep" and on.workload(app)["spec"]["replicas"] == 0 and not on.pods(app)


def until_asleep(on: Stage, *apps: str, seconds: float = ASLEEP_WITHIN) -> None:
    for app in apps:
        eventually(f"App {app} is asleep: {on.condition(app, 'Ready')}", lambda app=app: is_asleep(on, app), seconds, 0.2)  # type: ignore[misc]


def sleeping(
    on: Stage,
    at: Gateway,
    apps: Sequence[str],
    version: str = "v1",
    *modifiers: factories.Modifier,
    hold: int = 120,
    resources: Manifest | None = None,
    **request: Any,
) -> None:
    """Makes Apps that have been live and called, and sleep. `request`: more fields of their rows."""
    rows = {}
    config = serverless(hold=hold) | ({"resources": resources} if resources else {})
    for app in apps:
        on.app(app, *modifiers)
        rows[app] = on.deploy(app, version, config=config, **request)
    for app, row in rows.items():
        on.until(row, "Live", 300)
        until_answer(host_of(on, app), at, version, on.key(app))
    until_asleep(on, *apps, seconds=300)


def host_of(on: Stage, app: str) -> str:
    return str(on.get("App", app)["status"]["hostname"])


def call_at_once(at: Gateway, calls: Sequence[tuple[str, str]], seconds: float) -> list[tuple[int, str]]:
    """Calls each host with its key, all at once; returns status and body of each."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [*pool.map(lambda each: call(ThroughTheGateway(each[0], at, seconds), each[1]), calls)]


def call_one_after_another(at: Gateway, calls: Sequence[tuple[str, str]], seconds: float, *, over: float) -> list[tuple[int, str]]:
    """Calls each host with its key, spread evenly over a time; returns status and body of each."""

    def one(number: int) -> tuple[int, str]:
        time.sleep(number * over / len(calls))  # no condition is awaited: this is the pace
        host, key = calls[number]
        return call(ThroughTheGateway(host, at, seconds), key)

    with ThreadPoolExecutor(len(calls)) as pool:
        return [*pool.map(one, range(len(calls)))]


def wakes(watched: Watched, app: str, since: float) -> int:
    """Returns how often the App's workload went from 0 replicas to more."""
    count, before = 0, None
    for event in watched.of("Deployment", names.workload(app)):
        now = event.object["spec"]["replicas"]
        count += bool(before == 0 and now > 0 and event.at >= since)
        before = now
    return count
