"""Compares the management API with raw requests to the API server, one after the other in pairs, in a cluster of 10,000 rows.

It measures the caller's wait, over one kept connection each, until the last byte of the body; it does not parse the body.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
import urllib3

from dynamiq_operator.model import kinds
from dynamiq_operator.model.base import API_VERSION
from local import components
from local.clusters import Cluster
from tests.support import factories as given
from tests.support import rest, swarm
from tests.support.api import Api, Manifest, fresh_namespace, path
from tests.support.measured import MEASURED, kept
from tests.support.operator import install_rights
from tests.support.swarm import Request
from tests.support.waiting import eventually

LOG = MEASURED / "rest-latency.txt"
ROWS = 10_000
NAMESPACES = 10
FEW, MANY, PAGE = 50, 200, 50
PAIRS = 150
WARM = 20
READ_MOST, DEPLOY_MOST = 1.5, 2.0
RELEASES = ("v1", "v2")
Send = Callable[[], None]


@dataclass(frozen=True)
class Place:
    """The cluster with its rows, its API, and one caller."""

    cluster: Cluster
    api: Api
    namespace: str
    url: str
    token: str
    ids: Mapping[str, str]


class Connection:
    """Sends requests over one kept connection."""

    def __init__(self, url: str, token: str, authority: str | None = None) -> None:
        self._url, self._headers = url, {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._pool = urllib3.PoolManager(maxsize=1, block=True, ca_certs=authority)

    def __call__(self, method: str, path: str, body: Any = None) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        answer = self._pool.request(method, self._url + path, body=data, headers=self._headers, retries=False)
        assert answer.status < 300, answer.data
        return answer.data


@pytest.fixture(scope="module")
def place(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Makes the rows: half of them in the measured namespace."""
    folder = tmp_path_factory.mktemp("latency")
    install_rights(cluster)
    api = Api.of(cluster)
    with ExitStack() as stack:
        namespaces = [stack.enter_context(fresh_namespace(api, f"latency {number}")) for number in range(NAMESPACES)]
        measured = namespaces[0]
        apps = {name: _app(api, measured, name) for name in ("few", "many", "deployed")}
        for version in RELEASES:
            created = api.create(given.version_manifest(version, given.in_namespace(measured)))
            assert created.ok, created.message
        assert api.create(given.workflow_manifest(given.in_namespace(measured))).ok
        began = time.monotonic()
        rows = list(_rows(namespaces, apps))
        asyncio.run(_create(cluster, rows))
        print(f"\n{len(rows)} rows made in {time.monotonic() - began:.0f} s")
        live = {"row": "deployed-1", "sequence": 1, "workflowVersion": RELEASES[1], "runtime": given.a_runtime().spec.version}
        serves = api.merge(
            given.app_manifest(given.in_namespace(measured), name="deployed"), {"status": {"live": live}}, subresource="/status"
        )
        assert serves.ok, serves.message
        url = stack.enter_context(rest.serving(rest.install(cluster, folder), folder))
        caller = rest.client(api, url, measured, "caller", "edit")
        eventually("rights apply", lambda: caller("GET", f"/v1/apps/{apps['few']}/deployments").status_code == 200)
        assert caller.token is not None
        yield Place(cluster, api, measured, url, caller.token, {**apps, "workflow": rest.uid(api, "Workflow", given.NAME, measured)})


def _app(api: Api, namespace: str, name: str) -> str:
    created = api.create(given.app_manifest(given.in_namespace(namespace), name=name))
    assert created.ok, created.message
    return str(created.body["metadata"]["uid"])


def _rows(namespaces: list[str], apps: Mapping[str, str]) -> Iterator[Manifest]:
    measured, *others = namespaces
    counts = {"few": FEW, "many": MANY, "deployed": 1}
    for app, count in counts.items():
        owner = {"apiVersion": API_VERSION, "kind": kinds.APP.kind, "name": app, "uid": apps[app]}
        for number in range(1, count + 1):
            yield _row(measured, app, number, count, given.with_meta(ownerReferences=[owner]))
    remaining = ROWS - sum(counts.values())
    for number in range(remaining):
        namespace = measured if number % 2 else others[number // 2 % len(others)]
        yield _row(namespace, f"other-{number // 2 % 97}", number // 194 + 1, 0)


def _row(namespace: str, app: str, number: int, newest: int, *modifiers: given.Modifier) -> Manifest:
    phase = given.live if number == newest else given.superseded
    raw = given.row_manifest(
        f"{app}-{number}",
        given.in_namespace(namespace),
        given.with_spec(app=app, message=f"Deploy {number}", createdBy="anna@example.com"),
        phase(number, RELEASES[number % 2]),
        *modifiers,
    )
    raw.pop("status", None)
    return raw


async def _create(cluster: Cluster, rows: list[Manifest]) -> None:
    async with swarm.swarm(cluster) as connections:

        async def create(_: int, row: Manifest) -> None:
            answer = await connections.send(Request("POST", path(row, named=False), row))
            assert answer.ok, answer.message

        await swarm.shared(rows, create)


def paired(title: str, ours: Send, raw: Send, most: float, say: Callable[[str], None]) -> float:
    """Returns the ratio of the p50s of two requests, sent in turn."""
    for _ in range(WARM):
        ours()
        raw()
    times: dict[str, list[float]] = {"ours": [], "raw": []}
    for number in range(PAIRS):
        pair = [("ours", ours), ("raw", raw)]
        for name, send in pair if number % 2 else reversed(pair):
            began = time.perf_counter()
            send()
            times[name].append(time.perf_counter() - began)
    p50, raw50 = (statistics.median(times[name]) * 1000 for name in ("ours", "raw"))
    p95, raw95 = (statistics.quantiles(times[name], n=20)[-1] * 1000 for name in ("ours", "raw"))
    say(
        f"{title:46s} p50 {p50:6.1f} ms, raw {raw50:6.1f} ms, ratio {p50 / raw50:4.2f} (at most {most}); p95 {p95:6.1f} ms, raw {raw95:6.1f} ms"
    )
    return p50 / raw50


@pytest.mark.timeout(900)
def test_latency_beside_raw_requests(place: Place) -> None:
    configuration = place.api.client.configuration
    api, raw = Connection(place.url, place.token), Connection(configuration.host, place.token, configuration.ssl_ca_cert)
    collection = f"/apis/{API_VERSION}/namespaces/{place.namespace}/{kinds.ROW.plural}"

    def listed(app: str) -> str:
        return f"{collection}?fieldSelector={quote(f'spec.app={app}')}"

    few, many, app = place.ids["few"], place.ids["many"], place.ids["deployed"]
    body = {"workflow_id": place.ids["workflow"]}
    row = given.row_manifest("", given.in_namespace(place.namespace), given.with_spec(app="deployed"))
    row["metadata"] = {"generateName": "deployed-", "namespace": place.namespace}
    assert len(json.loads(raw("GET", listed("many")))["items"]) == MANY
    assert json.loads(api("GET", f"/v1/apps/{many}/deployments?page_size={PAGE}"))["pagination"]["total_count"] == MANY
    with kept(LOG, beside_older=True) as say:
        say(f"\n{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, load {os.getloadavg()[0]:.1f}")
        say(f"make bench: Kubernetes {components.KUBERNETES.version}, Python {sys.version.split()[0]}, {os.cpu_count()} cores,")
        say(f"{ROWS} rows in {NAMESPACES} namespaces, half of them in the one that is measured; {PAIRS} pairs each, one caller.\n")
        ratios = [
            paired(
                f"GET deployments of an App with {FEW} rows",
                lambda: _sent(api, "GET", f"/v1/apps/{few}/deployments?page_size={FEW}"),
                lambda: _sent(raw, "GET", listed("few")),
                READ_MOST,
                say,
            ),
            paired(
                f"a page of {PAGE} of an App with {MANY} rows",
                lambda: _sent(api, "GET", f"/v1/apps/{many}/deployments?page_size={PAGE}"),
                lambda: _sent(raw, "GET", listed("many")),
                READ_MOST,
                say,
            ),
            paired(
                "deploy, beside a POST of the record",
                lambda: _sent(api, "POST", f"/v1/apps/{app}/deploy", body),
                lambda: _sent(raw, "POST", collection, row),
                DEPLOY_MOST,
                say,
            ),
        ]
    assert ratios[0] <= READ_MOST
    assert ratios[1] <= READ_MOST
    assert ratios[2] <= DEPLOY_MOST


def _sent(connection: Connection, method: str, path: str, body: Any = None) -> None:
    connection(method, path, body)
