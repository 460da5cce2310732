"""The real API server accepts whatever the chart renders, field by field. Helm refuses a chart newer than the cluster's definitions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from local.clusters import Cluster
from tests.api.support.dry_run import taken
from tests.support.api import Api, Manifest
from tests.support.chart import VALUE_SETS, Helm
from tests.support.cluster import Kubectl, parsed

AGAINST_CLUSTER = "--dry-run=server", "--take-ownership"
"""Options by which the chart reads the cluster's kinds, and ignores what the tests installed without helm."""


@pytest.fixture(scope="module")
def helm(cluster: Cluster, kinds_of_others: None, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return Helm(tmp_path_factory.mktemp("helm"), cluster.kubeconfig)


def as_template(pod: Manifest) -> Manifest:
    """Returns the pod as a PodTemplate, to check its fields in a dry run."""
    # The API server accepts a pod only if its account and its PriorityClass exist, and a dry run does not create them.
    return {"apiVersion": "v1", "kind": "PodTemplate", "metadata": pod["metadata"], "template": {"spec": pod["spec"]}}


def test_the_api_server_takes_all_that_it_renders(helm: Helm, api: Api, kubectl: Kubectl) -> None:
    """The API server checks strictly by its schemas: unknown fields and values of a wrong type are errors.

    Hooks and definitions are included.

    `helm show crds` prints the definitions, which is the documented step of an upgrade.
    """
    rendered = {json.dumps(each): each for values in VALUE_SETS.values() for each in helm.rendered(values)}
    objects = [as_template(each) if each["kind"] == "Pod" else each for each in rendered.values()]
    assert len(objects) > 100
    taken(api, kubectl, objects)
    shown = parsed(helm("show", "crds", str(helm.chart)).stdout)
    assert len(shown) == len(list((helm.chart / "crds").iterdir()))
    assert {json.dumps(each) for each in shown} <= set(rendered)


@pytest.fixture
def copied(helm: Helm, tmp_path: Path) -> Path:
    return Path(shutil.copytree(helm.chart, tmp_path / "chart"))


def fields_of_apps(chart: Path) -> tuple[Path, Manifest, Manifest]:
    """Returns the chart's definition of Apps: its file, its content, and the fields of a trigger in it."""
    path = chart / "crds" / "apps.yaml"
    (definition,) = parsed(path.read_text())
    spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    return path, definition, spec["triggers"]["items"]["properties"]


def test_a_chart_whose_definitions_are_the_clusters_is_taken(helm: Helm) -> None:
    assert helm.rendered({}, *AGAINST_CLUSTER)


def test_a_chart_that_is_newer_than_the_definitions_is_refused_with_what_to_do(helm: Helm, copied: Path) -> None:
    path, definition, fields = fields_of_apps(copied)
    fields["jitterSeconds"] = {"type": "integer"}
    path.write_text(json.dumps(definition))
    message = helm.refused({}, *AGAINST_CLUSTER, chart=copied)
    assert "the cluster's definition of apps.dynamiq.getdynamiq.ai is older than this chart" in message
    assert "it has no v1alpha1.spec.triggers[].jitterSeconds" in message
    assert "helm show crds CHART | kubectl apply --server-side --force-conflicts -f -" in message
    assert helm.rendered({"crds": {"check": False}}, *AGAINST_CLUSTER, chart=copied)


def test_a_chart_that_is_older_than_the_definitions_is_taken(helm: Helm, copied: Path) -> None:
    """A downgrade of the chart leaves the definitions as they are."""
    path, definition, fields = fields_of_apps(copied)
    del fields["timezone"]
    path.write_text(json.dumps(definition))
    assert helm.rendered({}, *AGAINST_CLUSTER, chart=copied)
