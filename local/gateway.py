"""Runs a gateway in front of a cluster's Apps: Contour reads Ingresses and HTTPRoutes, Envoy serves them, both as daemons of the node.

It is an IngressClass `contour`, and a Gateway `contour` of namespace `projectcontour` that accepts routes of every namespace. The machine
reaches it at a port of its loopback, and pods at the Service `envoy`. Envoy calls pods from the node itself, which no NetworkPolicy blocks.
It refuses a cluster whose node it can't enter.
"""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from local import builds, components, controlplane, envoy, state
from local.api import Api
from local.clusters import Cluster
from local.errors import LocalError
from local.progress import say, wait_for
from local.sandbox import NODE_IP
from local.state import Record

INGRESS_CLASS = "contour"
PARENT = "projectcontour/contour"
"""The Gateway, as namespace/name."""

DOMAIN = "localhost"
"""The domain of Apps without a hostname: curl and browsers resolve every name under it to this machine's loopback."""

LOOPBACK = "127.0.0.1"
INSIDE_IP = "10.96.0.11"
INSIDE_HTTP, INSIDE_HTTPS = "8080", "8443"  # Envoy listens on these for ports 80 and 443 of the Gateway
XDS, HEALTH, DEBUG, STATS = "26801", "26800", "26806", "26802"
NOT_IN_THE_STANDARD_CHANNEL = ("tlsroutes", "tcproutes", "backendtlspolicies")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Gateway:
    """The addresses of a gateway: `address` with `port`, and `https_port` for TLS, on this machine; `inside` with 80 and 443 in pods."""

    address: str
    port: int
    https_port: int
    inside: str = INSIDE_IP

    @property
    def settings(self) -> dict[str, str]:
        """Returns its settings for the operator and the management API: options by their names."""
        return {
            "domain": DOMAIN,
            "public-scheme": "http",
            "public-port": str(self.port),
            "ingress-class": INGRESS_CLASS,
            "gateway": PARENT,
        }


def start(cluster: Cluster) -> Gateway:
    """Starts the gateway of `cluster`, or finds it running; it ends with the cluster. Raises LocalError."""
    if cluster.profile != "node":
        raise LocalError(f"a gateway needs a node whose pods answer, and the {cluster.profile} profile has none that is ours")
    with state.locked(f"{cluster.name}-gateway"[:30].rstrip("-")):
        record = _record(cluster)
        if (running := _of(record)) is not None:
            return running
        programs, program = builds.ensure(components.GATEWAY), envoy.ensure()
        api = Api(record.ports["api"], record.folder / "pki")
        for crds in (components.GATEWAY_API_CRDS, components.CONTOUR_CRDS):
            _install(api, programs[crds])
        values = {"gateway_ip": INSIDE_IP, "node_ip": NODE_IP, "http": INSIDE_HTTP, "https": INSIDE_HTTPS}
        objects = controlplane.render_objects("gateway.yaml", **values)
        wait_for("the gateway's objects to be accepted", lambda: all(map(api.apply, objects)))
        _start_daemons(cluster, record, programs["contour"], program)
        ports = [cluster.forward(f"{NODE_IP}:{port}") for port in (INSIDE_HTTP, INSIDE_HTTPS)]
        record = record.with_(ports=record.ports | dict(zip(("gateway", "gateway-https"), ports, strict=True)))
        say(f"gateway: IngressClass {INGRESS_CLASS}, Gateway {PARENT}, http://{LOOPBACK}:{ports[0]}, https://{LOOPBACK}:{ports[1]}")
        return Gateway(LOOPBACK, ports[0], ports[1])


def status(gateway: Gateway, hostname: str) -> int:
    """Returns the HTTP status of a call by `hostname`, without an Access Key; 0 if there is no response."""
    return _call(gateway, hostname, "GET", None, 2)[0]


def call(gateway: Gateway, hostname: str, body: bytes, *, timeout: float, path: str = "/", key: str = "") -> tuple[int, str]:
    """POSTs JSON by `hostname`; returns status and body of the response, or 0 and the error if there is none. `timeout`: seconds."""
    return _call(gateway, hostname, "POST", body, timeout, path, key)


def get(gateway: Gateway, hostname: str, path: str, *, key: str, timeout: float) -> tuple[int, str]:
    """GETs by `hostname`, with an Access Key; returns status and body as `call` does."""
    return _call(gateway, hostname, "GET", None, timeout, path, key)


def _call(
    gateway: Gateway, hostname: str, method: str, body: bytes | None, timeout: float, path: str = "/", key: str = ""
) -> tuple[int, str]:
    connection = http.client.HTTPConnection(gateway.address, gateway.port, timeout=timeout)
    headers = {"Host": hostname, "Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error) or type(error).__name__
    finally:
        connection.close()


def configuration(cluster: Cluster) -> list[dict[str, Any]]:
    """Returns Envoy's configuration (`/config_dump`): one part for each kind of resource. Raises LocalError without a gateway."""
    record = _record(cluster)
    if _of(record) is None:
        raise LocalError(f"cluster {cluster.name} has no gateway: start it with `python -m local gateway --name {cluster.name}`")
    configs: list[dict[str, Any]] = json.loads(_request_admin(_admin(record), "/config_dump?include_eds")[1])["configs"]
    return configs


def _admin(record: Record) -> Path:
    return Path(record.run) / "envoy.sock"


def _of(record: Record) -> Gateway | None:
    if "gateway-https" not in record.ports:
        return None
    return Gateway(LOOPBACK, record.ports["gateway"], record.ports["gateway-https"])


def _record(cluster: Cluster) -> Record:
    record = state.load(cluster.name)
    if record is None:
        raise LocalError(f"there is no cluster {cluster.name}")
    return record


def _install(api: Api, path: Path) -> None:
    """Applies the definitions of a file and waits until the API server serves their kinds."""
    definitions = [each for each in yaml.load_all(path.read_text(), Loader=_LOADER) if each]
    wait_for("the definitions to be accepted", lambda: all(map(api.apply, definitions)))
    names = [each["metadata"]["name"] for each in definitions]
    wait_for("their kinds to be served", lambda: all(_is_established(api, name) for name in names))


def _is_established(api: Api, name: str) -> bool:
    definition = api.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}") or {}
    conditions = (definition.get("status") or {}).get("conditions") or ()  # null until the API server has set it
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)


def _start_daemons(cluster: Cluster, record: Record, contour: Path, program: Path) -> None:
    etc = record.folder / "etc"
    shutil.copyfile(controlplane.CONFIG / "contour.yaml", etc / "contour.yaml")
    admin = _admin(record)
    bootstrap = etc / "envoy.json"
    command = ["bootstrap", str(bootstrap), f"--admin-address={admin}", f"--xds-address={LOOPBACK}", f"--xds-port={XDS}"]
    done = subprocess.run([contour, *command, "--xds-resource-version=v3"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LocalError(f"contour could not write Envoy's configuration: {done.stderr.strip()[-2000:]}")
    manager = cluster.add_daemon("contour", [contour, "serve", *_contour_flags(etc)])
    flags = ["--service-cluster", "projectcontour", "--service-node", "envoy-1", "--concurrency", "2", "--disable-hot-restart"]
    proxy = cluster.add_daemon("envoy", [program, "-c", bootstrap, *flags, "--log-level", "warn"])

    def still() -> None:
        manager.require_alive()
        proxy.require_alive()

    wait_for(f"Envoy; its log is in {record.folder / 'logs'}", lambda: _is_live(admin), still=still)


def _contour_flags(etc: Path) -> list[str]:
    flags = {
        "kubeconfig": etc / "admin.kubeconfig",
        "config-path": etc / "contour.yaml",
        "xds-address": LOOPBACK,
        "xds-port": XDS,
        "http-address": LOOPBACK,
        "http-port": HEALTH,
        "health-address": LOOPBACK,
        "health-port": HEALTH,
        "debug-http-address": LOOPBACK,
        "debug-http-port": DEBUG,
        "stats-address": LOOPBACK,
        "stats-port": STATS,
        "envoy-service-http-address": NODE_IP,
        "envoy-service-https-address": NODE_IP,
        "ingress-class-name": INGRESS_CLASS,
        "ingress-status-address": INSIDE_IP,
    }
    options = [f"--{name}={value}" for name, value in flags.items()]
    # the xDS of both stays in the node's network namespace
    return [*options, "--insecure", "--disable-leader-election", *(f"--disable-feature={name}" for name in NOT_IN_THE_STANDARD_CHANNEL)]


def _is_live(admin: Path) -> bool:
    """Returns True if Envoy has its first configuration."""
    try:
        return _request_admin(admin, "/ready")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def _request_admin(admin: Path, path: str) -> tuple[int, bytes]:
    """Requests a path of Envoy's admin API at its socket; returns the status and the body."""
    connection = _SocketConnection(admin)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("envoy", timeout=5)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
