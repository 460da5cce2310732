"""Installs the kinds of the Prometheus Operator in a cluster that has none. `crds/README.md` names their source."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import yaml

from tests.support.cluster import Kubectl, until_established
from tests.support.waiting import eventually

FILES = tuple(sorted((Path(__file__).parent / "crds").glob("*.yaml")))


@contextlib.contextmanager
def definitions(kubectl: Kubectl, *, leave: bool) -> Iterator[None]:
    """Serves the kinds while the block runs. `leave`: keeps them afterwards, for a cluster that is deleted anyway."""
    named = [argument for file in FILES for argument in ("-f", str(file))]
    kubectl("apply", "--server-side", "--force-conflicts", *named)
    try:
        until_established(kubectl, *named)
        # A client finds the kinds by the API server's discovery, which lists them a moment later.
        kinds = [yaml.safe_load(file.read_text())["metadata"]["name"] for file in FILES]
        eventually("they can be found", lambda: all(kubectl("get", kind, check=False).returncode == 0 for kind in kinds))
        yield
    finally:
        if not leave:
            kubectl("delete", "--ignore-not-found", *named)
