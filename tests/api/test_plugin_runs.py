"""Runs in the plugin, by the API server's proxy of the recorder's Service: equal to those of the API, for a login by token."""

from __future__ import annotations

import functools
import json
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dynamiq_operator.model import kinds
from dynamiq_operator.model.recorder import RECORDER_NAMESPACE, RECORDER_SERVICE
from local.clusters import Cluster
from tests.api.support import rest_rehearsal
from tests.api.support.recorded_app import APP, RUNS, Recorded, recorded
from tests.api.support.recorder_process import a_pod, runs_of
from tests.support import history_stage
from tests.support.cluster import REPOSITORY
from tests.support.commands import blocks, shell
from tests.support.plugin import Plugin
from tests.support.waiting import eventually

PLUGIN, RUNS_PAGE = REPOSITORY / "docs" / "plugin.md", REPOSITORY / "docs" / "runs.md"
As = Callable[[str], Plugin]


@pytest.fixture(scope="module")
def at(cluster: Cluster, account: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    with recorded(cluster, account, tmp_path_factory.mktemp("runs"), "plugin runs") as made:
        yield made


@pytest.fixture(scope="module")
def by(at: Recorded, tmp_path_factory: pytest.TempPathFactory) -> As:
    """Returns a function that logs the plugin in with a caller's token."""
    folder = tmp_path_factory.mktemp("logins")

    @functools.cache
    def logged_in(who: str) -> Plugin:
        path = rest_rehearsal.login(at.stage, at.token(who), folder / f"{who}.kubeconfig")
        return Plugin(at.stage.cluster, at.stage.namespace, folder, more={"KUBECONFIG": str(path)})

    return logged_in


def test_runs_and_comparisons_are_those_of_the_api_and_contents_need_a_right(at: Recorded, by: As) -> None:
    plugin = by("viewer")
    assert plugin.data("runs", APP, "--limit", "500") == at.runs("viewer", "?page_size=500")
    assert plugin.data("runs", APP, "--row", "1", "--status", "failed") == at.runs("viewer", f"?deployment_id={at.rows[0]}&status=failed")
    newest = at.runs("viewer")[0]["id"]
    _, line, *_ = plugin.said("runs", APP).splitlines()
    assert line.split()[0] == newest
    assert re.search(r" 100\+20 +\$0\.0010 +#2$", line), line
    exported = [json.loads(line) for line in plugin.said("runs", APP, "-o", "jsonl", "--session", "v2-0").splitlines()]
    assert {each["id"] for each in exported} == {each["id"] for each in at.runs("viewer", "?session_id=v2-0")}
    assert plugin.data("run", newest) == at.callers["viewer"].get(f"/v1/runs/{newest}")
    assert "dynamiq-deployer" in plugin.said("run", newest, "--content")
    assert '"q": "hi"' in by("deployer").said("run", newest, "--content")
    assert "there is no run" in by("stranger").refused("run", newest)
    assert "forbidden" in by("stranger").refused("runs", APP)

    assert plugin("compare", APP, "--exit-code").returncode == 3, "the newest row is slower"
    assert plugin("compare", APP, "1", "--exit-code").returncode == 4, "there is no row before it"
    assert plugin.data("compare", APP, "2", "1") == at.callers["viewer"].get(f"{at.path}/deployments/{at.rows[1]}/comparison")
    newest, oldest = plugin.said("history", APP, "-o", "wide").splitlines()[1:]
    for row, verdict in ((newest, "regressed"), (oldest, "unknown")):
        assert re.search(rf" {RUNS} +{RUNS // 10} +\d+ ms +\$0\.0800 +{verdict} +\S+ +yes$", row), row


def test_the_commands_of_the_plugins_page(at: Recorded, by: As, tmp_path: Path) -> None:
    kubeconfig = Path(by("editor").more["KUBECONFIG"])
    shown, gate = (block.replace("-n demo", f"-n {at.stage.namespace}") for block in blocks(PLUGIN)[-2:])
    output = shell(shown, at.stage.cluster, tmp_path, kubeconfig)
    assert re.search("^p95 .* regressed$", output, re.MULTILINE)
    assert "delete 0 runs" in output
    # Only the commands after the verdict are left out: another test rolls back.
    assert "regressed: " in shell(gate.partition(";")[0] + " || test $? = 3", at.stage.cluster, tmp_path, kubeconfig)


def test_a_score_and_a_deletion(at: Recorded, by: As) -> None:
    run = at.runs("viewer")[0]["id"]
    assert "has the score helpful 1 by" in by("deployer").said("score", run, "helpful", "1")
    assert "update" in by("viewer").refused("score", run, "helpful", "1")
    shown = by("editor").said("delete-runs", APP, "--session", "v1-0", "--preview")
    assert f"delete 10 runs of {APP}" in shown
    assert len(at.runs("viewer", "?session_id=v1-0")) == 10
    assert "delete" in by("deployer")("delete-runs", APP, "--session", "v1-0", "--yes").stderr
    assert by("editor").data("delete-runs", APP, "--session", "v1-0", "--yes") == {"deleted": 10}
    assert at.runs("viewer", "?session_id=v1-0") == []
    assert [each["session_id"] for each in by("viewer").data("sessions", APP)][:1] == [f"v2-{RUNS // 10 - 1}"]


def test_the_runs_of_a_deleted_app_are_read_and_deleted_by_its_uid(at: Recorded, by: As, tmp_path: Path) -> None:
    name, stage = "gone", at.stage
    stage.app(name, workflow=history_stage.APP)
    stage.live(name, "v1", runtime=stage.default_runtime)
    pod = a_pod(stage.api, stage.namespace, name, "v1")
    at.recorder.send(pod, *runs_of(3, first=1, milliseconds=5.0, user__id="user-4711"), instance=str(uuid.uuid4()))
    uid = by("viewer").data("runs", name)[0]["app_id"]
    stage.delete(kinds.APP.kind, name)
    eventually("the recorder knows that it is gone", lambda: by("editor")("runs", "--app-id", uid).returncode == 1)
    assert by("editor").refused("runs", "--app-id", uid), "of every namespace, and not of the one that it was in"
    (block,) = [each for each in blocks(RUNS_PAGE) if "--app-id" in each]
    block = block.replace("demo:reader", f"{stage.namespace}:viewer").replace("reader -n demo", f"viewer -n {stage.namespace}")
    try:
        output = shell(f"app={uid}\n{block}", stage.cluster, tmp_path)
        assert output.count(" succeeded ") == 3
        assert f"delete 3 runs of the App with the id {uid}: of user user-4711" in output
        assert by("viewer").refused("runs", "--app-id", uid), "nothing of it is left"
    finally:
        stage.kubectl("delete", "clusterrolebinding/privacy", "clusterrole/runs-of-every-app")


def test_a_certificate_alone_asks_for_a_token(at: Recorded, tmp_path: Path) -> None:
    admin = Plugin(at.stage.cluster, at.stage.namespace, tmp_path)
    assert 'add --token "$(kubectl create token ACCOUNT)"' in admin.refused("runs", APP)
    with_token = Plugin(at.stage.cluster, at.stage.namespace, tmp_path, (f"--token={at.token('viewer')}",))
    assert len(with_token.data("runs", APP, "--limit", "500")) >= RUNS


def test_without_a_recorder_the_plugin_reports_it(at: Recorded, by: As) -> None:
    """It removes the plugin's way to the recorder, so it is the last test of the module."""
    within = f"namespaces/{RECORDER_NAMESPACE}"
    for path, says in (
        (f"/apis/discovery.k8s.io/v1/{within}/endpointslices/{RECORDER_SERVICE}", "the recorder does not answer"),
        (
            f"/apis/rbac.authorization.k8s.io/v1/{within}/rolebindings/{RECORDER_SERVICE}-proxy",
            "no recorder is installed in this cluster, or you may not reach it",
        ),
    ):
        assert at.stage.api.request("DELETE", path).ok
        eventually("it says that there is none", lambda says=says: says in by("viewer")("runs", APP).stderr)  # type: ignore[misc]
        done = by("viewer")("history", APP, "-o", "wide")
        assert (done.returncode, len(done.stdout.splitlines())) == (0, 3)
        assert says in done.stderr
