"""Compares calls by an App's hostname with calls through a hand-made Service and Ingress to the same pods: they cost the same.

It compares the gateway's own configuration for both, then calls in turn. The log goes to docs/measured/hostname-latency.txt.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from local import components, gateway
from local.clusters import Cluster
from local.gateway import Gateway
from tests.support.api import Manifest
from tests.support.cluster import REPOSITORY, session_cluster
from tests.support.factories import public
from tests.support.gateway import ThroughTheGateway, until_answer
from tests.support.stage import Stage, operator, stage

DOMAIN = "apps.example.test"
APP, BY_HAND = "timed", "by-hand"
PAIRS, WARM, RESAMPLED = 3000, 100, 2000
BODY = b'{"input": {}}'
HEADERS = {"Content-Type": "application/json"}
LOG = REPOSITORY / "docs" / "measured" / "hostname-latency.txt"


@pytest.fixture(scope="module")
def cluster(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """Provides a node whose pods answer, instead of this folder's simulated ones."""
    with session_cluster("node", pytestconfig) as started:
        yield started


@pytest.fixture
def on(cluster: Cluster, tmp_path: Path) -> Iterator[Stage]:
    options = [f"--domain={DOMAIN}", f"--ingress-class={gateway.INGRESS_CLASS}"]
    with stage(cluster, "latency") as staged, operator(staged, folder=tmp_path, options=options):
        staged.release("v1")
        staged.runtime("fast", by_default=True)
        yield staged


def by_hand(on: Stage, host: str) -> None:
    """Makes a Service and an Ingress as a person writes them, to the pods of the App."""
    pods = on.workload(APP)["spec"]["selector"]["matchLabels"]
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    on.create({**on.named("Service", BY_HAND), "spec": {"selector": pods, "ports": ports}})
    backend = {"service": {"name": BY_HAND, "port": {"name": "http"}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    rules = [{"host": host, "http": {"paths": paths}}]
    on.create({**on.named("Ingress", BY_HAND), "spec": {"ingressClassName": gateway.INGRESS_CLASS, "rules": rules}})


def served_by(cluster: Cluster, on: Stage, service: str, host: str) -> Manifest:
    """Returns Envoy's virtual host, cluster and endpoints of a hostname, without mere names."""
    parts = gateway.configuration(cluster)
    hosts = [each for each in _each(parts, "virtual_hosts") if host in each["domains"]]
    clusters = [each for each in _each(parts, "cluster") if each["name"].startswith(f"{on.namespace}/{service}/")]
    endpoints = [each for each in _each(parts, "endpoint_config") if each["cluster_name"].startswith(f"{on.namespace}/{service}/")]
    assert len(hosts) == len(clusters) == len(endpoints) == 1, (hosts, clusters, endpoints)
    text = json.dumps({"host": hosts[0], "cluster": clusters[0], "endpoints": endpoints[0]}, sort_keys=True)
    for name, instead in (
        (clusters[0]["name"], "NAME"),
        (host, "HOST"),
        *((f"{each}{service}", f"{each}SERVICE") for each in ("/", "_", '"')),
    ):
        text = text.replace(name, instead)
    normalized: Manifest = json.loads(text)
    return normalized


def _each(part: Any, key: str) -> Iterator[Manifest]:
    """Yields every object below `key`, wherever it is."""
    if isinstance(part, dict):
        for name, value in part.items():
            if name == key:
                yield from (each for each in (value if isinstance(value, list) else [value]) if isinstance(each, dict))
            else:
                yield from _each(value, key)
    elif isinstance(part, list):
        for each in part:
            yield from _each(each, key)


def took(connection: HTTPConnection) -> float:
    """Returns milliseconds of one call over a kept connection."""
    began = time.perf_counter()
    connection.request("POST", "/", BODY, HEADERS)
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200
    return (time.perf_counter() - began) * 1000


def p95(times: Sequence[float]) -> float:
    return sorted(times)[int(0.95 * (len(times) - 1))]


def interval(pairs: Sequence[tuple[float, float]], share: float) -> tuple[float, float]:
    """Returns the interval of the ratio of the p95s in `share` of the resamples, by bootstrap over pairs."""
    chance = random.Random(1)  # noqa: S311 - it only resamples
    ratios = []
    for _ in range(RESAMPLED):
        ours, theirs = zip(*chance.choices(pairs, k=len(pairs)), strict=True)
        ratios.append(p95(ours) / p95(theirs))
    ratios.sort()
    tail = (1 - share) / 2
    return ratios[int(tail * (RESAMPLED - 1))], ratios[int((1 - tail) * (RESAMPLED - 1))]


@pytest.mark.timeout(900)
def test_a_hostname_costs_what_a_hand_made_ingress_costs(cluster: Cluster, on: Stage) -> None:
    at: Gateway = gateway.start(cluster)
    on.app(APP, public())
    on.live(APP, "v1", config={"autoscaling": {"minReplicas": 2, "maxReplicas": 2}})
    hosts = {APP: str(on.get("App", APP)["status"]["hostname"]), BY_HAND: f"{BY_HAND}.{on.namespace}.{DOMAIN}"}
    by_hand(on, hosts[BY_HAND])
    for host in hosts.values():
        until_answer(host, at, "v1")
    on.until_settled(APP)
    ours, theirs = (served_by(cluster, on, service, host) for service, host in hosts.items())
    assert ours == theirs
    assert "retry_policy" not in json.dumps(ours), "a retry would hide a call that failed"

    connections = {name: ThroughTheGateway(host, at) for name, host in hosts.items()}
    for connection in list(connections.values()) * WARM:
        took(connection)
    pairs: list[tuple[float, float]] = []
    for number in range(PAIRS):
        order = (APP, BY_HAND) if number % 2 else (BY_HAND, APP)
        times = {name: took(connections[name]) for name in order}
        pairs.append((times[APP], times[BY_HAND]))
    for connection in connections.values():
        connection.close()

    lines = [f"make bench: Kubernetes {components.KUBERNETES.version}, Contour {components.CONTOUR.version}, {os.cpu_count()} cores,"]
    lines += [f"load average {os.getloadavg()[0]:.1f}; {PAIRS} pairs in turn, one caller, connections kept, two pods.", ""]
    lines += ["Envoy's virtual host, cluster and endpoints of both are the same but for their names; neither tries a call again."]
    for name, seconds in zip(hosts, zip(*pairs, strict=True), strict=True):
        lines += [f"  {'the App' if name == APP else 'by hand':8s} p50 {statistics.median(seconds):6.2f} ms, p95 {p95(seconds):6.2f} ms"]
    ratio = p95([pair[0] for pair in pairs]) / p95([pair[1] for pair in pairs])
    low, high = interval(pairs, 0.95)
    lines += [f"  ratio of the p95s {ratio:.3f}, between {low:.3f} and {high:.3f} (95 %, bootstrap over pairs, {RESAMPLED} resamples)"]
    print("\n" + "\n".join(lines))
    LOG.write_text("\n".join(lines) + "\n")
    least, most = interval(pairs, 0.999)
    assert least <= 1 <= most
