"""Tests Flux itself: it does not overwrite a manual rollback, a deploy from Git follows later, and a Kustomization waits for its objects."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from dynamiq_operator.model import kinds
from dynamiq_operator.model.base import API_VERSION
from local.clusters import Cluster
from tests.soak.support.flux import flux
from tests.support import factories, history_stage
from tests.support.api import Manifest
from tests.support.flows import answering
from tests.support.history_stage import APP, HistoryStage
from tests.support.operator import Operator, admission_policies, install_account
from tests.support.plugin import Plugin
from tests.support.waiting import eventually

CHANGES = 20
SCALED_AFTER = 12
"""Changes in Git, after which a user scales by hand."""
FIRST = 5
"""The version of the first of these changes; the earlier ones are the stage's."""
ANNA = ("--as=anna@example.com", "--as-group=system:masters")


@pytest.mark.timeout(3600)  # minutes of them to build Flux, where the cache does not have it
def test_twenty_changes_in_git_after_a_rollback_by_hand_deploy_nothing_until_somebody_resumes(cluster: Cluster, tmp_path: Path) -> None:
    account = install_account(cluster, tmp_path)
    with (
        admission_policies(cluster),
        history_stage.stage(cluster, "flux") as on,
        Operator(account, tmp_path, [on.namespace]),
        flux(cluster, on.namespace, tmp_path) as git,
    ):
        git.until_applied(git.push(on.declared("v1")))
        on.until_served("v1")
        git.until_applied(git.push(on.declared("v2")))
        on.until_served("v2")

        back = _by_hand(on, restores=on.rows(APP)[0]["metadata"]["name"], message="v2 loses invoices")
        on.until(back, "Live")
        template = on.workload(APP)["spec"]["template"]
        git.again()
        for number in range(CHANGES):
            version = f"v{FIRST + number}"
            release = factories.version_manifest(version, factories.with_spec(flow=answering(version)), workflow=APP)
            git.until_applied(git.push(release, on.declared(version), message=version))
            if number + 1 == SCALED_AFTER:
                scaled = _by_hand(on, workflowVersion="v1", config={"autoscaling": {"minReplicas": 2, "maxReplicas": 4}})
                on.until(scaled, "Live")
        newest = f"v{FIRST + CHANGES - 1}"
        waiting = eventually(f"the newest change is the one that waits: {on.lines(APP)}", lambda: _waiting(on, newest))

        deployed = [row for row in _of_git(on) if row["spec"].get("outcome", {}).get("result") == "Succeeded"]
        assert [row["spec"]["pinned"]["workflowVersion"] for row in deployed] == ["v1", "v2"], (
            "of what Git asked for after the rollback: none"
        )
        assert on.workload(APP)["spec"]["template"] == template, "no pod was made anew"
        assert waiting["status"]["waits"]["reason"] == "Held"
        assert f"row {back}" in waiting["status"]["waits"]["message"]
        assert on.get("App", APP)["status"]["live"]["row"] == scaled

        _resume(on, waiting)
        on.until(waiting["metadata"]["name"], "Live")
        assert on.served()["workflowVersion"] == newest
        print(f"Flux: {CHANGES} changes after a rollback by hand, one scaling beside them: 0 deployed, 1 waiting row, resumed: {newest}")
        git.until_applied(git.push(on.declared("v3")))
        on.until_served("v3")


@pytest.mark.timeout(3600)
def test_the_image_of_a_runtime_comes_from_git_and_a_rollback_by_hand_comes_back_to_it(cluster: Cluster, tmp_path: Path) -> None:
    account = install_account(cluster, tmp_path)
    with (
        admission_policies(cluster),
        history_stage.stage(cluster, "flux") as on,
        Operator(account, tmp_path, [on.namespace]),
        flux(cluster, on.namespace, tmp_path) as git,
    ):
        plugin = Plugin(cluster, on.namespace, tmp_path, ANNA)
        older, newer = (runtime_in_git(f"{on.namespace}-{name}", digit) for name, digit in (("older", "1"), ("newer", "2")))
        for runtime in (older, newer):
            git.until_applied(git.push(runtime, on.declared("v1", runtime=runtime["metadata"]["name"])))
            eventually("its image runs", lambda runtime=runtime: image(on) == runtime["spec"]["image"])  # type: ignore[misc]
        on.until_served("v1", rows=2)
        assert "Git matches what is live" in plugin("sync", APP, "--to-git", "--exit-code").stderr

        back = _by_hand(on, restores=on.rows(APP)[0]["metadata"]["name"], message="the newer image is slow")
        on.until(back, "Live")
        assert image(on) == older["spec"]["image"]
        git.again()
        assert on.served()["row"] == back, "the older image comes back, and stays"
        template = on.workload(APP)["spec"]["template"]

        # The return to Git: the printed text is committed unchanged.
        output = plugin("sync", APP, "--to-git", "--exit-code")
        assert output.returncode == 3
        patch = yaml.safe_load(output.stdout)
        assert patch["spec"]["deploy"]["runtime"] == older["metadata"]["name"]
        app = on.declared("v1")
        app["spec"]["deploy"] = patch["spec"]["deploy"]
        git.until_applied(git.push(app, message="as it is live"))
        waiting = eventually("it waits for somebody who resumes it", lambda: _waiting(on, "v1"))
        assert waiting["status"]["waits"]["reason"] == "Held"
        plugin.said("resume", APP, "-m", "Git says the same", "--yes")
        on.until(waiting["metadata"]["name"], "Live")
        assert on.workload(APP)["spec"]["template"] == template, "no pod was made anew"
        on.until_condition(APP, "DeploySpecOverridden", "False", reason="AsDeclared")
        assert plugin("sync", APP, "--to-git", "--exit-code").returncode == 0
        git.until_applied(git.push(on.declared("v2", runtime=older["metadata"]["name"])))
        on.until_served("v2")
        print("Flux: image of a runtime changed in Git, rolled back by hand, back in Git: 0 pods anew, and Git deploys again")


@pytest.mark.timeout(3600)
def test_a_kustomization_waits_until_the_deploy_of_git_is_live_and_reports_its_failure(cluster: Cluster, tmp_path: Path) -> None:
    account = install_account(cluster, tmp_path)
    with (
        admission_policies(cluster),
        history_stage.stage(cluster, "flux") as on,
        Operator(account, tmp_path, [on.namespace]),
        flux(cluster, on.namespace, tmp_path, waits=True) as git,
    ):
        quick = factories.with_deadline(20)
        for version in ("v1", "v2"):
            git.until_applied(git.push(on.declared(version, quick)))
            assert on.served()["workflowVersion"] == version, "it did not say so before"
        failure = git.until_failed(git.push(on.declared("v9", quick)))
        assert f"App/{on.namespace}/{APP}" in failure
        assert on.served()["workflowVersion"] == "v2"
        git.until_applied(git.push(on.declared("v3", quick)))
        assert on.served()["workflowVersion"] == "v3"
        print("Flux: 3 deploys waited for until they were live, 1 failed one told")


def runtime_in_git(name: str, digit: str) -> Manifest:
    """Returns a Runtime as Git has it: the image by its digest, and a new image under a new name."""
    return factories.runtime_manifest(factories.with_image(f"registry.test/runtime@sha256:{digit * 64}"), name=name)


def image(on: HistoryStage) -> str:
    """Returns the image that the App's workload runs."""
    workload = on.find("Workload", APP)
    return str(workload["spec"]["template"]["spec"]["containers"][0]["image"]) if workload is not None else ""


def _by_hand(on: HistoryStage, **spec: object) -> str:
    """Makes a row as anna does with kubectl; returns its name."""
    row = factories.row_manifest("", factories.in_namespace(on.namespace), factories.with_spec(app=APP, **spec))
    row["metadata"] = {"generateName": f"{APP}-", "namespace": on.namespace}
    created = on.kubectl(*ANNA, "create", "-o", "name", "-f", "-", input=[row], namespace=on.namespace)
    return created.stdout.strip().rpartition("/")[2]


def _resume(on: HistoryStage, row: Manifest) -> None:
    spec = {"row": row["metadata"]["name"], "digest": row["spec"]["pinned"]["digest"], "purpose": "Resume", "message": "v2 is mended"}
    resumption = {"apiVersion": API_VERSION, "kind": kinds.APPROVAL.kind, "metadata": {"generateName": "resume-"}, "spec": spec}
    on.kubectl(*ANNA, "create", "-f", "-", input=[resumption], namespace=on.namespace)


def _of_git(on: HistoryStage) -> list[Manifest]:
    return [row for row in on.rows(APP) if row["spec"].get("pinned", {}).get("source") == "App"]


def _waiting(on: HistoryStage, version: str) -> Manifest | None:
    """Returns the one open row, once it is the one of `version` and waits."""
    open_rows = [row for row in on.rows(APP) if "outcome" not in row["spec"]]
    if len(open_rows) != 1 or open_rows[0]["spec"].get("pinned", {}).get("workflowVersion") != version:
        return None
    return open_rows[0] if "waits" in open_rows[0].get("status", {}) else None
