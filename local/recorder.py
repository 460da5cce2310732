"""Names what the recorder's manifests install, and finds an installed recorder from this machine."""

from __future__ import annotations

from local.clusters import Cluster
from local.transcript import Transcript

MANIFESTS = "manifests/recorder/"
NAMESPACE = "dynamiq-recorder"
WORKLOAD = "statefulset/dynamiq-recorder"
SELECTOR = "app.kubernetes.io/name=dynamiq-recorder"
CLAIM = "data-dynamiq-recorder-0"
URL = "http://dynamiq-recorder.dynamiq-recorder.svc:8080"


def reached(cluster: Cluster, kubectl: Transcript) -> str | None:
    """Returns a URL of this machine that leads to the recorder; None if none is installed, or the cluster's node can't be entered."""
    address = kubectl.ask("get", "service", "dynamiq-recorder", "-n", NAMESPACE, "-o", "jsonpath={.spec.clusterIP}")
    if cluster.profile != "node" or not address:
        return None
    return f"http://127.0.0.1:{cluster.forward(f'{address}:8080')}"
