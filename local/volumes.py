"""Provides the volumes of the recorder and the journal on our own node: folders of it, since nothing there makes volumes."""

from __future__ import annotations

from pathlib import Path

from local import controlplane, node, state
from local.clusters import Cluster
from local.errors import LocalError
from local.transcript import Transcript


def provide(cluster: Cluster, kubectl: Transcript, program: str) -> None:
    """Creates the volume of a program's claim, such as `recorder`, if the cluster provides none: on our own node. Raises LocalError."""
    if cluster.profile != "node":
        return
    record = state.load(cluster.name)
    if record is None:
        raise LocalError(f"there is no cluster {cluster.name}")
    path = Path("/var/lib/volumes") / program
    (record.folder / path.relative_to("/")).mkdir(parents=True, exist_ok=True)  # the node's /var/lib is this folder
    claimed = {"namespace": f"dynamiq-{program}", "claim": f"data-dynamiq-{program}-0"}
    values = {"volume": f"{cluster.name}-{program}", **claimed, "path": path, "node": node.node_name(record)}
    file = cluster.kubeconfig.parent / f"{program}-volume.yaml"
    file.write_text(controlplane.render("volume.yaml", **values))
    kubectl.run("apply", "-f", str(file))
