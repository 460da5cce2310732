"""Compares the first page of Apps of a large project with that of a small one, in one cluster, by one caller, in turn.

It measures the caller's wait, over one kept connection, until the last byte of the body; it does not parse the body.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from dynamiq_operator.kube.resources import APPS, ROWS, WORKFLOWS
from dynamiq_operator.model import kinds
from dynamiq_operator.model.base import API_VERSION
from local.clusters import Cluster
from tests.bench.test_rest_latency import Connection
from tests.support import factories as given
from tests.support import rest
from tests.support.api import Api, Manifest, fresh_namespace
from tests.support.cluster import Kubectl
from tests.support.operator import install_rights
from tests.support.plugin import Plugin
from tests.support.swarm import MERGE, Request, Swarm, shared, swarm

SIZES = {"large": 3_000, "small": 50}
"""Apps of each project."""
WORKFLOWS_OF_PROJECT = 20
WARM, ROUNDS, ROUNDS_OF_PLUGIN = 10, 60, 9
PAGE_MOST = 1.5
"""The most that the page of the large project may take, in times of the small one's."""
PLUGIN_MOST = 1.5
"""The most that `kubectl dynamiq list` may take, in times of `kubectl get` of the same Apps."""
CONDITIONS = [
    {"type": each, "status": "True", "reason": "Serving", "message": "v1 (#1) is live", "lastTransitionTime": "2026-11-24T12:00:02Z"}
    for each in ("Ready", "Live", "Routed")
]


@dataclass(frozen=True)
class Place:
    """The cluster with its Apps, its API, and a caller. `projects`: namespace and id of each."""

    cluster: Cluster
    url: str
    token: str
    projects: Mapping[str, tuple[str, str]]


@pytest.fixture(scope="module")
def place(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Makes the Apps, each with a live row."""
    folder = tmp_path_factory.mktemp("apps")
    install_rights(cluster)
    api = Api.of(cluster)
    with ExitStack() as stack:
        namespaces = {name: stack.enter_context(fresh_namespace(api, f"apps {name}")) for name in SIZES}
        began = time.monotonic()
        asyncio.run(_create(cluster, namespaces))
        print(f"\n{sum(SIZES.values())} Apps made in {time.monotonic() - began:.0f} s")
        url = stack.enter_context(rest.serving(rest.install(cluster, folder), folder))
        home = namespaces["small"]
        token = rest.account(api, home, "caller", "view")
        for namespace in namespaces.values():
            rest.bind(api, namespace, "caller", "view", home)
        yield Place(cluster, url, token, {name: (each, rest.uid(api, "Namespace", each)) for name, each in namespaces.items()})


async def _create(cluster: Cluster, namespaces: Mapping[str, str]) -> None:
    async with swarm(cluster) as sending:
        for namespace in namespaces.values():
            for number in range(WORKFLOWS_OF_PROJECT):
                manifest = given.workflow_manifest(given.in_namespace(namespace), name=f"flow-{number}")
                await _send(sending, "POST", WORKFLOWS.path(namespace), manifest)

        async def create(_: int, numbered: tuple[str, int]) -> None:
            await _app(sending, *numbered)

        await shared(((namespaces[name], number) for name, count in SIZES.items() for number in range(count)), create)


async def _app(sending: Swarm, namespace: str, number: int) -> None:
    name, workflow, placed = f"chat-{number}", f"flow-{number % WORKFLOWS_OF_PROJECT}", given.in_namespace(namespace)
    app = await _send(sending, "POST", APPS.path(namespace), given.app_manifest(placed, given.with_spec(workflow=workflow), name=name))
    owner = {"apiVersion": API_VERSION, "kind": kinds.APP.kind, "name": name, "uid": app["metadata"]["uid"], "controller": True}
    live = given.live(1, "v1", workflow=workflow)
    row = given.row_manifest(f"{name}-r1", placed, given.of_app(name), live, given.with_meta(ownerReferences=[owner]))
    status = row.pop("status")
    await _send(sending, "POST", ROWS.path(namespace), row)
    await _send(sending, "PATCH", ROWS.path(namespace, f"{name}-r1", "status"), {"status": status})
    serves = {"row": f"{name}-r1", "sequence": 1, "workflowVersion": "v1", "runtime": "1.0.0"}
    more = {"hostname": f"{name}.{namespace}.apps.example.com", "url": f"https://{name}.{namespace}.apps.example.com"}
    status = {"live": serves, "conditions": CONDITIONS, "observedGeneration": 1, **more}
    await _send(sending, "PATCH", APPS.path(namespace, name, "status"), {"status": status})


async def _send(sending: Swarm, method: str, path: str, body: Manifest) -> Manifest:
    request = Request(method, path, body, MERGE) if method == "PATCH" else Request(method, path, body)
    answer = await sending.send(request)
    assert answer.ok, answer.message
    return answer.body


def in_turn(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Returns the median of each call's milliseconds."""
    took: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds):
        for name, call in list(calls.items())[:: 1 if number % 2 else -1]:
            began = time.perf_counter()
            call()
            took[name].append((time.perf_counter() - began) * 1000)
    return {name: statistics.median(times) for name, times in took.items()}


@pytest.mark.timeout(900)
def test_a_page_of_apps_costs_the_same_in_a_large_project(place: Place) -> None:
    connection = Connection(place.url, place.token)

    def page(project: str) -> Callable[[], bytes]:
        return lambda: connection("GET", f"/v1/apps?project_id={place.projects[project][1]}")

    pages = {project: page(project) for project in SIZES}
    for project, read in pages.items():
        answer = json.loads(read())
        assert (answer["pagination"]["total_count"], len(answer["data"])) == (SIZES[project], 25)
        assert {app["status"]["word"] for app in answer["data"]} == {"Live"}
        assert None not in {app["live"]["created_at"] for app in answer["data"]}
    in_turn(pages, WARM)
    p50 = in_turn(pages, ROUNDS)
    ratio = p50["large"] / p50["small"]
    print(f"\na page of 25 Apps of {SIZES['large']} {p50['large']:.1f} ms, of {SIZES['small']} {p50['small']:.1f} ms;", end=" ")
    print(f"ratio {ratio:.2f}, at most {PAGE_MOST}")
    assert ratio <= PAGE_MOST


@pytest.mark.timeout(900)
def test_the_plugin_lists_apps_as_fast_as_kubectl_gets_them(place: Place, tmp_path: Path) -> None:
    namespace, _ = place.projects["large"]
    kubectl, plugin = Kubectl(place.cluster), Plugin(place.cluster, namespace, tmp_path)
    commands: dict[str, Callable[[], str]] = {
        "get": lambda: kubectl("get", "apps.dynamiq.getdynamiq.ai", namespace=namespace).stdout,
        "list": lambda: plugin.process("list").stdout,
        "first 25": lambda: plugin.process("list", "--limit", "25").stdout,
    }
    lines = {name: len(run().splitlines()) for name, run in commands.items()}
    assert lines == {"get": SIZES["large"] + 1, "list": SIZES["large"] + 1, "first 25": 26}
    p50 = in_turn(commands, ROUNDS_OF_PLUGIN)
    ratio = p50["list"] / p50["get"]
    print(f"\nkubectl get of {SIZES['large']} Apps {p50['get']:.0f} ms, kubectl dynamiq list {p50['list']:.0f} ms,", end=" ")
    print(f"with --limit 25 {p50['first 25']:.0f} ms; ratio {ratio:.2f}, at most {PLUGIN_MOST}")
    assert ratio <= PLUGIN_MOST
