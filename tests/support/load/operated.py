"""A namespace on real pods with all that an installation has: the operator under its own account, the admission policies, the gate."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from local import gateway
from local.clusters import Cluster
from local.gateway import Gateway
from tests.support.load.sleepers import Gates, install
from tests.support.operator import Operator, admission_policies, install_account
from tests.support.stage import Stage, stage

DOMAIN = "apps.example.test"
OPTIONS = (f"--domain={DOMAIN}", f"--ingress-class={gateway.INGRESS_CLASS}")


@dataclass(frozen=True)
class Operated:
    """The namespace, its operator, which may be stopped and started, and the two ways in: the gateway, and the gate of those that sleep."""

    on: Stage
    operator: Operator
    at: Gateway
    gates: Gates


@contextlib.contextmanager
def operated(cluster: Cluster, at: Gateway, purpose: str, folder: Path) -> Iterator[Operated]:
    """The operator works while the block runs; the gate stays for the next one."""
    gates = install(cluster)
    kubeconfig = install_account(cluster, folder)
    with (
        admission_policies(cluster),
        stage(cluster, purpose) as on,
        Operator(kubeconfig, folder, [on.namespace], OPTIONS, cluster=cluster) as operator,
    ):
        yield Operated(on, operator, at, gates)
