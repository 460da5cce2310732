"""Runs Velero itself: its server as a process beside a cluster, under its own account, with backups that a plugin of ours keeps as files."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from local import builds, components
from local.clusters import Cluster
from local.controlplane import is_free
from tests.soak.support import definitions
from tests.support import programs
from tests.support.api import Manifest
from tests.support.cluster import Kubectl, login_of
from tests.support.ports import free_port
from tests.support.waiting import eventually

NAMESPACE = ACCOUNT = "velero"
LOCATION = "default"
BUCKET = "backups"
METRICS_PORT = 8080
"""The port of its controllers, which no flag changes."""
STARTS_WITHIN = 60.0  # seconds
ENDS_WITHIN = 300.0


@dataclass(frozen=True)
class Velero:
    """A running Velero, used by its own command."""

    kubectl: Kubectl
    program: Path
    environment: Mapping[str, str]
    store: Path

    def backup(self, name: str, namespace: str) -> None:
        """Backs up all of a namespace."""
        self._run("backup", "create", name, f"--include-namespaces={namespace}", "--snapshot-volumes=false", "--wait")
        self._require_completed("backup", name)

    def restore(self, name: str, backup: str, *flags: str) -> None:
        """Restores all of a backup."""
        self._restore(name, backup, *flags)
        self._require_completed("restore", name)

    def restore_in_part(self, name: str, backup: str, *flags: str) -> list[str]:
        """Restores the accepted objects; returns the refusals."""
        self._restore(name, backup, *flags)
        status = self._status("restore", name)
        assert status["phase"] == "PartiallyFailed", f"restore {name}: {status}"
        (results,) = (self.store / BUCKET / "restores" / name).glob("*-results.gz")
        errors: Manifest = json.loads(gzip.decompress(results.read_bytes()))["errors"]
        return [each for of_namespace in errors["namespaces"].values() for each in of_namespace]

    def _restore(self, name: str, backup: str, *flags: str) -> None:
        self._run("restore", "create", name, f"--from-backup={backup}", "--restore-volumes=false", *flags, "--wait")

    def _run(self, *arguments: str) -> None:
        subprocess.run([self.program, *arguments], env=dict(self.environment), timeout=ENDS_WITHIN, check=True)

    def _require_completed(self, kind: str, name: str) -> None:
        status = self._status(kind, name)
        assert (status["phase"], status.get("errors", 0)) == ("Completed", 0), f"{kind} {name}: {status}\n{self._results(kind, name)}"

    def _status(self, kind: str, name: str) -> Manifest:
        raw: Manifest = json.loads(self.kubectl("get", f"{kind}s.velero.io", name, "-o", "json", namespace=NAMESPACE).stdout)
        return raw["status"]  # type: ignore[no-any-return]

    def _results(self, kind: str, name: str) -> str:
        """Returns its messages about each object that it could not treat."""
        folder = self.store / BUCKET / f"{kind}s" / name
        return "\n".join(gzip.decompress(path.read_bytes()).decode() for path in sorted(folder.glob("*-results.gz")))


@contextlib.contextmanager
def velero(cluster: Cluster, folder: Path) -> Iterator[Velero]:
    """Runs Velero for the cluster, with its files in `folder`. It builds Velero if the cache does not have it, which takes minutes."""
    assert is_free(METRICS_PORT), f"another program has port {METRICS_PORT}, which Velero's controllers need"
    built = builds.ensure([components.VELERO])
    kubectl = Kubectl(cluster)
    store, plugins = folder / "store", folder / "plugins"
    for each in (store, plugins, folder / "tmp"):
        each.mkdir(parents=True)
    (plugins / components.VELERO_STORE).symlink_to(built[components.VELERO_STORE])
    with definitions.served(kubectl, built[components.VELERO_CRDS]):
        try:
            kubectl("apply", "-f", "-", input=_objects(store))
            login = login_of(cluster, ACCOUNT, NAMESPACE, folder / "velero.kubeconfig")
            environment = os.environ | {"KUBECONFIG": str(login), "HOME": str(folder), "TMPDIR": str(folder / "tmp")}
            with _server(built["velero"], plugins, folder / "velero.log", environment):
                ready = "jsonpath={.status.phase}"
                eventually(
                    f"its store is there: see {folder / 'velero.log'}",
                    lambda: kubectl("get", "backupstoragelocation", LOCATION, "-o", ready, namespace=NAMESPACE).stdout == "Available",
                    STARTS_WITHIN,
                )
                yield Velero(kubectl, built["velero"], environment, store)
        finally:
            kubectl("delete", "--ignore-not-found", "clusterrolebinding", ACCOUNT)
            for restore in kubectl("get", "restores.velero.io", "-o", "name", namespace=NAMESPACE).stdout.split():
                kubectl("patch", restore, "--type=merge", "-p", '{"metadata":{"finalizers":null}}', namespace=NAMESPACE)
            kubectl("delete", "--ignore-not-found", "--wait=false", "namespace", NAMESPACE)


@contextlib.contextmanager
def _server(program: Path, plugins: Path, log: Path, environment: Mapping[str, str]) -> Iterator[None]:
    addresses = [f"--{name}-address=127.0.0.1:{free_port()}" for name in ("metrics", "profiler")]
    command: list[str | Path] = [program, "server", f"--plugin-dir={plugins}", *addresses]
    has_begun = lambda: "Server starting" in log.read_text()  # noqa: E731
    with programs.running(command, log, has_begun, seconds=STARTS_WITHIN, environment=environment, apart=True) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its plugins, which are separate programs


def _objects(store: Path) -> list[Manifest]:
    named = {"name": ACCOUNT, "namespace": NAMESPACE}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": ACCOUNT},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", **named}],
        },
        _own_deployment(named),
        {
            "apiVersion": "velero.io/v1",
            "kind": "BackupStorageLocation",
            "metadata": {"name": LOCATION, "namespace": NAMESPACE},
            "spec": {
                "provider": "dynamiq.local/files",
                "default": True,
                "config": {"root": str(store)},
                "objectStorage": {"bucket": BUCKET},
            },
        },
    ]


def _own_deployment(named: Manifest) -> Manifest:
    """Returns the Deployment of its server, from which it reads the form of its own pods at a restore.

    It has no replicas: the server is a process beside the cluster.
    """
    labels = {"component": ACCOUNT}
    container = {"name": ACCOUNT, "image": "velero.example/velero"}
    template = {"metadata": {"labels": labels}, "spec": {"serviceAccountName": ACCOUNT, "containers": [container]}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": named, "spec": spec}
