"""A cluster at its full size: Apps that serve, each with releases of some KiB, and rows that ended long ago."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dynamiq_operator.desired.base import WORKLOAD
from dynamiq_operator.kube.resources import APPS, BY_KIND, NAMESPACES, RECORDS, RUNTIMES, VERSIONS, ApiResource
from dynamiq_operator.model import digests
from local.clusters import Cluster
from tests.support import factories as given
from tests.support.api import Api, Manifest
from tests.support.faults import operators
from tests.support.operator import install_rights
from tests.support.swarm import MERGE, Request, Swarm, shared, swarm
from tests.support.waiting import eventually

LEASE = "dynamiq-operator"
"""The only one for which the operator's account has rights in its own namespace."""
PACE_WITHIN = 60.0
LIVE_WITHIN = 1800.0
"""Seconds: controllers with their default limits make some 4 workloads a second."""


@dataclass(frozen=True)
class Size:
    """`apps` that serve; of each, `releases` with a flow of `flow_bytes`, and `closed` rows that failed."""

    apps: int
    releases: int = 10
    flow_bytes: int = 40 * 1024
    closed: int = 50
    namespaces: int = 10

    def places(self) -> Iterator[tuple[str, str]]:
        """Namespace and name of each App."""
        return ((f"scale-{number % self.namespaces}", f"chat-{number}") for number in range(self.apps))


def fill(cluster: Cluster, api: Api, size: Size, folder: Path) -> None:
    """Makes all of it, and waits until every App is Live by an operator of this checkout."""
    install_rights(cluster)
    asyncio.run(_create(cluster, size))
    with operators.running(operators.Login.of(cluster, api), None, folder, lease=LEASE):
        eventually("every App is live", lambda: live(api) >= size.apps, LIVE_WITHIN, 2)


def live(api: Api) -> int:
    """Rows that are live in the whole cluster."""
    return len(api.get("Deployment", "", "", fieldSelector="status.phase=Live").body["items"])


def flow(app: str, version: str, size: int) -> str:
    """A flow of this size that no other release has."""
    start = given.flow(f"{app} {version}")
    return start + "#" * (size - len(start) - 1) + "\n"


async def _create(cluster: Cluster, size: Size) -> None:
    async with swarm(cluster) as sending:
        for number in range(size.namespaces):
            await _post(sending, NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"scale-{number}"}})
        await _post(sending, RUNTIMES, given.runtime_manifest())

        async def of_app(_: int, place: tuple[str, str]) -> None:
            await _app(sending, size, *place)

        await shared(size.places(), of_app)


async def _app(sending: Swarm, size: Size, namespace: str, app: str) -> None:
    here = given.in_namespace(namespace)
    await _post(sending, APPS, given.app_manifest(here, given.with_spec(workflow=app), given.with_deadline(3600), name=app))
    for number in range(1, size.releases + 1):
        text = flow(app, f"v{number}", size.flow_bytes)
        await _post(sending, VERSIONS, given.version_manifest(f"v{number}", here, given.with_spec(flow=text), workflow=app))
    text = digests.flow_hash(flow(app, "v1", size.flow_bytes))
    for number in range(1, size.closed + 1):
        name = f"{app}-r{number}"
        row = given.row_manifest(name, here, given.of_app(app), given.failed(number, "v1", workflow=app, workflowHash=text))
        await _post(sending, RECORDS, row)
        status = {"status": {"phase": "Failed", "observedGeneration": 1}}
        answer = await sending.send(Request("PATCH", RECORDS.path(namespace, name, "status"), status, MERGE))
        assert answer.ok, answer.message
    await _post(sending, RECORDS, given.row_manifest(f"{app}-live", here, given.of_app(app), given.asking(workflowVersion="v1")))


async def _post(sending: Swarm, resource: ApiResource, made: Manifest) -> None:
    answer = await sending.send(Request("POST", resource.path(made["metadata"].get("namespace", "")), made))
    assert answer.ok or answer.status == 409, answer.message


@dataclass(frozen=True)
class Pace:
    """Seconds from before the first byte of a row's POST until its pins, and until the new pod template, were in a watch."""

    row: str
    pinned: float
    rolled: float


async def pace(sending: Swarm, namespace: str, app: str, **asked: str) -> Pace:
    """Deploys an App that serves, and waits until its new row has ended and the App says so."""
    row = f"{app}-{uuid.uuid4().hex[:8]}"
    workloads = BY_KIND[WORKLOAD.kind]
    before = await get(sending, workloads.path(namespace, app))
    watched = [
        asyncio.create_task(first_seen(sending, RECORDS, namespace, row, lambda found: "pinned" in found["spec"])),
        asyncio.create_task(
            first_seen(sending, workloads, namespace, app, lambda found: found["spec"]["template"] != before["spec"]["template"])
        ),
    ]
    await asyncio.sleep(0.2)  # until both watches are open
    made = given.row_manifest(row, given.in_namespace(namespace), given.of_app(app), given.asking(**asked))
    began = time.monotonic()
    await _post(sending, RECORDS, made)
    pinned, rolled = await asyncio.wait_for(asyncio.gather(*watched), PACE_WITHIN)
    await asyncio.wait_for(first_seen(sending, RECORDS, namespace, row, lambda found: "outcome" in found["spec"]), PACE_WITHIN)
    await asyncio.wait_for(first_seen(sending, APPS, namespace, app, lambda found: found["status"]["live"]["row"] == row), PACE_WITHIN)
    return Pace(row, pinned - began, rolled - began)


async def first_seen(sending: Swarm, resource: ApiResource, namespace: str, name: str, is_so: Callable[[Manifest], bool]) -> float:
    """The monotonic time at which a watch first shows the object so."""
    query = {"watch": "true", "fieldSelector": f"metadata.name={name}"}
    async with sending.session.get(sending.server + resource.path(namespace), params=query) as stream:
        async for line in stream.content:
            if is_so(json.loads(line)["object"]):
                return time.monotonic()
    raise AssertionError(f"the watch of {resource.kind} {name} ended")


async def get(sending: Swarm, path: str) -> Manifest:
    """The object at a path."""
    answer = await sending.send(Request("GET", path))
    assert answer.ok, answer.message
    return answer.body
