"""Whatever the chart renders the real API server takes, field by field; and helm refuses a chart that is newer than the cluster's definitions."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from local.clusters import Cluster
from tests.api.support.dry_run import namespaces_of
from tests.api.support.prometheus import definitions as prometheus
from tests.support.api import Api, Manifest
from tests.support.chart import CHART, NAMESPACE, VALUE_SETS, Helm
from tests.support.cluster import Kubectl
from tests.support.operator import install_rights

AGAINST_CLUSTER = "--dry-run=server", "--take-ownership"
"""The chart asks the cluster what it has. What the tests have installed without helm is not in the way."""


@pytest.fixture(scope="module")
def helm(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Helm]:
    """With the kinds of Prometheus served, and the namespace of the release there, without which nothing can be tried in it."""
    install_rights(cluster)
    with prometheus.definitions(Kubectl(cluster)):
        yield Helm(tmp_path_factory.mktemp("helm"), cluster.kubeconfig)


def as_template(pod: Manifest) -> Manifest:
    """A pod is taken only where its account and its PriorityClass are there already, which a dry run does not make: here its fields are what counts."""
    return {"apiVersion": "v1", "kind": "PodTemplate", "metadata": pod["metadata"], "template": {"spec": pod["spec"]}}


@pytest.mark.parametrize("values", VALUE_SETS.values(), ids=VALUE_SETS)
def test_the_api_server_takes_all_that_it_renders(helm: Helm, api: Api, kubectl: Kubectl, values: Manifest) -> None:
    """As its schemas are, strictly: an unknown field, and a value of another type, are errors. Hooks and definitions are among it."""
    objects = [as_template(each) if each["kind"] == "Pod" else each for each in helm.rendered(values)]
    with namespaces_of(api, objects):
        said = kubectl(
            "apply", "--server-side", "--force-conflicts", "--validate=strict", "--dry-run=server", "-f", "-", input=objects
        ).stdout
    assert len(said.splitlines()) == len(objects)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CHART, tmp_path / "chart"))


def fields_of_apps(chart: Path) -> tuple[Path, Manifest, Manifest]:
    """The chart's definition of Apps: its file, all of it, and within it the fields of a trigger."""
    path = chart / "crds" / "apps.yaml"
    definition = yaml.safe_load(path.read_text())
    spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    return path, definition, spec["triggers"]["items"]["properties"]


def test_a_chart_whose_definitions_are_the_clusters_is_taken(helm: Helm) -> None:
    assert helm.rendered({}, *AGAINST_CLUSTER)


def test_a_chart_that_is_newer_than_the_definitions_is_refused_with_what_to_do(helm: Helm, copied: Path) -> None:
    path, definition, fields = fields_of_apps(copied)
    fields["jitterSeconds"] = {"type": "integer"}
    path.write_text(yaml.safe_dump(definition))
    said = helm.refused({}, *AGAINST_CLUSTER, chart=copied)
    assert "the cluster's definition of apps.dynamiq.getdynamiq.ai is older than this chart" in said
    assert "it has no v1alpha1.spec.triggers[].jitterSeconds" in said
    assert "helm show crds CHART | kubectl apply --server-side --force-conflicts -f -" in said
    assert helm.rendered({"crds": {"check": False}}, *AGAINST_CLUSTER, chart=copied)


def test_a_chart_that_is_older_than_the_definitions_is_taken(helm: Helm, copied: Path) -> None:
    """The way back: definitions stay as they are."""
    path, definition, fields = fields_of_apps(copied)
    del fields["timezone"]
    path.write_text(yaml.safe_dump(definition))
    assert helm.rendered({}, *AGAINST_CLUSTER, chart=copied)


def test_what_helm_shows_of_definitions_is_what_kubectl_takes(helm: Helm, kubectl: Kubectl) -> None:
    """The documented step of an upgrade."""
    shown = helm("show", "crds", str(CHART)).stdout
    said = kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-", input=shown).stdout
    assert len(said.splitlines()) == len(list((CHART / "crds").iterdir()))
    assert NAMESPACE not in shown
