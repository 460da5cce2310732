"""Makes the namespaces of a cluster's node: network, mounts and process ids of its own.

The first process of the process id namespace is the `pause` program. After it is killed, the kernel ends every process of the cluster,
containers included, and then removes its mounts and its network. Nothing is pinned, so nothing has to be cleaned. It changes no mount,
route or kernel setting of the machine's own.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from local import processes
from local.errors import LocalError
from local.processes import Daemons
from local.progress import wait_for
from local.state import Record

NODE_IP = "198.18.0.2"  # of the range for benchmarks: no other network has it
NODE_DNS_IP = "169.254.20.10"  # the DNS server of pods, as with a DNS cache on each node
LINKS = f"""\
link set lo up
addr add {NODE_DNS_IP}/32 dev lo
link add node0 type veth peer name node0-peer
addr add {NODE_IP}/24 dev node0
link set node0 up
link set node0-peer up
route add default dev node0
"""
SETTINGS = {"net/ipv4/ip_forward": "1", "net/bridge/bridge-nf-call-iptables": "1"}
PRIVATE_FOLDERS = ("/var/lib", "/var/log")
# The kubelet would set these for the whole machine; it finds these files instead, and changes nothing.
MACHINE_SETTINGS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


@dataclass(frozen=True)
class Sandbox:
    """Running namespaces; `first` is their first process, by its id outside."""

    record: Record
    first: int

    @property
    def enter(self) -> tuple[str, ...]:
        """Returns the start of a command that runs the rest of it inside."""
        return ("nsenter", f"--target={self.first}", "--net", "--mount", "--pid", "--")

    def run(self, *command: str, text: str = "") -> str:
        """Runs a short command inside and returns its output. Raises LocalError if it fails."""
        environment = os.environ | {"PATH": processes.search_path()}
        done = subprocess.run([*self.enter, *command], input=text, capture_output=True, text=True, check=False, env=environment)
        if done.returncode:
            raise LocalError(f"`{' '.join(command)}` failed in the cluster's namespaces: {done.stderr.strip()}")
        return done.stdout

    def forward(self, programs: dict[str, Path], targets: Sequence[str], port: int = 0) -> list[int]:
        """Opens a loopback port of the machine for each `host:port` inside and returns them; `port` is the first one's, 0 any."""
        listeners = [socket.create_server(("127.0.0.1", port if not index else 0), backlog=1024) for index in range(len(targets))]
        try:
            pairs = [f"{listener.fileno()}={target}" for listener, target in zip(listeners, targets, strict=True)]
            fds = [listener.fileno() for listener in listeners]
            Daemons(self.record, self.enter).start("forward", [programs["forward"], *pairs], fds=fds)
            return [listener.getsockname()[1] for listener in listeners]
        finally:
            for listener in listeners:
                listener.close()


def find(record: Record) -> Sandbox | None:
    """Returns the namespaces of a running cluster; None if it has none."""
    for pid in processes.find(record.token):
        if _is_first(pid):
            return Sandbox(record, pid)
    return None


def create(record: Record, pause: Path) -> Sandbox:
    """Makes the namespaces and sets up their links, settings and private folders."""
    if str(record.folder).startswith(tuple(f"{folder}/" for folder in PRIVATE_FOLDERS)):
        raise LocalError(f"the cache can't be in {' or '.join(PRIVATE_FOLDERS)}: name another folder in DYNAMIQ_CACHE")
    daemons = Daemons(record)
    unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--propagation=slave"]
    daemons.start("sandbox", [*unshare, pause])
    sandbox = wait_for("its namespaces", lambda: find(record), every=0.005, still=daemons.require_alive)
    sandbox.run("ip", "-batch", "-", text=LINKS)
    for name, value in SETTINGS.items():
        sandbox.run("tee", f"/proc/sys/{name}", text=value)
    _mount(sandbox)
    return sandbox


def _mount(sandbox: Sandbox) -> None:
    for folder in PRIVATE_FOLDERS:
        private = sandbox.record.folder / folder.strip("/")
        private.mkdir(parents=True, exist_ok=True)
        sandbox.run("mount", "--bind", str(private), folder)
    for name, value in MACHINE_SETTINGS.items():
        stand_in = sandbox.record.folder / "sysctl" / name
        stand_in.parent.mkdir(parents=True, exist_ok=True)
        stand_in.write_text(value + "\n")
        sandbox.run("mount", "--bind", str(stand_in), f"/proc/sys/{name}")
    # a pod may ask for a mount that follows its source's
    sandbox.run("mount", "--make-rshared", "/")


def _is_first(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        command = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return False
    inside = next((line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")), [])
    return command == "pause" and inside == [str(pid), "1"]


def missing_bridge_filter() -> bool:
    """Returns True if the kernel's module for filtering bridged packets is missing and can't be loaded."""
    if Path("/proc/sys/net/bridge").exists():
        return False
    modprobe = shutil.which("modprobe")
    return modprobe is None or subprocess.run([modprobe, "br_netfilter"], check=False, capture_output=True).returncode != 0
