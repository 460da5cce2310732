"""Provides Debian's Prometheus and promtool."""

from __future__ import annotations

import subprocess

from local import steps
from tests.support.debian import Package

PACKAGE = Package("prometheus", ("prometheus", "promtool"))


def ensure() -> None:
    """Unpacks missing ones, once for this machine. Raises LocalError if that is impossible."""
    steps.run(PACKAGE.missing())


def version() -> str:
    """Returns the version that Prometheus prints."""
    done = subprocess.run([PACKAGE.program("prometheus"), "--version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]
