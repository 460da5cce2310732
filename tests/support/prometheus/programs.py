"""Prometheus and promtool, as Debian has them."""

from __future__ import annotations

import subprocess

from local import steps
from tests.support.debian import Package

PACKAGE = Package("prometheus", ("prometheus", "promtool"))


def ensure() -> None:
    """Unpacks them where they are missing, once for this machine. Raises LocalError where that cannot be."""
    steps.run(PACKAGE.missing())


def version() -> str:
    """What Prometheus says of itself."""
    done = subprocess.run([PACKAGE.program("prometheus"), "--version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]
