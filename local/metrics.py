"""Runs metrics-server as a daemon of the node, under a user of its own: autoscalers and `kubectl top` read usage of pods from it.

It is registered as an APIService. It refuses a cluster whose node it can't enter: the server's own components.yaml installs it there.
"""

from __future__ import annotations

import base64
from pathlib import Path

from local import builds, components, controlplane, state
from local.api import Api
from local.clusters import Cluster
from local.controlplane import METRICS_SERVER
from local.errors import LocalError
from local.progress import say, wait_for
from local.sandbox import NODE_IP
from local.state import Record

PORT = "4443"
SERVICE = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io"
NODES = "/apis/metrics.k8s.io/v1beta1/nodes"
RESOLUTION = "10s"  # the least that it accepts
KNOWN_WITHIN = 90.0  # seconds: it scrapes the kubelet twice, 10 s apart, and the API server then checks the APIService


def start(cluster: Cluster) -> None:
    """Starts metrics-server for `cluster`, or finds it running, and returns when it has metrics of the node; it ends with the cluster.

    Raises LocalError.
    """
    if cluster.profile != "node":
        raise LocalError(
            f"metrics-server is started on a node of ours alone, and the {cluster.profile} profile has none: where pods are real, "
            "kubectl apply its own components.yaml"
        )
    with state.locked(f"{cluster.name}-metrics"[:30].rstrip("-")):
        if (record := state.load(cluster.name)) is None:
            raise LocalError(f"there is no cluster {cluster.name}")
        api = Api(record.ports["api"], record.folder / "pki")
        if api.get(SERVICE) is None:
            _start(cluster, record, api)
        else:
            wait_for(f"metrics-server; its log is in {record.folder / 'logs'}", lambda: _has_usage(api), seconds=KNOWN_WITHIN)


def _start(cluster: Cluster, record: Record, api: Api) -> None:
    """Starts it, and registers the APIService last: while its backend is unavailable, discovery of the API server fails."""
    program = builds.ensure([components.METRICS_SERVER])[METRICS_SERVER]
    authority = base64.b64encode((record.folder / "pki" / "ca.crt").read_bytes()).decode()
    *objects, service = controlplane.render_objects("metrics.yaml", node_ip=NODE_IP, port=PORT, authority=authority)
    wait_for("metrics-server's objects to be accepted", lambda: all(map(api.apply, objects)))
    daemons = cluster.add_daemon(METRICS_SERVER, [program, *_flags(record)])
    wait_for("its API to be accepted", lambda: api.apply(service), still=daemons.require_alive)
    wait_for("metrics-server to know of the node", lambda: _has_usage(api), seconds=KNOWN_WITHIN, still=daemons.require_alive)
    say("metrics: kubectl top nodes")


def _has_usage(api: Api) -> bool:
    """Returns True if it serves usage, for which it must have scraped the node twice."""
    status, body = api.request("GET", NODES)
    return status == 200 and b'"usage"' in body


def _flags(record: Record) -> list[str]:
    pki: Path = record.folder / "pki"
    login = record.folder / "etc" / f"{METRICS_SERVER}.kubeconfig"
    flags = {
        "kubeconfig": login,
        "authentication-kubeconfig": login,
        "authorization-kubeconfig": login,
        "bind-address": NODE_IP,
        "secure-port": PORT,
        "tls-cert-file": pki / f"{METRICS_SERVER}.crt",
        "tls-private-key-file": pki / f"{METRICS_SERVER}.key",
        "kubelet-certificate-authority": pki / "ca.crt",
        "kubelet-preferred-address-types": "InternalIP",
        "kubelet-request-timeout": "5s",
        "metric-resolution": RESOLUTION,
    }
    return [f"--{name}={value}" for name, value in flags.items()]
