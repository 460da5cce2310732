"""Runs Flux itself: its source-controller and kustomize-controller beside a cluster, and a Git repository that they fetch by HTTP.

The controllers act for a service account of the namespace, like a tenant's Kustomization, with the rights of its role.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from dynamiq_operator.model.base import GROUP
from local import builds, components
from local.clusters import Cluster
from tests.soak.support import definitions
from tests.soak.support.git_server import BRANCH, committed, git, served
from tests.support import programs
from tests.support.api import Manifest
from tests.support.cluster import REPOSITORY, Kubectl
from tests.support.ports import free_port
from tests.support.programs import Process
from tests.support.waiting import eventually

NAME = "apps"
"""The name of the GitRepository, of the Kustomization, and of its folder for a namespace."""
PLATFORM = "platform"
"""The Kustomization of cluster-wide objects, and its folder."""
KUSTOMIZATION = "kustomization.kustomize.toolkit.fluxcd.io"
ACCOUNT = "flux"
STARTS_WITHIN = 60.0  # seconds
APPLIES_WITHIN = 60.0
FAILS_WITHIN = 180.0
WAITS = "120s"
"""How long a Kustomization waits for the objects that it has applied, if it waits."""
HEALTH = REPOSITORY / "manifests" / "flux" / "health-checks.yaml"
REQUESTED = "reconcile.fluxcd.io/requestedAt"


@dataclass
class Flux:
    """A Git repository of a namespace, and the Flux that applies it."""

    kubectl: Kubectl
    namespace: str
    repository: Path
    requested: int = field(default=0)

    def push(self, *objects: Manifest, message: str = "change") -> str:
        """Commits these objects, each in a file of its own, beside the existing ones; returns the revision as Flux writes it."""
        for each in objects:
            folder = self.repository / (NAME if "namespace" in each["metadata"] else PLATFORM)
            (folder / f"{each['kind']}-{each['metadata']['name']}.yaml".lower()).write_text(yaml.safe_dump(each))
        return f"{BRANCH}@sha1:{committed(self.repository, message)}"

    def until_applied(self, revision: str) -> None:
        """Notifies Flux of a change, like a webhook of a forge, and waits until it has applied it."""
        self._fetched(revision)
        for name in (PLATFORM, NAME):
            self._until_applied_by(name, revision)

    def until_failed(self, revision: str) -> str:
        """Notifies Flux of a change, and waits until its status says that the change failed; returns its message."""
        self._fetched(revision)
        self._told(KUSTOMIZATION)
        ready = '{.status.lastAttemptedRevision} {.status.conditions[?(@.type=="Ready")].reason}'
        eventually("its health check fails", lambda: self._get(KUSTOMIZATION, ready) == f"{revision} HealthCheckFailed", FAILS_WITHIN)
        return self._get(KUSTOMIZATION, '{.status.conditions[?(@.type=="Ready")].message}')

    def again(self) -> None:
        """Makes Flux apply the same revision again, and waits for it."""
        requested_at = self._told(KUSTOMIZATION)
        eventually(
            "it is applied again", lambda: self._get(KUSTOMIZATION, "{.status.lastHandledReconcileAt}") == requested_at, APPLIES_WITHIN
        )

    def _fetched(self, revision: str) -> None:
        self._told("gitrepository")
        eventually(f"Flux has {revision}", lambda: self._get("gitrepository", "{.status.artifact.revision}") == revision, APPLIES_WITHIN)

    def _until_applied_by(self, name: str, revision: str) -> None:
        self._told(KUSTOMIZATION, name)
        path, within = "{.status.lastAppliedRevision}", FAILS_WITHIN
        eventually(f"{revision} is applied by {name}", lambda: self._get(KUSTOMIZATION, path, name) == revision, within)

    def _told(self, kind: str, name: str = NAME) -> str:
        self.requested += 1
        self.kubectl("annotate", "--overwrite", kind, name, f"{REQUESTED}={self.requested}", namespace=self.namespace)
        return str(self.requested)

    def _get(self, kind: str, path: str, name: str = NAME) -> str:
        return self.kubectl("get", kind, name, "-o", f"jsonpath={path}", namespace=self.namespace).stdout


@contextmanager
def flux(cluster: Cluster, namespace: str, folder: Path, *, waits: bool = False) -> Iterator[Flux]:
    """Runs Flux for a namespace; its account may edit there, and make Runtimes. It builds Flux if the cache does not have it: minutes.

    `waits`: it waits for applied objects, by the health checks of `manifests/flux`.
    """
    built = builds.ensure(components.FLUX)
    kubectl = Kubectl(cluster)
    repository = folder / "git" / NAME
    for name in (NAME, PLATFORM):
        (repository / name).mkdir(parents=True)
    git(repository, "init", "--quiet", f"--initial-branch={BRANCH}")
    prepared = Flux(kubectl, namespace, repository)
    known = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": PLATFORM, "namespace": namespace}}
    (repository / PLATFORM / "known.yaml").write_text(yaml.safe_dump(known))  # Flux makes no Kustomization of an empty folder
    with ExitStack() as running:
        running.enter_context(definitions.served(kubectl, *(built[name] for name in components.FLUX_CRDS)))
        url = running.enter_context(served(repository.parent))
        address = f"127.0.0.1:{free_port()}"
        storage = folder / "artifacts"
        storage.mkdir()
        stored = [f"--storage-path={storage}", f"--storage-addr={address}", f"--storage-adv-addr={address}"]
        running.enter_context(_controller(built["source-controller"], cluster, folder, *stored))
        running.enter_context(_controller(built["kustomize-controller"], cluster, folder))
        try:
            kubectl("apply", "-f", "-", input=list(_objects(namespace, f"{url}/{NAME}", waits)))
            yield prepared
        finally:  # while its controllers still remove the finalizers
            kubectl("delete", "--ignore-not-found", KUSTOMIZATION, NAME, PLATFORM, namespace=namespace)
            kubectl("delete", "--ignore-not-found", "gitrepository", NAME, namespace=namespace)
            kubectl("delete", "--ignore-not-found", "clusterrole,clusterrolebinding", f"{ACCOUNT}-{namespace}")


def _objects(namespace: str, url: str, waits: bool) -> Iterator[Manifest]:
    meta = {"name": NAME, "namespace": namespace}
    account = {"name": ACCOUNT, "namespace": namespace}
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account}
    yield {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": account,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"kind": "ServiceAccount", **account}],
    }
    yield from _runtimes_for(namespace)
    source = {"url": url, "ref": {"branch": BRANCH}, "interval": "10m"}
    yield {"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository", "metadata": meta, "spec": source}
    applied = {
        "interval": "10m",
        "retryInterval": "5s",
        "prune": True,
        "serviceAccountName": ACCOUNT,
        "sourceRef": {"kind": "GitRepository", "name": NAME},
    }
    apps = {**applied, "path": f"./{NAME}", "targetNamespace": namespace}
    if waits:
        apps |= {**yaml.safe_load(HEALTH.read_text())["spec"], "timeout": WAITS}
    kind = {"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization"}
    yield {**kind, "metadata": meta, "spec": apps}
    yield {**kind, "metadata": {**meta, "name": PLATFORM}, "spec": {**applied, "path": f"./{PLATFORM}", "prune": False}}


def _runtimes_for(namespace: str) -> Iterator[Manifest]:
    """Yields the right to make Runtimes, which are cluster-wide: an administrator's, or that of a separate Git repository."""
    meta = {"name": f"{ACCOUNT}-{namespace}"}
    authorization = "rbac.authorization.k8s.io"
    rules = [{"apiGroups": [GROUP], "resources": ["runtimes"], "verbs": ["get", "list", "create", "patch", "update"]}]
    yield {"apiVersion": f"{authorization}/v1", "kind": "ClusterRole", "metadata": meta, "rules": rules}
    yield {
        "apiVersion": f"{authorization}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": meta,
        "roleRef": {"apiGroup": authorization, "kind": "ClusterRole", "name": meta["name"]},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}],
    }


def _controller(program: Path, cluster: Cluster, folder: Path, *flags: str) -> AbstractContextManager[Process]:
    own = [f"--health-addr=127.0.0.1:{free_port()}", "--metrics-addr=0", "--enable-leader-election=false", "--events-addr="]
    environment = {"KUBECONFIG": str(cluster.kubeconfig), "RUNTIME_NAMESPACE": "flux-system", "HOME": str(folder)}
    log = folder / f"{program.name}.log"
    works = lambda: "Starting workers" in log.read_text()  # noqa: E731
    return programs.running([program, *flags, *own], log, works, seconds=STARTS_WITHIN, environment=environment, cwd=folder)
