"""Promotes from one cluster to another: two clusters of this machine, each with an operator that does not know the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml

from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.views.history import HistoryRow
from local.clusters import Cluster
from tests.soak.support import contexts
from tests.support import factories, history_stage
from tests.support.api import Manifest
from tests.support.cluster import REPOSITORY, session_cluster
from tests.support.commands import blocks, shell
from tests.support.flows import answering
from tests.support.history_stage import APP, HistoryStage
from tests.support.operator import Operator, admission_policies, install_account
from tests.support.plugin import Plugin
from tests.support.waiting import eventually

HERE, THERE = "staging", "prod"
"""Contexts of the kubeconfig."""
ANNA = ("--as=anna@example.com", "--as-group=system:masters")


@pytest.fixture(scope="module")
def other(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """Provides a second cluster, whatever cluster the first one is."""
    with pytest.MonkeyPatch.context() as environment:
        for name in ("CLUSTER", "CLUSTER_NAME"):
            environment.delenv(name, raising=False)
        with session_cluster("control-plane", pytestconfig) as started:
            yield started


@dataclass(frozen=True)
class Both:
    """Staging, a namespace of the one cluster, and production, one of the other; the user of `plugin` has a context for each."""

    staging: HistoryStage
    production: HistoryStage
    plugin: Plugin

    @property
    def cluster(self) -> str:
        """Returns the identity of staging's cluster."""
        uid: str = self.staging.api.get("Namespace", "kube-system", "").body["metadata"]["uid"]
        return uid

    @property
    def there(self) -> Plugin:
        """Returns the plugin of the same user for production."""
        return replace(self.plugin, namespace=self.production.namespace, flags=(*ANNA, f"--context={THERE}"))

    def claimed(self, row: str, version: str = "v1") -> Manifest:
        """Returns the source of a row from staging."""
        pinned = self.staging.row(row)["spec"]["pinned"]
        assert pinned["workflowVersion"] == version
        source = {"namespace": self.staging.namespace, "app": APP, "row": row}
        return {**source, "hash": pinned["workflowHash"], "cluster": self.cluster}


def labelled(on: HistoryStage, project: str, environment: str) -> None:
    named = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": on.namespace}}
    labels = {names.PROJECT_LABEL: project, names.ENVIRONMENT_LABEL: environment}
    assert on.api.merge(named, {"metadata": {"labels": labels}}).ok


@pytest.fixture
def both(cluster: Cluster, other: Cluster, tmp_path: Path) -> Iterator[Both]:
    places = {name: tmp_path / name for name in (HERE, THERE)}
    for folder in places.values():
        folder.mkdir()
    accounts = {name: install_account(each, places[name]) for name, each in ((HERE, cluster), (THERE, other))}
    with (
        admission_policies(cluster),
        admission_policies(other),
        history_stage.stage(cluster, "staging") as staging,
        history_stage.stage(other, "production") as production,
        Operator(accounts[HERE], places[HERE], [staging.namespace]),
        Operator(accounts[THERE], places[THERE], [production.namespace]),
    ):
        labelled(staging, staging.namespace, "staging")
        labelled(production, staging.namespace, "production")
        known_there(production, staging.get(kinds.RUNTIME.kind, staging.default_runtime))
        kubeconfig = contexts.joined({HERE: cluster, THERE: other}, tmp_path / "kubeconfig", HERE)
        plugin = Plugin(cluster, staging.namespace, tmp_path, ANNA, {"KUBECONFIG": str(kubeconfig)})
        staging.app(APP, workflow=APP)
        staging.live(APP, "v1", runtime=staging.default_runtime, config={"autoscaling": {"maxReplicas": 3}})
        try:
            yield Both(staging, production, plugin)
        finally:
            production.delete(kinds.RUNTIME.kind, staging.default_runtime)


def known_there(production: HistoryStage, runtime: Manifest) -> None:
    """Creates in production a Runtime of staging, approved in both."""
    meta = {"name": runtime["metadata"]["name"]}
    production.create({"apiVersion": runtime["apiVersion"], "kind": runtime["kind"], "metadata": meta, "spec": runtime["spec"]})


def written(stage: HistoryStage) -> list[tuple[str, str]]:
    """Returns every object of ours in the namespace, with its version."""
    every = (kinds.APP, kinds.ROW, kinds.WORKFLOW_VERSION)
    objects = [each for kind in every for each in stage.api.get(kind.kind, "", stage.namespace).body["items"]]
    return sorted((each["metadata"]["name"], each["metadata"]["resourceVersion"]) for each in objects)


def test_a_promotion_reads_with_one_context_and_writes_with_the_other(both: Both) -> None:
    plugin, production = both.plugin, both.production
    (source,) = (row["metadata"]["name"] for row in both.staging.rows(APP))
    eventually("staging is at rest", lambda: both.staging.condition(APP, "Ready").get("status") == "True")
    before = written(both.staging), written(production)
    shown = plugin.said("promote", APP, "--to-context", THERE, "--preview")
    assert f"App {APP} is made in {production.namespace}" in shown
    assert f"its source cannot be verified in context {THERE}: the row says so, and names cluster {both.cluster}" in shown
    assert (written(both.staging), written(production)) == before, "a preview writes nothing"

    output = plugin.said("promote", APP, "--to-context", THERE, "-m", "out", "--yes")
    assert "is Live" in output
    assert written(both.staging) == before[0], "and a promotion nothing where it reads"
    (row,) = production.rows(APP)
    assert row["spec"]["promotedFrom"] == both.claimed(source)
    assert row["spec"]["pinned"]["promotedFrom"] == {"verified": False}
    assert (row["spec"]["createdBy"], row["spec"]["message"]) == ("anna@example.com", "out")
    assert row["spec"]["pinned"]["config"]["autoscaling"]["maxReplicas"] == 3
    source_text = f"promoted from {both.staging.namespace}/{APP} {source} of cluster {both.cluster} (unverified)"
    assert HistoryRow.of(row).provenance == source_text
    assert source_text in both.there.said("history", APP, "-o", "json")

    # Another version, whose name belongs to another flow there; the target's own objects stay.
    production.live(APP, "v1", config={"autoscaling": {"minReplicas": 2, "maxReplicas": 9}})
    both.staging.release("v5", workflow=APP, text=answering("five"))
    production.release("v5", workflow=APP, text=answering("another five"))
    both.staging.live(APP, "v5")
    assert "is Live" in plugin.said("promote", APP, "--to-context", THERE, "--yes")
    newest = production.rows(APP)[-1]["spec"]["pinned"]
    assert (newest["workflowVersion"], newest["config"]["autoscaling"]["maxReplicas"]) == ("v6", 9)
    assert newest["workflowHash"] == both.staging.rows(APP)[-1]["spec"]["pinned"]["workflowHash"]
    assert "3 rows fit" in both.there.said("verify", APP)
    print("promoted twice to another cluster: 2 rows there, 0 writes here, chain verified")


def test_the_commands_of_the_page(both: Both, cluster: Cluster, tmp_path: Path) -> None:
    _, across, _ = blocks(REPOSITORY / "docs" / "promotion.md")
    places = {"-n demo": f"-n {both.staging.namespace}", "-n shop": f"-n {both.production.namespace}", "support": APP}
    for written_there, folder in places.items():
        across = across.replace(written_there, folder)
    output = shell(across, cluster, tmp_path, tmp_path / "kubeconfig")
    assert f"App {APP} is made in {both.production.namespace}" in output
    assert f"{APP}: v1 (#1, {APP}-" in output
    assert [row["spec"]["message"] for row in both.production.rows(APP)] == ["Passed in staging"]


def test_a_policy_names_the_clusters_that_versions_come_from(both: Both) -> None:
    production, plugin = both.production, both.plugin
    assert "is Live" in plugin.said("promote", APP, "--to-context", THERE, "--yes")
    both.staging.live(APP, "v2")
    name = f"{production.namespace}-soak"
    selector = {"matchLabels": {"kubernetes.io/metadata.name": production.namespace}}
    policy = {"apiVersion": API_VERSION, "kind": kinds.DEPLOY_POLICY.kind, "metadata": {"name": name}}
    production.create({**policy, "spec": {"namespaceSelector": selector, "promotion": {"minLiveSeconds": 1}}})
    try:
        eventually("the App says so", lambda: production.get("App", APP)["status"].get("guards"))
        refusal = plugin.refused("promote", APP, "--to-context", THERE, "--yes")
        assert f"policy {name} takes versions from none" in refusal
        # A row written by hand gets the same refusal, from the operator.
        by_hand = {"app": APP, "workflowVersion": "v2", "promotedFrom": both.claimed(both.staging.rows(APP)[-1]["metadata"]["name"], "v2")}
        row = factories.row_manifest("by-hand", factories.in_namespace(production.namespace), factories.with_spec(**by_hand))
        production.kubectl(*ANNA, "create", "-f", "-", input=[row], namespace=production.namespace)
        production.until("by-hand", "Failed")
        assert f"policy {name} takes versions from none" in production.row("by-hand")["spec"]["outcome"]["reason"]
        production.change(kinds.DEPLOY_POLICY.kind, name, spec={"promotion": {"minLiveSeconds": 1, "clusters": [both.cluster]}})
        eventually("the App says so", lambda: both.cluster in str(production.get("App", APP)["status"].get("guards")))
        assert "is Live" in plugin.said("promote", APP, "--to-context", THERE, "--yes")
    finally:
        production.delete(kinds.DEPLOY_POLICY.kind, name)


def row_in(file: Path) -> str:
    """Returns the name of a bundle's row."""
    *_, row = yaml.safe_load_all(file.read_text())
    name: str = row["metadata"]["name"]
    return name


def test_a_bundle_is_carried_to_a_cluster_that_is_never_met(both: Both, tmp_path: Path) -> None:
    production, plugin, file = both.production, both.plugin, tmp_path / "bundle.yaml"
    options = ("--to-file", str(file), "--with-app", "-m", "by hand")
    assert "WorkflowVersion" in plugin.said("promote", APP, *options, "--preview")
    assert not file.exists()
    output = plugin.said("promote", APP, *options, "--yes")
    command = f"kubectl apply --server-side -n NAMESPACE -f {file}"
    assert command in output
    row = row_in(file)
    for _ in range(2):
        production.kubectl(*ANNA, "apply", "--server-side", "-n", production.namespace, "-f", str(file))
    production.until(row, "Live")
    assert [each["metadata"]["name"] for each in production.rows(APP)] == [row], "applied twice it is one row"
    (source,) = (each["metadata"]["name"] for each in both.staging.rows(APP))
    assert production.row(row)["spec"]["promotedFrom"] == both.claimed(source)
    assert production.row(row)["spec"]["pinned"]["promotedFrom"] == {"verified": False}
    assert production.row(row)["spec"]["createdBy"] == "anna@example.com"

    # If the version's name is taken there, the target's flow is not deployed instead.
    both.staging.release("v7", workflow=APP, text=answering("seven"))
    production.release("v7", workflow=APP, text=answering("another seven"))
    both.staging.live(APP, "v7")
    file.unlink()
    plugin.said("promote", APP, "--to-file", str(file), "--yes")
    refused = row_in(file)
    applied = production.kubectl(*ANNA, "apply", "--server-side", "-n", production.namespace, "-f", str(file), check=False)
    assert ".spec.flow" in applied.stderr
    production.until(refused, "Failed")
    assert "has another flow here than the one that was promoted" in production.row(refused)["spec"]["outcome"]["reason"]
    assert production.served()["row"] == row
    file.unlink()
    plugin.said("promote", APP, "--to-file", str(file), "--as-version", "v8", "--yes")
    production.kubectl(*ANNA, "apply", "--server-side", "-n", production.namespace, "-f", str(file))
    production.until(row_in(file), "Live")
    assert production.served()["workflowVersion"] == "v8"
    print("bundles by kubectl apply: 2 Live, 1 Failed whose version's name had another flow, 0 rows twice")


def test_the_bundle_waits_for_an_app_that_comes_later(both: Both, tmp_path: Path) -> None:
    """Without --with-app the row's status names what the target lacks, and the App there is its own."""
    file = tmp_path / "bundle.yaml"
    both.plugin.said("promote", APP, "--to-file", str(file), "--target-namespace", both.production.namespace, "--yes")
    both.production.kubectl(*ANNA, "apply", "--server-side", "-f", str(file))
    row = row_in(file)
    eventually("it says for what it waits", lambda: "does not exist" in str(both.production.row(row)["status"].get("conditions")))
    both.production.app(APP, workflow=APP)
    known_default(both.production)
    both.production.until(row, "Live")


def known_default(on: HistoryStage) -> None:
    """Makes a Runtime, the default of Apps that name none."""
    on.runtime("default", image=factories.IMAGE, by_default=True)


def test_both_contexts_of_one_cluster_are_refused(both: Both, cluster: Cluster, tmp_path: Path) -> None:
    kubeconfig = contexts.joined({HERE: cluster, THERE: cluster}, tmp_path / "twice", HERE)
    plugin = replace(both.plugin, more={"KUBECONFIG": str(kubeconfig)})
    assert "both contexts lead to the same cluster" in plugin.refused("promote", APP, "--to-context", THERE, "--yes")
    assert both.production.rows(APP) == []
