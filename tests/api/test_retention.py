"""`spec.history.limit`: the oldest rows go, and with them flows that no kept row names; what is kept verifies and can be brought back."""

from __future__ import annotations

import pytest

from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.digests import flow_hash
from dynamiq_operator.views.verdict import check
from tests.support import factories as given
from tests.support.flows import answering
from tests.support.guards import approval_manifest
from tests.support.history_stage import APP, HistoryStage
from tests.support.operator import Operator
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("policies")

LIMIT = 10


def limit(stage: HistoryStage, rows: int | None) -> None:
    stage.change(kinds.APP.kind, APP, spec={"history": {"limit": rows}})


def until_kept(stage: HistoryStage, rows: int = LIMIT) -> list[int]:
    """The sequences that are there once so many rows are left."""
    eventually(f"{rows} rows are left: {len(stage.rows(APP))}", lambda: len(stage.rows(APP)) == rows)
    return [row["spec"]["sequence"] for row in stage.rows(APP)]


def flow(version: str) -> str:
    return names.flow(APP, flow_hash(answering(version)))


def test_the_oldest_rows_go_and_each_kept_one_can_be_brought_back(stage: HistoryStage, operator: Operator) -> None:
    stage.create(stage.manifest())
    first = stage.live(APP, "v4", runtime=stage.default_runtime)
    said = approval_manifest("said-of-it", first, given.in_namespace(stage.namespace), digest=stage.row(first)["spec"]["pinned"]["digest"])
    stage.create(said)
    for number in range(13):
        stage.live(APP, f"v{number % 3 + 1}", row=f"row-{number}")
    assert flow("v4") in stage.flows()
    limit(stage, LIMIT)
    assert until_kept(stage) == list(range(5, 15))
    assert stage.find("Approval", said["metadata"]["name"]) is None, "what was said of a row goes with it"
    eventually("the flow of v4 is gone", lambda: stage.flows() == {flow("v1"), flow("v2"), flow("v3")})
    verified(stage)
    for version in ("v1", "v2", "v3"):
        stage.delete(kinds.WORKFLOW_VERSION.kind, f"{APP}-{version}")
    for row in list(stage.rows(APP))[-4:-1]:
        wanted = names.flow(APP, row["spec"]["pinned"]["workflowHash"])
        stage.live(APP, restores=row["metadata"]["name"])
        assert stage.mounted()[0] == wanted
        newest = until_kept(stage)[-1]
        eventually("the App says that it is live", lambda newest=newest: stage.served()["sequence"] == newest)  # type: ignore[misc]
    operator.restart()
    stage.quiet()
    verified(stage)
    print("14 rows and a limit of 10: 4 gone, and 1 flow; 3 rollbacks to kept rows work, and the rest verifies")


def test_live_once_live_and_declared_rows_are_kept_whatever_the_limit(stage: HistoryStage, operator: Operator) -> None:
    stage.apply(stage.declared("v4"))
    declared = stage.until_served("v4", rows=1)
    for number in range(6):
        stage.live(APP, f"v{number % 3 + 1}", row=f"once-live-{number}")
    failing = [stage.deploy(APP, row=f"failing-{number:02}", config={"idleSeconds": 9}) for number in range(12)]
    for row in failing:
        stage.until(row, "Failed")
    limit(stage, LIMIT)
    until_kept(stage, 12)
    kept = {row["metadata"]["name"] for row in stage.rows(APP)}
    assert kept == {declared, *(f"once-live-{number}" for number in range(6)), *failing[-5:]}
    assert {flow(f"v{number}") for number in range(1, 5)} == stage.flows()
    assert stage.served()["row"] == "once-live-5"
    operator.restart()
    stage.quiet()
    assert stage.condition(APP, "DeploySpecOverridden")["status"] == "True"
    stage.live(APP, restores=declared)
    assert stage.mounted()[0] == flow("v4")
    verified(stage)


def test_a_row_in_flight_and_what_it_brings_back_are_kept(stage: HistoryStage, operator: Operator) -> None:
    stage.create(stage.manifest())
    first = stage.live(APP, "v4", runtime=stage.default_runtime)
    for number in range(11):
        stage.live(APP, f"v{number % 2 + 1}")
    operator.stop()
    # Made in one second, rows are taken by the order of their names.
    back = stage.deploy(APP, restores=first, row="back")
    waiting = stage.deploy(APP, "v9", row="waiting")
    limit(stage, LIMIT)
    operator.start()
    stage.until(waiting, "Pending")
    eventually("the limit is kept", lambda: len(stage.rows(APP)) <= LIMIT + 1)
    assert {back, waiting} <= {row["metadata"]["name"] for row in stage.rows(APP)}
    eventually("v4 is back", lambda: stage.mounted()[0] == flow("v4"))
    stage.release("v9", workflow=APP)
    stage.until(waiting, "Live")
    verified(stage)


def verified(stage: HistoryStage) -> None:
    text, code = check(APP, stage.rows(APP), None)
    assert code == 0, text
