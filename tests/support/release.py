"""A release of the chart on a cluster with real pods: installed, upgraded, rolled back and uninstalled as its user does it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dynamiq_operator.model.kinds import KINDS
from local import images
from local.clusters import Cluster
from tests.support.api import Manifest
from tests.support.chart import CHART, NAMESPACE, RELEASE, Helm
from tests.support.cluster import Kubectl, parsed
from tests.support.waiting import eventually

GONE_WITHIN = 120.0  # seconds: pods of the gate that end take calls for a while
WAITED = ("--wait", "--timeout", "5m")


@dataclass(frozen=True)
class Release:
    """The one release of a cluster."""

    helm: Helm
    kubectl: Kubectl

    def install(self, values: Manifest | None = None, *flags: str) -> None:
        """Returns once all of its pods are ready."""
        self.helm("install", RELEASE, str(CHART), "--namespace", NAMESPACE, "--create-namespace", *WAITED, *flags, values=values or {})

    def upgrade(self, values: Manifest, *flags: str) -> None:
        """To these values and no others: without the flag, no values would mean those of the revision before."""
        self.helm("upgrade", "--reset-values", RELEASE, str(CHART), "--namespace", NAMESPACE, *WAITED, *flags, values=values)

    def rollback(self, revision: int) -> None:
        self.helm("rollback", RELEASE, str(revision), "--namespace", NAMESPACE, *WAITED)

    def uninstall(self) -> None:
        self.helm("uninstall", RELEASE, "--namespace", NAMESPACE, *WAITED)

    def test(self) -> None:
        """What `helm test` finds; it waits until the policies are in force."""
        said = self.helm("test", RELEASE, "--namespace", NAMESPACE, "--timeout", "5m").stdout
        assert "Phase:          Succeeded" in said, said

    def objects(self) -> list[Manifest]:
        """What it installed."""
        return parsed(self.helm("get", "manifest", RELEASE, "--namespace", NAMESPACE).stdout)

    def until_gone(self, objects: list[Manifest], *but: str) -> None:
        """Waits until the cluster has none of these objects any more, but for those of `but`, each as kubectl names it."""
        command = ("get", "--ignore-not-found", "--filename", "-", "--output", "name")
        eventually("all of it is gone", lambda: set(self.kubectl(*command, input=objects).stdout.split()) == set(but), GONE_WITHIN, 1)

    def definitions(self) -> set[str]:
        """The definitions of our kinds that the cluster has."""
        found = self.kubectl("get", "--ignore-not-found", "crd", *(kind.crd_name for kind in KINDS), "--output", "name").stdout.split()
        return {each.partition("/")[2] for each in found}


def on(cluster: Cluster, folder: Path) -> Release:
    """A cluster that has the images of this checkout, and no release yet."""
    cluster.load_images(images.ensure().values())
    return Release(Helm(folder, cluster.kubeconfig), Kubectl(cluster))
