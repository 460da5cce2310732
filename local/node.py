"""Runs the node profile: a control plane and one node with real pods, all in namespaces of their own.

Everything but the forwarder's listening socket is inside. Ports are therefore fixed, and any number of clusters fit on a machine.
"""

from __future__ import annotations

import http.client
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from local import builds, cgroups, components, controlplane, images, sandbox
from local.api import Api
from local.controlplane import FIXED_PORTS, POD_CIDR, Place, render, render_objects
from local.errors import LocalError
from local.processes import Daemons, search_path
from local.progress import say, wait_for
from local.sandbox import NODE_IP, Sandbox
from local.state import Record

DNS_IP = "10.96.0.10"
NODE_POD_CIDR = "10.244.0.0/24"  # what the controller manager gives to the first node of POD_CIDR
PAUSE_IMAGE = "local.dynamiq.test/pause:1"
DNS_READY = "127.0.0.1:8181"


def programs() -> dict[str, Path]:
    """Returns the built programs that it runs."""
    return builds.programs(components.NODE)


def node_name(record: Record) -> str:
    return f"{record.name}-node"


def claim(record: Record) -> Record:
    """Adds to the record the machine's resources that this profile uses besides processes."""
    return record.with_(cgroups=cgroups.planned(record.slug), run=f"/run/dynamiq-{record.token}")


def start(record: Record, built: dict[str, Path]) -> Record:
    """Starts everything and waits until pods can run. `record` is claimed and saved."""
    if sandbox.missing_bridge_filter():
        say("warning: the kernel has no br_netfilter; a pod may not reach a Service whose pod is on the same node")
    place = Place(record, NODE_IP, FIXED_PORTS, serves_pods=True)
    cgroups.create(record.cgroups)
    Path(record.run).mkdir(mode=0o700)
    inside = sandbox.create(record, built["pause"])
    api_port, dns_port = inside.forward(built, [f"127.0.0.1:{FIXED_PORTS['api']}", DNS_READY])
    record = record.with_(ports={"api": api_port, "dns-ready": dns_port})
    controlplane.write_pki(place, node_name(record), api_port)
    _write_config(place, built)
    daemons = Daemons(record, inside.enter)
    search = {"PATH": f"{built['containerd'].parent}:{search_path()}"}
    daemons.start("containerd", [built["containerd"], "--config", place.etc / "containerd.toml"], env=search)
    controlplane.start_servers(place, daemons, built)
    wait_for("containerd", lambda: _ctr(record, built, "version"), still=daemons.require_alive)
    load_images(record, built, [_pause_image(built["pause"])])
    api = Api(api_port, place.pki)
    wait_for("the API server", api.is_ready, still=daemons.require_alive)
    controlplane.start_controllers(place, daemons, built)
    objects = [*render_objects("dns.yaml", dns_ip=DNS_IP, node_ip=NODE_IP), *render_objects("policies.yaml")]
    wait_for("the objects of DNS and NetworkPolicies to be accepted", lambda: all(map(api.apply, objects)), still=daemons.require_alive)
    _start_node(place, daemons, built, search)
    wait_for("the node to be Ready", lambda: api.node_ready(node_name(record)), still=daemons.require_alive)
    wait_for("the cluster's DNS", lambda: _dns_is_ready(dns_port), still=daemons.require_alive)
    wait_for("NetworkPolicies to be enforced", lambda: _enforces_policies(inside), still=daemons.require_alive)
    return record


def load_images(record: Record, built: dict[str, Path], archives: Iterable[Path]) -> None:
    """Imports images of archives that the node's containerd does not have. Raises LocalError that names the archive that failed."""
    listed = subprocess.run(_ctr_command(record, built, "images", "list"), capture_output=True, text=True, check=False).stdout
    present = {(name, digest) for name, _, digest, *_ in (line.split() for line in listed.splitlines()[1:])}
    for archive in archives:
        if not archive.is_file():
            raise LocalError(f"no image archive {archive}")
        if (named := images.named_in(archive)) and named.items() <= present:
            continue
        # with the transfer service, which is the default, containerd copies each byte twice more
        command = _ctr_command(record, built, "images", "import", "--local", str(archive))
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LocalError(f"could not load {archive}: {done.stderr.strip()[-2000:]}")


def forward(record: Record, built: dict[str, Path], target: str, port: int = 0) -> int:
    """Opens a port of the machine's loopback that leads to `host:port` inside the cluster; it closes when the cluster stops."""
    return _running(record).forward(built, [target], port)[0]


def add_daemon(record: Record, name: str, command: list[str | Path]) -> Daemons:
    """Starts one more process on the node, outside of any pod, which ends with the cluster. Returns the handle that shows if it is alive."""
    daemons = Daemons(record, _running(record).enter)
    daemons.start(name, command)
    return daemons


def _running(record: Record) -> Sandbox:
    if (inside := sandbox.find(record)) is None:
        raise LocalError(f"cluster {record.name} is not running: start it with `python -m local up --name {record.name}`")
    return inside


def _start_node(place: Place, daemons: Daemons, built: dict[str, Path], search: dict[str, str]) -> None:
    name = node_name(place.record)
    kubelet: list[str | Path] = ["--config", place.etc / "kubelet.yaml", "--kubeconfig", place.etc / "kubelet.kubeconfig"]
    kubelet += ["--hostname-override", name, "--node-ip", NODE_IP]
    daemons.start("kubelet", [built["kubelet"], *kubelet], env=search)
    proxy: list[str | Path] = ["--config", place.etc / "kube-proxy.yaml", "--hostname-override", name]
    daemons.start("kube-proxy", [built["kube-proxy"], *proxy], env=search)
    daemons.start("coredns", [built["coredns"], "-conf", place.etc / "Corefile"])
    policies: list[str | Path] = [f"--kubeconfig={place.etc / 'kube-router.kubeconfig'}", f"--hostname-override={name}"]
    daemons.start("kube-router", [built["kube-router"], *policies, f"--service-cluster-ip-range={controlplane.SERVICE_CIDR}"], env=search)


def _write_config(place: Place, built: dict[str, Path]) -> None:
    record = place.record
    values = {
        "data": record.folder,
        "run": record.run,
        "cgroup": record.slug,
        "node_ip": NODE_IP,
        "node_dns_ip": sandbox.NODE_DNS_IP,
        "pod_cidr": POD_CIDR,
        "node_pod_cidr": NODE_POD_CIDR,
        "pause_image": PAUSE_IMAGE,
        "requests_per_second": controlplane.REQUESTS_PER_SECOND,
        "requests_burst": controlplane.REQUESTS_BURST,
        "cni_programs": built["bridge"].parent,
        "runc": shutil.which("runc", path=search_path()),
    }
    for name in ("containerd.toml", "kubelet.yaml", "kube-proxy.yaml", "Corefile"):
        (place.etc / name).write_text(render(name, **values))
    (place.etc / "cni").mkdir()
    (place.etc / "cni" / "10-bridge.conflist").write_text(render("bridge.conflist", **values))
    (place.etc / "resolv.conf").touch()


def _pause_image(pause: Path) -> Path:
    archive = pause.parent.with_name(pause.parent.name + ".image.tar")
    with builds.locked("pause-image"):
        if not archive.exists():
            images.write_image(archive, PAUSE_IMAGE, pause.parent, entrypoint=["/pause"])
    return archive


def _ctr_command(record: Record, built: dict[str, Path], *arguments: str) -> list[str]:
    return [str(built["ctr"]), "--address", f"{record.run}/containerd.sock", "--namespace", "k8s.io", *arguments]


def _ctr(record: Record, built: dict[str, Path], *arguments: str) -> bool:
    command = _ctr_command(record, built, *arguments)
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _enforces_policies(inside: Sandbox) -> bool:
    """Returns True if kube-router has written its rules once; the last of them accepts the packets that policies allow."""
    try:
        rules = inside.run("iptables", "--wait", "-S", "KUBE-ROUTER-FORWARD")
    except LocalError:  # it has not made the chain yet
        return False
    return "--mark 0x20000/0x20000 -j ACCEPT" in rules


def _dns_is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
