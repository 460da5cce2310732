"""Runs the control-plane profile: a real control plane whose nodes and pods kwok simulates, without any privilege.

Pods become Running and Ready, Jobs complete, and nothing runs. Ports are free ones of the machine's loopback.
"""

from __future__ import annotations

from pathlib import Path

from local import builds, components, controlplane
from local.api import Api
from local.controlplane import FIXED_PORTS, Place, free_ports, require_ports
from local.processes import Daemons
from local.progress import wait_for
from local.state import Record

ADDRESS = "198.18.0.2"  # advertised to pods, but none runs: it only must not be the loopback's
POD_ADDRESSES = "10.244.0.0/16"
NODE_LEASE_SECONDS = "40"


def programs() -> dict[str, Path]:
    """Returns the built programs that it runs."""
    return builds.programs(components.CONTROL_PLANE)


def node_name(number: int) -> str:
    return f"simulated-{number}"


def claim(record: Record) -> Record:
    """Adds to the record the ports on which this cluster will listen."""
    with builds.locked("ports"):
        return record.with_(ports=require_ports(free_ports(FIXED_PORTS), FIXED_PORTS))


def start(record: Record, built: dict[str, Path], nodes: int = 1) -> Record:
    """Starts everything and waits until `nodes` simulated nodes are Ready. `record` is claimed and saved."""
    place = Place(record, ADDRESS, record.ports, serves_pods=False)
    controlplane.write_pki(place, node_name(1), record.ports["api"])
    daemons = Daemons(record)
    controlplane.start_servers(place, daemons, built)
    api = Api(record.ports["api"], place.pki)
    wait_for("the API server", api.is_ready, still=daemons.require_alive)
    controlplane.start_controllers(place, daemons, built)
    kwok: list[str | Path] = [
        built["kwok"],
        "--kubeconfig",
        place.etc / "admin.kubeconfig",
        "--config",
        built[components.KWOK_STAGES],
    ]
    kwok += ["--manage-all-nodes", "--cidr", POD_ADDRESSES, "--node-lease-duration-seconds", NODE_LEASE_SECONDS]
    daemons.start("kwok", kwok)
    names = [node_name(number) for number in range(1, nodes + 1)]
    wait_for("the nodes to be accepted", lambda: all(api.apply(_node(name)) for name in names), still=daemons.require_alive)
    wait_for("the nodes to be Ready", lambda: all(api.node_ready(name) for name in names), still=daemons.require_alive)
    return record


def _node(name: str) -> dict[str, object]:
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "type": "kwok"}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
