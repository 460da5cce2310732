"""Deploys from Git: a change of `spec.deploy` is one row, and nothing that a GitOps tool repeats is one, or undoes one."""

from __future__ import annotations

import pytest

from dynamiq_operator.model import kinds
from tests import factories as given
from tests.cluster.ledger import APP, Ledger
from tests.harness import Manifest, eventually
from tests.operating import Operator

pytestmark = pytest.mark.usefixtures("policies")

OVERRIDDEN = "DeploySpecOverridden"


def test_a_change_is_one_row_and_going_back_another(stage: Ledger, operator: Operator) -> None:
    for number, version in enumerate(("v1", "v2", "v1"), 1):
        stage.apply(stage.declared(version), user=f"author-{number}")
        stage.until_served(version, rows=number)
    assert stage.versions() == ["v1", "v2", "v1"]
    assert [row["spec"]["createdBy"] for row in stage.rows(APP)] == ["author-1", "author-2", "author-3"]
    assert {row["spec"]["pinned"]["source"] for row in stage.rows(APP)} == {"App"}
    assert all(row["spec"]["pinned"]["createdByVerified"] for row in stage.rows(APP))
    print("3 changes: 3 rows")


def test_the_same_again_is_no_row(stage: Ledger, operator: Operator) -> None:
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


def test_changes_while_nothing_runs_come_down_to_the_last(stage: Ledger, operator: Operator) -> None:
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
    stage.quiet(4)
    assert stage.versions() == ["v1", "v2"]
    print("4 changes while the operator was down: 1 row; there and back: 0")


def test_a_rollback_by_hand_stays_until_git_asks_for_something_else(stage: Ledger, operator: Operator) -> None:
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
    stage.until_served("v3", rows=4)
    stage.until_condition(APP, OVERRIDDEN, "False", reason="AsDeclared")


def test_a_declared_version_that_never_comes_fails_and_git_goes_back(stage: Ledger, operator: Operator) -> None:
    quick = given.with_deadline(10)
    stage.apply(stage.declared("v1", quick))
    live = stage.until_served("v1", rows=1)
    stage.apply(stage.declared("v9", quick))
    missing = eventually("there is a row for v9", lambda: next((row for row in stage.rows(APP) if row["metadata"]["name"] != live), None))
    name = missing["metadata"]["name"]
    waiting = stage.until_condition(APP, "Progressing", "True", reason="Waiting")
    assert f"WorkflowVersion {APP}-v9 does not exist" in waiting["message"]
    stage.until(name, "Failed", 40)
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


def test_an_app_created_again_under_its_name_deploys_what_git_asks(stage: Ledger, operator: Operator) -> None:
    stage.apply(stage.declared("v1"))
    before = stage.until_served("v1", rows=1)
    uid = stage.row(before)["metadata"]["uid"]
    for _ in range(3):
        stage.kubectl("replace", "--force", "-f", "-", input=stage.declared("v1"), namespace=stage.namespace, timeout=60)
        row = eventually("a row of the new App ends", lambda: _ended_since(stage, uid))
        uid = row["metadata"]["uid"]
        assert stage.until_served("v1", rows=1) == row["metadata"]["name"]
        assert row["spec"]["sequence"] == 1
    print("3 times deleted and created again at once: 1 row each, #1")


def _ended_since(stage: Ledger, uid: str) -> Manifest | None:
    """A row other than that of `uid`, once it has ended."""
    return next((row for row in stage.rows(APP) if row["metadata"]["uid"] != uid and "outcome" in row["spec"]), None)
