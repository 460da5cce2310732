"""Starts everything that Prometheus scrapes: an App that is deployed and called, operator, API, gate, recorder and journal.

They are processes of this machine over a real API server. Prometheus finds simulated pods there, with the labels and ports of `manifests/`
and the operator. Each pod is scraped at the process that it stands for.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml

from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.journal import JOURNAL_NAMESPACE, JOURNAL_SERVICE
from tests.api.support.journal_process import journaling
from tests.api.support.prometheus import scrape
from tests.support import gates, otlp_runs, programs, recorders, rest
from tests.support.admission import made
from tests.support.api import Api, Manifest
from tests.support.cluster import REPOSITORY
from tests.support.gates import GateProcess
from tests.support.history_stage import APP, HistoryStage
from tests.support.operator import Operator
from tests.support.ports import free_port, gate_port
from tests.support.prometheus.rules import MONITORING
from tests.support.waiting import eventually

HERE = "127.0.0.1"
RECORDER = "dynamiq-recorder"
PLATFORM = {
    "dynamiq-operator": "base/deployment.yaml",
    "dynamiq-api": "api/deployment.yaml",
    "dynamiq-gate": "gate/deployment.yaml",
    RECORDER: "recorder/statefulset.yaml",
    JOURNAL_SERVICE: "journal/statefulset.yaml",
}
"""The manifest of each job's pods."""
ASLEEP = "asleep"
RUNS = 12


@dataclass(frozen=True)
class Scene:
    """The running processes: the port and the pod of each job."""

    on: HistoryStage
    ports: Mapping[str, int]
    pods: Mapping[str, Manifest]

    def jobs(self) -> list[dict[str, Any]]:
        """Returns the jobs of our monitors over every pod of the scene. The address is the last label to be changed."""
        ours = [self.on.api.read(pod).body for pod in self.pods.values()]  # other modules leave some of theirs beside these
        pods = [*ours, *self.on.api.get("Pod", "", self.on.namespace).body["items"]]
        monitors = [each for each in yaml.safe_load_all((MONITORING / "pod-monitors.yaml").read_text()) if each]
        found = []
        for each in monitors:
            job = scrape.job({**each, "metadata": {**each["metadata"], "namespace": names.OPERATOR_NAMESPACE}}, pods)
            job["relabel_configs"] += [
                {"source_labels": ["job"], "regex": name, "target_label": "__address__", "replacement": f"{HERE}:{port}"}
                for name, port in self.ports.items()
            ]
            found.append(job)
        return found


@contextlib.contextmanager
def playing(stage: HistoryStage, login: Path, folder: Path) -> Iterator[Scene]:
    """Runs the scene until the block ends. `login`: a kubeconfig of the operator's account."""
    cluster, api = stage.cluster, stage.api
    ports = {job: free_port() for job in ("dynamiq-apps", *PLATFORM)}
    with contextlib.ExitStack() as stack:
        recorder = stack.enter_context(recorders.running(cluster, folder, metrics_port=ports[RECORDER]))
        stack.enter_context(Operator(login, folder, [stage.namespace], [f"--metrics-port={ports['dynamiq-operator']}"]))
        stage.apply(stage.declared("v1"))
        stage.until_served("v1")
        _record(stage, recorder.url)  # what is missing of an App's runs is counted half a minute later
        stage.apply(stage.declared("v2"))
        stage.until_served("v2")
        api_login = rest.install(cluster, folder)
        url = stack.enter_context(rest.serving(api_login, folder, f"--metrics-port={ports['dynamiq-api']}"))
        rest.client(api, url, stage.namespace, "anna", "view").get("/v1/projects")
        stack.enter_context(_gate(stage, folder, ports["dynamiq-gate"]))
        stack.enter_context(journaling(cluster, folder, ports[JOURNAL_SERVICE]))
        stack.enter_context(_served(folder, ports["dynamiq-apps"]))
        pods = {job: stack.enter_context(_pod(api, job, file)) for job, file in PLATFORM.items()}
        yield Scene(stage, ports, pods)


@contextlib.contextmanager
def _pod(api: Api, job: str, file: str) -> Iterator[Manifest]:
    """Creates a pod of ours with its labels, its container and its ports. Nothing runs in it."""
    found: Manifest = yaml.safe_load((REPOSITORY / "manifests" / file).read_text())
    folder = file.partition("/")[0]
    namespace = {"gate": names.GATE_NAMESPACE, "recorder": RECORDER, "journal": JOURNAL_NAMESPACE}.get(folder, names.OPERATOR_NAMESPACE)
    template = found["spec"]["template"]
    (container,) = template["spec"]["containers"]
    pod: Manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"{job}-of-a-scene", "namespace": namespace, "labels": template["metadata"]["labels"]},
        "spec": {
            "automountServiceAccountToken": False,
            "securityContext": template["spec"]["securityContext"],
            "containers": [{name: container[name] for name in ("name", "image", "ports", "securityContext")}],
        },
    }
    made(api.create(pod))
    try:
        eventually(f"pod {pod['metadata']['name']} runs", lambda: api.read(pod).body["status"].get("podIP"))
        yield pod
    finally:
        api.request("DELETE", f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}?gracePeriodSeconds=0")


def _record(stage: HistoryStage, recorder: str) -> None:
    """Sends runs of the App, from an account that may write them."""
    token = rest.account(stage.api, stage.namespace, "sender", "dynamiq-run-writer")
    uid = stage.get(kinds.APP.kind, APP)["metadata"]["uid"]
    headers = {"Authorization": f"Bearer {token}", "X-Dynamiq-App-Id": uid}
    answer = requests.post(f"{recorder}/v1/traces", json=otlp_runs.request(otlp_runs.a_run()), headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text


@contextlib.contextmanager
def _gate(stage: HistoryStage, folder: Path, metrics_port: int) -> Iterator[None]:
    """Starts the gate and calls a sleeping App. The App does not wake, because its pods are simulated."""
    gates.install_rights(stage.cluster)
    replica = GateProcess(gates.logged_in(stage.cluster, folder), folder, "10.9.9.1", HERE, free_port(), metrics_port)
    port = gate_port()
    slice_ = gates.gate_slice(stage.namespace, ASLEEP, port, holdSeconds=1)
    made(stage.api.create(slice_))
    replica.start()
    try:
        eventually("the gate serves the App", lambda: _status(f"http://{HERE}:{port}/") == 503)
        yield
    finally:
        replica.kill()


@contextlib.contextmanager
def _served(folder: Path, metrics_port: int) -> Iterator[None]:
    """Runs the App's runtime: runs that succeed and fail, use tokens and cost something, and requests that start none."""
    port, log = free_port(), folder / "runtime.log"
    environment = {
        "PORT": str(port),
        "DYNAMIQ_METRICS_PORT": str(metrics_port),
        "DYNAMIQ_APP": APP,
        "DYNAMIQ_WORKFLOW_VERSION": "v2",
        "PYTHONPATH": os.pathsep.join(programs.ROOTS),
    }
    url = f"http://{HERE}:{port}/"
    command = [sys.executable, "-m", "tests.api.support.prometheus.spending"]
    with programs.running(command, log, lambda: _status(f"{url}readyz") == 200, environment=environment):
        for number in range(RUNS):
            headers = {"X-Dynamiq-Trigger": "nightly"} if number % 2 else {}
            fails = {"fails": True} if number % 4 == 0 else {}
            requests.post(url, json={"input": fails}, headers=headers, timeout=30)
        refused = requests.post(url, data="{", headers={"Content-Type": "application/json"}, timeout=30)
        assert 400 <= refused.status_code < 500, refused.text
        yield


def _status(url: str) -> int:
    try:
        return requests.get(url, timeout=10).status_code
    except requests.RequestException:
        return 0
