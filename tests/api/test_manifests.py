"""Whatever `kubectl apply -k` takes in this repository, the real API server takes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from dynamiq_operator.model import kinds
from local.clusters import Cluster
from tests.api.support.dry_run import namespaces_of
from tests.api.support.prometheus import definitions as prometheus
from tests.support.api import Api
from tests.support.cluster import REPOSITORY, Kubectl
from tests.support.operator import install_rights

FOLDERS = sorted(
    path.parent.relative_to(REPOSITORY)
    for top in ("crds", "manifests", "examples")
    for path in (REPOSITORY / top).rglob("kustomization.yaml")
    if yaml.safe_load(path.read_text())["kind"] != "Component"  # which is a part of another one's
)
HARMFUL = {"Deployment", "ValidatingAdmissionPolicy", "MutatingAdmissionPolicy", "CustomResourceDefinition", "Namespace", "ClusterRole"}
"""Where one of these is among them, other tests would meet them, so the API server is only asked whether it would take them. Other tests
apply them in earnest: the demo all of `manifests/`."""

LEAST = 9


@pytest.fixture(scope="module", autouse=True)
def rights(cluster: Cluster) -> None:
    """With them there is the namespace of the operator, without which nothing can be tried in it."""
    install_rights(cluster)


@pytest.fixture(scope="module", autouse=True)
def kinds_of_prometheus(cluster: Cluster) -> Iterator[None]:
    """Those that `manifests/monitoring` is written in."""
    with prometheus.definitions(Kubectl(cluster)):
        yield


def test_none_is_overlooked() -> None:
    assert len(FOLDERS) >= LEAST, FOLDERS


@pytest.mark.parametrize("folder", FOLDERS, ids=str)
def test_the_api_server_takes_it(api: Api, kubectl: Kubectl, folder: Path) -> None:
    objects = kubectl.kustomized(REPOSITORY / folder)
    arguments = ["apply", "--server-side", "--force-conflicts", "--validate=strict", "-k", str(REPOSITORY / folder)]
    harmful = {each["kind"] for each in objects} & (HARMFUL | {kind.kind for kind in kinds.KINDS})
    with namespaces_of(api, objects):
        said = kubectl(*arguments, *(["--dry-run=server"] if harmful else [])).stdout.splitlines()
    assert len(said) == len(objects)
    print(f"{folder}: {len(said)} objects {'would be taken' if harmful else 'applied'}")
    if not harmful:
        kubectl("delete", "--ignore-not-found", "-k", str(REPOSITORY / folder))  # what was in those namespaces is gone with them


def test_a_kustomization_of_flux_gets_its_health_checks_by_the_component(kubectl: Kubectl, tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "manifests" / "flux", tmp_path / "component")
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    applied = {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {"name": "apps"},
        "spec": {"prune": True},
    }
    (overlay / "apps.yaml").write_text(yaml.safe_dump(applied))
    (overlay / "kustomization.yaml").write_text("resources: [apps.yaml]\ncomponents: [../component]\n")
    (found,) = kubectl.kustomized(overlay)
    given = yaml.safe_load((REPOSITORY / "manifests" / "flux" / "health-checks.yaml").read_text())["spec"]
    assert (found["metadata"]["name"], found["spec"]) == ("apps", {"prune": True, **given})
