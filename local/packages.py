"""Installs the programs that the distribution provides: runc and the tools that configure a network.

It installs missing ones with apt, as root, and prints that; elsewhere it names the packages to install. It never upgrades anything.
"""

from __future__ import annotations

import os
import shutil

from local import builds
from local.errors import LocalError
from local.processes import search_path
from local.steps import CommandError, Step, Task

NEEDED = {
    "runc": "runc",
    "nft": "nftables",
    "iptables": "iptables",
    "ipset": "ipset",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "mount": "mount",
}


def missing() -> list[Step]:
    """Returns the step that installs the missing packages of NEEDED. Raises LocalError that names them if it can't."""
    packages = _absent()
    if packages and (os.geteuid() != 0 or shutil.which("apt-get") is None):
        raise LocalError(f"the node profile needs programs that are not installed; install the packages: {' '.join(packages)}")
    return [Step(f"apt-get install {' '.join(packages)}", _install)] if packages else []


def _install(task: Task) -> str:
    """Installs what is still missing. If two clusters start at once, one waits for the other, which apt itself would not do."""
    with builds.locked("packages"):
        if packages := _absent():
            _apt(task, "update")
            _apt(task, "install", "--yes", "--no-install-recommends", *packages)
        if absent := _absent():
            raise LocalError(f"apt-get installed {' '.join(packages)}, and these are still not on PATH: {' '.join(absent)}")
    return ""


def _absent() -> list[str]:
    path = search_path()
    return sorted({package for program, package in NEEDED.items() if shutil.which(program, path=path) is None})


def _apt(task: Task, *arguments: str) -> None:
    try:
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        task.run(["apt-get", "-qq", *arguments], env=environment, interruptible=False)  # half an installation stays broken
    except CommandError as error:
        raise LocalError(f"`apt-get {' '.join(arguments)}` failed:\n{error}") from error
