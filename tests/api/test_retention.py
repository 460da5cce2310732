"""`spec.history.limit`: the oldest rows are deleted, with flows that no kept row names. Kept rows verify and can be restored by a rollback."""

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
    """Waits until `rows` rows are left, and returns their sequences."""
    eventually(f"{rows} rows are left: {len(stage.rows(APP))}", lambda: len(stage.rows(APP)) == rows)
    return [row["spec"]["sequence"] for row in stage.rows(APP)]


def flow(version: str) -> str:
    return names.flow(APP, flow_hash(answering(version)))


def test_the_oldest_rows_are_deleted_and_a_rollback_to_each_kept_one_works(stage: HistoryStage, operator: Operator) -> None:
    stage.create(stage.manifest())
    first = stage.live(APP, "v4", runtime=stage.default_runtime)
    approval = approval_manifest(
        "said-of-it", first, given.in_namespace(stage.namespace), digest=stage.row(first)["spec"]["pinned"]["digest"]
    )
    stage.create(approval)
    for number in range(11):
        stage.live(APP, f"v{number % 3 + 1}", row=f"row-{number}")
    assert flow("v4") in stage.flows()
    limit(stage, LIMIT)
    assert until_kept(stage) == list(range(3, 13))
    assert stage.find("Approval", approval["metadata"]["name"]) is None, "what was said of a row goes with it"
    eventually("the flow of v4 is gone", lambda: stage.flows() == {flow("v1"), flow("v2"), flow("v3")})
    verified(stage)
    for version in ("v1", "v2", "v3"):
        stage.delete(kinds.WORKFLOW_VERSION.kind, f"{APP}-{version}")
    for row in list(stage.rows(APP))[-3:-1]:
        wanted = names.flow(APP, row["spec"]["pinned"]["workflowHash"])
        stage.live(APP, restores=row["metadata"]["name"])
        assert stage.mounted()[0] == wanted
        newest = until_kept(stage)[-1]
        eventually("the App says that it is live", lambda newest=newest: stage.served()["sequence"] == newest)  # type: ignore[misc]
    operator.restart()
    stage.quiet()
    verified(stage)
    print("12 rows and a limit of 10: 2 gone, and 1 flow; 2 rollbacks to kept rows work, and the rest verifies")


def verified(stage: HistoryStage) -> None:
    text, code = check(APP, stage.rows(APP), None)
    assert code == 0, text
