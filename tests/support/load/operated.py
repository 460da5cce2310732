"""Prepares a namespace on real pods like an installation: with the operator under its own account, and the gate.

The admission policies are the cluster's: fixture `guarded_cluster` of `tests/support/real_pods.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from local import gateway
from local.clusters import Cluster
from local.gateway import Gateway
from tests.support.load.sleepers import Gates, install
from tests.support.operator import Operator
from tests.support.stage import Stage, operator, stage

DOMAIN = "apps.example.test"
OPTIONS = (f"--domain={DOMAIN}", f"--ingress-class={gateway.INGRESS_CLASS}", f"--gateway={gateway.PARENT}")
"""Options with which the operator gives each App a hostname that the gateway serves."""


@dataclass(frozen=True)
class Operated:
    """The namespace, its operator, which may be stopped and started, the gateway, and the gate of sleeping Apps."""

    on: Stage
    operator: Operator
    at: Gateway
    gates: Gates


@contextlib.contextmanager
def operated(cluster: Cluster, at: Gateway, purpose: str, folder: Path, *others: Stage) -> Iterator[Operated]:
    """Runs the operator while the block runs, also in the namespaces of `others`; the gate stays for the next caller."""
    gates = install(cluster)
    with stage(cluster, purpose) as on, operator(on, *others, folder=folder, options=OPTIONS) as running:
        yield Operated(on, running, at, gates)
