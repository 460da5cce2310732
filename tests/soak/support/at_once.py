"""Deploys very many Apps at once, until all are Live, and creates the same objects plainly by as many connections."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynamiq_operator.model import names
from local.clusters import Cluster
from tests.support import factories as given
from tests.support.api import Api, Manifest, fresh_namespace
from tests.support.faults import deploys, operators
from tests.support.operator import install_rights
from tests.support.waiting import eventually

CONNECTIONS = 8
CHILDREN = {
    "Service": "v1",
    "ConfigMap": "v1",
    "Secret": "v1",
    "Deployment": "apps/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "PodDisruptionBudget": "policy/v1",
}
WITHIN = 1800.0
"""Seconds: controllers with their default limits make about 4 workloads a second."""


@dataclass(frozen=True)
class AtOnce:
    """The times of a run: seconds until the rows were created, until the last of them had ended, and of the plain creation; failed rows."""

    apps: int
    created: float
    ended: float
    plain: float
    failed: dict[str, str]

    @property
    def ratio(self) -> float:
        return self.ended / self.plain

    def lines(self) -> list[str]:
        return [
            f"{self.apps} Apps at once: rows created in {self.created:.1f} s, all ended after {self.ended:.1f} s, "
            f"{self.apps / self.ended:.1f} a second; {len(self.failed)} Failed",
            f"the same children by plain POSTs over {CONNECTIONS} connections, until all pods are ready: {self.plain:.1f} s; "
            f"ratio {self.ratio:.2f}",
            *(f"  {name}: {why}" for name, why in self.failed.items()),
        ]


def deployed_at_once(cluster: Cluster, api: Api, namespace: str, folder: Path, count: int) -> AtOnce:
    """Creates `count` Apps with an operator at work, then a row of each at once."""
    install_rights(cluster)
    operators.allow_leases(api, namespace)
    deploys.prepare(api, namespace, versions=("v1",))
    apps = [f"{given.NAME}-{number}" for number in range(count)]
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(lambda name: deploys.create_app(api, namespace, name), apps))
        with operators.running(operators.Login.of(cluster, api), namespace, folder):
            eventually("every App has its Service", lambda: _served(api, namespace) >= count, WITHIN, 0.5)
            began = time.monotonic()
            list(pool.map(lambda name: deploys.create_row(api, namespace, f"{name}-a", app=name, workflowVersion="v1"), apps))
            created = time.monotonic() - began
            eventually("every row has ended", lambda: _live(api, namespace) + len(_failed(api, namespace)) == count, WITHIN, 0.5)
            ended = time.monotonic() - began
        failed = _failed(api, namespace)
        return AtOnce(count, created, ended, _plain(api, namespace, pool, count - len(failed)), failed)


def _plain(api: Api, namespace: str, pool: ThreadPoolExecutor, count: int) -> float:
    """Returns the seconds for creating copies of all children in a namespace of their own, and their pods."""
    with fresh_namespace(api, "plain") as other:
        copies = [_copy(each, other) for kind, version in CHILDREN.items() for each in _children(api, namespace, kind, version)]
        began = time.monotonic()
        for answer in pool.map(api.create, copies):
            assert answer.ok, answer.message
        eventually("all pods are ready", lambda: _available(api, other) == count, WITHIN, 0.5)
        return time.monotonic() - began


def _children(api: Api, namespace: str, kind: str, version: str) -> Iterable[Manifest]:
    children = api.get(kind, "", namespace, api_version=version, labelSelector=names.MANAGED_SELECTOR).body["items"]
    return ({"apiVersion": version, "kind": kind, **each} for each in children)


def _copy(raw: Manifest, namespace: str) -> Manifest:
    meta = {key: raw["metadata"][key] for key in ("name", "labels", "annotations") if key in raw["metadata"]}
    content: dict[str, Any] = {key: value for key, value in raw.items() if key not in ("metadata", "status")}
    if raw["kind"] == "Service":
        content["spec"] = {key: value for key, value in raw["spec"].items() if not key.startswith("clusterIP")}
    return {**content, "metadata": {**meta, "namespace": namespace}}


def _live(api: Api, namespace: str) -> int:
    return len(api.get("Deployment", "", namespace, fieldSelector="status.phase=Live").body["items"])


def _failed(api: Api, namespace: str) -> dict[str, str]:
    """Returns the failed rows, with the reason."""
    rows = api.get("Deployment", "", namespace, fieldSelector="status.phase=Failed").body["items"]
    return {row["metadata"]["name"]: row["spec"]["outcome"]["reason"] for row in rows}


def _served(api: Api, namespace: str) -> int:
    """Counts Apps whose status has ChildrenApplied: without a row, these are the Service and the keys."""
    conditions = (app["status"].get("conditions", ()) for app in api.get("App", "", namespace).body["items"])
    return sum(
        any((each["type"], each["status"]) == ("ChildrenApplied", "True") for each in conditions_of_app) for conditions_of_app in conditions
    )


def _available(api: Api, namespace: str) -> int:
    workloads = api.get("Deployment", "", namespace, api_version="apps/v1").body["items"]
    return sum(bool(each["status"].get("availableReplicas")) for each in workloads)
