"""Installs the recorder of runs in a cluster as its user would, by `kubectl apply -k`, with a folder of the node as its volume."""

from __future__ import annotations

from pathlib import Path

from local import controlplane, node, state
from local.clusters import Cluster
from local.errors import LocalError
from local.transcript import Transcript

MANIFESTS = "manifests/recorder/"
NAMESPACE = "dynamiq-recorder"
WORKLOAD = "statefulset/dynamiq-recorder"
SELECTOR = "app.kubernetes.io/name=dynamiq-recorder"
CLAIM = "data-dynamiq-recorder-0"
URL = "http://dynamiq-recorder.dynamiq-recorder.svc:8080"


def provide_volume(cluster: Cluster, kubectl: Transcript) -> None:
    """Creates the volume of the recorder's claim if the cluster provides none: on our own node. Raises LocalError."""
    if cluster.profile != "node":
        return
    record = state.load(cluster.name)
    if record is None:
        raise LocalError(f"there is no cluster {cluster.name}")
    path = Path("/var/lib/volumes/recorder")
    (record.folder / path.relative_to("/")).mkdir(parents=True, exist_ok=True)  # the node's /var/lib is this folder
    values = {"volume": f"{cluster.name}-recorder", "namespace": NAMESPACE, "claim": CLAIM, "path": path, "node": node.node_name(record)}
    file = cluster.kubeconfig.parent / "recorder-volume.yaml"
    file.write_text(controlplane.render("volume.yaml", **values))
    kubectl.run("apply", "-f", str(file))


def reached(cluster: Cluster, kubectl: Transcript) -> str | None:
    """Returns a URL of this machine that leads to the recorder; None if none is installed, or the cluster's node can't be entered."""
    address = kubectl.ask("get", "service", "dynamiq-recorder", "-n", NAMESPACE, "-o", "jsonpath={.spec.clusterIP}")
    if cluster.profile != "node" or not address:
        return None
    return f"http://127.0.0.1:{cluster.forward(f'{address}:8080')}"
