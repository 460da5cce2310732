"""Programs that come from the distribution: runc and what configures a network.

It installs what is missing with apt, as root, saying so; elsewhere it says exactly what to install. It never upgrades anything.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from local.errors import LocalError
from local.processes import search_path
from local.progress import say

NEEDED = {
    "runc": "runc",
    "nft": "nftables",
    "iptables": "iptables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "mount": "mount",
}


def ensure() -> None:
    """Makes sure that each program of NEEDED is there. Raises LocalError naming the packages to install."""
    packages = _missing()
    if not packages:
        return
    wanted = " ".join(packages)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise LocalError(f"the node profile needs programs that are not installed; install the packages: {wanted}")
    say(f"installing from the distribution: {wanted}")
    _apt("update")
    _apt("install", "--yes", "--no-install-recommends", *packages)
    if still := _missing():
        raise LocalError(f"apt-get installed {wanted}, and these are still not on PATH: {' '.join(still)}")


def _missing() -> list[str]:
    path = search_path()
    return sorted({package for program, package in NEEDED.items() if shutil.which(program, path=path) is None})


def _apt(*arguments: str) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(["apt-get", "-qq", *arguments], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LocalError(f"`apt-get {' '.join(arguments)}` failed:\n{done.stderr.strip()[-2000:]}")
