"""Tests Argo CD itself: its health of Apps with and without our health checks, a manual rollback, and its return to Git."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from dynamiq_operator.model import kinds
from local.clusters import Cluster
from tests.soak.support.argo import Argo, argo
from tests.support import factories, history_stage
from tests.support.api import Manifest
from tests.support.history_stage import APP, HistoryStage
from tests.support.operator import Operator, admission_policies, install_account
from tests.support.plugin import Plugin
from tests.support.waiting import eventually

ANNA = ("--as=anna@example.com", "--as-group=system:masters")
QUICK = 20
"""Seconds that the App gives a deploy."""
LOOKS = 2
"""Syncs of Git and the cluster after a manual rollback."""
ROUNDS = 6
HEALTHY_WITHIN = 120.0


def until_healthy(git: Argo, status: str, text: str = "", kind: str = kinds.APP.kind, name: str = APP) -> None:
    """Waits until an object has this health with this text in its message: Argo CD learns of a change later than we do."""

    def seen() -> bool:
        health, message = git.health(kind, name)
        return health == status and text in message

    eventually(f"{kind} {name} is {status}, {text!r}: {git.health(kind, name)}", seen, HEALTHY_WITHIN)


@pytest.mark.timeout(3600)  # minutes of them to build Argo CD, where the cache does not have it
def test_an_app_under_argo_cd(cluster: Cluster, tmp_path: Path) -> None:
    account = install_account(cluster, tmp_path)
    with (
        admission_policies(cluster),
        history_stage.stage(cluster, "argocd") as on,
        Operator(account, tmp_path, [on.namespace]),
        argo(cluster, on.namespace, tmp_path) as git,
    ):
        quick = factories.with_deadline(QUICK)
        _without_checks_a_failure_is_healthy(on, git, quick)
        _what_git_asks_for_is_waited_for(on, git, quick)
        _rollbacks_by_hand_stay(on, git)
        _the_way_back_to_git(on, git, quick, Plugin(cluster, on.namespace, tmp_path, ANNA))
        _an_image_of_a_runtime_comes_from_git(on, git, quick)
        git.until_synced(git.push(message="nothing"))
        git.until_acted_on(git.drop("App", APP))
        assert on.find(kinds.APP.kind, APP) is not None, "an App that Git drops stays"


def _without_checks_a_failure_is_healthy(on: HistoryStage, git: Argo, quick: factories.Modifier) -> None:
    """Asserts that a failed first deploy counts as healthy without our checks, and as degraded with them."""
    git.until_synced(git.push(on.declared("v9", quick)))
    on.until_condition(APP, "Ready", "False", reason="DeployFailed")
    git.refresh()
    assert git.health(kinds.APP.kind, APP)[0] in ("", "Healthy")
    eventually("the Application is called healthy", lambda: git.health()[0] == "Healthy", HEALTHY_WITHIN)
    git.checks_health()
    git.refresh()
    until_healthy(git, "Degraded", "WorkflowVersion")
    eventually("and so is not the Application", lambda: git.health()[0] == "Degraded", HEALTHY_WITHIN)


def _what_git_asks_for_is_waited_for(on: HistoryStage, git: Argo, quick: factories.Modifier) -> None:
    for version in ("v1", "v2"):
        git.push(on.declared(version, quick))
        git.refresh()
        on.until_served(version)
        until_healthy(git, "Healthy")
        assert on.served()["workflowVersion"] == version
    # The row in Git's own message, and an object that only has to exist.
    runtime = on.get(kinds.RUNTIME.kind, on.default_runtime)
    git.until_synced(
        git.push({name: runtime[name] for name in ("apiVersion", "kind", "spec")} | {"metadata": {"name": on.default_runtime}})
    )
    until_healthy(git, "Healthy", kind=kinds.RUNTIME.kind, name=on.default_runtime)


def _rollbacks_by_hand_stay(on: HistoryStage, git: Argo) -> None:
    live = {row["spec"]["pinned"]["workflowVersion"]: row["metadata"]["name"] for row in on.rows(APP) if "pinned" in row["spec"]}
    for turn in range(ROUNDS):
        version = ("v1", "v2")[turn % 2]
        back = on.live(APP, restores=live[version])
        for _ in range(LOOKS):
            git.refresh()
            assert on.served()["row"] == back
            assert git.status()["sync"]["status"] == "Synced"
    back = on.live(APP, restores=live["v1"], message="v2 loses invoices")
    git.refresh()
    until_healthy(git, "Healthy", "deployed manually, runs")
    assert on.served()["row"] == back
    print(f"Argo CD: {ROUNDS + 1} rollbacks by hand, {LOOKS} looks at each: 0 undone")


def _the_way_back_to_git(on: HistoryStage, git: Argo, quick: factories.Modifier, plugin: Plugin) -> None:
    git.until_synced(git.push(on.declared("v3", quick)))
    until_healthy(git, "Suspended", f"`kubectl dynamiq resume {APP} -n")
    output = plugin("sync", APP, "--to-git", "--exit-code")
    assert output.returncode == 3
    app = on.declared("v1", quick)
    app["spec"]["deploy"] = yaml.safe_load(output.stdout)["spec"]["deploy"]
    git.until_synced(git.push(app, message="as it is live"))
    template = on.workload(APP)["spec"]["template"]
    waiting = eventually("Git's row of v1 waits", lambda: _waiting(on, "v1"))
    plugin.said("resume", APP, "--yes")
    on.until(waiting["metadata"]["name"], "Live")
    assert on.workload(APP)["spec"]["template"] == template, "no pod was made anew"
    until_healthy(git, "Healthy")
    assert plugin("sync", APP, "--to-git", "--exit-code").returncode == 0


def _an_image_of_a_runtime_comes_from_git(on: HistoryStage, git: Argo, quick: factories.Modifier) -> None:
    name = f"{on.namespace}-newer"
    runtime = factories.runtime_manifest(factories.with_image(f"registry.test/runtime@sha256:{'2' * 64}"), name=name)
    git.push(runtime, on.declared("v1", quick, runtime=name))
    git.refresh()
    eventually(
        "its image runs",
        lambda: on.workload(APP)["spec"]["template"]["spec"]["containers"][0]["image"] == runtime["spec"]["image"],
        HEALTHY_WITHIN,
    )
    on.until_served("v1")


def _waiting(on: HistoryStage, version: str) -> Manifest | None:
    """Returns the one open row, once it is the one of `version` and waits."""
    open_rows = [row for row in on.rows(APP) if "outcome" not in row["spec"]]
    is_it = len(open_rows) == 1 and open_rows[0]["spec"].get("pinned", {}).get("workflowVersion") == version
    return open_rows[0] if is_it and "waits" in open_rows[0].get("status", {}) else None
