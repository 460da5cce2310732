"""Deploys from Git: a change of `spec.deploy` makes one row. Repeated applies of a GitOps tool make no row and revert none."""

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
from tests.support.history_stage import HistoryStage, in_full
from tests.support.operator import Operator
from tests.support.plugin import Plugin
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("policies")

OVERRIDDEN = "DeploySpecOverridden"


def test_a_change_is_one_row_and_going_back_another_and_the_same_again_is_none(
    module_stage: HistoryStage, module_operator: Operator, app: str
) -> None:
    stage, operator = module_stage, module_operator
    for number, version in enumerate(("v1", "v2", "v1"), 1):
        stage.apply(stage.declared(version, name=app), user=f"author-{number}")
        stage.until_served(version, app, rows=number)
    assert stage.versions(app) == ["v1", "v2", "v1"]
    assert [row["spec"]["createdBy"] for row in stage.rows(app)] == ["author-1", "author-2", "author-3"]
    assert {row["spec"]["pinned"]["source"] for row in stage.rows(app)} == {"App"}
    assert all(row["spec"]["pinned"]["createdByVerified"] for row in stage.rows(app))
    for flags in ((), ("--server-side", "--force-conflicts")):
        stage.apply(stage.declared("v1", name=app), user="robot", flags=flags)
    stage.apply(stage.declared("v1", given.with_spec(description="changed"), name=app), user="bob")
    operator.restart()
    stage.until_served("v1", app, rows=3)
    stage.quiet(app)
    assert (len(stage.rows(app)), stage.get(kinds.APP.kind, app)["spec"]["deploy"]["changedBy"]) == (3, "author-3")

    operator.stop()
    for version in ("v2", "v3", "v4", "v2"):
        stage.apply(stage.declared(version, name=app))
    operator.start()
    stage.until_served("v2", app, rows=4)
    operator.stop()
    for version in ("v3", "v2"):
        stage.apply(stage.declared(version, name=app), user="eve")
    operator.start()
    stage.quiet(app)
    assert stage.versions(app) == ["v1", "v2", "v1", "v2"], "changes while nothing runs come down to the last"


def test_a_rollback_by_hand_stays_until_somebody_resumes_what_git_asks_for_next(
    module_stage: HistoryStage, module_operator: Operator, app: str, tmp_path: Path
) -> None:
    stage = module_stage
    for version in ("v1", "v2"):
        stage.apply(stage.declared(version, name=app))
        stage.until_served(version, app)
    stage.until_condition(app, OVERRIDDEN, "False", reason="AsDeclared")
    first, declared = (row["metadata"]["name"] for row in stage.rows(app))
    by_hand = stage.live(app, restores=first, message="v2 answers nonsense")
    message = stage.until_condition(app, OVERRIDDEN, "True", reason="NewerRow")["message"]
    assert f"has v2 (#2, {declared})" in message
    assert by_hand in message
    stage.apply(stage.declared("v2", name=app))
    stage.quiet(app)
    assert stage.until_served("v1", app, rows=3) == by_hand
    stage.apply(stage.declared("v3", name=app))
    assert (
        f"`kubectl dynamiq resume {app} -n {stage.namespace}`"
        in stage.until_condition(app, "Progressing", "False", reason="Held")["message"]
    )
    module_operator.restart()
    stage.quiet(app)
    assert stage.served(app)["row"] == by_hand
    Plugin(stage.cluster, stage.namespace, tmp_path).said("resume", app, "--yes")
    stage.until_served("v3", app, rows=4)
    stage.until_condition(app, OVERRIDDEN, "False", reason="AsDeclared")


def test_an_app_created_again_under_its_name_deploys_what_git_asks(module_stage: HistoryStage, app: str) -> None:
    stage = module_stage
    stage.apply(stage.declared("v1", name=app))
    uid = stage.row(stage.until_served("v1", app, rows=1))["metadata"]["uid"]
    for _ in range(2):
        stage.kubectl("replace", "--force", "-f", "-", input=stage.declared("v1", name=app), namespace=stage.namespace)
        row = _next_after(stage, app, uid)
        uid = row["metadata"]["uid"]
        assert stage.until_served("v1", app, rows=1) == row["metadata"]["name"]
        assert row["spec"]["sequence"] == 1


def _next_after(stage: HistoryStage, app: str, uid: str) -> Manifest:
    """Waits for a row other than that of `uid` to end, and returns it."""
    return eventually(
        "a row of the new App ends",
        lambda: next((row for row in stage.rows(app) if row["metadata"]["uid"] != uid and "outcome" in row["spec"]), None),
    )


PRUNING = "apply --prune with an applyset"
WAYS = {
    "client-side apply": (),
    "server-side apply with force": ("--server-side", "--force-conflicts"),
    PRUNING: ("--prune", "--applyset=configmaps/git"),
}


@dataclass
class SelfHeal:
    """A thread that applies Git's content every second, as GitOps tools do."""

    apply: Callable[[], None]
    applied: int = 0
    failed: list[BaseException] = field(default_factory=list)
    _end: threading.Event = field(default_factory=threading.Event)

    def wait(self, more: int = 2) -> None:
        """Waits until `more` further applies have begun and ended."""
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
def test_rollbacks_by_hand_outlive_self_heal(module_stage: HistoryStage, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.setenv("KUBECTL_APPLYSET", "true")
    stage, app = module_stage, f"healed-{list(WAYS).index(way)}"
    for version in ("v1", "v2", "v3"):
        stage.apply(stage.declared(version, name=app), flags=WAYS[way])
        stage.until_served(version, app)
    older = [row["metadata"]["name"] for row in stage.rows(app)]
    times, by_hand = 50 if in_full() else 1, []
    healing = SelfHeal(lambda: stage.apply(stage.declared("v3", name=app), flags=WAYS[way]))
    with healing.going_on():
        for time in range(times):
            by_hand.append(stage.live(app, restores=older[time % 2]))
            eventually("the App says so", lambda: stage.served(app).get("row") == by_hand[-1])  # written after the row's own status
            healing.wait(1)
            served = stage.served(app)
            assert (served["row"], served["workflowVersion"]) == (by_hand[-1], f"v{time % 2 + 1}")
        healing.wait(2)
    assert [row["metadata"]["name"] for row in stage.rows(app)] == [*older, *by_hand]
    eventually("those before it are closed", lambda: {row["status"]["phase"] for row in stage.rows(app)[:-1]} == {"Superseded"})
    print(f"{way}: {times} rollbacks by hand under {healing.applied} applies of Git: 0 undone, 0 rows more")


def test_a_row_that_git_drops_is_not_pruned(module_stage: HistoryStage, app: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECTL_APPLYSET", "true")
    stage = module_stage
    declared, manual = stage.manifest(name=app), given.asking(app=app, workflowVersion="v1", runtime=stage.default_runtime)
    row = given.row_manifest("dropped-first", given.in_namespace(stage.namespace), manual)
    prune = ("--prune", "--applyset=configmaps/dropping")
    stage.apply(declared, row, flags=prune)
    stage.until_served("v1", app, rows=1)
    flows = stage.flows(app)
    by_label = ("--prune", "--all", "--prune-allowlist=dynamiq.getdynamiq.ai/v1alpha1/Deployment")
    for flags in (prune, by_label):
        pruned = stage.as_user("flux", "apply", *flags, "-f", "-", input=[declared], check=False)
        assert "row dropped-first is history, and flux may not delete it" in pruned.stderr
    annotations = stage.row("dropped-first")["metadata"]["annotations"]
    assert annotations["argocd.argoproj.io/sync-options"] == "Prune=false"
    assert annotations["kustomize.toolkit.fluxcd.io/prune"] == "disabled"
    assert (stage.until_served("v1", app, rows=1), stage.flows(app)) == ("dropped-first", flows)
