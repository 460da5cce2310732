"""Tests clusters of our own on this machine: in parallel, with pods that answer, and deleted without a trace."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local import builds, clusters, components, images, metrics, processes, sandbox, state
from local.clusters import Cluster
from tests.support.waiting import eventually

REPOSITORY = Path(__file__).parents[2]
IMAGE = "tests.dynamiq.test/answers:1"  # CoreDNS: a server that exists anyway
ANSWERS = """
apiVersion: v1
kind: ConfigMap
metadata: {name: answers}
data: {Corefile: ".:1053 {\\n ready :8080\\n}\\n"}
---
apiVersion: v1
kind: Pod
metadata: {name: answers, labels: {app: answers}}
spec:
  containers:
  - name: answers
    image: tests.dynamiq.test/answers:1
    args: [-conf, /etc/answers/Corefile]
    readinessProbe: {httpGet: {path: /ready, port: 8080}, periodSeconds: 1}
    volumeMounts: [{name: config, mountPath: /etc/answers}]
  volumes: [{name: config, configMap: {name: answers}}]
---
apiVersion: v1
kind: Service
metadata: {name: answers}
spec: {selector: {app: answers}, ports: [{port: 80, targetPort: 8080}]}
"""
pytestmark = [
    pytest.mark.long(
        "clusters side by side, and launchers that are killed; each suite starts and stops one: tests/system/test_unprivileged.py, tests/node"
    ),
    pytest.mark.usefixtures("root"),
]


def kubectl(cluster: Cluster, *arguments: str, text: str | None = None) -> str:
    command = [str(cluster.kubectl), "--kubeconfig", str(cluster.kubeconfig), "--request-timeout=120s", *arguments]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def record_of(name: str) -> state.Record:
    record = state.load(name)
    assert record is not None
    return record


def traces(record: state.Record) -> list[str]:
    """Returns a cluster's resources on the machine, whatever the state of its record."""
    remains = [f"process {pid}" for pid in processes.find(record.token)]
    remains += [path for path in (*record.cgroups, record.run) if path and Path(path).exists()]
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    return remains + [line for line in mounts if record.token in line or str(record.folder) in line]


def cgroups_of(*parts: str) -> list[str]:
    """Returns control groups of the machine with one of these in their names."""
    return [str(path) for path in Path("/sys/fs/cgroup").rglob("*") if path.is_dir() and any(part in path.name for part in parts)]


def namespaces(pids: Iterable[int]) -> set[str]:
    """Returns the mount, process id and network namespaces of processes; ended ones have none."""
    links = set()
    for pid in pids:
        for kind in ("mnt", "pid", "net"):
            with contextlib.suppress(OSError):
                links.add(str(Path(f"/proc/{pid}/ns/{kind}").readlink()))
    return links


@pytest.fixture
def name() -> Iterator[str]:
    name = f"t{os.getpid()}"
    yield name
    clusters.stop(name)


@pytest.fixture(scope="module")
def restarted() -> Iterator[tuple[Cluster, list[state.Record]]]:
    """Provides a cluster whose launchers were killed at three moments of a start, with the records that they left."""
    name = f"t{os.getpid()}-b"
    killed: list[state.Record] = []
    try:
        for moment in (
            lambda: (record := state.load(name)) is not None and sandbox.find(record) is not None,
            lambda: (state.folder(name) / "logs" / "containerd.log").exists(),
            lambda: (state.folder(name) / "logs" / "kubelet.log").exists(),
        ):
            previous = killed[-1].token if killed else ""
            launcher = subprocess.Popen([sys.executable, "-m", "local", "up", "--name", name, "--profile", "node"], cwd=REPOSITORY)
            eventually("the launcher has begun", lambda: (now := state.load(name)) is not None and now.token != previous)  # noqa: B023 - used at once
            eventually("the launcher is so far", moment)
            launcher.send_signal(signal.SIGKILL)
            launcher.wait()
            killed.append(record_of(name))
            assert traces(killed[-1]), "the killed launcher left something to clean"
        yield clusters.start(name, "node", env={}), killed
    finally:
        clusters.stop(name)


@pytest.fixture(scope="module")
def pair(restarted: tuple[Cluster, list[state.Record]]) -> Iterator[tuple[Cluster, Cluster]]:
    name = f"t{os.getpid()}-a"
    try:
        yield clusters.start(name, "node", env={}), restarted[0]
    finally:
        clusters.stop(name)


@pytest.fixture(scope="module")
def answering(pair: tuple[Cluster, Cluster], tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    cluster, archive = pair[0], tmp_path_factory.mktemp("image") / "answers.tar"
    program = builds.ensure([components.COREDNS])["coredns"]
    images.write_image(archive, IMAGE, program.parent, entrypoint=["/coredns"])
    cluster.load_images([archive])
    kubectl(cluster, "apply", "-f", "-", text=ANSWERS)
    kubectl(cluster, "wait", "--for=condition=Ready", "pod/answers", "--timeout=240s")
    return cluster


def test_a_killed_launcher_is_cleaned_up_by_the_next_start(restarted: tuple[Cluster, list[state.Record]]) -> None:
    cluster, killed = restarted
    assert [trace for record in killed for trace in traces(record)] == []
    assert kubectl(cluster, "get", "nodes", "-o", "name").split() == [f"node/{cluster.name}-node"]


def test_two_clusters_live_side_by_side(pair: tuple[Cluster, Cluster]) -> None:
    for cluster in pair:
        kubectl(cluster, "create", "configmap", f"only-in-{cluster.name}")
    for cluster in pair:
        assert f"only-in-{cluster.name}" in kubectl(cluster, "get", "configmaps", "-o", "name")
        assert kubectl(cluster, "get", "nodes", "-o", "name").split() == [f"node/{cluster.name}-node"]
    assert f"only-in-{pair[1].name}" not in kubectl(pair[0], "get", "configmaps", "-o", "name")


def test_a_pod_answers_through_its_service(answering: Cluster) -> None:
    address = kubectl(answering, "get", "service", "answers", "-o", "jsonpath={.spec.clusterIP}")
    port = answering.forward(f"{address}:80")

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=2) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    eventually("the pod answers", answers)


def test_the_clusters_dns_knows_a_service(answering: Cluster) -> None:
    address = kubectl(answering, "get", "service", "answers", "-o", "jsonpath={.spec.clusterIP}")
    port = answering.forward("10.96.0.10:53")

    def known() -> bool:
        try:
            return resolve("answers.default.svc.cluster.local", port) == address
        except (OSError, struct.error):  # no server yet, or no answer
            return False

    eventually("the service's name is known", known)


def test_kubectl_reaches_into_a_pod(answering: Cluster) -> None:
    assert "CoreDNS-1.15.0" in kubectl(answering, "logs", "answers")
    assert "CoreDNS-1.15.0" in kubectl(answering, "exec", "answers", "--", "/coredns", "-version")


def test_a_cluster_knows_what_its_pods_use(answering: Cluster) -> None:
    metrics.start(answering)
    metrics.start(answering)  # it is already running
    assert answering.name in kubectl(answering, "top", "nodes", "--no-headers")

    def known() -> bool:
        usage = json.loads(kubectl(answering, "get", "--raw", "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods"))
        return "answers" in [each["metadata"]["name"] for each in usage["items"]]

    eventually("what the pod uses is known", known)


def test_the_audit_log_has_one_line_for_a_request(pair: tuple[Cluster, Cluster]) -> None:
    kubectl(pair[1], "create", "configmap", "counted")
    assert pair[1].audit_log is not None
    log = pair[1].audit_log

    def noted() -> list[dict[str, Any]]:
        events = [json.loads(line) for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [event for event in events if event["verb"] == "create" and event.get("objectRef", {}).get("name") == "counted"]

    written = eventually("the request is noted, which may be after its answer", noted)
    assert [(event["user"]["username"], event["stage"]) for event in written] == [("admin", "ResponseComplete")]


def test_a_start_of_a_running_cluster_changes_nothing(pair: tuple[Cluster, Cluster], capsys: pytest.CaptureFixture[str]) -> None:
    before = record_of(pair[0].name)
    assert clusters.start(pair[0].name, "node", env={}) == pair[0]
    assert "already running" in capsys.readouterr().out
    assert record_of(pair[0].name) == before


def test_a_context_is_used_and_never_stopped(pair: tuple[Cluster, Cluster], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(pair[1].kubeconfig))
    borrowed = clusters.start(name, env={"CLUSTER": pair[1].name})
    assert kubectl(borrowed, "get", "nodes", "-o", "name") == kubectl(pair[1], "get", "nodes", "-o", "name")
    assert clusters.stop(name)
    assert clusters.find(name) is None
    assert clusters.find(pair[1].name) == pair[1]


def test_a_stop_leaves_nothing_and_no_neighbour_notices(pair: tuple[Cluster, Cluster], answering: Cluster) -> None:
    record = record_of(answering.name)
    containers = Path(record.cgroups[0]).rglob("cgroup.procs")
    pids = [int(pid) for procs in containers for pid in procs.read_text().split()]
    assert pids, "the pod's processes are in the cluster's cgroup"
    uid = kubectl(answering, "get", "pod", "answers", "-o", "jsonpath={.metadata.uid}")
    inside = namespaces(pids) - namespaces([os.getpid()])
    assert {name.partition(":")[0] for name in inside} == {"mnt", "pid", "net"}
    assert {record.slug, uid} <= {part for part in (record.slug, uid) if cgroups_of(part)}
    numbers = [int(path.name) for path in Path("/proc").glob("[0-9]*")]  # others begin meanwhile, and reuse numbers
    answering.stop()
    assert traces(record) == []
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
    assert not inside & namespaces(numbers)
    assert cgroups_of(record.token, uid) == []
    assert list(record.folder.parent.glob(f"*{record.name}*")) == []
    assert clusters.find(pair[1].name) == pair[1]


def resolve(host: str, port: int) -> str:
    """Asks the DNS server behind a TCP port for a name's IPv4 address; returns empty text if there is none."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in host.split(".")) + b"\0"
    query = struct.pack(">6H", 1, 0x0100, 1, 0, 0, 0) + labels + struct.pack(">2H", 1, 1)
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(struct.pack(">H", len(query)) + query)
        answer = connection.makefile("rb")
        content = answer.read(struct.unpack(">H", answer.read(2))[0])
    return socket.inet_ntoa(content[-4:]) if struct.unpack(">H", content[6:8])[0] else ""
