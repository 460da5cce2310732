"""Tests the gate on real pods: what callers of an App notice while it falls asleep and wakes. The operator's part is done by hand."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from dynamiq_operator.model import names
from local.clusters import Cluster
from local.gateway import Gateway
from tests.support.api import Api
from tests.support.flows import sleeping
from tests.support.gates import ByHand
from tests.support.gateway import ThroughTheGateway, answer, asked, until_answer
from tests.support.history_stage import counted
from tests.support.load.callers import Heard, calling
from tests.support.load.sleepers import Gates, install
from tests.support.stage import stage
from tests.support.waiting import IN_TIME, eventually

PORTS = itertools.count(20100)
SLEEPERS = 50
CALLED_FOR = 25
"""Seconds: longer than until the end of the last old pod."""
LONG = 60  # seconds
ENFORCED_WITHIN = IN_TIME


@pytest.fixture(scope="module")
def apps(cluster: Cluster, at: Gateway) -> Iterator[ByHand]:
    with stage(cluster, "gate") as on:
        yield ByHand(on)


@pytest.fixture(scope="module")
def gates(cluster: Cluster) -> Gates:
    return install(cluster)


def address(apps: ByHand, app: str) -> tuple[str, int]:
    """Returns the address at which pods call an App: its Service."""
    return apps.on.get("Service", app)["spec"]["clusterIP"], 80


@pytest.mark.long(
    "callers of many sleeping Apps, one after another, through a rollout; one gate that ends and lets its calls end: "
    "tests/unit/gate/test_membership.py::test_one_that_ends_leaves_where_another_is_and_lets_its_calls_end"
)
@pytest.mark.full_count
@pytest.mark.timeout(1800)
def test_a_gate_that_is_rolled_out_anew_fails_no_call(apps: ByHand, gates: Gates, cluster: Cluster, at: Gateway) -> None:
    """Each sleeping App gets its first call while the gate's pods are replaced; long runs and streams continue through it."""
    apps_called = [f"app{number}" for number in range(counted(SLEEPERS))]
    for app in apps_called:
        apps.make(app)
    apps.make("long", sleeping("done"))
    until_answer(apps.host("long"), at, "done")
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda app: asleep(apps, app), (*apps_called, "long")))
        runs = [pool.submit(run, apps, at, number % 2 == 1) for number in range(8)]
        before = uids(apps.on.api)
        gates.roll_out_anew()
        answers = [called(apps, cluster, app, CALLED_FOR / len(apps_called)) for app in apps_called]
        gates.until_ready()
        eventually("the pods of before have gone", lambda: not before & uids(apps.on.api))
        whole(runs)
    for app, each in zip(apps_called, answers, strict=True):
        print(f"\n{app}: {each}")
        assert not each.failed, f"{app}: {each.why()}"
        assert each.calls


def asleep(apps: ByHand, app: str) -> None:
    apps.until_available(app)
    apps.sleep(app, next(PORTS))


def called(apps: ByHand, cluster: Cluster, app: str, seconds: float) -> Heard:
    """Returns the answers to callers of an App's Service, one after the other for some seconds."""
    with calling(cluster, apps.host(app), new=5, at=address(apps, app), timeout=120) as answers:
        time.sleep(seconds)  # so that the last App gets its first call after the end of the old pods
        apps.until_available(app)  # a busy machine may take long
    return answers


def run(apps: ByHand, at: Gateway, stream: bool) -> tuple[int, str]:
    """Calls a long run, as one answer or as a stream of events."""
    seconds = counted(LONG)
    return asked(ThroughTheGateway(apps.host("long"), at, timeout=seconds + 180), stream=stream, seconds=seconds)


def whole(runs: list[Future[tuple[int, str]]]) -> None:
    results = [each.result() for each in runs]
    assert [status for status, _ in results] == [200] * len(results), results
    assert {text for _, text in results[::2]} == {answer("done")[1]}
    assert all("event: result" in text and '"done"' in text for _, text in results[1::2]), results[1]


def uids(api: Api) -> set[str]:
    """Returns the gate's pods, including terminating ones."""
    return {pod["metadata"]["uid"] for pod in api.get("Pod", "", names.GATE_NAMESPACE).body["items"]}


@pytest.fixture
def stray(apps: ByHand, gates: Gates) -> Iterator[tuple[str, int]]:
    """Provides an address of a gate's pod, and a port there with a server that the gate does not know."""
    (pod, *_), port = gates.pods(), 8079
    listen = f"import http.server; http.server.HTTPServer(('', {port}), http.server.BaseHTTPRequestHandler).serve_forever()"
    start = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {listen!r}], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).pid)"
    command = ("exec", pod["metadata"]["name"], "--", "python3", "-c")
    pid = apps.on.kubectl(*command, start, namespace=names.GATE_NAMESPACE).stdout.strip()
    yield pod["status"]["podIP"], port
    apps.on.kubectl(*command, f"import os; os.kill({pid}, 9)", namespace=names.GATE_NAMESPACE)


def test_callers_reach_of_a_gate_the_ports_of_sleeping_apps_alone(apps: ByHand, stray: tuple[str, int]) -> None:
    apps.make("walled")
    apps.until_available("walled")
    port = next(PORTS)
    apps.sleep("walled", port)
    address, strange = stray
    targets = [f"{address}:{each}" for each in (port, 8081, 9090, strange)]
    eventually("the node reaches all, which no policy hinders", lambda: apps.on.reached_from_node(*targets) == targets)
    eventually("callers reach all but the last", lambda: apps.on.reached("caller", *targets) == targets[:3], ENFORCED_WITHIN, 0.5)
    apps.on.until_answer("walled", "walled")


@pytest.mark.usefixtures("gates")
def test_the_gate_is_a_caller_that_a_policy_over_a_sleeping_app_lets_through(apps: ByHand) -> None:
    """Tests a tenant's own policy: without the gate in it, a call wakes the App and gets no answer; with it, only the gate passes."""
    on = apps.on
    apps.make("fenced")
    apps.until_available("fenced")
    (pod,) = on.pods("fenced")
    pod_address = f"{pod['status']['podIP']}:8080"
    eventually("it is reached", lambda: on.reached("caller", pod_address) == [pod_address], ENFORCED_WITHIN, 0.5)
    fence = on.named("NetworkPolicy", "fence")
    on.create({**fence, "spec": {"podSelector": {"matchLabels": names.pod_selector("fenced")}, "policyTypes": ["Ingress"]}})
    eventually("nobody reaches it", lambda: on.reached("caller", pod_address) == [], ENFORCED_WITHIN, 0.5)
    port = next(PORTS)
    apps.sleep("fenced", port, holdSeconds=4)
    eventually("its callers are led to the gate, which does not reach it", lambda: on.call("fenced")[0] == 503)
    by_gate = {
        "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": names.GATE_NAMESPACE}}}],
        "ports": [{"port": "http"}],
    }
    on.change("NetworkPolicy", "fence", spec={"ingress": [by_gate]})
    on.until_answer("fenced", "fenced")
    (pod,) = on.pods("fenced")
    eventually("nobody else is", lambda: on.reached("caller", f"{pod['status']['podIP']}:8080") == [], ENFORCED_WITHIN, 0.5)
