"""Installs kinds of another project in a cluster that has none of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.support.cluster import Kubectl, until_established


@contextlib.contextmanager
def served(kubectl: Kubectl, *files: Path) -> Iterator[None]:
    """Serves the kinds while the block runs.

    Raises AssertionError if the cluster has one of them: its objects belong to others, and would be deleted with it.
    """
    named = [argument for file in files for argument in ("-f", str(file))]
    present = kubectl("get", "--ignore-not-found", "-o", "name", *named).stdout.split()
    assert not present, f"another installation, or what one has left, is in this cluster: {', '.join(present)}"
    kubectl("apply", "--server-side", *named)
    try:
        until_established(kubectl, *named)
        yield
    finally:
        kubectl("delete", "--ignore-not-found", *named)
