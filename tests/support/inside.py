"""The network of a cluster's node: what runs there reaches pods by their addresses, as the operator's own pod does."""

from __future__ import annotations

from pathlib import Path

import yaml

from local import sandbox, state
from local.clusters import Cluster
from local.controlplane import FIXED_PORTS
from local.sandbox import Sandbox


def node_of(cluster: Cluster) -> Sandbox:
    """The namespaces of the cluster's node. Raises AssertionError where it has none that can be entered."""
    record = state.load(cluster.name)
    found = sandbox.find(record) if record is not None else None
    assert found is not None, f"cluster {cluster.name} has no node that can be entered"
    return found


def in_network(cluster: Cluster | None, kubeconfig: Path, folder: Path) -> tuple[int | None, Path]:
    """Returns a process in the node's network, and a kubeconfig, in `folder`, that leads to the API server from there.

    Where pods are simulated, or the cluster is not one of ours, there is no such process and the kubeconfig is the given one.
    """
    if cluster is None or cluster.profile != "node":
        return None, kubeconfig
    made = yaml.safe_load(kubeconfig.read_text())
    for each in made["clusters"]:
        each["cluster"]["server"] = f"https://127.0.0.1:{FIXED_PORTS['api']}"
    path = folder / "inside.kubeconfig"
    path.touch(0o600)
    path.write_text(yaml.safe_dump(made))
    return node_of(cluster).first, path
