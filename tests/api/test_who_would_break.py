"""Whom a version may break, on a real API server: the operator, the API and the plugin tell the same by the recorder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from dynamiq_operator.cli import callers
from dynamiq_operator.model import kinds
from dynamiq_operator.model.manifests import VERSION_KIND
from local.clusters import Cluster
from tests.api.support import breaking, rest_rehearsal
from tests.api.support.recorded_app import APP, Recorded, recorded
from tests.support import history_stage, rest
from tests.support.api import Manifest
from tests.support.factories import in_namespace, policy_manifest, with_spec, workflow_manifest
from tests.support.plugin import Plugin
from tests.support.waiting import IN_TIME, eventually

READS, DEFAULTS = "v10", "v11"
TOLD = f"{READS} reads `question`, which 12 of the last 72 runs (7 days) did not send: key jobs (12)"


@pytest.fixture(scope="module")
def at(cluster: Cluster, account: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """Provides an App whose callers `web` and `jobs` send runs, a version that reads what `jobs` does not send, and one with a default."""
    with recorded(cluster, account, tmp_path_factory.mktemp("callers"), "who would break") as made:
        breaking.release(made, READS, breaking.READS)
        breaking.release(made, DEFAULTS, breaking.DEFAULTS)
        breaking.send(made, "web", 60, message="string", question="string")
        breaking.send(made, "jobs", 12, message="string")
        yield made


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the plugin wait for a busy machine."""
    monkeypatch.setattr(callers, "WITHIN", IN_TIME)


@pytest.fixture(scope="module")
def plugin(at: Recorded, tmp_path_factory: pytest.TempPathFactory) -> Plugin:
    folder = tmp_path_factory.mktemp("login")
    path = rest_rehearsal.login(at.stage, at.token("editor"), folder / "kubeconfig")
    return Plugin(at.stage.cluster, at.stage.namespace, folder, more={"KUBECONFIG": str(path)})


@contextlib.contextmanager
def asking_where_breaking(at: Recorded) -> Iterator[None]:
    """Lets a policy ask for approvals in the App's namespace, only where callers may break."""
    selector = {"matchLabels": {"kubernetes.io/metadata.name": at.stage.namespace}}
    policy = policy_manifest(with_spec(namespaceSelector=selector, approvals={"count": 1, "when": "Breaking"}), name=at.stage.namespace)
    at.stage.create(policy)
    try:
        eventually("the App's guards show it", lambda: at.stage.get(kinds.APP.kind, APP)["status"].get("guards"))
        yield
    finally:
        at.stage.api.delete(policy)
        eventually("the guard is gone", lambda: not at.stage.get(kinds.APP.kind, APP)["status"].get("guards"))


def pinned(at: Recorded, version: str) -> Manifest:
    """Returns the pins of the newest row of a version, once it has some."""

    def newest() -> Manifest | None:
        of_version = [row for row in at.stage.rows(APP) if row["spec"].get("pinned", {}).get("workflowVersion") == version]
        return of_version[-1]["spec"]["pinned"] if of_version else None

    return eventually(f"a row of {version} is pinned", newest)


def test_every_surface_names_the_callers_and_the_row_keeps_their_number(at: Recorded, plugin: Plugin) -> None:
    assert TOLD in plugin.said("deploy", APP, "--version", READS, "--preview")
    version = rest.uid(at.stage.api, VERSION_KIND, f"{history_stage.APP}-{READS}", at.stage.namespace)
    at.stage.create(workflow_manifest(in_namespace(at.stage.namespace), name=history_stage.APP))
    workflow = rest.uid(at.stage.api, kinds.WORKFLOW.kind, history_stage.APP, at.stage.namespace)

    def messages() -> list[str]:
        shown = at.callers["editor"].post(
            f"{at.path}/deploy/preview", {"workflow_id": workflow, "workflow_version_id": version}, status=200
        )
        return [each["message"] for each in shown["callers"]["changes"]]

    eventually(lambda: f"the API has the count: {messages()}", lambda: messages() == [TOLD], 20.0)
    with asking_where_breaking(at):
        assert plugin("policy", "check", APP, "--version", READS).returncode == 3
        assert plugin("policy", "check", APP, "--version", DEFAULTS).returncode == 0

        def contract() -> Manifest | None:
            assert plugin("deploy", APP, "--version", READS, "--yes").returncode == 3, "the row waits"
            found: Manifest = pinned(at, READS)["contract"]
            return found if "runs" in found["breaks"][0] else None  # a busy recorder does not answer in time

        counted = eventually("a row is pinned with the count", contract)
        assert (counted["result"], counted["breaks"]) == (
            "Breaking",
            [{"kind": "Reads", "name": "question", "runs": 12, "of": 72, "callers": 1}],
        )
        waiting = rest.uid(at.stage.api, kinds.ROW.kind, at.stage.rows(APP)[-1]["metadata"]["name"], at.stage.namespace)
        (change,) = at.callers["editor"].get(f"{at.path}/deployments/{waiting}/preview")["callers"]["changes"]
        assert change["message"] == f"{READS} reads `question`, which 12 of the last 72 runs (7 days) did not send: 1 caller (12)"
        assert plugin("deploy", APP, "--version", DEFAULTS, "--yes").returncode == 0, "it breaks nobody, and waits for nobody"
        assert (pinned(at, DEFAULTS)["contract"]["result"], "guards" in pinned(at, DEFAULTS)) == ("Compatible", False)
    assert "rows fit" in plugin.said("verify", APP)


def test_a_rollback_that_breaks_tells_it_and_goes_on(at: Recorded, plugin: Plugin) -> None:
    for version in (READS, DEFAULTS):
        assert plugin("deploy", APP, "--version", version, "--yes").returncode == 0
    with asking_where_breaking(at):
        done = plugin("rollback", APP, "--to", READS, "--yes")
    assert (done.returncode, TOLD in done.stdout) == (0, True)
