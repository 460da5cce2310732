"""Makes EndpointSlices, as Kubernetes makes them for a Service, and as the operator makes them for a sleeping App."""

from __future__ import annotations

from collections.abc import Mapping

from dynamiq_operator.desired.base import ENDPOINT_SLICE
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest
from tests.support import factories as given

KUBERNETES = "endpointslice-controller.k8s.io"
"""The writer of the slices of a Service with a selector."""
WATCHED = {names.ENDPOINTS_LABEL: names.WATCHED_ENDPOINTS}


def endpoint(pod: str, *, ready: bool = True) -> Manifest:
    """Returns an endpoint of a pod, whose uid is `uid-of-<pod>`."""
    return {
        "addresses": [f"10.0.0.{sum(pod.encode()) % 250}"],
        "conditions": {"ready": ready},
        "targetRef": {"kind": "Pod", "name": pod, "namespace": given.NAMESPACE, "uid": f"uid-of-{pod}"},
    }


def of_pod(pod: Manifest) -> Manifest:
    """Returns the endpoint of a pod, ready if the pod is."""
    meta, conditions = pod["metadata"], pod["status"]["conditions"]
    is_ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    raw = endpoint(meta["name"], ready=is_ready)
    return {**raw, "targetRef": {**raw["targetRef"], "uid": meta["uid"]}}


def service_slice(*endpoints: Manifest, app: str = given.NAME, name: str = "chat-x7z2p", port: int = 8080) -> Manifest:
    """Returns the slice that Kubernetes makes for the Service of an App, with the Service's labels."""
    labels = {names.SERVICE_OF_SLICE_LABEL: app, names.SLICE_MANAGER_LABEL: KUBERNETES, **names.labels(app)}
    return _slice(name, given.NAMESPACE, labels, port, endpoints)


def gate_slice(*endpoints: Manifest, app: str = given.NAME, port: int = 20001) -> Manifest:
    """Returns the slice that leads an App's calls to the gate."""
    managed = {names.GATE_LABEL: "slice", names.SLICE_MANAGER_LABEL: names.FIELD_MANAGER}
    labels = {names.SERVICE_OF_SLICE_LABEL: app, **managed, **names.labels(app)}
    return _slice(names.gate_slice(app), given.NAMESPACE, labels, port, endpoints)


def slice_of_gate(*endpoints: Manifest, namespace: str = names.GATE_NAMESPACE) -> Manifest:
    """Returns the slice of the gate's own Service in its namespace."""
    labels = {names.SERVICE_OF_SLICE_LABEL: names.GATE_SERVICE, names.MANAGED_BY: names.FIELD_MANAGER}
    return _slice("dynamiq-gate-k9d4m", namespace, labels, 8081, endpoints)


def _slice(name: str, namespace: str, labels: Mapping[str, str], port: int, endpoints: tuple[Manifest, ...]) -> Manifest:
    return {
        "apiVersion": ENDPOINT_SLICE.api_version,
        "kind": ENDPOINT_SLICE.kind,
        "metadata": {"name": name, "namespace": namespace, "labels": {**WATCHED, **labels}},
        "addressType": "IPv4",
        "endpoints": list(endpoints),
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
    }
