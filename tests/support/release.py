"""Installs, upgrades, rolls back and uninstalls a release of the chart on a cluster with real pods, as its user does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dynamiq_operator.model.kinds import KINDS
from local import images
from local.clusters import Cluster
from tests.support.api import Manifest
from tests.support.chart import NAMESPACE, RELEASE, Helm
from tests.support.cluster import Kubectl, parsed
from tests.support.waiting import eventually

GONE_WITHIN = 120.0  # seconds: terminating pods of the gate serve calls for a while
WAITED = ("--wait", "--timeout", "5m")


@dataclass(frozen=True)
class Release:
    """The one release of a cluster."""

    helm: Helm
    kubectl: Kubectl

    def install(self, values: Manifest | None = None, *flags: str) -> None:
        """Installs it, and returns once all of its pods are ready."""
        self.helm(
            "install", RELEASE, str(self.helm.chart), "--namespace", NAMESPACE, "--create-namespace", *WAITED, *flags, values=values or {}
        )

    def upgrade(self, values: Manifest, *flags: str) -> None:
        """Upgrades it to exactly these values: without the flag, no values would mean those of the previous revision."""
        self.helm("upgrade", "--reset-values", RELEASE, str(self.helm.chart), "--namespace", NAMESPACE, *WAITED, *flags, values=values)

    def rollback(self, revision: int) -> None:
        self.helm("rollback", RELEASE, str(revision), "--namespace", NAMESPACE, *WAITED)

    def uninstall(self) -> None:
        self.helm("uninstall", RELEASE, "--namespace", NAMESPACE, *WAITED)

    def test(self) -> None:
        """Runs `helm test`, which waits until the policies are in force."""
        output = self.helm("test", RELEASE, "--namespace", NAMESPACE, "--timeout", "5m").stdout
        assert "Phase:          Succeeded" in output, output

    def objects(self) -> list[Manifest]:
        """Returns the objects that it installed."""
        return parsed(self.helm("get", "manifest", RELEASE, "--namespace", NAMESPACE).stdout)

    def until_gone(self, objects: list[Manifest], *but: str) -> None:
        """Waits until the cluster has none of these objects, except those of `but`, each as kubectl names it."""
        command = ("get", "--ignore-not-found", "--filename", "-", "--output", "name")
        eventually("all of it is gone", lambda: set(self.kubectl(*command, input=objects).stdout.split()) == set(but), GONE_WITHIN, 1)

    def definitions(self) -> set[str]:
        """Returns the definitions of our kinds that the cluster has."""
        names = self.kubectl("get", "--ignore-not-found", "crd", *(kind.crd_name for kind in KINDS), "--output", "name").stdout.split()
        return {each.partition("/")[2] for each in names}


def on(cluster: Cluster, folder: Path) -> Release:
    """Returns the release of a cluster that has the images of this checkout, and no installation yet."""
    cluster.load_images(images.ensure().values())
    return Release(Helm(folder, cluster.kubeconfig), Kubectl(cluster))
