"""Prometheus and promtool, as Debian has them."""

from __future__ import annotations

import subprocess

from tests.support.debian import Package

PACKAGE = Package("prometheus", ("prometheus", "promtool"))


def version() -> str:
    """What Prometheus says of itself."""
    done = subprocess.run([PACKAGE.program("prometheus"), "--version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]
