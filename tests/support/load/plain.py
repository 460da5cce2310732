"""Plain workloads of the runtime's image and one Service, without an operator: what Kubernetes itself makes of a selector that is patched."""

from __future__ import annotations

from dataclasses import dataclass

from dynamiq_operator.desired.pod_template import PRE_STOP_SECONDS
from local import gateway, images
from tests.support.api import Manifest
from tests.support.flows import answering
from tests.support.stage import Stage
from tests.support.waiting import eventually

SERVICE = "plain"
PORT = 8080
VERSION = "version"
"""The label by which the Service tells the workloads apart."""


@dataclass(frozen=True)
class Plain:
    """A Service with a hostname, and workloads that answer with their names, of which the Service's selector names one, or all."""

    on: Stage

    @property
    def host(self) -> str:
        return f"{SERVICE}.{self.on.namespace}.example.test"

    def expose(self, version: str | None) -> None:
        """The Service and its Ingress."""
        rule = {
            "host": self.host,
            "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": SERVICE, "port": {"number": 80}}}}]},
        }
        ports = [{"name": "http", "port": 80, "targetPort": PORT}]
        self.on.create(self.on.named("Service", SERVICE) | {"spec": {"selector": selector(version), "ports": ports}})
        self.on.create(self.on.named("Ingress", SERVICE) | {"spec": {"ingressClassName": gateway.INGRESS_CLASS, "rules": [rule]}})

    def run(self, version: str, replicas: int = 1, *, all_pods: bool = False) -> None:
        """A workload; with `all_pods` its selector is that of all."""
        flow = self.on.named("ConfigMap", f"flow-{version}") | {"data": {"flow": answering(version)}}
        answer = self.on.api.apply(flow)
        assert answer.ok, answer.message
        labels = selector(None if all_pods else version)
        spec = {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "strategy": {"rollingUpdate": {"maxUnavailable": 0}},
            "template": {"metadata": {"labels": labels}, "spec": pod_spec(f"flow-{version}", cpu="150m")},
        }
        self.on.create(self.on.named("Workload", version) | {"spec": spec})

    def until_available(self, version: str) -> None:
        def available() -> bool:
            found = self.on.workload(version)
            return bool(found.get("status", {}).get("availableReplicas") == found["spec"]["replicas"])

        eventually(f"workload {version} is available", available)

    def select(self, version: str | None) -> None:
        """Patches the Service's selector; None selects all."""
        answer = self.on.api.merge(self.on.named("Service", SERVICE), {"spec": {"selector": {**selector(None), VERSION: version}}})
        assert answer.ok, answer.message


def selector(version: str | None) -> dict[str, str]:
    return {"plain": SERVICE} | ({VERSION: version} if version else {})


def pod_spec(flow: str, probed_every: int = 1, cpu: str = "10m") -> Manifest:
    """A pod of the runtime that serves the flow of a ConfigMap. `probed_every`: seconds between its readiness probes; `cpu`: its share."""
    container: Manifest = {
        "name": "runtime",
        "image": images.RUNTIME.reference,
        "env": [
            {"name": "DYNAMIQ_FLOW", "value": "/flow/flow"},
            {"name": "DYNAMIQ_DRAIN_SECONDS", "value": "5"},
            # What is asked here is where calls go: a busy machine delays them, and no pod sends one away.
            {"name": "DYNAMIQ_MAX_QUEUED_RUNS", "value": "10000"},
            {"name": "PORT", "value": str(PORT)},
        ],
        "ports": [{"name": "http", "containerPort": PORT}],
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": PORT}, "periodSeconds": probed_every, "timeoutSeconds": 10},
        "resources": {"requests": {"cpu": cpu, "memory": "32Mi"}},
        "volumeMounts": [{"name": "flow", "mountPath": "/flow"}],
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
    }
    return {
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "flow", "configMap": {"name": flow}}],
    }
