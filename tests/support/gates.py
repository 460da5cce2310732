"""Runs replicas of the gate as processes of this machine, and makes the operator's objects for a sleeping App by hand."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynamiq_operator.desired.pod_template import PRE_STOP_SECONDS
from dynamiq_operator.model import names
from local import gateway, images
from local.clusters import Cluster
from tests.support import programs
from tests.support.api import Api, Manifest
from tests.support.cluster import REPOSITORY, install_files, login_of
from tests.support.flows import answering
from tests.support.programs import Process
from tests.support.stage import Stage, is_ready, uids
from tests.support.waiting import IN_TIME, eventually

MANIFESTS = REPOSITORY / "manifests" / "gate"
ACCOUNT = "dynamiq-gate"
USER = f"system:serviceaccount:{names.GATE_NAMESPACE}:{ACCOUNT}"
RIGHTS = ("namespace.yaml", "service-account.yaml", "rbac.yaml", "service.yaml")


def install_rights(cluster: Cluster) -> None:
    """Installs the gate's namespace, account, rights and Service, without a gate."""
    install_files(cluster, names.GATE_NAMESPACE, *(MANIFESTS / file for file in RIGHTS))


def logged_in(cluster: Cluster, folder: Path) -> Path:
    """Writes a kubeconfig of the gate's account to `folder`."""
    return login_of(cluster, ACCOUNT, names.GATE_NAMESPACE, folder / "gate.kubeconfig")


def gate_slice(namespace: str, app: str, port: int, **note: Any) -> Manifest:
    """Returns the slice that leads callers of a sleeping App to the gate, as the operator makes it."""
    content = {"workload": app, "appId": f"uid-of-{app}", "holdSeconds": 60, "private": False, "port": 8080, **note}
    labels = {
        **names.labels(app),
        names.SERVICE_OF_SLICE_LABEL: app,
        names.SLICE_MANAGER_LABEL: names.FIELD_MANAGER,
        names.GATE_LABEL: "slice",
        names.ENDPOINTS_LABEL: names.WATCHED_ENDPOINTS,
    }
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": names.gate_slice(app),
            "namespace": namespace,
            "labels": labels,
            "annotations": {names.GATE_ANNOTATION: json.dumps(content)},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        "endpoints": [],
    }


class GateProcess:
    """One replica of the gate, a process of this machine, under the gate's account."""

    def __init__(
        self,
        kubeconfig: Path,
        folder: Path,
        address: str,
        listens: str,
        health_port: int,
        metrics_port: int,
        options: Sequence[str] = (),
    ) -> None:
        self.name, self.uid, self.address, self.listens = f"gate-{uuid.uuid4().hex[:6]}", str(uuid.uuid4()), address, listens
        self._kubeconfig, self._options, self._ports = kubeconfig, options, (health_port, metrics_port)
        self._process: Process | None = None
        self.log = folder / f"{self.name}.log"

    def start(self) -> GateProcess:
        """Starts the replica, and returns once it is ready."""
        health, metrics = self._ports
        options = [f"--kubeconfig={self._kubeconfig}", f"--listen={self.listens}", f"--health-port={health}", f"--metrics-port={metrics}"]
        me = {
            "POD_NAMESPACE": names.GATE_NAMESPACE,
            "POD_NAME": self.name,
            "POD_UID": self.uid,
            "POD_IPS": self.address,
            "NODE_NAME": "here",
        }
        arguments = ("gate", *options, "--linger=1", *self._options)
        self._process = programs.fork("dynamiq_operator", *arguments, log=self.log, environment=me)
        eventually(f"the gate is ready: see {self.log}", self.is_ready)
        return self

    def is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        try:
            with urllib.request.urlopen(f"http://{self.listens}:{self._ports[0]}/readyz", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def metrics(self) -> dict[str, float]:
        """Returns the samples of /metrics."""
        with urllib.request.urlopen(f"http://{self.listens}:{self._ports[1]}/metrics", timeout=60) as answer:
            return samples(answer.read().decode())

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, seconds: float = IN_TIME) -> int:
        """Waits for its end; returns its exit code."""
        assert self._process is not None
        return self._process.wait(seconds)

    def endpoint(self) -> Manifest:
        """Returns the replica as a ready endpoint."""
        target = {"kind": "Pod", "namespace": names.GATE_NAMESPACE, "name": self.name, "uid": self.uid}
        return {"addresses": [self.address], "conditions": {"ready": True}, "targetRef": target}

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(30)


def endpoints(api: Api, raw: Manifest) -> list[str]:
    """Returns the names of the gate's pods in a slice."""
    answer = api.read(raw)
    assert answer.ok, answer.message
    return [each["targetRef"]["name"] for each in answer.body.get("endpoints") or ()]


def samples(text: str) -> dict[str, float]:
    """Returns the samples of /metrics by name and labels."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


@dataclass(frozen=True)
class ByHand:
    """Apps that sleep and wake, with the operator's part done by hand: tests see the gate's effects alone."""

    on: Stage

    def host(self, app: str) -> str:
        return f"{app}.{self.on.namespace}.example.test"

    def make(self, app: str, flow: str | None = None) -> None:
        """Makes a workload of one pod, and its Service with a hostname."""
        on = self.on
        selector = names.pod_selector(app)
        answer = on.api.apply(on.named("ConfigMap", f"flow-{app}") | {"data": {"flow": flow or answering(app)}})
        assert answer.ok, answer.message
        spec = {
            "replicas": 1,
            "selector": {"matchLabels": selector},
            "strategy": {"rollingUpdate": {"maxUnavailable": 0}},
            "template": {"metadata": {"labels": names.labels(app)}, "spec": _pod_spec(f"flow-{app}")},
        }
        on.create(labelled(on.named("Workload", app), app) | {"spec": spec})
        service = labelled(on.named("Service", app), app)
        service["metadata"]["labels"][names.ENDPOINTS_LABEL] = names.WATCHED_ENDPOINTS
        on.create(service | {"spec": {"selector": selector, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}})
        backend = {"service": {"name": app, "port": {"number": 80}}}
        rule = {"host": self.host(app), "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
        ingress = on.named("Ingress", app)
        ingress["metadata"]["annotations"] = {"projectcontour.io/response-timeout": "infinity"}  # else a run has 15 s, its wake included
        on.create(ingress | {"spec": {"ingressClassName": gateway.INGRESS_CLASS, "rules": [rule]}})

    def until_available(self, app: str) -> None:
        """Waits until a pod of it is ready, by the pods themselves: the workload's status is late."""
        eventually(f"a pod of {app} is ready", lambda: any(map(is_ready, self.on.pods(app))))

    def scale(self, app: str, replicas: int) -> None:
        answer = self.on.api.merge(self.on.named("Workload", app), {"spec": {"replicas": replicas}}, subresource="/scale")
        assert answer.ok, answer.message

    def lead_to_gate(self, app: str, port: int, **note: Any) -> Manifest:
        """Creates the gate's slice; returns it once every replica is in it."""
        raw = gate_slice(self.on.namespace, app, port, **note)
        self.on.create(raw)
        eventually(f"two replicas are in the slice of {app}", lambda: len(endpoints(self.on.api, raw)) == 2, every=0.02)
        return raw

    def sleep(self, app: str, port: int, **note: Any) -> Manifest:
        """Puts the App to sleep as the operator does: the slice, 2 s, then 0 pods. Returns the slice."""
        raw = self.lead_to_gate(app, port, **note)
        time.sleep(2)  # as the operator waits, so that no call is on its way to a pod
        before = self._pods(app)
        self.scale(app, 0)
        eventually(f"the pods of {app} have gone", lambda: not before & self._pods(app))  # a call may have woken it by then
        return raw

    def _pods(self, app: str) -> set[str]:
        """Returns the uids of its pods, also of terminating ones: for a moment callers still reach these, and a long run there is cut off."""
        return uids(self.on.api.get("Pod", "", self.on.namespace, labelSelector=f"{names.APP_LABEL}={app}").body["items"])


def labelled(manifest: Manifest, app: str) -> Manifest:
    manifest["metadata"]["labels"] = names.labels(app)
    return manifest


def _pod_spec(flow: str) -> Manifest:
    """Returns a pod of the runtime that serves the flow of a ConfigMap."""
    container: Manifest = {
        "name": "runtime",
        "image": images.RUNTIME.reference,
        "env": [
            {"name": "DYNAMIQ_FLOW", "value": "/flow/flow"},
            {"name": "DYNAMIQ_DRAIN_SECONDS", "value": "5"},
            # Tests check where calls go: a busy machine delays them, but no pod refuses one.
            {"name": "DYNAMIQ_MAX_QUEUED_RUNS", "value": "10000"},
            {"name": "PORT", "value": "8080"},
        ],
        "ports": [{"name": "http", "containerPort": 8080}],
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 2, "timeoutSeconds": 10},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
        "volumeMounts": [{"name": "flow", "mountPath": "/flow"}],
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
    }
    return {
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "flow", "configMap": {"name": flow}}],
    }
