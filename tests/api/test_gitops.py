"""Deploys from Git: a change of `spec.deploy` is one row, and nothing that a GitOps tool repeats is one, or undoes one."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dynamiq_operator.model import kinds
from tests.support import factories as given
from tests.support.api import Manifest
from tests.support.history_stage import APP, HistoryStage, counted
from tests.support.operator import Operator
from tests.support.plugin import Plugin
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("policies")

OVERRIDDEN = "DeploySpecOverridden"


def test_a_change_is_one_row_and_going_back_another(stage: HistoryStage, operator: Operator) -> None:
    for number, version in enumerate(("v1", "v2", "v1"), 1):
        stage.apply(stage.declared(version), user=f"author-{number}")
        stage.until_served(version, rows=number)
    assert stage.versions() == ["v1", "v2", "v1"]
    assert [row["spec"]["createdBy"] for row in stage.rows(APP)] == ["author-1", "author-2", "author-3"]
    assert {row["spec"]["pinned"]["source"] for row in stage.rows(APP)} == {"App"}
    assert all(row["spec"]["pinned"]["createdByVerified"] for row in stage.rows(APP))
    print("3 changes: 3 rows")


def test_the_same_again_is_no_row(stage: HistoryStage, operator: Operator) -> None:
    stage.apply(stage.declared("v1"), user="ada")
    stage.until_served("v1", rows=1)
    repeats = 10
    for repeat in range(repeats):
        stage.apply(stage.declared("v1"), user=f"robot-{repeat}", flags=("--server-side", "--force-conflicts") if repeat % 2 else ())
    stage.apply(stage.declared("v1", given.with_spec(description="changed")), user="bob")
    for _ in range(2):
        operator.restart()
    stage.until_served("v1", rows=1)
    stage.quiet()
    deploy = stage.get(kinds.APP.kind, APP)["spec"]["deploy"]
    assert (len(stage.rows(APP)), deploy["changedBy"]) == (1, "ada")
    print(f"{repeats} repeats, another field changed, 2 restarts: 0 rows more")


def test_changes_while_nothing_runs_come_down_to_the_last(stage: HistoryStage, operator: Operator) -> None:
    stage.apply(stage.declared("v1"))
    stage.until_served("v1", rows=1)
    operator.stop()
    for version in ("v2", "v3", "v4", "v2"):
        stage.apply(stage.declared(version))
    operator.start()
    stage.until_served("v2", rows=2)
    operator.stop()
    for version in ("v3", "v2"):
        stage.apply(stage.declared(version), user="eve")
    operator.start()
    stage.quiet()
    assert stage.versions() == ["v1", "v2"]
    print("4 changes while the operator was down: 1 row; there and back: 0")


def test_a_rollback_by_hand_stays_until_somebody_resumes_what_git_asks_for_next(
    stage: HistoryStage, operator: Operator, tmp_path: Path
) -> None:
    for version in ("v1", "v2"):
        stage.apply(stage.declared(version))
        stage.until_served(version)
    stage.until_condition(APP, OVERRIDDEN, "False", reason="AsDeclared")
    first, declared = (row["metadata"]["name"] for row in stage.rows(APP))
    by_hand = stage.live(APP, restores=first, message="v2 answers nonsense")
    said = stage.until_condition(APP, OVERRIDDEN, "True", reason="NewerRow")["message"]
    assert f"asks v2 (#2, {declared})" in said
    assert by_hand in said
    assert "#3" in said
    assert "v1" in said
    stage.apply(stage.declared("v2"))
    operator.restart()
    stage.quiet()
    assert stage.until_served("v1", rows=3) == by_hand
    stage.apply(stage.declared("v3"))
    assert f"`kubectl dynamiq resume {APP}`" in stage.until_condition(APP, "Progressing", "False", reason="Held")["message"]
    operator.restart()
    stage.quiet()
    assert stage.served()["row"] == by_hand
    Plugin(stage.cluster, stage.namespace, tmp_path).said("resume", APP, "--yes")
    stage.until_served("v3", rows=4)
    stage.until_condition(APP, OVERRIDDEN, "False", reason="AsDeclared")


def test_a_declared_version_that_never_comes_fails_and_git_goes_back(stage: HistoryStage, operator: Operator) -> None:
    quick = given.with_deadline(20)
    stage.apply(stage.declared("v1", quick))
    live = stage.until_served("v1", rows=1)
    stage.apply(stage.declared("v9", quick))
    missing = eventually("there is a row for v9", lambda: next((row for row in stage.rows(APP) if row["metadata"]["name"] != live), None))
    name = missing["metadata"]["name"]
    waiting = stage.until_condition(APP, "Progressing", "True", reason="Waiting")
    assert f"WorkflowVersion {APP}-v9 does not exist" in waiting["message"]
    stage.until(name, "Failed", 90)
    assert stage.until_served("v1", rows=2) == live
    operator.restart()
    stage.apply(stage.declared("v9", quick))
    stage.quiet()
    stage.apply(stage.declared("v1", quick))
    back = stage.until_served("v1", rows=3)
    assert back not in (live, name)
    stage.release("v9", workflow=APP)
    stage.apply(stage.declared("v9", quick))
    stage.until_served("v9", rows=4)
    print("a declared version that never came: 1 row Failed; back, and there again: 1 row each")


def test_an_app_created_again_under_its_name_deploys_what_git_asks(stage: HistoryStage, operator: Operator) -> None:
    stage.apply(stage.declared("v1"))
    before = stage.until_served("v1", rows=1)
    uid = stage.row(before)["metadata"]["uid"]
    for _ in range(3):
        stage.kubectl("replace", "--force", "-f", "-", input=stage.declared("v1"), namespace=stage.namespace, timeout=60)
        row = _next_after(stage, uid)
        uid = row["metadata"]["uid"]
        assert stage.until_served("v1", rows=1) == row["metadata"]["name"]
        assert row["spec"]["sequence"] == 1
    print("3 times deleted and created again at once: 1 row each, #1")


def _next_after(stage: HistoryStage, uid: str) -> Manifest:
    """A row other than that of `uid`, once it has ended."""
    return eventually(
        "a row of the new App ends",
        lambda: next((row for row in stage.rows(APP) if row["metadata"]["uid"] != uid and "outcome" in row["spec"]), None),
    )


WAYS = {
    "client-side apply": (),
    "server-side apply with force": ("--server-side", "--force-conflicts"),
    "apply --prune with an applyset": ("--prune", "--applyset=configmaps/git"),
}


@dataclass
class SelfHeal:
    """Applies what Git has every second, as GitOps tools do, in a thread of its own."""

    apply: Callable[[], None]
    applied: int = 0
    failed: list[BaseException] = field(default_factory=list)
    _end: threading.Event = field(default_factory=threading.Event)

    def wait(self, more: int = 2) -> None:
        """Until so many more applies have begun and ended."""
        until = self.applied + more
        eventually("Git is applied again", lambda: self.applied >= until or self.failed)
        assert not self.failed, self.failed

    @contextlib.contextmanager
    def going_on(self) -> Iterator[SelfHeal]:
        thread = threading.Thread(target=self._loop)
        thread.start()
        try:
            yield self
        finally:
            self._end.set()
            thread.join()
        assert not self.failed, self.failed

    def _loop(self) -> None:
        while not self._end.is_set():
            try:
                self.apply()
            except Exception as error:
                self.failed.append(error)
                return
            self.applied += 1
            self._end.wait(1)


@pytest.mark.full_count
@pytest.mark.timeout(900)
@pytest.mark.parametrize("way", WAYS)
def test_rollbacks_by_hand_outlive_self_heal(stage: HistoryStage, operator: Operator, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.setenv("KUBECTL_APPLYSET", "true")
    for version in ("v1", "v2", "v3"):
        stage.apply(stage.declared(version), flags=WAYS[way])
        stage.until_served(version)
    older = [row["metadata"]["name"] for row in stage.rows(APP)]
    times, by_hand = counted(50), []
    healing = SelfHeal(lambda: stage.apply(stage.declared("v3"), flags=WAYS[way]))
    with healing.going_on():
        for time in range(times):
            by_hand.append(stage.live(APP, restores=older[time % 2]))
            eventually("the App says so", lambda: stage.served().get("row") == by_hand[-1])  # written after the row's own status
            healing.wait(1)
            served = stage.served()
            assert (served["row"], served["workflowVersion"]) == (by_hand[-1], f"v{time % 2 + 1}")
        healing.wait(2)
    assert [row["metadata"]["name"] for row in stage.rows(APP)] == [*older, *by_hand]
    eventually("those before it are closed", lambda: {row["status"]["phase"] for row in stage.rows(APP)[:-1]} == {"Superseded"})
    print(f"{way}: {times} rollbacks by hand under {healing.applied} applies of Git: 0 undone, 0 rows more")


def test_a_row_that_git_drops_is_pruned_by_nobody(stage: HistoryStage, operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECTL_APPLYSET", "true")
    here = given.in_namespace(stage.namespace)
    row = given.row_manifest("chat-first", here, given.asking(workflowVersion="v1", runtime=stage.default_runtime))
    prune = WAYS["apply --prune with an applyset"]
    stage.apply(stage.manifest(), row, flags=prune)
    stage.until_served("v1", rows=1)
    flows = stage.flows()
    by_applyset = stage.as_user("flux", "apply", *prune, "-f", "-", input=[stage.manifest()], check=False)
    by_label = stage.as_user(
        "flux", "apply", "--prune", "--all", "--prune-allowlist=dynamiq.getdynamiq.ai/v1alpha1/Deployment", "-f", "-",
        input=[stage.manifest()], check=False,
    )  # fmt: skip
    for pruned in (by_applyset, by_label):
        assert "row chat-first is history, and flux may not delete it" in pruned.stderr
    annotations = stage.row("chat-first")["metadata"]["annotations"]
    assert annotations["argocd.argoproj.io/sync-options"] == "Prune=false"
    assert annotations["kustomize.toolkit.fluxcd.io/prune"] == "disabled"
    assert (stage.until_served("v1", rows=1), stage.flows()) == ("chat-first", flows)
