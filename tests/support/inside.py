"""Enters the network of a cluster's node: a process there reaches pods by their addresses, like the operator's own pod."""

from __future__ import annotations

from pathlib import Path

import yaml

from local import sandbox, state
from local.clusters import Cluster
from local.controlplane import FIXED_PORTS
from local.sandbox import Sandbox


def node_of(cluster: Cluster) -> Sandbox:
    """Returns the namespaces of the cluster's node. Raises AssertionError if it has none that can be entered."""
    record = state.load(cluster.name)
    entered = sandbox.find(record) if record is not None else None
    assert entered is not None, f"cluster {cluster.name} has no node that can be entered"
    return entered


def in_network(cluster: Cluster | None, kubeconfig: Path, folder: Path) -> tuple[int | None, Path]:
    """Returns a process in the node's network, and a kubeconfig, in `folder`, with the API server's address there.

    If pods are simulated, or the cluster is not ours, there is no such process, and the kubeconfig is unchanged.
    """
    if cluster is None or cluster.profile != "node":
        return None, kubeconfig
    config = yaml.safe_load(kubeconfig.read_text())
    for each in config["clusters"]:
        each["cluster"]["server"] = f"https://127.0.0.1:{FIXED_PORTS['api']}"
    path = folder / "inside.kubeconfig"
    path.touch(0o600)
    path.write_text(yaml.safe_dump(config))
    return node_of(cluster).first, path
