"""The real API server accepts everything that `kubectl apply -k` applies in this repository."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from tests.api.support.dry_run import taken
from tests.support.api import Api
from tests.support.cluster import REPOSITORY, Kubectl

FOLDERS = sorted(
    path.parent.relative_to(REPOSITORY)
    for top in ("crds", "manifests", "examples")
    for path in (REPOSITORY / top).rglob("kustomization.yaml")
    if yaml.safe_load(path.read_text())["kind"] != "Component"  # which is a part of another one's
)
LEAST = 9


def test_none_is_overlooked() -> None:
    assert len(FOLDERS) >= LEAST, FOLDERS


@pytest.mark.usefixtures("kinds_of_others")
def test_the_api_server_takes_what_each_folder_makes(api: Api, kubectl: Kubectl) -> None:
    """It is a dry run. Other tests really apply them: the demo applies all of `manifests/`."""
    made = {json.dumps(each): each for folder in FOLDERS for each in kubectl.kustomized(REPOSITORY / folder)}
    taken(api, kubectl, list(made.values()))


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
