"""Replicas of the gate on a real API server: which replicas each slice has, one wake for many callers, and faults in between."""

from __future__ import annotations

import base64
import concurrent.futures
import signal
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from dynamiq_operator.model import names
from local.clusters import Cluster
from tests.support import gates
from tests.support.admission import made
from tests.support.api import Api, Manifest
from tests.support.faults import faults
from tests.support.faults.proxy import Proxy
from tests.support.gates import GateProcess
from tests.support.ports import free_port, gate_port
from tests.support.scripted import Reply, ScriptedServer
from tests.support.scripted_journal import ScriptedJournal
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("guarded", "rights")

SLICES = 8


@pytest.fixture(scope="module")
def rights(cluster: Cluster) -> None:
    gates.install_rights(cluster)


@pytest.fixture(scope="module")
def login(cluster: Cluster, rights: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gates.logged_in(cluster, tmp_path_factory.mktemp("gate"))


@pytest.fixture
def replicas(login: Path, tmp_path: Path) -> Iterator[Callable[..., GateProcess]]:
    """Yields a function that starts replicas, each at its own loopback address. They end with the test."""
    running: list[GateProcess] = []

    def start(kubeconfig: Path = login, *options: str) -> GateProcess:
        number = len(running) + 1
        made = GateProcess(kubeconfig, tmp_path, f"10.9.0.{number}", f"127.0.0.{number}", free_port(), free_port(), options)
        running.append(made.start())
        return made

    yield start
    for each in running:
        each.kill()


def ready(api: Api, *pods: GateProcess) -> None:
    """Writes the slice of the gate's own Service as Kubernetes does: these replicas are ready."""
    labels = {
        names.SERVICE_OF_SLICE_LABEL: names.GATE_SERVICE,
        names.SLICE_MANAGER_LABEL: "tests",
        names.ENDPOINTS_LABEL: names.WATCHED_ENDPOINTS,
    }
    manifest = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "dynamiq-gate-of-a-test", "namespace": names.GATE_NAMESPACE, "labels": labels},
        "addressType": "IPv4",
        "ports": [],
        "endpoints": [each.endpoint() for each in pods],
    }
    made(api.apply(manifest))


def call(at: GateProcess, port: int) -> int:
    """Returns the status of a call at a replica; 0 if it does not answer."""
    request = urllib.request.Request(f"http://{at.listens}:{port}/", b"{}")
    try:
        with urllib.request.urlopen(request, timeout=240.0) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def workload(api: Api, namespace: str, app: str, selector: dict[str, str] | None = None) -> Manifest:
    """Creates an App's workload without pods. It is paused, so that no pod is created."""
    labels = selector or names.pod_selector(app)
    spec = {"containers": [{"name": "runtime", "image": "registry.test/runtime:1"}]}
    return made(
        api.create(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": app, "namespace": namespace},
                "spec": {
                    "replicas": 0,
                    "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": spec},
                },
            }
        )
    )


def members(api: Api, slice_: Manifest, *pods: GateProcess) -> None:
    expected = sorted(each.name for each in pods)
    eventually(f"{expected} are in the slice", lambda: sorted(gates.endpoints(api, slice_)) == expected)


def test_replicas_join_wake_an_app_once_leave_and_are_removed_when_they_are_dead(
    api: Api, namespace: str, replicas: Callable[..., GateProcess]
) -> None:
    port = gate_port()
    asleep = workload(api, namespace, "chat")
    slices = [made(api.create(gates.gate_slice(namespace, f"app{number}", gate_port()))) for number in range(5)]
    slices.append(made(api.create(gates.gate_slice(namespace, "chat", port, holdSeconds=2))))
    one, two, three = replicas(), replicas(), replicas()
    ready(api, one, two, three)
    for each in slices:
        members(api, each, one, two, three)
    is_woken_once(api, namespace, asleep, port, one, two)
    two.signal(signal.SIGTERM)
    three.signal(signal.SIGKILL)
    ready(api, one)
    for each in slices:
        members(api, each, one)
    assert two.wait() == 0


def test_runs_that_wait_for_a_pod_wake_the_workload_of_their_pins(
    api: Api, namespace: str, login: Path, replicas: Callable[..., GateProcess], tmp_path: Path
) -> None:
    """One version is live and sleeps, an earlier one has a workload of its own, and of a third one the workload is missing."""
    old, live, missing = "0123456789abcdef", "fedcba9876543210", "aaaaaaaaaaaaaaaa"
    asleep = workload(api, namespace, "chat")
    finishing = workload(api, namespace, names.finishing("chat", old[:8]), names.finishing_selector("chat", old[:8]))
    idle = workload(api, namespace, names.finishing("chat", "bbbbbbbb"), names.finishing_selector("chat", "bbbbbbbb"))
    made(api.create(gates.gate_slice(namespace, "chat", gate_port(), pins=live)))
    app = {"namespace": namespace, "app": "chat", "app_uid": "uid-of-chat"}
    waiting = [{**app, "pins": pins, "queued": 1} for pins in (missing, old, live)]
    data = [*waiting, {**app, "pins": "b" * 16, "waiting": 3}]
    journal = ScriptedJournal().on("GET", "/v1/open", Reply(body={"version": "1", "data": data}))
    token = tmp_path / "token"
    token.write_text("of-the-gate")
    with ScriptedServer(journal) as server:
        one, two = (replicas(login, f"--journal={server.url}", f"--journal-token-file={token}") for _ in range(2))
        eventually("both are woken", lambda: [made(api.read(each))["spec"]["replicas"] for each in (asleep, finishing)] == [1, 1])
        of_chat = f'dynamiq_gate_woken_total{{app="chat",namespace="{namespace}"}}'
        eventually("each counts once", lambda: sum(replica.metrics().get(of_chat, 0) for replica in (one, two)) == 2)
    assert made(api.read(idle))["spec"]["replicas"] == 0


def is_woken_once(api: Api, namespace: str, asleep: Manifest, port: int, *at: GateProcess) -> None:
    """Asserts that twenty calls, spread over the replicas, wake the App once."""
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda number: call(at[number % len(at)], port), range(20)))
    assert found == [503] * 20  # its pods are simulated, and none answers
    eventually("it is woken", lambda: made(api.read(asleep))["spec"]["replicas"] == 1)
    woken = f'dynamiq_gate_woken_total{{app="chat",namespace="{namespace}"}}'

    def wakes() -> float:
        return sum(each.metrics().get(woken, 0) for each in at)

    eventually("a wake is counted", wakes)
    assert wakes() == 1


@contextmanager
def proxied(login: Path, folder: Path) -> Iterator[tuple[Proxy, Path]]:
    """Yields a proxy of the API server that logs in as the gate, and a kubeconfig for it."""
    config = yaml.safe_load(login.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    with Proxy(cluster["server"], ssl.create_default_context(cadata=authority), user["token"]) as proxy:
        config["clusters"][0]["cluster"] = {"server": proxy.url}
        path = folder / "proxied.kubeconfig"
        path.write_text(yaml.safe_dump(config))
        yield proxy, path


def test_the_gate_serves_the_existing_slices_through_any_fault(
    api: Api, namespace: str, login: Path, tmp_path: Path, replicas: Callable[..., GateProcess]
) -> None:
    with proxied(login, tmp_path) as (proxy, path):
        proxy.faults += [
            faults.Fails(0.1, faults.INTERNAL, faults.TOO_MANY, faults.CONFLICT),
            faults.CutsWatches(0.5),
            faults.LosesAnswers(0.2),
        ]
        one, two = replicas(path), replicas(path)
        ready(api, one, two)
        slices = [(made(api.create(gates.gate_slice(namespace, f"app{number}", port := gate_port()))), port) for number in range(SLICES)]
        gone, kept = slices[::2], slices[1::2]
        for raw, _ in slices:
            members(api, raw, one, two)
        for raw, _ in gone:
            made(api.delete(raw))
        for raw, port in kept:
            members(api, raw, one, two)
            assert probe(one, port) == 200
        eventually("what is gone is not served", lambda: not any(probe(each, port) for each in (one, two) for _, port in gone))


def probe(at: GateProcess, port: int) -> int:
    """Returns the status of a probe, which wakes nothing; 0 if nothing listens."""
    try:
        with urllib.request.urlopen(f"http://{at.listens}:{port}/readyz", timeout=60) as answer:
            return int(answer.status)
    except OSError:
        return 0
