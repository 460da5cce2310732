"""Runs a recorder as a process on a real API server, under its own account; makes Apps, pods, and tokens of all users."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from dynamiq_operator.model import names
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.runs import RECORDER_NAMESPACE
from local.clusters import Cluster
from tests.support import factories, programs
from tests.support.api import Api, Manifest
from tests.support.cluster import REPOSITORY, install_files, login_of
from tests.support.ports import free_port
from tests.support.programs import Process
from tests.support.recorder_stage import HOST, OPERATOR_USER
from tests.support.waiting import IN_TIME, eventually

ACCOUNT = "dynamiq-recorder"
PINS = "0123456789abcdef"
READY_WITHIN = ENDS_WITHIN = IN_TIME
ASKED_WITHIN = 120.0  # seconds for one request


def install(cluster: Cluster, folder: Path) -> Path:
    """Installs the recorder's account with the rights of its manifests; returns a kubeconfig that logs in as it."""
    files = ("namespace.yaml", "service-account.yaml", "rbac.yaml")
    install_files(cluster, RECORDER_NAMESPACE, *(REPOSITORY / "manifests" / "recorder" / name for name in files))
    return login_of(cluster, ACCOUNT, RECORDER_NAMESPACE, folder / "recorder.kubeconfig")


@dataclass
class Recorder:
    """A recorder that is started, killed and restarted on one store."""

    kubeconfig: Path
    folder: Path
    port: int = field(default_factory=free_port)
    health_port: int = field(default_factory=free_port)
    metrics_port: int = field(default_factory=free_port)
    host: str = HOST
    """The addresses on which it listens."""
    process: Process | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "recorder.log"

    def start(self) -> None:
        """Starts it and waits until it is ready."""
        ports = [f"--port={self.port}", f"--health-port={self.health_port}", f"--metrics-port={self.metrics_port}"]
        options = [f"--host={self.host}", *ports, f"--kubeconfig={self.kubeconfig}", f"--operator-account={OPERATOR_USER}"]
        self.process = programs.fork("dynamiq_recorder", "serve", f"--store=sqlite://{self.folder}/runs.db", *options, log=self.log)
        eventually(f"the recorder is ready: see {self.log}", self._is_ready, READY_WITHIN)

    def _is_ready(self) -> bool:
        assert self._runs(), self.log.read_text()[-4000:]
        return self.status("/readyz") == 200

    def _runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(ENDS_WITHIN)

    def stop(self) -> None:
        """Ends it (SIGTERM); asserts exit code 0, and no traceback in its log."""
        assert self.process is not None
        self.process.terminate()
        assert self.process.wait(ENDS_WITHIN) == 0
        log = self.log.read_text()
        assert "Traceback" not in log, log[-4000:]

    def status(self, path: str) -> int:
        try:
            return requests.get(self.url + path, timeout=5).status_code
        except (requests.ConnectionError, requests.Timeout):
            return 0

    def send(self, token: str | None, body: Any, app_id: str | None = None, **headers: str) -> requests.Response:
        all_headers = {
            **({"Authorization": f"Bearer {token}"} if token else {}),
            **({"X-Dynamiq-App-Id": app_id} if app_id else {}),
            **headers,
        }
        return requests.post(f"{self.url}/v1/traces", json=body, headers=all_headers, timeout=ASKED_WITHIN)

    def call(self, method: str, path: str, token: str | None, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return requests.request(method, self.url + path, headers=headers, timeout=ASKED_WITHIN, **options)


def heard(ask: Callable[[], requests.Response]) -> requests.Response:
    """Returns the first answer that is not 503: a recorder asks to retry if the API server's reviews take long."""

    def answers() -> list[requests.Response]:
        answer = ask()
        return [answer] if answer.status_code != 503 else []

    return eventually("the recorder does not say to ask again", answers)[0]


@contextlib.contextmanager
def running(cluster: Cluster, folder: Path, **more: Any) -> Iterator[Recorder]:
    """Runs a recorder with its account and its rights while the block runs. `more`: fields of it."""
    recorder = Recorder(install(cluster, folder), folder, **more)
    recorder.start()
    try:
        yield recorder
    finally:
        if recorder._runs():
            recorder.stop()


def token(api: Api, namespace: str, account: str, *, audience: str | None = None, pod: Manifest | None = None) -> str:
    """Returns a token as a kubelet gives it to a pod, or, without `pod`, as `kubectl create token` does."""
    spec: Manifest = {"audiences": [audience]} if audience else {}
    if pod is not None:
        spec["boundObjectRef"] = {"kind": "Pod", "apiVersion": "v1", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
    url = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    answer = api.request("POST", url, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec})
    assert answer.ok, answer.message
    return str(answer.body["status"]["token"])


def an_app(api: Api, namespace: str, *, content: bool = False, name: str = factories.NAME) -> Manifest:
    """Creates an App; without an operator it has no children."""
    runs = [factories.with_spec(runs={"content": True})] if content else []
    answer = api.create(factories.app_manifest(factories.in_namespace(namespace), *runs, name=name))
    assert answer.ok, answer.message
    return answer.body


def a_pod(
    api: Api,
    namespace: str,
    app: Manifest,
    *,
    name: str = factories.NAME,
    label: str | None = None,
    owner: Manifest | None = None,
    pins: str = PINS,
    container: Manifest | None = None,
    volumes: list[Manifest] | None = None,
    seconds: float = IN_TIME,
) -> Manifest:
    """Creates a pod of an App's workload, as the cluster's controllers do. `label`, `owner`: false claims of the pod.

    `container`, `volumes`: fields of a pod that really runs.
    """
    meta = (owner or app)["metadata"]
    labels = {names.APP_LABEL: label or app["metadata"]["name"], "workload": name}
    owners = [{"apiVersion": API_VERSION, "kind": "App", "name": meta["name"], "uid": meta["uid"], "controller": True}]
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    merged: Manifest = {
        "name": "runtime",
        "image": "example.test/runtime:1",
        "env": [{"name": "DYNAMIQ_PINS", "value": pins}, {"name": "DYNAMIQ_WORKFLOW_VERSION", "value": "v1"}],
        "securityContext": security,
        **(container or {}),
    }
    template = {
        "metadata": {"labels": labels},
        "spec": {
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [merged],
            "volumes": volumes or [],
        },
    }
    workload = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "ownerReferences": owners},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"workload": name}}, "template": template},
    }
    answer = api.create(workload)
    assert answer.ok, answer.message
    url = f"/api/v1/namespaces/{namespace}/pods"
    created: Manifest = eventually(
        f"the pod of {name} is there",
        lambda: next(iter(api.request("GET", url, query={"labelSelector": f"workload={name}"}).body["items"]), None),
        seconds,
    )
    return created
