"""Runs Argo CD itself: its repo-server and application-controller beside a cluster, and a Git repository that they fetch by HTTP.

It acts as a service account of its namespace with all rights, like an Argo CD that is installed for a whole cluster.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

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

NAMESPACE = "argocd"
NAME = "apps"
"""The name of the Application, and of the repository."""
APPLICATION = "applications.argoproj.io"
ACCOUNT = "argocd-application-controller"
REFRESH = "argocd.argoproj.io/refresh"
CHECKS = REPOSITORY / "manifests" / "argocd"
STARTS_WITHIN = 120.0  # seconds
SYNCS_WITHIN = 180.0
PART = {"app.kubernetes.io/part-of": "argocd"}
"""The label without which Argo CD reads no settings."""


@dataclass
class Argo:
    """A Git repository of a namespace, and the Argo CD that applies it."""

    kubectl: Kubectl
    namespace: str
    repository: Path

    def push(self, *objects: Manifest, message: str = "change") -> str:
        """Commits these objects, each in a file of its own, beside the existing ones; returns the commit."""
        for each in objects:
            self._file(each["kind"], each["metadata"]["name"]).write_text(yaml.safe_dump(each))
        return committed(self.repository, message)

    def drop(self, kind: str, name: str) -> str:
        """Commits the removal of an object; returns the commit."""
        self._file(kind, name).unlink()
        return committed(self.repository, f"without {kind} {name}")

    def until_synced(self, commit: str) -> None:
        """Notifies Argo CD of a change, like a webhook of a forge, and waits until its status is synced to this commit."""
        self.refresh()
        eventually(f"{commit} is synced: {self.status()}", lambda: self._is_synced(commit), SYNCS_WITHIN)

    def until_acted_on(self, commit: str) -> None:
        """Waits until Argo CD has ended a sync to this commit, even if the cluster has more than Git."""
        self.refresh()

        def ended() -> bool:
            operation = self.status().get("operationState", {})
            return (operation.get("syncResult", {}).get("revision"), operation.get("phase")) == (commit, "Succeeded")

        eventually(f"{commit} is acted on: {self.status()}", ended, SYNCS_WITHIN)

    def refresh(self) -> None:
        """Makes it read Git and the cluster again, and waits for that."""
        self.kubectl("annotate", "--overwrite", APPLICATION, NAME, f"{REFRESH}=hard", namespace=NAMESPACE)
        eventually("it has looked", lambda: REFRESH not in self._application()["metadata"].get("annotations", {}), SYNCS_WITHIN)

    def status(self) -> Manifest:
        current: Manifest = self._application().get("status", {})
        return current

    def health(self, kind: str = "", name: str = "") -> tuple[str, str]:
        """Returns status and message of an object's health, or of the Application's; empty if it has none."""
        status = self.status()
        objects = (each for each in status.get("resources", ()) if (each["kind"], each["name"]) == (kind, name))
        place: Manifest = next(objects, {}) if kind else status
        health = place.get("health", {})
        return health.get("status", ""), health.get("message", "")

    def checks_health(self) -> None:
        """Installs our health checks, as in docs/gitops.md."""
        self.kubectl("apply", "--server-side", "--field-manager=dynamiq", "-k", str(CHECKS))

    def _is_synced(self, commit: str) -> bool:
        status = self.status()
        sync, operation = status.get("sync", {}), status.get("operationState", {})
        return (sync.get("status"), sync.get("revision"), operation.get("phase")) == ("Synced", commit, "Succeeded")

    def _application(self) -> Manifest:
        application: Manifest = json.loads(self.kubectl("get", APPLICATION, NAME, "-o", "json", namespace=NAMESPACE).stdout)
        return application

    def _file(self, kind: str, name: str) -> Path:
        return self.repository / f"{kind}-{name}.yaml".lower()


@contextmanager
def argo(cluster: Cluster, namespace: str, folder: Path) -> Iterator[Argo]:
    """Runs Argo CD for a namespace, without our health checks. It builds Argo CD if the cache does not have it, which takes minutes."""
    built = builds.ensure([components.ARGO])
    kubectl = Kubectl(cluster)
    repository = folder / "git" / NAME
    repository.mkdir(parents=True)
    git(repository, "init", "--quiet", f"--initial-branch={BRANCH}")
    prepared = Argo(kubectl, namespace, repository)
    with ExitStack() as running:
        running.enter_context(definitions.served(kubectl, built[components.ARGO_CRDS]))
        url = running.enter_context(served(repository.parent))
        kubectl("apply", "--server-side", "-f", "-", input=list(_installation()))
        running.callback(_removed, kubectl)
        kubectl("apply", "--server-side", "-f", "-", input=list(_settings(kubectl, namespace, f"{url}/{NAME}")))
        running.callback(kubectl, "delete", "--ignore-not-found", APPLICATION, NAME, namespace=NAMESPACE)
        redis, repo = (f"127.0.0.1:{free_port()}" for _ in range(2))
        beside = ["--redis", redis, "--metrics-port"]
        running.enter_context(_program(cluster, folder, [built["argocd-cache"], redis], redis))
        host, port = repo.split(":")
        plain = ["--disable-tls", "--client-ca-path", ""]
        answers: list[str | Path] = [built["argocd-repo-server"], *beside, str(free_port()), "--address", host, "--port", port, *plain]
        running.enter_context(_program(cluster, _with_verifier(folder, built), answers, repo))
        acts: list[str | Path] = [
            built["argocd-application-controller"],
            *beside,
            str(free_port()),
            "--repo-server",
            repo,
            "--repo-server-plaintext",
        ]
        acts += ["--kubeconfig", str(cluster.kubeconfig), "--namespace", NAMESPACE, "--app-resync", "10", "--persist-resource-health"]
        running.enter_context(_program(cluster, folder, acts))
        yield prepared


def _installation() -> Iterator[Manifest]:
    """Yields the objects of an installation of Argo CD, without its programs."""
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    meta = {"name": ACCOUNT, "namespace": NAMESPACE}
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}
    yield {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": ACCOUNT},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", **meta}],
    }
    settings = {"argocd-cm": {"timeout.reconciliation": "10s"}, "argocd-rbac-cm": {}}
    for name, data in settings.items():
        yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": NAMESPACE, "labels": PART}, "data": data}
    key = base64.b64encode(os.urandom(32)).decode()
    secret = {"name": "argocd-secret", "namespace": NAMESPACE, "labels": PART}
    yield {"apiVersion": "v1", "kind": "Secret", "metadata": secret, "stringData": {"server.secretkey": key}}


def _settings(kubectl: Kubectl, namespace: str, url: str) -> Iterator[Manifest]:
    """Yields the cluster as Argo CD knows it from outside, a project, and the Application."""
    known = yaml.safe_load(kubectl("config", "view", "--minify", "--raw", "--flatten").stdout)["clusters"][0]["cluster"]
    token = kubectl("create", "token", ACCOUNT, "--duration=12h", namespace=NAMESPACE).stdout.strip()
    login: dict[str, Any] = {"bearerToken": token, "tlsClientConfig": {"caData": known["certificate-authority-data"]}}
    label = {"argocd.argoproj.io/secret-type": "cluster"}
    yield {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "here", "namespace": NAMESPACE, "labels": label},
        "stringData": {"name": "here", "server": known["server"], "config": json.dumps(login)},
    }
    everything = {"group": "*", "kind": "*"}
    yield {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AppProject",
        "metadata": {"name": "default", "namespace": NAMESPACE},
        "spec": {
            "sourceRepos": ["*"],
            "destinations": [{"namespace": "*", "server": "*"}],
            "clusterResourceWhitelist": [everything],
        },
    }
    yield {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {
            "project": "default",
            "source": {"repoURL": url, "path": ".", "targetRevision": BRANCH},
            "destination": {"server": known["server"], "namespace": namespace},
            "syncPolicy": {"automated": {"prune": True, "selfHeal": True}},
        },
    }


def _removed(kubectl: Kubectl) -> None:
    kubectl("delete", "--ignore-not-found", "clusterrolebinding", ACCOUNT)
    kubectl("delete", "--ignore-not-found", "namespace", NAMESPACE)


def _with_verifier(folder: Path, built: dict[str, Path]) -> Path:
    """Returns a folder of programs that the repo-server starts by name."""
    beside = folder / "programs"
    beside.mkdir()
    script = beside / components.ARGO_VERIFIER
    script.write_text(built[components.ARGO_VERIFIER].read_text())
    script.chmod(0o755)
    return beside


def _program(cluster: Cluster, folder: Path, command: list[str | Path], address: str = "") -> AbstractContextManager[Process]:
    """Runs one of its programs, listening on entry; `folder` is its home, and on its PATH."""
    own = {"KUBECONFIG": str(cluster.kubeconfig), "HOME": str(folder), "TMPDIR": str(folder), "ARGOCD_GPG_ENABLED": "false"}
    environment = own | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    log = folder / f"{Path(command[0]).name}.log"
    answers = partial(programs.listens, address) if address else lambda: True
    return programs.running(command, log, answers, seconds=STARTS_WITHIN, environment=environment, cwd=folder)
