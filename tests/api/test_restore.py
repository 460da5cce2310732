"""A backup that is restored in any order ends with the same history and the same live row. Nothing is deployed meanwhile."""

from __future__ import annotations

import random

import pytest

from dynamiq_operator.model import chain, kinds, ownership
from tests.support import factories as given
from tests.support import restores
from tests.support.history_stage import APP, HistoryStage, counted, specs
from tests.support.operator import Operator
from tests.support.restores import watched
from tests.support.stage import said
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("policies")


@pytest.mark.full_count
@pytest.mark.timeout(1200)
def test_a_backup_in_any_order_ends_as_it_was(stage: HistoryStage, operator: Operator) -> None:
    live = restores.a_history(stage)
    before, keys, running = stage.rows(APP), restores.keys(stage), stage.mounted()
    recorded = eventually("the App's settings are recorded", lambda: restores.changes(stage))
    phases = {row["metadata"]["name"]: row["status"]["phase"] for row in before}
    times, slowest, seed = counted(20), 0.0, random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    order = random.Random(seed)  # noqa: S311 - no secret depends on it
    for time in range(times):
        backup = restores.export(stage) if time % 2 else restores.without_uids(restores.export(stage))
        slowest = max(slowest, restores.lose_the_namespace(stage))
        with watched(stage) as watcher:
            for first in (True, False):
                restores.apply(stage, backup, order, first=first)
            stage.quiet_while_restoring()
            assert (watcher.rows, watcher.flows) == (set(), set()), "something moved while the pieces arrived"
            restores.take_the_stamp_off(stage)
            assert stage.until_served("v2", rows=5) == live
            eventually(
                "every row reads as before", lambda: phases == {row["metadata"]["name"]: row["status"]["phase"] for row in stage.rows(APP)}
            )
            restores.apply(stage, backup, order, first=False)
            stage.until_condition(APP, "Available", "True")  # its pods are made anew, and ready a moment after it serves the row
            stage.quiet()
        assert (watcher.rows, watcher.flows) == ({live}, {running[0]}), f"restore {time}: {watcher.seen}"
        assert specs(stage.rows(APP)) == specs(before)
        assert (restores.keys(stage), stage.mounted()) == (keys, running)
        changes = restores.changes(stage)
        assert specs(changes)[: len(recorded)] == specs(recorded)
        assert chain.verify_changes(changes).misfits == ()
    uid = stage.get(kinds.APP.kind, APP)["metadata"]["uid"]
    assert {owner for row in stage.rows(APP) for owner in ownership.owners(row)} == {uid}
    eventually("the records are the App's, too", lambda: {ownership.owners(each) for each in restores.changes(stage)} == {(uid,)})
    print(f"{times} restores in random order, each sent 3 times: {times} times the same live row, order, authors, dates, outcomes and keys")
    print(f"the slowest end of the namespace took {slowest:.1f} s")


def test_each_thing_that_a_backup_lacks_is_named(stage: HistoryStage, operator: Operator) -> None:
    restores.a_history(stage)
    here = given.in_namespace(stage.namespace)
    for row, fields in (("row-6", {"workflowVersion": "v8"}), ("row-7", {"runtime": "gone"}), ("row-8", {"restores": "row-0"})):
        stage.create(given.row_manifest(row, here, given.asking(**fields)))
        stage.until(row, "Pending")
    backup, runtime = restores.without_uids(restores.export(stage)), stage.get(kinds.RUNTIME.kind, stage.default_runtime)
    restores.lose_the_namespace(stage)
    stage.delete(kinds.RUNTIME.kind, stage.default_runtime)
    order = random.Random(0)  # noqa: S311 - no secret depends on it

    rows = restores.of_kind(backup, kinds.ROW.kind)
    restores.apply(stage, rows, order, first=True)
    for each in rows:  # all of them, or the operator would still write one while it is checked that it writes none
        says(stage, each["metadata"]["name"], f"App {APP} does not exist in namespace {stage.namespace}")
    restores.apply(stage, restores.of_kind(backup, kinds.APP.kind), order, first=True)
    stage.quiet_while_restoring()
    restores.take_the_stamp_off(stage)
    missing = stage.until_condition(APP, "Available", "False", reason="FlowMissing")["message"]
    assert "the flow of v2 (#4, row-4) is in no ConfigMap and no WorkflowVersion" in missing
    says(stage, "row-6", f"WorkflowVersion {APP}-v8 does not exist in namespace {stage.namespace}")
    says(stage, "row-7", f"workflow {APP} has no released version yet")
    says(stage, "row-8", f"row row-0, which this one restores, does not exist in namespace {stage.namespace}")
    restores.apply(stage, restores.of_kind(backup, kinds.WORKFLOW_VERSION.kind), order, first=True)
    says(stage, "row-7", "Runtime gone does not exist")
    eventually("row-4 is live", lambda: stage.served().get("row") == "row-4")
    eventually("row-4 runs again, though its Runtime is gone", lambda: stage.condition(APP, "Available").get("status") == "True")
    image = stage.workload(APP)["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == runtime["spec"]["image"]
    print("6 things missing from a backup: 6 named; a Runtime that is gone: not needed")


def says(stage: HistoryStage, row: str, message: str) -> None:
    """Waits until the row's condition has this message. The row is Pending, or Failed for it by then."""
    eventually(f"row {row} says: {message}", lambda: message in said(stage.row(row)))
