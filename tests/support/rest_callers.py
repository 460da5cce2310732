"""The management API over two projects, and three who call it: one may edit the first project, one may view it, one edits the other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from local.clusters import Cluster
from tests.support import rest
from tests.support.api import Api, fresh_namespace
from tests.support.cluster import Kubectl
from tests.support.rest import Client
from tests.support.waiting import eventually


@dataclass(frozen=True)
class Callers:
    """`namespace` is the first project, and `project` its id."""

    api: Api
    kubectl: Kubectl
    namespace: str
    project: str
    anna: Client
    """May edit."""

    viewer: Client
    stranger: Client
    """Edits another project."""


@contextlib.contextmanager
def calling(cluster: Cluster, folder: Path, purpose: str) -> Iterator[Callers]:
    """The API serves while the block runs; the rights of `manifests/rbac/` must be there."""
    api = Api.of(cluster)
    kubeconfig = rest.install(cluster, folder)
    with (
        fresh_namespace(api, purpose) as mine,
        fresh_namespace(api, "elsewhere") as other,
        rest.serving(kubeconfig, folder) as url,
    ):
        found = {}
        for home, name, role, verb in (
            (mine, "anna", "edit", "create"),
            (mine, "viewer", "view", "list"),
            (other, "stranger", "edit", "create"),
        ):
            found[name] = rest.client(api, url, home, name, role)
            _applies(api, home, name, verb)
        yield Callers(api, Kubectl(cluster), mine, rest.uid(api, "Namespace", mine), **found)


def _applies(api: Api, home: str, name: str, verb: str) -> None:
    user = f"system:serviceaccount:{home}:{name}"
    eventually(f"{name}'s rights apply", lambda: rest.allowed(api, user, home, verb, "workflows"))
