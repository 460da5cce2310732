"""Upgrades from older versions with a hundred Apps at work, and downgrades again, by docs/upgrading.md; pods are simulated.

It starts from the version before guards, and from the first with all surfaces. tests/soak/pods/test_upgrade.py upgrades the previous
version under traffic, on real pods.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from dynamiq_operator.model import kinds
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.manifests import Manifest
from local.clusters import Cluster
from tests.soak.support import upgrades
from tests.soak.support.upgrades import all_seen, listed, written
from tests.support import history_stage
from tests.support.cluster import CRDS, REPOSITORY, Kubectl, session_cluster
from tests.support.commands import shell
from tests.support.factories import with_spec
from tests.support.history_stage import APP as WORKFLOW
from tests.support.history_stage import HistoryStage, counted
from tests.support.operator import Operator, logged_in
from tests.support.waiting import eventually

BEFORE = "8b45af8"
"""The last commit without guards."""
FIRST = "01d9b2e6"
"""The last commit of the first version that had all surfaces: kubectl, the plugin, REST and the console."""
APPS = 100
OF_GIT = 20
"""The number of Apps with spec.deploy."""
SWITCHED = 20
"""The number of Apps of strategy Switch."""
SETTLED_WITHIN = 600.0
WAITING = 20
ENDING, POLICIES = "make end-waiting", "manifests/admission/guard-approvals.yaml"
"""Texts of the blocks of docs/upgrading-details.md that end waiting rows, and that delete policies which an older version lacks."""


@pytest.fixture
def cluster(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """Provides a separate cluster to each test: its definitions are the older ones."""
    with session_cluster("control-plane", pytestconfig) as started:
        yield started


@pytest.mark.timeout(3600)
def test_from_the_first_version_with_all_surfaces_and_back_nothing_changes(cluster: Cluster, tmp_path: Path) -> None:
    kubectl, before = Kubectl(cluster), upgrades.older(FIRST, tmp_path)
    upgrades.install_definitions_of(cluster, before)
    upgrades.install(kubectl, before.manifests)
    account = logged_in(cluster, tmp_path, "dynamiq-system")
    theirs = (str(before.program),)
    with history_stage.stage(cluster, "first") as on, upgrades.operators(account, tmp_path, on.namespace, None) as replicas:
        scene = upgrades.prepare(on, counted(APPS), sleeps=False)
        replicas.leader.start(theirs)
        upgrades.settle(scene)
        scene.all_seen()
        scene.until_quiet()
        # An operator writes the cause of a lasting rollout a while after its pods are there.
        eventually("each rollout has its cause", lambda: all(row["status"].get("conditions") for row in under_way(scene)))
        was, verdicts = scene.state(), scene.verified()

        kubectl("apply", "--server-side", "-k", str(CRDS))
        upgrades.install(kubectl, REPOSITORY / "manifests")
        replicas.hand_over(("-m", "dynamiq_operator"))
        scene.all_seen()
        assert (scene.state(), scene.verified()) == (was, verdicts), "the upgrade"

        shell(upgrades.step(POLICIES), cluster, REPOSITORY)
        upgrades.install(kubectl, before.manifests)
        replicas.hand_over(theirs)
        scene.all_seen()
        assert (scene.state(), scene.verified()) == (was, verdicts), "the way back"
        on.live(scene.plain[0], "v3")
    print(f"upgrade from {FIRST} and back, both operators side by side: {scene.rows} rows, 0 changed, 0 pods restarted")


@pytest.mark.timeout(3600)
def test_neither_an_upgrade_nor_the_way_back_changes_a_row_or_restarts_a_pod(cluster: Cluster, tmp_path: Path) -> None:
    kubectl, before = Kubectl(cluster), upgrades.older(BEFORE, tmp_path)
    upgrades.install_definitions_of(cluster, before)
    upgrades.install(kubectl, before.manifests)
    account = logged_in(cluster, tmp_path, "dynamiq-system")
    with history_stage.stage(cluster, "upgrade") as on:
        operator = Operator(account, tmp_path, [on.namespace])
        operator.start([str(before.program)])
        apps = _deployed(on)
        was = _state(on)
        operator.stop()

        kubectl("apply", "--server-side", "-k", str(CRDS))
        upgrades.install(kubectl, REPOSITORY / "manifests")
        operator.start()
        all_seen(on, apps)
        assert _state(on) == was, "the upgrade"

        waiting = _waits(on, apps)
        waiting += _held(on, apps[0])
        was = _state(on, without=waiting)
        ending = upgrades.step(ENDING)
        shell(ending, cluster, REPOSITORY)
        eventually("no row waits", lambda: all("outcome" in on.row(name)["spec"] for name in waiting), SETTLED_WITHIN)
        assert shell(ending.splitlines()[-1], cluster, REPOSITORY).strip() == ""
        operator.stop()

        shell(upgrades.step(POLICIES), cluster, REPOSITORY)
        upgrades.install(kubectl, before.manifests)
        ended = _state(on)
        operator.start([str(before.program)])
        all_seen(on, apps)
        assert _state(on) == ended, "the way back"
        assert _state(on, without=waiting) == was
        assert {on.served(app)["workflowVersion"] for app in apps} == {"v1"}
        on.live(apps[-1], "v3")
        operator.stop()
    print(
        f"upgrade from {BEFORE} with {APPS} Apps, and back: 0 rows changed, 0 pods restarted, {len(waiting)} that waited ended, 0 rolled out"
    )


def _deployed(on: HistoryStage) -> Sequence[str]:
    """Deploys a hundred Apps of all kinds; returns them once all serve v1 and no rollout is under way."""
    apps = [f"app-{number}" for number in range(APPS)]
    rows = []
    for number, app in enumerate(apps):
        deploy = {"workflowVersion": "v1", "runtime": on.default_runtime}
        more = [with_spec(deploy=deploy)] if number < OF_GIT else []
        switch = [with_spec(rollout={"strategy": "Switch"})] if APPS - number <= SWITCHED else []
        on.app(app, *more, *switch, workflow=WORKFLOW)
        if number >= OF_GIT:
            rows.append(on.deploy(app, "v1", runtime=on.default_runtime))
    eventually("all serve v1", lambda: all(on.served(app).get("workflowVersion") == "v1" for app in apps), SETTLED_WITHIN, 2)
    for row in rows:
        on.until(row, "Live")
    all_seen(on, apps)
    return apps


def _state(on: HistoryStage, without: Sequence[str] = ()) -> dict[str, Any]:
    """Returns every row to the byte, the pods, and their templates."""
    rows = {row["metadata"]["name"]: written(row) for row in listed(on, kinds.ROW.kind) if row["metadata"]["name"] not in without}
    pods = sorted(pod["metadata"]["uid"] for pod in listed(on, "Pod"))
    templates = {each["metadata"]["name"]: each["spec"]["template"] for each in listed(on, "Workload")}
    return {"rows": rows, "pods": pods, "templates": templates}


def _waits(on: HistoryStage, apps: Sequence[str]) -> list[str]:
    """Makes manual rows that a policy blocks; returns their names."""
    selector = {"matchLabels": {"kubernetes.io/metadata.name": on.namespace}}
    spec = {"namespaceSelector": selector, "approvals": {"count": 1}}
    on.create({"apiVersion": API_VERSION, "kind": kinds.DEPLOY_POLICY.kind, "metadata": {"name": on.namespace}, "spec": spec})
    all_seen(on, apps)
    eventually("the policy is known", lambda: on.get("App", apps[-1])["status"].get("guards"))
    waiting = [on.deploy(app, "v2") for app in apps[OF_GIT : OF_GIT + WAITING]]
    eventually("they wait", lambda: all(on.row(name).get("status", {}).get("waits") for name in waiting), SETTLED_WITHIN, 1)
    return waiting


def under_way(scene: upgrades.Scene) -> list[Manifest]:
    """Returns the rows that are being rolled out."""
    return [row for app in scene.rolling_out for row in scene.on.rows(app) if "outcome" not in row["spec"]]


def guards_of(row: Manifest) -> set[str]:
    """Returns the reasons of a row's guards."""
    return {guard["reason"] for guard in row["spec"].get("pinned", {}).get("guards", ())}


def _held(on: HistoryStage, app: str) -> list[str]:
    """Makes a row of Git that waits after a manual rollback; returns its name."""
    on.live(app, restores=on.rows(app)[0]["metadata"]["name"])
    on.change("App", app, spec={"deploy": {"workflowVersion": "v2"}})

    def held() -> list[str]:
        return [row["metadata"]["name"] for row in on.rows(app) if "waits" in row.get("status", {}) and "Held" in guards_of(row)]

    return eventually("it is held", held)
