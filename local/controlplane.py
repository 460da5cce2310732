"""Runs etcd, the API server, the controller manager and the scheduler, alike in both profiles.

The profiles differ in where they listen: on fixed ports in a network namespace of its own, or on free ports of the machine's loopback.
"""

from __future__ import annotations

import random
import shutil
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import yaml

from local import pki, state
from local.errors import LocalError
from local.processes import Daemons
from local.state import Record

CONFIG = Path(__file__).parent / "config"
SERVICE_CIDR = "10.96.0.0/16"
KUBERNETES_IP = "10.96.0.1"
POD_CIDR = "10.244.0.0/16"
IDLE = ("horizontal-pod-autoscaler-controller", "endpoints-controller", "endpointslice-mirroring-controller")
"""Controllers that do nothing useful for simulated pods, which have no metrics, and that constantly send requests to the API server."""

FIXED_PORTS = {"etcd": 2379, "etcd-peer": 2380, "api": 6443, "controller-manager": 10257, "scheduler": 10259}
FREE_PORTS = range(20000, 32000)  # below the ports that the kernel gives to outgoing connections, and that NodePorts use
METRICS_SERVER = "metrics-server"
# The default of 20 makes hundreds of Apps wait for their ReplicaSets, whatever the operator does.
REQUESTS_PER_SECOND, REQUESTS_BURST = 1000, 2000
AUDIT_MEGABYTES, AUDIT_BACKUPS = "200", "2"


@dataclass(frozen=True)
class Place:
    """The place of a control plane: its folder, the address for pods, and its ports by name."""

    record: Record
    address: str
    ports: dict[str, int]
    serves_pods: bool

    @property
    def pki(self) -> Path:
        return self.record.folder / "pki"

    @property
    def etc(self) -> Path:
        return self.record.folder / "etc"


def free_ports(names: Iterable[str]) -> dict[str, int]:
    """Returns a free port of the loopback for each name, none of them in another cluster's record. Call it under a lock, then save."""
    used = {port for name in state.names() if (record := state.load(name)) for port in record.ports.values()}
    candidates = (port for port in random.sample(FREE_PORTS, len(FREE_PORTS)) if port not in used and is_free(port))
    return dict(zip(names, candidates, strict=False))


def is_free(port: int) -> bool:
    """Returns True if a server could listen on this port of the loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def render(name: str, **values: object) -> str:
    """Returns the file `name` of local/config with its `$placeholders` filled in. Raises KeyError for one without a value."""
    return Template((CONFIG / name).read_text()).substitute({key: str(value) for key, value in values.items()})


def render_objects(name: str, **values: object) -> list[dict[str, Any]]:
    """Returns the YAML documents of a file of local/config."""
    return list(yaml.safe_load_all(render(name, **values)))


def write_pki(place: Place, node: str, user_port: int) -> None:
    """Makes all certificates, and the kubeconfigs of the components and of the user (who connects to `user_port`)."""
    for folder in (place.pki, place.etc):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    cluster, front, etcd = pki.Authority("kubernetes"), pki.Authority("front-proxy"), pki.Authority("etcd")
    for name, authority in (("ca", cluster), ("front-proxy-ca", front), ("etcd-ca", etcd)):
        authority.pair.write(place.pki, name)
    service = "kubernetes.default.svc"
    names = ["localhost", "kubernetes", "kubernetes.default", service, f"{service}.cluster.local"]
    api_hosts = ["127.0.0.1", place.address, KUBERNETES_IP, *names]
    etcd.issue("etcd", hosts=["127.0.0.1"]).write(place.pki, "etcd")
    etcd.issue("kube-apiserver").write(place.pki, "etcd-client")
    cluster.issue("kube-apiserver", hosts=api_hosts).write(place.pki, "apiserver")
    cluster.issue("kube-apiserver-kubelet-client", groups=["system:masters"]).write(place.pki, "kubelet-client")
    cluster.issue(f"system:node:{node}", groups=["system:nodes"], hosts=[place.address, node]).write(place.pki, "kubelet-server")
    cluster.issue(METRICS_SERVER, hosts=[place.address, f"{METRICS_SERVER}.kube-system.svc"]).write(place.pki, METRICS_SERVER)
    front.issue("front-proxy-client").write(place.pki, "front-proxy")
    pki.service_account_key(place.pki)

    def kubeconfig(path: Path, user: str, pair: pki.Pair, port: int) -> None:
        server = f"https://127.0.0.1:{port}"
        name = place.record.name
        pki.write_kubeconfig(path, server=server, authority=cluster.pair.certificate, user=user, pair=pair, cluster=name)

    for component in ("kube-controller-manager", "kube-scheduler", "kube-proxy", "kube-router", "coredns", METRICS_SERVER):
        user = f"system:{component}"
        kubeconfig(place.etc / f"{component}.kubeconfig", user, cluster.issue(user), place.ports["api"])
    node_user = cluster.issue(f"system:node:{node}", groups=["system:nodes"])
    kubeconfig(place.etc / "kubelet.kubeconfig", f"system:node:{node}", node_user, place.ports["api"])
    admin = cluster.issue("admin", groups=["system:masters"])
    admin.write(place.pki, "admin")
    kubeconfig(place.etc / "admin.kubeconfig", "admin", admin, place.ports["api"])
    kubeconfig(place.record.kubeconfig, "admin", admin, user_port)


def start_servers(place: Place, daemons: Daemons, programs: dict[str, Path]) -> None:
    """Starts etcd and the API server, which waits for etcd by itself."""
    audit = place.record.folder / "audit"
    audit.mkdir(exist_ok=True)
    for name in ("audit.yaml", "authentication.yaml"):
        shutil.copyfile(CONFIG / name, place.etc / name)
    daemons.start("etcd", [programs["etcd"], *_etcd_flags(place)])
    daemons.start("kube-apiserver", [programs["kube-apiserver"], *_apiserver_flags(place, audit / "audit.log")])


def start_controllers(place: Place, daemons: Daemons, programs: dict[str, Path]) -> None:
    """Starts the controller manager and the scheduler; the API server must be ready."""
    for component, flags in (
        ("kube-controller-manager", _controller_manager_flags(place)),
        ("kube-scheduler", [f"--secure-port={place.ports['scheduler']}"]),
    ):
        config = place.etc / f"{component}.kubeconfig"
        common = [f"--{purpose}kubeconfig={config}" for purpose in ("", "authentication-", "authorization-")]
        common += ["--bind-address=127.0.0.1", "--leader-elect=false", "--profiling=false"]
        if not place.record.default_limits:
            common += [f"--kube-api-qps={REQUESTS_PER_SECOND}", f"--kube-api-burst={REQUESTS_BURST}"]
        daemons.start(component, [programs[component], *common, *flags])


def _etcd_flags(place: Place) -> list[str]:
    client, peer = (f"https://127.0.0.1:{place.ports[name]}" for name in ("etcd", "etcd-peer"))
    flags = {
        "name": "default",
        "data-dir": place.record.folder / "etcd",
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"default={peer}",
        "cert-file": place.pki / "etcd.crt",
        "key-file": place.pki / "etcd.key",
        "trusted-ca-file": place.pki / "etcd-ca.crt",
        "peer-cert-file": place.pki / "etcd.crt",
        "peer-key-file": place.pki / "etcd.key",
        "peer-trusted-ca-file": place.pki / "etcd-ca.crt",
        "quota-backend-bytes": 8 * 2**30,
        "client-cert-auth": "true",
        "peer-client-cert-auth": "true",
        "log-level": "warn",
    }
    # a cluster does not outlive its machine's boot, so nothing needs to reach the disk in time
    return [f"--{name}={value}" for name, value in flags.items()] + ["--unsafe-no-fsync"]


def _apiserver_flags(place: Place, audit_log: Path) -> list[str]:
    certificates = place.pki
    flags = {
        "etcd-servers": f"https://127.0.0.1:{place.ports['etcd']}",
        "etcd-cafile": certificates / "etcd-ca.crt",
        "etcd-certfile": certificates / "etcd-client.crt",
        "etcd-keyfile": certificates / "etcd-client.key",
        "bind-address": "0.0.0.0" if place.serves_pods else "127.0.0.1",  # noqa: S104 - in a network namespace of its own
        "advertise-address": place.address,
        "endpoint-reconciler-type": "lease" if place.serves_pods else "none",
        "secure-port": place.ports["api"],
        "client-ca-file": certificates / "ca.crt",
        "tls-cert-file": certificates / "apiserver.crt",
        "tls-private-key-file": certificates / "apiserver.key",
        "kubelet-client-certificate": certificates / "kubelet-client.crt",
        "kubelet-client-key": certificates / "kubelet-client.key",
        "kubelet-certificate-authority": certificates / "ca.crt",
        "kubelet-preferred-address-types": "InternalIP",
        "requestheader-client-ca-file": certificates / "front-proxy-ca.crt",
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-username-headers": "X-Remote-User",
        "proxy-client-cert-file": certificates / "front-proxy.crt",
        "proxy-client-key-file": certificates / "front-proxy.key",
        "enable-aggregator-routing": "true",
        "enable-admission-plugins": "NodeRestriction",
        "authorization-mode": "Node,RBAC",
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-account-key-file": certificates / "sa.pub",
        "service-account-signing-key-file": certificates / "sa.key",
        "service-cluster-ip-range": SERVICE_CIDR,
        "allow-privileged": "true",
        "profiling": "false",
        "authentication-config": place.etc / "authentication.yaml",
        "audit-policy-file": place.etc / "audit.yaml",
        "audit-log-path": audit_log,
        "audit-log-maxsize": AUDIT_MEGABYTES,
        "audit-log-maxbackup": AUDIT_BACKUPS,
    }
    return [f"--{name}={value}" for name, value in flags.items()]


def _controller_manager_flags(place: Place) -> list[str]:
    flags = {
        "secure-port": place.ports["controller-manager"],
        "use-service-account-credentials": "true",
        "service-account-private-key-file": place.pki / "sa.key",
        "root-ca-file": place.pki / "ca.crt",
        "cluster-signing-cert-file": place.pki / "ca.crt",
        "cluster-signing-key-file": place.pki / "ca.key",
        # a test can't wait for production's periods
        "horizontal-pod-autoscaler-sync-period": "5s",
        "horizontal-pod-autoscaler-initial-readiness-delay": "5s",
        "horizontal-pod-autoscaler-cpu-initialization-period": "20s",
        "horizontal-pod-autoscaler-downscale-stabilization": "30s",
    }
    if place.record.lean:
        flags["controllers"] = ",".join(("*", *(f"-{name}" for name in IDLE)))
    if place.serves_pods:
        flags |= {"allocate-node-cidrs": "true", "cluster-cidr": POD_CIDR}
    return [f"--{name}={value}" for name, value in flags.items()]


def require_ports(ports: dict[str, int], names: Iterable[str]) -> dict[str, int]:
    """Returns `ports` if it has a port for each name. Raises LocalError otherwise."""
    if missing := [name for name in names if name not in ports]:
        raise LocalError(f"no free port between {FREE_PORTS.start} and {FREE_PORTS.stop} for {', '.join(missing)}")
    return ports
